/* policy/lint/view.h - a certificate decoded once for all the rules that look at it.
 *
 * Layer 3, private to lint/. What is absent is zero; what does not decode is absent and named in `malformed`. */
#pragma once
#include "policy/lint.h"
#include "x509/cert.h"

struct lint_view {
    struct name subject, issuer;
    const struct ext *basic_constraints, *key_usage, *eku, *ski, *akid, *san, *policies, *cdp, *aia,
        *no_rev_avail, *freshest_crl, *name_constraints, *ocsp_nocheck;
    struct basic_constraints constraints;
    uint32_t usage; /* bits of keyUsage */
    struct eku purposes;
    uint64_t purpose_set; /* bit set of enum lint_purpose */
    struct general_names names;
    struct slice cdp_uris[4], ocsp_uris[4], issuer_uris[4];
    size_t n_cdp, n_ocsp, n_issuer;
    const char *malformed; /* the first part that does not decode; NULL: none */
};

enum lint_purpose {
    PURPOSE_ANY = 1 << 0,
    PURPOSE_SERVER_AUTH = 1 << 1,
    PURPOSE_CLIENT_AUTH = 1 << 2,
    PURPOSE_CODE_SIGNING = 1 << 3,
    PURPOSE_EMAIL = 1 << 4,
    PURPOSE_TIME_STAMPING = 1 << 5,
    PURPOSE_OCSP_SIGNING = 1 << 6,
    PURPOSE_OTHER = 1 << 7,
};

void lint_view_make(struct lint_view *ret, const struct lint_subject *s);

/* For rules: say why and be broken. */
[[gnu::format(printf, 2, 3)]] bool lint_say(char detail[160], const char *fmt, ...);
/* First attribute of the type in the subject, NULL when absent. */
const struct name_attr *lint_subject_attr(const struct lint_subject *s, enum oid type);
bool lint_is_never(const struct lint_subject *s);
/* "http://" in front. */
bool lint_is_http(struct slice uri);
