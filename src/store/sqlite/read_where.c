/* Pages and counts of the certificates that pass a test: the columns say which rows, the rows what they hold. */
#include "base/arena.h"
#include "base/clock.h"
#include "store/sqlite/internal.h"
#include "store/sqlite/read_cert.h"
#include "store/sqlite/sift.h"
#include "x509/crl.h"
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 20000,    /* looked at in one read, where the columns cannot tell */
    ROWS_AT_ONCE = 1024, /* of them, between two looks at the columns */
    CURSOR_LEN = 16,
    SCRATCH_MAX = 4 << 20,
    LANES = 64,
    DAYS = 60000, /* from 1970 on; what is later is one group */
    DAY_S = 86400,
};

/* Under 2 days, 8 days, then what is called 47 days, 90, 200, a year, two, five, ten, more. */
const int64_t cert_lifetime_classes[] = {0,
                                         2 * DAY_S,
                                         8 * DAY_S,
                                         48 * DAY_S,
                                         101 * DAY_S,
                                         201 * DAY_S,
                                         399 * DAY_S,
                                         826 * DAY_S,
                                         (int64_t)1828 * DAY_S,
                                         (int64_t)3655 * DAY_S,
                                         -1};

/* ---- candidates: the next rows in the order that was asked for ---- */

struct candidate {
    int64_t key; /* of expiry's order */
    uint64_t seq;
};
struct candidates {
    struct candidate *v;
    size_t n, max;
    struct candidate after; /* where the page before ended */
    bool more;              /* there are others */
};

static int candidate_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A heap with the last in its root. */
static void heap_sink(struct candidates *c, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < c->n; at = child) {
        if (child + 1 < c->n && candidate_order(&c->v[child], &c->v[child + 1]) < 0)
            child++;
        if (candidate_order(&c->v[at], &c->v[child]) >= 0)
            return;
        struct candidate swap = c->v[at];
        c->v[at] = c->v[child];
        c->v[child] = swap;
    }
}

static void heap_add(struct candidates *c, struct candidate e)
{
    if (candidate_order(&e, &c->after) <= 0)
        return;
    if (c->n < c->max) {
        c->v[c->n++] = e;
        if (c->n == c->max)
            for (size_t i = c->n / 2; i-- > 0;)
                heap_sink(c, i);
        return;
    }
    c->more = true;
    if (candidate_order(&e, &c->v[0]) >= 0)
        return;
    c->v[0] = e;
    heap_sink(c, 0);
}

static tm_err by_expiry(struct sift *x, struct candidates *c)
{
    struct column_zone zone;
    for (size_t b = 0; b < sift_blocks(x); b++) {
        if (!sift_block_may(x, b, &zone) || zone.most < c->after.key ||
            (c->n == c->max && c->more && zone.least > c->v[0].key))
            continue;
        const void *v;
        TM_TRY(sift_block(x, b));
        TM_TRY(sift_column(x, COLUMN_EXPIRES, &v));
        const int64_t *expires = v;
        uint64_t first = x->view.number * COLUMN_ROWS + 1;
        for (size_t i = 0; i < x->view.n; i++)
            if (x->view.mask[i])
                heap_add(c, (struct candidate){expires[i], first + i});
    }
    if (c->n)
        qsort(c->v, c->n, sizeof *c->v, candidate_order);
    return TM_OK;
}

/* One more; false when the page has enough. */
static bool arrival_add(struct candidates *c, uint64_t seq)
{
    c->more = c->n == c->max;
    if (!c->more)
        c->v[c->n++] = (struct candidate){.seq = seq};
    return !c->more;
}

static tm_err by_arrival(struct sift *x, struct candidates *c, bool newest)
{
    size_t blocks = sift_blocks(x);
    for (size_t k = 0; k < blocks && !c->more; k++) {
        size_t b = newest ? blocks - 1 - k : k;
        struct column_zone unused;
        if (!sift_block_may(x, b, &unused))
            continue;
        uint64_t first = x->view.number * COLUMN_ROWS + 1, last = first + x->view.n - 1;
        if (newest ? first >= c->after.seq : last <= c->after.seq)
            continue;
        TM_TRY(sift_block(x, b));
        for (size_t j = 0, n = x->view.n; j < n; j++) {
            size_t i = newest ? n - 1 - j : j;
            bool beyond = newest ? first + i < c->after.seq : first + i > c->after.seq;
            if (x->view.mask[i] && beyond && !arrival_add(c, first + i))
                break;
        }
    }
    return TM_OK;
}

/* ---- cursors: key and row, so that rows which come or go meanwhile shift nothing ---- */

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static tm_err cursor_read(struct candidate *ret, const struct store_read *r, struct diag *diag)
{
    *ret = (struct candidate){.key = INT64_MIN, .seq = r->order == CERT_NEWEST_FIRST ? UINT64_MAX : 0};
    if (r->after.n == 0)
        return TM_OK;
    if (r->after.n != CURSOR_LEN)
        return diag_fail(diag, TM_EINVAL, "store", "after", "not where a page of this order ended");
    *ret = (struct candidate){.key = (int64_t)get_u64(r->after.p), .seq = get_u64(r->after.p + 8)};
    return TM_OK;
}

static tm_err cursor_write(struct store_read *r, const struct candidate *at)
{
    uint8_t octets[CURSOR_LEN];
    put_u64(octets, (uint64_t)at->key);
    put_u64(octets + 8, at->seq);
    return arena_copy(&r->page_next, r->arena, SLICE_ARR(octets));
}

/* ---- pages ---- */

struct page {
    struct sqlite_store *s;
    struct reader *c;
    struct store_read *r;
    struct arena *scratch, *row, *nodes;
    size_t limit, cap, budget;
    bool exact;
};

/* Scan for at most c->max more. */
static tm_err page_scan(struct page *p, struct candidates *c)
{
    struct sift x;
    struct diag *diag = &p->r->diag;
    TM_TRY(columns_begin(p->s, &p->c->db, diag));
    tm_err err = sift_init(&x, p->s, p->c, p->r->tenant, p->r->where, p->nodes, diag);
    if (err == TM_OK)
        err = p->r->order == CERT_EXPIRY_FIRST ? by_expiry(&x, c)
                                               : by_arrival(&x, c, p->r->order == CERT_NEWEST_FIRST);
    p->exact = x.exact;
    sift_done(&x);
    columns_end(p->s);
    arena_reset(p->nodes);
    return err == TM_ECORRUPT || err == TM_EIO ? columns_broken(p->s, diag) : err;
}

/* Does the row that `q` stands on pass? It is read into memory of its own first: of many that are looked at few may. */
static tm_err passes(bool *ret, struct page *p, struct query *q)
{
    static const struct cert_test everything = {.kind = CERT_TEST_ALL};
    struct store_read one = {.arena = p->row};
    size_t cap = 0;
    *ret = false;
    if ((tenant_id)column_int(q, CERT_AT_TENANT) != p->r->tenant)
        return TM_OK;
    arena_reset(p->row);
    TM_TRY(cert_append(&one, &cap, q));
    *ret = row_passes_test(p->s, q, one.certs, p->r->where ? p->r->where : &everything, p->scratch);
    return TM_OK;
}

/* Look at one row; *ret: it passes, and with `keep` is in the answer. */
static tm_err page_row(bool *ret, struct page *p, uint64_t seq, bool keep)
{
    struct query q;
    query_begin(&q, &p->c->db, SQL_CERT_BY_SEQ);
    query_int(&q, (int64_t)seq);
    tm_err err = TM_OK;
    *ret = false;
    if (query_row(&q))
        err = passes(ret, p, &q);
    if (err == TM_OK && *ret && keep)
        err = cert_append(p->r, &p->cap, &q);
    return query_leave(&q, err, &p->r->diag);
}

static tm_err page_fill(struct page *p, struct candidates *c)
{
    struct store_read *r = p->r;
    for (;;) {
        size_t wanted = p->limit - r->n;
        c->n = 0;
        c->more = false;
        c->max = p->exact || wanted > ROWS_AT_ONCE ? wanted : ROWS_AT_ONCE;
        TM_TRY(page_scan(p, c));
        size_t i = 0;
        bool unused;
        for (; i < c->n && r->n < p->limit && p->budget; i++, p->budget--)
            TM_TRY(page_row(&unused, p, c->v[i].seq, true));
        if (i)
            c->after = c->v[i - 1];
        r->more = c->more || i < c->n;
        if (!r->more || r->n == p->limit || p->budget == 0)
            return TM_OK;
    }
}

static tm_err page_init(struct page *p)
{
    p->scratch = arena_new(SCRATCH_MAX);
    p->row = arena_new(SCRATCH_MAX);
    p->nodes = arena_new(0);
    return p->scratch && p->row && p->nodes ? TM_OK : TM_ENOMEM;
}

static void page_done(struct page *p)
{
    arena_free(p->row);
    arena_free(p->scratch);
    arena_free(p->nodes);
}

tm_err read_certs_where(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct candidates found = {0};
    TM_TRY(cursor_read(&found.after, r, &r->diag));
    struct page p = {.s = s, .c = c, .r = r, .limit = read_limit(r), .budget = ROWS_MAX, .exact = true};
    size_t room = p.limit > ROWS_AT_ONCE ? p.limit : ROWS_AT_ONCE;
    found.v = calloc(room, sizeof *found.v);
    tm_err err = found.v ? page_init(&p) : TM_ENOMEM;
    if (err == TM_OK)
        err = page_fill(&p, &found);
    if (err == TM_OK && r->more)
        err = cursor_write(r, &found.after);
    free(found.v);
    page_done(&p);
    return err;
}

/* ---- counts ---- */

/* Classes begin with whole days: the class of each day. */
struct lifetimes {
    uint8_t of_day[3656];
};

static void lifetimes_init(struct lifetimes *l)
{
    for (size_t day = 0, i = 0; day < sizeof l->of_day; day++) {
        while (cert_lifetime_classes[i + 1] >= 0 && (int64_t)day * DAY_S >= cert_lifetime_classes[i + 1])
            i++;
        l->of_day[day] = (uint8_t)i;
    }
}

static uint32_t lifetime_class(const struct lifetimes *l, uint32_t s)
{
    uint32_t day = s / DAY_S;
    return l->of_day[day < sizeof l->of_day ? day : sizeof l->of_day - 1];
}

struct counter {
    struct sift x;
    enum cert_group group;
    int64_t now;
    struct lifetimes lifetimes;
    uint64_t *n; /* by group */
    size_t groups;
    uint64_t total;
    struct unsure {
        uint64_t seq;
        uint32_t group;
    } *unsure; /* rows that have to be read; made when there is the first */
    size_t n_unsure;
    bool too_many;
};

static bool by_day(enum cert_group g)
{
    return g == CERT_GROUP_EXPIRY_DAY || g == CERT_GROUP_EXPIRY_WEEK || g == CERT_GROUP_EXPIRY_MONTH ||
           g == CERT_GROUP_ISSUED_DAY;
}

static int list_of(enum cert_group g)
{
    return g == CERT_GROUP_AUTHORITY   ? NAMES_AUTHORITY
           : g == CERT_GROUP_PROFILE   ? NAMES_PROFILE
           : g == CERT_GROUP_KEY       ? NAMES_KEY
           : g == CERT_GROUP_SIGNATURE ? NAMES_SIGNATURE
                                       : -1;
}

static uint32_t class_of(uint8_t source, uint8_t flags)
{
    if (source == CERT_ISSUED)
        return flags & CERT_FLAG_CA ? CERT_CLASS_OWN_CA : CERT_CLASS_OWN;
    if (flags & CERT_FLAG_SELF_SIGNED)
        return CERT_CLASS_SELF_SIGNED;
    return flags & CERT_FLAG_CA ? CERT_CLASS_FOREIGN_CA : CERT_CLASS_FOREIGN;
}

static uint32_t status_of(uint8_t status, bool over)
{
    if (status == STATUS_REVOKED + CRL_CERTIFICATE_HOLD)
        return CERT_STATUS_ON_HOLD;
    return status ? CERT_STATUS_REVOKED : over ? CERT_STATUS_EXPIRED : CERT_STATUS_VALID;
}

/* The group of each place of the block in hand. */
static tm_err groups_of(struct counter *k, uint32_t *out)
{
    struct sift *x = &k->x;
    size_t n = x->view.n;
    const void *v, *w;
    const uint8_t *status;
    static const enum column of[] = {[NAMES_AUTHORITY] = COLUMN_AUTHORITY,
                                     [NAMES_PROFILE] = COLUMN_PROFILE,
                                     [NAMES_KEY] = COLUMN_KEY,
                                     [NAMES_SIGNATURE] = COLUMN_SIGNATURE};
    if (list_of(k->group) >= 0) {
        TM_TRY(sift_column(x, of[list_of(k->group)], &v));
        for (size_t i = 0; i < n; i++)
            out[i] =
                ((const uint16_t *)v)[i] < k->groups - 1 ? ((const uint16_t *)v)[i] : (uint32_t)k->groups - 1;
    } else if (by_day(k->group)) {
        TM_TRY(sift_column(x, k->group == CERT_GROUP_ISSUED_DAY ? COLUMN_ISSUED : COLUMN_EXPIRES, &v));
        for (size_t i = 0; i < n; i++) {
            int64_t t = ((const int64_t *)v)[i], day = t < 0 ? 0 : t / DAY_S;
            out[i] = (uint32_t)(day < DAYS ? day : DAYS);
        }
    } else if (k->group == CERT_GROUP_STATUS) {
        TM_TRY(sift_column(x, COLUMN_EXPIRES, &v));
        TM_TRY(sift_status(x, &status));
        for (size_t i = 0; i < n; i++)
            out[i] = status_of(status[i], ((const int64_t *)v)[i] < k->now);
    } else if (k->group == CERT_GROUP_LIFETIME) {
        TM_TRY(sift_column(x, COLUMN_LIFETIME, &v));
        for (size_t i = 0; i < n; i++)
            out[i] = lifetime_class(&k->lifetimes, ((const uint32_t *)v)[i]);
    } else if (k->group == CERT_GROUP_CLASS || k->group == CERT_GROUP_SOURCE) {
        TM_TRY(sift_column(x, COLUMN_SOURCE, &v));
        TM_TRY(sift_column(x, COLUMN_FLAGS, &w));
        for (size_t i = 0; i < n; i++) {
            uint8_t source = ((const uint8_t *)v)[i];
            out[i] = k->group == CERT_GROUP_CLASS ? class_of(source, ((const uint8_t *)w)[i]) : source & 3u;
        }
    } else {
        memset(out, 0, n * sizeof *out);
    }
    return TM_OK;
}

static tm_err count_block(struct counter *k, uint32_t *group)
{
    const uint8_t *m = k->x.view.mask;
    size_t n = k->x.view.n;
    uint64_t sure = 0, unsure = 0;
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        uint8_t yes = 0, maybe = 0;
        for (size_t i = at; i < at + LANES; i++) {
            yes = (uint8_t)(yes + (m[i] >> 1));
            maybe = (uint8_t)(maybe + (m[i] & 1));
        }
        sure += yes;
        unsure += maybe;
    }
    for (; at < n; at++) {
        sure += m[at] >> 1;
        unsure += m[at] & 1;
    }
    k->total += sure;
    if (sure + unsure == 0)
        return TM_OK;
    TM_TRY(groups_of(k, group));
    if (k->group != CERT_GROUP_NONE)
        for (size_t i = 0; i < n; i++)
            k->n[group[i]] += m[i] >> 1;
    uint64_t first = k->x.view.number * COLUMN_ROWS + 1;
    if (unsure && !k->unsure && !(k->unsure = calloc(ROWS_MAX, sizeof *k->unsure)))
        return TM_ENOMEM;
    for (size_t i = 0; unsure && i < n; i++) {
        if (!(m[i] & 1))
            continue;
        if (k->n_unsure == ROWS_MAX) {
            k->too_many = true;
            break;
        }
        k->unsure[k->n_unsure++] = (struct unsure){first + i, group[i]};
    }
    return TM_OK;
}

static size_t groups_needed(const struct counter *k)
{
    int list = list_of(k->group);
    return list >= 0 ? k->x.s->columns.names.lists[list].n + 1 : by_day(k->group) ? DAYS + 1 : 16;
}

/* Between columns_begin and columns_end. */
static tm_err count_columns(struct counter *k, struct reader *c, struct store_read *r, struct arena *nodes)
{
    TM_TRY(sift_init(&k->x, k->x.s, c, r->tenant, r->where, nodes, &r->diag));
    k->groups = groups_needed(k);
    lifetimes_init(&k->lifetimes);
    k->n = calloc(k->groups, sizeof *k->n);
    uint32_t *group = malloc(COLUMN_ROWS * sizeof *group);
    tm_err err = k->n && group ? TM_OK : TM_ENOMEM;
    for (size_t b = 0; b < sift_blocks(&k->x) && err == TM_OK; b++) {
        struct column_zone unused;
        if (!sift_block_may(&k->x, b, &unused))
            continue;
        err = sift_block(&k->x, b);
        if (err == TM_OK)
            err = count_block(k, group);
    }
    free(group);
    return err;
}

static tm_err count_unsure(struct counter *k, struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct page p = {.s = s, .c = c, .r = r};
    tm_err err = page_init(&p);
    for (size_t i = 0; i < k->n_unsure && err == TM_OK; i++) {
        bool counts = false;
        err = page_row(&counts, &p, k->unsure[i].seq, false);
        k->total += counts;
        k->n[k->unsure[i].group] += counts;
    }
    page_done(&p);
    return err;
}

static int64_t day_begin(enum cert_group g, size_t day)
{
    if (day >= DAYS)
        return TM_TIME_NEVER;
    if (g == CERT_GROUP_EXPIRY_WEEK) /* 1970-01-01 was a Thursday */
        return ((int64_t)(day + 3) / 7 * 7 - 3) * DAY_S;
    if (g == CERT_GROUP_EXPIRY_MONTH)
        return (int64_t)(day - (size_t)civil_from_unix((int64_t)day * DAY_S).day + 1) * DAY_S;
    return (int64_t)day * DAY_S;
}

static int count_order(const void *a, const void *b)
{
    const struct cert_count *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->text && y->text ? strcmp(x->text, y->text) : x->value < y->value ? -1 : x->value > y->value;
}

static tm_err count_answer(struct counter *k, const struct names *names, struct store_read *r)
{
    size_t used = 0;
    int list = list_of(k->group);
    for (size_t i = 0; i < k->groups; i++)
        used += k->n[i] != 0;
    r->counted = arena_calloc(r->arena, used + 1, sizeof *r->counted);
    if (!r->counted)
        return arena_err(r->arena);
    for (size_t i = 0; i < k->groups && k->group != CERT_GROUP_NONE; i++) {
        if (!k->n[i])
            continue;
        struct cert_count one = {.value = (int64_t)i, .n = k->n[i]};
        if (list >= 0)
            one.text =
                i + 1 < k->groups && i < names->lists[list].n /* they may have grown since, or be gone */
                    ? arena_strdup(r->arena, names->lists[list].v[i])
                    : "(others)";
        if (list >= 0 && !one.text)
            return arena_err(r->arena);
        if (by_day(k->group))
            one.value = day_begin(k->group, i);
        else if (k->group == CERT_GROUP_LIFETIME)
            one.value = cert_lifetime_classes[i];
        if (by_day(k->group) && r->n && r->counted[r->n - 1].value == one.value)
            r->counted[r->n - 1].n += one.n;
        else
            r->counted[r->n++] = one;
    }
    if (r->n && !by_day(k->group) && k->group != CERT_GROUP_LIFETIME)
        qsort(r->counted, r->n, sizeof *r->counted, count_order);
    return TM_OK;
}

tm_err read_certs_counted(struct sqlite_store *s, struct reader *c, struct store_read *r)
{
    struct counter k = {.x.s = s, .group = r->group, .now = r->now};
    if ((unsigned)r->group > CERT_GROUP_CLASS)
        return diag_fail(&r->diag, TM_EINVAL, "store", "group", "unknown group");
    struct arena *nodes = arena_new(0);
    if (!nodes)
        return TM_ENOMEM;
    tm_err err = columns_begin(s, &c->db, &r->diag);
    if (err == TM_OK) {
        err = count_columns(&k, c, r, nodes);
        if (err == TM_OK && k.n_unsure == 0)
            err = count_answer(&k, &s->columns.names, r);
        columns_end(s);
        if (err == TM_ECORRUPT || err == TM_EIO)
            err = columns_broken(s, &r->diag);
    }
    /* Rows are read while nobody waits for the columns; their names only grow meanwhile, but for a loss. */
    if (err == TM_OK && k.n_unsure) {
        err = count_unsure(&k, s, c, r);
        pthread_rwlock_rdlock(&s->columns.use);
        if (err == TM_OK)
            err = count_answer(&k, &s->columns.names, r);
        pthread_rwlock_unlock(&s->columns.use);
    }
    r->count = k.total;
    r->more = k.too_many;
    free(k.n);
    free(k.unsure);
    sift_done(&k.x);
    arena_free(nodes);
    return err;
}
