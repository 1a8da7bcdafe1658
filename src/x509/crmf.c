/* CRMF: CertReqMsg and CertReqMessages (RFC 4211), whose module has IMPLICIT TAGS. */
#include "der/reader.h"
#include "x509/csr.h"
#include "x509/internal.h"
#include "x509/request.h"

/* An implicitly tagged SEQUENCE under its own tag, which is what its signature or digest covers. */
static tm_err as_sequence(struct slice *ret, struct arena *a, struct slice tlv)
{
    struct slice copy;
    TM_TRY(arena_copy(&copy, a, tlv));
    ((uint8_t *)(uintptr_t)copy.p)[0] = DER_SEQUENCE; /* the copy is ours */
    *ret = copy;
    return TM_OK;
}

/* OptionalValidity ::= SEQUENCE { notBefore [0] Time OPTIONAL, notAfter [1] Time OPTIONAL }; Time is a CHOICE: explicit tags */
static tm_err validity_read(struct csr *c, struct der_reader *t)
{
    struct der_reader inner;
    bool before, after;
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(0), &inner, &before));
    if (before) {
        TM_TRY(der_read_time(&inner, &c->not_before));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(1), &inner, &after));
    if (after) {
        TM_TRY(der_read_time(&inner, &c->not_after));
        TM_TRY(der_end(&inner));
    }
    if (!before && !after)
        return der_reject(t, TM_EMALFORMED, "RFC 4211 5", "certTemplate.validity",
                          "neither notBefore nor notAfter");
    return der_end(t);
}

static tm_err public_key_read(struct csr *c, struct arena *a, struct der_reader *t)
{
    struct der_reader tlv_reader = *t, inner;
    struct slice tlv;
    TM_TRY(der_read_tlv(&tlv_reader, DER_CONTEXT_CONS(6), &tlv));
    TM_TRY(der_enter(t, DER_CONTEXT_CONS(6), &inner));
    TM_TRY(spki_read_contents(&c->spki, &inner));
    /* RFC 4211 5, RFC 9483 4.1.6: an empty key names the algorithm of a key that the other side is to make */
    if (c->spki.key.n == 0)
        return TM_OK;
    return as_sequence(&c->spki.der, a, tlv);
}

/* CertTemplate ::= SEQUENCE { version [0], serialNumber [1], signingAlg [2], issuer [3] Name, validity [4], subject [5] Name,
 *                             publicKey [6], issuerUID [7], subjectUID [8], extensions [9] }, all OPTIONAL; Name is a CHOICE: explicit */
static tm_err template_read(struct csr *c, struct arena *a, struct der_reader *t)
{
    static const char rule[] = "RFC 4211 5";
    struct der_reader inner;
    struct slice ignored;
    struct name name;
    bool present;
    TM_TRY(der_read_optional(t, DER_CONTEXT(0), &ignored, &present));
    if (present && (ignored.n != 1 || ignored.p[0] != 2)) /* "MUST be 2 if supplied" */
        return der_reject(t, TM_EMALFORMED, rule, "certTemplate.version", "a version other than 2");
    /* "serialNumber MUST be omitted", "signingAlg MUST be omitted" */
    if (der_peek(t) == DER_CONTEXT(1) || der_peek(t) == DER_CONTEXT_CONS(2))
        return der_reject(t, TM_EMALFORMED, rule, "certTemplate",
                          "a serial number or signature algorithm, which the CA assigns");
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(3), &inner, &present));
    if (present) {
        TM_TRY(der_skip(&inner, DER_SEQUENCE));
        TM_TRY(der_end(&inner));
    }
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(4), &inner, &present));
    if (present)
        TM_TRY(validity_read(c, &inner));
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(5), &inner, &present));
    if (present) {
        TM_TRY(name_read(&name, &inner));
        TM_TRY(der_end(&inner));
        c->subject = name.der;
    }
    if (der_peek(t) == DER_CONTEXT_CONS(6))
        TM_TRY(public_key_read(c, a, t));
    if (der_peek(t) == DER_CONTEXT(7) || der_peek(t) == DER_CONTEXT(8)) /* "MUST be omitted" */
        return der_reject(t, TM_EMALFORMED, rule, "certTemplate", "a unique identifier");
    TM_TRY(der_enter_optional(t, DER_CONTEXT_CONS(9), &inner, &present));
    if (present)
        TM_TRY(exts_read_list(&c->exts, &inner));
    return der_end(t);
}

/* SEQUENCE SIZE (1..MAX) OF AttributeTypeAndValue { type OBJECT IDENTIFIER, value ANY } */
static tm_err attributes_read(struct csr *c, struct der_reader *list)
{
    if (der_at_end(list))
        return der_reject(list, TM_EMALFORMED, "RFC 4211 6", "controls", "an empty list");
    while (!der_at_end(list)) {
        struct der_reader seq;
        struct slice oid, value;
        TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
        TM_TRY(der_read_oid(&seq, &oid));
        TM_TRY(der_read_tlv(&seq, 0, &value));
        TM_TRY(der_end(&seq));
        TM_TRY(csr_attr_add(c, list, oid, value));
    }
    return der_end(list);
}

/* CertRequest ::= SEQUENCE { certReqId INTEGER, certTemplate CertTemplate, controls Controls OPTIONAL } */
static tm_err cert_request_read(struct csr *c, struct arena *a, struct der_reader *req)
{
    struct der_reader template, controls;
    bool present;
    TM_TRY(der_read_uint(req, &c->crmf_request_id));
    TM_TRY(der_enter(req, DER_SEQUENCE, &template));
    TM_TRY(template_read(c, a, &template));
    TM_TRY(der_enter_optional(req, DER_SEQUENCE, &controls, &present));
    if (present)
        TM_TRY(attributes_read(c, &controls));
    return der_end(req);
}

/* POPOSigningKeyInput ::= SEQUENCE { authInfo CHOICE { sender [0] GeneralName, publicKeyMAC PKMACValue }, publicKey } */
static tm_err popo_input_read(struct csr *c, struct der_reader *input)
{
    struct spki spki;
    if (der_peek(input) != DER_CONTEXT_CONS(0) && der_peek(input) != DER_SEQUENCE)
        return der_reject(input, TM_EMALFORMED, "RFC 4211 4.1", "poposkInput",
                          "neither sender nor publicKeyMAC");
    TM_TRY(der_read_any(input, NULL, NULL, NULL));
    TM_TRY(spki_read(&spki, input));
    TM_TRY(der_end(input));
    /* "The value of publicKey … MUST be exactly the same as that in the certTemplate" */
    if (c->spki.der.n == 0)
        c->spki = spki;
    else if (!slice_eq(c->spki.der, spki.der))
        return der_reject(input, TM_EMALFORMED, "RFC 4211 4.1", "poposkInput",
                          "a key other than the template's");
    return TM_OK;
}

/* POPOSigningKey ::= SEQUENCE { poposkInput [0] POPOSigningKeyInput OPTIONAL, algorithmIdentifier, signature BIT STRING } */
static tm_err popo_signature_read(struct csr *c, struct arena *a, struct der_reader *pop,
                                  struct slice request)
{
    bool named = c->subject.n != 0 && c->spki.der.n != 0;
    c->signed_part = request;
    if (der_peek(pop) == DER_CONTEXT_CONS(0)) {
        struct der_reader tlv_reader = *pop, input;
        struct slice tlv;
        if (named) /* "poposkInput MUST be omitted" where the template has subject and public key */
            return der_reject(pop, TM_EMALFORMED, "RFC 4211 4.1", "poposkInput",
                              "present beside a complete template");
        TM_TRY(der_read_tlv(&tlv_reader, 0, &tlv));
        TM_TRY(der_enter(pop, DER_CONTEXT_CONS(0), &input));
        TM_TRY(popo_input_read(c, &input));
        TM_TRY(as_sequence(&c->signed_part, a, tlv));
    }
    TM_TRY(algid_read(&c->sigalg, pop));
    TM_TRY(der_read_bits(pop, &c->signature));
    c->pop = CSR_POP_SIGNATURE;
    return der_end(pop);
}

/* ProofOfPossession ::= CHOICE { raVerified [0] NULL, signature [1] POPOSigningKey, keyEncipherment [2] POPOPrivKey,
 *                                keyAgreement [3] POPOPrivKey }; POPOPrivKey is a CHOICE: explicit */
static tm_err popo_read(struct csr *c, struct arena *a, struct der_reader *msg, struct slice request)
{
    unsigned tag = der_peek(msg);
    struct der_reader pop;
    struct slice contents;
    switch (tag) {
    case DER_CONTEXT(0):
        TM_TRY(der_read(msg, tag, &contents));
        if (contents.n)
            return der_reject(msg, TM_EMALFORMED, "X.690 8.8.2", "popo", "raVerified with contents");
        c->pop = CSR_POP_RA_VERIFIED;
        return TM_OK;
    case DER_CONTEXT_CONS(1):
        TM_TRY(der_enter(msg, tag, &pop));
        return popo_signature_read(c, a, &pop, request);
    case DER_CONTEXT_CONS(2):
    case DER_CONTEXT_CONS(3):
        TM_TRY(der_enter(msg, tag, &pop));
        TM_TRY(der_read_tlv(&pop, 0, &c->pop_detail));
        c->pop = CSR_POP_KEY_ENCIPHERMENT;
        return der_end(&pop);
    default:
        return TM_OK;
    }
}

/* POPOPrivKey ::= CHOICE { thisMessage [0] BIT STRING, subsequentMessage [1] INTEGER { encrCert (0), challengeResp (1) }, dhMAC [2] BIT
 *                          STRING, agreeMAC [3] PKMACValue, encryptedKey [4] EnvelopedData } */
enum csr_pop_later csr_pop_later(const struct csr *c)
{
    if (slice_eq(c->pop_detail, SLICE_LIT("\x81\x01\x00")))
        return CSR_POP_ENCRYPTED_CERT;
    if (slice_eq(c->pop_detail, SLICE_LIT("\x81\x01\x01")))
        return CSR_POP_CHALLENGE_RESPONSE;
    return CSR_POP_OTHERWISE;
}

/* CertReqMsg ::= SEQUENCE { certReq CertRequest, popo ProofOfPossession OPTIONAL, regInfo SEQUENCE OF AttributeTypeAndValue OPTIONAL } */
tm_err csr_parse_crmf(struct csr *ret, struct arena *a, struct slice der, struct diag *diag)
{
    struct der_reader r, msg, req, info;
    struct slice request;
    bool present;
    if (der.n > CSR_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "request", "more than %d bytes", CSR_DER_MAX);
    csr_clear(ret, CSR_CRMF, der);
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &msg));
    struct der_reader tlv = msg;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &request));
    TM_TRY(der_enter(&msg, DER_SEQUENCE, &req));
    TM_TRY(cert_request_read(ret, a, &req));
    TM_TRY(popo_read(ret, a, &msg, request));
    TM_TRY(der_enter_optional(&msg, DER_SEQUENCE, &info, &present));
    if (present)
        TM_TRY(attributes_read(ret, &info));
    TM_TRY(der_end(&msg));
    return der_end(&r);
}

/* CertReqMessages ::= SEQUENCE SIZE (1..MAX) OF CertReqMsg */
tm_err crmf_messages_read(struct slice *ret_messages, size_t max, size_t *ret_n, struct slice der,
                          struct diag *diag)
{
    struct der_reader r, list;
    size_t n = 0;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    if (der_at_end(&list))
        return der_reject(&list, TM_EMALFORMED, "RFC 4211 3", "certReqMessages", "an empty list");
    while (!der_at_end(&list)) {
        if (n == max)
            return der_reject(&list, TM_ETOOBIG, NULL, "certReqMessages", "too many requests");
        TM_TRY(der_read_tlv(&list, DER_SEQUENCE, &ret_messages[n]));
        n++;
    }
    TM_TRY(der_end(&list));
    TM_TRY(der_end(&r));
    *ret_n = n;
    return TM_OK;
}
