/* policy/lint.h - lint rules over what is about to be signed: one file a rule in policy/lint/, one table.
 * Layer 3, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/cert.h"
struct arena;
struct buf;

enum lint_family { LINT_RFC5280 = 1, LINT_BR = 2, LINT_8021AR = 4, LINT_TOUCHMARK = 8 };
enum lint_severity { LINT_WARN, LINT_FAIL };

struct lint_view;
struct plan;

struct lint_subject {
    const struct cert *cert;   /* parsed TBS with a dummy signature or a whole certificate */
    const struct cert *issuer; /* may be NULL */
    struct arena *arena;
    int64_t now;
    const struct lint_view
        *view; /* what the rules share, decoded once; lint_run() fills it in (policy/lint/view.h) */
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

/* The same over a TBSCertificate that is about to be signed: wrapped with an empty signature and parsed again, so that the
 * rules see the bytes and not the plan. *ret_cert is what they saw, in `a`. Errors: what cert_parse() says about them, TM_ENOMEM. */
tm_err lint_plan(struct lint_report *ret, struct cert **ret_cert, struct arena *a, const struct plan *p,
                 struct slice tbs, unsigned families, int64_t now);

extern const char *const lint_family_names[]; /* "rfc5280", "br", "802.1ar", "touchmark"; index = bit */
/* Reference documentation of the rules as Markdown. */
void lint_reference(struct buf *out);
