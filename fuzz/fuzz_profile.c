/* Profile documents: what compiles shows itself whole, keeps its source, and grants or refuses its own sample.
 * Parser: policy/profile.c policy/profile_schema.c policy/profile_compile.c policy/profile_reference.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "policy/enrollment.h"
#include "policy/profile.h"
#include "x509/crl.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What other rooms ask of a profile. */
static void asked(const struct profile *p)
{
    static const char *const roles[] = {"", "admin", "operator, auditor", "owner,,admin "};
    static const char *const groups[] = {"pki", ""};
    const int64_t never = TM_TIME_NEVER, now = 1795219200;
    int64_t at = profile_renew_before(p, now, now + 86400);
    if (at < now || at > now + 86400 || profile_renew_before(p, now, never) != never)
        abort();
    for (int reason = -1; reason <= CRL_AA_COMPROMISE; reason++)
        (void)profile_allows_reason(p, (enum crl_reason)reason);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        (void)(profile_may_approve(p, roles[i], groups, i % 3) || profile_takes_principal(p, roles[i]));
    for (int door = -1; door <= DOOR_COUNT; door++)
        (void)profile_allows_door(p, door);
    if (profile_quota_window(p) < 0 || profile_approval_deadline(p) <= 0 || !*profile_name(p))
        abort();
    struct profile_crl own;
    if (profile_own_crl(&own, p) && !profile_tells_of_revocation(p))
        abort();
    (void)profile_needs_caa(p);
    (void)profile_honours_times(p);
    (void)profile_description(p);
    (void)profile_version(p);
    (void)profile_authority(p);
    (void)profile_retention(p);
    (void)profile_keep_expired(p);
    (void)profile_needs_approval(p);
    (void)profile_needs_device(p);
    (void)profile_server_keygen(p);
    (void)profile_server_keygen_alg(p);
    (void)profile_quota_max(p);
    (void)profile_quota_per_subject(p);
    (void)profile_lint_families(p);
    (void)profile_lint_fails(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct profile *p = NULL, *again = NULL;
    struct diag diag = {0};
    if (profile_from_json(&p, slice_of(data, size), 1, &diag) != TM_OK)
        return 0;
    asked(p);
    struct buf out;
    buf_init(&out, 4 << 20);
    /* A template over made-up names may give something that is too long; a crash it may not give. */
    TM_IGNORE(profile_snapshot(&out, p));
    buf_reset(&out);
    if (profile_csrattrs(&out, p, true) != TM_OK)
        abort();
    if (profile_from_json(&again, profile_source(p), 1, &diag) != TM_OK)
        abort();
    else if (!slice_eq(profile_source(p), profile_source(again)))
        abort();
    buf_done(&out);
    profile_free(again);
    profile_free(p);
    return 0;
}
