#include "x509/ocsp.h"
#include "base/buf.h"
#include "base/digest.h"
#include "der/builder.h"
#include "der/reader.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/ext.h"

/* ---- requests ---- */

/* CertID ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier, issuerNameHash OCTET STRING, issuerKeyHash OCTET STRING,
 *                       serialNumber CertificateSerialNumber }. Parameters are absent or NULL (RFC 5754 2), so that a CertID has two
 * spellings and not any number of them. */
static tm_err id_read(struct ocsp_id *ret, struct der_reader *r)
{
    struct der_reader peek = *r, id, alg;
    struct slice oid;
    TM_TRY(der_read_tlv(&peek, DER_SEQUENCE, &ret->der));
    TM_TRY(der_enter(r, DER_SEQUENCE, &id));
    TM_TRY(der_enter(&id, DER_SEQUENCE, &alg));
    TM_TRY(der_read_oid(&alg, &oid));
    ret->null = !der_at_end(&alg);
    if (ret->null) {
        struct slice null;
        TM_TRY(der_read(&alg, DER_NULL, &null));
        if (null.n)
            return der_reject(&alg, TM_EMALFORMED, "X.690 8.8.2", "hashAlgorithm", "a NULL with contents");
    }
    TM_TRY(der_end(&alg));
    enum oid hash = oid_find(oid);
    ret->hash = hash == OID_SHA1 || hash == OID_SHA256 ? hash : OID_UNKNOWN;
    TM_TRY(der_read(&id, DER_OCTET_STRING, &ret->name_hash));
    TM_TRY(der_read(&id, DER_OCTET_STRING, &ret->key_hash));
    TM_TRY(der_read_integer(&id, &ret->serial));
    if (ret->serial.n > OCSP_SERIAL_MAX + 1)
        return der_reject(&id, TM_EMALFORMED, "RFC 5280 4.1.2.2", "serialNumber", "more than 20 octets");
    return der_end(&id);
}

/* Nonce ::= OCTET STRING (SIZE (1..128)) (RFC 9654 2.1) */
static tm_err nonce_read(struct slice *ret, struct der_reader *r, struct slice value)
{
    struct der_reader v = {.start = r->start, .p = value.p, .end = value.p + value.n, .diag = r->diag};
    struct slice nonce;
    TM_TRY(der_read(&v, DER_OCTET_STRING, &nonce));
    if (nonce.n == 0 || nonce.n > OCSP_NONCE_MAX)
        return der_reject(&v, TM_EMALFORMED, "RFC 9654 2.1", "nonce", "not 1 to 128 octets");
    *ret = nonce;
    return der_end(&v);
}

static tm_err extensions_read(struct slice *ret_nonce, struct der_reader *r, unsigned tag)
{
    struct der_reader wrapper, list;
    bool present;
    TM_TRY(der_enter_optional(r, tag, &wrapper, &present));
    if (!present)
        return TM_OK;
    struct exts exts;
    TM_TRY(der_enter(&wrapper, DER_SEQUENCE, &list));
    TM_TRY(exts_read_list(&exts, &list));
    TM_TRY(der_end(&wrapper));
    for (size_t i = 0; i < exts.n; i++) {
        const struct ext *e = &exts.v[i];
        if (ret_nonce && e->id == OID_OCSP_NONCE)
            TM_TRY(nonce_read(ret_nonce, r, e->value));
        else if (
            e->critical) /* RFC 6960 4.4: "unrecognized critical extensions … MUST be rejected" by whoever has to understand them */
            return der_reject(r, TM_EMALFORMED, "RFC 6960 4.4", "extensions", "an unknown critical one");
    }
    return TM_OK;
}

/* TBSRequest ::= SEQUENCE { version [0] EXPLICIT DEFAULT v1, requestorName [1] EXPLICIT OPTIONAL, requestList SEQUENCE OF Request,
 *                           requestExtensions [2] EXPLICIT OPTIONAL }
 * Request ::= SEQUENCE { reqCert CertID, singleRequestExtensions [0] EXPLICIT OPTIONAL } */
static tm_err tbs_read(struct ocsp_request *ret, struct der_reader *tbs)
{
    struct der_reader version, list, one;
    uint64_t v = 0;
    bool present;
    TM_TRY(der_enter_optional(tbs, DER_CONTEXT_CONS(0), &version, &present));
    if (present) {
        TM_TRY(der_read_uint(&version, &v));
        TM_TRY(der_end(&version));
    }
    if (v != 0)
        return der_reject(tbs, TM_EMALFORMED, "RFC 6960 4.1.1", "version", "not version 1");
    if (der_peek(tbs) == DER_CONTEXT_CONS(1))
        TM_TRY(der_skip(tbs, DER_CONTEXT_CONS(1)));
    TM_TRY(der_enter(tbs, DER_SEQUENCE, &list));
    while (!der_at_end(&list)) {
        if (ret->n == OCSP_IDS_MAX)
            return der_reject(&list, TM_ETOOBIG, NULL, "requestList", "more than 16 certificates");
        TM_TRY(der_enter(&list, DER_SEQUENCE, &one));
        TM_TRY(id_read(&ret->ids[ret->n], &one));
        TM_TRY(extensions_read(NULL, &one, DER_CONTEXT_CONS(0)));
        TM_TRY(der_end(&one));
        ret->n++;
    }
    TM_TRY(der_end(&list));
    if (ret->n == 0)
        return der_reject(tbs, TM_EMALFORMED, "RFC 6960 4.1.1", "requestList", "asks about nothing");
    TM_TRY(extensions_read(&ret->nonce, tbs, DER_CONTEXT_CONS(2)));
    return der_end(tbs);
}

/* OCSPRequest ::= SEQUENCE { tbsRequest, optionalSignature [0] EXPLICIT OPTIONAL }. Who asks makes no difference here, so the signature is
 * passed over. */
tm_err ocsp_request_parse(struct ocsp_request *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, tbs;
    ret->n = 0;
    ret->nonce = (struct slice){0};
    ret->is_signed = false;
    if (der.n > OCSP_REQUEST_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "OCSPRequest", "more than %d octets", OCSP_REQUEST_MAX);
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &tbs));
    TM_TRY(tbs_read(ret, &tbs));
    if (der_peek(&seq) == DER_CONTEXT_CONS(0)) {
        ret->is_signed = true;
        TM_TRY(der_skip(&seq, DER_CONTEXT_CONS(0)));
    }
    TM_TRY(der_end(&seq));
    return der_end(&r);
}

tm_err ocsp_issuer_make(struct ocsp_issuer *ret, const struct cert *ca)
{
    TM_TRY(sha1(ret->name_sha1, ca->subject));
    TM_TRY(sha1(ret->key_sha1, ca->spki.key));
    TM_TRY(sha256(ret->name_sha256, ca->subject));
    return sha256(ret->key_sha256, ca->spki.key);
}

bool ocsp_issuer_is(const struct ocsp_issuer *i, const struct ocsp_id *id)
{
    if (id->hash == OID_SHA1)
        return slice_eq(id->name_hash, SLICE_ARR(i->name_sha1)) &&
               slice_eq(id->key_hash, SLICE_ARR(i->key_sha1));
    return id->hash == OID_SHA256 && slice_eq(id->name_hash, SLICE_ARR(i->name_sha256)) &&
           slice_eq(id->key_hash, SLICE_ARR(i->key_sha256));
}

tm_err ocsp_id_build(struct buf *out, const struct ocsp_id *id)
{
    struct der_builder d;
    der_builder_init(&d, out);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_put_oid(&d, oid_contents(id->hash));
    if (id->null)
        der_put_null(&d);
    der_close(&d);
    der_put(&d, DER_OCTET_STRING, id->name_hash);
    der_put(&d, DER_OCTET_STRING, id->key_hash);
    der_put(&d, DER_INTEGER, id->serial);
    der_close(&d);
    return der_builder_finish(&d);
}

static void put_nonce(struct der_builder *d, unsigned tag, struct slice nonce)
{
    if (nonce.n == 0)
        return;
    der_open(d, tag);
    der_open(d, DER_SEQUENCE);
    der_open(d, DER_SEQUENCE);
    der_put_oid(d, oid_contents(OID_OCSP_NONCE));
    der_open_octets(d);
    der_put(d, DER_OCTET_STRING, nonce);
    der_close(d);
    der_close(d);
    der_close(d);
    der_close(d);
}

tm_err ocsp_request_build(struct buf *out, const struct ocsp_id *id, struct slice nonce)
{
    struct buf cert_id;
    struct der_builder d;
    buf_init(&cert_id, 512);
    tm_err err = ocsp_id_build(&cert_id, id);
    der_builder_init(&d, out);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_SEQUENCE);
    der_put_tlv(&d, buf_slice(&cert_id));
    der_close(&d);
    der_close(&d);
    put_nonce(&d, DER_CONTEXT_CONS(2), nonce);
    der_close(&d);
    der_close(&d);
    if (err == TM_OK)
        err = der_builder_finish(&d);
    buf_done(&cert_id);
    return err;
}

/* ---- building responses ---- */

/* CertStatus ::= CHOICE { good [0] IMPLICIT NULL, revoked [1] IMPLICIT SEQUENCE { revocationTime, revocationReason [0] EXPLICIT OPTIONAL },
 *                         unknown [2] IMPLICIT NULL } */
static void put_status(struct der_builder *d, const struct ocsp_single *s)
{
    if (s->status != OCSP_REVOKED) {
        der_put(d, s->status == OCSP_GOOD ? DER_CONTEXT(0) : DER_CONTEXT(2), (struct slice){0});
        return;
    }
    der_open(d, DER_CONTEXT_CONS(1));
    der_put_generalized_time(d, s->revoked_at);
    if (s->reason != CRL_UNSPECIFIED) {
        uint8_t code = (uint8_t)s->reason;
        der_open(d, DER_CONTEXT_CONS(0));
        der_put(d, DER_ENUMERATED, slice_of(&code, 1));
        der_close(d);
    }
    der_close(d);
}

/* ResponseData ::= SEQUENCE { version DEFAULT v1, responderID [2] EXPLICIT KeyHash, producedAt, responses SEQUENCE OF SingleResponse,
 *                             responseExtensions [1] EXPLICIT OPTIONAL } */
tm_err ocsp_data_build(struct buf *out, const struct ocsp_data *data)
{
    struct der_builder d;
    der_builder_init(&d, out);
    der_open(&d, DER_SEQUENCE);
    der_open(&d, DER_CONTEXT_CONS(2));
    der_put(&d, DER_OCTET_STRING, data->key_hash);
    der_close(&d);
    der_put_generalized_time(&d, data->produced_at);
    der_open(&d, DER_SEQUENCE);
    for (size_t i = 0; i < data->n; i++) {
        const struct ocsp_single *s = &data->v[i];
        der_open(&d, DER_SEQUENCE);
        der_put_tlv(&d, s->id);
        put_status(&d, s);
        der_put_generalized_time(&d, s->this_update);
        if (s->next_update) {
            der_open(&d, DER_CONTEXT_CONS(0));
            der_put_generalized_time(&d, s->next_update);
            der_close(&d);
        }
        der_close(&d);
    }
    der_close(&d);
    put_nonce(&d, DER_CONTEXT_CONS(1), data->nonce);
    der_close(&d);
    return der_builder_finish(&d);
}

/* OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED, responseBytes [0] EXPLICIT SEQUENCE { responseType OID, response OCTET STRING } }
 * BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature BIT STRING, certs [0] EXPLICIT SEQUENCE OF OPTIONAL } */
tm_err ocsp_response_build(struct buf *out, struct slice data, struct slice sig_algid, struct slice signature,
                           struct slice cert)
{
    static const uint8_t successful = OCSP_SUCCESSFUL;
    struct der_builder d;
    der_builder_init(&d, out);
    der_open(&d, DER_SEQUENCE);
    der_put(&d, DER_ENUMERATED, slice_of(&successful, 1));
    der_open(&d, DER_CONTEXT_CONS(0));
    der_open(&d, DER_SEQUENCE);
    der_put_oid(&d, oid_contents(OID_OCSP_BASIC));
    der_open_octets(&d);
    der_open(&d, DER_SEQUENCE);
    der_put_tlv(&d, data);
    der_put_tlv(&d, sig_algid);
    der_put_bits(&d, signature);
    if (cert.n) {
        der_open(&d, DER_CONTEXT_CONS(0));
        der_open(&d, DER_SEQUENCE);
        der_put_tlv(&d, cert);
        der_close(&d);
        der_close(&d);
    }
    der_close(&d);
    der_close(&d);
    der_close(&d);
    der_close(&d);
    der_close(&d);
    return der_builder_finish(&d);
}

void ocsp_error_build(uint8_t out[OCSP_ERROR_LEN], enum ocsp_outcome o)
{
    const uint8_t der[OCSP_ERROR_LEN] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, (uint8_t)o};
    for (size_t i = 0; i < OCSP_ERROR_LEN; i++)
        out[i] = der[i];
}

/* ---- reading responses ---- */

static tm_err status_read(struct ocsp_response *ret, struct der_reader *r)
{
    struct der_reader revoked, reason;
    struct slice code;
    bool present;
    switch (der_peek(r)) {
    case DER_CONTEXT(0):
        ret->status = OCSP_GOOD;
        return der_skip(r, DER_CONTEXT(0));
    case DER_CONTEXT(2):
        ret->status = OCSP_UNKNOWN;
        return der_skip(r, DER_CONTEXT(2));
    default:
        break;
    }
    ret->status = OCSP_REVOKED;
    ret->reason = CRL_UNSPECIFIED;
    TM_TRY(der_enter(r, DER_CONTEXT_CONS(1), &revoked));
    TM_TRY(der_read_generalized_time(&revoked, &ret->revoked_at));
    TM_TRY(der_enter_optional(&revoked, DER_CONTEXT_CONS(0), &reason, &present));
    if (present) {
        TM_TRY(der_read(&reason, DER_ENUMERATED, &code));
        if (code.n != 1 || code.p[0] > CRL_AA_COMPROMISE || !crl_reason_names[code.p[0]])
            return der_reject(r, TM_EMALFORMED, "RFC 5280 5.3.1", "revocationReason", "does not exist");
        ret->reason = code.p[0];
        TM_TRY(der_end(&reason));
    }
    return der_end(&revoked);
}

static tm_err single_read(struct ocsp_response *ret, struct der_reader *list)
{
    struct der_reader single, next;
    bool present;
    TM_TRY(der_enter(list, DER_SEQUENCE, &single));
    TM_TRY(id_read(&ret->id, &single));
    TM_TRY(status_read(ret, &single));
    TM_TRY(der_read_generalized_time(&single, &ret->this_update));
    TM_TRY(der_enter_optional(&single, DER_CONTEXT_CONS(0), &next, &present));
    if (present) {
        TM_TRY(der_read_generalized_time(&next, &ret->next_update));
        TM_TRY(der_end(&next));
    }
    if (der_peek(&single) == DER_CONTEXT_CONS(1))
        TM_TRY(der_skip(&single, DER_CONTEXT_CONS(1)));
    return der_end(&single);
}

static tm_err data_read(struct ocsp_response *ret, struct der_reader *r)
{
    struct der_reader peek = *r, data, list;
    TM_TRY(der_read_tlv(&peek, DER_SEQUENCE, &ret->data));
    TM_TRY(der_enter(r, DER_SEQUENCE, &data));
    unsigned id = der_peek(&data);
    if (id != DER_CONTEXT_CONS(1) && id != DER_CONTEXT_CONS(2))
        return der_reject(&data, TM_EMALFORMED, "RFC 6960 4.2.1", "responderID", "not version 1, or missing");
    TM_TRY(der_skip(&data, id));
    TM_TRY(der_read_generalized_time(&data, &ret->produced_at));
    TM_TRY(der_enter(&data, DER_SEQUENCE, &list));
    TM_TRY(single_read(ret, &list));
    while (!der_at_end(&list))
        TM_TRY(der_skip(&list, DER_SEQUENCE));
    TM_TRY(der_end(&list));
    if (der_peek(&data) == DER_CONTEXT_CONS(1))
        TM_TRY(der_skip(&data, DER_CONTEXT_CONS(1)));
    return der_end(&data);
}

static tm_err basic_read(struct ocsp_response *ret, struct der_reader *outer, struct slice der)
{
    struct der_reader r = {.start = outer->start, .p = der.p, .end = der.p + der.n, .diag = outer->diag};
    struct der_reader basic, certs, list;
    bool present;
    TM_TRY(der_enter(&r, DER_SEQUENCE, &basic));
    TM_TRY(data_read(ret, &basic));
    TM_TRY(der_read_tlv(&basic, DER_SEQUENCE, &ret->sig_algid));
    TM_TRY(der_read_bits(&basic, &ret->signature));
    TM_TRY(der_enter_optional(&basic, DER_CONTEXT_CONS(0), &certs, &present));
    if (present) {
        TM_TRY(der_enter(&certs, DER_SEQUENCE, &list));
        if (!der_at_end(&list))
            TM_TRY(der_read_tlv(&list, DER_SEQUENCE, &ret->cert));
        TM_TRY(der_end(&certs));
    }
    TM_TRY(der_end(&basic));
    return der_end(&r);
}

tm_err ocsp_response_parse(struct ocsp_response *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, wrapper, bytes;
    struct slice code, type, basic;
    struct ocsp_response v = {0};
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_read(&seq, DER_ENUMERATED, &code));
    if (code.n != 1 || code.p[0] > OCSP_UNAUTHORIZED || code.p[0] == 4)
        return der_reject(&seq, TM_EMALFORMED, "RFC 6960 4.2.1", "responseStatus", "does not exist");
    v.outcome = (enum ocsp_outcome)code.p[0];
    if (v.outcome == OCSP_SUCCESSFUL) {
        TM_TRY(der_enter(&seq, DER_CONTEXT_CONS(0), &wrapper));
        TM_TRY(der_enter(&wrapper, DER_SEQUENCE, &bytes));
        TM_TRY(der_read_oid(&bytes, &type));
        if (oid_find(type) != OID_OCSP_BASIC)
            return der_reject(&bytes, TM_EUNSUPPORTED, "RFC 6960 4.2.1", "responseType", "not basic");
        TM_TRY(der_read(&bytes, DER_OCTET_STRING, &basic));
        TM_TRY(der_end(&bytes));
        TM_TRY(der_end(&wrapper));
        TM_TRY(basic_read(&v, &seq, basic));
    }
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    *ret = v;
    return TM_OK;
}
