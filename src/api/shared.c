/* What the handlers share: reads, lists and the members of answers. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include <string.h>

enum { EVENTS_PAGE = 1000 };

tm_err api_read(struct api_call *c, struct store_read *q, struct diag *diag)
{
    q->tenant = c->tenant->id;
    q->arena = c->arena;
    tm_err e = store_read_now(c->house->store, q);
    if (e != TM_OK)
        *diag = q->diag;
    return e;
}

tm_err api_each_event(struct api_call *c, tenant_id tenant, const char *type, uint64_t from,
                      void (*each)(void *arg, const struct event_row *v), void *arg, struct diag *diag)
{
    struct arena *page = arena_new(64 << 20);
    struct store_read q = {.kind = READ_EVENTS,
                           .tenant = tenant,
                           .arena = page,
                           .name = type,
                           .pos_from = from,
                           .limit = EVENTS_PAGE};
    tm_err e = page ? TM_OK : TM_ENOMEM;
    do {
        if (e == TM_OK && (e = store_read_now(c->house->store, &q)) != TM_OK)
            *diag = q.diag;
        for (size_t i = 0; e == TM_OK && i < q.n; i++)
            each(arg, &q.events[i]);
        q.pos_from = q.pos_next;
        if (page)
            arena_reset(page);
    } while (e == TM_OK && q.more);
    arena_free(page);
    return e;
}

tm_err api_limit(size_t *ret, const struct api_call *c, size_t otherwise, size_t max, struct diag *diag)
{
    int64_t limit;
    TM_TRY(api_query_int(&limit, c, "limit", (int64_t)otherwise, (int64_t)max, diag));
    *ret = limit < 1 ? 1 : (size_t)limit;
    return TM_OK;
}

void api_put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ",\"%s\":", key);
    buf_put_json_string(out, slice_str(value ? value : ""));
}

void api_put_time(struct buf *out, const char *key, int64_t unix_seconds)
{
    if (unix_seconds == 0) {
        buf_printf(out, ",\"%s\":null", key);
        return;
    }
    char time[21];
    clock_format_rfc3339(time, unix_seconds);
    buf_printf(out, ",\"%s\":\"%s\"", key, time);
}

void api_put_int(struct buf *out, const char *key, int64_t value)
{
    buf_printf(out, ",\"%s\":%lld", key, (long long)value);
}

void api_put_bool(struct buf *out, const char *key, bool value)
{
    buf_printf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

void api_put_next(struct buf *out, const struct store_read *q, bool hex)
{
    buf_puts(out, "]");
    if (q->more && hex) {
        buf_puts(out, ",\"next\":\"");
        buf_put_hex(out, q->page_next);
        buf_puts(out, "\"");
    } else if (q->more) {
        buf_puts(out, ",\"next\":");
        buf_put_json_string(out, q->page_next);
    }
    buf_puts(out, "}\n");
}

bool api_accepts(const struct api_call *c, const char *type)
{
    return c->accept && strstr(c->accept, type) != NULL;
}

tm_err api_cert_id(uint8_t ret[CERT_SERIAL_LEN], struct api_call *c, const char *text, struct diag *diag)
{
    struct slice id;
    if (hex_decode(&id, c->arena, slice_str(text)) != TM_OK || id.n != CERT_SERIAL_LEN)
        return diag_fail(diag, TM_EINVAL, NULL, "serial", "a serial has %d octets in hex", CERT_SERIAL_LEN);
    memcpy(ret, id.p, CERT_SERIAL_LEN);
    return TM_OK;
}

tm_err api_may_device(struct api_call *c, unsigned roles, const char *device, struct diag *diag)
{
    if (c->roles & (roles | ROLE_HOUSE_ADMIN))
        return TM_OK;
    struct store_read q = {.kind = READ_DEVICE, .name = device ? device : ""};
    if ((c->roles & ROLE_OWNER) && c->owner_of && c->owner_of[0] && q.name[0]) {
        tm_err e = api_read(c, &q, diag);
        if (e != TM_OK && e != TM_ENOTFOUND)
            return e;
        if (e == TM_OK && strcmp(q.devices[0].owner, c->owner_of) == 0)
            return TM_OK;
    }
    return diag_fail(diag, TM_EFORBIDDEN, "role", NULL, "this is not one of your devices");
}

const char *api_roles_text(struct arena *a, unsigned roles)
{
    struct buf b;
    buf_init(&b, 256);
    for (unsigned i = 0; api_role_names[i]; i++)
        if (roles & (1u << i))
            buf_printf(&b, "%s%s", b.n ? "," : "", api_role_names[i]);
    const char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

bool api_sees_tenants(const struct api_call *c)
{
    if (c->roles & ROLE_HOUSE_ADMIN)
        return true;
    if (c->only_tenant && c->only_tenant[0])
        return false;
    const struct principal *p = catalog_principal(c->catalog, TENANT_HOUSE, c->principal);
    return p && p->all_tenants && !catalog_principal(c->catalog, c->tenant->id, c->principal);
}

tm_err api_expected_version(int64_t *ret, const struct api_call *c, struct diag *diag)
{
    *ret = -1;
    if (!c->if_match)
        return TM_OK;
    struct slice s = slice_trim(slice_str(c->if_match));
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = slice_sub(s, 1, s.n - 2);
    int64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || i > 17)
            return diag_fail(diag, TM_EINVAL, "RFC 9110 13.1.1", "If-Match",
                             "must be a version number in quotes, as ETag gave it");
        v = v * 10 + (s.p[i] - '0');
    }
    *ret = v;
    return TM_OK;
}

struct comment_doc {
    const char *comment;
};
const struct json_field comment_schema[] = {
    JSON_FIELD(struct comment_doc, comment, JSON_K_STRING, .max = 1000, .def = "",
               .doc = "why, for the register"),
    {0},
};

tm_err api_comment(const char **ret, struct api_call *c, struct diag *diag)
{
    struct comment_doc doc = {0};
    *ret = "";
    if (c->body.n == 0)
        return TM_OK;
    json_t *json = NULL;
    TM_TRY(api_body_json(&json, c, diag));
    tm_err e = json_bind(&doc, comment_schema, json, "", c->arena, diag);
    json_decref(json);
    if (e == TM_OK)
        *ret = doc.comment;
    return e;
}
