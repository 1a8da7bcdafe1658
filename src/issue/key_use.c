#include "issue/key_use.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <string.h>

enum { KEY_USES_COMPARED = 8, KEY_USES_PAGE = 500, KEY_USES_MAX = 10000 };

static const char compromised_name[] = "key.compromised/";

/* One key and one who wants it certified. */
struct asking {
    struct key_use *use;
    struct arena *a;
    struct house *h;
    tenant_id tenant;
    uint8_t key[SHA256_LEN], spki[SHA256_LEN];
    const char *device, *subject;
    struct diag *diag;
};

/* SHA-256 over a word and a hash: another value of the same kind of key. */
static tm_err mark_of(uint8_t ret[SHA256_LEN], const uint8_t key[SHA256_LEN])
{
    static const char word[] = "shared";
    uint8_t text[sizeof word + SHA256_LEN];
    memcpy(text, word, sizeof word);
    memcpy(text + sizeof word, key, SHA256_LEN);
    return sha256(ret, SLICE_ARR(text));
}

static bool is_same(const struct asking *q, const struct cert_row *x)
{
    return q->device && q->device[0] && x->device && x->device[0] ? strcmp(q->device, x->device) == 0
                                                                  : strcmp(q->subject, x->subject) == 0;
}

static void look_at(struct asking *q, const struct cert_row *x)
{
    q->use->compromised |= x->revoked_at != 0 && x->reason == CRL_KEY_COMPROMISE;
    if (!q->use->elsewhere && x->source != CERT_DISCOVERED && !is_same(q, x)) {
        q->use->elsewhere = true;
        q->use->by = x->subject;
    }
}

/* Certificates that the index knows by this hash, from the newest, or from behind those that `r` has. */
static tm_err page(struct store_read *r, const struct asking *q, const uint8_t *hash, size_t limit)
{
    struct slice after = r->page_next;
    *r = (struct store_read){.kind = READ_CERTS_BY_KEY,
                             .tenant = q->tenant,
                             .arena = q->a,
                             .key = {.kind = CERT_KEY_SPKI, .value = slice_of(hash, SHA256_LEN)},
                             .after = after,
                             .limit = limit};
    tm_err e = store_read_now(q->h->store, r);
    if (e != TM_OK && e != TM_ENOTFOUND)
        *q->diag = r->diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* The others of a key that has more uses than were compared. */
static tm_err look_further(struct asking *q)
{
    uint8_t mark[SHA256_LEN];
    struct store_read r = {0};
    TM_TRY(mark_of(mark, q->key));
    TM_TRY(page(&r, q, mark, 1));
    if (r.n == 0)
        return TM_OK; /* all are of the one whose newest were compared */
    r = (struct store_read){0};
    size_t seen = 0;
    do {
        TM_TRY(page(&r, q, q->key, KEY_USES_PAGE));
        for (size_t i = 0; i < r.n; i++)
            look_at(q, &r.certs[i]);
        seen += r.n;
    } while (r.more && !q->use->elsewhere && seen < KEY_USES_MAX);
    if (r.more && !q->use->elsewhere) {
        q->use->elsewhere = true;
        q->use->by = "others";
    }
    return TM_OK;
}

static tm_err name_compromised(const char **ret, struct arena *a, const uint8_t hash[SHA256_LEN])
{
    char hex[2 * SHA256_LEN + 1];
    hex_encode(hex, slice_of(hash, SHA256_LEN));
    *ret = arena_printf(a, "%s%s", compromised_name, hex);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err reported(struct asking *q, const uint8_t hash[SHA256_LEN])
{
    struct store_read r = {.kind = READ_META, .tenant = q->tenant, .arena = q->a};
    TM_TRY(name_compromised(&r.name, q->a, hash));
    tm_err e = store_read_now(q->h->store, &r);
    if (e == TM_OK)
        q->use->compromised = true;
    else if (e != TM_ENOTFOUND)
        *q->diag = r.diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

tm_err key_use_find(struct key_use *ret, struct arena *a, struct house *h, tenant_id tenant,
                    const struct spki *spki, const char *device, const char *subject, struct diag *diag)
{
    struct asking q = {
        .use = ret, .a = a, .h = h, .tenant = tenant, .device = device, .subject = subject, .diag = diag};
    struct store_read r = {0};
    bool other_name;
    *ret = (struct key_use){0};
    TM_TRY(cert_key_of_spki(q.key, &other_name, spki));
    TM_TRY(page(&r, &q, q.key, KEY_USES_COMPARED));
    /* What was reported stays when retention has taken the certificates that it was reported of. */
    for (size_t i = 0; i < r.n; i++)
        look_at(&q, &r.certs[i]);
    if (r.more && !ret->elsewhere)
        TM_TRY(look_further(&q));
    if (!ret->compromised)
        TM_TRY(reported(&q, q.key));
    if (!ret->compromised && other_name) { /* it was revoked when no DER was kept */
        TM_TRY(sha256(q.spki, spki->der));
        TM_TRY(reported(&q, q.spki));
    }
    return TM_OK;
}

tm_err key_use_mark(struct effect *e, struct arena *a, const struct spki *spki)
{
    uint8_t key[SHA256_LEN], mark[SHA256_LEN];
    bool other_name;
    TM_TRY(cert_key_of_spki(key, &other_name, spki));
    TM_TRY(mark_of(mark, key));
    size_t n = e->u.cert.n_keys;
    struct cert_key *keys = arena_calloc(a, n + 1, sizeof *keys);
    if (!keys)
        return TM_ENOMEM;
    /* First, so that it stays whatever number of names is indexed. */
    keys[0].kind = CERT_KEY_SPKI;
    TM_TRY(arena_copy(&keys[0].value, a, SLICE_ARR(mark)));
    if (n)
        memcpy(keys + 1, e->u.cert.keys, n * sizeof *keys);
    e->u.cert.keys = keys;
    e->u.cert.n_keys = n + 1;
    return TM_OK;
}

tm_err key_use_compromised(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row)
{
    struct cert c;
    uint8_t key[SHA256_LEN];
    bool other_name;
    memcpy(key, row->spki_hash, sizeof key);
    if (row->der.n && cert_parse(&c, row->der, NULL) == TM_OK)
        TM_TRY(cert_key_of_spki(key, &other_name, &c.spki));
    *ret = (struct effect){.kind = EFFECT_META_PUT, .tenant = tenant};
    TM_TRY(name_compromised(&ret->u.meta.name, a, key));
    ret->u.meta.value = slice_str("revoked");
    return TM_OK;
}
