#include "issue/house.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/jobs.h"
#include "issue/refusal.h"
#include "issue/secrets.h"
#include "keys/quality.h"
#include "keys/signer.h"
#include "register/register.h"
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMMITS_WAIT_NS = 2000000000, GATHER_TASKS = 32, GATHER_US = 2000 };

static void log_bad_resource(void *arg, const char *kind, const char *name, const struct diag *d)
{
    (void)arg;
    log_error(NULL, "resource.invalid", LOG_S("kind", kind), LOG_S("name", name), LOG_S("field", d->field),
              LOG_S("why", d->message));
}

/* ---- the catalog ---- */

struct catalog *house_catalog(struct house *h)
{
    pthread_mutex_lock(h->catalog_lock);
    struct catalog *c = catalog_ref(atomic_load(&h->catalog_now));
    pthread_mutex_unlock(h->catalog_lock);
    return c;
}

/* One at a time: of two that build at once, the one that read the older state must not be the one that stays. */
tm_err house_reload(struct house *h, struct diag *diag)
{
    struct catalog *fresh = NULL, *old = NULL;
    pthread_mutex_lock(h->reload_lock);
    tm_err e = catalog_build(&fresh, h->store, h->signer, log_bad_resource, NULL, diag);
    if (e == TM_OK) {
        pthread_mutex_lock(h->catalog_lock);
        old = atomic_exchange(&h->catalog_now, fresh);
        pthread_mutex_unlock(h->catalog_lock);
    }
    pthread_mutex_unlock(h->reload_lock);
    catalog_unref(old);
    return e;
}

/* ---- open and close ---- */

static const char *signer_user(const struct house_config *c)
{
    if (geteuid() != 0)
        return NULL;
    if (c->signer_user)
        return c->signer_user;
    return getpwnam("touchmark-signer") ? "touchmark-signer" : NULL;
}

static tm_err open_signer(struct house *h, const struct house_config *c, struct diag *diag)
{
    if (c->mode == HOUSE_READ)
        return TM_OK;
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/keys", h->home);
    TM_TRY(secrets_key_ensure(dir, c->passphrase, diag));
    struct signer_config sc = {
        .key_dir = dir,
        .user = c->mode == HOUSE_SERVE ? signer_user(c) : NULL,
        .passphrase = c->passphrase,
        .passphrase_file = c->passphrase_file,
        .program = c->signer_program,
        .in_process = c->mode == HOUSE_OFFLINE,
    };
    return signer_start(&h->signer, &sc, diag);
}

static tm_err open_store(struct house *h, const struct house_config *c, struct diag *diag)
{
    char path[4096], crl[4096 + 8];
    snprintf(path, sizeof path, "%s/store", h->home);
    snprintf(crl, sizeof crl, "%s/crl", c->store_path ? c->store_path : path);
    h->crl_dir = strdup(crl);
    if (!h->crl_dir)
        return TM_ENOMEM;
    struct store_config sc = {
        .driver = c->store_driver ? c->store_driver : "sqlite",
        .path = c->store_path ? c->store_path : path,
        .read_only = c->mode == HOUSE_READ,
        .unsafe_async = c->store_unsafe_async,
    };
    return store_open(&h->store, &sc, diag);
}

static void chain_position_of(void *ctx, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    struct house *h = ctx;
    *ret_seq = 0;
    memset(ret_hash, 0, 32);
    if (h->chain)
        chain_position(h->chain, ret_seq, ret_hash);
}

static void chain_recorded_in(void *ctx, uint64_t seq)
{
    struct house *h = ctx;
    if (h->chain)
        chain_recorded(h->chain, seq);
}

static void chain_signed_in(void *ctx, uint64_t seq, const uint8_t hash[32])
{
    struct house *h = ctx;
    if (h->chain)
        chain_signed(h->chain, seq, hash);
}

static tm_err open_register(struct house *h, struct diag *diag)
{
    struct register_config rc = {
        .store = h->store,
        .signer = h->signer,
        .key_id = "register",
        .origin = h->origin,
        .chain_position = chain_position_of,
        .chain_signed = chain_signed_in,
        .chain_recorded = chain_recorded_in,
        .ctx = h,
    };
    return register_open(&h->reg, &rc, diag);
}

static tm_err open_pools(struct house *h, const struct house_config *c)
{
    TM_TRY(pool_new(&h->crypto, "crypto", c->crypto_threads ? c->crypto_threads : task_cores()));
    /* Its tasks take some 50 us each: what a few of them have made goes on to signer, committer and loops together. */
    pool_gather(h->crypto, GATHER_TASKS, GATHER_US);
    return pool_new(&h->blocking, "work", c->blocking_threads ? c->blocking_threads : 4);
}

static void signer_died(struct task *t)
{
    struct house *h = TM_CONTAINER(t, struct house, signer_death);
    log_error(NULL, "signer.died", LOG_S("effect", "issuance stops until the signer is back"));
    house_read_only(h, "the signer process is gone");
    jobs_kick(h->jobs, "signer.restart");
}

/* Lists that were named have to be there; those that lie in the home are taken where somebody put them. */
static tm_err open_weak_keys(struct house *h, const struct house_config *c, struct diag *diag)
{
    char standard[4096];
    snprintf(standard, sizeof standard, "%s/weak-keys", h->home);
    if (!c->weak_keys && access(standard, F_OK) != 0)
        return TM_OK;
    TM_TRY(key_blocklist_load(&h->blocklist, c->weak_keys ? c->weak_keys : standard, diag));
    log_info(NULL, "weak-keys", LOG_I("entries", (int64_t)key_blocklist_size(h->blocklist)));
    return TM_OK;
}

static tm_err open_parts(struct house *h, const struct house_config *c, struct diag *diag)
{
    /* The signer forks before any thread exists. */
    TM_TRY(open_signer(h, c, diag));
    TM_TRY(open_store(h, c, diag));
    TM_TRY(open_pools(h, c));
    TM_TRY(refusals_new(&h->refusals));
    TM_TRY(secrets_new(&h->secrets));
    TM_TRY(open_weak_keys(h, c, diag));
    TM_TRY(house_reload(h, diag));
    if (c->mode == HOUSE_READ) {
        /* Its key is known to the signer only: readers who have the key's text open the register themselves. */
        tm_err e = open_register(h, diag);
        return e == TM_ENOTFOUND ? TM_OK : e;
    }
    TM_TRY(chain_open(&h->chain, h, diag));
    TM_TRY(open_register(h, diag));
    TM_TRY(secrets_migrate(h, diag));
    if (c->mode == HOUSE_SERVE) {
        TM_TRY(jobs_start(&h->jobs, h));
        h->signer_death.run = signer_died;
        signer_on_death(h->signer, pool_executor(h->blocking), &h->signer_death);
    }
    return TM_OK;
}

static void *lock_new(void)
{
    pthread_mutex_t *lock = malloc(sizeof *lock);
    if (lock)
        pthread_mutex_init(lock, NULL);
    return lock;
}

static void lock_free(void *lock)
{
    if (lock)
        pthread_mutex_destroy(lock);
    free(lock);
}

tm_err house_open(struct house **ret, const struct house_config *c, struct diag *diag)
{
    struct house *h = calloc(1, sizeof *h);
    if (!h)
        return TM_ENOMEM;
    h->mode = c->mode;
    h->home = strdup(c->home);
    h->public_base = strdup(c->public_base ? c->public_base : "");
    h->console_origin = strdup(c->console_origin ? c->console_origin : "");
    h->origin = strdup(c->origin ? c->origin : "touchmark");
    h->passphrase_file = c->passphrase_file ? strdup(c->passphrase_file) : NULL;
    h->on_lost = c->on_lost;
    h->on_lost_arg = c->on_lost_arg;
    h->started_at = clock_now();
    under_way_init(&h->under_way);
    h->catalog_lock = lock_new();
    h->reload_lock = lock_new();
    h->resource_lock = lock_new();
    bool whole = h->home && h->public_base && h->console_origin && h->origin && h->catalog_lock &&
                 h->reload_lock && h->resource_lock;
    tm_err e = whole ? open_parts(h, c, diag) : TM_ENOMEM;
    if (e != TM_OK) {
        house_close(h);
        return e;
    }
    *ret = h;
    return TM_OK;
}

void house_close(struct house *h)
{
    if (!h)
        return;
    jobs_stop(h->jobs);
    /* What runs in the pools may still want the store and the signer, and kick jobs. */
    pool_free(h->crypto);
    pool_free(h->blocking);
    h->crypto = h->blocking = NULL;
    jobs_free(h->jobs);
    h->jobs = NULL;
    struct diag diag = {0};
    if (h->reg && h->mode != HOUSE_READ) {
        if (refusals_flush(h, &diag) != TM_OK || house_sequence(h, &diag) != TM_OK)
            log_error(NULL, "house.close", LOG_S("why", diag.message));
    }
    register_close(h->reg);
    chain_free(h->chain);
    refusals_free(h->refusals);
    secrets_free(h->secrets);
    store_close(h->store);
    signer_free(h->signer);
    catalog_unref(atomic_load(&h->catalog_now));
    key_blocklist_free(h->blocklist);
    under_way_done(&h->under_way);
    lock_free(h->catalog_lock);
    lock_free(h->reload_lock);
    lock_free(h->resource_lock);
    free(h->passphrase_file);
    free(h->origin);
    free(h->crl_dir);
    free(h->public_base);
    free(h->console_origin);
    free(h->home);
    free(h);
}

void house_read_only(struct house *h, const char *reason)
{
    atomic_store(&h->read_only_reason, reason);
    atomic_store(&h->read_only, reason != NULL);
}

tm_err house_may_sign(const struct house *h, struct diag *diag)
{
    if (!atomic_load(&h->read_only))
        return TM_OK;
    const char *why = atomic_load(&h->read_only_reason);
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "issuance is stopped: %s",
                     why ? why : "the signer is coming back");
}

tm_err house_signing_begin(struct house *h, struct diag *diag)
{
    /* Counted first, then looked: who waits for the count to be zero has closed the house before. */
    house_signing_goes_on(h);
    tm_err e = house_may_sign(h, diag);
    if (e != TM_OK)
        house_signing_end(h);
    return e;
}

void house_signing_goes_on(struct house *h)
{
    atomic_fetch_add(&h->in_flight, 1);
}

void house_signing_end(struct house *h)
{
    atomic_fetch_sub(&h->in_flight, 1);
}

tm_err house_authority_urls(const char **ret_crl, const char **ret_ca, struct arena *a, const struct house *h,
                            const struct authority *x)
{
    const char *crl = x->crl_url, *ca = x->ca_url;
    if (h->public_base[0] && !crl[0])
        crl = arena_printf(a, "%s/crl/%s/full.crl", h->public_base, x->key_id_hex);
    if (h->public_base[0] && !ca[0])
        ca = arena_printf(a, "%s/ca/%s.cer", h->public_base, x->key_id_hex);
    if (!crl || !ca)
        return TM_ENOMEM;
    *ret_crl = crl;
    *ret_ca = ca;
    return TM_OK;
}

const char *house_crl_list_url(struct arena *a, const struct house *h, const struct authority *x,
                               const char *list)
{
    static const char full[] = "full.crl";
    size_t n = strlen(x->crl_url), m = sizeof full - 1;
    if (n > m && strcmp(x->crl_url + n - m, full) == 0)
        return arena_printf(a, "%.*s%s.crl", (int)(n - m), x->crl_url, list);
    if (n || !h->public_base[0])
        return "";
    return arena_printf(a, "%s/crl/%s/%s.crl", h->public_base, x->key_id_hex, list);
}

const char *house_ocsp_url(struct arena *a, const struct house *h, const struct authority *x)
{
    if (x->ocsp_url[0] || !x->ocsp.in_certificates || !h->public_base[0])
        return x->ocsp_url;
    return arena_printf(a, "%s/ocsp", h->public_base);
}

/* ---- jobs ---- */

tm_err house_sequence(struct house *h, struct diag *diag)
{
    struct catalog *c = house_catalog(h);
    const struct tenant *v;
    size_t n = catalog_tenants(c, &v);
    tenant_id *ids = calloc(n + 1, sizeof *ids);
    if (!ids) {
        catalog_unref(c);
        return TM_ENOMEM;
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i].id != TENANT_HOUSE)
            ids[k++] = v[i].id;
    /* The house's log comes last: it anchors the others. */
    ids[k++] = TENANT_HOUSE;
    catalog_unref(c);
    tm_err e = register_sequence(h->reg, ids, k, diag);
    free(ids);
    return e;
}

static tm_err apply_retention(struct house *h, struct diag *diag)
{
    uint64_t removed = 0;
    TM_TRY(h->store->driver->expire(h->store, clock_now(), &removed, diag));
    if (removed)
        log_info(NULL, "retention.applied", LOG_I("rows", (int64_t)removed));
    return TM_OK;
}

/* Everything between the signer and its commit has ended; nothing new begins, because issuance is stopped. */
static bool wait_for_commits(struct house *h)
{
    uint64_t until = clock_mono_ns() + COMMITS_WAIT_NS;
    while (atomic_load(&h->in_flight) != 0) {
        if (clock_mono_ns() > until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return true;
}

/* Without the process that starts signers there is none in this one any more. */
static tm_err give_up(struct house *h, struct diag *diag)
{
    static const char why[] = "the signer and the process that starts signers are gone";
    if (h->on_lost) {
        log_error(NULL, "signer.lost", LOG_S("why", why),
                  LOG_S("effect", "the server ends, so that it can be started anew"));
        h->on_lost(h->on_lost_arg, why);
        h->on_lost = NULL;
    }
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "%s; restart touchmark", why);
}

/* A signer that died comes back where its passphrase can be read again. First everything under way has to have ended and the
 * journal to be reconciled: signatures whose answers were lost are recorded before new ones are made. */
static tm_err restart_signer(struct house *h, struct diag *diag)
{
    if (signer_alive(h->signer) && !h->signer_lost)
        return TM_OK;
    h->signer_lost = true;
    house_read_only(h, "the signer process is gone");
    if (!signer_alive(h->signer)) {
        if (!h->passphrase_file)
            return diag_fail(
                diag, TM_ELOCKED, NULL, NULL,
                "the signer is gone and its passphrase can't be read again; restart touchmark, or configure signer.passphrase-file");
        if (!signer_restartable(h->signer))
            return give_up(h, diag);
        if (!wait_for_commits(h))
            return diag_fail(diag, TM_EBUSY, NULL, NULL, "waiting for requests under way to end");
        TM_TRY(signer_restart(h->signer, diag));
    }
    TM_TRY(chain_reopen(h->chain, diag));
    h->signer_lost = false;
    signer_on_death(h->signer, pool_executor(h->blocking), &h->signer_death);
    log_info(NULL, "signer.restarted");
    house_read_only(h, NULL);
    return TM_OK;
}

static const struct job sequence_job = {
    .name = "register.sequence", .period_ms = 1000, .run = house_sequence};
static const struct job refusals_job = {.name = "refusals.record", .period_ms = 10000, .run = refusals_flush};
static const struct job retention_job = {
    .name = "retention.apply", .period_ms = 3600 * 1000, .run = apply_retention};
static const struct job restart_job = {.name = "signer.restart", .period_ms = 2000, .run = restart_signer};
const struct job *const house_jobs[] = {&restart_job,   &sequence_job, &refusals_job,
                                        &retention_job, &objects_job,  NULL};

/* ---- events ---- */

tm_err house_commit(struct house *h, struct effect *effects, size_t n, struct diag *diag)
{
    struct store_txn t = {.effects = effects, .n = n};
    tm_err e = store_commit(h->store, &t);
    if (e != TM_OK && diag)
        *diag = t.diag;
    return e;
}

tm_err house_event(struct house *h, tenant_id tenant, const char *type, const char *subject,
                   const struct event_field *fields, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct slice body;
    struct effect e;
    tm_err err = register_event_body(&body, a, fields);
    if (err == TM_OK)
        err = register_event_effect(&e, a, tenant, type, subject, body, clock_now_ms());
    if (err == TM_OK)
        err = house_commit(h, &e, 1, diag);
    arena_free(a);
    return err;
}
