#include "finding/public_roots.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "http/tls_peer.h"
#include "keys/pubkey.h"
#include "x509/cert.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOTS_MAX = 1000, FILE_MAX = 4 << 20 };

/* Kept as long as the process lives. */
static struct root {
    uint8_t subject[SHA256_LEN];
    struct cert cert;
} *roots;
static size_t n_roots;
static struct arena *room;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void take(struct slice der)
{
    struct root *r = &roots[n_roots];
    if (cert_parse(&r->cert, der, NULL) == TM_OK && sha256(r->subject, r->cert.subject) == TM_OK)
        n_roots++;
}

static void load(void)
{
    FILE *f = fopen(tls_peer_system_file(), "re");
    struct buf text;
    buf_init(&text, FILE_MAX);
    char piece[8192];
    for (size_t n = 0; f && !feof(f) && !ferror(f); buf_put(&text, piece, n))
        n = fread(piece, 1, sizeof piece, f);
    if (f)
        fclose(f);
    struct slice rest = buf_slice(&text), der;
    room = arena_new(0);
    roots = room && rest.n ? calloc(ROOTS_MAX, sizeof *roots) : NULL;
    while (roots && n_roots < ROOTS_MAX && pem_next(&der, NULL, room, &rest, "CERTIFICATE") == TM_OK)
        take(der);
    buf_done(&text);
}

/* The root of that name; NULL when there is none. */
static const struct root *named(struct slice name)
{
    uint8_t hash[SHA256_LEN];
    pthread_once(&once, load);
    if (n_roots == 0 || sha256(hash, name) != TM_OK)
        return NULL;
    for (size_t i = 0; i < n_roots; i++)
        if (memcmp(roots[i].subject, hash, sizeof hash) == 0)
            return &roots[i];
    return NULL;
}

bool public_root(const struct cert *c)
{
    const struct root *r = named(c->subject);
    return r && slice_eq(r->cert.der, c->der);
}

bool public_root_signed(const struct cert *c)
{
    const struct root *r = named(c->issuer);
    return r && cert_verify_signature(c, &r->cert.spki, NULL) == TM_OK;
}

bool public_rules(const struct cert *c)
{
    static const uint8_t forum[] = {0x67, 0x81, 0x0c, 0x01}; /* 2.23.140.1: the Baseline Requirements' */
    struct slice oids[16];
    size_t n = 0;
    const struct ext *policies = exts_find(&c->exts, OID_EXT_POLICIES);
    if (exts_find(&c->exts, OID_EXT_CT_SCTS))
        return true;
    if (!policies || ext_decode_policies(oids, 16, &n, policies->value, NULL) != TM_OK)
        return false;
    for (size_t i = 0; i < n; i++)
        if (oids[i].n > sizeof forum && memcmp(oids[i].p, forum, sizeof forum) == 0)
            return true;
    return false;
}
