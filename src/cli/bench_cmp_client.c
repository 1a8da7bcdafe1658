/* A vendor's devices with birth certificates, and what they send: an ir each for a new key, signed by the device, to be confirmed implicitly (RFC 9483
 * 4.1.1). Messages are made before any clock runs. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "cli/bench.h"
#include "der/builder.h"
#include "der/reader.h"
#include "keys/key.h"
#include "x509/cert.h"
#include "x509/cmp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { YEAR = 365 * 86400, ID = 16, BODY_MAX = 64 << 10 };

struct device {
    struct key *key;
    struct slice cert, name; /* in the fleet's arena */
    uint8_t key_id[20];
};

struct bench_cmp_fleet {
    struct arena *a;
    struct key *root;
    struct slice root_cert, root_name;
    struct device *v;
    size_t n;
};

/* ---- certificates ---- */

static tm_err certify(struct slice *ret, struct bench_cmp_fleet *f, struct slice subject, struct slice spki,
                      uint64_t number, bool ca, uint8_t ret_key_id[20], struct diag *diag)
{
    struct ext exts[3];
    struct spki key;
    struct basic_constraints bc = {.ca = ca};
    uint8_t serial[9] = {1};
    struct buf tbs, sig, der;
    for (int i = 0; i < 8; i++)
        serial[8 - i] = (uint8_t)(number >> 8 * i);
    TM_TRY(spki_parse(&key, spki, diag));
    TM_TRY(spki_key_id(ret_key_id, &key));
    TM_TRY(ext_encode_basic_constraints(&exts[0].value, f->a, &bc));
    TM_TRY(ext_encode_key_usage(&exts[1].value, f->a,
                                ca ? KU_KEY_CERT_SIGN | KU_CRL_SIGN : KU_DIGITAL_SIGNATURE));
    TM_TRY(ext_encode_ski(&exts[2].value, f->a, slice_of(ret_key_id, 20)));
    static const enum oid ids[] = {OID_EXT_BASIC_CONSTRAINTS, OID_EXT_KEY_USAGE, OID_EXT_SKI};
    for (size_t i = 0; i < 3; i++) {
        exts[i].id = ids[i];
        exts[i].oid = oid_contents(ids[i]);
        exts[i].critical = i < 2;
    }
    const struct slice algid = sig_alg_info(SIG_ECDSA_SHA256)->algid;
    const struct tbs_cert t = {.serial = SLICE_ARR(serial),
                               .sigalg = algid,
                               .issuer = f->root_name,
                               .subject = subject,
                               .spki = spki,
                               .not_before = clock_now() - 3600,
                               .not_after = clock_now() + 10LL * YEAR,
                               .exts = exts,
                               .n_exts = 3};
    buf_init(&tbs, CERT_DER_MAX);
    buf_init(&sig, 4096);
    buf_init(&der, CERT_DER_MAX);
    tm_err e = tbs_cert_build(&tbs, &t, NULL);
    if (e == TM_OK)
        e = key_sign(&sig, f->root, SIG_ECDSA_SHA256, buf_slice(&tbs), diag);
    if (e == TM_OK)
        e = signed_assemble(&der, buf_slice(&tbs), algid, buf_slice(&sig));
    if (e == TM_OK)
        e = arena_copy(ret, f->a, buf_slice(&der));
    buf_done(&tbs);
    buf_done(&sig);
    buf_done(&der);
    return e;
}

static tm_err make_device(struct bench_cmp_fleet *f, size_t number, struct diag *diag)
{
    struct device *d = &f->v[number];
    char *text = arena_printf(f->a, "CN=BENCH-%06zu", number);
    TM_TRY(text ? name_from_text(&d->name, f->a, slice_str(text), diag) : TM_ENOMEM);
    TM_TRY(key_generate(&d->key, KEY_ALG_EC_P256, 0, diag));
    return certify(&d->cert, f, d->name, key_spki(d->key), number, false, d->key_id, diag);
}

tm_err bench_cmp_fleet_open(struct bench_cmp_fleet **ret, size_t devices, struct diag *diag)
{
    struct bench_cmp_fleet *f = calloc(1, sizeof *f);
    uint8_t ignored[20];
    if (!f)
        return TM_ENOMEM;
    f->a = arena_new(SIZE_MAX / 2);
    f->v = calloc(devices, sizeof *f->v);
    f->n = devices;
    tm_err e =
        f->a && f->v ? name_from_text(&f->root_name, f->a, SLICE_LIT("CN=Bench Vendor"), diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = key_generate(&f->root, KEY_ALG_EC_P256, 0, diag);
    if (e == TM_OK)
        e = certify(&f->root_cert, f, f->root_name, key_spki(f->root), UINT64_MAX, true, ignored, diag);
    for (size_t i = 0; i < devices && e == TM_OK; i++)
        e = make_device(f, i, diag);
    if (e != TM_OK) {
        bench_cmp_fleet_free(f);
        return e;
    }
    *ret = f;
    return TM_OK;
}

void bench_cmp_fleet_free(struct bench_cmp_fleet *f)
{
    if (!f)
        return;
    for (size_t i = 0; f->v && i < f->n; i++)
        key_free(f->v[i].key);
    key_free(f->root);
    free(f->v);
    arena_free(f->a);
    free(f);
}

struct slice bench_cmp_fleet_root(const struct bench_cmp_fleet *f)
{
    return f->root_cert;
}

/* ---- messages ---- */

/* CertRequest ::= SEQUENCE { certReqId 0, certTemplate { subject [5], publicKey [6] } } (RFC 4211 5) */
static void put_request(struct buf *out, struct slice subject, struct slice spki)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 0);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_CONTEXT_CONS(5));
    der_put_tlv(&b, subject);
    der_close(&b);
    struct der_reader r;
    struct slice key = {0};
    der_reader_init(&r, spki, NULL);
    TM_IGNORE(der_read(&r, DER_SEQUENCE, &key));
    der_put(&b, DER_CONTEXT_CONS(6), key);
    der_close(&b);
    der_close(&b);
    TM_IGNORE(der_builder_finish(&b));
}

/* CertReqMessages of one: the request, and signature [1] { algorithmIdentifier, signature } over it. */
static tm_err put_content(struct buf *out, const struct device *d, struct diag *diag)
{
    struct key *fresh = NULL;
    struct buf request, sig;
    struct der_builder b;
    buf_init(&request, 4096);
    buf_init(&sig, 4096);
    tm_err e = key_generate(&fresh, KEY_ALG_EC_P256, 0, diag);
    if (e == TM_OK) {
        put_request(&request, d->name, key_spki(fresh));
        e = buf_err(&request);
    }
    if (e == TM_OK)
        e = key_sign(&sig, fresh, SIG_ECDSA_SHA256, buf_slice(&request), diag);
    if (e == TM_OK) {
        der_builder_init(&b, out);
        der_open(&b, DER_SEQUENCE);
        der_open(&b, DER_SEQUENCE);
        der_put_tlv(&b, buf_slice(&request));
        der_open(&b, DER_CONTEXT_CONS(1));
        der_put_tlv(&b, sig_alg_info(SIG_ECDSA_SHA256)->algid);
        der_put_bits(&b, buf_slice(&sig));
        der_close(&b);
        der_close(&b);
        der_close(&b);
        e = der_builder_finish(&b);
    }
    buf_done(&request);
    buf_done(&sig);
    key_free(fresh);
    return e;
}

static tm_err build(struct buf *out, struct arena *a, const struct device *d, struct diag *diag)
{
    static const uint8_t recipient[] = {0xa4, 0x02, 0x30, 0x00};
    uint8_t ids[2][ID];
    struct buf content, header, body, sig;
    struct slice part;
    buf_init(&content, BODY_MAX);
    buf_init(&header, BODY_MAX);
    buf_init(&body, BODY_MAX);
    buf_init(&sig, 4096);
    tm_err e = random_bytes(ids, sizeof ids);
    if (e == TM_OK)
        e = put_content(&content, d, diag);
    const struct cmp_header h = {.pvno = 2,
                                 .sender = d->name,
                                 .recipient = SLICE_ARR(recipient),
                                 .time = clock_now(),
                                 .protection_alg = sig_alg_info(SIG_ECDSA_SHA256)->algid,
                                 .sender_kid = SLICE_ARR(d->key_id),
                                 .transaction_id = SLICE_ARR(ids[0]),
                                 .sender_nonce = SLICE_ARR(ids[1]),
                                 .implicit_confirm = true};
    if (e == TM_OK) {
        cmp_header_build(&header, &h);
        cmp_body_build(&body, CMP_IR, buf_slice(&content));
        e = buf_err(&header) != TM_OK ? buf_err(&header) : buf_err(&body);
    }
    if (e == TM_OK)
        e = cmp_protected_part(&part, a, buf_slice(&header), buf_slice(&body));
    if (e == TM_OK)
        e = key_sign(&sig, d->key, SIG_ECDSA_SHA256, part, diag);
    if (e == TM_OK)
        e = cmp_message_build(out, buf_slice(&header), buf_slice(&body), buf_slice(&sig), &d->cert, 1);
    buf_done(&content);
    buf_done(&header);
    buf_done(&body);
    buf_done(&sig);
    return e;
}

tm_err bench_cmp_messages(struct bench_cmp_message *v, size_t n, struct bench_cmp_fleet *f, size_t first,
                          struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct buf out;
    tm_err e = a ? TM_OK : TM_ENOMEM;
    buf_init(&out, sizeof v->der);
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        buf_reset(&out);
        e = build(&out, a, &f->v[(first + i) % f->n], diag);
        if (e == TM_OK) {
            memcpy(v[i].der, out.p, out.n);
            v[i].n = (uint16_t)out.n;
        }
        arena_reset(a);
    }
    buf_done(&out);
    arena_free(a);
    return e;
}

/* ---- one exchange ---- */

tm_err bench_cmp_ask(struct bench_conn *c, const char *target, const struct bench_cmp_message *m,
                     struct buf *out, struct diag *diag)
{
    struct cmp_message reply;
    struct cmp_outcome o[CMP_ITEMS_MAX];
    size_t n = 0;
    int status = 0;
    buf_reset(out);
    TM_TRY(bench_exchange(c, "POST", target,
                          "Content-Type: application/pkixcmp\r\nConnection: keep-alive\r\n",
                          slice_of(m->der, m->n), &status, out, diag));
    if (status != 200)
        return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "CMP: status %d: %.100s", status, buf_str(out));
    TM_TRY(cmp_message_parse(&reply, buf_slice(out), diag));
    TM_TRY(cmp_outcomes_read(o, CMP_ITEMS_MAX, &n, reply.body, reply.content, diag));
    if (reply.body == CMP_IP && n == 1 && o[0].cert.n && cmp_info_find(&reply, OID_IT_IMPLICIT_CONFIRM))
        return TM_OK;
    return diag_fail(diag, TM_EINTERNAL, NULL, NULL,
                     "the answer is %s without a certificate, or to be confirmed: %.*s",
                     cmp_body_name(reply.body), n ? (int)o[0].status.text.n : 0,
                     n ? (const char *)o[0].status.text.p : "");
}
