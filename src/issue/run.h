/* issue/run.h - one request on its way through the pipeline; for pipeline.c and those it calls. Layer 4. */
#pragma once
#include "base/buf.h"
#include "base/digest.h"
#include "issue/facts.h"
#include "issue/issue.h"
#include "keys/signer.h"
#include "store/store.h"

struct authority;
struct catalog;
struct cert;
struct profile;

enum { EFFECTS_MAX = 9 + ISSUE_ALSO_MAX };
/* How long who has the same secret and key is answered with the same certificate. */
enum { TOKEN_REPLAY_WINDOW = 7 * 86400, IDEMPOTENCY_LIFE = 86400 };

struct run {
    struct issue_request *r;
    struct task prepare;
    struct catalog *catalog;
    const struct profile *profile;
    const struct authority *authority;
    struct facts facts;
    struct device_row device;
    struct continuation_row continuation; /* the row being finished, or made */
    uint8_t request_hash[SHA256_LEN];
    struct buf tbs, cert;
    struct cert *planned; /* as lint saw it; its octets are ours */
    struct sign_op sign;
    struct store_txn txn;
    struct effect effects[EFFECTS_MAX];
    size_t n_effects;
    const char *waited;   /* id of an earlier request for the same, which is over; NULL: none */
    bool one_time;        /* its token is for one certificate */
    size_t device_effect; /* index of the state change, EFFECTS_MAX when there is none */
    bool in_flight;
};

/* A verdict of the pipeline itself, in the form of policy's. */
void run_deny(struct run *run, tm_err e, const char *rule, const char *reason);
/* The chain to hand out: from the issuer up to the root. */
tm_err run_set_chain(struct run *run, const struct authority *x);

/* Has the request been answered before? Its idempotency key, its one-time token, or its place among those that wait says so. Then *ret_done
 * and the answer stands in the request; a verdict DENY in its decision; or neither. Reads the store, blocking. */
tm_err run_replay(struct run *run, bool *ret_done);
/* Keep the certificate just made for those who ask again, where its profile does not: *ret_n effects, none or one. */
tm_err run_keep_answer(struct run *run, struct effect *ret, size_t *ret_n);
