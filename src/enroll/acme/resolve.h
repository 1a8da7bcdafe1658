/* enroll/acme/resolve.h - DNS for validations: libunbound, validating DNSSEC up to the root's keys (RFC 4035).
 *
 * Layer 5, thread-safe; look-ups block up to their deadline. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/acme_settings.h"

struct arena;
struct resolver;

enum { RESOLVE_A = 1, RESOLVE_TXT = 16, RESOLVE_AAAA = 28, RESOLVE_CAA = 257, RESOLVE_RECORDS_MAX = 128 };

/* A resolver with these settings. TM_EUNAVAIL where the library says no. */
tm_err resolver_new(struct resolver **ret, const struct acme_settings *s, struct diag *diag);
void resolver_free(struct resolver *r);
/* Records of one type, as in the message; none is TM_OK with 0 (also for a name that does not exist). TM_ETIMEOUT; TM_EUNAVAIL: servers
 * failed; TM_EDENIED: DNSSEC says that the answer is forged. */
tm_err resolver_lookup(struct slice *ret, size_t max, size_t *ret_n, struct arena *a, struct resolver *r,
                       const char *name, int type, uint64_t deadline_ns, struct diag *diag);

/* One of several questions that are asked at the same time. */
struct resolver_question {
    const char *name;
    int type;
    /* the answer, in the arena: as resolver_lookup() */
    tm_err err;
    const char *why;
    struct slice *records;
    size_t n; /* at most RESOLVE_RECORDS_MAX: one more is TM_ETOOBIG */
};
/* Each question has its own answer or error; TM_ENOMEM alone ends all. */
tm_err resolver_ask(struct resolver_question *v, size_t n, struct arena *a, struct resolver *r,
                    uint64_t deadline_ns);
