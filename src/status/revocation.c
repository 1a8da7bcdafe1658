#include "status/revocation.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include "status/revocation_impl.h"
#include "x509/crl.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    JOB_ARENA = 64 << 20,
    DUE_MAX = 10000,
    IDLE_MS = 5000,
    BACK_OFF_MS = 5000,
    CONFLICTS = 50,
    ID_RANDOM = 5,
    LOOK_AGAIN_MS = 20
};

/* ---- rows ---- */

static tm_err row_find(struct revocation *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const char *id, const char *key, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_REVOCATION,
                           .name = id,
                           .name2 = key};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        return revocation_from_row(ret, a, &q.objects[0], diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no such revocation");
    *diag = q.diag;
    return e;
}

tm_err revocation_get(struct revocation *ret, struct arena *a, struct house *h, tenant_id tenant,
                      const char *id, struct diag *diag)
{
    return row_find(ret, a, h, tenant, id, NULL, diag);
}

tm_err revocation_list(struct revocation **ret, size_t *ret_n, bool *ret_more, struct arena *a,
                       struct house *h, tenant_id tenant, const char *after, size_t limit, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS_OWNED,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_REVOCATION,
                           .name = REVOCATION_OWNER,
                           .after = slice_str(after),
                           .limit = limit};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct revocation *v = arena_calloc(a, q.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < q.n; i++)
        TM_TRY(revocation_from_row(&v[i], a, &q.objects[i], diag));
    *ret = v;
    *ret_n = q.n;
    *ret_more = q.more;
    return TM_OK;
}

/* ---- making one ---- */

static tm_err check(const struct revocation_order *o, struct diag *diag)
{
    const struct revocation_set *s = &o->set;
    bool chosen = s->authority[0] || s->profile[0] || s->device[0] || s->owner[0] || s->issued_after ||
                  s->issued_before || s->expires_after || s->expires_before;
    if (o->reason < 0 || o->reason > CRL_AA_COMPROMISE || !crl_reason_names[o->reason] ||
        o->reason == CRL_REMOVE_FROM_CRL)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "/reason", "there is no such reason");
    if (chosen == (o->n_serials > 0))
        return diag_fail(diag, TM_EINVAL, NULL, "",
                         "needs serials, or an authority, a profile or a device, and not both");
    if (o->replace_first && !o->after)
        return diag_fail(diag, TM_EINVAL, NULL, "/after",
                         "replace-first needs a deadline: after so long the rest is revoked");
    if (o->reason == CRL_KEY_COMPROMISE && o->after)
        return diag_fail(
            diag, TM_EINVAL, NULL, "/after",
            "a compromised key is revoked at once: leave the notice out, or give another reason");
    return TM_OK;
}

/* What was asked, so that the same key is not taken for something else. */
static tm_err request_hash(const char **ret, struct arena *a, const struct revocation_order *o,
                           const uint8_t *ids, size_t n)
{
    const struct revocation_set *s = &o->set;
    const char *texts[] = {s->authority, s->profile, s->device, s->owner, o->comment, o->explanation};
    uint8_t hash[SHA256_LEN];
    struct buf b;
    buf_init(&b, 4 << 20);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        buf_put(&b, texts[i], strlen(texts[i]) + 1);
    buf_printf(&b, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%" PRId64 ",%d;", s->issued_after,
               s->issued_before, s->expires_after, s->expires_before, o->reason, o->after, o->replace_first);
    buf_put(&b, ids, n * CERT_SERIAL_LEN);
    tm_err e = buf_err(&b) == TM_OK ? sha256(hash, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    *ret = arena_hex(a, SLICE_ARR(hash));
    return *ret ? TM_OK : TM_ENOMEM;
}

/* A key belongs to whoever uses it. */
static tm_err key_of(const char **ret, struct arena *a, const struct revocation_order *o)
{
    uint8_t hash[SHA256_LEN];
    *ret = "";
    if (!o->key[0])
        return TM_OK;
    const struct slice parts[] = {slice_str(o->by), SLICE_LIT("\0"), slice_str(o->key)};
    TM_TRY(sha256_many(hash, parts, 3));
    *ret = arena_hex(a, SLICE_ARR(hash));
    return *ret ? TM_OK : TM_ENOMEM;
}

/* Ids begin with their time, so that they are listed in the order in which they were made. */
static tm_err id_make(const char **ret, struct arena *a, int64_t now_ms)
{
    uint8_t id[6 + ID_RANDOM];
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)((uint64_t)now_ms >> (8 * (5 - i)));
    TM_TRY(random_bytes(id + 6, ID_RANDOM));
    *ret = arena_hex(a, SLICE_ARR(id));
    return *ret ? TM_OK : TM_ENOMEM;
}

static void begin(struct revocation *j, int64_t now_ms)
{
    j->begun_ms = now_ms;
    j->next_ms = now_ms;
    j->deadline = j->after ? now_ms / 1000 + j->after : 0;
    j->status = j->after ? REVOCATION_ASKS : REVOCATION_RUNS;
}

static bool needs_approval(struct house *h, tenant_id tenant, uint64_t matched)
{
    struct catalog *cat = house_catalog(h);
    const struct tenant *t = catalog_tenant_by_id(cat, tenant);
    bool needs = t && t->approve_revocations_above && matched > (uint64_t)t->approve_revocations_above;
    catalog_unref(cat);
    return needs;
}

static tm_err job_make(struct revocation *j, struct arena *a, struct house *h,
                       const struct revocation_order *o, uint64_t matched)
{
    *j = (struct revocation){
        .tenant = o->tenant,
        .set = o->set,
        .reason = o->reason,
        .comment = o->comment,
        .by = o->by,
        .explanation = o->explanation,
        .created_ms = clock_now_ms(),
        .after = o->after,
        .replace_first = o->replace_first,
        .approved_by = "",
        .canceled_by = "",
        .matched = (int64_t)matched,
        .at = "",
        .why = "",
        .approval = needs_approval(h, o->tenant, matched),
    };
    TM_TRY(id_make(&j->id, a, j->created_ms));
    begin(j, j->created_ms);
    if (j->approval) {
        j->begun_ms = j->deadline = 0;
        j->status = REVOCATION_WAITS;
        j->next_ms = j->created_ms + REVOCATION_APPROVAL_LIFE * 1000ll;
    }
    return TM_OK;
}

tm_err revocation_set_text(const char **ret, struct arena *a, const struct revocation_set *s)
{
    struct buf b;
    buf_init(&b, 4096);
    const struct {
        const char *name, *text;
    } texts[] = {
        {"authority", s->authority}, {"profile", s->profile}, {"device", s->device}, {"owner", s->owner}};
    const struct {
        const char *name;
        int64_t at;
    } times[] = {{"issued-after", s->issued_after},
                 {"issued-before", s->issued_before},
                 {"expires-after", s->expires_after},
                 {"expires-before", s->expires_before}};
    if (s->listed)
        buf_printf(&b, "serials=%" PRId64, s->listed);
    for (size_t i = 0; i < 4; i++)
        if (texts[i].text[0])
            buf_printf(&b, "%s%s=%s", b.n ? " " : "", texts[i].name, texts[i].text);
    for (size_t i = 0; i < 4; i++)
        if (times[i].at) {
            char t[21];
            clock_format_rfc3339(t, times[i].at);
            buf_printf(&b, "%s%s=%s", b.n ? " " : "", times[i].name, t);
        }
    *ret = buf_err(&b) == TM_OK ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err started_event(struct effect *ret, struct arena *a, const struct revocation *j)
{
    const char *set;
    TM_TRY(revocation_set_text(&set, a, &j->set));
    struct event_field fields[] = {
        {.key = "approval", .kind = EVENT_RAW, .s = slice_str(j->approval ? "true" : "false")},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(j->by)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(j->comment)},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "matched", .kind = EVENT_INT, .i = j->matched},
        {.key = "notice", .kind = EVENT_INT, .i = j->after},
        {.key = "reason", .kind = EVENT_STR, .s = slice_str(crl_reason_names[j->reason])},
        {.key = "request", .kind = EVENT_STR, .s = slice_str(j->request)},
        {.key = "which", .kind = EVENT_STR, .s = slice_str(set)},
        {0},
    };
    return revocation_event(ret, a, j, "revocation.started", fields);
}

static tm_err put_all(struct house *h, struct arena *a, const struct revocation *j, const uint8_t *ids,
                      struct diag *diag)
{
    size_t listed = (size_t)j->set.listed, chunks = (listed + REVOCATION_CHUNK - 1) / REVOCATION_CHUNK, n = 0;
    struct effect *effects = arena_calloc(a, chunks + 2, sizeof *effects);
    if (!effects)
        return TM_ENOMEM;
    TM_TRY(revocation_effect_put(&effects[n], a, j));
    effects[n].expected_version = 0;
    effects[n++].u.object.unique = j->key[0] != '\0';
    for (size_t i = 0; i < chunks; i++, n++) {
        size_t from = i * REVOCATION_CHUNK,
               k = listed - from < REVOCATION_CHUNK ? listed - from : REVOCATION_CHUNK;
        effects[n] = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = j->tenant};
        effects[n].u.object.row = (struct object_row){
            .kind = OBJECT_REVOCATION_SERIALS,
            .id = revocation_chunk_id(a, j->id, i),
            .owner = j->id,
            .key = "",
            .ref = "",
            .created_at = j->created_ms / 1000,
            .keep_until = j->created_ms / 1000 + REVOCATION_KEEP + j->after + REVOCATION_APPROVAL_LIFE,
            .state = slice_of(ids + from * CERT_SERIAL_LEN, k * CERT_SERIAL_LEN)};
        if (!effects[n].u.object.row.id)
            return TM_ENOMEM;
    }
    TM_TRY(started_event(&effects[n++], a, j));
    return house_commit(h, effects, n, diag);
}

/* The job that was made with this key before. TM_ENOTFOUND. */
static tm_err same_again(const char **ret_id, struct arena *a, struct house *h, const struct revocation *j,
                         struct diag *diag)
{
    struct revocation old;
    TM_TRY(row_find(&old, a, h, j->tenant, NULL, j->key, diag));
    if (strcmp(old.request, j->request) != 0)
        return diag_fail(diag, TM_ECONFLICT, NULL, "key",
                         "this key was used for another revocation, %s: choose a new one", old.id);
    *ret_id = old.id;
    return TM_OK;
}

static tm_err start(const char **ret_id, struct arena *a, struct house *h, const struct revocation_order *o,
                    struct diag *diag)
{
    struct revocation j = {.tenant = o->tenant};
    struct revocation_touched *touched = arena_calloc(a, 1, sizeof *touched);
    uint8_t *ids = NULL;
    size_t n = 0;
    const char *key, *request;
    if (!touched)
        return TM_ENOMEM;
    TM_TRY(check(o, diag));
    if (o->n_serials)
        TM_TRY(revocation_serials(&ids, &n, a, o, diag));
    TM_TRY(key_of(&key, a, o));
    TM_TRY(request_hash(&request, a, o, ids, n));
    j.key = key;
    j.request = request;
    if (key[0]) {
        tm_err e = same_again(ret_id, a, h, &j, diag);
        if (e != TM_ENOTFOUND)
            return e;
        diag_clear(diag);
    }
    TM_TRY(revocation_look(touched, a, h, o, diag));
    if (o->expects && (int64_t)touched->matched != o->expect)
        return diag_fail(diag, TM_ECONFLICT, NULL, "/expect", "there are %llu, not %lld; nothing was revoked",
                         (unsigned long long)touched->matched, (long long)o->expect);
    TM_TRY(job_make(&j, a, h, o, touched->matched));
    j.set.listed = (int64_t)n;
    j.key = key;
    j.request = request;
    tm_err e = put_all(h, a, &j, ids, diag);
    if (e == TM_ECONFLICT && key[0])
        return same_again(ret_id, a, h, &j, diag);
    *ret_id = j.id;
    return e;
}

/* ---- deciding ---- */

/* Read, change and put, until nobody was faster. */
static tm_err change(struct house *h, tenant_id tenant, const char *id, const char *by, const char *comment,
                     tm_err (*act)(struct house *h, struct arena *a, struct revocation *j, const char *by,
                                   const char *comment, struct diag *diag),
                     struct diag *diag)
{
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < CONFLICTS && e == TM_ECONFLICT; i++) {
        struct arena *a = arena_new(0);
        struct revocation j;
        diag_clear(diag);
        e = a ? row_find(&j, a, h, tenant, id, NULL, diag) : TM_ENOMEM;
        if (e == TM_OK)
            e = act(h, a, &j, by, comment, diag);
        bool refused = e == TM_ECONFLICT && strcmp(diag->rule, "store") != 0;
        arena_free(a);
        if (refused)
            break;
    }
    if (e == TM_OK)
        revocation_wake(h);
    return e;
}

static tm_err approve(struct house *h, struct arena *a, struct revocation *j, const char *by,
                      const char *comment, struct diag *diag)
{
    int64_t now = clock_now_ms();
    if (j->status != REVOCATION_WAITS)
        return diag_fail(diag, TM_ECONFLICT, "revocation.status", "id", "it waits for nobody: it is %s",
                         revocation_status_names[j->status]);
    if (now > j->next_ms)
        return diag_fail(diag, TM_EEXPIRED, NULL, "id", "it has waited too long; ask for it again");
    if (strcmp(j->by, by) == 0)
        return diag_fail(diag, TM_EFORBIDDEN, "approval.four-eyes", "id",
                         "whoever asked for it can't approve it");
    struct event_field fields[] = {
        {.key = "asked_by", .kind = EVENT_STR, .s = slice_str(j->by)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(comment)},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "matched", .kind = EVENT_INT, .i = j->matched},
        {0},
    };
    j->approved_by = by;
    j->approved_ms = now;
    begin(j, now);
    return revocation_save(h, a, j, "revocation.approved", fields, diag);
}

static tm_err cancel(struct house *h, struct arena *a, struct revocation *j, const char *by,
                     const char *comment, struct diag *diag)
{
    if (j->status >= REVOCATION_SPREADS)
        return diag_fail(diag, TM_ECONFLICT, "revocation.status", "id", "it is %s: nothing can be stopped",
                         revocation_status_names[j->status]);
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(comment)},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "revoked", .kind = EVENT_INT, .i = j->revoked},
        {0},
    };
    int64_t now = clock_now_ms();
    j->status = REVOCATION_CANCELED;
    j->canceled_by = by;
    j->ended_ms = now;
    j->next_ms = j->asked ? now : 0; /* windows go back */
    j->why = "";
    return revocation_save(h, a, j, "revocation.canceled", fields, diag);
}

/* ---- working ---- */

struct revocations {
    struct house *h;
    int64_t born_ms;
    int64_t next_ms; /* the thread's: when something that it knows of is due */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool woken;
    bool said; /* something that was revoked has been published: jobs that wait for it may have ended */
    atomic_bool stop;
};

int64_t revocation_process(const struct house *h)
{
    return h->revocations ? h->revocations->born_ms : 0;
}

static bool has_to_stop(const struct house *h)
{
    return h->revocations && atomic_load(&h->revocations->stop);
}

/* Why it does not go on is for whoever looks; it is tried again. */
static void complain(struct house *h, struct revocation *j, tm_err e, const struct diag *why)
{
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    const char *text = why->message[0] ? why->message : tm_err_name(e);
    log_error(NULL, "revocation.failed", LOG_S("id", j->id), LOG_S("why", text));
    j->why = text;
    j->next_ms = clock_now_ms() + BACK_OFF_MS;
    if (a && revocation_save(h, a, j, NULL, NULL, &diag) != TM_OK)
        log_error(NULL, "revocation.failed", LOG_S("id", j->id), LOG_S("why", diag.message));
    arena_free(a);
}

/* One step of one job. *ret_more: it can go on at once; *ret_next: when else. */
static tm_err step(struct house *h, tenant_id tenant, const char *id, bool *ret_more, int64_t *ret_next)
{
    struct arena *a = arena_new(JOB_ARENA);
    struct diag diag = {0};
    struct revocation j;
    *ret_more = false;
    tm_err e = a ? row_find(&j, a, h, tenant, id, NULL, &diag) : TM_ENOMEM;
    if (e == TM_OK) {
        struct revocation before = j;
        e = revocation_step(ret_more, a, h, &j, &diag);
        *ret_next = j.next_ms;
        if (e == TM_ECONFLICT) {
            *ret_more = true; /* somebody changed the job, or one of its certificates: as it is now */
            nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 100000l}, NULL);
        } else if (e != TM_OK) {
            complain(h, &before, e, &diag);
        }
    } else if (e != TM_ENOTFOUND) {
        log_error(NULL, "revocation.failed", LOG_S("id", id), LOG_S("why", diag.message));
    }
    arena_free(a);
    return e == TM_ECONFLICT ? TM_OK : e;
}

static void sooner(struct revocations *r, int64_t at_ms)
{
    if (at_ms && at_ms < r->next_ms)
        r->next_ms = at_ms;
}

/* Everything that is due, in turn, until there is nothing more; how long until then. */
static int64_t work(struct revocations *r, bool said)
{
    struct house *h = r->h;
    if (r->next_ms <= clock_now_ms())
        r->next_ms = INT64_MAX;
    for (bool more = true; more && !has_to_stop(h);) {
        struct arena *a = arena_new(0);
        struct store_read q = {.kind = READ_OBJECTS_DUE,
                               .arena = a,
                               .object_kind = OBJECT_REVOCATION,
                               .window_start = said ? INT64_MAX : clock_now_ms(),
                               .limit = DUE_MAX};
        more = false;
        tm_err e = a ? store_read_now(h->store, &q) : TM_ENOMEM;
        for (size_t i = 0; e == TM_OK && i < q.n && !has_to_stop(h); i++) {
            bool again;
            int64_t next = 0;
            const struct object_row *row = &q.objects[i];
            if (row->due_at > clock_now_ms() && !(said && row->status == REVOCATION_SPREADS)) {
                sooner(r, row->due_at);
                continue;
            }
            TM_IGNORE(step(h, q.objects[i].tenant, q.objects[i].id, &again, &next));
            more |= again;
            sooner(r, next);
        }
        arena_free(a);
        said = false;
        enum reach_asked asked = reach_ask(h);
        more |= asked == REACH_ASK_MORE;
        if (asked == REACH_ASK_LATER)
            sooner(r, clock_now_ms() + IDLE_MS / 5);
    }
    int64_t now = clock_now_ms(), wait = r->next_ms < now + IDLE_MS ? r->next_ms - now : IDLE_MS;
    return wait > 0 ? wait : LOOK_AGAIN_MS;
}

static void *run(void *arg)
{
    struct revocations *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!atomic_load(&r->stop)) {
        bool said = r->said;
        r->woken = r->said = false;
        pthread_mutex_unlock(&r->lock);
        int64_t ms = work(r, said);
        pthread_mutex_lock(&r->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
        until.tv_sec += ms / 1000 + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        int late = 0;
        while (!r->woken && !atomic_load(&r->stop) && late == 0)
            late = pthread_cond_timedwait(&r->cond, &r->lock, &until);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

tm_err revocation_open(struct house *h)
{
    struct revocations *r = calloc(1, sizeof *r);
    pthread_condattr_t attr;
    if (!r)
        return TM_ENOMEM;
    r->h = h;
    r->born_ms = clock_now_ms();
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->cond, &attr);
    pthread_condattr_destroy(&attr);
    h->revocations = r;
    if (pthread_create(&r->thread, NULL, run, r) != 0) {
        h->revocations = NULL;
        free(r);
        return TM_ENOMEM;
    }
    pthread_setname_np(r->thread, "revocation");
    return TM_OK;
}

void revocation_stop(struct house *h)
{
    struct revocations *r = h->revocations;
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->stop, true);
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
}

void revocation_free(struct revocations *r)
{
    if (!r)
        return;
    pthread_cond_destroy(&r->cond);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void revocation_wake(struct house *h)
{
    struct revocations *r = h->revocations;
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->woken = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

void revocation_said(struct house *h)
{
    struct revocations *r = h->revocations;
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->woken = r->said = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

/* ---- from outside ---- */

static bool goes_on(const struct revocation *j)
{
    return j->status == REVOCATION_ASKS || j->status == REVOCATION_RUNS ||
           (j->status == REVOCATION_CANCELED && j->next_ms);
}

/* Where nobody serves, whoever asks does it. */
static tm_err work_here(struct house *h, tenant_id tenant, const char *id)
{
    bool more = true;
    int64_t next;
    if (h->revocations || h->mode == HOUSE_READ)
        return TM_OK;
    while (more)
        TM_TRY(step(h, tenant, id, &more, &next));
    return TM_OK;
}

tm_err revocation_await(struct revocation *ret, struct arena *a, struct house *h, tenant_id tenant,
                        const char *id, int64_t ms, struct diag *diag)
{
    uint64_t until = clock_mono_ns() + (uint64_t)ms * 1000000;
    for (;;) {
        TM_TRY(row_find(ret, a, h, tenant, id, NULL, diag));
        if (!goes_on(ret) || ret->why[0] || clock_mono_ns() >= until || has_to_stop(h))
            return TM_OK;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000l}, NULL);
    }
}

tm_err revocation_start(struct revocation *ret, struct arena *a, struct house *h,
                        const struct revocation_order *o, struct diag *diag)
{
    struct arena *own = arena_new(JOB_ARENA);
    const char *id = NULL;
    tm_err e = own ? start(&id, own, h, o, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        revocation_wake(h);
        e = work_here(h, o->tenant, id);
    }
    if (e == TM_OK)
        e = row_find(ret, a, h, o->tenant, id, NULL, diag);
    arena_free(own);
    return e;
}

tm_err revocation_approve(struct house *h, tenant_id tenant, const char *id, const char *by,
                          const char *comment, struct diag *diag)
{
    TM_TRY(change(h, tenant, id, by, comment, approve, diag));
    return work_here(h, tenant, id);
}

tm_err revocation_cancel(struct house *h, tenant_id tenant, const char *id, const char *by,
                         const char *comment, struct diag *diag)
{
    TM_TRY(change(h, tenant, id, by, comment, cancel, diag));
    return work_here(h, tenant, id);
}
