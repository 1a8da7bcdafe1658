/* finding/judge.h - one subject before the rules: what it breaks is opened, what it breaks no longer is closed.
 *
 * Layer 5, one thread, private to finding/. Findings are compared with what the store has of the subject; changes gather up to a commit of some
 * hundred, with one event for what was opened and one for what was closed. */
#pragma once
#include "finding/finding.h"
struct finding_facts;
struct house;
struct judge;

tm_err judge_new(struct judge **ret, struct house *h, tenant_id tenant);
void judge_free(struct judge *j);

/* Rules of `set` (bits by finding_rule_index()) that fit the facts are asked; findings of other rules stay as they are. `stored`: the store may have
 * findings of this subject; false spares the look. Rules' facts are done with when it returns. */
tm_err judge_subject(struct judge *j, const struct finding_facts *f, const char *subject, uint64_t set,
                     bool stored, struct diag *diag);
/* The subject is there no longer, or its rule. */
tm_err judge_absent(struct judge *j, const char *subject, uint64_t set, struct diag *diag);
/* Commit what has gathered. TM_ECONFLICT: somebody decided about one of them meanwhile; nothing of it was written, it has to be looked at again. */
tm_err judge_flush(struct judge *j, struct diag *diag);

struct judge_counts {
    uint64_t opened, closed, changed, held; /* held: over the limit of a rule */
};
struct judge_counts judge_counts(const struct judge *j);
/* Open findings of a rule beyond this are counted and not kept. */
enum { FINDING_RULE_MAX = 100000 };
/* How many of a rule are open, by rule index; told by whoever counted. */
void judge_limits(struct judge *j, const uint64_t open[64]);

/* The set of all rules of a scope that have none of `without`, or with `only` all of `only`, of their flags. */
uint64_t judge_rules(enum finding_scope scope, unsigned only, unsigned without);
