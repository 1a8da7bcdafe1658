/* trace/scep_seen.h - what is remembered of a SCEP recording from one exchange to the next. Layer 5, private to trace/; all of it in the
 * telling's arena. */
#pragma once
#include "trace/trace.h"
#include "x509/cert.h"

enum { SEEN_TRANSACTIONS = 1000, SEEN_RAS = 16 };

struct seen_transaction {
    struct slice raw; /* transactionID, as it came */
    const char *id;   /* made fit to be shown */
    unsigned first, last;
    unsigned type;       /* of its last message */
    const char *subject; /* asked for; NULL: it could not be seen */
    const char *state;   /* what the last answer said */
    const char *serial;  /* of the certificate that was given, "" where it can't be seen; NULL: none was */
    const char *why;     /* of the last refusal, NULL: it was not refused */
    int fail;            /* failInfo, -1 none */
    unsigned polls;
};

struct seen_message {
    struct slice nonce, body;
    unsigned number;
};

struct seen_ra {
    struct cert cert;
    unsigned number;
};

struct scep_seen {
    struct seen_transaction *transactions;
    struct seen_message *messages;
    struct seen_ra ras[SEEN_RAS];
    size_t n_transactions, n_messages, n_ras;
    unsigned exchanges, by_http, lost, unverified;
    const char *last_by_http; /* what the last refusal without a CertRep said */
    unsigned last_by_http_number;
};

void scep_seen_verdict(void *state, struct trace_text *t);
/* failInfo by its name, "badAlg"; "?" for a number that is none. */
const char *scep_fail_name(unsigned fail);
/* What it means to the client (RFC 8894 3.2.1.4.5). */
const char *scep_fail_meaning(unsigned fail);
