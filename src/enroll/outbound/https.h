/* enroll/outbound/https.h - one HTTPS exchange with a server that somebody named, with one deadline for all of it.
 *
 * Layer 5, thread-safe, blocking. Names are resolved as the machine resolves them (hosts, search domains, DNS); where they may lead is said by the
 * networks (enroll/outbound/reach.h). Redirects are not followed. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>
struct arena;
struct target;

struct https_request {
    const char *method;       /* "GET", "POST" … */
    const char *url;          /* https:// */
    const char *content_type; /* NULL without a body */
    const char *accept;       /* NULL: any */
    const char *headers;      /* further ones, each ended by CRLF; NULL: none */
    struct slice body;
    const char *ca;                      /* PEM; "" or NULL: the system's */
    const struct json_strings *networks; /* that may be gone to although they are not public */
    bool anywhere;                       /* into any network: for a person's own commands */
    bool unverified; /* whose server it is shows otherwise: what it answers is held to a fingerprint */
    unsigned timeout_s;
    const atomic_bool *over; /* set while it is waited: it ends; NULL: nothing does that */
    size_t max;              /* of the answer's body */
};
struct https_answer {
    int status;
    char type[128];    /* Content-Type; "" without one */
    struct slice body; /* in the arena */
};
/* TM_EUNAVAIL (diag says what is wrong with it, in words that go on after "it: "), TM_ETOOBIG, TM_EMALFORMED: the address is none, TM_ENOMEM. */
tm_err https_exchange(struct https_answer *ret, struct arena *a, const struct https_request *q,
                      struct diag *diag);
