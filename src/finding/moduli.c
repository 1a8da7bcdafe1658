#include "finding/moduli.h"
#include "base/arena.h"
#include "base/digest.h"
#include "finding/progress.h"
#include "finding/shared_factor.h"
#include "issue/house.h"
#include "x509/spki.h"
#include <stdlib.h>
#include <string.h>

enum { BITS_LEAST = 512, BITS_MOST = 16384, HASH = 8, TABLE_FIRST = 1024 };

struct one {
    uint64_t hash;
    size_t at, n; /* in the octets */
    uint8_t id[CERT_SERIAL_LEN];
    bool shares; /* there is a pair */
};
struct moduli {
    uint8_t *octets;
    size_t used, cap;
    struct one *v;
    size_t n, cap_v;
    uint32_t *table; /* by hash: index + 1; 0 free. So long as v could grow to half of it */
    size_t cap_table;
    uint64_t left; /* beyond the limits */
    struct shared_modulus *sorted;
    struct moduli_pair *pairs;
    size_t n_pairs, cap_pairs;
};

tm_err moduli_new(struct moduli **ret)
{
    struct moduli *m = calloc(1, sizeof *m);
    if (!m)
        return TM_ENOMEM;
    m->cap_table = TABLE_FIRST;
    m->table = calloc(m->cap_table, sizeof *m->table);
    if (!m->table) {
        free(m);
        return TM_ENOMEM;
    }
    *ret = m;
    return TM_OK;
}

void moduli_free(struct moduli *m)
{
    if (!m)
        return;
    free(m->octets);
    free(m->v);
    free(m->table);
    free(m->sorted);
    free(m->pairs);
    free(m);
}

static uint32_t *slot(const struct moduli *m, uint64_t hash, struct slice n)
{
    size_t at = (size_t)hash & (m->cap_table - 1);
    while (m->table[at]) {
        const struct one *o = &m->v[m->table[at] - 1];
        if (o->hash == hash && slice_eq(slice_of(m->octets + o->at, o->n), n))
            break;
        at = (at + 1) & (m->cap_table - 1);
    }
    return &m->table[at];
}

/* Twice as much, or as much as is needed. */
static bool grow(void **p, size_t *cap, size_t least, size_t size)
{
    size_t n = *cap ? *cap * 2 : 1024;
    while (n < least)
        n *= 2;
    void *fresh = realloc(*p, n * size);
    if (!fresh)
        return false;
    *p = fresh;
    *cap = n;
    return true;
}

static bool grow_table(struct moduli *m)
{
    uint32_t *old = m->table;
    m->table = calloc(2 * m->cap_table, sizeof *m->table);
    if (!m->table) {
        m->table = old;
        return false;
    }
    m->cap_table *= 2;
    free(old);
    for (size_t i = 0; i < m->n; i++)
        *slot(m, m->v[i].hash, slice_of(m->octets + m->v[i].at, m->v[i].n)) = (uint32_t)(i + 1);
    return true;
}

tm_err moduli_take(struct moduli *m, const uint8_t id[CERT_SERIAL_LEN], const struct spki *spki)
{
    struct slice n;
    uint8_t digest[SHA256_LEN];
    uint64_t hash;
    if (spki->alg.id != OID_RSA || !spki_rsa_modulus(&n, spki) || n.n * 8 < BITS_LEAST ||
        n.n * 8 > BITS_MOST || !(n.p[n.n - 1] & 1))
        return TM_OK;
    TM_TRY(sha256(digest, n));
    memcpy(&hash, digest, sizeof hash);
    uint32_t *at = slot(m, hash, n);
    if (*at)
        return TM_OK;
    if (m->n >= SHARED_MODULI_MAX || m->used + n.n > SHARED_OCTETS_MAX) {
        m->left++;
        return TM_OK;
    }
    if (2 * (m->n + 1) > m->cap_table) {
        if (!grow_table(m))
            return TM_ENOMEM;
        at = slot(m, hash, n);
    }
    if ((m->n == m->cap_v && !grow((void **)&m->v, &m->cap_v, m->n + 1, sizeof *m->v)) ||
        (m->used + n.n > m->cap && !grow((void **)&m->octets, &m->cap, m->used + n.n, 1)))
        return TM_ENOMEM;
    m->v[m->n] = (struct one){.hash = hash, .at = m->used, .n = n.n};
    memcpy(m->v[m->n].id, id, CERT_SERIAL_LEN);
    memcpy(m->octets + m->used, n.p, n.n);
    m->used += n.n;
    *at = (uint32_t)++m->n;
    return TM_OK;
}

/* ---- comparing ---- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static struct one *behind(const struct moduli *m, size_t sorted)
{
    struct slice n = m->sorted[sorted].n;
    uint8_t digest[SHA256_LEN];
    uint64_t hash;
    if (sha256(digest, n) != TM_OK)
        return NULL;
    memcpy(&hash, digest, sizeof hash);
    uint32_t at = *slot(m, hash, n);
    return at ? &m->v[at - 1] : NULL;
}

static tm_err pair_add(struct moduli *m, struct one *one, const struct one *other)
{
    if (one->shares)
        return TM_OK;
    if (m->n_pairs == m->cap_pairs &&
        !grow((void **)&m->pairs, &m->cap_pairs, m->n_pairs + 1, sizeof *m->pairs))
        return TM_ENOMEM;
    struct moduli_pair *p = &m->pairs[m->n_pairs++];
    memcpy(p->one, one->id, CERT_SERIAL_LEN);
    memcpy(p->other, other->id, CERT_SERIAL_LEN);
    one->shares = true;
    return TM_OK;
}

static tm_err found(void *arg, size_t x, size_t y)
{
    struct moduli *m = arg;
    struct one *one = behind(m, x), *other = behind(m, y);
    if (!one || !other)
        return TM_OK;
    TM_TRY(pair_add(m, one, other));
    return pair_add(m, other, one);
}

tm_err moduli_compare(struct moduli *m, const struct moduli_pair **ret, size_t *ret_n, struct house *h,
                      tenant_id tenant, const atomic_bool *stop, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_META, .tenant = tenant, .arena = a};
    *ret_n = 0;
    m->n_pairs = 0;
    for (size_t i = 0; i < m->n; i++)
        m->v[i].shares = false;
    q.name = a ? progress_name(a, "moduli", tenant) : NULL;
    free(m->sorted);
    m->sorted = calloc(m->n + 1, sizeof *m->sorted);
    tm_err e = q.name && m->sorted ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        arena_free(a);
        return e;
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct one *o = &m->v[i];
        bool known = e == TM_OK && q.value.n && bsearch(&o->hash, q.value.p, q.value.n / HASH, HASH, by_hash);
        m->sorted[i] = (struct shared_modulus){.n = slice_of(m->octets + o->at, o->n), .fresh = !known};
    }
    e = shared_factors(m->sorted, m->n, stop, found, m);
    arena_free(a);
    *ret = m->pairs;
    *ret_n = m->n_pairs;
    return e;
}

tm_err moduli_remember(struct moduli *m, struct house *h, tenant_id tenant, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct effect e = {.kind = EFFECT_META_PUT, .tenant = tenant};
    uint64_t *hashes = calloc(m->n + 1, HASH);
    bool fresh = false;
    tm_err err = TM_OK;
    size_t n = 0;
    for (size_t i = 0; hashes && i < m->n; i++) {
        hashes[n] = m->v[i].hash;
        n += !m->v[i].shares;
        fresh |= m->sorted && m->sorted[i].fresh;
    }
    e.u.meta.name = a ? progress_name(a, "moduli", tenant) : NULL;
    if (!hashes || !e.u.meta.name) {
        err = TM_ENOMEM;
    } else if (fresh) {
        qsort(hashes, n, HASH, by_hash);
        e.u.meta.value = slice_of(hashes, n * HASH);
        err = house_commit(h, &e, 1, diag);
    }
    free(hashes);
    arena_free(a);
    return err;
}

void moduli_counts(const struct moduli *m, uint64_t *ret_compared, uint64_t *ret_left)
{
    *ret_compared = m->n;
    *ret_left = m->left;
}
