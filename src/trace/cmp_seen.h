/* trace/cmp_seen.h - what is remembered of CMP's transactions from one exchange to the next. Layer 5, private to trace/. */
#pragma once
#include "trace/trace.h"
#include "x509/cmp.h"

enum { CMP_SEEN_MAX = 500 };

enum cmp_seen_state {
    CMP_SEEN_ASKED,       /* no answer was seen */
    CMP_SEEN_ANSWERED,    /* it was information, or a message of several */
    CMP_SEEN_CHALLENGED,  /* a number is to be decrypted */
    CMP_SEEN_WAITING,     /* to be asked about again */
    CMP_SEEN_UNCONFIRMED, /* a certificate came, certConf is next */
    CMP_SEEN_GIVEN,       /* and nothing is missing */
    CMP_SEEN_DECLINED,    /* the client does not want it */
    CMP_SEEN_REVOKED,
    CMP_SEEN_REFUSED,
};

struct cmp_seen {
    struct slice id;     /* transactionID */
    unsigned number;     /* of the first exchange */
    unsigned last;       /* of the latest */
    const char *request; /* what began it: "ir", … */
    enum cmp_seen_state state;
    const char *serial;
    const char *fail;   /* failInfo in words; "" none */
    const char *reason; /* statusString */
    const char *advice; /* what to do about the failInfo; NULL */
    const char *broken; /* where an answer did not fit its request; NULL */
};

/* One message, told line by line: header, protection, body. False where it is none. */
bool cmp_tell(struct cmp_message *ret, struct trace_text *t, struct slice der, bool answer);
/* What the answer's statuses come to: into s->state and what belongs to it. */
void cmp_tell_outcome(struct cmp_seen *s, struct trace_text *t, const struct cmp_message *m);
