#include "base/arena.h"
#include "store/sqlite/internal.h"
#include <string.h>

enum { SCAN_MAX = 200000 /* devices that a filter may pass over in one read */ };

/* The text after which a page goes on, terminated. */
static tm_err after_text(const char **ret, const struct store_read *r)
{
    *ret = arena_strndup(r->arena, r->after.n ? (const char *)r->after.p : "", r->after.n);
    return *ret ? TM_OK : arena_err(r->arena);
}

static tm_err one_or_none(const struct store_read *r, const char *what, const char *name, struct diag *diag)
{
    return r->n ? TM_OK
                : diag_fail(diag, TM_ENOTFOUND, "store", what, "no %s \"%s\"", what, name ? name : "");
}

typedef tm_err append_fn(struct store_read *r, size_t *cap, struct query *q);

/* Rows until the query ends or limit + 1 are there; the statement has the limit as its last parameter. */
static tm_err page(struct store_read *r, struct query *q, append_fn *append)
{
    size_t limit = read_limit(r), cap = 0;
    tm_err err = TM_OK;
    query_int(q, (int64_t)limit + 1);
    while (err == TM_OK && !r->more && query_row(q)) {
        r->more = r->n == limit;
        if (!r->more)
            err = append(r, &cap, q);
    }
    return query_leave(q, err, &r->diag);
}

static tm_err single(struct store_read *r, struct query *q, append_fn *append)
{
    size_t cap = 0;
    tm_err err = query_row(q) ? append(r, &cap, q) : TM_OK;
    return query_leave(q, err, &r->diag);
}

/* ---- resources ---- */

static tm_err resource_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->resources, r->n, cap, sizeof *r->resources, r->arena));
    tm_err err = TM_OK;
    r->resources[r->n] = (struct resource_row){
        .kind = column_text(q, 0, r->arena, &err),
        .name = column_text(q, 1, r->arena, &err),
        .version = column_int(q, 2),
        .deleted = column_int(q, 3) != 0,
        .json = column_blob(q, 4, r->arena, &err),
        .updated_at = column_int(q, 5),
        .updated_by = column_text(q, 6, r->arena, &err),
    };
    r->n += err == TM_OK;
    return err;
}

tm_err read_resource(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, r->version ? SQL_RESOURCE_GET_VERSION : SQL_RESOURCE_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    query_text(&q, r->name2);
    if (r->version)
        query_int(&q, r->version);
    TM_TRY(single(r, &q, resource_append));
    /* An old version of what is deleted now can still be asked for by number. */
    if (r->n && r->resources[0].deleted && !r->version)
        r->n = 0;
    return one_or_none(r, r->name ? r->name : "resource", r->name2, &r->diag);
}

tm_err read_resources(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    const char *after;
    TM_TRY(after_text(&after, r));
    char *kind = arena_strdup(r->arena, after);
    if (!kind)
        return arena_err(r->arena);
    /* "kind/name", or the name alone where the kind is given */
    char *slash = strchr(kind, '/');
    const char *name = "";
    if (slash) {
        *slash = '\0';
        name = slash + 1;
    }
    bool one_kind = r->name && r->name[0];
    struct query q;
    query_begin(&q, &c->db, one_kind ? SQL_RESOURCE_OF_KIND : SQL_RESOURCE_ALL);
    query_int(&q, r->tenant);
    query_text(&q, one_kind ? r->name : kind);
    query_text(&q, one_kind && !slash ? after : name);
    TM_TRY(page(r, &q, resource_append));
    if (r->n == 0)
        return TM_OK;
    const struct resource_row *last = &r->resources[r->n - 1];
    const char *next = arena_printf(r->arena, "%s/%s", last->kind, last->name);
    r->page_next = slice_str(next);
    return next ? TM_OK : arena_err(r->arena);
}

tm_err read_resource_history(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_RESOURCE_HISTORY);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    query_text(&q, r->name2);
    query_int(&q, r->version);
    return page(r, &q, resource_append);
}

/* ---- devices ---- */

static tm_err device_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->devices, r->n, cap, sizeof *r->devices, r->arena));
    tm_err err = TM_OK;
    r->devices[r->n] = (struct device_row){
        .id = column_text(q, 0, r->arena, &err),
        .serial = column_text(q, 1, r->arena, &err),
        .model = column_text(q, 2, r->arena, &err),
        .vendor = column_text(q, 3, r->arena, &err),
        .owner = column_text(q, 4, r->arena, &err),
        .place = column_text(q, 5, r->arena, &err),
        .batch = column_text(q, 6, r->arena, &err),
        .state = (int)column_int(q, 7),
        .identifiers = column_text(q, 8, r->arena, &err),
        .tags = column_text(q, 9, r->arena, &err),
        .created_at = column_int(q, 10),
        .updated_at = column_int(q, 11),
        .version = column_int(q, 12),
    };
    r->n += err == TM_OK;
    return err;
}

tm_err read_device(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_DEVICE_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    TM_TRY(single(r, &q, device_append));
    return one_or_none(r, "device", r->name, &r->diag);
}

tm_err read_devices(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    const char *after;
    TM_TRY(after_text(&after, r));
    size_t limit = read_limit(r), cap = 0, prefix = r->text ? strlen(r->text) : 0;
    struct query q;
    query_begin(&q, &c->db, r->device_owner ? SQL_DEVICE_OWNED : SQL_DEVICE_RANGE);
    query_int(&q, r->tenant);
    query_text(&q, after);
    query_text(&q, r->text);
    if (r->device_owner)
        query_text(&q, r->device_owner);
    tm_err err = TM_OK;
    const char *last = NULL;
    for (size_t seen = 0; err == TM_OK && query_row(&q); seen++) {
        struct slice id = column_slice(&q, 0);
        if (prefix && (id.n < prefix || memcmp(id.p, r->text, prefix) != 0))
            break;
        bool passes = !r->device_state || column_int(&q, 7) == r->device_state;
        if ((passes && r->n == limit) || seen == SCAN_MAX) {
            r->more = true;
            break;
        }
        if (passes)
            err = device_append(r, &cap, &q);
        if (seen + 1 == SCAN_MAX)
            last = column_text(&q, 0, r->arena, &err);
    }
    TM_TRY(query_leave(&q, err, &r->diag));
    if (last)
        r->page_next = slice_str(last);
    else if (r->n)
        r->page_next = slice_str(r->devices[r->n - 1].id);
    return TM_OK;
}

/* ---- tokens ---- */

static tm_err token_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->tokens, r->n, cap, sizeof *r->tokens, r->arena));
    tm_err err = TM_OK;
    struct token_row *row = &r->tokens[r->n];
    *row = (struct token_row){
        .id = column_text(q, 0, r->arena, &err),
        .claims = column_text(q, 2, r->arena, &err),
        .expires_at = column_int(q, 3),
        .max_uses = column_int(q, 4),
        .uses = column_int(q, 5),
        .bound_at = column_int(q, 8),
        .created_by = column_text(q, 9, r->arena, &err),
        .created_at = column_int(q, 10),
        .revoked = column_int(q, 11) != 0,
        .sealed = column_blob(q, 12, r->arena, &err),
    };
    column_octets(q, 1, row->secret_hash, sizeof row->secret_hash);
    column_octets(q, 6, row->bound_spki, sizeof row->bound_spki);
    column_octets(q, 7, row->bound_cert, sizeof row->bound_cert);
    r->n += err == TM_OK;
    return err;
}

tm_err read_token(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_TOKEN_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    TM_TRY(single(r, &q, token_append));
    return one_or_none(r, "token", r->name, &r->diag);
}

tm_err read_tokens(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    const char *after;
    TM_TRY(after_text(&after, r));
    struct query q;
    query_begin(&q, &c->db, SQL_TOKEN_RANGE);
    query_int(&q, r->tenant);
    query_text(&q, after);
    TM_TRY(page(r, &q, token_append));
    if (r->n)
        r->page_next = slice_str(r->tokens[r->n - 1].id);
    return TM_OK;
}

tm_err read_quota(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_QUOTA_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    query_int(&q, r->window_start);
    r->count = query_row(&q) ? (uint64_t)column_int(&q, 0) : 0;
    return query_end(&q, &r->diag);
}

tm_err read_idempotency(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, SQL_IDEM_GET);
    query_int(&q, r->tenant);
    query_text(&q, r->name);
    bool found = query_row(&q);
    if (found) {
        column_octets(&q, 0, r->idem.request_hash, sizeof r->idem.request_hash);
        column_octets(&q, 1, r->idem.cert, sizeof r->idem.cert);
        r->n = 1;
    }
    TM_TRY(query_end(&q, &r->diag));
    return one_or_none(r, "idempotency key", r->name, &r->diag);
}

/* ---- continuations ---- */

static tm_err continuation_append(struct store_read *r, size_t *cap, struct query *q)
{
    TM_TRY(array_grow(&r->continuations, r->n, cap, sizeof *r->continuations, r->arena));
    tm_err err = TM_OK;
    r->continuations[r->n] = (struct continuation_row){
        .id = column_text(q, 0, r->arena, &err),
        .kind = column_text(q, 1, r->arena, &err),
        .key = column_text(q, 2, r->arena, &err),
        .state = column_blob(q, 3, r->arena, &err),
        .status = column_text(q, 4, r->arena, &err),
        .created_at = column_int(q, 5),
        .expires_at = column_int(q, 6),
        .version = column_int(q, 7),
    };
    r->n += err == TM_OK;
    return err;
}

tm_err read_continuation(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct query q;
    query_begin(&q, &c->db, r->name ? SQL_CONTINUATION_GET : SQL_CONTINUATION_BY_KEY);
    query_int(&q, r->tenant);
    query_text(&q, r->name ? r->name : r->name2);
    TM_TRY(single(r, &q, continuation_append));
    return one_or_none(r, "continuation", r->name ? r->name : r->name2, &r->diag);
}

tm_err read_continuations(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    const char *after;
    TM_TRY(after_text(&after, r));
    bool by_status = r->text && r->text[0];
    struct query q;
    query_begin(&q, &c->db, by_status ? SQL_CONTINUATION_BY_STATUS : SQL_CONTINUATION_RANGE);
    query_int(&q, r->tenant);
    if (by_status)
        query_text(&q, r->text);
    query_text(&q, after);
    TM_TRY(page(r, &q, continuation_append));
    if (r->n)
        r->page_next = slice_str(r->continuations[r->n - 1].id);
    return TM_OK;
}
