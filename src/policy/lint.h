/* policy/lint.h - lint rules over what is about to be signed: one file a rule in policy/lint/, one table.
 * Layer 3, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/cert.h"
struct arena;

enum lint_family { LINT_RFC5280 = 1, LINT_BR = 2, LINT_8021AR = 4, LINT_TOUCHMARK = 8 };
enum lint_severity { LINT_WARN, LINT_FAIL };

struct lint_subject {
    const struct cert *cert;   /* parsed TBS with a dummy signature or a whole certificate */
    const struct cert *issuer; /* may be NULL */
    struct arena *arena;
    int64_t now;
};
struct lint_finding {
    const struct lint_rule *rule;
    char detail[160];
};
struct lint_rule {
    const char *id;     /* "rfc5280.serial-positive" */
    const char *source; /* "RFC 5280 4.1.2.2" */
    enum lint_family family;
    enum lint_severity severity;
    const char *title; /* one line */
    /* True when the rule is broken; fills detail. */
    bool (*broken)(const struct lint_subject *s, char detail[160]);
};
/* NULL-terminated. */
extern const struct lint_rule *const lint_rules[];
const struct lint_rule *lint_rule_find(const char *id);

enum { LINT_FINDINGS_MAX = 32 };
struct lint_report {
    struct lint_finding v[LINT_FINDINGS_MAX];
    size_t n;
    bool failed; /* at least one finding of severity FAIL */
};
/* Run every rule of the families (bit set). */
void lint_run(struct lint_report *ret, const struct lint_subject *s, unsigned families);
