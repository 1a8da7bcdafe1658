/* policy/profile.h - what a certificate of a kind looks like and who may have one.
 *
 * Layer 3. A profile is a resource: JSON bound by profile_schema (YAML in the CLI), compiled once into templates, then immutable
 * and shared between threads by reference count. The fields are documented in docs/profile-reference.md, generated from the schema. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "x509/crl.h"
#include <stdbool.h>
#include <stdint.h>
struct buf;
struct profile;
struct lint_rule;

enum retention { RETAIN_FULL, RETAIN_METADATA, RETAIN_MINIMAL };
extern const char *const retention_names[]; /* "full", "metadata", "minimal" */

/* Parse, validate (cross-field rules too) and compile. `version` is the resource's. Errors: TM_EINVAL/TM_EMALFORMED with a JSON
 * pointer in diag->field. */
tm_err profile_from_json(struct profile **ret, struct slice json, int64_t version, struct diag *diag);
void profile_free(struct profile *p);

/* What other rooms need to know of one. */
const char *profile_name(const struct profile *p);
const char *profile_description(const struct profile *p);
int64_t profile_version(const struct profile *p);
const char *profile_authority(const struct profile *p); /* the authority that issues; "" : the endpoint's */
enum retention profile_retention(const struct profile *p);
int64_t profile_keep_expired(const struct profile *p); /* seconds that expired rows stay */
int64_t profile_renew_before(const struct profile *p, int64_t not_before,
                             int64_t not_after); /* instant when renewal should begin */
bool profile_needs_approval(const struct profile *p);
bool profile_tells_of_revocation(const struct profile *p); /* else a certificate's end is its revocation */
/* A revocation list of its own; false: its certificates name their authority's. */
struct profile_crl {
    int64_t lifetime, every, delta; /* seconds; 0: the authority's, of delta: none */
    unsigned shards;
    bool on_revocation;
};
bool profile_own_crl(struct profile_crl *ret, const struct profile *p);
bool profile_needs_caa(const struct profile *p);     /* must e.caa be looked up? */
bool profile_honours_times(const struct profile *p); /* do times in a request count? */
bool profile_needs_device(const struct profile *p);
bool profile_takes_principal(
    const struct profile *p,
    const char *roles); /* may somebody with one of these roles ask for one over the API? */
bool profile_allows_door(const struct profile *p, int door);
struct general_name;
/* May a certificate of this profile have such a name at all (DNS, IP, URI, email)? TM_EDENIED or TM_EINVAL with the rule and a clause
 * that fits behind the name in `diag`. */
tm_err profile_name_check(const struct profile *p, const struct general_name *gn, struct diag *diag);
bool profile_server_keygen(const struct profile *p);            /* may the house generate the key? */
const char *profile_server_keygen_alg(const struct profile *p); /* "ec-p256", … */
int64_t profile_quota_window(const struct profile *p);          /* seconds; 0: no quota */
uint64_t profile_quota_max(const struct profile *p);
uint64_t profile_quota_per_subject(const struct profile *p);

bool profile_allows_reason(const struct profile *p,
                           enum crl_reason reason); /* may an owner revoke with it? */
/* `roles`: comma-separated, of who wants to approve; `groups`: those it belongs to. */
bool profile_may_approve(const struct profile *p, const char *roles, const char *const *groups,
                         size_t n_groups);
int64_t profile_approval_deadline(const struct profile *p); /* seconds that a request waits */
unsigned profile_lint_families(const struct profile *p);    /* bit set of enum lint_family */
bool profile_lint_fails(const struct profile *p); /* a failed lint stops the issue; else it only warns */

/* Is `role` one of the comma-separated `roles` (NULL: none)? */
bool role_listed(const char *roles, const char *role);

/* The stable text snapshot that tests diff: every field, defaults spelt out, and a sample TBS. */
tm_err profile_snapshot(struct buf *out, const struct profile *p);
/* The RFC 9908 view: which attributes, extensions and key type a CSR for this profile needs; CsrAttrs DER appended. `bound`: it must
 * also carry its connection's binding (RFC 7030 3.5). */
tm_err profile_csrattrs(struct buf *out, const struct profile *p, bool bound);
/* The same as CMP's CertReqTemplateContent (RFC 9483 4.3.3); DER appended. */
tm_err profile_cert_template(struct buf *out, const struct profile *p);
/* The JSON document it was made from, canonical. */
struct slice profile_source(const struct profile *p);

/* The ready set (B1): names and JSON sources, ended by a NULL name. */
struct ready_profile {
    const char *name;
    const char *json;
};
extern const struct ready_profile ready_profiles[];

/* Reference documentation of the schema as Markdown. */
void profile_reference(struct buf *out);
