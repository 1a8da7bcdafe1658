/* finding/finding.h - what is wrong: a rule that a certificate or a place breaks, kept as an object until it is true no longer.
 *
 * Layer 5, blocking, any thread. Rules look at facts (finding/facts.h) and say whether they are broken; the pass (finding/pass.h) gathers the
 * facts, and opens and closes. A finding is one rule and one subject; asked about again it is the same one. People accept a finding or put
 * it off, with a reason and an end; nobody closes one, it closes by itself. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct buf;
struct found;
struct finding_facts;
struct house;

enum finding_status { FINDING_OPEN = 1, FINDING_ACCEPTED, FINDING_SNOOZED, FINDING_GONE, FINDING_STATUSES };
extern const char *const finding_status_names[]; /* by status: "", "open", "accepted", "snoozed", "gone" */

enum finding_severity {
    FINDING_INFO,
    FINDING_LOW,
    FINDING_MEDIUM,
    FINDING_HIGH,
    FINDING_CRITICAL,
    FINDING_SEVERITIES
};
extern const char *const finding_severity_names[]; /* "info", …, NULL */
/* FINDING_SEVERITIES when there is no such word. */
enum finding_severity finding_severity_of(const char *word);

/* What a rule looks at. */
enum finding_scope { FINDING_OF_CERT, FINDING_OF_PLACE };

enum {
    FINDING_BY_TIME = 1,   /* becomes true as time passes */
    FINDING_BY_BYTES = 2,  /* the certificate's own octets decide: once looked at, it stays so */
    FINDING_BY_CENSUS = 4, /* needs to know of all others: full passes alone look at it */
};

struct finding_rule {
    const char *id;    /* "key.weak" */
    const char *title; /* one line */
    enum finding_scope scope;
    enum finding_severity severity; /* the usual one */
    unsigned flags;
    const char *true_when;       /* for the reference: when it is true, and when not */
    const char *remedy;          /* what to do */
    const char *const *controls; /* "NIST CSF 2.0 PR.DS-02" …, ended by NULL */
    /* True when broken; fills `out` by the helpers of finding/rules/rules.h. Pure. */
    bool (*broken)(const struct finding_facts *f, struct found *out);
};
extern const struct finding_rule *const finding_rules[]; /* NULL-terminated; at most 64 */
const struct finding_rule *finding_rule_find(const char *id);
/* Its place in the table, which is its bit in sets of rules. */
unsigned finding_rule_index(const struct finding_rule *r);
/* Reference documentation of the rules as Markdown. */
void finding_reference(struct buf *out);

/* ---- findings ---- */

enum { FINDING_ID_LEN = 32, FINDING_WHY_MAX = 400, FINDING_NAME_MAX = 1024, FINDING_KEEP_GONE = 90 * 86400 };

struct finding {
    tenant_id tenant;
    const char *id; /* 32 hex digits: of rule and subject */
    const char *rule;
    const char *subject; /* "certificate/<id>", "place/<id>" */
    const char *owner;   /* whose it is; "" nobody's */
    enum finding_status status;
    enum finding_severity severity;
    const char
        *name; /* the subject for people: a certificate's name, a place; FINDING_NAME_MAX octets at most */
    const char *why;       /* a sentence */
    struct slice evidence; /* JSON object */
    int64_t opened_ms, changed_ms, closed_ms;
    int64_t until;           /* unix seconds: accepted or snoozed so long; 0: not */
    const char *reason, *by; /* of accepting or snoozing; "" */
    int64_t not_after;       /* of the certificate, for alerts; 0: none */
    int64_t version;
};

/* hex of SHA-256(rule, subject), 16 octets of it. */
tm_err finding_id(char ret[FINDING_ID_LEN + 1], const char *rule, const char *subject);
tm_err finding_from_row(struct finding *ret, struct arena *a, const struct object_row *row,
                        struct diag *diag);
/* The row as it is now, to be put where the stored one has f->version. */
tm_err finding_effect(struct effect *ret, struct arena *a, const struct finding *f);

/* TM_ENOTFOUND. */
tm_err finding_get(struct finding *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                   struct diag *diag);

struct finding_filter {
    enum finding_status status;         /* 0: any */
    const char *rule, *owner, *subject; /* NULL: any; owner "" those of nobody */
    enum finding_severity least;
};
/* A page in the order of ids, from behind `after`. Rows that the filter passes over are bounded: a page may be short while there is more,
 * then *ret_next says where it goes on ("" at the end). */
tm_err finding_list(struct finding **ret, size_t *ret_n, const char **ret_next, struct arena *a,
                    struct house *h, tenant_id tenant, const struct finding_filter *filter, const char *after,
                    size_t limit, struct diag *diag);

/* What stands in a row without reading the rest of it; *ret_rule is NULL for a rule that is no more. */
tm_err finding_head(const struct finding_rule **ret_rule, enum finding_severity *ret_severity,
                    const struct object_row *row);

/* Numbers of findings by rule and status, of the open ones by severity too. */
struct finding_counts {
    uint64_t by_rule[64][FINDING_STATUSES];
    uint64_t open[64][FINDING_SEVERITIES];
    uint64_t open_by_severity[FINDING_SEVERITIES];
    uint64_t by_status[FINDING_STATUSES];
};
tm_err finding_count(struct finding_counts *ret, struct house *h, tenant_id tenant, struct diag *diag);

/* Accept (FINDING_ACCEPTED) or put off (FINDING_SNOOZED) until a time, for a reason; recorded. TM_EINVAL, TM_ECONFLICT (it is gone). */
tm_err finding_set_aside(struct house *h, tenant_id tenant, const char *id, enum finding_status as,
                         const char *reason, int64_t until, const char *by, struct diag *diag);
/* Open again before its time. */
tm_err finding_reopen(struct house *h, tenant_id tenant, const char *id, const char *comment, const char *by,
                      struct diag *diag);
/* Those whose time is over are open again, every tenant's. *ret_n (may be NULL): how many. */
tm_err finding_wake_due(struct house *h, size_t *ret_n, struct diag *diag);
