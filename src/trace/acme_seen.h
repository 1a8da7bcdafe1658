/* trace/acme_seen.h - what is remembered of an ACME recording from one exchange to the next. Layer 5, private to trace/; all of it in
 * the telling's arena. */
#pragma once
#include "keys/jwk.h"
#include "trace/trace.h"

enum {
    SEEN_ACCOUNTS = 200,
    SEEN_ORDERS = 1000,
    SEEN_AUTHZS = 5000,
    SEEN_NONCES = 2 * TRACE_EXCHANGES_MAX,
    SEEN_REFUSALS = 200,
};

struct seen_account {
    const char *url; /* the "kid" */
    struct jwk key;
    unsigned opened; /* number of the exchange */
};

struct seen_order {
    const char *url, *finalize;
    const char *names; /* sorted: "a.example, b.example" */
    const char *status;
    const char *csr_names; /* of the last finalize; NULL: none was tried */
    const char *serial;    /* of the certificate that was handed out */
    const char *refusal;   /* why finalize was refused, or the order's own error */
    unsigned made, refused;
};

struct seen_authz {
    const char *url, *name, *status;
    const char *why; /* the error of its challenge */
    unsigned told;
};

struct seen_nonce {
    const char *nonce;
    unsigned given, used;
};

/* A problem document, whatever was asked for. */
struct seen_refusal {
    unsigned number;
    const char *what, *type, *detail;
};

struct seen {
    struct seen_account *accounts;
    struct seen_order *orders;
    struct seen_authz *authzs;
    struct seen_nonce *nonces;
    struct seen_refusal *refusals;
    size_t n_accounts, n_orders, n_authzs, n_nonces, n_refusals;
    unsigned exchanges, bad_nonces, answers_lost;
};

void acme_seen_verdict(void *state, struct trace_text *t);
/* What to do about an error type of RFC 8555 6.7, "badCSR"; NULL: nothing to add. */
const char *acme_advice(const char *type);
