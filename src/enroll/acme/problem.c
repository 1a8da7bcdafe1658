/* Problem documents: the table of RFC 8555 6.7, RFC 9773 7.4, RFC 8739 and the profiles extension. */
#include "base/text.h"
#include "enroll/acme/acme.h"

static const struct {
    const char *name;
    int status;
} problems[ACME_P_COUNT] = {
    [ACME_P_NONE] = {"serverInternal", 500},
    [ACME_P_ACCOUNT_DOES_NOT_EXIST] = {"accountDoesNotExist", 400},
    [ACME_P_ALREADY_REPLACED] = {"alreadyReplaced", 409},
    [ACME_P_ALREADY_REVOKED] = {"alreadyRevoked", 400},
    [ACME_P_AUTO_RENEWAL_CANCELED] = {"autoRenewalCanceled", 403},
    [ACME_P_AUTO_RENEWAL_CANCELLATION_INVALID] = {"autoRenewalCancellationInvalid", 400},
    [ACME_P_AUTO_RENEWAL_EXPIRED] = {"autoRenewalExpired", 403},
    [ACME_P_AUTO_RENEWAL_REVOCATION_NOT_SUPPORTED] = {"autoRenewalRevocationNotSupported", 403},
    [ACME_P_BAD_CSR] = {"badCSR", 400},
    [ACME_P_BAD_NONCE] = {"badNonce", 400},
    [ACME_P_BAD_PUBLIC_KEY] = {"badPublicKey", 400},
    [ACME_P_BAD_REVOCATION_REASON] = {"badRevocationReason", 400},
    [ACME_P_BAD_SIGNATURE_ALGORITHM] = {"badSignatureAlgorithm", 400},
    [ACME_P_CAA] = {"caa", 403},
    [ACME_P_COMPOUND] = {"compound", 400},
    [ACME_P_CONNECTION] = {"connection", 400},
    [ACME_P_DNS] = {"dns", 400},
    [ACME_P_EXTERNAL_ACCOUNT_REQUIRED] = {"externalAccountRequired", 403},
    [ACME_P_INCORRECT_RESPONSE] = {"incorrectResponse", 403},
    [ACME_P_INVALID_CONTACT] = {"invalidContact", 400},
    [ACME_P_INVALID_PROFILE] = {"invalidProfile", 400},
    [ACME_P_MALFORMED] = {"malformed", 400},
    [ACME_P_ORDER_NOT_READY] = {"orderNotReady", 403},
    [ACME_P_RATE_LIMITED] = {"rateLimited", 429},
    [ACME_P_REJECTED_IDENTIFIER] = {"rejectedIdentifier", 403},
    [ACME_P_SERVER_INTERNAL] = {"serverInternal", 500},
    [ACME_P_TLS] = {"tls", 400},
    [ACME_P_UNAUTHORIZED] = {"unauthorized", 403},
    [ACME_P_UNSUPPORTED_CONTACT] = {"unsupportedContact", 400},
    [ACME_P_UNSUPPORTED_IDENTIFIER] = {"unsupportedIdentifier", 400},
    [ACME_P_USER_ACTION_REQUIRED] = {"userActionRequired", 403},
};

int acme_problem_status(enum acme_problem p)
{
    return problems[p].status;
}

const char *acme_problem_name(enum acme_problem p)
{
    return problems[p].name;
}

enum acme_problem acme_problem_of(tm_err e)
{
    if (e == TM_EQUOTA)
        return ACME_P_RATE_LIMITED;
    switch (tm_err_class(e)) {
    case TM_CLASS_CALLER:
        return ACME_P_MALFORMED;
    case TM_CLASS_DENIED:
        return ACME_P_UNAUTHORIZED;
    default:
        return ACME_P_SERVER_INTERNAL;
    }
}

void acme_put_problem(struct buf *out, enum acme_problem p, int status, const char *detail, struct slice more)
{
    buf_printf(out, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":", problems[p].name);
    buf_put_json_string(out, slice_str(detail));
    buf_printf(out, ",\"status\":%d", status ? status : problems[p].status);
    buf_put_slice(out, more);
    buf_putc(out, '}');
}
