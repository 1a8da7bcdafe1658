#include "base/clock.h"
#include "base/digest.h"
#include "der/oid.h"
#include "der/reader.h"
#include "keys/internal.h"
#include "x509/spki.h"

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
    TM_TRY(envelope_check_allowed(e, SIGN_OCSP, diag));
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
