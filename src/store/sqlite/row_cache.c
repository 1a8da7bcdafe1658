#include "store/sqlite/row_cache.h"
#include "base/arena.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_TOKEN = 0 }; /* beside enum object_kind, which begins with 1 */

struct row_entry {
    struct row_entry *next;          /* in its bucket */
    struct row_entry *newer, *older; /* by use */
    size_t size;
    tenant_id tenant;
    int kind;
    const char *id;
    union {
        struct object_row object;
        struct token_row token;
    } u; /* its texts stand in `text` */
    size_t text_n;
    char text[];
};

void row_cache_init(struct row_cache *c)
{
    *c = (struct row_cache){0};
    pthread_mutex_init(&c->lock, NULL);
}

/* A token's entry has what its secret is compared with. */
static void entry_free(struct row_entry *e)
{
    if (e->kind == KIND_TOKEN)
        explicit_bzero(&e->u.token, sizeof e->u.token);
    free(e);
}

/* ---- entries; the lock is held ---- */

/* FNV-1a */
static struct row_entry **bucket_of(struct row_cache *c, tenant_id tenant, int kind, const char *id)
{
    uint64_t h = 0xcbf29ce484222325U ^ ((uint64_t)tenant << 8 | (uint64_t)kind);
    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * 0x100000001b3U;
    return &c->buckets[(h ^ h >> 32) % ROW_CACHE_BUCKETS];
}

static struct row_entry **place_of(struct row_cache *c, tenant_id tenant, int kind, const char *id)
{
    struct row_entry **at = bucket_of(c, tenant, kind, id);
    while (*at && ((*at)->tenant != tenant || (*at)->kind != kind || strcmp((*at)->id, id) != 0))
        at = &(*at)->next;
    return at;
}

static void use_unlink(struct row_cache *c, struct row_entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void use_link(struct row_cache *c, struct row_entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop_at(struct row_cache *c, struct row_entry **at)
{
    struct row_entry *e = *at;
    if (!e)
        return;
    *at = e->next;
    use_unlink(c, e);
    c->octets -= e->size;
    entry_free(e);
}

static void drop(struct row_cache *c, tenant_id tenant, int kind, const char *id)
{
    drop_at(c, place_of(c, tenant, kind, id));
}

/* In the place of what was there under this name. */
static void enter(struct row_cache *c, struct row_entry *e)
{
    drop(c, e->tenant, e->kind, e->id);
    struct row_entry **bucket = bucket_of(c, e->tenant, e->kind, e->id);
    e->next = *bucket;
    *bucket = e;
    use_link(c, e);
    c->octets += e->size;
    while (c->octets > ROW_CACHE_OCTETS && c->oldest != e)
        drop(c, c->oldest->tenant, c->oldest->kind, c->oldest->id);
}

static struct row_entry *find(struct row_cache *c, tenant_id tenant, int kind, const char *id)
{
    struct row_entry *e = *place_of(c, tenant, kind, id);
    if (e) {
        use_unlink(c, e);
        use_link(c, e);
    }
    return e;
}

/* ---- rows to entries and back ---- */

/* What is borrowed in a row is copied below, member by member: who adds one comes by here. */
static_assert(sizeof(void *) != 8 || (sizeof(struct object_row) == 96 && sizeof(struct token_row) == 168),
              "a row has another size: copy what it borrows");

static const char *put(char **at, const char *s)
{
    size_t n = s ? strlen(s) + 1 : 1;
    char *copy = *at;
    if (s)
        memcpy(copy, s, n);
    else
        *copy = '\0';
    *at += n;
    return copy;
}

/* The last of an entry, with a NUL behind it as reading has it. */
static struct slice put_octets(char *at, struct slice s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    at[s.n] = '\0';
    return slice_of(at, s.n);
}

static size_t room_of(const char *s)
{
    return s ? strlen(s) + 1 : 1;
}

static struct row_entry *entry_new(tenant_id tenant, int kind, size_t text_n)
{
    struct row_entry *e = text_n <= ROW_CACHE_ROW_MAX ? malloc(sizeof *e + text_n) : NULL;
    if (!e)
        return NULL;
    *e = (struct row_entry){.size = sizeof *e + text_n, .tenant = tenant, .kind = kind, .text_n = text_n};
    return e;
}

static struct row_entry *of_object(tenant_id tenant, const struct object_row *row)
{
    struct row_entry *e = entry_new(tenant, (int)row->kind,
                                    room_of(row->id) + room_of(row->owner) + room_of(row->key) +
                                        room_of(row->ref) + row->state.n + 1);
    if (!e)
        return NULL;
    char *at = e->text;
    struct object_row *r = &e->u.object;
    *r = *row;
    r->tenant = tenant;
    e->id = r->id = put(&at, row->id);
    r->owner = put(&at, row->owner);
    r->key = put(&at, row->key);
    r->ref = put(&at, row->ref);
    r->state = put_octets(at, row->state);
    return e;
}

static struct row_entry *of_token(tenant_id tenant, const struct token_row *row)
{
    struct row_entry *e =
        entry_new(tenant, KIND_TOKEN,
                  room_of(row->id) + room_of(row->claims) + room_of(row->created_by) + row->sealed.n + 1);
    if (!e)
        return NULL;
    char *at = e->text;
    struct token_row *r = &e->u.token;
    *r = *row;
    e->id = r->id = put(&at, row->id);
    r->claims = put(&at, row->claims);
    r->created_by = put(&at, row->created_by);
    r->sealed = put_octets(at, row->sealed);
    return e;
}

/* The same text in the copy. */
static const char *moved(const struct row_entry *e, const char *copy, const void *text)
{
    return copy + ((const char *)text - e->text);
}

static const char *copy_text(const struct row_entry *e, struct arena *a)
{
    char *copy = arena_alloc(a, e->text_n);
    return copy ? memcpy(copy, e->text, e->text_n) : NULL;
}

/* ---- reading ---- */

struct object_row *row_cache_object(struct row_cache *c, struct arena *a, tenant_id tenant,
                                    enum object_kind kind, const char *id)
{
    struct object_row *r = NULL;
    pthread_mutex_lock(&c->lock);
    const struct row_entry *e = find(c, tenant, (int)kind, id);
    const char *copy = e ? copy_text(e, a) : NULL;
    if (copy && (r = arena_alloc(a, sizeof *r))) {
        *r = e->u.object;
        r->id = moved(e, copy, r->id);
        r->owner = moved(e, copy, r->owner);
        r->key = moved(e, copy, r->key);
        r->ref = moved(e, copy, r->ref);
        r->state.p = (const uint8_t *)moved(e, copy, r->state.p);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

struct token_row *row_cache_token(struct row_cache *c, struct arena *a, tenant_id tenant, const char *id)
{
    struct token_row *r = NULL;
    pthread_mutex_lock(&c->lock);
    const struct row_entry *e = find(c, tenant, KIND_TOKEN, id);
    const char *copy = e ? copy_text(e, a) : NULL;
    if (copy && (r = arena_alloc(a, sizeof *r))) {
        *r = e->u.token;
        r->id = moved(e, copy, r->id);
        r->claims = moved(e, copy, r->claims);
        r->created_by = moved(e, copy, r->created_by);
        r->sealed.p = (const uint8_t *)moved(e, copy, r->sealed.p);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* ---- entering ---- */

uint64_t row_cache_mark(const struct row_cache *c)
{
    return atomic_load_explicit(&c->changes, memory_order_acquire);
}

static void enter_if(struct row_cache *c, uint64_t mark, struct row_entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&c->lock);
    if (mark == atomic_load_explicit(&c->changes, memory_order_relaxed))
        enter(c, e);
    else
        entry_free(e);
    pthread_mutex_unlock(&c->lock);
}

void row_cache_enter_object(struct row_cache *c, uint64_t mark, tenant_id tenant,
                            const struct object_row *row)
{
    enter_if(c, mark, of_object(tenant, row));
}

void row_cache_enter_token(struct row_cache *c, uint64_t mark, tenant_id tenant, const struct token_row *row)
{
    enter_if(c, mark, of_token(tenant, row));
}

static bool effect_concerns(const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_OBJECT_PUT:
    case EFFECT_OBJECT_DROP:
    case EFFECT_TOKEN_ADD:
    case EFFECT_TOKEN_USE:
    case EFFECT_TOKEN_REVOKE:
    case EFFECT_TOKEN_SEAL:
        return true;
    default:
        return false;
    }
}

static void row_committed(struct row_cache *c, tenant_id tenant, struct object_row row)
{
    if (row.version > 1) {
        const struct row_entry *before = *place_of(c, tenant, (int)row.kind, row.id);
        if (!before)
            return;
        row.owner = before->u.object.owner;
        row.created_at = before->u.object.created_at;
    }
    struct row_entry *e = of_object(tenant, &row);
    if (e)
        enter(c, e);
    else
        drop(c, tenant, (int)row.kind, row.id);
}

static void effect_committed(struct row_cache *c, const struct effect *e)
{
    const struct object_row *row = &e->u.object.row;
    switch (e->kind) {
    case EFFECT_OBJECT_PUT:
        row_committed(c, e->tenant, *row);
        break;
    case EFFECT_OBJECT_DROP:
        drop(c, e->tenant, (int)row->kind, row->id);
        break;
    default:
        drop(c, e->tenant, KIND_TOKEN, e->u.token.row.id);
    }
}

void row_cache_committed(struct row_cache *c, const struct store_txn *group)
{
    bool locked = false;
    for (const struct store_txn *t = group; t; t = t->next) {
        for (size_t i = 0; t->err == TM_OK && i < t->n; i++) {
            if (!effect_concerns(&t->effects[i]))
                continue;
            if (!locked)
                pthread_mutex_lock(&c->lock);
            locked = true;
            effect_committed(c, &t->effects[i]);
        }
    }
    if (!locked)
        return;
    atomic_fetch_add_explicit(&c->changes, 1, memory_order_release);
    pthread_mutex_unlock(&c->lock);
}

/* ---- the end ---- */

void row_cache_clear(struct row_cache *c)
{
    pthread_mutex_lock(&c->lock);
    for (struct row_entry *e = c->newest, *older; e; e = older) {
        older = e->older;
        entry_free(e);
    }
    memset(c->buckets, 0, sizeof c->buckets);
    c->newest = c->oldest = NULL;
    c->octets = 0;
    atomic_fetch_add_explicit(&c->changes, 1, memory_order_release);
    pthread_mutex_unlock(&c->lock);
}

void row_cache_done(struct row_cache *c)
{
    row_cache_clear(c);
    pthread_mutex_destroy(&c->lock);
}
