#include "keys/known.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "keys/envelope.h"
#include "keys/pubkey.h"
#include "x509/cert.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT = 4096 };

struct entry {
    const char *id;
    unsigned allow;
    struct slice issuer;
    struct spki spki;
    const char *const *anchors; /* ascending */
    size_t n_anchors;
};

struct known {
    pthread_rwlock_t lock; /* over the table of keys */
    struct arena *arena;
    struct entry *v;
    size_t n;
    pthread_mutex_t
        mutex; /* over what was signed lately: a hash's place follows from itself, the newer one takes it */
    uint8_t recent[RECENT][SHA256_LEN];
};

tm_err known_new(struct known **ret)
{
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    pthread_rwlock_init(&k->lock, NULL);
    pthread_mutex_init(&k->mutex, NULL);
    *ret = k;
    return TM_OK;
}

void known_free(struct known *k)
{
    if (!k)
        return;
    arena_free(k->arena);
    pthread_rwlock_destroy(&k->lock);
    pthread_mutex_destroy(&k->mutex);
    free(k);
}

/* ---- the keys ---- */

static tm_err copy_anchors(struct entry *e, struct arena *a, const struct envelope *env)
{
    const char **v = arena_calloc(a, env->n_anchors + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < env->n_anchors; i++)
        if (!(v[i] = arena_strdup(a, env->anchors[i])))
            return TM_ENOMEM;
    e->anchors = v;
    e->n_anchors = env->n_anchors;
    return TM_OK;
}

static tm_err copy_key(struct entry *e, struct arena *a, const struct known_key *k)
{
    struct slice spki;
    e->allow = k->env->allow;
    e->id = arena_strdup(a, k->env->key_id);
    if (!e->id)
        return TM_ENOMEM;
    TM_TRY(arena_copy(&e->issuer, a, k->env->issuer));
    TM_TRY(arena_copy(&spki, a, k->spki));
    TM_TRY(spki_parse(&e->spki, spki, NULL));
    return copy_anchors(e, a, k->env);
}

tm_err known_keys(struct known *k, const struct known_key *v, size_t n)
{
    struct arena *a = arena_new(0);
    struct entry *table = a ? arena_calloc(a, n + 1, sizeof *table) : NULL;
    tm_err e = table ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; e == TM_OK && i < n; i++)
        e = copy_key(&table[i], a, &v[i]);
    if (e != TM_OK) {
        arena_free(a);
        return e;
    }
    pthread_rwlock_wrlock(&k->lock);
    struct arena *old = k->arena;
    k->arena = a;
    k->v = table;
    k->n = n;
    pthread_rwlock_unlock(&k->lock);
    arena_free(old);
    return TM_OK;
}

/* ---- tenants ---- */

static struct slice tenant_of(const char *key_id)
{
    const char *dot = strchr(key_id, '.');
    return slice_of(key_id, dot ? (size_t)(dot - key_id) : 0);
}

static bool same_tenant(const char *a, const char *b)
{
    return slice_eq(tenant_of(a), tenant_of(b));
}

/* ---- what was signed ---- */

static uint8_t *place(struct known *k, const uint8_t hash[SHA256_LEN])
{
    return k->recent[((unsigned)hash[0] << 8 | hash[1]) % RECENT];
}

void known_signed(struct known *k, const uint8_t tbs_hash[32])
{
    pthread_mutex_lock(&k->mutex);
    memcpy(place(k, tbs_hash), tbs_hash, SHA256_LEN);
    pthread_mutex_unlock(&k->mutex);
}

static bool remembered(struct known *k, const uint8_t hash[SHA256_LEN])
{
    pthread_mutex_lock(&k->mutex);
    bool found = memcmp(place(k, hash), hash, SHA256_LEN) == 0;
    pthread_mutex_unlock(&k->mutex);
    return found;
}

/* By a key that signs certificates under the issuer's name. The lock is held. */
static bool verified(const struct known *k, const char *key_id, const struct cert *c)
{
    for (size_t i = 0; i < k->n; i++) {
        const struct entry *e = &k->v[i];
        if ((e->allow & (1u << SIGN_LEAF | 1u << SIGN_CA)) && e->issuer.n && slice_eq(e->issuer, c->issuer) &&
            (same_tenant(e->id, key_id) || tenant_of(e->id).n == 0) &&
            cert_verify_signature(c, &e->spki, NULL) == TM_OK)
            return true;
    }
    return false;
}

bool known_issued(struct known *k, const char *key_id, const struct cert *c)
{
    uint8_t hash[SHA256_LEN];
    if (sha256(hash, c->tbs) != TM_OK)
        return false;
    if (remembered(k, hash))
        return true;
    pthread_rwlock_rdlock(&k->lock);
    bool good = verified(k, key_id, c);
    pthread_rwlock_unlock(&k->lock);
    if (good)
        known_signed(k, hash);
    return good;
}

/* ---- CAs and RAs ---- */

static int anchor_cmp(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool sealed(const struct known *k, const char *key_id, const struct cert *c)
{
    uint8_t hash[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    if (sha256(hash, c->der) != TM_OK)
        return false;
    hex_encode(hex, SLICE_ARR(hash));
    for (size_t i = 0; i < k->n; i++)
        if (k->v[i].n_anchors && same_tenant(k->v[i].id, key_id) &&
            bsearch(hex, k->v[i].anchors, k->v[i].n_anchors, sizeof k->v[i].anchors[0], anchor_cmp))
            return true;
    return false;
}

bool known_ca(struct known *k, const char *key_id, const struct cert *c)
{
    if (!cert_is_ca(c))
        return false;
    pthread_rwlock_rdlock(&k->lock);
    bool good = sealed(k, key_id, c) || verified(k, key_id, c);
    pthread_rwlock_unlock(&k->lock);
    return good;
}

/* cmcRA, perhaps with cmKGA (RFC 9483 4.1.6.1), and nothing else. */
static bool only_ra(const struct cert *c)
{
    const struct ext *ext = exts_find(&c->exts, OID_EXT_EKU);
    struct eku eku;
    bool ra = false;
    if (!ext || ext_decode_eku(&eku, ext->value, NULL) != TM_OK || cert_is_ca(c))
        return false;
    for (size_t i = 0; i < eku.n; i++) {
        enum oid use = oid_find(eku.oid[i]);
        if (use != OID_EKU_CMC_RA && use != OID_EKU_CM_KGA)
            return false;
        ra = ra || use == OID_EKU_CMC_RA;
    }
    return ra;
}

bool known_ra(struct known *k, const char *key_id, const struct cert *c)
{
    bool here = false;
    if (!only_ra(c))
        return false;
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i < k->n && !here; i++)
        here = (k->v[i].allow & (1u << SIGN_CMS | 1u << SIGN_CMP)) && same_tenant(k->v[i].id, key_id) &&
               slice_eq(k->v[i].spki.der, c->spki.der);
    bool good = here && verified(k, key_id, c);
    pthread_rwlock_unlock(&k->lock);
    return good;
}
