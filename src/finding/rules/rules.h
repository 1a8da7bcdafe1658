/* finding/rules/rules.h - every rule there is. To add one: copy a neighbour's file, add a line here, one in table.c, one in meson.build, and a
 * case in tests/unit/finding/test_rules.c. Layer 5, private to finding/. */
#pragma once
#include "finding/facts.h"
#include <jansson.h>

/* What a broken rule says. */
struct found {
    enum finding_severity severity;
    char why[FINDING_WHY_MAX];
    json_t *evidence; /* object, or NULL: there is none; whoever asked the rule json_decref()s it */
};

/* Why it is true, one sentence; always true, so that a rule ends with it. What would not print becomes '?'. */
[[gnu::format(printf, 3, 4)]] bool found_say(struct found *out, enum finding_severity severity,
                                             const char *fmt, ...);
/* Facts, beside those that all have (not_after, issuer …). */
void found_text(struct found *out, const char *key, const char *value);
/* Takes `value`. */
void found_json(struct found *out, const char *key, json_t *value);
void found_int(struct found *out, const char *key, int64_t value);
void found_time(struct found *out, const char *key, int64_t unix_seconds);
/* "12 days", "5 hours": how long, in words. */
const char *found_span(struct arena *a, int64_t seconds);
/* "2026-11-21" */
const char *found_day(struct arena *a, int64_t unix_seconds);
/* "rsa-1024", "ec-p256"; "unknown" */
const char *found_key(struct arena *a, const struct finding_facts *f);
/* Does a name of the certificate fit the host name (RFC 9525 6.3)? */
bool found_name_fits(const struct finding_facts *f, const char *host);

extern const struct finding_rule finding_key_weak, finding_hash_weak, finding_key_roca, finding_key_listed,
    finding_key_factorable, finding_key_shared_factor, finding_key_reuse, finding_key_test,
    finding_lifetime_too_long, finding_lifetime_wrong, finding_expired, finding_expiring_unrenewed,
    finding_renewal_overdue, finding_ca_shadow, finding_self_signed, finding_wildcard_sprawl, finding_unowned,
    finding_policy_breach, finding_place_wrong, finding_name_mismatch, finding_chain_incomplete,
    finding_revoked_in_use;
