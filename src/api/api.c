#include "api/api.h"
#include "api/problem.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

const char *const api_role_names[] = {"auditor", "operator", "owner", "admin", "house-admin", NULL};

enum { PARAMS_MAX = 6 };

/* Does `path` fit "/api/v1/devices/{id}"? Fills params (values in `a`). */
static bool pattern_fits(const char *pattern, const char *path, struct http_param params[PARAMS_MAX + 1],
                         struct arena *a)
{
    size_t n = 0;
    while (*pattern && *path) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *name = ++pattern;
        while (*pattern && *pattern != '}')
            pattern++;
        size_t value = strcspn(path, "/");
        if (value == 0 || n == PARAMS_MAX || *pattern != '}')
            return false;
        params[n].name = arena_strndup(a, name, (size_t)(pattern - name));
        params[n].value = arena_strndup(a, path, value);
        if (!params[n].name || !params[n].value)
            return false;
        n++;
        pattern++;
        path += value;
    }
    params[n] = (struct http_param){0};
    return *pattern == '\0' && *path == '\0';
}

/* NULL where the path has no such method: c->allow says which it has. */
static const struct api_route *find_route(struct api_call *c)
{
    struct http_param *params = arena_calloc(c->arena, PARAMS_MAX + 1, sizeof *params);
    c->allow = 0;
    if (!params)
        return NULL;
    for (const struct api_route *const *group = api_routes; *group; group++) {
        for (const struct api_route *r = *group; r->pattern; r++) {
            if (!pattern_fits(r->pattern, c->path, params, c->arena))
                continue;
            c->allow |= (unsigned)r->method;
            if (r->method == c->method) {
                c->params = params;
                return r;
            }
        }
    }
    return NULL;
}

/* ---- errors ---- */

enum { UNAVAILABLE_EACH_MS = 60000, ERROR_CODES = 256 };

/* What is not to be had now is refused to everybody until it is there again: a line a minute and kind of error says so, with how many were
 * refused since the last; /metrics counts each. */
static void log_unavailable(const struct api_call *c, tm_err e, const struct diag *diag)
{
    static _Atomic(int64_t) said_at[ERROR_CODES];
    static atomic_uint unsaid[ERROR_CODES];
    unsigned i = (unsigned)e % ERROR_CODES;
    int64_t now = (int64_t)(clock_mono_ns() / 1000000) + UNAVAILABLE_EACH_MS, last = atomic_load(&said_at[i]);
    if (now - last < UNAVAILABLE_EACH_MS || !atomic_compare_exchange_strong(&said_at[i], &last, now)) {
        atomic_fetch_add(&unsaid[i], 1);
        return;
    }
    log_warn(c->request_id, "api.unavailable", LOG_S("path", c->path), LOG_S("error", tm_err_name(e)),
             LOG_S("why", diag->message), LOG_I("more", (int64_t)atomic_exchange(&unsaid[i], 0)));
}

static void answer_problem(struct api_call *c, tm_err e, const struct diag *diag)
{
    buf_reset(&c->out);
    c->status = api_status_of(e);
    c->answer_type = "application/problem+json";
    api_problem(&c->out, e, diag, c->request_id);
    if (tm_err_class(e) == TM_CLASS_UNAVAILABLE)
        log_unavailable(c, e, diag);
    else if (tm_err_class(e) == TM_CLASS_INTERNAL)
        log_error(c->request_id, "api.failed", LOG_S("path", c->path), LOG_S("error", tm_err_name(e)),
                  LOG_S("why", diag->message));
}

static bool declared(const struct api_route *r, const char *name)
{
    if ((r->flags & API_PAGED) && (strcmp(name, "limit") == 0 || strcmp(name, "after") == 0))
        return true;
    for (const struct api_field *f = r->query; f && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return true;
    return false;
}

/* A filter that is misspelt must not quietly list everything. */
static tm_err check_query(const struct api_route *r, const struct api_call *c, struct diag *diag)
{
    for (const struct http_param *p = c->query; p && p->name && !(r->flags & API_ANY_QUERY); p++)
        if (!declared(r, p->name))
            return diag_fail(diag, TM_EINVAL, NULL, "query",
                             "there is no parameter \"%s\" here; see %s in /api/v1/openapi.json", p->name,
                             r->id);
    return TM_OK;
}

/* "certificates:read", "devices:write", "*:read": a tag of the API's document, or all; who may write may read. */
static bool scope_allows(const struct api_call *c, const char *tag, enum http_method method)
{
    if (!c->scopes || !c->scopes[0])
        return true;
    size_t n = strlen(tag);
    for (const char *s = c->scopes; *s;) {
        size_t len = strcspn(s, ","), colon = strcspn(s, ":,");
        bool named = (colon == 1 && *s == '*') || (colon == n && memcmp(s, tag, n) == 0);
        bool writes = len - colon == sizeof ":write" - 1 && memcmp(s + colon, ":write", len - colon) == 0;
        if (named && (writes || method == HTTP_M_GET))
            return true;
        s += len + (s[len] == ',');
    }
    return false;
}

tm_err api_may(const struct api_call *c, unsigned roles, const char *tag, enum http_method method,
               struct diag *diag)
{
    if (!c->principal && c->refused != TM_OK) {
        *diag = c->why_refused;
        return c->refused;
    }
    if (!(c->roles & (roles | ROLE_HOUSE_ADMIN)))
        return diag_fail(diag, c->principal ? TM_EFORBIDDEN : TM_EAUTH, "role", NULL,
                         c->principal ? "your roles in this tenant do not allow this"
                                      : "authenticate with a token or a client certificate, or sign in");
    if (!scope_allows(c, tag, method))
        return diag_fail(diag, TM_EFORBIDDEN, "token.scope", NULL, "this token is not for %s of %s",
                         method == HTTP_M_GET ? "reading" : "changes", tag);
    return TM_OK;
}

static tm_err may_call(const struct api_route *r, const struct api_call *c, struct diag *diag)
{
    if (!r->roles)
        return TM_OK;
    if (!(r->flags & API_OWN) || !c->session)
        TM_TRY(api_may(c, r->roles, r->tag, r->method, diag));
    if ((r->flags & API_SESSION) && !c->session)
        return diag_fail(diag, TM_EFORBIDDEN, "session.needed", NULL,
                         "this is for people who have signed in, not for tokens and certificates");
    return TM_OK;
}

static tm_err dispatch(struct api_call *c, struct diag *diag)
{
    const struct api_route *r = find_route(c);
    if (!r && c->allow)
        return diag_fail(diag, TM_EUSAGE, NULL, "method",
                         "this path does not take this method; see /api/v1/openapi.json");
    if (!r)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "path", "there is no such path; see /api/v1/openapi.json");
    TM_TRY(may_call(r, c, diag));
    TM_TRY(check_query(r, c, diag));
    if (c->body.n > r->body_max)
        return diag_fail(diag, TM_ETOOBIG, NULL, "body", "at most %zu octets here", r->body_max);
    return r->handler(c, diag);
}

void api_dispatch(struct api_call *c)
{
    struct diag diag = {0};
    if (c->status == 0)
        c->status = 200;
    if (!c->answer_type)
        c->answer_type = "application/json";
    tm_err e = dispatch(c, &diag);
    if (e == TM_OK)
        e = buf_err(&c->out);
    if (e != TM_OK)
        answer_problem(c, e, &diag);
}

tm_err api_body_json(json_t **ret, struct api_call *c, struct diag *diag)
{
    TM_TRY(json_parse(ret, c->body, 1 << 20, diag));
    if (json_is_object(*ret))
        return TM_OK;
    json_decref(*ret);
    *ret = NULL;
    return diag_fail(diag, TM_EINVAL, NULL, "", "the body must be a JSON object");
}

const char *api_param(const struct api_call *c, const char *name)
{
    for (const struct http_param *p = c->params; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return "";
}

const char *api_query(const struct api_call *c, const char *name)
{
    for (const struct http_param *p = c->query; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

tm_err api_query_int(int64_t *ret, const struct api_call *c, const char *name, int64_t otherwise, int64_t max,
                     struct diag *diag)
{
    const char *s = api_query(c, name);
    *ret = otherwise;
    if (!s)
        return TM_OK;
    int64_t v = 0;
    size_t n = 0;
    for (; s[n] >= '0' && s[n] <= '9' && n < 18; n++)
        v = v * 10 + (s[n] - '0');
    if (n == 0 || s[n] || v > max)
        return diag_fail(diag, TM_EINVAL, NULL, name, "must be a number from 0 to %lld", (long long)max);
    *ret = v;
    return TM_OK;
}
