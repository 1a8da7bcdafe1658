#include "issue/secrets.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/sealed_secret.h"
#include "keys/signer.h"
#include "register/register.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 1024, KEPT_SECONDS = 300, PAGE = 200 };

struct kept {
    uint8_t of[SHA256_LEN]; /* record and sealed octets */
    uint8_t secret[SHARED_SECRET_LEN];
    uint64_t until_ns; /* 0: empty */
};
struct secrets {
    pthread_mutex_t mutex;
    struct kept v[KEPT]; /* an entry's place follows from its hash; the newer one takes it */
};

tm_err secrets_new(struct secrets **ret)
{
    struct secrets *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    pthread_mutex_init(&s->mutex, NULL);
    *ret = s;
    return TM_OK;
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->mutex);
    OPENSSL_cleanse(s->v, sizeof s->v);
    free(s);
}

/* ---- what was opened lately ---- */

static struct kept *place(struct secrets *s, const uint8_t of[SHA256_LEN])
{
    return &s->v[((unsigned)of[0] << 8 | of[1]) % KEPT];
}

static bool recall(uint8_t ret[SHARED_SECRET_LEN], struct secrets *s, const uint8_t of[SHA256_LEN])
{
    pthread_mutex_lock(&s->mutex);
    struct kept *k = place(s, of);
    if (k->until_ns && clock_mono_ns() > k->until_ns)
        OPENSSL_cleanse(k, sizeof *k);
    bool found = k->until_ns && memcmp(k->of, of, sizeof k->of) == 0;
    if (found)
        memcpy(ret, k->secret, sizeof k->secret);
    pthread_mutex_unlock(&s->mutex);
    return found;
}

static void keep(struct secrets *s, const uint8_t of[SHA256_LEN], const uint8_t secret[SHARED_SECRET_LEN])
{
    pthread_mutex_lock(&s->mutex);
    struct kept *k = place(s, of);
    memcpy(k->of, of, sizeof k->of);
    memcpy(k->secret, secret, sizeof k->secret);
    k->until_ns = clock_mono_ns() + KEPT_SECONDS * 1000000000ull;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- the signer ---- */

static const char *record_of(struct arena *a, tenant_id tenant, const char *token_id)
{
    return arena_printf(a, "token/%llu/%s", (unsigned long long)tenant, token_id);
}

/* Its answer stands in op->signature. */
static tm_err ask(struct sign_op *op, struct house *h, const char *record, bool open, struct slice secret,
                  struct diag *diag)
{
    struct buf request;
    if (!signer_key_find(h->signer, SECRETS_KEY))
        return diag_fail(diag, TM_EUNAVAIL, "secrets.key", NULL,
                         "the signer has no key for secrets; start the server once with its passphrase");
    /* Whole from the beginning: growing would leave copies behind. */
    buf_init(&request, SECRET_REQUEST_MAX);
    tm_err e = buf_extend(&request, SECRET_REQUEST_MAX) ? TM_OK : TM_ENOMEM;
    buf_reset(&request);
    if (e == TM_OK)
        e = sealed_secret_request(&request, slice_str(record), open, secret);
    *op = (struct sign_op){.kind = SIGN_SECRET, .key_id = SECRETS_KEY, .tbs = buf_slice(&request)};
    if (e == TM_OK) {
        e = signer_sign(h->signer, op);
        if (e != TM_OK)
            *diag = op->diag;
    }
    if (request.p)
        OPENSSL_cleanse(request.p, request.n);
    buf_done(&request);
    return e;
}

static tm_err record_opened(struct house *h, const struct sign_op *op, struct diag *diag)
{
    struct event_field fields[] = {
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)op->chain_seq},
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)signer_decrypted(op)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(op->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(sign_kind_names[op->kind])},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(op->tbs_hash)},
        {0},
    };
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    TM_TRY(house_event(h, TENANT_HOUSE, "secrets.opened", "house", fields, diag));
    chain_recorded(h->chain, op->chain_seq);
    return TM_OK;
}

tm_err secrets_seal(struct slice *ret, struct arena *a, struct house *h, tenant_id tenant,
                    const char *token_id, const uint8_t secret[SHARED_SECRET_LEN], struct diag *diag)
{
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    const char *record = record_of(a, tenant, token_id);
    if (!op || !record)
        return TM_ENOMEM;
    TM_TRY(house_signing_begin(h, diag));
    tm_err e = ask(op, h, record, false, slice_of(secret, SHARED_SECRET_LEN), diag);
    house_signing_end(h);
    return e == TM_OK ? arena_copy(ret, a, slice_of(op->signature, op->signature_n)) : e;
}

static tm_err open_by_signer(uint8_t ret[SHARED_SECRET_LEN], struct arena *a, struct house *h,
                             const char *record, struct slice sealed, struct diag *diag)
{
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (!op)
        return TM_ENOMEM;
    TM_TRY(house_signing_begin(h, diag));
    tm_err e = ask(op, h, record, true, sealed, diag);
    if (e == TM_OK && op->chain_seq)
        e = record_opened(h, op, diag);
    house_signing_end(h);
    if (e == TM_OK && op->signature_n != SHARED_SECRET_LEN)
        e = TM_ECORRUPT;
    if (e == TM_OK)
        memcpy(ret, op->signature, SHARED_SECRET_LEN);
    OPENSSL_cleanse(op->signature, sizeof op->signature);
    return e;
}

tm_err secrets_open(uint8_t ret[SHARED_SECRET_LEN], struct arena *a, struct house *h, tenant_id tenant,
                    const char *token_id, struct slice sealed, struct diag *diag)
{
    uint8_t of[SHA256_LEN];
    const char *record = record_of(a, tenant, token_id);
    if (!record)
        return TM_ENOMEM;
    const struct slice parts[] = {slice_of(record, strlen(record) + 1), sealed};
    TM_TRY(sha256_many(of, parts, 2));
    if (recall(ret, h->secrets, of))
        return TM_OK;
    TM_TRY(open_by_signer(ret, a, h, record, sealed, diag));
    keep(h->secrets, of, ret);
    return TM_OK;
}

/* ---- homes from before ---- */

tm_err secrets_key_ensure(const char *key_dir, const struct secret *passphrase, struct diag *diag)
{
    char path[4096];
    struct key *k = NULL;
    struct envelope env;
    snprintf(path, sizeof path, "%s/" SECRETS_KEY ".key", key_dir);
    if (!passphrase || access(path, F_OK) == 0 || errno != ENOENT)
        return TM_OK;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err e = key_load(&k, &env, a, key_dir, "register", passphrase, diag);
    key_free(k);
    k = NULL;
    arena_free(a);
    if (e == TM_ENOTFOUND)
        return TM_OK; /* no house yet, or a broken one: others say so */
    TM_TRY(e);
    const struct envelope sealed = {
        .key_id = SECRETS_KEY, .origin = "", .allow = 1u << SIGN_SECRET, .max_path_len = -1};
    TM_TRY(key_generate(&k, KEY_ALG_ED25519, 0, diag));
    e = key_store(key_dir, k, &sealed, passphrase, diag);
    key_free(k);
    return e == TM_ECONFLICT ? TM_OK : e;
}

static bool shared(const struct token_row *t)
{
    json_t *doc = NULL;
    if (json_parse(&doc, slice_str(t->claims), 64 << 10, NULL) != TM_OK)
        return false;
    const char *type = json_string_value(json_object_get(doc, "type"));
    bool yes = type && (strcmp(type, "mac") == 0 || strcmp(type, "external") == 0);
    json_decref(doc);
    return yes;
}

static tm_err seal_page(int64_t *count, struct house *h, struct arena *a, tenant_id tenant,
                        const struct store_read *q, struct diag *diag)
{
    struct effect *v = arena_calloc(a, q->n + 1, sizeof *v);
    size_t n = 0;
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < q->n; i++) {
        const struct token_row *t = &q->tokens[i];
        if (t->sealed.n || !shared(t))
            continue;
        v[n] = (struct effect){.kind = EFFECT_TOKEN_SEAL, .tenant = tenant};
        v[n].u.token.row.id = t->id;
        TM_TRY(secrets_seal(&v[n].u.token.row.sealed, a, h, tenant, t->id, t->secret_hash, diag));
        n++;
    }
    *count += (int64_t)n;
    return n ? house_commit(h, v, n, diag) : TM_OK;
}

static tm_err seal_tenant(int64_t *count, struct house *h, tenant_id tenant, struct diag *diag)
{
    struct slice after = {0};
    char last[256];
    bool more = true;
    while (more) {
        struct arena *a = arena_new(64 << 20);
        struct store_read q = {
            .kind = READ_TOKENS, .tenant = tenant, .arena = a, .limit = PAGE, .after = after};
        tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
        if (e != TM_OK && e != TM_ENOTFOUND)
            *diag = q.diag;
        else if (e == TM_OK)
            e = seal_page(count, h, a, tenant, &q, diag);
        more = e == TM_OK && q.more && q.page_next.n <= sizeof last;
        if (more) {
            memcpy(last, q.page_next.p, q.page_next.n);
            after = slice_of(last, q.page_next.n);
        }
        arena_free(a);
        if (e != TM_OK && e != TM_ENOTFOUND)
            return e;
    }
    return TM_OK;
}

static tm_err done(struct house *h, int64_t count, struct diag *diag)
{
    struct event_field fields[] = {{.key = "count", .kind = EVENT_INT, .i = count}, {0}};
    struct effect mark = {.kind = EFFECT_META_PUT, .tenant = TENANT_HOUSE};
    mark.u.meta.name = "secrets.sealed";
    mark.u.meta.value = SLICE_LIT("1");
    if (count) {
        TM_TRY(house_event(h, TENANT_HOUSE, "secrets.sealed", "house", fields, diag));
        log_info(NULL, "secrets.sealed", LOG_I("count", count));
    }
    return house_commit(h, &mark, 1, diag);
}

tm_err secrets_migrate(struct house *h, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct store_read q = {.kind = READ_META, .tenant = TENANT_HOUSE, .arena = a, .name = "secrets.sealed"};
    tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
    bool sealed = e == TM_OK && slice_eq_str(q.value, "1");
    arena_free(a);
    if (sealed)
        return TM_OK;
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    int64_t count = 0;
    struct catalog *c = house_catalog(h);
    const struct tenant *v;
    size_t n = catalog_tenants(c, &v);
    e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++)
        e = seal_tenant(&count, h, v[i].id, diag);
    catalog_unref(c);
    return e == TM_OK ? done(h, count, diag) : e;
}
