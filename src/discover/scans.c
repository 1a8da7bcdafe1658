#include "discover/scans.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "discover/scans_record.h"
#include "issue/house.h"
#include "issue/scan_settings.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN_ARENA = 64 << 20,
    SAVE_ARENA = 4 << 20,
    FLUSH_MS = 1000,
    SAVE_MS = 5000,
    DUE_MAX = 1000,
};

/* One run: under way, waiting for its turn, or just done. */
struct one_scan {
    struct one_scan *next;
    struct house *house;
    tenant_id tenant;
    char id[RUN_ID_LEN + 1];
    pthread_t thread;
    bool begun, ended;
    bool canceled; /* else `over` means that the house closes */
    char canceled_by[128];
    atomic_bool over;
    struct buf results; /* JSON objects, a line each */
    bool results_cut;
    struct run counts; /* for those who look on: numbers alone */
    /* its thread's */
    struct arena *arena;
    struct run run;
    struct scan_record record;
    uint64_t flushed_ms, saved_ms;
    tm_err err; /* the first that went wrong */
    struct diag diag;
};

struct scans {
    struct house *house;
    pthread_mutex_t lock;
    struct one_scan *first; /* oldest first */
    bool closing;
};

/* Only scans that are asked for offline make it late; those come one by one. */
static tm_err scans_make(struct house *h)
{
    if (h->scans)
        return TM_OK;
    struct scans *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    s->house = h;
    pthread_mutex_init(&s->lock, NULL);
    h->scans = s;
    return TM_OK;
}

/* ---- a run's thread ---- */

static void copy_counts(struct run *to, const struct run *from)
{
    to->status = from->status;
    to->begun_ms = from->begun_ms;
    to->total = from->total;
    to->done = from->done;
    to->answered = from->answered;
    to->failed = from->failed;
    to->added = from->added;
    to->known = from->known;
    to->refused = from->refused;
    to->new_places = from->new_places;
    to->changed = from->changed;
    to->same = from->same;
    to->gone = from->gone;
}

static void show_counts(struct one_scan *x)
{
    pthread_mutex_lock(&x->house->scans->lock);
    copy_counts(&x->counts, &x->run);
    pthread_mutex_unlock(&x->house->scans->lock);
}

/* What went wrong first is why it ends. */
static void go_wrong(struct one_scan *x, tm_err e, const struct diag *diag)
{
    if (x->err == TM_OK) {
        x->err = e;
        x->diag = *diag;
        if (!x->diag.message[0])
            TM_IGNORE(diag_fail(&x->diag, e, NULL, NULL, "%s", tm_err_name(e)));
    }
    atomic_store(&x->over, true);
}

static void flush(struct one_scan *x)
{
    struct sightings_taken t;
    struct diag diag = {0};
    tm_err e = scan_record_flush(&x->record, &t, &diag);
    x->run.added += (int64_t)t.added;
    x->run.known += (int64_t)t.known;
    x->run.refused += (int64_t)t.refused;
    x->run.new_places += (int64_t)t.new_places;
    x->run.changed += (int64_t)t.changed;
    x->run.same += (int64_t)t.same;
    x->run.gone += (int64_t)t.gone;
    if (e != TM_OK)
        go_wrong(x, e, &diag);
}

static void save(struct one_scan *x, const char *event)
{
    struct arena *a = arena_new(SAVE_ARENA);
    struct diag diag = {0};
    tm_err e = a ? run_put(x->house, a, &x->run, event, &diag) : TM_ENOMEM;
    if (e != TM_OK) {
        log_error(NULL, "scan.save", LOG_S("run", x->id), LOG_S("why", diag.message));
        go_wrong(x, e, &diag);
    }
    arena_free(a);
}

static void on_result(void *arg, const struct scan_result *r)
{
    struct one_scan *x = arg;
    struct diag diag = {0};
    x->run.answered += r->facts->n_chain > 0;
    x->run.failed += scan_is_failure(r);
    pthread_mutex_lock(&x->house->scans->lock);
    size_t before = x->results.n;
    if (!x->results_cut) {
        scan_put_result(&x->results, r);
        buf_putc(&x->results, '\n');
    }
    if (buf_err(&x->results) != TM_OK) { /* what is whole stays */
        x->results_cut = true;
        x->results.n = before;
        x->results.err = TM_OK;
    }
    pthread_mutex_unlock(&x->house->scans->lock);
    if (scan_record_full(&x->record))
        flush(x);
    tm_err e = scan_record_add(&x->record, r);
    if (e != TM_OK)
        go_wrong(x, e, &diag);
}

/* What is behind `place` is in the inventory before the row says so. */
static void on_turn(void *arg, uint64_t place)
{
    struct one_scan *x = arg;
    uint64_t now = clock_mono_ns() / 1000000;
    if (now - x->flushed_ms >= FLUSH_MS) {
        flush(x);
        x->flushed_ms = now;
        x->run.done = (int64_t)place;
    }
    if (now - x->saved_ms >= SAVE_MS && x->err == TM_OK) {
        save(x, NULL);
        x->saved_ms = now;
    }
    show_counts(x);
}

static tm_err prepare(struct scan_request *q, struct scan_plan *plan, struct one_scan *x)
{
    json_t *spec = NULL;
    TM_TRY(run_get(&x->run, x->arena, x->house, x->tenant, x->id, &x->diag));
    TM_TRY(json_parse(&spec, x->run.spec, RUN_STATE_MAX, &x->diag));
    tm_err e = json_bind(q, scan_request_schema, spec, "", x->arena, &x->diag);
    json_decref(spec);
    TM_TRY(e);
    TM_TRY(scan_plan_make(plan, x->arena, &q->s, &x->diag));
    if (!scan_record_init(&x->record, x->house, &x->run))
        return TM_ENOMEM;
    x->run.total = (int64_t)plan->total;
    if (x->run.status == RUN_WAITING)
        x->run.begun_ms = clock_now_ms();
    return TM_OK;
}

static tm_err do_scan(struct one_scan *x)
{
    struct scan_request q = {0};
    struct scan_plan plan;
    uint64_t place = 0;
    TM_TRY(prepare(&q, &plan, x));
    bool first = x->run.status == RUN_WAITING;
    x->run.status = RUN_RUNNING;
    save(x, first ? "discovery.started" : NULL);
    x->flushed_ms = x->saved_ms = clock_mono_ns() / 1000000;
    show_counts(x);
    const struct scan s = {.settings = &q.s,
                           .plan = &plan,
                           .seed = (uint64_t)x->run.seed,
                           .from = (uint64_t)x->run.done,
                           .over = &x->over,
                           .result = on_result,
                           .turn = on_turn,
                           .arg = x};
    if (x->err == TM_OK)
        TM_TRY(scan_run(&s, &place, NULL, &x->diag));
    if (x->err == TM_OK)
        flush(x);
    if (x->err == TM_OK)
        x->run.done = (int64_t)place;
    return x->err;
}

/* Who began a run is not always who ends it: both stand in its event. */
static const char *canceled_why(struct arena *a, const char *by)
{
    const char *why = arena_printf(a, "canceled by %s", by[0] ? by : "nobody that is known");
    return why ? why : "canceled";
}

/* The last word: done, canceled, failed; or nothing, where the house closes and it goes on another time. */
static void conclude(struct one_scan *x, tm_err e)
{
    struct run *r = &x->run;
    pthread_mutex_lock(&x->house->scans->lock);
    bool canceled = x->canceled;
    const char *why = canceled ? canceled_why(x->arena, x->canceled_by) : "";
    pthread_mutex_unlock(&x->house->scans->lock);
    const char *event = NULL;
    if (!r->id)
        return; /* there was no row to be read */
    x->err = TM_OK;
    if (e != TM_OK) {
        r->status = RUN_FAILED;
        r->why = x->diag.message[0] ? x->diag.message : tm_err_name(e);
        event = "discovery.failed";
    } else if (canceled) {
        r->status = RUN_CANCELED;
        r->why = why;
        event = "discovery.canceled";
    } else if (!atomic_load(&x->over)) {
        r->status = RUN_DONE;
        event = "discovery.done";
    }
    if (event)
        r->ended_ms = clock_now_ms();
    save(x, event);
    log_info(NULL, "scan.ended", LOG_S("run", x->id), LOG_S("status", run_status_names[r->status]),
             LOG_I("done", r->done), LOG_I("certificates", r->answered), LOG_S("why", r->why));
}

static void begin_next(struct scans *s);

static void *run_thread(void *arg)
{
    struct one_scan *x = arg;
    struct scans *s = x->house->scans;
    x->arena = arena_new(RUN_ARENA);
    tm_err e = x->arena ? do_scan(x) : TM_ENOMEM;
    if (x->arena)
        conclude(x, e);
    scan_record_done(&x->record);
    pthread_mutex_lock(&s->lock);
    copy_counts(&x->counts, &x->run);
    x->ended = true;
    begin_next(s);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- who is next: all of this holds the lock ---- */

/* `tenant` NULL: of all. */
static size_t count(const struct scans *s, const tenant_id *tenant, bool begun, bool ended)
{
    size_t n = 0;
    for (const struct one_scan *x = s->first; x; x = x->next)
        n += x->begun == begun && x->ended == ended && (!tenant || x->tenant == *tenant);
    return n;
}

static void begin_next(struct scans *s)
{
    for (struct one_scan *x = s->first; x && !s->closing && count(s, NULL, true, false) < SCANS_ALL;
         x = x->next)
        if (!x->begun && count(s, &x->tenant, true, false) < SCANS_AT_ONCE) {
            x->begun = true;
            if (pthread_create(&x->thread, NULL, run_thread, x) != 0) {
                x->begun = false; /* another time */
                return;
            }
            pthread_setname_np(x->thread, "scan");
        }
}

static void one_free(struct one_scan *x)
{
    if (x->begun)
        pthread_join(x->thread, NULL);
    arena_free(x->arena);
    buf_done(&x->results);
    free(x);
}

/* Those that have ended leave, the oldest first, but for the last few. */
static void forget_old(struct scans *s)
{
    size_t ended = count(s, NULL, true, true);
    for (struct one_scan **at = &s->first; *at && ended > SCANS_KEPT;) {
        struct one_scan *x = *at;
        if (!x->ended) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        one_free(x); /* its thread only has to leave */
        ended--;
    }
}

static struct one_scan *find(struct scans *s, tenant_id tenant, const char *id)
{
    struct one_scan *x = s ? s->first : NULL;
    while (x && (x->tenant != tenant || strcmp(x->id, id) != 0))
        x = x->next;
    return x;
}

static tm_err add(struct scans *s, const struct run *r)
{
    struct one_scan *x = calloc(1, sizeof *x);
    if (!x)
        return TM_ENOMEM;
    x->house = s->house;
    x->tenant = r->tenant;
    strncpy(x->id, r->id, RUN_ID_LEN);
    buf_init(&x->results, SCANS_RESULTS_MAX);
    copy_counts(&x->counts, r);
    struct one_scan **at = &s->first;
    while (*at)
        at = &(*at)->next;
    *at = x;
    forget_old(s);
    begin_next(s);
    return TM_OK;
}

/* ---- for all ---- */

static tm_err begin(struct run *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                    const json_t *settings, const char *by, struct diag *diag)
{
    struct buf spec;
    uint32_t seed;
    TM_TRY(run_init(ret, a, tenant, "scan", name, by));
    TM_TRY(random_bytes(&seed, sizeof seed));
    ret->seed = seed;
    buf_init(&spec, RUN_STATE_MAX / 2);
    buf_put_json(&spec, settings, false);
    tm_err e = buf_err(&spec) == TM_OK ? arena_copy(&ret->spec, a, buf_slice(&spec)) : buf_err(&spec);
    buf_done(&spec);
    TM_TRY(e);
    pthread_mutex_lock(&h->scans->lock);
    bool full = count(h->scans, &tenant, false, false) >= SCANS_WAITING_MAX;
    pthread_mutex_unlock(&h->scans->lock);
    if (full)
        return diag_fail(diag, TM_EQUOTA, NULL, NULL,
                         "%d scans wait for their turn: let some end, or cancel them", SCANS_WAITING_MAX);
    TM_TRY(run_put(h, a, ret, NULL, diag));
    pthread_mutex_lock(&h->scans->lock);
    e = add(h->scans, ret);
    pthread_mutex_unlock(&h->scans->lock);
    return e;
}

/* A resource's document without what only resources have. */
static json_t *settings_of(const json_t *doc)
{
    static const char *const others[] = {"kind", "name", "title", "tenant", "every", "disabled"};
    json_t *o = json_copy((json_t *)doc);
    for (size_t i = 0; o && i < sizeof others / sizeof *others; i++)
        json_object_del(o, others[i]);
    return o;
}

static tm_err begin_resource(struct run *ret, struct arena *a, struct house *h, tenant_id tenant,
                             const char *name, struct slice json, const char *by, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, json, RUN_STATE_MAX, diag));
    json_t *settings = settings_of(doc);
    tm_err e = settings ? begin(ret, a, h, tenant, name, settings, by, diag) : TM_ENOMEM;
    json_decref(settings);
    json_decref(doc);
    return e;
}

tm_err scans_begin(struct run *ret, struct arena *a, struct house *h, tenant_id tenant, const json_t *request,
                   const char *by, struct diag *diag)
{
    struct scan_request q = {0};
    struct scan_plan plan;
    TM_TRY(json_bind(&q, scan_request_schema, request, "", a, diag));
    TM_TRY(scans_make(h));
    if (!q.scan[0]) {
        TM_TRY(scan_plan_make(&plan, a, &q.s, diag));
        return begin(ret, a, h, tenant, "", request, by, diag);
    }
    if (json_object_size(request) > 1)
        return diag_fail(diag, TM_EINVAL, NULL, "/scan",
                         "names a resource, which says all: leave the rest out");
    struct store_read r = {
        .kind = READ_RESOURCE, .tenant = tenant, .arena = a, .name = "Scan", .name2 = q.scan};
    tm_err e = store_read_now(h->store, &r);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "/scan", "there is no resource Scan \"%s\"", q.scan);
    if (e != TM_OK) {
        *diag = r.diag;
        return e;
    }
    return begin_resource(ret, a, h, tenant, q.scan, r.resources[0].json, by, diag);
}

tm_err scans_cancel(struct house *h, tenant_id tenant, const char *id, const char *by, struct diag *diag)
{
    bool under_way = false;
    if (h->scans) {
        pthread_mutex_lock(&h->scans->lock);
        struct one_scan *x = find(h->scans, tenant, id);
        under_way = x && x->begun && !x->ended;
        if (x && !x->ended && !x->canceled) {
            x->canceled = true;
            snprintf(x->canceled_by, sizeof x->canceled_by, "%s", by ? by : "");
            atomic_store(&x->over, true);
        }
        if (x && !x->begun) { /* nobody will */
            x->begun = true;
            if (pthread_create(&x->thread, NULL, run_thread, x) == 0)
                under_way = true;
            else
                x->begun = false;
        }
        pthread_mutex_unlock(&h->scans->lock);
    }
    log_info(NULL, "scan.cancel", LOG_S("run", id), LOG_S("by", by));
    if (under_way)
        return TM_OK;
    struct arena *a = arena_new(SAVE_ARENA);
    struct run r;
    tm_err e = a ? run_get(&r, a, h, tenant, id, diag) : TM_ENOMEM;
    if (e == TM_OK && run_has_ended(&r))
        e = diag_fail(diag, TM_ECONFLICT, NULL, "id", "the run has ended: it is %s",
                      run_status_names[r.status]);
    if (e == TM_OK) {
        r.status = RUN_CANCELED;
        r.why = canceled_why(a, by ? by : "");
        r.ended_ms = clock_now_ms();
        e = run_put(h, a, &r, "discovery.canceled", diag);
    }
    arena_free(a);
    return e;
}

void scans_look(struct house *h, struct run *r)
{
    if (!h->scans || run_has_ended(r))
        return;
    pthread_mutex_lock(&h->scans->lock);
    const struct one_scan *x = find(h->scans, r->tenant, r->id);
    if (x && x->begun && !x->ended && !run_has_ended(&x->counts))
        copy_counts(r, &x->counts);
    pthread_mutex_unlock(&h->scans->lock);
}

tm_err scans_results(struct buf *out, size_t *ret_next, bool *ret_cut, struct house *h, tenant_id tenant,
                     const char *id, size_t from, size_t max)
{
    if (!h->scans)
        return TM_ENOTFOUND;
    pthread_mutex_lock(&h->scans->lock);
    const struct one_scan *x = find(h->scans, tenant, id);
    tm_err e = !x                                                                ? TM_ENOTFOUND
               : from > x->results.n || (from && x->results.p[from - 1] != '\n') ? TM_EINVAL
                                                                                 : TM_OK;
    size_t at = from;
    while (e == TM_OK && at < x->results.n) {
        const uint8_t *p = x->results.p + at, *end = memchr(p, '\n', x->results.n - at);
        size_t n = end ? (size_t)(end - p) : 0;
        if (!end || (at > from && at + n - from > max))
            break;
        if (at > from)
            buf_putc(out, ',');
        buf_put(out, p, n);
        at += n + 1;
    }
    if (e == TM_OK) {
        *ret_next = at;
        *ret_cut = x->results_cut;
    }
    pthread_mutex_unlock(&h->scans->lock);
    return e;
}

/* ---- begin and end ---- */

static tm_err resume(struct house *h, struct arena *a, const struct object_row *row)
{
    struct diag diag = {0};
    struct run r;
    TM_TRY(run_get(&r, a, h, row->tenant, row->id, &diag));
    if (strcmp(r.via, "scan") != 0)
        return TM_OK;
    pthread_mutex_lock(&h->scans->lock);
    tm_err e = add(h->scans, &r);
    pthread_mutex_unlock(&h->scans->lock);
    return e;
}

tm_err scans_start(struct house *h)
{
    TM_TRY(scans_make(h));
    struct arena *a = arena_new(RUN_ARENA);
    if (!a)
        return TM_ENOMEM;
    struct store_read q = {.kind = READ_OBJECTS_DUE,
                           .arena = a,
                           .object_kind = OBJECT_DISCOVERY_RUN,
                           .window_start = INT64_MAX,
                           .limit = DUE_MAX};
    tm_err e = store_read_now(h->store, &q);
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        e = resume(h, a, &q.objects[i]);
    arena_free(a);
    return e;
}

void scans_stop(struct house *h)
{
    struct scans *s = h ? h->scans : NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    for (struct one_scan *x = s->first; x; x = x->next)
        atomic_store(&x->over, true);
    pthread_mutex_unlock(&s->lock);
    for (struct one_scan *x = s->first; x; x = x->next)
        if (x->begun)
            pthread_join(x->thread, NULL);
    while (s->first) {
        struct one_scan *x = s->first;
        s->first = x->next;
        x->begun = false;
        one_free(x);
    }
    pthread_mutex_destroy(&s->lock);
    h->scans = NULL;
    free(s);
}
