#include "filter/writer.h"
#include "base/digest.h"
#include "filter/block.h"
#include "filter/reader/format.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_KEYS = 256,  /* keys of a block on average … */
    BLOCK_ROWS = 640,  /* … unless more than this would be in its exact system */
    SECTION_KEYS = 32, /* tries to find a key for a section's hash */
    ROLES = 2,
};

struct member {
    uint8_t serial[TMF_SERIAL_LEN];
    bool is;
};

/* One role of the issuer under way: the section that fills, and the rows of those that are done. */
struct role {
    struct member *members;
    size_t n, cap;
    uint64_t n_all, n_is;
    uint8_t last[TMF_SERIAL_LEN];
    struct buf rows;
};

struct issuer {
    uint8_t row[TMF_ISSUER_ROW];
};

struct filter_writer {
    struct filter_head head;
    char name[TMF_NAME_MAX + 1];
    struct issuer *issuers;
    uint32_t n_issuers, n_sections, built;
    bool open; /* an issuer is under way */
    struct role roles[ROLES];
    struct buf rows, data;
    struct block_work *work;
    /* of the section under way, used again */
    struct block_member *hashed, *sorted;
    uint32_t *starts;
    size_t cap_members, cap_starts;
};

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

tm_err filter_writer_new(struct filter_writer **ret, const struct filter_head *head)
{
    size_t n = strlen(head->name);
    if (n == 0 || n > TMF_NAME_MAX)
        return TM_EINVAL;
    struct filter_writer *w = calloc(1, sizeof *w);
    if (!w)
        return TM_ENOMEM;
    w->head = *head;
    memcpy(w->name, head->name, n);
    buf_init(&w->rows, FILTER_BODY_MAX);
    buf_init(&w->data, FILTER_BODY_MAX);
    for (int i = 0; i < ROLES; i++)
        buf_init(&w->roles[i].rows, FILTER_BODY_MAX);
    tm_err e = block_work_new(&w->work);
    if (e != TM_OK) {
        filter_writer_free(w);
        return e;
    }
    *ret = w;
    return TM_OK;
}

void filter_writer_free(struct filter_writer *w)
{
    if (!w)
        return;
    for (int i = 0; i < ROLES; i++) {
        free(w->roles[i].members);
        buf_done(&w->roles[i].rows);
    }
    buf_done(&w->rows);
    buf_done(&w->data);
    block_work_free(w->work);
    free(w->issuers);
    free(w->hashed);
    free(w->sorted);
    free(w->starts);
    free(w);
}

/* ---- a section ---- */

/* Bits a key costs with `k` columns: they, one in the exact system, and one for each other that passes. */
static double cost(unsigned k, double others)
{
    return k + 1 + ldexp(others, -(int)k);
}

struct shape {
    bool inverted;
    size_t n_keys;
    unsigned k;
    uint32_t n_blocks;
};

static struct shape shape_of(const struct role *r)
{
    struct shape s = {0};
    for (size_t i = 0; i < r->n; i++)
        s.n_keys += r->members[i].is;
    s.inverted = s.n_keys > r->n - s.n_keys;
    if (s.inverted)
        s.n_keys = r->n - s.n_keys;
    if (s.n_keys == 0)
        return s;
    double others = (double)(r->n - s.n_keys) / (double)s.n_keys;
    while (s.k < TMF_COLUMNS_MAX && cost(s.k + 1, others) < cost(s.k, others))
        s.k++;
    double keys = BLOCK_ROWS / (1 + ldexp(others, -(int)s.k));
    if (keys > BLOCK_KEYS)
        keys = BLOCK_KEYS;
    s.n_blocks = (uint32_t)ceil((double)s.n_keys / keys);
    return s;
}

static tm_err make_room(struct filter_writer *w, size_t members, size_t blocks)
{
    if (members > w->cap_members) {
        free(w->hashed);
        free(w->sorted);
        w->hashed = malloc(members * sizeof *w->hashed);
        w->sorted = malloc(members * sizeof *w->sorted);
        w->cap_members = w->hashed && w->sorted ? members : 0;
        if (!w->cap_members)
            return TM_ENOMEM;
    }
    if (blocks > w->cap_starts) {
        free(w->starts);
        w->starts = malloc(blocks * sizeof *w->starts);
        w->cap_starts = w->starts ? blocks : 0;
        if (!w->starts)
            return TM_ENOMEM;
    }
    return TM_OK;
}

/* Members by block, in each the keys first: places 2b and 2b+1 begin block b's keys and others. */
static tm_err sort_members(struct filter_writer *w, const struct role *r, const struct shape *s,
                           const uint64_t key[2])
{
    size_t places = 2 * (size_t)s->n_blocks + 1;
    TM_TRY(make_room(w, r->n, places));
    memset(w->starts, 0, places * sizeof *w->starts);
    for (size_t i = 0; i < r->n; i++) {
        tmf_hash(w->hashed[i].hash, key, r->members[i].serial);
        bool is_key = r->members[i].is != s->inverted;
        w->starts[2 * (size_t)tmf_block_of(w->hashed[i].hash, s->n_blocks) + !is_key]++;
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < places; i++) { /* to the end of each place; filled from there downwards */
        sum += w->starts[i];
        w->starts[i] = sum;
    }
    for (size_t i = r->n; i-- > 0;) {
        bool is_key = r->members[i].is != s->inverted;
        size_t place = 2 * (size_t)tmf_block_of(w->hashed[i].hash, s->n_blocks) + !is_key;
        w->sorted[--w->starts[place]] = w->hashed[i];
    }
    return TM_OK;
}

static tm_err build_blocks(struct filter_writer *w, const struct shape *s, struct bit_writer *payload,
                           struct bit_writer *pointers, unsigned (*fields)[TMF_FIELDS])
{
    for (uint32_t b = 0; b < s->n_blocks; b++) {
        const uint32_t *at = &w->starts[2 * (size_t)b];
        if (b % TMF_GROUP == 0)
            bit_writer_put(pointers, payload->n, 32);
        TM_TRY(block_build(w->work, payload, fields[b], s->k, w->sorted + at[0], at[1] - at[0],
                           w->sorted + at[1], at[2] - at[1]));
    }
    bit_writer_pad(payload);
    return buf_err(&payload->out) != TM_OK ? buf_err(&payload->out) : buf_err(&pointers->out);
}

static unsigned bits_for(unsigned v)
{
    unsigned n = 0;
    for (; v; v >>= 1)
        n++;
    return n;
}

/* The least of the first two fields goes into the section, and each gets the width that it needs. */
static void measure(struct tmf_section *s, const unsigned (*fields)[TMF_FIELDS])
{
    unsigned least[TMF_FIELDS] = {0}, most[TMF_FIELDS] = {0};
    for (int j = 0; j < TMF_FIELDS; j++) {
        bool counted = j == TMF_F_KEYS || j == TMF_F_PASSING;
        least[j] = counted && s->n_blocks ? fields[0][j] : 0;
        for (uint32_t b = 0; b < s->n_blocks; b++) {
            if (counted && fields[b][j] < least[j])
                least[j] = fields[b][j];
            if (fields[b][j] > most[j])
                most[j] = fields[b][j];
        }
        s->width[j] = (uint8_t)bits_for(most[j] - least[j]);
    }
    s->r_min = least[TMF_F_KEYS];
    s->f_min = least[TMF_F_PASSING];
}

static void section_row(uint8_t row[TMF_SECTION_ROW], const struct tmf_section *s)
{
    memset(row, 0, TMF_SECTION_ROW);
    memcpy(row, s->first, sizeof s->first);
    put64(row + 16, s->key[0]);
    put64(row + 24, s->key[1]);
    put64(row + 32, s->offset);
    put32(row + 40, s->octets);
    put32(row + 44, s->members);
    put32(row + 48, s->revoked);
    put32(row + 52, s->n_blocks);
    row[56] = (uint8_t)s->r_min;
    row[57] = (uint8_t)(s->r_min >> 8);
    row[58] = (uint8_t)s->f_min;
    row[59] = (uint8_t)(s->f_min >> 8);
    row[60] = (uint8_t)s->inverted;
    row[61] = (uint8_t)s->k;
    memcpy(row + 62, s->width, sizeof s->width);
}

/* The same certificates at the same time give the same file. */
static tm_err section_key(uint64_t key[2], const struct filter_writer *w, unsigned attempt)
{
    uint8_t number[8], counters[8], digest[SHA256_LEN];
    put64(number, w->head.number);
    put32(counters, w->built);
    put32(counters + 4, attempt);
    const struct slice parts[] = {SLICE_LIT("touchmark filter section"), slice_str(w->name),
                                  SLICE_ARR(number), SLICE_ARR(counters)};
    TM_TRY(sha256_many(digest, parts, sizeof parts / sizeof *parts));
    memcpy(key, digest, 16);
    return TM_OK;
}

static bool section_reads_back(const struct tmf_section *s, const uint8_t *data, const struct role *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (tmf_section_has(s, data, r->members[i].serial) != (r->members[i].is != (s->inverted != 0)))
            return false;
    return true;
}

/* One try under one key; TM_EBUSY: take another. */
static tm_err section_try(struct filter_writer *w, struct tmf_section *s, struct buf *data,
                          const struct role *r, const struct shape *shape, unsigned (*fields)[TMF_FIELDS])
{
    struct bit_writer payload, directory;
    bit_writer_init(&payload, UINT32_MAX / 8);
    bit_writer_init(&directory, UINT32_MAX / 8);
    tm_err e = sort_members(w, r, shape, s->key);
    if (e == TM_OK)
        e = build_blocks(w, shape, &payload, &directory, fields);
    if (e == TM_OK) {
        measure(s, (const unsigned(*)[TMF_FIELDS])fields);
        for (uint32_t b = 0; b < s->n_blocks; b++) {
            bit_writer_put(&directory, fields[b][TMF_F_KEYS] - s->r_min, s->width[TMF_F_KEYS]);
            bit_writer_put(&directory, fields[b][TMF_F_PASSING] - s->f_min, s->width[TMF_F_PASSING]);
            for (int j = TMF_F_ROW_SEED; j < TMF_FIELDS; j++)
                bit_writer_put(&directory, fields[b][j], s->width[j]);
        }
        bit_writer_pad(&directory);
        buf_reset(data);
        buf_put_slice(data, buf_slice(&directory.out));
        buf_put_slice(data, buf_slice(&payload.out));
        s->octets = (uint32_t)data->n;
        e = buf_err(&directory.out) != TM_OK ? buf_err(&directory.out) : buf_err(data);
    }
    if (e == TM_OK && !section_reads_back(s, data->p, r))
        e = TM_EBUSY;
    bit_writer_done(&payload);
    bit_writer_done(&directory);
    return e;
}

static tm_err section_build(struct filter_writer *w, struct role *r)
{
    struct shape shape = shape_of(r);
    struct tmf_section s = {.members = (uint32_t)r->n,
                            .n_blocks = shape.n_blocks,
                            .inverted = shape.inverted,
                            .k = shape.k,
                            .offset = w->data.n};
    memcpy(s.first, r->members[0].serial, sizeof s.first);
    for (size_t i = 0; i < r->n; i++)
        s.revoked += r->members[i].is;
    tm_err e = TM_OK;
    if (shape.n_blocks) {
        unsigned(*fields)[TMF_FIELDS] = calloc(shape.n_blocks, sizeof *fields);
        struct buf data;
        buf_init(&data, UINT32_MAX);
        e = fields ? TM_EBUSY : TM_ENOMEM;
        for (unsigned i = 0; e == TM_EBUSY && i < SECTION_KEYS; i++) {
            e = section_key(s.key, w, i);
            if (e == TM_OK)
                e = section_try(w, &s, &data, r, &shape, fields);
        }
        if (e == TM_EBUSY)
            e = TM_EINTERNAL;
        if (e == TM_OK)
            buf_put_slice(&w->data, buf_slice(&data));
        buf_done(&data);
        free(fields);
    }
    TM_TRY(e);
    uint8_t row[TMF_SECTION_ROW];
    section_row(row, &s);
    buf_put_slice(&r->rows, SLICE_ARR(row));
    w->built++;
    r->n = 0;
    return buf_err(&w->data) != TM_OK ? buf_err(&w->data) : buf_err(&r->rows);
}

/* ---- members, issuers, the whole ---- */

tm_err filter_writer_add(struct filter_writer *w, enum filter_role role, const uint8_t serial[TMF_SERIAL_LEN],
                         bool is)
{
    struct role *r = &w->roles[role];
    if (!w->open || (r->n_all && memcmp(serial, r->last, TMF_SERIAL_LEN) <= 0))
        return TM_EINVAL;
    if (r->n == FILTER_SECTION)
        TM_TRY(section_build(w, r));
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 1024;
        struct member *grown = realloc(r->members, cap * sizeof *grown);
        if (!grown)
            return TM_ENOMEM;
        r->members = grown;
        r->cap = cap;
    }
    memcpy(r->members[r->n].serial, serial, TMF_SERIAL_LEN);
    r->members[r->n++].is = is;
    memcpy(r->last, serial, TMF_SERIAL_LEN);
    r->n_all++;
    r->n_is += is;
    return TM_OK;
}

static tm_err issuer_end(struct filter_writer *w)
{
    if (!w->open)
        return TM_OK;
    uint8_t *row = w->issuers[w->n_issuers - 1].row;
    put64(row + TMF_I_MEMBERS, w->roles[FILTER_REVOKED].n_all);
    put64(row + TMF_I_REVOKED, w->roles[FILTER_REVOKED].n_is);
    for (int i = 0; i < ROLES; i++) {
        struct role *r = &w->roles[i];
        if (r->n)
            TM_TRY(section_build(w, r));
        uint32_t n = (uint32_t)(r->rows.n / TMF_SECTION_ROW);
        put32(row + TMF_I_SECTIONS + 8 * i, w->n_sections);
        put32(row + TMF_I_SECTIONS + 8 * i + 4, n);
        w->n_sections += n;
        buf_put_slice(&w->rows, buf_slice(&r->rows));
        buf_reset(&r->rows);
        r->n_all = r->n_is = 0;
    }
    w->open = false;
    return buf_err(&w->rows);
}

tm_err filter_writer_issuer(struct filter_writer *w, const uint8_t id[TMF_ISSUER_LEN], int64_t covered_until)
{
    TM_TRY(issuer_end(w));
    for (uint32_t i = 0; i < w->n_issuers; i++)
        if (memcmp(w->issuers[i].row, id, TMF_ISSUER_LEN) == 0)
            return TM_ECONFLICT;
    if (w->n_issuers == FILTER_ISSUERS_MAX)
        return TM_ETOOBIG;
    struct issuer *grown = realloc(w->issuers, (w->n_issuers + 1) * sizeof *grown);
    if (!grown)
        return TM_ENOMEM;
    w->issuers = grown;
    uint8_t *row = w->issuers[w->n_issuers++].row;
    memset(row, 0, TMF_ISSUER_ROW);
    memcpy(row, id, TMF_ISSUER_LEN);
    put64(row + TMF_I_COVERED, (uint64_t)covered_until);
    w->open = true;
    return TM_OK;
}

static int issuer_order(const void *a, const void *b)
{
    return memcmp(a, b, TMF_ISSUER_LEN);
}

tm_err filter_writer_end(struct filter_writer *w, struct buf *out)
{
    TM_TRY(issuer_end(w));
    uint8_t head[TMF_HEAD] = {0};
    size_t tables = TMF_HEAD + w->n_issuers * sizeof *w->issuers + w->rows.n;
    static const uint8_t magic[4] = {'T', 'M', 'K', 'F'};
    memcpy(head, magic, sizeof magic);
    head[4] = TMF_VERSION;
    head[5] = (uint8_t)w->head.kind;
    put64(head + TMF_H_NUMBER, w->head.number);
    put64(head + TMF_H_THIS_UPDATE, (uint64_t)w->head.this_update);
    put64(head + TMF_H_NEXT_UPDATE, (uint64_t)w->head.next_update);
    put64(head + TMF_H_BASE_NUMBER, w->head.base_number);
    memcpy(head + TMF_H_BASE_DIGEST, w->head.base_digest, TMF_DIGEST_LEN);
    put32(head + TMF_H_ISSUERS, w->n_issuers);
    put32(head + TMF_H_SECTIONS, w->n_sections);
    put64(head + TMF_H_BODY, tables + w->data.n);
    memcpy(head + TMF_H_NAME, w->name, sizeof w->name);
    /* Offsets counted from the beginning of the data so far. */
    for (size_t at = 0; at < w->rows.n; at += TMF_SECTION_ROW) {
        struct tmf_section s;
        tmf_section_read(&s, w->rows.p + at);
        put64(w->rows.p + at + 32, s.offset + tables);
    }
    if (w->n_issuers)
        qsort(w->issuers, w->n_issuers, sizeof *w->issuers, issuer_order);
    buf_put_slice(out, SLICE_ARR(head));
    buf_put(out, w->issuers, w->n_issuers * sizeof *w->issuers);
    buf_put_slice(out, buf_slice(&w->rows));
    buf_put_slice(out, buf_slice(&w->data));
    return buf_err(out);
}

/* ---- the bound ---- */

double filter_bound_bits(double n, double r)
{
    return (lgamma(n + 1) - lgamma(r + 1) - lgamma(n - r + 1)) / log(2);
}

static double role_bound(const struct tmf_filter *f, const uint8_t *issuer, int role)
{
    const uint8_t *range = issuer + TMF_I_SECTIONS + 8 * role;
    uint32_t first = range[0] | range[1] << 8 | range[2] << 16 | (uint32_t)range[3] << 24,
             count = range[4] | range[5] << 8 | range[6] << 16 | (uint32_t)range[7] << 24;
    double n = 0, r = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct tmf_section s;
        tmf_section_read(&s, f->p + TMF_HEAD + (size_t)f->n_issuers * TMF_ISSUER_ROW +
                                 (size_t)(first + i) * TMF_SECTION_ROW);
        n += s.members;
        r += s.revoked;
    }
    return r <= n ? filter_bound_bits(n, r) : 0;
}

double filter_bound(const struct tmf_filter *f)
{
    double bits = 0;
    for (uint32_t i = 0; i < f->n_issuers; i++)
        for (int role = 0; role < ROLES; role++)
            bits += role_bound(f, f->p + TMF_HEAD + (size_t)i * TMF_ISSUER_ROW, role);
    return bits;
}
