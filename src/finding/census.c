#include "finding/census.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { BITS_EACH = 16, BITS_LEAST = 1 << 19, BITS_MOST = 1 << 29, SEEN_FIRST = 1024 };

struct seen {
    uint8_t id[CERT_SERIAL_LEN], place[16];
    uint8_t n;                        /* 0: a free slot */
    bool file;                        /* the place is one */
    uint16_t hosts[CENSUS_HOSTS_MAX]; /* hashes of those counted first */
};
struct census {
    uint64_t *bits;
    uint64_t mask;
    struct seen *seen;
    size_t n_seen, cap_seen; /* a power of two */
};

tm_err census_new(struct census **ret, uint64_t expected)
{
    struct census *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    uint64_t bits = BITS_LEAST;
    while (bits < expected * BITS_EACH && bits < BITS_MOST)
        bits *= 2;
    c->mask = bits - 1;
    c->bits = calloc(bits / 64, sizeof *c->bits);
    c->seen = calloc(SEEN_FIRST, sizeof *c->seen);
    c->cap_seen = SEEN_FIRST;
    if (!c->bits || !c->seen) {
        census_free(c);
        return TM_ENOMEM;
    }
    *ret = c;
    return TM_OK;
}

void census_free(struct census *c)
{
    if (!c)
        return;
    free(c->bits);
    free(c->seen);
    free(c);
}

static uint64_t first_octets(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

bool census_key(struct census *c, const uint8_t spki_hash[32])
{
    uint64_t at = first_octets(spki_hash) & c->mask, bit = UINT64_C(1) << (at & 63);
    bool before = c->bits[at / 64] & bit;
    c->bits[at / 64] |= bit;
    return before;
}

/* ---- where they are met ---- */

/* Ids begin with their time; what tells them apart is behind. */
static size_t slot_of(const struct census *c, const uint8_t id[CERT_SERIAL_LEN])
{
    size_t at = (size_t)(first_octets(id + 8) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (c->cap_seen - 1);
    while (c->seen[at].n && memcmp(c->seen[at].id, id, CERT_SERIAL_LEN) != 0)
        at = (at + 1) & (c->cap_seen - 1);
    return at;
}

static bool grow(struct census *c)
{
    struct seen *old = c->seen;
    size_t n = c->cap_seen;
    struct seen *fresh = calloc(2 * n, sizeof *fresh);
    if (!fresh)
        return false;
    c->seen = fresh;
    c->cap_seen = 2 * n;
    for (size_t i = 0; i < n; i++)
        if (old[i].n)
            c->seen[slot_of(c, old[i].id)] = old[i];
    free(old);
    return true;
}

static uint16_t host_hash(const char *host)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *host; host++)
        h = (h ^ (uint8_t)*host) * 16777619u;
    return (uint16_t)(h ^ h >> 16);
}

static void place_set(struct seen *s, const char *place, bool file)
{
    for (size_t i = 0; i < 16 && place[2 * i] && place[2 * i + 1]; i++) {
        const char *digits = "0123456789abcdef", *hi = strchr(digits, place[2 * i]),
                   *lo = strchr(digits, place[2 * i + 1]);
        s->place[i] = (uint8_t)((hi ? hi - digits : 0) << 4 | (lo ? lo - digits : 0));
    }
    s->file = file;
}

void census_seen(struct census *c, const uint8_t id[CERT_SERIAL_LEN], const char *place, const char *host,
                 bool file)
{
    struct seen *s = &c->seen[slot_of(c, id)];
    uint16_t h = host_hash(host);
    if (s->n == 0) {
        if (c->n_seen >= CENSUS_PLACES_MAX || (2 * c->n_seen >= c->cap_seen && !grow(c)))
            return;
        s = &c->seen[slot_of(c, id)];
        memcpy(s->id, id, CERT_SERIAL_LEN);
        place_set(s, place, file);
        c->n_seen++;
    }
    if (s->file && !file)
        place_set(s, place, file);
    size_t told = s->n < CENSUS_HOSTS_MAX ? s->n : CENSUS_HOSTS_MAX;
    for (size_t i = 0; i < told; i++)
        if (s->hosts[i] == h)
            return;
    if (told < CENSUS_HOSTS_MAX)
        s->hosts[told] = h;
    s->n = (uint8_t)(told + 1); /* beyond the last that is told from others: more */
}

size_t census_hosts(char ret_place[33], const struct census *c, const uint8_t id[CERT_SERIAL_LEN])
{
    const struct seen *s = &c->seen[slot_of(c, id)];
    if (s->n)
        hex_encode(ret_place, SLICE_ARR(s->place));
    return s->n;
}
