#include "store/sqlite/sift.h"
#include "base/arena.h"
#include "base/text.h"
#include "store/sqlite/internal.h"
#include "store/sqlite/read_cert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO, MAYBE, YES, MIXED };
enum { KEY_ROWS_MAX = 100000, KEY_ROWS_VERIFIED = 500, LANES = 64 };

/* A test, made ready. */
struct sift_node {
    enum cert_test_kind kind;
    struct sift_node *parts;
    size_t n;
    enum { FROM_COLUMN, FROM_STATUS, FROM_PLACE } from;
    enum column column;
    int64_t least, most;        /* ranges */
    uint8_t bits;               /* flags, all of which */
    bool unset;                 /* none of them instead */
    uint8_t *names;             /* by number: NO or YES */
    size_t n_names;             /* numbers beyond are MAYBE */
    uint8_t names_all;          /* what all of them have in common, else MIXED */
    size_t names_yes, the_name; /* how many are, and the last of them */
    uint64_t *seqs;             /* keys: rows that have it, ascending */
    size_t n_seqs;
    uint8_t found; /* what such a row is: MAYBE or YES */
};

/* ---- making ready ---- */

/* How many names there are in it, and whether they are all alike. */
static void names_sum(struct sift_node *n)
{
    n->names_yes = 0;
    for (size_t k = 0; k < n->n_names; k++) {
        if (n->names[k] != YES)
            continue;
        n->names_yes++;
        n->the_name = k;
    }
    n->names_all = n->names_yes == 0 ? NO : n->names_yes == n->n_names ? YES : MIXED;
}

static tm_err ready_text(struct sift *x, struct sift_node *n, const struct cert_test *t)
{
    static const struct {
        enum cert_column of;
        enum column column;
        int list;
    } texts[] = {
        {CERT_COLUMN_AUTHORITY, COLUMN_AUTHORITY, NAMES_AUTHORITY},
        {CERT_COLUMN_PROFILE, COLUMN_PROFILE, NAMES_PROFILE},
        {CERT_COLUMN_KEY, COLUMN_KEY, NAMES_KEY},
        {CERT_COLUMN_SIGNATURE, COLUMN_SIGNATURE, NAMES_SIGNATURE},
    };
    size_t i = 0;
    while (i < sizeof texts / sizeof *texts && texts[i].of != t->column)
        i++;
    if (i == sizeof texts / sizeof *texts || !t->text)
        return TM_EINVAL;
    const struct name_list *l = &x->s->columns.names.lists[texts[i].list];
    n->n_names = l->n;
    n->names = arena_alloc(x->arena, l->n + 1);
    if (!n->names)
        return arena_err(x->arena);
    n->column = texts[i].column;
    for (size_t k = 0; k < l->n; k++)
        n->names[k] = cert_test_like(t, slice_str(l->v[k])) ? YES : NO;
    names_sum(n);
    return TM_OK;
}

/* Texts of one column, any of which may be: one test. */
static void names_join(struct sift_node *n)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->parts[i].kind != CERT_TEST_TEXT || n->parts[i].column != n->parts[0].column)
            return;
    if (n->n < 2)
        return;
    struct sift_node all = n->parts[0];
    for (size_t i = 1; i < n->n; i++)
        for (size_t k = 0; k < all.n_names; k++)
            all.names[k] = all.names[k] > n->parts[i].names[k] ? all.names[k] : n->parts[i].names[k];
    names_sum(&all);
    *n = all;
}

static tm_err ready_range(struct sift_node *n, const struct cert_test *t)
{
    static const enum column of[] = {[CERT_COLUMN_EXPIRES] = COLUMN_EXPIRES,
                                     [CERT_COLUMN_ISSUED] = COLUMN_ISSUED,
                                     [CERT_COLUMN_ADDED] = COLUMN_ADDED,
                                     [CERT_COLUMN_LIFETIME] = COLUMN_LIFETIME,
                                     [CERT_COLUMN_SOURCE] = COLUMN_SOURCE};
    n->least = t->from;
    n->most = t->to;
    switch (t->column) {
    case CERT_COLUMN_REASON: /* -1, 0, 1, … is 0, 1, 2, … */
        n->from = FROM_STATUS;
        n->least = t->from < -1 ? 0 : t->from > STATUS_GONE ? STATUS_GONE : t->from + STATUS_REVOKED;
        n->most = t->to < -1 ? -1 : t->to > STATUS_GONE - 2 ? STATUS_GONE - 1 : t->to + STATUS_REVOKED;
        return TM_OK;
    case CERT_COLUMN_DEVICE: /* a bit: the range has 0, or 1, or both */
        n->column = COLUMN_FLAGS;
        n->kind = CERT_TEST_FLAGS;
        n->bits = FLAG_DEVICE;
        return TM_OK;
    case CERT_COLUMN_ARRIVAL:
        n->from = FROM_PLACE;
        return TM_OK;
    case CERT_COLUMN_EXPIRES:
    case CERT_COLUMN_ISSUED:
    case CERT_COLUMN_ADDED:
    case CERT_COLUMN_LIFETIME:
    case CERT_COLUMN_SOURCE:
        n->column = of[t->column];
        return TM_OK;
    default:
        return TM_EINVAL;
    }
}

static int seq_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool row_has_key(struct sqlite_store *s, struct query *q, tenant_id tenant, const struct cert_key *key)
{
    return cert_row_has_key(s, q, tenant, key) ||
           (key->kind == CERT_KEY_FOREIGN_SERIAL && slice_eq(column_slice(q, CERT_AT_ID), key->value) &&
            (tenant_id)column_int(q, CERT_AT_TENANT) == tenant);
}

/* Few rows are looked at here, so that the columns can tell; of many each is looked at when it is listed. */
static tm_err verify_seqs(struct sift *x, struct sift_node *n, const struct cert_key *key, struct diag *diag)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->n_seqs; i++) {
        struct query q;
        query_begin(&q, &x->reader->db, SQL_CERT_BY_SEQ);
        query_int(&q, (int64_t)n->seqs[i]);
        if (query_row(&q) && row_has_key(x->s, &q, x->tenant, key))
            n->seqs[kept++] = n->seqs[i];
        TM_TRY(query_end(&q, diag));
    }
    n->n_seqs = kept;
    return TM_OK;
}

/* A serial of 16 octets may be one of ours, which are no keys but ids. */
static tm_err add_id(struct sift *x, uint64_t *seqs, size_t *n, const struct cert_key *key, struct diag *diag)
{
    if (key->kind != CERT_KEY_FOREIGN_SERIAL || key->value.n != CERT_SERIAL_LEN || *n == KEY_ROWS_MAX)
        return TM_OK;
    if (ids_find(&x->s->ids, x->tenant, key->value.p, &seqs[*n])) {
        ++*n;
        return TM_OK;
    }
    struct query q;
    query_begin(&q, &x->reader->db, SQL_CERT_SEQ);
    query_int(&q, x->tenant);
    query_blob(&q, key->value);
    if (query_row(&q))
        seqs[(*n)++] = (uint64_t)column_int(&q, 0);
    return query_end(&q, diag);
}

static tm_err ready_key(struct sift *x, struct sift_node *n, const struct cert_test *t, struct diag *diag)
{
    uint64_t hash = cert_key_hash(&x->s->hash_key, x->tenant, t->key.kind, t->key.value);
    uint64_t *seqs = malloc(KEY_ROWS_MAX * sizeof *seqs);
    if (!seqs)
        return TM_ENOMEM;
    tm_err err = index_lookup(&x->s->index, hash, UINT64_MAX, seqs, KEY_ROWS_MAX, &n->n_seqs, diag);
    if (err == TM_OK && n->n_seqs == KEY_ROWS_MAX)
        err = diag_fail(diag, TM_ETOOBIG, "store.columns", "key",
                        "more than %d certificates share this value", KEY_ROWS_MAX - 1);
    if (err == TM_OK)
        err = add_id(x, seqs, &n->n_seqs, &t->key, diag);
    n->seqs = err == TM_OK ? arena_calloc(x->arena, n->n_seqs + 1, sizeof *seqs) : NULL;
    if (n->seqs && n->n_seqs) {
        memcpy(n->seqs, seqs, n->n_seqs * sizeof *seqs);
        qsort(n->seqs, n->n_seqs, sizeof *seqs, seq_order);
    }
    free(seqs);
    TM_TRY(err);
    if (!n->seqs)
        return arena_err(x->arena);
    n->found = n->n_seqs <= KEY_ROWS_VERIFIED ? YES : MAYBE;
    return n->found == YES ? verify_seqs(x, n, &t->key, diag) : TM_OK;
}

/* Rows that somebody has looked up: as those of a key are, which are known to be right. */
static tm_err ready_rows(struct sift *x, struct sift_node *n, const struct cert_test *t)
{
    if (t->n && !t->arrivals)
        return TM_EINVAL;
    n->kind = CERT_TEST_KEY;
    n->seqs = arena_calloc(x->arena, t->n + 1, sizeof *n->seqs);
    if (!n->seqs)
        return arena_err(x->arena);
    if (t->n)
        memcpy(n->seqs, t->arrivals, t->n * sizeof *n->seqs);
    n->n_seqs = t->n;
    n->found = YES;
    return TM_OK;
}

static tm_err ready(struct sift *x, struct sift_node *n, const struct cert_test *t, size_t depth,
                    size_t *budget, struct diag *diag)
{
    if (depth > CERT_TEST_DEPTH || *budget == 0)
        return TM_ETOOBIG;
    --*budget;
    x->depth = depth > x->depth ? depth : x->depth;
    *n = (struct sift_node){.kind = t->kind};
    switch (t->kind) {
    case CERT_TEST_NOT:
    case CERT_TEST_ALL:
    case CERT_TEST_ANY:
        n->n = t->kind == CERT_TEST_NOT ? 1 : t->n;
        if (n->n > CERT_TEST_NODES)
            return TM_ETOOBIG;
        n->parts = arena_calloc(x->arena, n->n + 1, sizeof *n->parts);
        if (!n->parts)
            return arena_err(x->arena);
        for (size_t i = 0; i < n->n; i++)
            TM_TRY(ready(x, &n->parts[i], &t->parts[i], depth + 1, budget, diag));
        if (t->kind == CERT_TEST_ANY)
            names_join(n);
        return TM_OK;
    case CERT_TEST_RANGE:
        TM_TRY(ready_range(n, t));
        if (n->kind != CERT_TEST_FLAGS)
            return TM_OK;
        /* Of devices: none, without, with, any. */
        {
            bool without = t->from <= 0 && t->to >= 0, with = t->from <= 1 && t->to >= 1;
            if (with != without) {
                n->unset = without;
                return TM_OK;
            }
            *n = (struct sift_node){.kind = with ? CERT_TEST_ALL : CERT_TEST_ANY};
        }
        return TM_OK;
    case CERT_TEST_FLAGS:
        n->column = COLUMN_FLAGS;
        n->bits = (uint8_t)(t->flags & 0x7f);
        return TM_OK;
    case CERT_TEST_TEXT:
        return ready_text(x, n, t);
    case CERT_TEST_KEY:
        return ready_key(x, n, t, diag);
    case CERT_TEST_ROWS:
        return ready_rows(x, n, t);
    case CERT_TEST_NAME:
        return t->text ? TM_OK : TM_EINVAL;
    default:
        return TM_EINVAL;
    }
}

/* Has every text of the column a number? One that is too long for the list, or came when that was full, has none. */
static bool all_numbered(const struct columns *c, enum column column)
{
    bool all = c->tail.zone[column].most < NAMES_MAX;
    for (size_t i = 0; i < c->n_blocks && all; i++)
        all = !c->blocks[i].there || c->blocks[i].zone[column].most < NAMES_MAX;
    return all;
}

static bool all_exact(const struct sift_node *n, const struct columns *c)
{
    if (n->kind == CERT_TEST_NAME || (n->seqs && n->found == MAYBE))
        return false;
    if (n->kind == CERT_TEST_TEXT && !all_numbered(c, n->column))
        return false;
    for (size_t i = 0; i < n->n; i++)
        if (!all_exact(&n->parts[i], c))
            return false;
    return true;
}

tm_err sift_init(struct sift *x, struct sqlite_store *s, struct reader *c, tenant_id tenant,
                 const struct cert_test *where, struct arena *a, struct diag *diag)
{
    static const struct cert_test everything = {.kind = CERT_TEST_ALL};
    size_t budget = CERT_TEST_NODES;
    *x = (struct sift){.s = s, .reader = c, .tenant = tenant, .arena = a};
    x->root = arena_calloc(a, 1, sizeof *x->root);
    if (!x->root)
        return arena_err(a);
    tm_err err = ready(x, x->root, where ? where : &everything, 0, &budget, diag);
    if (err == TM_EINVAL)
        return diag_fail(diag, err, "store", "where", "not a test of certificates");
    if (err == TM_ETOOBIG && !diag->message[0])
        return diag_fail(diag, err, "store", "where", "too many conditions");
    TM_TRY(err);
    x->exact = all_exact(x->root, &s->columns);
    x->status = calloc(1, COLUMN_ROWS);
    x->masks = calloc(x->depth + 2, COLUMN_ROWS);
    return x->status && x->masks ? TM_OK : TM_ENOMEM;
}

void sift_done(struct sift *x)
{
    for (int i = 0; i < COLUMNS; i++)
        free(x->room[i]);
    free(x->status);
    free(x->masks);
    *x = (struct sift){0};
}

/* ---- the block in hand ---- */

size_t sift_blocks(const struct sift *x)
{
    return x->s->columns.n_blocks + (x->s->columns.tail.n > 0);
}

static bool view_set(struct sift *x, size_t block)
{
    const struct columns *c = &x->s->columns;
    x->is_tail = block == c->n_blocks;
    memset(x->loaded, 0, sizeof x->loaded);
    x->status_loaded = false;
    if (x->is_tail)
        x->view = (struct sift_view){
            .number = c->tail.number, .n = c->tail.n, .rows = c->tail.rows, .zone = c->tail.zone};
    else
        x->view = (struct sift_view){
            .number = block, .n = COLUMN_ROWS, .rows = c->blocks[block].rows, .zone = c->blocks[block].zone};
    return (x->is_tail || c->blocks[block].there) && x->view.rows > 0 &&
           x->view.zone[COLUMN_TENANT].least <= (int64_t)x->tenant &&
           x->view.zone[COLUMN_TENANT].most >= (int64_t)x->tenant;
}

tm_err sift_column(struct sift *x, enum column column, const void **ret)
{
    struct columns *c = &x->s->columns;
    if (x->is_tail) {
        *ret = c->tail.v[column];
        return TM_OK;
    }
    if (!x->room[column])
        x->room[column] = calloc(COLUMN_ROWS, column_width[column]);
    if (!x->room[column])
        return TM_ENOMEM;
    if (!x->loaded[column])
        TM_TRY(column_read(c, (size_t)x->view.number, column, x->room[column]));
    x->loaded[column] = true;
    *ret = x->room[column];
    return TM_OK;
}

/* Beyond the end of the file nothing has happened to anything. */
tm_err sift_status(struct sift *x, const uint8_t **ret)
{
    *ret = x->status;
    if (x->status_loaded)
        return TM_OK;
    size_t got = 0;
    while (got < x->view.n) {
        ssize_t k = pread(x->s->columns.status_fd, x->status + got, x->view.n - got,
                          (off_t)(x->view.number * COLUMN_ROWS + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return TM_EIO;
        if (k == 0)
            break;
        got += (size_t)k;
    }
    memset(x->status + got, 0, COLUMN_ROWS - got);
    x->status_loaded = true;
    return TM_OK;
}

/* ---- masks; loops of a constant length inside, which compilers make wide ---- */

#define EACH_LANES(i, k, n)                                                                                  \
    for (size_t i = 0; i < (n); i += LANES)                                                                  \
        for (size_t k = i; k < i + LANES; k++)

static void mask_range(uint8_t *restrict m, const void *v, size_t width, size_t n, int64_t least,
                       int64_t most)
{
    /* Values that fit the column: those of a zone that the bounds meet. */
    uint64_t span = (uint64_t)most - (uint64_t)least;
    if (width == 8) {
        const int64_t *p = v;
        EACH_LANES(i, k, n)
        m[k] = (uint8_t)(((uint64_t)p[k] - (uint64_t)least <= span) << 1);
    } else if (width == 4) {
        const uint32_t *p = v;
        uint32_t from = (uint32_t)least, room = (uint32_t)span;
        EACH_LANES(i, k, n)
        m[k] = (uint8_t)((uint8_t)(p[k] - from <= room) << 1);
    } else {
        const uint8_t *p = v;
        uint8_t from = (uint8_t)least, room = (uint8_t)span;
        EACH_LANES(i, k, n)
        m[k] = (uint8_t)(((uint8_t)(p[k] - from) <= room) << 1);
    }
}

static void mask_bits(uint8_t *restrict m, const uint8_t *restrict v, size_t n, uint8_t bits, bool unset)
{
    uint8_t wanted = unset ? 0 : bits;
    EACH_LANES(i, k, n)
    m[k] = (uint8_t)(((v[k] & bits) == wanted) << 1);
}

static void mask_names(uint8_t *restrict m, const uint16_t *restrict v, size_t n,
                       const uint8_t *restrict names, size_t n_names)
{
    for (size_t i = 0; i < n; i++)
        m[i] = v[i] < n_names ? names[v[i]] : MAYBE;
}

static void mask_name(uint8_t *restrict m, const uint16_t *restrict v, size_t n, uint16_t name)
{
    EACH_LANES(i, k, n)
    m[k] = (uint8_t)((v[k] == name) << 1);
}

static void mask_least(uint8_t *restrict m, const uint8_t *restrict o, size_t n)
{
    EACH_LANES(i, k, n)
    m[k] = m[k] < o[k] ? m[k] : o[k];
}

static void mask_most(uint8_t *restrict m, const uint8_t *restrict o, size_t n)
{
    EACH_LANES(i, k, n)
    m[k] = m[k] > o[k] ? m[k] : o[k];
}

static void mask_not(uint8_t *m, size_t n)
{
    EACH_LANES(i, k, n)
    m[k] = (uint8_t)(2 - m[k]);
}

static bool mask_any(const uint8_t *m, size_t n)
{
    return n && (m[0] || memcmp(m, m + 1, n - 1) != 0);
}

/* ---- what zones tell without a look ---- */

static int zone_of_range(const struct sift_view *v, const struct sift_node *n)
{
    struct column_zone place = {(int64_t)(v->number * COLUMN_ROWS + 1),
                                (int64_t)(v->number * COLUMN_ROWS + v->n)};
    const struct column_zone *z = n->from == FROM_PLACE ? &place : &v->zone[n->column];
    if (n->least > n->most)
        return NO;
    if (n->from == FROM_STATUS)
        return MIXED;
    if (z->most < n->least || z->least > n->most)
        return NO;
    return z->least >= n->least && z->most <= n->most ? YES : MIXED;
}

static bool seqs_in(const struct sift_node *n, const struct sift_view *v, size_t *ret_from)
{
    uint64_t first = v->number * COLUMN_ROWS + 1, last = first + v->n - 1;
    size_t lo = 0, hi = n->n_seqs;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (n->seqs[mid] < first)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_from = lo;
    return lo < n->n_seqs && n->seqs[lo] <= last;
}

static int zone_of(const struct sift_view *v, const struct sift_node *n)
{
    size_t unused;
    const struct column_zone *z = &v->zone[n->column];
    int all = n->kind == CERT_TEST_ANY ? NO : YES;
    switch (n->kind) {
    case CERT_TEST_RANGE:
        return zone_of_range(v, n);
    case CERT_TEST_TEXT:
        if (z->least == z->most)
            return (size_t)z->least < n->n_names ? n->names[z->least] : MAYBE;
        return n->names_all != MIXED && z->most < NAMES_MAX ? n->names_all : MIXED;
    case CERT_TEST_FLAGS:
        if (z->least == z->most)
            return ((uint8_t)z->least & n->bits) == (n->unset ? 0 : n->bits) ? YES : NO;
        return MIXED;
    case CERT_TEST_KEY:
        return seqs_in(n, v, &unused) ? MIXED : NO;
    case CERT_TEST_NAME:
        return MAYBE;
    case CERT_TEST_NOT:
        all = zone_of(v, &n->parts[0]);
        return all == MIXED ? MIXED : 2 - all;
    default:
        for (size_t i = 0; i < n->n; i++) {
            int one = zone_of(v, &n->parts[i]);
            if (n->kind == CERT_TEST_ANY ? one == YES : one == NO)
                return one;
            if (one == MIXED || all == MIXED)
                all = MIXED;
            else
                all = n->kind == CERT_TEST_ANY ? (one > all ? one : all) : one < all ? one : all;
        }
        return all;
    }
}

/* ---- a test over the block in hand ---- */

static tm_err eval(struct sift *x, const struct sift_node *n, size_t depth);

static uint8_t *mask_of(const struct sift *x, size_t depth)
{
    return x->masks + depth * COLUMN_ROWS;
}

static tm_err eval_parts(struct sift *x, const struct sift_node *n, size_t depth)
{
    uint8_t *m = mask_of(x, depth);
    size_t places = x->view.n;
    memset(m, n->kind == CERT_TEST_ALL ? YES : NO, COLUMN_ROWS);
    for (size_t i = 0; i < n->n; i++) {
        if (n->kind == CERT_TEST_ALL && i && !mask_any(m, places))
            return TM_OK;
        TM_TRY(eval(x, &n->parts[i], depth + 1));
        if (n->kind == CERT_TEST_ALL)
            mask_least(m, mask_of(x, depth + 1), places);
        else
            mask_most(m, mask_of(x, depth + 1), places);
    }
    if (n->kind == CERT_TEST_NOT)
        mask_not(m, places);
    return TM_OK;
}

static tm_err eval_leaf(struct sift *x, const struct sift_node *n, uint8_t *m)
{
    const void *v = NULL;
    const uint8_t *status;
    size_t places = x->view.n, at;
    uint64_t first = x->view.number * COLUMN_ROWS + 1;
    switch (n->kind) {
    case CERT_TEST_RANGE:
        if (n->from == FROM_STATUS) {
            TM_TRY(sift_status(x, &status));
            mask_range(m, status, 1, places, n->least, n->most);
            return TM_OK;
        }
        if (n->from == FROM_PLACE) {
            for (size_t i = 0; i < places; i++)
                m[i] = (int64_t)(first + i) >= n->least && (int64_t)(first + i) <= n->most ? YES : NO;
            return TM_OK;
        }
        TM_TRY(sift_column(x, n->column, &v));
        {
            const struct column_zone *z = &x->view.zone[n->column];
            mask_range(m, v, column_width[n->column], places, n->least > z->least ? n->least : z->least,
                       n->most < z->most ? n->most : z->most);
        }
        return TM_OK;
    case CERT_TEST_TEXT:
        TM_TRY(sift_column(x, n->column, &v));
        if (n->names_yes == 1 && x->view.zone[n->column].most < NAMES_MAX)
            mask_name(m, v, places, (uint16_t)n->the_name);
        else
            mask_names(m, v, places, n->names, n->n_names);
        return TM_OK;
    case CERT_TEST_FLAGS:
        TM_TRY(sift_column(x, n->column, &v));
        mask_bits(m, v, places, n->bits, n->unset);
        return TM_OK;
    case CERT_TEST_KEY:
        memset(m, NO, COLUMN_ROWS);
        for (seqs_in(n, &x->view, &at); at < n->n_seqs && n->seqs[at] < first + places; at++)
            m[n->seqs[at] - first] = n->found;
        return TM_OK;
    default:
        memset(m, MAYBE, COLUMN_ROWS);
        return TM_OK;
    }
}

static tm_err eval(struct sift *x, const struct sift_node *n, size_t depth)
{
    int known = zone_of(&x->view, n);
    if (known != MIXED) {
        memset(mask_of(x, depth), known, COLUMN_ROWS);
        return TM_OK;
    }
    return n->kind == CERT_TEST_ALL || n->kind == CERT_TEST_ANY || n->kind == CERT_TEST_NOT
               ? eval_parts(x, n, depth)
               : eval_leaf(x, n, mask_of(x, depth));
}

bool sift_block_may(struct sift *x, size_t block, struct column_zone *ret_expires)
{
    if (!view_set(x, block))
        return false;
    *ret_expires = x->view.zone[COLUMN_EXPIRES];
    return zone_of(&x->view, x->root) != NO;
}

/* Rows of others, places without a row, and rows that retention has dropped. */
static tm_err mask_foreign(struct sift *x, uint8_t *m)
{
    const void *v;
    const uint8_t *status;
    size_t n = x->view.n;
    const struct column_zone *z = &x->view.zone[COLUMN_TENANT];
    if (x->view.rows < n || z->least != z->most) {
        TM_TRY(sift_column(x, COLUMN_TENANT, &v));
        const uint32_t *tenants = v;
        uint32_t mine = x->tenant;
        EACH_LANES(i, k, n)
        m[k] = tenants[k] == mine ? m[k] : 0;
    }
    TM_TRY(sift_status(x, &status));
    EACH_LANES(i, k, n)
    m[k] = status[k] == STATUS_GONE ? 0 : m[k];
    return TM_OK;
}

tm_err sift_block(struct sift *x, size_t block)
{
    uint8_t *m = mask_of(x, 0);
    if (!view_set(x, block)) {
        memset(m, NO, COLUMN_ROWS);
    } else {
        TM_TRY(eval(x, x->root, 0));
        if (mask_any(m, x->view.n))
            TM_TRY(mask_foreign(x, m));
    }
    x->view.mask = m;
    return TM_OK;
}

/* ---- one row, exactly ---- */

static bool row_has_name(const struct cert_row *row, struct query *q, const struct cert_test *t,
                         struct arena *scratch)
{
    struct cert cert;
    struct cert_key *keys;
    size_t n;
    if (t->key.kind == CERT_KEY_SUBJECT)
        return cert_test_like(t, slice_str(row->subject));
    arena_reset(scratch);
    if (cert_parse(&cert, column_slice(q, CERT_AT_DER), NULL) != TM_OK ||
        cert_keys_of_row(&keys, &n, scratch, &cert, row) != TM_OK)
        return false;
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == t->key.kind && cert_test_like(t, keys[i].value))
            return true;
    return false;
}

bool row_passes_test(struct sqlite_store *s, struct query *q, const struct cert_row *row,
                     const struct cert_test *t, struct arena *scratch)
{
    switch (t->kind) {
    case CERT_TEST_NOT:
        return !row_passes_test(s, q, row, &t->parts[0], scratch);
    case CERT_TEST_ALL:
    case CERT_TEST_ANY:
        for (size_t i = 0; i < t->n; i++)
            if (row_passes_test(s, q, row, &t->parts[i], scratch) == (t->kind == CERT_TEST_ANY))
                return t->kind == CERT_TEST_ANY;
        return t->kind == CERT_TEST_ALL;
    case CERT_TEST_KEY:
        return row_has_key(s, q, (tenant_id)column_int(q, CERT_AT_TENANT), &t->key);
    case CERT_TEST_NAME:
        return row_has_name(row, q, t, scratch);
    default:
        return cert_test_passes(t, row, NULL, 0);
    }
}
