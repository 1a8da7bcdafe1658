/* certConf, and what becomes of certificates that nobody confirms (RFC 9810 5.3.18, RFC 9483 4.1.1). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "enroll/endpoint.h"
#include "issue/cmp_settings.h"
#include "issue/continuation.h"
#include "issue/jobs.h"
#include "keys/cms.h"
#include "register/register.h"
#include "x509/crl.h"
#include <openssl/evp.h>
#include <string.h>

enum { PAGE = 5000, PERIOD_MS = 5000, DONE_LIFE = 86400 };

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
    x->t.request = x->t.opening = x->t.witness = (struct slice){0};
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

/* It was approved meanwhile, and nobody comes for it. */
static tm_err revoke_approved(struct cmp_exchange *x)
{
    struct store_read q = {
        .kind = READ_CONTINUATION, .tenant = x->endpoint->tenant, .arena = x->a, .name = x->t.pending};
    uint8_t serial[CERT_SERIAL_LEN];
    struct slice kept;
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_OK)
        e = continuation_issued(serial, &kept, x->a, &q.continuations[0]);
    if (e == TM_OK)
        e = issue_revoke(x->house, x->endpoint->tenant, serial, CRL_CESSATION_OF_OPERATION, "cmp",
                         "the client gave up", NULL, &x->diag);
    return e == TM_ENOTFOUND || e == TM_ECONFLICT ? TM_OK : e;
}

/* Those who approve need not look at it any more. */
static tm_err withdrawn(struct cmp_exchange *x)
{
    if (x->t.pending && x->t.pending[0]) {
        tm_err e = issue_approve(x->house, x->endpoint->tenant, x->t.pending, false, x->who.caller.id,
                                 "the client gave up", &x->diag);
        if (e == TM_ECONFLICT)
            e = revoke_approved(x);
        if (e != TM_OK && e != TM_ENOTFOUND && e != TM_EEXPIRED)
            return e;
    }
    return pkiconf(x);
}

/* RFC 9483 3.6.4: an error of the client's ends the transaction. */
static tm_err given_up(struct cmp_exchange *x)
{
    switch (x->t.state) {
    case CMP_T_UNCONFIRMED:
    case CMP_T_OVERDUE:
        return rejected(x);
    case CMP_T_WAITING:
        return withdrawn(x);
    default:
        return pkiconf(x);
    }
}

static tm_err check_state(struct cmp_exchange *x)
{
    bool overdue = x->t.state == CMP_T_OVERDUE;
    if (x->t.state == CMP_T_UNCONFIRMED && x->t.confirm_by >= clock_now())
        return TM_OK;
    if (overdue || x->t.state == CMP_T_UNCONFIRMED)
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
    if (x->m.body == CMP_ERROR)
        return given_up(x);
    TM_TRY(cmp_confirms_read(c, 2, &n, x->m.content, &x->diag));
    TM_TRY(check_state(x));
    if (n == 0)
        return rejected(x);
    if (n != 1)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9483 4.1.1",
                          "one certificate is to be confirmed");
    TM_TRY(check_hash(x, &c[0]));
    if (c[0].status > CMP_REJECTION)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9810 5.3.18",
                          "a certificate is accepted or rejected, nothing else");
    if (c[0].status == CMP_REJECTION)
        return rejected(x);
    TM_TRY(cmp_certificate_event(
        &x->effects[x->n_effects], x->a, x->endpoint->tenant, "certificate.confirmed", &x->t, x->credential,
        x->t.pop == CMP_POP_ENCRYPTED ? "certConf, which proves possession of the key" : "certConf"));
    x->n_effects++;
    return pkiconf(x);
}

/* ---- those that nobody confirms ---- */

struct overdue {
    struct house *house;
    const struct catalog *catalog;
    struct arena *arena; /* of this one */
    tenant_id tenant;
    struct cmp_transaction t;
};

static tm_err find_overdue(struct overdue *o, const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .object_kind = OBJECT_CMP_TRANSACTION,
                           .tenant = o->tenant,
                           .arena = o->arena,
                           .name = id};
    tm_err e = store_read_now(o->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    return cmp_transaction_read(&o->t, o->arena, &q.objects[0]);
}

/* What nobody has decrypted is nobody's, whatever the endpoint says. */
static bool is_kept(const struct overdue *o)
{
    if (o->t.pop == CMP_POP_ENCRYPTED)
        return false;
    const struct endpoint *ep = endpoint_of_tenant(o->catalog, o->arena, o->tenant, DOOR_CMP, o->t.endpoint);
    return ep && ep->cmp->unconfirmed == CMP_UNCONFIRMED_KEEP;
}

/* TM_ECONFLICT: the client was quicker. */
static tm_err put(struct overdue *o, enum cmp_state state, const char *outcome, struct diag *diag)
{
    struct effect effects[2];
    size_t n = 1;
    o->t.state = state;
    if (state == CMP_T_DONE)
        o->t.row.keep_until = clock_now() + DONE_LIFE;
    TM_TRY(cmp_transaction_write(&o->t, o->arena));
    cmp_transaction_put(&effects[0], o->tenant, &o->t);
    if (outcome)
        TM_TRY(cmp_certificate_event(&effects[n++], o->arena, o->tenant, "certificate.unconfirmed", &o->t,
                                     "cmp", outcome));
    TM_TRY(house_commit(o->house, effects, n, diag));
    o->t.row.version = effects[0].u.object.row.version;
    return TM_OK;
}

/* First nobody can confirm it any more, then it is revoked, then it is done: whoever has been told that it is confirmed keeps it, and what a
 * crash interrupts goes on. */
static tm_err over(struct overdue *o, struct diag *diag)
{
    uint8_t serial[CERT_SERIAL_LEN];
    if (o->t.state != CMP_T_OVERDUE && (o->t.state != CMP_T_UNCONFIRMED || o->t.confirm_by >= clock_now()))
        return TM_OK;
    if (o->t.state == CMP_T_UNCONFIRMED && is_kept(o))
        return put(o, CMP_T_DONE, "kept", diag);
    if (o->t.state == CMP_T_UNCONFIRMED)
        TM_TRY(put(o, CMP_T_OVERDUE, NULL, diag));
    TM_TRY(serial_of(serial, o->arena, &o->t));
    tm_err e = issue_revoke(o->house, o->tenant, serial, CRL_CESSATION_OF_OPERATION, "cmp",
                            "the client did not confirm the certificate", NULL, diag);
    if (e != TM_OK && e != TM_ECONFLICT && e != TM_ENOTFOUND)
        return e;
    o->t.cert = (struct slice){0}; /* there is nothing to confirm now */
    return put(o, CMP_T_DONE, "revoked", diag);
}

static tm_err one(struct house *h, const struct catalog *c, const struct object_row *row, struct diag *diag)
{
    struct overdue o = {.house = h, .catalog = c, .tenant = row->tenant, .arena = arena_new(0)};
    if (!o.arena)
        return TM_ENOMEM;
    tm_err e = find_overdue(&o, row->id, diag);
    if (e == TM_OK)
        e = over(&o, diag);
    arena_free(o.arena);
    return e == TM_ECONFLICT || e == TM_ENOTFOUND ? TM_OK : e;
}

/* Those whose time is over, the first first. One that can't be done now must not keep the others waiting: the first error is told when all
 * had their turn. */
static tm_err page(struct house *h, const struct catalog *c, size_t *ret_done, bool *ret_more,
                   struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .object_kind = OBJECT_CMP_TRANSACTION,
                           .arena = a,
                           .window_start = clock_now_ms(),
                           .limit = PAGE};
    tm_err first = a ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (first != TM_OK)
        *diag = q.diag;
    for (size_t i = 0; i < q.n; i++) {
        struct diag why = {0};
        tm_err e = one(h, c, &q.objects[i], &why);
        *ret_done += e == TM_OK;
        if (e != TM_OK && first == TM_OK) {
            first = e;
            *diag = why;
        }
    }
    *ret_more = q.more;
    arena_free(a);
    return first;
}

static tm_err unconfirmed(struct house *h, struct diag *diag)
{
    struct catalog *c = house_catalog(h);
    tm_err first = TM_OK;
    size_t done;
    bool more;
    do {
        struct diag why = {0};
        done = 0;
        tm_err e = page(h, c, &done, &more, &why);
        if (e != TM_OK && first == TM_OK) {
            first = e;
            *diag = why;
        }
    } while (more && done);
    catalog_unref(c);
    return first;
}

const struct job cmp_unconfirmed_job = {
    .name = "cmp.unconfirmed", .period_ms = PERIOD_MS, .run = unconfirmed};
