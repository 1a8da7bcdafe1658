/* policy/decide.h - the decision: a pure function from request, profile and facts to a plan or a refusal.
 *
 * Layer 3, no I/O, no clock, no randomness: the same inputs give the same bytes. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "policy/enrollment.h"
#include "x509/cert.h"
struct arena;
struct buf;
struct profile;

enum verdict { VERDICT_ISSUE, VERDICT_PEND, VERDICT_DENY };
extern const char *const verdict_names[]; /* "issue", "pend", "deny" */

/* Exactly what will be signed, but for the serial. */
struct plan {
    const char *authority; /* name */
    const char *key_ref;
    enum sig_alg sig_alg;
    struct slice issuer;  /* Name TLV */
    struct slice subject; /* Name TLV */
    struct slice spki;    /* TLV */
    int64_t not_before, not_after;
    struct ext exts[EXT_MAX];
    size_t n_exts;
    const char *profile;
    int64_t profile_version;
    struct general_names san; /* the SANs planned, for the inventory */
    const char *device_id;    /* "" when none */
};

enum { TRACE_MAX = 64 };
struct trace_step {
    const char *rule; /* "names.dns", "lifetime.max", "key.algorithm", "calendar.public-tls", … */
    enum { TRACE_PASS, TRACE_APPLIED, TRACE_FAIL } result;
    const char *detail; /* one sentence with the facts used */
};

struct decision {
    enum verdict verdict;
    tm_err err;         /* DENY: TM_EDENIED, TM_EQUOTA, TM_EEXPIRED, TM_EINVAL …; TM_OK else */
    const char *rule;   /* DENY, PEND: the rule that said so; "" for ISSUE */
    const char *reason; /* one sentence for the caller: no internals */
    struct plan plan;   /* ISSUE, PEND */
    struct trace_step trace[TRACE_MAX];
    size_t n_trace;
};

/* Everything lives in `a`. Returns an error only for internal trouble (TM_ENOMEM); refusals are decisions. */
tm_err policy_decide(struct decision *ret, struct arena *a, const struct profile *p,
                     const struct enrollment *e, const struct facts *f);

/* TBSCertificate of a plan with this serial (16 octets; the last ten zero when the signer fills them). Appended.
 * *ret_serial_offset as tbs_cert_build. */
tm_err plan_build_tbs(struct buf *out, const struct plan *p, const uint8_t serial[CERT_SERIAL_LEN],
                      size_t *ret_serial_offset);

/* The prefix of a serial (DESIGN 5): 2 octets expiry month since 2000-01 capped at 0x7FFF (never), 4 octets issue time (unix seconds, low 32 bits), 10 zero octets. A month of 0 is written as 1, so that the first octets are never both zero. */
void serial_prefix(uint8_t out[CERT_SERIAL_LEN], int64_t not_after, int64_t now);

/* Readable text: one line a trace step, then the verdict and the plan. `decision_json` the same as an object. */
void decision_print(struct buf *out, const struct decision *d);
void decision_json(struct buf *out, const struct decision *d);
