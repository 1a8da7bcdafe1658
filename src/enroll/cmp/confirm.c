/* certConf, and what becomes of certificates that nobody confirms (RFC 9810 5.3.18, RFC 9483 4.1.1). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include "issue/jobs.h"
#include "keys/cms.h"
#include "register/register.h"
#include "x509/crl.h"
#include <openssl/evp.h>
#include <string.h>

enum { PAGE = 200, PERIOD_MS = 5000 };

/* ---- records ---- */

tm_err cmp_certificate_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                             const struct cmp_transaction *t, const char *by, const char *how)
{
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(t->endpoint)},
        {.key = "how", .kind = EVENT_STR, .s = slice_str(how)},
        {.key = "serial", .kind = EVENT_STR, .s = slice_str(t->serial)},
        {0},
    };
    struct slice body;
    const char *about = arena_printf(a, "certificate/%s", t->serial);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, tenant, type, about, body, clock_now_ms());
}

static tm_err serial_of(uint8_t ret[CERT_SERIAL_LEN], struct arena *a, const struct cmp_transaction *t)
{
    struct slice s;
    if (hex_decode(&s, a, slice_str(t->serial)) != TM_OK || s.n != CERT_SERIAL_LEN)
        return TM_ECORRUPT;
    memcpy(ret, s.p, CERT_SERIAL_LEN);
    return TM_OK;
}

/* ---- certConf ---- */

static const struct {
    enum oid id;
    const char *name;
} hashes[] = {{OID_SHA256, "SHA2-256"}, {OID_SHA384, "SHA2-384"}, {OID_SHA512, "SHA2-512"}};

/* RFC 9810 5.3.18: by hashAlg, else by the hash of the certificate's own signature; where that has none of its own SHA-512 (RFC 9481 2, 3.3). */
static tm_err certificate_hash(uint8_t ret[EVP_MAX_MD_SIZE], size_t *ret_n, struct cmp_exchange *x,
                               const struct cmp_confirm *c)
{
    struct cert cert;
    enum sig_alg alg;
    const char *name = NULL;
    unsigned n = 0;
    TM_TRY(cert_parse(&cert, x->t.cert, &x->diag));
    TM_TRY(sig_alg_from_algid(&alg, &cert.sigalg, &x->diag));
    name = sig_alg_info(alg)->digest ? sig_alg_info(alg)->digest : "SHA2-512";
    if (alg == SIG_ED448)
        name = "SHAKE-256";
    if (c->has_hash_alg) {
        name = NULL;
        for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
            if (hashes[i].id == c->hash_alg.id)
                name = hashes[i].name;
        if (!name)
            return cmp_refuse(x, CMP_BAD_ALG, TM_EUNSUPPORTED, "RFC 9810 5.3.18",
                              "hashAlg is not SHA-256, SHA-384 or SHA-512");
    }
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
                EVP_DigestUpdate(ctx, x->t.cert.p, x->t.cert.n) == 1;
    if (good && alg == SIG_ED448 && !c->has_hash_alg) {
        n = 64;
        good = EVP_DigestFinalXOF(ctx, ret, n) == 1;
    } else if (good) {
        good = EVP_DigestFinal_ex(ctx, ret, &n) == 1;
    }
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    *ret_n = n;
    return good ? TM_OK : TM_ECRYPTO;
}

static void build_null(struct buf *out, const void *arg)
{
    (void)arg;
    buf_put(out, "\x05\x00", 2);
}

static tm_err pkiconf(struct cmp_exchange *x)
{
    x->t.state = CMP_T_DONE;
    x->t.request = (struct slice){0};
    x->keep = true;
    return cmp_answer_list(x, CMP_PKICONF, build_null, NULL);
}

/* The client does not want what it got. */
static tm_err rejected(struct cmp_exchange *x)
{
    uint8_t serial[CERT_SERIAL_LEN];
    TM_TRY(serial_of(serial, x->a, &x->t));
    tm_err e = issue_revoke(x->house, x->endpoint->tenant, serial, CRL_CESSATION_OF_OPERATION, "cmp",
                            "the client rejected the certificate", NULL, &x->diag);
    if (e != TM_OK && e != TM_ECONFLICT)
        return e;
    TM_TRY(cmp_certificate_event(&x->effects[x->n_effects], x->a, x->endpoint->tenant, "certificate.rejected",
                                 &x->t, x->credential, "certConf"));
    x->n_effects++;
    return pkiconf(x);
}

static tm_err check_state(struct cmp_exchange *x)
{
    if (x->t.state == CMP_T_UNCONFIRMED && x->t.confirm_by >= clock_now())
        return TM_OK;
    if (x->t.state == CMP_T_UNCONFIRMED)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EEXPIRED, "cmp.confirm-within",
                          "the time to confirm the certificate is over");
    if (x->t.state == CMP_T_DONE && x->t.cert.n)
        return cmp_refuse(x, CMP_CERT_CONFIRMED, TM_ECONFLICT, "RFC 9810 5.2.3",
                          "the certificate is confirmed already, or was not to be confirmed");
    return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.1.1", "there is nothing to confirm");
}

static tm_err check_hash(struct cmp_exchange *x, const struct cmp_confirm *c)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    size_t n = 0;
    if (c->request_id != x->t.request_id &&
        !(x->t.request_id == -1 && c->request_id == 0)) /* as RFC 4210 left it open */
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.1.1",
                          "certReqId is not that of the request");
    if (c->has_hash_alg && x->m.pvno != 3)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9810 7", "hashAlg is of CMP version 3");
    TM_TRY(certificate_hash(hash, &n, x, c));
    if (!slice_eq(c->hash, slice_of(hash, n)))
        return cmp_refuse(x, CMP_BAD_CERT_ID, TM_EINVAL, "RFC 9483 4.1.1",
                          "certHash is not that of the certificate");
    return TM_OK;
}

tm_err cmp_confirm(struct cmp_exchange *x)
{
    struct cmp_confirm c[2];
    size_t n = 0;
    if (x->m.body == CMP_ERROR) /* RFC 9483 3.6.4: the client gives up */
        return x->t.state == CMP_T_UNCONFIRMED ? rejected(x) : pkiconf(x);
    TM_TRY(cmp_confirms_read(c, 2, &n, x->m.content, &x->diag));
    TM_TRY(check_state(x));
    if (n == 0)
        return rejected(x);
    if (n != 1)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.1.1",
                          "one certificate is to be confirmed");
    TM_TRY(check_hash(x, &c[0]));
    if (c[0].status == CMP_REJECTION)
        return rejected(x);
    TM_TRY(cmp_certificate_event(&x->effects[x->n_effects], x->a, x->endpoint->tenant,
                                 "certificate.confirmed", &x->t, x->credential, "certConf"));
    x->n_effects++;
    return pkiconf(x);
}

/* ---- those that nobody confirms ---- */

static tm_err over(struct house *h, struct arena *a, tenant_id tenant, const struct continuation_row *row,
                   const struct catalog *c, struct diag *diag)
{
    struct cmp_transaction t;
    uint8_t serial[CERT_SERIAL_LEN];
    TM_TRY(cmp_transaction_read(&t, a, row));
    if (t.confirm_by >= clock_now())
        return TM_OK;
    const struct tenant *owner = catalog_tenant_by_id(c, tenant);
    const char *label =
        tenant == TENANT_DEFAULT || !owner ? t.endpoint : arena_printf(a, "%s.%s", owner->name, t.endpoint);
    const struct endpoint *ep = label ? catalog_endpoint(c, DOOR_CMP, label) : NULL;
    bool keep = ep && ep->cmp->unconfirmed == CMP_UNCONFIRMED_KEEP;
    TM_TRY(serial_of(serial, a, &t));
    if (!keep) {
        tm_err e = issue_revoke(h, tenant, serial, CRL_CESSATION_OF_OPERATION, "cmp",
                                "the client did not confirm the certificate", NULL, diag);
        if (e != TM_OK && e != TM_ECONFLICT && e != TM_ENOTFOUND)
            return e;
    }
    struct effect effects[2];
    t.state = CMP_T_DONE;
    TM_TRY(cmp_transaction_write(&t, a));
    effects[0] = (struct effect){.kind = EFFECT_CONTINUATION_PUT,
                                 .tenant = tenant,
                                 .expected_version = t.row.version,
                                 .u.continuation = t.row};
    TM_TRY(cmp_certificate_event(&effects[1], a, tenant, "certificate.unconfirmed", &t, "cmp",
                                 keep ? "kept" : "revoked"));
    tm_err e = house_commit(h, effects, 2, diag);
    return e == TM_ECONFLICT ? TM_OK : e; /* somebody confirmed at the last moment */
}

/* One that can't be done now must not keep the others waiting: the first error is told when all had their turn. */
static tm_err one_tenant(struct house *h, struct arena *a, tenant_id tenant, const struct catalog *c,
                         struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CONTINUATIONS, .tenant = tenant, .arena = a, .text = "cmp-unconfirmed", .limit = PAGE};
    tm_err first = TM_OK;
    do {
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK) {
            *diag = q.diag;
            return e == TM_ENOTFOUND ? first : e;
        }
        for (size_t i = 0; i < q.n; i++) {
            struct diag why = {0};
            e = over(h, a, tenant, &q.continuations[i], c, &why);
            if (e != TM_OK && first == TM_OK) {
                first = e;
                *diag = why;
            }
        }
        q.after = q.page_next;
    } while (q.more);
    return first;
}

static tm_err unconfirmed(struct house *h, struct diag *diag)
{
    struct catalog *c = house_catalog(h);
    const struct tenant *v;
    size_t n = catalog_tenants(c, &v);
    tm_err first = TM_OK;
    for (size_t i = 0; i < n; i++) {
        struct arena *a = arena_new(64 << 20);
        struct diag why = {0};
        tm_err e = a ? one_tenant(h, a, v[i].id, c, &why) : TM_ENOMEM;
        arena_free(a);
        if (e != TM_OK && first == TM_OK) {
            first = e;
            *diag = why;
        }
    }
    catalog_unref(c);
    return first;
}

const struct job cmp_unconfirmed_job = {
    .name = "cmp.unconfirmed", .period_ms = PERIOD_MS, .run = unconfirmed};
