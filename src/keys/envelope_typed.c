#include "base/clock.h"
#include "base/digest.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/internal.h"
#include "x509/spki.h"

static tm_err check_allowed(const struct envelope *e, enum sign_kind kind, struct diag *diag)
{
    if (e->allow & (1u << kind))
        return TM_OK;
    return diag_fail(diag, TM_EDENIED, "envelope.allow", NULL, "key %s may not sign for \"%s\"", e->key_id,
                     sign_kind_names[kind]);
}

static tm_err not_that(struct diag *diag, const char *rule, const char *what)
{
    return diag_fail(diag, TM_EDENIED, rule, NULL, "not the DER of %s", what);
}

enum { DAY = 86400, OCSP_AHEAD_MAX = 100 * DAY };

/* CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash OCTET STRING, issuerKeyHash OCTET STRING, serialNumber }: of the envelope's CA? */
static bool own_cert_id(const struct envelope *e, struct der_reader *single)
{
    struct der_reader id, alg;
    struct slice oid, name, key, serial;
    uint8_t hash[32];
    if (der_enter(single, DER_SEQUENCE, &id) != TM_OK || der_enter(&id, DER_SEQUENCE, &alg) != TM_OK ||
        der_read_oid(&alg, &oid) != TM_OK || der_read(&id, DER_OCTET_STRING, &name) != TM_OK ||
        der_read(&id, DER_OCTET_STRING, &key) != TM_OK || der_read_integer(&id, &serial) != TM_OK ||
        der_end(&id) != TM_OK)
        return false;
    if (e->issuer.n == 0)
        return true;
    enum oid known = oid_find(oid);
    if (known == OID_SHA1)
        return sha1(hash, e->issuer) == TM_OK && slice_eq(name, slice_of(hash, 20));
    return known == OID_SHA256 && sha256(hash, e->issuer) == TM_OK && slice_eq(name, slice_of(hash, 32));
}

/* SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] EXPLICIT OPTIONAL, singleExtensions [1] EXPLICIT OPTIONAL } */
static bool single_response(const struct envelope *e, struct der_reader *list, int64_t now)
{
    struct der_reader single, next;
    bool present;
    int64_t this_update = 0, next_update = 0;
    if (der_enter(list, DER_SEQUENCE, &single) != TM_OK || !own_cert_id(e, &single))
        return false;
    unsigned status = der_peek(&single);
    if (status != DER_CONTEXT(0) && status != DER_CONTEXT_CONS(1) && status != DER_CONTEXT(2))
        return false;
    if (der_skip(&single, status) != TM_OK || der_peek(&single) != DER_GENERALIZED_TIME ||
        der_read_time(&single, &this_update) != TM_OK ||
        der_enter_optional(&single, DER_CONTEXT_CONS(0), &next, &present) != TM_OK)
        return false;
    if (present && (der_read_time(&next, &next_update) != TM_OK || der_end(&next) != TM_OK ||
                    next_update < this_update || next_update > now + OCSP_AHEAD_MAX))
        return false;
    if (der_peek(&single) == DER_CONTEXT_CONS(1) && der_skip(&single, DER_CONTEXT_CONS(1)) != TM_OK)
        return false;
    return this_update <= now + DAY && der_end(&single) == TM_OK;
}

/* ResponseData ::= SEQUENCE { version [0] EXPLICIT DEFAULT v1, responderID CHOICE { [1] Name, [2] KeyHash }, producedAt GeneralizedTime,
 *                             responses SEQUENCE OF SingleResponse, responseExtensions [1] EXPLICIT OPTIONAL }
 * Of the envelope's CA alone, and of now: what is signed ahead could not be taken back. */
tm_err envelope_check_ocsp(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag)
{
    struct der_reader r, data, list;
    int64_t produced = 0;
    TM_TRY(check_allowed(e, SIGN_OCSP, diag));
    der_reader_init(&r, tbs, NULL);
    if (der_enter(&r, DER_SEQUENCE, &data) != TM_OK)
        return not_that(diag, "RFC 6960 4.2.1", "a ResponseData");
    unsigned id = der_peek(&data);
    bool good = (id == DER_CONTEXT_CONS(1) || id == DER_CONTEXT_CONS(2)) && der_skip(&data, id) == TM_OK &&
                der_peek(&data) == DER_GENERALIZED_TIME && der_read_time(&data, &produced) == TM_OK &&
                produced >= now - DAY && produced <= now + DAY &&
                der_enter(&data, DER_SEQUENCE, &list) == TM_OK;
    while (good && !der_at_end(&list))
        good = single_response(e, &list, now);
    if (good && der_peek(&data) == DER_CONTEXT_CONS(1))
        good = der_skip(&data, DER_CONTEXT_CONS(1)) == TM_OK;
    if (!good || der_end(&list) != TM_OK || der_end(&data) != TM_OK || der_end(&r) != TM_OK)
        return not_that(diag, "RFC 6960 4.2.1", "a ResponseData of this CA and this day");
    return TM_OK;
}

/* What the house says in CMS: answers to CMC requests, private keys that it made, digests of revocation filters, certificates to come
 * (RFC 8894 4.7.1). Anything else signed by such a key could be taken for a document of the house's, or for a message of another protocol.
 * id-data is the content of SCEP's answers, and their attributes tell them apart. */
static const enum oid cms_contents[] = {OID_CT_PKI_RESPONSE, OID_CT_ASYMMETRIC_KEY_PACKAGE,
                                        OID_CT_TOUCHMARK_FILTER, OID_SIGNED_DATA, OID_DATA};

static bool cms_content(struct slice type)
{
    enum oid id = oid_find(type);
    for (size_t i = 0; i < sizeof cms_contents / sizeof *cms_contents; i++)
        if (cms_contents[i] == id)
            return true;
    return false;
}

struct cms_seen {
    unsigned types, digests, times, others;
    unsigned scep; /* bit for each attribute of SCEP's */
    bool content_allowed, on_time, data, cert_rep, repeated;
};

/* RFC 8894 3.2.1: texts are PrintableStrings, nonces OCTET STRINGs; a CertRep (3) has all but failInfo. */
static bool scep_attribute(struct cms_seen *seen, enum oid type, struct der_reader *values)
{
    static const enum oid types[] = {
        OID_SCEP_MESSAGE_TYPE,    OID_SCEP_PKI_STATUS, OID_SCEP_TRANSACTION_ID, OID_SCEP_SENDER_NONCE,
        OID_SCEP_RECIPIENT_NONCE, OID_SCEP_FAIL_INFO,  OID_SCEP_FAIL_INFO_TEXT};
    struct slice value;
    unsigned tag, i = 0;
    while (types[i] != type)
        i++;
    seen->repeated |= (seen->scep >> i & 1) != 0;
    seen->scep |= 1u << i;
    if (der_read_any(values, &tag, &value, NULL) != TM_OK)
        return false;
    if (type == OID_SCEP_MESSAGE_TYPE)
        seen->cert_rep = slice_eq(value, SLICE_LIT("3"));
    return der_end(values) == TM_OK;
}
enum { SCEP_CERT_REP = 0x1f /* the first five above */ };

/* Attribute ::= SEQUENCE { attrType, attrValues SET OF }, each of ours with one value. */
static bool cms_attribute(struct cms_seen *seen, struct der_reader *set, int64_t now)
{
    enum { CMS_CLOCK_SLACK = 3600 };
    struct der_reader attribute, values;
    struct slice oid, value;
    int64_t when;
    if (der_enter(set, DER_SEQUENCE, &attribute) != TM_OK || der_read_oid(&attribute, &oid) != TM_OK ||
        der_enter(&attribute, DER_SET, &values) != TM_OK || der_end(&attribute) != TM_OK)
        return false;
    switch (oid_find(oid)) {
    case OID_CONTENT_TYPE: /* RFC 5652 11.1 */
        if (der_read_oid(&values, &value) != TM_OK)
            return false;
        seen->types++;
        seen->content_allowed = cms_content(value);
        seen->data = oid_find(value) == OID_DATA;
        break;
    case OID_MESSAGE_DIGEST: /* RFC 5652 11.2; SHA-256 to SHA-512 */
        if (der_read(&values, DER_OCTET_STRING, &value) != TM_OK || value.n < 32 || value.n > 64)
            return false;
        seen->digests++;
        break;
    case OID_SIGNING_TIME: /* RFC 5652 11.3 */
        if (der_read_time(&values, &when) != TM_OK)
            return false;
        seen->times++;
        seen->on_time = when >= now - CMS_CLOCK_SLACK && when <= now + CMS_CLOCK_SLACK;
        break;
    case OID_SCEP_MESSAGE_TYPE:
    case OID_SCEP_PKI_STATUS:
    case OID_SCEP_TRANSACTION_ID:
    case OID_SCEP_SENDER_NONCE:
    case OID_SCEP_RECIPIENT_NONCE:
    case OID_SCEP_FAIL_INFO:
    case OID_SCEP_FAIL_INFO_TEXT:
        return scep_attribute(seen, oid_find(oid), &values);
    default:
        seen->others++;
        return true;
    }
    return der_end(&values) == TM_OK;
}

/* SET OF Attribute, as it is hashed (RFC 5652 5.4): the two that must be there (11.1, 11.2), the time if it is now, what makes data a
 * CertRep, nothing else. */
tm_err envelope_check_cms(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag)
{
    struct der_reader r, set;
    struct cms_seen seen = {.on_time = true};
    TM_TRY(check_allowed(e, SIGN_CMS, diag));
    der_reader_init(&r, tbs, NULL);
    bool good = der_enter(&r, DER_SET, &set) == TM_OK;
    while (good && !der_at_end(&set))
        good = cms_attribute(&seen, &set, now);
    if (!good || der_end(&set) != TM_OK || der_end(&r) != TM_OK || seen.types != 1 || seen.digests != 1 ||
        seen.times > 1)
        return not_that(diag, "RFC 5652 5.4", "signed attributes");
    bool scep = seen.data && seen.cert_rep && !seen.repeated && (seen.scep & SCEP_CERT_REP) == SCEP_CERT_REP;
    if (!seen.content_allowed || seen.others || !seen.on_time || (seen.data ? !scep : seen.scep != 0))
        return diag_fail(
            diag, TM_EDENIED, "envelope.cms", "signedAttrs",
            "key %s signs CMC responses, key packages, filters and SCEP answers of this hour only",
            e->key_id);
    return TM_OK;
}

/* Tags of bodies that the house sends: ip cp kup krp rp ccp pkiconf nested genp error pollRep. It asks nobody for anything. */
static bool cmp_answer(unsigned tag)
{
    static const uint8_t answers[] = {1, 3, 8, 10, 12, 14, 19, 20, 22, 23, 26};
    for (size_t i = 0; i < sizeof answers; i++)
        if (tag == (0xa0u | answers[i]))
            return true;
    return false;
}

/* ProtectedPart ::= SEQUENCE { header PKIHeader, body PKIBody }; PKIHeader ::= SEQUENCE { pvno INTEGER, sender GeneralName, recipient GeneralName, … } */
tm_err envelope_check_cmp(const struct envelope *e, struct slice tbs, struct diag *diag)
{
    struct der_reader r, part, header;
    uint64_t pvno = 0;
    unsigned body = 0, name = 0;
    TM_TRY(check_allowed(e, SIGN_CMP, diag));
    der_reader_init(&r, tbs, NULL);
    bool good = der_enter(&r, DER_SEQUENCE, &part) == TM_OK &&
                der_enter(&part, DER_SEQUENCE, &header) == TM_OK && der_read_uint(&header, &pvno) == TM_OK &&
                pvno >= 1 && pvno <= 3 && der_read_any(&header, &name, NULL, NULL) == TM_OK &&
                der_read_any(&header, &name, NULL, NULL) == TM_OK;
    good = good && der_read_any(&part, &body, NULL, NULL) == TM_OK && cmp_answer(body) &&
           der_end(&part) == TM_OK && der_end(&r) == TM_OK;
    return good ? TM_OK : not_that(diag, "RFC 9810 5.1.3", "a ProtectedPart");
}
