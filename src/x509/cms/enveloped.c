#include "x509/cms/enveloped.h"
#include "base/arena.h"
#include "der/ber.h"
#include "der/oid.h"
#include "der/reader.h"
#include "x509/cert.h"
#include <string.h>

/* RecipientIdentifier ::= CHOICE { issuerAndSerialNumber SEQUENCE { Name, INTEGER }, subjectKeyIdentifier [0] OCTET STRING } */
static tm_err rid_read(struct enveloped_recipient *x, struct der_reader *info)
{
    struct der_reader seq;
    if (der_peek(info) == DER_CONTEXT(0))
        return der_read(info, DER_CONTEXT(0), &x->key_id);
    TM_TRY(der_enter(info, DER_SEQUENCE, &seq));
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, &x->issuer));
    TM_TRY(der_read_integer(&seq, &x->serial));
    return der_end(&seq);
}

/* KeyTransRecipientInfo ::= SEQUENCE { version INTEGER, rid, keyEncryptionAlgorithm, encryptedKey OCTET STRING }
 * Version 0 goes with issuerAndSerialNumber and 2 with subjectKeyIdentifier; clients are known that mix them up, and nothing hangs on it. */
static tm_err recipient_read(struct enveloped_recipient *x, struct der_reader *info)
{
    uint64_t version;
    *x = (struct enveloped_recipient){0};
    TM_TRY(der_read_uint(info, &version));
    TM_TRY(rid_read(x, info));
    TM_TRY(algid_read(&x->key_alg, info));
    TM_TRY(der_read(info, DER_OCTET_STRING, &x->encrypted_key));
    return der_end(info);
}

/* RecipientInfos ::= SET SIZE (1..MAX) OF CHOICE { ktri, kari [1], kekri [2], pwri [3], ori [4] } */
static tm_err recipients_read(struct enveloped_data *d, struct der_reader *seq)
{
    struct der_reader set, info;
    TM_TRY(der_enter(seq, DER_SET, &set));
    for (size_t n = 0; !der_at_end(&set); n++) {
        if (n == ENVELOPED_RECIPIENTS_MAX)
            return der_reject(&set, TM_ETOOBIG, NULL, "recipientInfos", "too many recipients");
        if (der_peek(&set) != DER_SEQUENCE) {
            TM_TRY(der_read_any(&set, NULL, NULL, NULL));
            continue;
        }
        TM_TRY(der_enter(&set, DER_SEQUENCE, &info));
        TM_TRY(recipient_read(&d->recipients[d->n_recipients], &info));
        d->n_recipients++;
    }
    return der_end(&set);
}

/* The implicit tag hides from the normalisation that this is a string in parts (X.690 8.7.3). */
static tm_err join_parts(struct slice *ret, struct arena *a, struct der_reader *parts)
{
    uint8_t *all = arena_alloc(a, (size_t)(parts->end - parts->p) + 1);
    size_t n = 0;
    if (!all)
        return TM_ENOMEM;
    while (!der_at_end(parts)) {
        struct slice part;
        TM_TRY(der_read(parts, DER_OCTET_STRING, &part));
        if (part.n)
            memcpy(all + n, part.p, part.n);
        n += part.n;
    }
    *ret = slice_of(all, n);
    return der_end(parts);
}

/* EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] IMPLICIT OCTET STRING OPTIONAL } */
static tm_err content_read(struct enveloped_data *d, struct arena *a, struct der_reader *seq)
{
    struct der_reader info, parts;
    TM_TRY(der_enter(seq, DER_SEQUENCE, &info));
    TM_TRY(der_read_oid(&info, &d->content_type));
    TM_TRY(algid_read(&d->cipher, &info));
    switch (der_peek(&info)) {
    case DER_CONTEXT(0):
        TM_TRY(der_read(&info, DER_CONTEXT(0), &d->encrypted));
        break;
    case DER_CONTEXT_CONS(0):
        TM_TRY(der_enter(&info, DER_CONTEXT_CONS(0), &parts));
        TM_TRY(join_parts(&d->encrypted, a, &parts));
        break;
    default:
        return der_reject(&info, TM_EMALFORMED, "RFC 5652 6.1", "encryptedContent",
                          "the content is not inside");
    }
    return der_end(&info);
}

/* EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos, encryptedContentInfo, unprotectedAttrs [1] OPTIONAL } */
static tm_err enveloped_data_read(struct enveloped_data *d, struct arena *a, struct der_reader *seq)
{
    uint64_t version;
    struct slice ignored;
    bool present;
    TM_TRY(der_read_uint(seq, &version));
    if (version > 4)
        return der_reject(seq, TM_EMALFORMED, "RFC 5652 6.1", "version",
                          "a version that EnvelopedData does not have");
    TM_TRY(der_read_optional(seq, DER_CONTEXT_CONS(0), &ignored, &present));
    TM_TRY(recipients_read(d, seq));
    TM_TRY(content_read(d, a, seq));
    TM_TRY(der_read_optional(seq, DER_CONTEXT_CONS(1), &ignored, &present));
    return der_end(seq);
}

tm_err enveloped_data_parse(struct enveloped_data *ret, struct arena *a, struct slice ber, struct diag *diag)
{
    struct der_reader r, info, content, seq;
    struct slice der, type;
    ret->n_recipients = 0;
    TM_TRY(ber_normalize(&der, a, ber, ENVELOPED_DATA_MAX, diag));
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &info));
    TM_TRY(der_read_oid(&info, &type));
    if (oid_find(type) != OID_ENVELOPED_DATA)
        return der_reject(&info, TM_EMALFORMED, "RFC 5652 6.1", "contentType", "not EnvelopedData");
    TM_TRY(der_enter(&info, DER_CONTEXT_CONS(0), &content));
    TM_TRY(der_enter(&content, DER_SEQUENCE, &seq));
    TM_TRY(enveloped_data_read(ret, a, &seq));
    TM_TRY(der_end(&content));
    TM_TRY(der_end(&info));
    return der_end(&r);
}

bool enveloped_recipient_is(const struct enveloped_recipient *r, const struct cert *c)
{
    if (r->issuer.n)
        return slice_eq(r->issuer, c->issuer) && slice_eq(r->serial, c->serial);
    return r->key_id.n && slice_eq(r->key_id, cert_ski(c));
}
