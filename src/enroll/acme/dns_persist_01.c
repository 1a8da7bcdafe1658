/* dns-persist-01 (draft-ietf-acme-dns-persist): a record that stays, and names the authority and the account. */
#include "base/arena.h"
#include "base/clock.h"
#include "enroll/acme/resolve.h"
#include "enroll/acme/validate.h"
#include <string.h>
#include <strings.h>

enum { RECORD_MAX = 4096, DIGITS_MAX = 18 };

/* ---- an issue-value (RFC 8659 4.2) ---- */

static struct slice skip_blanks(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_sub(s, 1, s.n);
    return s;
}

static struct slice trim_end(struct slice s)
{
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* What stands before the next ";"; *s moves behind it. */
static struct slice next_part(struct slice *s)
{
    const uint8_t *at = s->n ? memchr(s->p, ';', s->n) : NULL;
    struct slice part = at ? slice_of(s->p, (size_t)(at - s->p)) : *s;
    *s = at ? slice_sub(*s, part.n + 1, s->n) : (struct slice){0};
    return trim_end(skip_blanks(part));
}

static bool printable(struct slice value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x21 || value.p[i] > 0x7e)
            return false;
    return true;
}

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

static bool issuer_is_ours(struct slice name, const struct json_strings *issuers)
{
    for (size_t i = 0; i < issuers->n; i++)
        if (slice_caseeq(name, slice_str(issuers->v[i])))
            return true;
    return false;
}

struct parameters {
    struct slice account, policy, until;
    bool has_account, has_policy, has_until;
};

/* One "tag=value". False: the record is broken, or says something twice. What is not known is passed over. */
static bool parameter(struct parameters *p, struct slice part)
{
    const uint8_t *at = part.n ? memchr(part.p, '=', part.n) : NULL;
    if (!at)
        return false;
    struct slice tag = trim_end(slice_of(part.p, (size_t)(at - part.p)));
    struct slice value = skip_blanks(slice_sub(part, (size_t)(at - part.p) + 1, part.n));
    if (tag.n == 0 || !printable(value))
        return false;
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
    int64_t until;
    if (!issuer_is_ours(next_part(&text), w->issuers))
        return false;
    while (text.n > 0) {
        struct slice part = next_part(&text);
        if (part.n == 0 && text.n == 0)
            break; /* a ";" at the end */
        if (!parameter(&p, part))
            return false;
    }
    if (!p.has_account || !slice_eq_str(p.account, w->account_url))
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
                               t->deadline_ns, &diag);
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
