#include "issue/chain.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/house.h"
#include "keys/signer.h"
#include "register/register.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Entries above the watermark, a ring by number. It grows with what is under way at once, which the signer's queue bounds. */
struct entry {
    uint8_t hash[32];
    bool is_signed, recorded;
};

struct chain {
    struct house *house;
    pthread_mutex_t lock;
    uint64_t seq; /* watermark */
    uint8_t hash[32];
    struct entry *ring; /* entry of number n stands at n % cap, for n in (seq, seq + cap] */
    uint64_t cap;       /* power of two */
    uint64_t top;       /* highest number seen */
};

enum { CHAIN_RING_FIRST = 1024, CHAIN_RING_MAX = 1 << 22 };

/* Make room for number n. A number that far ahead of the watermark means that records stopped becoming durable; then
 * the watermark stays, which the next start's reconciliation mends. */
static struct entry *entry_at(struct chain *c, uint64_t n)
{
    if (n <= c->seq)
        return NULL;
    uint64_t cap = c->cap;
    while (n - c->seq > cap && cap < CHAIN_RING_MAX)
        cap *= 2;
    if (n - c->seq > cap)
        return NULL;
    if (cap != c->cap) {
        struct entry *ring = calloc(cap, sizeof *ring);
        if (!ring)
            return NULL;
        for (uint64_t i = c->seq + 1; i <= c->top; i++)
            ring[i & (cap - 1)] = c->ring[i & (c->cap - 1)];
        free(c->ring);
        c->ring = ring;
        c->cap = cap;
    }
    if (n > c->top)
        c->top = n;
    return &c->ring[n & (c->cap - 1)];
}

static void advance(struct chain *c)
{
    while (c->seq < c->top) {
        struct entry *e = &c->ring[(c->seq + 1) & (c->cap - 1)];
        if (!e->is_signed || !e->recorded)
            return;
        c->seq++;
        memcpy(c->hash, e->hash, sizeof c->hash);
        *e = (struct entry){0};
    }
}

void chain_signed(struct chain *c, uint64_t seq, const uint8_t hash[32])
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = entry_at(c, seq);
    if (e) {
        e->is_signed = true;
        memcpy(e->hash, hash, sizeof e->hash);
        advance(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void chain_recorded(struct chain *c, uint64_t seq)
{
    pthread_mutex_lock(&c->lock);
    struct entry *e = entry_at(c, seq);
    if (e) {
        e->recorded = true;
        advance(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void chain_position(void *chain, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    struct chain *c = chain;
    pthread_mutex_lock(&c->lock);
    *ret_seq = c->seq;
    memcpy(ret_hash, c->hash, sizeof c->hash);
    pthread_mutex_unlock(&c->lock);
}

uint64_t chain_waiting(struct chain *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t n = c->top - c->seq;
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* ---- reconciliation at start ---- */

/* Is the certificate of this signature in the store of any tenant? */
static tm_err certificate_stored(bool *ret, struct house *h, struct catalog *cat,
                                 const struct signer_entry *e, struct arena *a)
{
    const struct tenant *tenants;
    size_t n = catalog_tenants(cat, &tenants);
    *ret = false;
    for (size_t i = 0; i < n && !*ret; i++) {
        struct store_read r = {.kind = READ_CERT, .tenant = tenants[i].id, .arena = a};
        memcpy(r.id, e->serial, sizeof r.id);
        tm_err err = store_read_now(h->store, &r);
        if (err == TM_OK)
            *ret = true;
        else if (err != TM_ENOTFOUND)
            return err;
    }
    return TM_OK;
}

/* Is it the signature of a tenant's newest checkpoint? */
static tm_err checkpoint_stored(bool *ret, struct house *h, struct catalog *cat, const struct signer_entry *e,
                                struct arena *a)
{
    const struct tenant *tenants;
    size_t n = catalog_tenants(cat, &tenants);
    *ret = false;
    for (size_t i = 0; i < n && !*ret; i++) {
        struct store_read r = {.kind = READ_CHECKPOINT, .tenant = tenants[i].id, .arena = a};
        tm_err err = store_read_now(h->store, &r);
        if (err == TM_OK)
            *ret = r.checkpoints[0].chain_seq == e->seq;
        else if (err != TM_ENOTFOUND)
            return err;
    }
    return TM_OK;
}

static tm_err record_orphan(struct house *h, const struct signer_entry *e, struct arena *a, struct diag *diag)
{
    log_warn(NULL, "signature.orphaned", LOG_S("key", e->key_id), LOG_S("kind", sign_kind_names[e->kind]),
             LOG_I("chain", (int64_t)e->seq));
    struct slice tbs = slice_of(e->tbs_hash, sizeof e->tbs_hash);
    static const uint8_t none[CERT_SERIAL_LEN];
    bool has_serial = memcmp(e->serial, none, sizeof none) != 0;
    char *subject = arena_printf(a, "key/%s", e->key_id);
    if (!subject)
        return TM_ENOMEM;
    struct event_field fields[] = {
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)e->seq},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(e->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(sign_kind_names[e->kind])},
        {.key = "signed_at", .kind = EVENT_INT, .i = e->time},
        {.key = "tbs", .kind = EVENT_HEX, .s = tbs},
        {.key = has_serial ? "serial" : NULL, .kind = EVENT_HEX, .s = slice_of(e->serial, sizeof e->serial)},
        {0},
    };
    return house_event(h, TENANT_HOUSE, "signature.orphaned", subject, fields, diag);
}

static tm_err reconcile(struct house *h, struct diag *diag)
{
    struct arena *a = arena_new(256 << 20);
    struct catalog *cat = house_catalog(h);
    struct signer_entry *v = NULL;
    size_t n = 0;
    tm_err err = a ? signer_journal(h->signer, a, &v, &n, diag) : TM_ENOMEM;
    struct arena *scratch = arena_new(0);
    if (!scratch)
        err = TM_ENOMEM;
    for (size_t i = 0; i < n && err == TM_OK; i++) {
        bool stored = false;
        if (v[i].kind == SIGN_LEAF || v[i].kind == SIGN_CA)
            err = certificate_stored(&stored, h, cat, &v[i], scratch);
        else if (v[i].kind == SIGN_CHECKPOINT)
            err = checkpoint_stored(&stored, h, cat, &v[i], scratch);
        /* Anything else (a CRL, an older checkpoint) may stand in the register already; recording it twice does no harm, a gap would. */
        if (err == TM_OK && !stored)
            err = record_orphan(h, &v[i], scratch, diag);
        arena_reset(scratch);
    }
    arena_free(scratch);
    arena_free(a);
    catalog_unref(cat);
    return err;
}

tm_err chain_reopen(struct chain *c, struct diag *diag)
{
    uint64_t seq;
    uint8_t hash[32];
    TM_TRY(reconcile(c->house, diag));
    TM_TRY(signer_chain(c->house->signer, &seq, hash));
    pthread_mutex_lock(&c->lock);
    memset(c->ring, 0, c->cap * sizeof *c->ring);
    c->seq = c->top = seq;
    memcpy(c->hash, hash, sizeof c->hash);
    pthread_mutex_unlock(&c->lock);
    return TM_OK;
}

tm_err chain_open(struct chain **ret, struct house *h, struct diag *diag)
{
    struct chain *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    c->house = h;
    c->cap = CHAIN_RING_FIRST;
    c->ring = calloc(c->cap, sizeof *c->ring);
    tm_err e = c->ring ? chain_reopen(c, diag) : TM_ENOMEM;
    if (e != TM_OK) {
        chain_free(c);
        return e;
    }
    *ret = c;
    return TM_OK;
}

void chain_free(struct chain *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->ring);
    free(c);
}
