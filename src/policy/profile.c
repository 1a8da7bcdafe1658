#include "policy/profile.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "policy/enrollment.h"
#include "policy/profile_impl.h"
#include <stdlib.h>
#include <string.h>

enum { PROFILE_JSON_MAX = 256 << 10, PROFILE_ARENA_MAX = 4 << 20 };

static tm_err source_keep(struct profile *p, const json_t *doc)
{
    struct buf b;
    buf_init(&b, PROFILE_JSON_MAX * 2);
    buf_put_json(&b, doc, false);
    tm_err err = buf_err(&b);
    if (err == TM_OK)
        err = arena_copy(&p->source, p->arena, buf_slice(&b));
    buf_done(&b);
    return err;
}

static tm_err profile_load(struct profile *p, const json_t *doc, struct diag *diag)
{
    TM_TRY(json_bind(&p->doc, profile_schema, doc, "", p->arena, diag));
    TM_TRY(profile_compile(p, diag));
    return source_keep(p, doc);
}

tm_err profile_from_json(struct profile **ret, struct slice json, int64_t version, struct diag *diag)
{
    struct profile *p = calloc(1, sizeof *p);
    if (!p)
        return TM_ENOMEM;
    p->version = version;
    p->arena = arena_new(PROFILE_ARENA_MAX);
    json_t *doc = NULL;
    tm_err err = p->arena ? json_parse(&doc, json, PROFILE_JSON_MAX, diag) : TM_ENOMEM;
    if (err == TM_OK)
        err = profile_load(p, doc, diag);
    json_decref(doc);
    if (err != TM_OK) {
        profile_free(p);
        return err;
    }
    *ret = p;
    return TM_OK;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    free(p);
}

const char *profile_name(const struct profile *p)
{
    return p->doc.name;
}

bool profile_needs_caa(const struct profile *p)
{
    return p->doc.caa == CAA_REQUIRED;
}

bool profile_honours_times(const struct profile *p)
{
    return p->doc.lifetime.requested == REQUESTED_HONOUR;
}

bool profile_tells_of_revocation(const struct profile *p)
{
    return p->doc.revocation.model != REVOCATION_NONE;
}

bool profile_own_crl(struct profile_crl *ret, const struct profile *p)
{
    if (!p->doc.revocation.crl.seen)
        return false;
    *ret = (struct profile_crl){.lifetime = p->doc.revocation.crl.lifetime,
                                .every = p->doc.revocation.crl.every,
                                .delta = p->doc.revocation.crl.delta,
                                .shards = (unsigned)p->doc.revocation.crl.shards,
                                .on_revocation = p->doc.revocation.crl.on_revocation};
    return true;
}

bool profile_needs_approval(const struct profile *p)
{
    return p->doc.approval.required;
}

const char *profile_description(const struct profile *p)
{
    return p->doc.description;
}

int64_t profile_version(const struct profile *p)
{
    return p->version;
}

const char *profile_authority(const struct profile *p)
{
    return p->doc.authority;
}

enum retention profile_retention(const struct profile *p)
{
    return (enum retention)p->doc.retention.level;
}

int64_t profile_keep_expired(const struct profile *p)
{
    return p->doc.retention.keep_expired;
}

int64_t profile_renew_before(const struct profile *p, int64_t not_before, int64_t not_after)
{
    if (not_after >= TM_TIME_NEVER)
        return TM_TIME_NEVER;
    int64_t whole = not_after - not_before;
    int64_t left = p->renew_percent ? whole / 100 * p->renew_percent + whole % 100 * p->renew_percent / 100
                                    : p->renew_before;
    return left >= whole ? not_before : not_after - left;
}

bool profile_needs_device(const struct profile *p)
{
    return p->doc.device.required;
}

bool profile_allows_door(const struct profile *p, int door)
{
    return door >= 0 && door < DOOR_COUNT && (p->doc.doors >> door & 1);
}

bool profile_server_keygen(const struct profile *p)
{
    return p->doc.key.server_generated.allowed;
}

const char *profile_server_keygen_alg(const struct profile *p)
{
    return p->doc.key.server_generated.algorithm;
}

int64_t profile_quota_window(const struct profile *p)
{
    return p->doc.quota.max > 0 ? p->doc.quota.window : 0;
}

uint64_t profile_quota_max(const struct profile *p)
{
    return (uint64_t)p->doc.quota.max;
}

uint64_t profile_quota_per_subject(const struct profile *p)
{
    return (uint64_t)p->doc.quota.per_subject;
}

static const enum crl_reason owner_reasons[] = {
    CRL_UNSPECIFIED,         CRL_KEY_COMPROMISE,         CRL_AFFILIATION_CHANGED,
    CRL_SUPERSEDED,          CRL_CESSATION_OF_OPERATION, CRL_CERTIFICATE_HOLD,
    CRL_PRIVILEGE_WITHDRAWN,
};

bool profile_allows_reason(const struct profile *p, enum crl_reason reason)
{
    for (size_t i = 0; i < sizeof owner_reasons / sizeof owner_reasons[0]; i++)
        if (owner_reasons[i] == reason)
            return p->doc.revocation.reasons >> i & 1;
    return false;
}

bool profile_takes_principal(const struct profile *p, const char *roles)
{
    if (!(p->doc.callers >> CALLER_PRINCIPAL & 1))
        return false;
    for (size_t i = 0; i < p->doc.roles.n; i++)
        if (role_listed(roles, p->doc.roles.v[i]))
            return true;
    return false;
}

int64_t profile_approval_deadline(const struct profile *p)
{
    return p->doc.approval.deadline;
}

bool profile_may_approve(const struct profile *p, const char *roles, const char *const *groups,
                         size_t n_groups)
{
    for (size_t i = 0; i < p->doc.approval.roles.n; i++)
        if (role_listed(roles, p->doc.approval.roles.v[i]))
            return true;
    for (size_t i = 0; i < p->doc.approval.groups.n; i++)
        for (size_t k = 0; k < n_groups; k++)
            if (strcmp(p->doc.approval.groups.v[i], groups[k]) == 0)
                return true;
    return false;
}

unsigned profile_lint_families(const struct profile *p)
{
    return p->doc.lint.families;
}

bool profile_lint_fails(const struct profile *p)
{
    return p->doc.lint.mode == LINT_MODE_FAIL;
}

struct slice profile_source(const struct profile *p)
{
    return p->source;
}

bool role_listed(const char *roles, const char *role)
{
    size_t n = strlen(role);
    for (const char *at = roles ? roles : ""; *at;) {
        size_t word = strcspn(at, ",");
        struct slice have = slice_trim(slice_of(at, word));
        if (have.n == n && memcmp(have.p, role, n) == 0)
            return true;
        at += word;
        at += *at == ',';
    }
    return false;
}
