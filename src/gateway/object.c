/* What was fetched: verified copies in memory, files in the state directory. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/text.h"
#include "gateway/impl.h"
#include "keys/pubkey.h"
#include "status/filter_verify.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SERIALS_MAX = 4000000 };

void object_unref(struct gateway_object *o)
{
    if (o && atomic_fetch_sub(&o->refs, 1) == 1) {
        free(o->serials);
        free(o);
    }
}

struct gateway_object *object_now(struct gateway *g, struct gateway_source *s)
{
    if (!s)
        return NULL;
    pthread_mutex_lock(&g->lock);
    struct gateway_object *o = s->now;
    if (o)
        atomic_fetch_add(&o->refs, 1);
    pthread_mutex_unlock(&g->lock);
    return o;
}

/* ---- filters ---- */

struct trust {
    struct filter_trust t;
    struct gateway *g;
};

/* By what is here already: a CRL, or a filter of before. Old news of a revocation are good news. */
static bool ra_revoked(const struct filter_trust *t, size_t ca, struct slice serial)
{
    struct gateway *g = TM_CONTAINER(t, const struct trust, t)->g;
    return gateway_knows_revoked(g, &g->authorities[ca], serial);
}

static tm_err make_filter(struct gateway_object *o, struct gateway *g, const struct gateway_source *s,
                          struct diag *diag)
{
    if (tmf_open(&o->filter, o->octets, o->n) != 0)
        return diag_fail(diag, TM_EMALFORMED, NULL, s->name, "it is no revocation filter of a known version");
    if (o->filter.kind != (s->kind == SOURCE_FILTER ? TMF_FULL : TMF_DELTA))
        return diag_fail(diag, TM_EINVAL, NULL, s->name, "it is a filter of the other kind");
    /* What is signed is the name without its tenant, and stands behind the address that it was asked for by. */
    const char *dot = strchr(s->filter, '.');
    if (strcmp(o->filter.name, dot ? dot + 1 : s->filter) != 0)
        return diag_fail(diag, TM_EBADSIG, NULL, s->name, "it is the filter \"%s\", not this one",
                         o->filter.name);
    const struct trust trust = {{.cas = g->cas, .n_cas = g->n_authorities, .revoked = ra_revoked}, g};
    TM_TRY(filter_verify(&o->filter, &trust.t, clock_now(), o->digest, diag));
    o->this_update = o->filter.this_update;
    o->next_update = o->filter.next_update;
    o->number = o->filter.number;
    return TM_OK;
}

/* ---- CRLs ---- */

static int serial_order(const void *a, const void *b)
{
    return memcmp(a, b, CERT_SERIAL_MAX);
}

static tm_err index_crl(struct gateway_object *o, const struct crl *c, struct diag *diag)
{
    struct crl_iter it;
    struct crl_entry entry;
    size_t cap = 0;
    tm_err e;
    crl_iter_init(&it, c, diag);
    while ((e = crl_next(&it, &entry)) == TM_OK) {
        if (entry.unknown_critical)
            o->complete = false; /* RFC 5280 5.3 */
        if (o->n_serials == cap) {
            cap = cap ? cap * 2 : 1024;
            uint8_t *grown = cap <= SERIALS_MAX ? realloc(o->serials, cap * CERT_SERIAL_MAX) : NULL;
            if (!grown)
                return cap > SERIALS_MAX ? TM_ETOOBIG : TM_ENOMEM;
            o->serials = grown;
        }
        if (serial_pad(o->serials + o->n_serials * CERT_SERIAL_MAX, CERT_SERIAL_MAX, entry.serial))
            o->n_serials++;
    }
    if (e != TM_ENOTFOUND)
        return e;
    if (o->n_serials)
        qsort(o->serials, o->n_serials, CERT_SERIAL_MAX, serial_order);
    return TM_OK;
}

static tm_err make_crl(struct gateway_object *o, const struct gateway_source *s, struct diag *diag)
{
    struct crl c;
    const struct cert *ca = &s->authority->cert;
    TM_TRY(crl_parse(&c, slice_of(o->octets, o->n), diag));
    if (!slice_eq(c.issuer, ca->subject))
        return diag_fail(diag, TM_EBADSIG, "RFC 5280 6.3.3", s->name, "it was issued by somebody else");
    if (pubkey_verify(&ca->spki, &c.sigalg, c.tbs, c.signature, NULL) != TM_OK)
        return diag_fail(diag, TM_EBADSIG, "RFC 5280 6.3.3", s->name, "its signature is not good");
    o->this_update = c.this_update;
    o->next_update = c.next_update;
    struct slice number = crl_number(&c);
    for (size_t i = 0; i < number.n && number.n <= 9; i++)
        o->number = o->number << 8 | number.p[i];
    /* A delta or a part of a list (both are critical, RFC 5280 5.2.4 and 5.2.5) is relayed, but nothing is concluded from it. */
    o->complete = true;
    for (size_t i = 0; i < c.exts.n; i++)
        if (c.exts.v[i].critical)
            o->complete = false;
    return index_crl(o, &c, diag);
}

tm_err object_make(struct gateway_object **ret, struct gateway *g, const struct gateway_source *s,
                   struct slice octets, struct diag *diag)
{
    uint8_t hash[SHA256_LEN];
    struct gateway_object *o = calloc(1, sizeof *o + octets.n + 1);
    if (!o)
        return TM_ENOMEM;
    atomic_init(&o->refs, 1);
    o->kind = s->kind;
    o->n = octets.n;
    if (octets.n)
        memcpy(o->octets, octets.p, octets.n);
    tm_err e = sha256(hash, octets);
    if (e == TM_OK)
        e = s->kind == SOURCE_CRL ? make_crl(o, s, diag) : make_filter(o, g, s, diag);
    if (e != TM_OK) {
        object_unref(o);
        return e;
    }
    o->etag[0] = '"';
    hex_encode(o->etag + 1, slice_of(hash, 16));
    memcpy(o->etag + 33, "\"", 2);
    *ret = o;
    return TM_OK;
}

/* ---- the state directory ---- */

static bool state_path(char out[4096], const struct gateway *g, const char *name, const char *suffix)
{
    return snprintf(out, 4096, "%s/%s%s", g->config.state, name, suffix) < 4096;
}

tm_err state_load(struct slice *ret, struct arena *a, const struct gateway *g, const char *name, size_t max)
{
    char path[4096];
    struct stat st;
    if (!state_path(path, g, name, ""))
        return TM_ETOOBIG;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? TM_ENOTFOUND : TM_EIO;
    tm_err e = fstat(fd, &st) == 0 && (size_t)st.st_size <= max ? TM_OK : TM_ETOOBIG;
    uint8_t *p = e == TM_OK ? arena_alloc(a, (size_t)st.st_size + 1) : NULL;
    size_t n = 0;
    if (e == TM_OK && !p)
        e = TM_ENOMEM;
    while (e == TM_OK && n < (size_t)st.st_size) {
        ssize_t k = read(fd, p + n, (size_t)st.st_size - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            e = TM_EIO;
        else
            n += (size_t)k;
    }
    close(fd);
    if (e == TM_OK)
        *ret = slice_of(p, n);
    return e;
}

tm_err state_save(const struct gateway *g, const char *name, struct slice octets, struct diag *diag)
{
    char path[4096], fresh[4096];
    if (!state_path(path, g, name, "") || !state_path(fresh, g, name, ".new"))
        return TM_ETOOBIG;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && fd_write_all(fd, octets) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    good = good && rename(fresh, path) == 0;
    int dir = good ? open(g->config.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir >= 0) {
        good = fsync(dir) == 0;
        close(dir);
    }
    return good ? TM_OK : diag_fail(diag, TM_EIO, NULL, NULL, "%s: %s", path, strerror(errno));
}
