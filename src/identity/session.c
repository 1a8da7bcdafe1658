#include "identity/session.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "identity/rows.h"
#include "issue/house.h"
#include "register/register.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGENT_MAX = 200, MORE_MAX = 8, PAGE = 200 };

static const struct json_field session_schema[] = {
    JSON_FIELD(struct session, method, JSON_K_STRING, .required = true),
    JSON_FIELD(struct session, peer, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, agent, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, token, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, roles, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, scopes, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, only_tenant, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, external, JSON_K_BOOL),
    JSON_FIELD(struct session, all_tenants, JSON_K_BOOL),
    JSON_FIELD(struct session, owner_of, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, provider, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct session, issuer, JSON_K_STRING, .max = 2048, .def = ""),
    JSON_FIELD(struct session, logout, JSON_K_STRING, .max = 8192, .def = ""),
    JSON_FIELD(struct session, last_at, JSON_K_INT, .required = true),
    JSON_FIELD(struct session, hash, JSON_K_STRING, .required = true),
    {0},
};

static void adopt(struct session *s, tenant_id tenant, const struct object_row *row)
{
    s->tenant = tenant;
    s->id = row->id;
    s->principal = row->owner;
    s->opened_at = row->created_at;
    s->expires_at = row->keep_until;
    s->version = row->version;
}

static struct object_row row_of(const struct session *s)
{
    return (struct object_row){.tenant = s->tenant,
                               .kind = OBJECT_SESSION,
                               .id = s->id,
                               .owner = s->principal,
                               .key = "",
                               .ref = "",
                               .status = 1,
                               .created_at = s->opened_at,
                               .keep_until = s->expires_at,
                               .version = s->version};
}

static json_t *state_of(const struct session *s)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:I,s:s}", "method", s->method,
                     "peer", s->peer, "agent", s->agent, "token", s->token, "roles", s->roles, "scopes",
                     s->scopes, "only_tenant", s->only_tenant, "external", s->external, "all_tenants",
                     s->all_tenants, "owner_of", s->owner_of, "provider", s->provider, "issuer", s->issuer,
                     "logout", s->logout, "last_at", (json_int_t)s->last_at, "hash", s->hash);
}

bool session_over(const struct session *s, int64_t now)
{
    return now >= s->expires_at || now - s->last_at >= SESSION_IDLE;
}

/* ---- cookies ---- */

/* RFC 6265 4.2.1: pairs between "; ". One that stands twice was set by somebody else as well. */
bool cookie_value(struct slice *ret, const char *header, const char *name)
{
    size_t n = strlen(name), found = 0;
    for (const char *p = header; p && *p;) {
        p += strspn(p, "; \t");
        size_t pair = strcspn(p, ";");
        if (pair > n && strncmp(p, name, n) == 0 && p[n] == '=') {
            *ret = slice_trim(slice_of(p + n + 1, pair - n - 1));
            found++;
        }
        p += pair;
    }
    return found == 1;
}

static tm_err csrf_of(char ret[SESSION_CSRF_TEXT], struct slice secret)
{
    uint8_t mac[SHA256_LEN];
    struct buf b;
    TM_TRY(hmac_sha256(mac, secret, SLICE_LIT("touchmark-csrf-v1")));
    buf_init(&b, 64);
    buf_put_base64(&b, SLICE_ARR(mac), BASE64_URL, 0);
    snprintf(ret, SESSION_CSRF_TEXT, "%s", buf_str(&b));
    tm_err e = buf_err(&b);
    buf_done(&b);
    return e;
}

/* ---- opening ---- */

/* As much of what a browser calls itself as is of use in a list. */
static tm_err printable(const char **ret, struct arena *a, const char *text)
{
    char *s = arena_strndup(a, text ? text : "",
                            text && strlen(text) > AGENT_MAX ? AGENT_MAX : strlen(text ? text : ""));
    if (!s)
        return TM_ENOMEM;
    for (char *p = s; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    *ret = s;
    return TM_OK;
}

/* All of a principal's, oldest first. Rows of those that are over stand among them until they are swept, and may be many. */
static tm_err list_all(struct session **ret, size_t *ret_n, struct arena *a, struct house *h,
                       tenant_id tenant, const char *principal, struct diag *diag)
{
    struct session *all = NULL;
    size_t total = 0;
    for (const char *next = ""; next;) {
        struct session *v;
        size_t n;
        TM_TRY(sessions_list(&v, &n, &next, a, h, tenant, principal, next, PAGE, diag));
        struct session *more = arena_calloc(a, total + n + 1, sizeof *more);
        if (!more)
            return TM_ENOMEM;
        if (total)
            memcpy(more, all, total * sizeof *more);
        memcpy(more + total, v, n * sizeof *v);
        all = more;
        total += n;
    }
    *ret = all;
    *ret_n = total;
    return TM_OK;
}

static tm_err drop_oldest(struct arena *a, struct house *h, const struct session *s, struct diag *diag)
{
    struct session *v;
    size_t n;
    TM_TRY(list_all(&v, &n, a, h, s->tenant, s->principal, diag));
    for (size_t i = 0; n - i >= SESSION_PER_USER_MAX && i < n; i++)
        TM_TRY(session_end(h, &v[i], "house", "too many", diag));
    return TM_OK;
}

tm_err session_open(struct session_opened *ret, struct session *s, struct arena *a, struct house *h,
                    const struct effect *more, size_t n_more, struct diag *diag)
{
    char secret[ROW_SECRET_TEXT], hash[65];
    struct effect effects[2 + MORE_MAX];
    if (n_more > MORE_MAX)
        return TM_EINTERNAL;
    TM_TRY(drop_oldest(a, h, s, diag));
    TM_TRY(row_id(&s->id, a));
    TM_TRY(row_secret(secret, hash));
    TM_TRY(printable(&s->agent, a, s->agent));
    s->hash = arena_strdup(a, hash);
    s->opened_at = s->last_at = clock_now();
    s->expires_at = s->opened_at + SESSION_LIFE;
    s->version = 0;
    if (!s->hash)
        return TM_ENOMEM;
    struct object_row row = row_of(s);
    TM_TRY(row_put(&effects[0], a, &row, state_of(s)));
    struct event_field fields[] = {{.key = "method", .kind = EVENT_STR, .s = slice_str(s->method)},
                                   {.key = "peer", .kind = EVENT_STR, .s = slice_str(s->peer)},
                                   {.key = "session", .kind = EVENT_STR, .s = slice_str(s->id)},
                                   {0}};
    TM_TRY(row_event(&effects[1], a, s->tenant, "session.opened",
                     arena_printf(a, "principal/%s", s->principal), fields));
    for (size_t i = 0; i < n_more; i++)
        effects[2 + i] = more[i];
    TM_TRY(house_commit(h, effects, 2 + n_more, diag));
    s->version = 1;
    snprintf(ret->cookie, sizeof ret->cookie, "%u.%s.%s", (unsigned)s->tenant, s->id, secret);
    tm_err e = csrf_of(ret->csrf, slice_str(secret));
    explicit_bzero(secret, sizeof secret);
    return e;
}

/* ---- finding ---- */

static tm_err unknown(struct diag *diag)
{
    return diag_fail(diag, TM_EAUTH, "session.unknown", NULL,
                     "you are not signed in any more; sign in again");
}

static tm_err read_by_id(struct session *ret, struct arena *a, struct house *h, tenant_id tenant,
                         const char *id, struct diag *diag)
{
    struct object_row row;
    struct session s = {0};
    TM_TRY(row_read(&row, &s, session_schema, a, h, tenant, OBJECT_SESSION, id, diag));
    adopt(&s, tenant, &row);
    *ret = s;
    return TM_OK;
}

/* A minute is exact enough, and costs a busy session one write in it. Another request may have been quicker. */
static void touch(struct session *s, struct arena *a, struct house *h, int64_t now)
{
    struct effect effect;
    struct diag diag = {0};
    if (now - s->last_at < SESSION_TOUCH)
        return;
    s->last_at = now;
    struct object_row row = row_of(s);
    if (row_put(&effect, a, &row, state_of(s)) == TM_OK && house_commit(h, &effect, 1, &diag) == TM_OK)
        s->version++;
}

tm_err session_find(struct session *ret, char ret_csrf[SESSION_CSRF_TEXT], struct arena *a, struct house *h,
                    const char *cookie_header, bool use, struct diag *diag)
{
    struct slice value;
    if (!cookie_value(&value, cookie_header, SESSION_COOKIE))
        return TM_ENOTFOUND;
    char *text = value.n < SESSION_COOKIE_TEXT ? arena_strndup(a, (const char *)value.p, value.n) : NULL,
         *rest;
    if (!text)
        return unknown(diag);
    unsigned long tenant = strtoul(text, &rest, 10);
    char *id = *rest == '.' ? rest + 1 : rest, *dot = strchr(id, '.');
    if (!dot || dot == id || id == rest || tenant > INT32_MAX)
        return unknown(diag);
    *dot = '\0';
    struct session s;
    tm_err e = read_by_id(&s, a, h, (tenant_id)tenant, id, diag);
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? unknown(diag) : e;
    int64_t now = clock_now();
    if (!row_secret_fits(slice_str(dot + 1), s.hash))
        return unknown(diag);
    if (session_over(&s, now))
        return diag_fail(diag, TM_EAUTH, "session.expired", NULL, "your session has ended; sign in again");
    TM_TRY(csrf_of(ret_csrf, slice_str(dot + 1)));
    if (use)
        touch(&s, a, h, now);
    *ret = s;
    return TM_OK;
}

tm_err session_read(struct session *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                    struct diag *diag)
{
    tm_err e = read_by_id(ret, a, h, tenant, id, diag);
    if (e == TM_ENOTFOUND || (e == TM_OK && session_over(ret, clock_now())))
        return diag_fail(diag, TM_ENOTFOUND, NULL, "id", "there is no session \"%s\"", id);
    return e;
}

tm_err sessions_list(struct session **ret, size_t *ret_n, const char **ret_next, struct arena *a,
                     struct house *h, tenant_id tenant, const char *principal, const char *after,
                     size_t limit, struct diag *diag)
{
    struct store_read q = {.kind = principal ? READ_OBJECTS_OWNED : READ_OBJECTS,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_SESSION,
                           .name = principal,
                           .after = slice_str(after ? after : ""),
                           .limit = limit};
    int64_t now = clock_now();
    *ret_n = 0;
    *ret_next = NULL;
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    size_t n = e == TM_OK ? q.n : 0;
    struct session *v = arena_calloc(a, n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct session s = {0};
        TM_TRY(row_bind(&s, session_schema, a, &q.objects[i], diag));
        adopt(&s, tenant, &q.objects[i]);
        if (!session_over(&s, now))
            v[(*ret_n)++] = s;
    }
    if (n && q.more)
        *ret_next = arena_strndup(a, (const char *)q.page_next.p, q.page_next.n);
    *ret = v;
    return TM_OK;
}

/* ---- ending ---- */

tm_err session_end(struct house *h, const struct session *s, const char *by, const char *why,
                   struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct effect effects[2];
    struct object_row row = row_of(s);
    row.version = -1; /* used meanwhile or not, it ends */
    if (!a)
        return TM_ENOMEM;
    struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
                                   {.key = "session", .kind = EVENT_STR, .s = slice_str(s->id)},
                                   {.key = "why", .kind = EVENT_STR, .s = slice_str(why)},
                                   {0}};
    row_drop(&effects[0], &row);
    tm_err e = row_event(&effects[1], a, s->tenant, "session.closed",
                         arena_printf(a, "principal/%s", s->principal), fields);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e;
}

tm_err sessions_end(size_t *ret_n, struct house *h, tenant_id tenant, const char *principal, const char *but,
                    const char *by, const char *why, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct session *v = NULL;
    size_t n = 0;
    *ret_n = 0;
    tm_err e = a ? list_all(&v, &n, a, h, tenant, principal, diag) : TM_ENOMEM;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        if (but && strcmp(v[i].id, but) == 0)
            continue;
        e = session_end(h, &v[i], by, why, diag);
        *ret_n += e == TM_OK;
    }
    arena_free(a);
    return e;
}
