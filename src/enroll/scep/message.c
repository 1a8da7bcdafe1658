#include "enroll/scep/message.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "x509/csr.h"
#include <stdio.h>
#include <string.h>

/* ---- attributes (RFC 8894 3.2.1) ---- */

enum { HAS_TRANSACTION = 1, HAS_TYPE = 2, HAS_NONCE = 4, HAS_ALL = 7 };

static tm_err reject(struct der_reader *r, const char *field, const char *message)
{
    return der_reject(r, TM_EMALFORMED, "RFC 8894 3.2.1", field, message);
}

/* PrintableString; clients are known that take another kind of string. */
static tm_err text_read(struct slice *ret, struct der_reader *values, const char *field)
{
    unsigned tag = der_peek(values);
    if (tag != DER_PRINTABLE_STRING && tag != DER_UTF8_STRING && tag != DER_IA5_STRING)
        return reject(values, field, "not a string");
    TM_TRY(der_read(values, tag, ret));
    for (size_t i = 0; i < ret->n; i++)
        if (ret->p[i] < ' ' || ret->p[i] > '~')
            return reject(values, field, "has characters that do not print");
    return TM_OK;
}

static tm_err number_read(unsigned *ret, struct der_reader *values, const char *field)
{
    struct slice text = {0};
    TM_TRY(text_read(&text, values, field));
    if (text.n == 0 || text.n > 3)
        return reject(values, field, "not a number of SCEP's");
    *ret = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return reject(values, field, "not a number");
        *ret = *ret * 10 + (unsigned)(text.p[i] - '0');
    }
    return TM_OK;
}

static tm_err attribute_read(struct scep_message *m, unsigned *seen, struct der_reader *attr)
{
    struct der_reader values;
    struct slice oid;
    unsigned bit;
    TM_TRY(der_read_oid(attr, &oid));
    TM_TRY(der_enter(attr, DER_SET, &values));
    switch (oid_find(oid)) {
    case OID_SCEP_TRANSACTION_ID:
        bit = HAS_TRANSACTION;
        TM_TRY(text_read(&m->transaction_id, &values, "transactionID"));
        if (m->transaction_id.n == 0 || m->transaction_id.n > SCEP_TRANSACTION_MAX)
            return reject(&values, "transactionID", "is empty or too long");
        break;
    case OID_SCEP_MESSAGE_TYPE:
        bit = HAS_TYPE;
        TM_TRY(number_read(&m->type, &values, "messageType"));
        break;
    case OID_SCEP_SENDER_NONCE:
        bit = HAS_NONCE;
        TM_TRY(der_read(&values, DER_OCTET_STRING, &m->sender_nonce));
        if (m->sender_nonce.n == 0 || m->sender_nonce.n > SCEP_NONCE_MAX)
            return reject(&values, "senderNonce", "is empty or too long");
        break;
    default:
        return TM_OK;
    }
    if (*seen & bit)
        return reject(&values, "signedAttrs", "an attribute of SCEP's twice");
    *seen |= bit;
    return der_end(&values);
}

tm_err scep_attributes_read(struct scep_message *ret, struct slice attrs, struct diag *diag)
{
    struct der_reader r, set, attr;
    unsigned seen = 0;
    der_reader_init(&r, attrs, diag);
    TM_TRY(der_enter(&r, DER_SET, &set));
    while (!der_at_end(&set)) {
        TM_TRY(der_enter(&set, DER_SEQUENCE, &attr));
        TM_TRY(attribute_read(ret, &seen, &attr));
    }
    TM_TRY(der_end(&set));
    if (seen != HAS_ALL)
        return reject(&r, "signedAttrs", "transactionID, messageType or senderNonce is missing");
    return der_end(&r);
}

/* ---- the signer ---- */

/* A self-signed certificate that a client made for this message says nothing but its key (RFC 8894 2.2), and is read for no more: certmonger's
 * has a serial number of 33 octets, and others have dates that no certificate may have. */
static tm_err self_signed_read(struct cert *ret, struct slice der)
{
    struct der_reader r, outer, tbs;
    struct slice ignored, spki;
    bool present;
    *ret = (struct cert){.der = der};
    der_reader_init(&r, der, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &outer));
    TM_TRY(der_enter(&outer, DER_SEQUENCE, &tbs));
    TM_TRY(der_read_optional(&tbs, DER_CONTEXT_CONS(0), &ignored, &present));
    TM_TRY(der_read_integer(&tbs, &ret->serial));
    TM_TRY(algid_read(&ret->sigalg, &tbs));
    TM_TRY(der_read_tlv(&tbs, DER_SEQUENCE, &ret->issuer));
    TM_TRY(der_skip(&tbs, DER_SEQUENCE)); /* validity */
    TM_TRY(der_read_tlv(&tbs, DER_SEQUENCE, &ret->subject));
    TM_TRY(der_read_tlv(&tbs, DER_SEQUENCE, &spki));
    return slice_eq(ret->issuer, ret->subject) ? spki_parse(&ret->spki, spki, NULL) : TM_EMALFORMED;
}

static bool signer_find(struct scep_message *m)
{
    for (size_t i = 0; i < m->cms.n_certs; i++)
        if ((cert_parse(&m->by, m->cms.certs[i], NULL) == TM_OK ||
             self_signed_read(&m->by, m->cms.certs[i]) == TM_OK) &&
            signed_signer_is(m->signer, &m->by))
            return true;
    return false;
}

/* ---- the message ---- */

tm_err scep_message_parse(struct scep_message *ret, struct arena *a, struct slice ber, struct diag *diag)
{
    TM_TRY(signed_data_parse(&ret->cms, a, ber, diag));
    if (oid_find(ret->cms.content_type) != OID_DATA)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8894 3.2", "eContentType", "the content is not data");
    if (ret->cms.n_signers != 1)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8894 3.2", "signerInfos", "one signer is wanted");
    ret->signer = &ret->cms.signers[0];
    TM_TRY(scep_attributes_read(ret, ret->signer->attrs, diag));
    return signer_find(ret) ? TM_OK
                            : diag_fail(diag, TM_EMALFORMED, "RFC 8894 3.2", "certificates",
                                        "the signer's certificate did not come along, or can't be read");
}

tm_err scep_get_decode(struct slice *ret, struct arena *a, const char *message, struct diag *diag)
{
    size_t n = strlen(message);
    char *text = arena_alloc(a, n + 4);
    size_t k = 0;
    if (!text)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        char c = message[i];
        if (c == '\r' || c == '\n' || c == '=')
            continue;
        text[k++] = (char)(c == ' ' || c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (k % 4)
        text[k++] = '=';
    if (k == 0 || base64_decode(ret, a, slice_of(text, k), BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 8894 4.1", "message", "not base64");
    return TM_OK;
}

/* ---- what is inside ---- */

tm_err scep_issuer_serial_parse(struct slice *ret_issuer, struct slice *ret_serial, struct slice der,
                                struct diag *diag)
{
    struct der_reader r, seq;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, ret_issuer));
    TM_TRY(der_read_integer(&seq, ret_serial));
    TM_TRY(der_end(&seq));
    return der_end(&r);
}

/* ---- answers ---- */

static void put_attribute(struct der_builder *b, enum oid type, unsigned tag, struct slice value)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(type));
    der_open(b, DER_SET);
    der_put(b, tag, value);
    der_close(b);
    der_close(b);
}

static void put_number(struct der_builder *b, enum oid type, unsigned n)
{
    char text[12];
    snprintf(text, sizeof text, "%u", n);
    put_attribute(b, type, DER_PRINTABLE_STRING, slice_str(text));
}

tm_err scep_reply_attributes(struct buf *out, const struct scep_reply *r)
{
    struct der_builder b;
    der_builder_init(&b, out);
    put_attribute(&b, OID_SCEP_TRANSACTION_ID, DER_PRINTABLE_STRING, r->transaction_id);
    put_number(&b, OID_SCEP_MESSAGE_TYPE, SCEP_CERT_REP);
    put_number(&b, OID_SCEP_PKI_STATUS, (unsigned)r->status);
    if (r->status == SCEP_FAILURE) {
        put_number(&b, OID_SCEP_FAIL_INFO, (unsigned)r->fail);
        if (r->text && r->text[0])
            put_attribute(&b, OID_SCEP_FAIL_INFO_TEXT, DER_UTF8_STRING, slice_str(r->text));
    }
    put_attribute(&b, OID_SCEP_SENDER_NONCE, DER_OCTET_STRING, SLICE_ARR(r->nonce));
    put_attribute(&b, OID_SCEP_RECIPIENT_NONCE, DER_OCTET_STRING, r->recipient_nonce);
    return der_builder_finish(&b);
}

/* ---- answers of others ---- */

static tm_err outcome_attribute(struct scep_outcome *o, struct der_reader *attr)
{
    struct der_reader values;
    struct slice oid;
    TM_TRY(der_read_oid(attr, &oid));
    TM_TRY(der_enter(attr, DER_SET, &values));
    switch (oid_find(oid)) {
    case OID_SCEP_PKI_STATUS:
        o->has_status = true;
        TM_TRY(number_read(&o->status, &values, "pkiStatus"));
        break;
    case OID_SCEP_FAIL_INFO:
        o->has_fail = true;
        TM_TRY(number_read(&o->fail, &values, "failInfo"));
        break;
    case OID_SCEP_FAIL_INFO_TEXT:
        TM_TRY(der_read(&values, DER_UTF8_STRING, &o->text));
        break;
    case OID_SCEP_RECIPIENT_NONCE:
        TM_TRY(der_read(&values, DER_OCTET_STRING, &o->recipient_nonce));
        break;
    default:
        return TM_OK;
    }
    return der_end(&values);
}

tm_err scep_outcome_read(struct scep_outcome *ret, struct slice attrs, struct diag *diag)
{
    struct der_reader r, set, attr;
    der_reader_init(&r, attrs, diag);
    TM_TRY(der_enter(&r, DER_SET, &set));
    while (!der_at_end(&set)) {
        TM_TRY(der_enter(&set, DER_SEQUENCE, &attr));
        TM_TRY(outcome_attribute(ret, &attr));
    }
    TM_TRY(der_end(&set));
    return der_end(&r);
}

/* ---- recordings ---- */

tm_err scep_request_blank(struct slice *ret, struct arena *a, const struct csr *csr, struct slice der)
{
    struct slice secret = csr->challenge_password;
    uint8_t *copy = arena_alloc(a, der.n);
    if (!copy)
        return TM_ENOMEM;
    memcpy(copy, der.p, der.n);
    if (secret.n)
        memset(copy + (secret.p - der.p), '*', secret.n);
    *ret = slice_of(copy, der.n);
    return TM_OK;
}
