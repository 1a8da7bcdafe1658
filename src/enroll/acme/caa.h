/* enroll/acme/caa.h - may we issue for a name, as its owner has it in DNS (CAA: RFC 8659; accounts and challenges: RFC 8657)?
 *
 * Layer 5. caa_judge() is pure; caa_look() asks a resolver, blocking up to its deadline. */
#pragma once
#include "base/json.h"
#include "base/slice.h"
#include "enroll/acme/acme.h"
#include <stdbool.h>

struct arena;
struct resolver;

/* Who asks, and by which challenge the name was proven ("dns-01"; "" when it was granted). */
struct caa_wanted {
    const struct json_strings *issuers;
    const char *account_url, *method;
    bool wildcard;
};
/* Do the records (RDATA) of a relevant set that is not empty let us issue? *ret_why is a clause about the records, where not. */
bool caa_judge(const struct slice *records, size_t n, const struct caa_wanted *w, const char **ret_why);

/* A name to be looked at, and what came of it. */
struct caa_name {
    const char *text;   /* "DNS:*.example.org" */
    const char *domain; /* "example.org" */
    bool wildcard;
    const char *method;
    enum acme_problem problem; /* ACME_P_NONE: it may be issued */
    const char *detail;
};
enum { CAA_NODES_MAX = 2048 };
/* Climb the tree from each name (RFC 8659 3), all of them side by side. A look-up that fails speaks against its names. TM_ENOMEM. */
tm_err caa_look(struct caa_name *v, size_t n, const struct json_strings *issuers, const char *account_url,
                struct resolver *r, struct arena *a, uint64_t deadline_ns);
