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

enum {
    TENANTS_MAX = 100000,
    RESOURCE_MAX = 1 << 20,
    COMMITS_WAIT_NS = 2000000000,
    GATHER_TASKS = 32,
    GATHER_US = 2000
};

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

tm_err house_reload(struct house *h, struct diag *diag)
{
    struct catalog *fresh = NULL;
    TM_TRY(catalog_build(&fresh, h->store, h->signer, log_bad_resource, NULL, diag));
    pthread_mutex_lock(h->catalog_lock);
    struct catalog *old = atomic_exchange(&h->catalog_now, fresh);
    pthread_mutex_unlock(h->catalog_lock);
    catalog_unref(old);
    return TM_OK;
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
    char path[4096];
    snprintf(path, sizeof path, "%s/store", h->home);
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
    TM_TRY(open_weak_keys(h, c, diag));
    TM_TRY(house_reload(h, diag));
    if (c->mode == HOUSE_READ) {
        /* Its key is known to the signer only: readers who have the key's text open the register themselves. */
        tm_err e = open_register(h, diag);
        return e == TM_ENOTFOUND ? TM_OK : e;
    }
    TM_TRY(chain_open(&h->chain, h, diag));
    TM_TRY(open_register(h, diag));
    if (c->mode == HOUSE_SERVE) {
        TM_TRY(jobs_start(&h->jobs, h));
        h->signer_death.run = signer_died;
        signer_on_death(h->signer, pool_executor(h->blocking), &h->signer_death);
    }
    return TM_OK;
}

tm_err house_open(struct house **ret, const struct house_config *c, struct diag *diag)
{
    struct house *h = calloc(1, sizeof *h);
    if (!h)
        return TM_ENOMEM;
    h->mode = c->mode;
    h->home = strdup(c->home);
    h->public_base = strdup(c->public_base ? c->public_base : "");
    h->origin = strdup(c->origin ? c->origin : "touchmark");
    h->passphrase_file = c->passphrase_file ? strdup(c->passphrase_file) : NULL;
    h->on_lost = c->on_lost;
    h->on_lost_arg = c->on_lost_arg;
    h->started_at = clock_now();
    pthread_mutex_t *lock = malloc(sizeof *lock);
    if (lock)
        pthread_mutex_init(lock, NULL);
    h->catalog_lock = lock;
    tm_err e = h->home && h->public_base && h->origin && lock ? open_parts(h, c, diag) : TM_ENOMEM;
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
    h->jobs = NULL;
    /* What runs in the pools may still want the store and the signer. */
    pool_free(h->crypto);
    pool_free(h->blocking);
    h->crypto = h->blocking = NULL;
    struct diag diag = {0};
    if (h->reg && h->mode != HOUSE_READ) {
        if (refusals_flush(h, &diag) != TM_OK || house_sequence(h, &diag) != TM_OK)
            log_error(NULL, "house.close", LOG_S("why", diag.message));
    }
    register_close(h->reg);
    chain_free(h->chain);
    refusals_free(h->refusals);
    store_close(h->store);
    signer_free(h->signer);
    catalog_unref(atomic_load(&h->catalog_now));
    key_blocklist_free(h->blocklist);
    if (h->catalog_lock)
        pthread_mutex_destroy(h->catalog_lock);
    free(h->catalog_lock);
    free(h->passphrase_file);
    free(h->origin);
    free(h->public_base);
    free(h->home);
    free(h);
}

void house_read_only(struct house *h, const char *reason)
{
    atomic_store(&h->read_only_reason, reason);
    atomic_store(&h->read_only, reason != NULL);
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
const struct job *const house_jobs[] = {&restart_job, &sequence_job, &refusals_job, &retention_job, NULL};

/* ---- events and resources ---- */

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

/* References to other resources must lead somewhere. */
static tm_err check_references(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                               struct arena *a, struct diag *diag)
{
    struct catalog *c = house_catalog(h);
    tm_err e = TM_OK;
    if (strcmp(kind, "Endpoint") == 0) {
        struct endpoint_doc d = {0};
        e = json_bind(&d, endpoint_schema, doc, "", a, diag);
        for (size_t i = 0; i < d.profiles.n && e == TM_OK; i++)
            if (!catalog_profile(c, tenant, d.profiles.v[i]))
                e = diag_fail(diag, TM_EINVAL, NULL, "/profiles", "there is no profile \"%s\" in this tenant",
                              d.profiles.v[i]);
        for (size_t i = 0; i < d.authentication.trust_sets.n && e == TM_OK; i++)
            if (!catalog_trust_set(c, tenant, d.authentication.trust_sets.v[i]))
                e = diag_fail(diag, TM_EINVAL, NULL, "/authentication/trust-sets",
                              "there is no trust set \"%s\" in this tenant",
                              d.authentication.trust_sets.v[i]);
        if (e == TM_OK && d.authority[0] && !catalog_authority(c, tenant, d.authority))
            e = diag_fail(diag, TM_EINVAL, NULL, "/authority", "there is no authority \"%s\" in this tenant",
                          d.authority);
    } else if (strcmp(kind, "Profile") == 0) {
        const char *authority = json_string_value(json_object_get(doc, "authority"));
        if (authority && authority[0] && !catalog_authority(c, tenant, authority))
            e = diag_fail(diag, TM_EINVAL, NULL, "/authority", "there is no authority \"%s\" in this tenant",
                          authority);
    }
    catalog_unref(c);
    return e;
}

/* A tenant keeps its number; a new one gets the next. */
static tm_err number_tenant(struct house *h, json_t *doc, struct diag *diag)
{
    const char *name = json_string_value(json_object_get(doc, "name"));
    struct catalog *c = house_catalog(h);
    const struct tenant *known = name ? catalog_tenant(c, name) : NULL;
    json_int_t number = known ? (json_int_t)known->id : 0;
    if (!known) {
        const struct tenant *v;
        size_t n = catalog_tenants(c, &v);
        for (size_t i = 0; i < n; i++)
            if ((json_int_t)v[i].id > number)
                number = v[i].id;
        number++;
        if (n >= TENANTS_MAX) {
            catalog_unref(c);
            return diag_fail(diag, TM_EQUOTA, NULL, "/name", "this house has %d tenants already",
                             TENANTS_MAX);
        }
    }
    /* The two that every house begins with have fixed numbers. */
    if (name && strcmp(name, "house") == 0)
        number = TENANT_HOUSE;
    else if (name && strcmp(name, "default") == 0)
        number = TENANT_DEFAULT;
    else if (!known && number <= TENANT_DEFAULT)
        number = TENANT_DEFAULT + 1;
    catalog_unref(c);
    return json_object_set_new(doc, "number", json_integer(number)) == 0 ? TM_OK : TM_ENOMEM;
}

static tm_err put_effects(struct effect effects[2], struct arena *a, tenant_id tenant,
                          const struct resource_row *row, int64_t expected, bool deleted)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, row->json));
    effects[0] = (struct effect){.kind = deleted ? EFFECT_RESOURCE_DELETE : EFFECT_RESOURCE_PUT,
                                 .tenant = tenant,
                                 .expected_version = expected,
                                 .u.resource = *row};
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(row->updated_by)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(row->kind)},
        {.key = "name", .kind = EVENT_STR, .s = slice_str(row->name)},
        {.key = deleted ? NULL : "sha256", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *subject = arena_printf(a, "resource/%s/%s", row->kind, row->name);
    if (!subject)
        return TM_ENOMEM;
    return register_event_effect(&effects[1], a, tenant, deleted ? "resource.deleted" : "resource.put",
                                 subject, body, clock_now_ms());
}

static tm_err resource_put(struct house *h, tenant_id tenant, const struct resource_kind *k,
                           const json_t *given, int64_t expected, const char *by, int64_t *ret_version,
                           struct arena *a, struct diag *diag)
{
    const char *kind = json_string_value(json_object_get(given, "kind"));
    const char *name = json_string_value(json_object_get(given, "name"));
    if (!kind || strcmp(kind, k->kind) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "must be \"%s\"", k->kind);
    if (!name || !name_valid(slice_str(name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    TM_TRY(k->check(a, given, diag));
    TM_TRY(check_references(h, tenant, k->kind, given, a, diag));
    json_t *doc = json_copy((json_t *)given);
    if (!doc)
        return TM_ENOMEM;
    tm_err e = strcmp(k->kind, "Tenant") == 0 ? number_tenant(h, doc, diag) : TM_OK;
    struct buf text;
    buf_init(&text, RESOURCE_MAX);
    buf_put_json(&text, doc, false);
    json_decref(doc);
    if (e == TM_OK)
        e = buf_err(&text);
    struct effect effects[2] = {0};
    struct resource_row row = {.kind = k->kind,
                               .name = name,
                               .json = buf_slice(&text),
                               .updated_at = clock_now_ms(),
                               .updated_by = by ? by : ""};
    if (e == TM_OK)
        e = put_effects(effects, a, tenant, &row, expected, false);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    if (e == TM_OK && ret_version)
        *ret_version = effects[0].u.resource.version;
    buf_done(&text);
    return e;
}

tm_err house_resource_put(struct house *h, tenant_id tenant, const char *kind, const json_t *doc,
                          int64_t expected_version, const char *by, int64_t *ret_version, struct diag *diag)
{
    const struct resource_kind *k = resource_kind_find(kind);
    if (!k)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "there is no kind of resource \"%s\"", kind);
    if (k->house_wide && tenant != TENANT_HOUSE)
        tenant = TENANT_HOUSE;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err e = resource_put(h, tenant, k, doc, expected_version, by, ret_version, a, diag);
    arena_free(a);
    return e == TM_OK ? house_reload(h, diag) : e;
}

tm_err house_resource_delete(struct house *h, tenant_id tenant, const char *kind, const char *name,
                             int64_t expected_version, const char *by, struct diag *diag)
{
    const struct resource_kind *k = resource_kind_find(kind);
    if (!k)
        return diag_fail(diag, TM_EINVAL, NULL, "/kind", "there is no kind of resource \"%s\"", kind);
    if (k->house_wide)
        tenant = TENANT_HOUSE;
    if (strcmp(k->kind, "Tenant") == 0)
        return diag_fail(diag, TM_EFORBIDDEN, NULL, "/name",
                         "a tenant's record must stay; set disabled: true instead");
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct effect effects[2] = {0};
    struct resource_row row = {.kind = k->kind,
                               .name = name,
                               .updated_at = clock_now_ms(),
                               .updated_by = by ? by : "",
                               .deleted = true};
    tm_err e = put_effects(effects, a, tenant, &row, expected_version, true);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e == TM_OK ? house_reload(h, diag) : e;
}
