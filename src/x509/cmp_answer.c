/* Bodies of answers, for whoever signs them or is given them: what cmp_write.c makes, and nothing that it does not. */
#include "der/reader.h"
#include "x509/cmp.h"

/* SEQUENCE SIZE (1..MAX) OF CMPCertificate */
static tm_err certificates(struct slice *ret, size_t max, size_t *ret_n, struct der_reader *r)
{
    struct der_reader list;
    size_t n = 0;
    TM_TRY(der_enter(r, DER_SEQUENCE, &list));
    for (; !der_at_end(&list); n++) {
        if (n == max)
            return der_reject(&list, TM_ETOOBIG, NULL, "certificates", "too many certificates");
        TM_TRY(der_read_tlv(&list, DER_SEQUENCE, &ret[n]));
    }
    TM_TRY(der_end(&list));
    *ret_n = n;
    return TM_OK;
}

/* PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString PKIFreeText OPTIONAL, failInfo BIT STRING OPTIONAL } */
static tm_err status(struct der_reader *r)
{
    struct der_reader seq;
    uint64_t code;
    uint32_t bits;
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_uint(&seq, &code));
    if (der_peek(&seq) == DER_SEQUENCE)
        TM_TRY(der_skip(&seq, DER_SEQUENCE));
    if (der_peek(&seq) == DER_BIT_STRING)
        TM_TRY(der_read_named_bits(&seq, DER_BIT_STRING, &bits));
    return der_end(&seq);
}

/* EncryptedKey ::= CHOICE { encryptedValue EncryptedValue, envelopedData [0] EnvelopedData }, the latter; EnvelopedData ::= SEQUENCE { version,
 *     recipientInfos SET OF, encryptedContentInfo SEQUENCE { contentType, contentEncryptionAlgorithm, encryptedContent [0] IMPLICIT OCTET
 *     STRING } }, as it is made for one recipient */
static tm_err encrypted_cert(struct cmp_cert_answer *ret, struct der_reader *r)
{
    struct der_reader choice, enveloped, content;
    struct slice type;
    uint64_t version;
    TM_TRY(der_enter(r, DER_CONTEXT_CONS(1), &choice));
    TM_TRY(der_enter(&choice, DER_CONTEXT_CONS(0), &enveloped));
    TM_TRY(der_end(&choice));
    TM_TRY(der_read_uint(&enveloped, &version));
    TM_TRY(der_skip(&enveloped, DER_SET));
    TM_TRY(der_enter(&enveloped, DER_SEQUENCE, &content));
    TM_TRY(der_end(&enveloped));
    TM_TRY(der_read_oid(&content, &type));
    TM_TRY(algid_read(&ret->cipher, &content));
    TM_TRY(der_read(&content, DER_CONTEXT(0), &ret->encrypted_cert));
    if (oid_find(type) != OID_DATA || ret->encrypted_cert.n == 0)
        return der_reject(&content, TM_EUNSUPPORTED, "RFC 9810 5.2.2", "encryptedCert",
                          "no certificate in it");
    return der_end(&content);
}

/* CertifiedKeyPair ::= SEQUENCE { certOrEncCert CHOICE { certificate [0] CMPCertificate, encryptedCert [1] EncryptedKey }, privateKey [0]
 *     EncryptedKey OPTIONAL, publicationInfo [1] … } */
static tm_err key_pair(struct cmp_cert_answer *ret, struct der_reader *r)
{
    struct der_reader seq, choice, inner;
    bool present;
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    if (der_peek(&seq) == DER_CONTEXT_CONS(1)) {
        TM_TRY(encrypted_cert(ret, &seq));
    } else {
        TM_TRY(der_enter(&seq, DER_CONTEXT_CONS(0), &choice));
        TM_TRY(der_read_tlv(&choice, DER_SEQUENCE, &ret->cert));
        TM_TRY(der_end(&choice));
    }
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(0), &inner, &present));
    if (present) {
        TM_TRY(der_skip(&inner, DER_CONTEXT_CONS(0))); /* envelopedData */
        TM_TRY(der_end(&inner));
    }
    return der_end(&seq);
}

/* CertRepMessage ::= SEQUENCE { caPubs [1] SEQUENCE OF CMPCertificate OPTIONAL, response SEQUENCE OF CertResponse };
 * CertResponse ::= SEQUENCE { certReqId INTEGER, status PKIStatusInfo, certifiedKeyPair OPTIONAL, rspInfo OCTET STRING OPTIONAL } */
tm_err cmp_cert_response_read(struct cmp_cert_answer *ret, struct slice content, struct diag *diag)
{
    struct der_reader r, seq, pubs, list, one;
    struct slice id;
    bool present;
    *ret = (struct cmp_cert_answer){0};
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(1), &pubs, &present));
    if (present) {
        TM_TRY(certificates(ret->ca_pubs, CMP_ITEMS_MAX, &ret->n_ca_pubs, &pubs));
        TM_TRY(der_end(&pubs));
    }
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &list));
    TM_TRY(der_end(&seq));
    TM_TRY(der_enter(&list, DER_SEQUENCE, &one));
    TM_TRY(der_end(&list));
    TM_TRY(der_read_integer(&one, &id));
    TM_TRY(status(&one));
    if (der_peek(&one) == DER_SEQUENCE)
        TM_TRY(key_pair(ret, &one));
    return der_end(&one);
}

/* POPODecKeyChallContent ::= SEQUENCE OF Challenge; Challenge ::= SEQUENCE { owf AlgorithmIdentifier OPTIONAL, witness OCTET STRING,
 *     challenge OCTET STRING, encryptedRand [0] EnvelopedData OPTIONAL } */
tm_err cmp_challenge_read(struct cmp_challenge *ret, struct slice content, struct diag *diag)
{
    struct der_reader r, list, one, inner;
    struct algid owf;
    bool present;
    *ret = (struct cmp_challenge){0};
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    TM_TRY(der_end(&r));
    TM_TRY(der_enter(&list, DER_SEQUENCE, &one));
    TM_TRY(der_end(&list));
    TM_TRY(algid_read(&owf, &one));
    TM_TRY(der_read(&one, DER_OCTET_STRING, &ret->witness));
    TM_TRY(der_read(&one, DER_OCTET_STRING, &ret->challenge));
    TM_TRY(der_enter_optional(&one, DER_CONTEXT_CONS(0), &inner, &present));
    if (present) {
        TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &ret->encrypted_rand));
        TM_TRY(der_end(&inner));
    }
    return der_end(&one);
}

/* RevRepContent ::= SEQUENCE { status SEQUENCE SIZE (1..MAX) OF PKIStatusInfo, revCerts [0] … OPTIONAL, crls [1] … OPTIONAL } */
tm_err cmp_revocation_response_read(struct slice content, struct diag *diag)
{
    struct der_reader r, seq, list;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &list));
    TM_TRY(der_end(&seq));
    while (!der_at_end(&list))
        TM_TRY(status(&list));
    return der_end(&list);
}

/* ErrorMsgContent ::= SEQUENCE { pKIStatusInfo PKIStatusInfo, errorCode INTEGER OPTIONAL, errorDetails PKIFreeText OPTIONAL } */
tm_err cmp_error_read(struct slice content, struct diag *diag)
{
    struct der_reader r, seq;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(status(&seq));
    return der_end(&seq);
}

/* PollRepContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER, checkAfter INTEGER, reason PKIFreeText OPTIONAL } */
tm_err cmp_poll_response_read(struct slice content, struct diag *diag)
{
    struct der_reader r, list, one;
    struct slice number;
    der_reader_init(&r, content, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    TM_TRY(der_end(&r));
    while (!der_at_end(&list)) {
        TM_TRY(der_enter(&list, DER_SEQUENCE, &one));
        TM_TRY(der_read_integer(&one, &number));
        TM_TRY(der_read_integer(&one, &number));
        if (der_peek(&one) == DER_SEQUENCE)
            TM_TRY(der_skip(&one, DER_SEQUENCE));
        TM_TRY(der_end(&one));
    }
    return der_end(&list);
}

tm_err cmp_ca_certs_read(struct slice *ret, size_t max, size_t *ret_n, struct slice value, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, value, diag);
    TM_TRY(certificates(ret, max, ret_n, &r));
    return der_end(&r);
}

/* RootCaKeyUpdateValue ::= SEQUENCE { newWithNew CMPCertificate, newWithOld [0] CMPCertificate OPTIONAL, oldWithNew [1] CMPCertificate
 *     OPTIONAL } */
tm_err cmp_root_update_read(struct slice ret[CMP_ROOT_UPDATE_MAX], size_t *ret_n, struct slice value,
                            struct diag *diag)
{
    struct der_reader r, seq, inner;
    bool present;
    size_t n = 0;
    der_reader_init(&r, value, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, &ret[n++]));
    for (unsigned tag = 0; tag < 2; tag++) {
        TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(tag), &inner, &present));
        if (!present)
            continue;
        TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &ret[n++]));
        TM_TRY(der_end(&inner));
    }
    *ret_n = n;
    return der_end(&seq);
}
