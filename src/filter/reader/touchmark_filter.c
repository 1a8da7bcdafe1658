/* The reader of docs/filter-format.md. Numbers there are little-endian; bit i of a bit string is bit i % 8 of octet i / 8. */
#include "touchmark_filter.h"
#include "format.h"
#include <string.h>

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

/* ---- the head and its tables ---- */

static int read_name(struct tmf_filter *f, const uint8_t *p)
{
    memcpy(f->name, p, sizeof f->name);
    return f->name[TMF_NAME_MAX] == 0 && f->name[0] != 0 ? 0 : -1;
}

static const uint8_t *issuer_row(const struct tmf_filter *f, uint32_t i)
{
    return f->p + TMF_HEAD + (size_t)i * TMF_ISSUER_ROW;
}

static const uint8_t *section_row(const struct tmf_filter *f, uint32_t i)
{
    return f->p + TMF_HEAD + (size_t)f->n_issuers * TMF_ISSUER_ROW + (size_t)i * TMF_SECTION_ROW;
}

static int tables_hold(const struct tmf_filter *f)
{
    for (uint32_t i = 0; i < f->n_issuers; i++) {
        const uint8_t *row = issuer_row(f, i);
        if (i && memcmp(row - TMF_ISSUER_ROW, row, TMF_ISSUER_LEN) >= 0)
            return 0;
        for (int role = 0; role < 2; role++) {
            uint64_t first = get32(row + TMF_I_SECTIONS + 8 * role),
                     n = get32(row + TMF_I_SECTIONS + 8 * role + 4);
            if (first + n > f->n_sections)
                return 0;
        }
    }
    for (uint32_t i = 0; i < f->n_sections; i++) {
        struct tmf_section s;
        tmf_section_read(&s, section_row(f, i));
        if (s.offset > f->body || s.octets > f->body - s.offset || !tmf_section_sound(&s))
            return 0;
    }
    return 1;
}

int tmf_open(struct tmf_filter *f, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    memset(f, 0, sizeof *f);
    if (!p || n < TMF_HEAD || memcmp(p, TMF_MAGIC, 4) != 0 || p[4] != TMF_VERSION ||
        (p[5] != TMF_FULL && p[5] != TMF_DELTA) || get16(p + 6) != 0)
        return -1;
    uint64_t body = get64(p + TMF_H_BODY);
    f->kind = p[5] == TMF_FULL ? TMF_FULL : TMF_DELTA;
    f->number = get64(p + TMF_H_NUMBER);
    f->this_update = (int64_t)get64(p + TMF_H_THIS_UPDATE);
    f->next_update = (int64_t)get64(p + TMF_H_NEXT_UPDATE);
    f->base_number = get64(p + TMF_H_BASE_NUMBER);
    memcpy(f->base_digest, p + TMF_H_BASE_DIGEST, sizeof f->base_digest);
    f->n_issuers = get32(p + TMF_H_ISSUERS);
    f->n_sections = get32(p + TMF_H_SECTIONS);
    if (body > n || read_name(f, p + TMF_H_NAME) != 0)
        return -1;
    uint64_t tables =
        TMF_HEAD + (uint64_t)f->n_issuers * TMF_ISSUER_ROW + (uint64_t)f->n_sections * TMF_SECTION_ROW;
    if (body < tables)
        return -1;
    f->p = p;
    f->n = n;
    f->body = (size_t)body;
    f->signature_n = n - f->body;
    f->signature = f->signature_n ? p + f->body : NULL;
    return tables_hold(f) ? 0 : -1;
}

int tmf_issuer_at(const struct tmf_filter *f, uint32_t i, struct tmf_issuer *ret)
{
    if (i >= f->n_issuers)
        return -1;
    const uint8_t *row = issuer_row(f, i);
    memcpy(ret->id, row, sizeof ret->id);
    ret->covered_until = (int64_t)get64(row + TMF_I_COVERED);
    ret->members = get64(row + TMF_I_MEMBERS);
    ret->revoked = get64(row + TMF_I_REVOKED);
    return 0;
}

void tmf_section_read(struct tmf_section *s, const uint8_t *p)
{
    memcpy(s->first, p, sizeof s->first);
    s->key[0] = get64(p + 16);
    s->key[1] = get64(p + 24);
    s->offset = get64(p + 32);
    s->octets = get32(p + 40);
    s->members = get32(p + 44);
    s->revoked = get32(p + 48);
    s->n_blocks = get32(p + 52);
    s->r_min = get16(p + 56);
    s->f_min = get16(p + 58);
    s->inverted = p[60];
    s->k = p[61];
    memcpy(s->width, p + 62, sizeof s->width);
}

int tmf_section_sound(const struct tmf_section *s)
{
    if (s->inverted > 1 || s->k > TMF_COLUMNS_MAX)
        return 0;
    for (int i = 0; i < TMF_FIELDS; i++)
        if (s->width[i] > TMF_WIDTH_MAX)
            return 0;
    return tmf_payload_at(s) <= s->octets;
}

uint64_t tmf_payload_at(const struct tmf_section *s)
{
    uint64_t bits = 0;
    for (int i = 0; i < TMF_FIELDS; i++)
        bits += s->width[i];
    uint64_t groups = ((uint64_t)s->n_blocks + TMF_GROUP - 1) / TMF_GROUP;
    return groups * 4 + (s->n_blocks * bits + 7) / 8;
}

/* ---- hashing: what writer and reader have to do alike ---- */

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 with 128 bits of output over the 16 octets of a padded serial. */
void tmf_hash(uint64_t out[2], const uint64_t key[2], const uint8_t serial[TMF_SERIAL_LEN])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du ^ 0xee,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    const uint64_t m[3] = {get64(serial), get64(serial + 8), (uint64_t)TMF_SERIAL_LEN << 56};
    for (int i = 0; i < 3; i++) {
        v[3] ^= m[i];
        sip_round(v);
        sip_round(v);
        v[0] ^= m[i];
    }
    v[2] ^= 0xee;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t tmf_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint32_t tmf_block_of(const uint64_t hash[2], uint32_t n_blocks)
{
    return (uint32_t)((hash[1] >> 32) * n_blocks >> 32);
}

/* Word `i` of a key's row in the system with that domain and seed. */
uint64_t tmf_row_word(uint64_t hash, unsigned domain, unsigned seed, unsigned i)
{
    uint64_t start = hash + ((uint64_t)seed << 1 | domain) * 0xd1342543de82ef95u;
    return tmf_mix(start + (i + 1) * 0x9e3779b97f4a7c15u);
}

uint32_t tmf_target(const uint64_t hash[2], unsigned seed)
{
    return (uint32_t)(tmf_mix(hash[1] + (seed + 1) * 0xa0761d6478bd642fu) >> 32);
}

/* ---- bit strings ---- */

struct bits {
    const uint8_t *p;
    uint64_t n; /* in bits */
};

/* `count` <= 64 bits from bit `at`, all of which lie inside. */
static uint64_t take(const struct bits *b, uint64_t at, unsigned count)
{
    const uint8_t *p = b->p + at / 8;
    unsigned shift = (unsigned)(at % 8);
    uint64_t v = 0;
    if (count == 0)
        return 0;
    if ((b->n - at) + shift >= 72) {
        v = get64(p) >> shift;
        if (shift)
            v |= (uint64_t)p[8] << (64 - shift);
    } else {
        unsigned octets = (shift + count + 7) / 8;
        for (unsigned i = 0; i < octets && i < 8; i++)
            v |= (uint64_t)p[i] << (8 * i);
        v >>= shift;
        if (octets == 9) /* so there is a shift */
            v |= (uint64_t)p[8] << (64 - shift);
    }
    return count == 64 ? v : v & (((uint64_t)1 << count) - 1);
}

static unsigned parity(uint64_t x)
{
    x ^= x >> 32;
    x ^= x >> 16;
    x ^= x >> 8;
    x ^= x >> 4;
    return (unsigned)(0x6996u >> (x & 15)) & 1;
}

/* The sum over GF(2) of a row and `m` solution bits from bit `at`. */
static unsigned product(const uint64_t *row, const struct bits *b, uint64_t at, unsigned m)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i * 64 < m; i++)
        sum ^= row[i] & take(b, at + i * 64, m - i * 64 < 64 ? m - i * 64 : 64);
    return parity(sum);
}

/* ---- one section ---- */

struct block {
    unsigned field[TMF_FIELDS];
    uint64_t at; /* its first bit in the payload */
};

/* 0, or -1 where the section contradicts itself. */
static int block_read(struct block *ret, const struct tmf_section *s, const uint8_t *data, uint32_t index)
{
    unsigned row = 0;
    for (int i = 0; i < TMF_FIELDS; i++)
        row += s->width[i];
    uint64_t groups = ((uint64_t)s->n_blocks + TMF_GROUP - 1) / TMF_GROUP;
    struct bits directory = {data + groups * 4, (tmf_payload_at(s) - groups * 4) * 8};
    ret->at = get32(data + (size_t)(index / TMF_GROUP) * 4);
    for (uint32_t i = index - index % TMF_GROUP;; i++) {
        uint64_t at = (uint64_t)i * row;
        for (int j = 0; j < TMF_FIELDS; j++) {
            ret->field[j] = (unsigned)take(&directory, at, s->width[j]);
            at += s->width[j];
            if (i < index && j == TMF_F_PASSING)
                break;
        }
        ret->field[TMF_F_KEYS] += s->r_min;
        ret->field[TMF_F_PASSING] += s->f_min;
        if (ret->field[TMF_F_KEYS] + ret->field[TMF_F_PASSING] > TMF_ROWS_MAX)
            return -1;
        if (i == index)
            return 0;
        ret->at += tmf_block_bits(s->k, ret->field[TMF_F_KEYS], ret->field[TMF_F_PASSING]);
    }
}

uint64_t tmf_block_bits(unsigned k, unsigned keys, unsigned passing)
{
    /* A block without keys says so, and nothing else. */
    return keys ? (uint64_t)k * keys + keys + passing : 0;
}

int tmf_section_has(const struct tmf_section *s, const uint8_t *data, const uint8_t serial[TMF_SERIAL_LEN])
{
    if (s->n_blocks == 0)
        return 0;
    uint64_t hash[2], row[TMF_ROWS_MAX / 64];
    struct block b;
    tmf_hash(hash, s->key, serial);
    if (block_read(&b, s, data, tmf_block_of(hash, s->n_blocks)) != 0)
        return -1;
    unsigned keys = b.field[TMF_F_KEYS], exact = keys + b.field[TMF_F_PASSING];
    struct bits payload = {data + tmf_payload_at(s), (s->octets - tmf_payload_at(s)) * 8};
    if (b.at + tmf_block_bits(s->k, keys, b.field[TMF_F_PASSING]) > payload.n)
        return -1;
    if (keys == 0)
        return 0;
    for (unsigned i = 0; i * 64 < keys; i++)
        row[i] = tmf_row_word(hash[0], TMF_APPROXIMATE, b.field[TMF_F_ROW_SEED], i);
    uint32_t first = tmf_target(hash, TMF_TARGET_FIXED), last = tmf_target(hash, b.field[TMF_F_TARGET_SEED]);
    for (unsigned j = 0; j < s->k; j++)
        if (product(row, &payload, b.at + (uint64_t)j * keys, keys) !=
            (tmf_searched(s->k, j) ? last >> j & 1 : first >> j & 1))
            return 0;
    for (unsigned i = 0; i * 64 < exact; i++)
        row[i] = tmf_row_word(hash[0], TMF_EXACT, b.field[TMF_F_EXACT_SEED], i);
    return (int)product(row, &payload, b.at + (uint64_t)s->k * keys, exact);
}

int tmf_searched(unsigned k, unsigned column)
{
    return column + TMF_SEARCHED >= k;
}

/* ---- questions ---- */

static const uint8_t *find_issuer(const struct tmf_filter *f, const uint8_t id[TMF_ISSUER_LEN])
{
    uint32_t from = 0, to = f->n_issuers;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        int order = memcmp(issuer_row(f, middle), id, TMF_ISSUER_LEN);
        if (order == 0)
            return issuer_row(f, middle);
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

/* The last of the issuer's sections of a role whose first serial is not greater. */
static enum tmf_answer ask(const struct tmf_filter *f, const uint8_t *issuer, int role,
                           const uint8_t serial[TMF_SERIAL_LEN])
{
    uint32_t first = get32(issuer + TMF_I_SECTIONS + 8 * role), from = first,
             to = first + get32(issuer + TMF_I_SECTIONS + 8 * role + 4);
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (memcmp(section_row(f, middle), serial, TMF_SERIAL_LEN) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == first)
        return TMF_GOOD; /* before the first one there is nothing */
    struct tmf_section s;
    tmf_section_read(&s, section_row(f, from - 1));
    int has = tmf_section_has(&s, f->p + s.offset, serial);
    if (has < 0)
        return TMF_CORRUPT;
    return (unsigned)has != s.inverted ? TMF_REVOKED : TMF_GOOD;
}

static int covered(const uint8_t *issuer, const uint8_t serial[TMF_SERIAL_LEN])
{
    /* Octets 2 to 5 of the serials that Touchmark gives are the time of issue. */
    uint32_t issued = (uint32_t)serial[2] << 24 | (uint32_t)serial[3] << 16 | (uint32_t)serial[4] << 8 |
                      (uint32_t)serial[5];
    return (int64_t)issued < (int64_t)get64(issuer + TMF_I_COVERED);
}

static enum tmf_answer ask_covered(const struct tmf_filter *f, const uint8_t *issuer,
                                   const uint8_t serial[TMF_SERIAL_LEN])
{
    if (!issuer)
        return TMF_UNKNOWN_ISSUER;
    return covered(issuer, serial) ? ask(f, issuer, TMF_ROLE_REVOKED, serial) : TMF_NOT_COVERED;
}

enum tmf_answer tmf_query(const struct tmf_filter *f, const struct tmf_filter *delta,
                          const uint8_t issuer[TMF_ISSUER_LEN], const uint8_t *serial, size_t serial_n)
{
    uint8_t padded[TMF_SERIAL_LEN] = {0};
    while (serial_n && serial[0] == 0) {
        serial++;
        serial_n--;
    }
    const uint8_t *in_full = find_issuer(f, issuer), *in_delta = delta ? find_issuer(delta, issuer) : NULL;
    if (!in_full && !in_delta)
        return TMF_UNKNOWN_ISSUER;
    if (serial_n > sizeof padded)
        return TMF_NOT_COVERED;
    if (serial_n)
        memcpy(padded + sizeof padded - serial_n, serial, serial_n);
    enum tmf_answer base = ask_covered(f, in_full, padded);
    if (!in_delta || base == TMF_CORRUPT)
        return base;
    if (!covered(in_delta, padded))
        return TMF_NOT_COVERED;
    enum tmf_answer change =
        ask(delta, in_delta, base == TMF_REVOKED ? TMF_ROLE_RELEASED : TMF_ROLE_REVOKED, padded);
    if (change == TMF_CORRUPT || base != TMF_REVOKED)
        return change;
    return change == TMF_REVOKED ? TMF_GOOD : TMF_REVOKED;
}

int tmf_fits(const struct tmf_filter *delta, const struct tmf_filter *f, const uint8_t digest[TMF_DIGEST_LEN])
{
    return delta->kind == TMF_DELTA && f->kind == TMF_FULL && delta->base_number == f->number &&
           strcmp(delta->name, f->name) == 0 && memcmp(delta->base_digest, digest, TMF_DIGEST_LEN) == 0;
}
