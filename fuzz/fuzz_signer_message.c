/* What an RA's key is asked to sign: the first octet says whether a CMP answer, certificates to come, a PKIResponse, or signed attributes
 * (two octets of their length before them, what they are about after them) follow. A signer that knows one sealed root and one CA lets no other certificate out: what passes is taken apart again and looked at by its digest.
 * Dictionary: der
 * Parser: keys/envelope_message.c keys/known.c -known_new -known_free x509/cmp_answer.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "keys/cms.h"
#include "keys/envelope.h"
#include "keys/internal.h"
#include "keys/known.h"
#include "x509/cert.h"
#include "x509/cmp.h"
#include "x509/cms/certs_only.h"
#include "x509/cms/signed.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1795219200 }; /* 2026-11-21 */

#include "signer_message.h"

/* What certificates are encrypted with, each with the next. */
static const uint8_t opening[2 * CMS_KEY_LEN];

static void known_only(struct slice der)
{
    uint8_t hash[SHA256_LEN];
    struct cert c;
    if (cert_parse(&c, der, NULL) != TM_OK)
        abort();
    /* A signature can be written in more than one way, what is signed cannot. */
    if (sha256(hash, c.tbs) != TM_OK)
        return;
    for (size_t i = 0; i < sizeof good_tbs / sizeof *good_tbs; i++)
        if (memcmp(hash, good_tbs[i], sizeof hash) == 0)
            return;
    abort();
}

static void known_inside(const struct cmp_cert_answer *a)
{
    struct arena *arena = arena_new(0);
    struct slice der;
    tm_err err = arena ? cms_open(&der, arena, &a->cipher, slice_of(opening, CMS_KEY_LEN), a->encrypted_cert)
                       : TM_ENOMEM;
    if (err == TM_OK)
        known_only(der);
    arena_free(arena);
}

static void look_again(struct slice message, unsigned depth)
{
    static struct cmp_message m[4];
    static struct slice inner[4][CMP_NESTED_MAX], v[64];
    static struct cmp_info info[CMP_INFO_MAX];
    struct cmp_cert_answer a;
    size_t n = 0;
    if (depth == 4 || cmp_message_parse(&m[depth], message, NULL) != TM_OK)
        abort();
    struct slice content = m[depth].content;
    if (m[depth].body == CMP_NESTED &&
        cmp_nested_read(inner[depth], CMP_NESTED_MAX, &n, content, NULL) == TM_OK)
        for (size_t i = 0; i < n; i++)
            look_again(inner[depth][i], depth + 1);
    if ((m[depth].body == CMP_IP || m[depth].body == CMP_CP || m[depth].body == CMP_KUP) &&
        cmp_cert_response_read(&a, content, NULL) == TM_OK) {
        for (size_t i = 0; i < a.n_ca_pubs; i++)
            known_only(a.ca_pubs[i]);
        if (a.cert.n)
            known_only(a.cert);
        if (a.encrypted_cert.n)
            known_inside(&a);
    }
    if (m[depth].body == CMP_GENP && cmp_infos_read(info, CMP_INFO_MAX, &n, content, NULL) == TM_OK)
        for (size_t i = 0, k; i < n; i++) {
            k = 0;
            if (info[i].type == OID_IT_CA_CERTS && info[i].value.n)
                TM_IGNORE(cmp_ca_certs_read(v, 64, &k, info[i].value, NULL));
            if (info[i].type == OID_IT_ROOT_CA_KEY_UPDATE && info[i].value.n)
                k = cmp_root_update_read(v, &k, info[i].value, NULL) ==
                    TM_OK; /* the links bear the root's key or signature */
            while (k)
                known_only(v[--k]);
        }
}

static tm_err ask_cms(const struct envelope *e, struct known *known, enum oid type, struct slice content)
{
    uint8_t digest[SHA256_LEN];
    struct buf attrs;
    buf_init(&attrs, 4096);
    tm_err err = sha256(digest, content);
    if (err == TM_OK)
        err = signed_attrs_build(&attrs, oid_contents(type), SLICE_ARR(digest), NOW);
    if (err == TM_OK)
        err = envelope_check_cms(e, known, buf_slice(&attrs), content, NOW, NULL);
    buf_done(&attrs);
    return err;
}

static tm_err ask_attributes(const struct envelope *e, struct known *known, struct slice s)
{
    if (s.n < 2)
        return TM_EDENIED;
    size_t n = (size_t)s.p[0] << 8 | s.p[1];
    s = slice_sub(s, 2, s.n);
    n = n < s.n ? n : s.n;
    return envelope_check_cms(e, known, slice_sub(s, 0, n), slice_sub(s, n, s.n), NOW, NULL);
}

static tm_err know(struct known **ret)
{
    static const char *anchors[] = {root_sha256};
    static const struct envelope ca = {.key_id = "ca",
                                       .origin = "",
                                       .allow = 1u << SIGN_LEAF | 1u << SIGN_CA,
                                       .issuer = {.p = ca_name, .n = sizeof ca_name},
                                       .anchors = anchors,
                                       .n_anchors = 1},
                                 ra = {.key_id = "ca-ra", .origin = "", .allow = 1u << SIGN_CMS};
    const struct known_key keys[] = {{.spki = SLICE_ARR(ca_spki), .env = &ca},
                                     {.spki = SLICE_ARR(ra_spki), .env = &ra}};
    TM_TRY(known_new(ret));
    return known_keys(*ret, keys, 2);
}

static void judge(const struct envelope *e, struct known *known, unsigned kind, struct slice s)
{
    static struct slice v[64];
    size_t n = 0;
    tm_err err = kind == 0   ? envelope_check_cmp(e, known, s, SLICE_ARR(opening), NOW, NULL)
                 : kind == 1 ? ask_cms(e, known, OID_SIGNED_DATA, s)
                 : kind == 2 ? ask_cms(e, known, OID_CT_PKI_RESPONSE, s)
                             : ask_attributes(e, known, s);
    if (err != TM_OK && err != TM_EDENIED && err != TM_ENOMEM && err != TM_ECRYPTO)
        abort();
    if (err == TM_OK && kind == 0)
        look_again(s, 0);
    if (err == TM_OK && kind == 1 && certs_only_parse(v, 64, &n, s, NULL) == TM_OK)
        while (n)
            known_only(v[--n]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct known *known = NULL;
    if (size == 0)
        return 0;
    const struct envelope e = {.key_id = "ca-ra",
                               .origin = "",
                               .allow = data[0] & 0x80 ? 0 : 1u << SIGN_CMS | 1u << SIGN_CMP,
                               .max_path_len = -1};
    if (know(&known) == TM_OK)
        judge(&e, known, data[0] & 3, slice_of(data + 1, size - 1));
    known_free(known);
    return 0;
}
