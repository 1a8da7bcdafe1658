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

/* CertifiedKeyPair ::= SEQUENCE { certOrEncCert CHOICE { certificate [0] CMPCertificate, encryptedCert [1] … }, privateKey [0] EncryptedKey
 *     OPTIONAL, publicationInfo [1] … }. An encrypted certificate could be anybody's. */
static tm_err key_pair(struct cmp_cert_answer *ret, struct der_reader *r)
{
    struct der_reader seq, choice, inner;
    bool present;
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    if (der_peek(&seq) == DER_CONTEXT_CONS(1))
        return der_reject(&seq, TM_EUNSUPPORTED, "RFC 9810 5.3.4", "encryptedCert", "not done here");
    TM_TRY(der_enter(&seq, DER_CONTEXT_CONS(0), &choice));
    TM_TRY(der_read_tlv(&choice, DER_SEQUENCE, &ret->cert));
    TM_TRY(der_end(&choice));
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
