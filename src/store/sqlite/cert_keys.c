#include "store/sqlite/cert_keys.h"
#include <endian.h>
#include <string.h>

/* ---- SipHash-2-4 (Aumasson, Bernstein 2012), fed word by word ---- */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    sip_round(s);
    s->v0 ^= m;
}

static uint64_t sip_end(struct sip *s, uint64_t last)
{
    sip_word(s, last);
    s->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Up to eight octets as the little-endian word that SipHash wants; those that are missing are zero. */
static inline uint64_t word_of(const uint8_t *p, size_t n)
{
    uint64_t w = 0;
    if (n == 8) {
        memcpy(&w, p, 8);
        return le64toh(w);
    }
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

/* ASCII capitals of a word become small letters: all eight octets at once, each with its top bit out of the way. */
static inline uint64_t word_lower(uint64_t w)
{
    static const uint64_t each = 0x0101010101010101u, top = each * 0x80;
    uint64_t low = w & ~top, from_a = low + each * (0x80 - 'A'), after_z = low + each * (0x7f - 'Z');
    return w | ((from_a ^ after_z) & ~w & top) >> 2;
}

/* ---- keys ---- */

static bool kind_is_text(enum cert_key_kind kind)
{
    return kind == CERT_KEY_SUBJECT || kind == CERT_KEY_CN || kind == CERT_KEY_SAN || kind == CERT_KEY_DEVICE;
}

uint64_t cert_key_hash(const struct cert_hash_key *hk, tenant_id tenant, enum cert_key_kind kind,
                       struct slice value)
{
    struct sip s = {.v0 = hk->k0 ^ 0x736f6d6570736575u,
                    .v1 = hk->k1 ^ 0x646f72616e646f6du,
                    .v2 = hk->k0 ^ 0x6c7967656e657261u,
                    .v3 = hk->k1 ^ 0x7465646279746573u};
    sip_word(&s, (uint64_t)kind << 32 | tenant);
    bool fold = kind_is_text(kind);
    size_t at = 0;
    for (; at + 8 <= value.n; at += 8) {
        uint64_t w = word_of(value.p + at, 8);
        sip_word(&s, fold ? word_lower(w) : w);
    }
    uint64_t w = word_of(value.p + at, value.n - at);
    uint64_t hash = sip_end(&s, (fold ? word_lower(w) : w) | (uint64_t)(value.n + 8) << 56);
    return (hash & ~(uint64_t)CERT_KEY_KIND_MASK) | ((uint64_t)kind & CERT_KEY_KIND_MASK);
}

/* The column that holds keys of this kind; NULL when none does. */
static const struct slice *column_of(const struct cert_key_columns *c, enum cert_key_kind kind)
{
    switch (kind) {
    case CERT_KEY_SUBJECT:
        return &c->subject;
    case CERT_KEY_FINGERPRINT:
        return &c->fingerprint;
    case CERT_KEY_SPKI:
        return &c->spki_hash;
    case CERT_KEY_DEVICE:
        return &c->device;
    case CERT_KEY_FOREIGN_SERIAL:
        return &c->serial;
    default:
        return NULL;
    }
}

static void put_u64(uint8_t out[8], uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

size_t cert_keys_pack(uint64_t hashes[CERT_KEYS_MAX], uint8_t blob[CERT_KEYS_BLOB_MAX], size_t *ret_blob_n,
                      const struct cert_hash_key *hk, tenant_id tenant,
                      const struct cert_key_columns *columns, const struct cert_key *keys, size_t n)
{
    size_t n_hashes = 0, at = 1;
    uint8_t mask = 0;
    for (size_t i = 0; i < n && n_hashes < CERT_KEYS_MAX; i++) {
        const struct slice *column = column_of(columns, keys[i].kind);
        uint8_t bit = column && slice_eq(*column, keys[i].value) ? (uint8_t)(1u << keys[i].kind) : 0;
        if (mask & bit)
            continue;
        uint64_t h = cert_key_hash(hk, tenant, keys[i].kind, keys[i].value);
        hashes[n_hashes++] = h;
        mask |= bit;
        if (bit == 0) {
            put_u64(blob + at, h);
            at += 8;
        }
    }
    blob[0] = mask;
    *ret_blob_n = at;
    return n_hashes;
}

size_t cert_keys_unpack(uint64_t hashes[CERT_KEYS_MAX], const struct cert_hash_key *hk, tenant_id tenant,
                        const struct cert_key_columns *columns, struct slice blob)
{
    size_t n = 0;
    if (blob.n == 0)
        return 0;
    for (unsigned kind = CERT_KEY_SUBJECT; kind <= CERT_KEY_FOREIGN_SERIAL; kind++) {
        const struct slice *column = column_of(columns, (enum cert_key_kind)kind);
        if (column && blob.p[0] & 1u << kind)
            hashes[n++] = cert_key_hash(hk, tenant, (enum cert_key_kind)kind, *column);
    }
    for (size_t at = 1; at + 8 <= blob.n && n < CERT_KEYS_MAX; at += 8)
        hashes[n++] = get_u64(blob.p + at);
    return n;
}

bool cert_keys_match(const struct cert_hash_key *hk, tenant_id tenant, const struct cert_key_columns *columns,
                     struct slice blob, const struct cert_key *key)
{
    if (blob.n == 0)
        return false;
    const struct slice *column = column_of(columns, key->kind);
    if (column && blob.p[0] & 1u << key->kind &&
        (kind_is_text(key->kind) ? slice_caseeq(*column, key->value) : slice_eq(*column, key->value)))
        return true;
    uint64_t h = cert_key_hash(hk, tenant, key->kind, key->value);
    for (size_t at = 1; at + 8 <= blob.n; at += 8)
        if (get_u64(blob.p + at) == h)
            return true;
    return false;
}
