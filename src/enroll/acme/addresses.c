/* Where a validation goes: the addresses of the host that is to be looked at, as far as the rules let it (enroll/outbound/reach.h). */
#include "enroll/acme/resolve.h"
#include "enroll/acme/validate.h"
#include <stdarg.h>
#include <stdio.h>

tm_err attempt_failed(struct attempt *t, enum acme_problem p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->detail, sizeof t->detail, fmt, ap);
    va_end(ap);
    t->problem = p;
    return TM_EDENIED;
}

static tm_err look_up(struct address *ret, size_t *n, struct attempt *t, const char *host, int type)
{
    struct slice records[REACH_ADDRESSES_MAX];
    size_t count, size = type == RESOLVE_A ? 4 : 16;
    struct diag diag = {0};
    tm_err e = resolver_lookup(records, REACH_ADDRESSES_MAX, &count, t->arena, t->resolver, host, type,
                               t->reach.deadline_ns, &diag);
    if (e != TM_OK)
        return attempt_failed(t, ACME_P_DNS, "%s", diag.message);
    for (size_t i = 0; i < count && *n < REACH_ADDRESSES_MAX; i++)
        if (records[i].n == size)
            ret[(*n)++] = size == 4 ? address_from_v4(records[i].p) : address_from_v6(records[i].p);
    return TM_OK;
}

/* Resolved once and connected to as they are, so that a name that changes in between gains nothing. */
static tm_err resolve(struct address *ret, size_t *ret_n, struct attempt *t, const char *host)
{
    struct address all[REACH_ADDRESSES_MAX];
    size_t n = 0, allowed = 0;
    char text[ADDRESS_TEXT_MAX] = "";
    if (reach_literal(&all[0], host)) {
        n = 1;
    } else {
        /* One family is enough: servers that answer AAAA with an error are common. */
        tm_err v6 = look_up(all, &n, t, host, RESOLVE_AAAA);
        tm_err v4 = look_up(all, &n, t, host, RESOLVE_A);
        if (n == 0 && (v4 != TM_OK || v6 != TM_OK))
            return v4 != TM_OK ? v4 : v6;
        if (n == 0)
            return attempt_failed(t, ACME_P_DNS, "%s has no address", host);
    }
    for (size_t i = 0; i < n; i++) {
        if (reach_allowed(t->reach.networks, &all[i]))
            ret[allowed++] = all[i];
        else
            address_format(text, &all[i]);
    }
    *ret_n = allowed;
    if (allowed)
        return TM_OK;
    t->final = true;
    return attempt_failed(t, ACME_P_CONNECTION, "%s leads to %s, where validations here do not go", host,
                          text);
}

tm_err attempt_connect(int *ret_fd, struct attempt *t, const char *host, int port)
{
    struct address v[REACH_ADDRESSES_MAX];
    size_t n = 0;
    TM_TRY(resolve(v, &n, t, host));
    tm_err e = reach_connect(ret_fd, &t->reach, v, n, port);
    return e == TM_EUNAVAIL ? attempt_failed(t, ACME_P_CONNECTION, "%s", t->reach.why) : e;
}
