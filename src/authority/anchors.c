#include "authority/anchors.h"
#include "authority/enter.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/catalog.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include <stdlib.h>
#include <string.h>

struct list {
    const char **v;
    size_t n;
};

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool holds(const struct list *l, const char *hex)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], hex) == 0)
            return true;
    return false;
}

static tm_err hashes(struct list *ret, struct arena *a, const struct slice *certs, size_t n)
{
    ret->v = arena_calloc(a, n + 1, sizeof *ret->v);
    ret->n = 0;
    if (!ret->v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[SHA256_LEN];
        TM_TRY(sha256(hash, certs[i]));
        const char *hex = arena_hex(a, SLICE_ARR(hash));
        if (!hex)
            return TM_ENOMEM;
        if (!holds(ret, hex))
            ret->v[ret->n++] = hex;
    }
    return TM_OK;
}

/* What an envelope lists, with these or without them. */
static tm_err changed(struct list *ret, struct arena *a, const struct envelope *env, const struct list *these,
                      bool remove, struct diag *diag)
{
    ret->v = arena_calloc(a, env->n_anchors + these->n + 1, sizeof *ret->v);
    ret->n = 0;
    if (!ret->v)
        return TM_ENOMEM;
    for (size_t i = 0; i < env->n_anchors; i++)
        if (!remove || !holds(these, env->anchors[i]))
            ret->v[ret->n++] = env->anchors[i];
    for (size_t i = 0; !remove && i < these->n; i++)
        if (!holds(ret, these->v[i]))
            ret->v[ret->n++] = these->v[i];
    if (ret->n > ENVELOPE_ANCHORS_MAX)
        return diag_fail(diag, TM_ETOOBIG, "key.envelope", NULL, "key %s lists more than %d certificates",
                         env->key_id, ENVELOPE_ANCHORS_MAX);
    qsort(ret->v, ret->n, sizeof *ret->v, text_cmp);
    return TM_OK;
}

/* `k` NULL: it is opened, where the envelope changes at all. */
static tm_err reseal(struct arena *a, const struct ceremony *c, const char *key_id, struct key *k,
                     const struct list *these, bool remove, struct diag *diag)
{
    const struct signer_key *known = signer_key_find(c->house->signer, key_id);
    const char *dir = ceremony_key_dir(a, c);
    struct list all;
    if (!known || !dir)
        return known ? TM_ENOMEM
                     : diag_fail(diag, TM_ENOTFOUND, NULL, NULL, "the signer has no key \"%s\"", key_id);
    struct envelope env = known->env;
    TM_TRY(changed(&all, a, &env, these, remove, diag));
    if (all.n == env.n_anchors)
        return TM_OK;
    env.anchors = all.v;
    env.n_anchors = all.n;
    struct key *opened = NULL;
    struct envelope old;
    tm_err e = k ? TM_OK : key_load(&opened, &old, a, dir, key_id, c->passphrase, diag);
    if (e == TM_OK)
        e = key_reseal(dir, k ? k : opened, &env, diag);
    key_free(opened);
    return e == TM_OK ? signer_reload(c->house->signer, diag) : e;
}

tm_err anchors_seal(struct arena *a, const struct ceremony *c, const char *key_id, struct key *k,
                    const struct slice *certs, size_t n, struct diag *diag)
{
    struct list these;
    TM_TRY(hashes(&these, a, certs, n));
    return reseal(a, c, key_id, k, &these, false, diag);
}

/* ---- by name ---- */

/* Whose envelope takes them. */
static const char *carrier(const struct ceremony *c, const struct catalog *cat, const struct authority *x)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    if (x->key_ref[0] && signer_key_find(c->house->signer, x->key_ref))
        return x->key_ref;
    for (size_t i = 0; i < n; i++)
        if (v[i]->tenant == x->tenant && v[i]->key_ref[0] && signer_key_find(c->house->signer, v[i]->key_ref))
            return v[i]->key_ref;
    return NULL;
}

static tm_err remove_all(struct arena *a, const struct ceremony *c, const struct catalog *cat,
                         tenant_id tenant, const struct list *these, struct diag *diag)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    for (size_t i = 0; i < n; i++)
        if (v[i]->tenant == tenant && v[i]->key_ref[0] && signer_key_find(c->house->signer, v[i]->key_ref))
            TM_TRY(reseal(a, c, v[i]->key_ref, NULL, these, true, diag));
    return TM_OK;
}

/* An authority's certificate and what stands above it. */
static size_t path_of(struct slice certs[ANCHORS_OF_ONE_MAX], const struct authority *x)
{
    size_t n = 0;
    certs[n++] = x->der;
    while (n < ANCHORS_OF_ONE_MAX && n <= x->n_chain) {
        certs[n] = x->chain[n - 1];
        n++;
    }
    return n;
}

tm_err anchors_follow(struct arena *a, const struct ceremony *c, tenant_id tenant, const char *authority,
                      struct diag *diag)
{
    struct slice certs[ANCHORS_OF_ONE_MAX];
    struct catalog *cat = house_catalog(c->house);
    const struct authority *x = catalog_authority(cat, tenant, authority);
    const char *key_id = x ? carrier(c, cat, x) : NULL;
    tm_err e = key_id ? anchors_seal(a, c, key_id, NULL, certs, path_of(certs, x), diag) : TM_OK;
    catalog_unref(cat);
    return e;
}

static tm_err change(struct ca_result *ret, size_t *ret_n, struct arena *a, const struct ceremony *c,
                     const struct catalog *cat, const struct authority *x, bool remove, struct diag *diag)
{
    struct slice certs[ANCHORS_OF_ONE_MAX];
    struct list these;
    size_t n = path_of(certs, x);
    if (remove)
        n = 1;
    const char *key_id = carrier(c, cat, x);
    if (!key_id)
        return diag_fail(diag, TM_EUNAVAIL, "ceremony.anchors", "/name",
                         "no CA of this tenant has its key here, so nobody signs messages");
    TM_TRY(hashes(&these, a, certs, n));
    TM_TRY(remove ? remove_all(a, c, cat, x->tenant, &these, diag)
                  : reseal(a, c, key_id, NULL, &these, false, diag));
    for (size_t i = 0; i < n; i++)
        ca_result_fill(&ret[i], a, x->name, certs[i]);
    *ret_n = n;
    return ceremony_event(c, x->tenant, remove ? "remove-anchors" : "seal-anchors", x->name, key_id, diag);
}

tm_err ceremony_anchors(struct ca_result ret[ANCHORS_OF_ONE_MAX], size_t *ret_n, struct arena *a,
                        const struct ceremony *c, tenant_id tenant, const char *authority, bool remove,
                        struct diag *diag)
{
    if (c->house->mode != HOUSE_OFFLINE)
        return diag_fail(diag, TM_EUNAVAIL, "ceremony.offline", NULL,
                         "a running server can't seal anything; stop it, run the command again, start it");
    struct catalog *cat = house_catalog(c->house);
    const struct authority *x = catalog_authority(cat, tenant, authority);
    tm_err e = x ? change(ret, ret_n, a, c, cat, x, remove, diag)
                 : diag_fail(diag, TM_ENOTFOUND, NULL, "/name", "there is no authority \"%s\"", authority);
    catalog_unref(cat);
    return e;
}
