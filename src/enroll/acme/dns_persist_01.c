/* dns-persist-01 (draft-ietf-acme-dns-persist): a record that stays, and names the authority and the account. */
#include "base/arena.h"
#include "base/clock.h"
#include "enroll/acme/issue_value.h"
#include "enroll/acme/resolve.h"
#include "enroll/acme/validate.h"
#include <string.h>

enum { RECORD_MAX = 4096, DIGITS_MAX = 18 };

/* ---- a record ---- */

static bool number(int64_t *ret, struct slice text)
{
    int64_t v = 0;
    if (text.n == 0 || text.n > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        v = v * 10 + (text.p[i] - '0');
    }
    *ret = v;
    return true;
}

struct parameters {
    struct slice account, policy, until;
    bool has_account, has_policy, has_until;
};

/* False: the record says something twice. What is not known is passed over. */
static bool parameter(struct parameters *p, struct slice tag, struct slice value)
{
    struct {
        const char *tag;
        struct slice *value;
        bool *seen;
    } known[] = {{"accounturi", &p->account, &p->has_account},
                 {"policy", &p->policy, &p->has_policy},
                 {"persistUntil", &p->until, &p->has_until}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!slice_caseeq(tag, slice_str(known[i].tag)))
            continue;
        if (*known[i].seen)
            return false;
        *known[i].seen = true;
        *known[i].value = value;
    }
    return true;
}

bool persist_accepts(struct slice text, const struct persist_wanted *w)
{
    struct parameters p = {.has_account = false};
    struct issue_value v;
    struct slice tag, value;
    int64_t until;
    issue_value_begin(&v, text);
    if (!issue_value_is_for(&v, w->issuers))
        return false;
    while (issue_value_next(&v, &tag, &value))
        if (!parameter(&p, tag, value))
            return false;
    if (v.bad || !p.has_account || !slice_eq_str(p.account, w->account_url))
        return false;
    if (w->wildcard && !(p.has_policy && slice_caseeq(p.policy, SLICE_LIT("wildcard"))))
        return false;
    return !p.has_until || (number(&until, p.until) && w->now <= until);
}

/* ---- the challenge ---- */

/* The strings of a TXT record, one behind the other; false: too long or broken. */
static bool join(uint8_t out[RECORD_MAX], size_t *ret_n, struct slice rdata)
{
    *ret_n = 0;
    while (rdata.n > 0) {
        size_t n = rdata.p[0];
        if (n > rdata.n - 1 || n > RECORD_MAX - *ret_n)
            return false;
        memcpy(out + *ret_n, rdata.p + 1, n);
        *ret_n += n;
        rdata = slice_sub(rdata, 1 + n, rdata.n);
    }
    return true;
}

static tm_err run(struct attempt *t)
{
    struct slice records[RESOLVE_RECORDS_MAX];
    struct diag diag = {0};
    uint8_t text[RECORD_MAX];
    size_t count, n;
    const struct persist_wanted wanted = {.issuers = &t->settings->caa,
                                          .account_url = t->account_url,
                                          .wildcard = t->wildcard,
                                          .now = clock_now()};
    const char *name = arena_printf(t->arena, "_validation-persist.%s", t->identifier->value);
    if (!name)
        return TM_ENOMEM;
    tm_err e = resolver_lookup(records, RESOLVE_RECORDS_MAX, &count, t->arena, t->resolver, name, RESOLVE_TXT,
                               t->reach.deadline_ns, &diag);
    if (e != TM_OK)
        return attempt_failed(t, ACME_P_DNS, "%s", diag.message);
    for (size_t i = 0; i < count; i++)
        if (join(text, &n, records[i]) && persist_accepts(slice_of(text, n), &wanted))
            return TM_OK;
    if (count == 0)
        return attempt_failed(t, ACME_P_DNS, "there is no TXT record at %s", name);
    return attempt_failed(t, ACME_P_UNAUTHORIZED,
                          "none of the %zu TXT records at %s lets this account have the name now", count,
                          name);
}

const struct challenge challenge_dns_persist_01 = {.type = ACME_DNS_PERSIST_01,
                                                   .name = "dns-persist-01",
                                                   .wildcard = true,
                                                   .addresses = false,
                                                   .tokenless = true,
                                                   .run = run};
