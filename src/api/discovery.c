/* Discovery: runs, what was met where, and what changed between two of them. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/text.h"
#include "discover/run.h"
#include "discover/scans.h"
#include "inventory/place.h"
#include "inventory/sighting_line.h"
#include <stdlib.h>
#include <string.h>

enum {
    SIGHTINGS_BODY = 64 << 20,
    PIECE = 128, /* sightings taken at a time */
    PIECE_ARENA = 512 << 20,
    WHY_SHOWN = 100,
    TRIES = 8,      /* at a run that others count in too */
    LOOKED = 20000, /* places a call looks through at most */
    PLACES_PAGE = 500,
    RUN_BODY = 64 << 10
};

/* ---- runs ---- */

static tm_err list_runs(struct api_call *c, struct diag *diag)
{
    const char *after = api_query(c, "after"), *status = api_query(c, "status");
    struct run *v;
    size_t n, limit;
    bool more;
    int wanted = 0;
    for (int i = 1; status && i < RUN_STATUSES; i++)
        if (strcmp(run_status_names[i], status) == 0)
            wanted = i;
    if (status && !wanted)
        return diag_fail(diag, TM_EINVAL, NULL, "status",
                         "must be waiting, running, done, canceled or failed");
    TM_TRY(api_limit(&limit, c, 100, 1000, diag));
    TM_TRY(run_list(&v, &n, &more, c->arena, c->house, c->tenant->id, api_query(c, "name"), wanted,
                    after ? after : "", limit, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&c->out, i ? "," : "");
        scans_look(c->house, &v[i]);
        run_put_json(&c->out, &v[i]);
    }
    buf_puts(&c->out, "]");
    if (more && n) {
        buf_puts(&c->out, ",\"next\":");
        buf_put_json_string(&c->out, slice_str(v[n - 1].id));
    }
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err show_run(struct api_call *c, const struct run *r)
{
    run_put_json(&c->out, r);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err get_run(struct api_call *c, struct diag *diag)
{
    struct run r;
    TM_TRY(run_get(&r, c->arena, c->house, c->tenant->id, api_param(c, "id"), diag));
    scans_look(c->house, &r);
    return show_run(c, &r);
}

static const char *const via_names[] = {"agent", "files", "pcap", "ct", "ca", NULL};

struct begin_doc {
    int via;
    json_t *spec;
};
const struct json_field run_begin_schema[] = {
    JSON_FIELD(struct begin_doc, via, JSON_K_ENUM, .names = via_names, .def = "agent",
               .doc = "agent, files, pcap, ct or ca; scans are made by the house itself"),
    JSON_FIELD(struct begin_doc, spec, JSON_K_ANY, .doc = "what is looked through, for people: an object"),
    {0},
};

/* What a run is about, as it is kept; NULL: nothing was said. */
static tm_err spec_text(struct slice *ret, struct arena *a, const json_t *spec, struct diag *diag)
{
    struct buf b;
    if (!spec)
        return TM_OK;
    if (!json_is_object(spec))
        return diag_fail(diag, TM_EINVAL, NULL, "/spec", "must be an object");
    buf_init(&b, RUN_BODY);
    buf_put_json(&b, spec, false);
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(ret, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    return e;
}

static tm_err begin_run(struct api_call *c, struct diag *diag)
{
    struct begin_doc d = {0};
    struct run r;
    json_t *doc = NULL;
    TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = json_bind(&d, run_begin_schema, doc, "", c->arena, diag);
    if (e == TM_OK)
        e = run_init(&r, c->arena, c->tenant->id, via_names[d.via], "", c->principal);
    if (e == TM_OK)
        e = spec_text(&r.spec, c->arena, d.spec, diag);
    json_decref(doc);
    TM_TRY(e);
    r.status = RUN_RUNNING;
    r.begun_ms = r.created_ms;
    TM_TRY(run_put(c->house, c->arena, &r, "discovery.started", diag));
    c->status = 201;
    c->location = arena_printf(c->arena, "/api/v1/discovery/runs/%s", r.id);
    return show_run(c, &r);
}

struct end_doc {
    int status;
    const char *why;
    int64_t total, done, answered, failed;
    json_t *spec;
    struct slice spec_text;
};
static const char *const end_names[] = {"done", "failed", "canceled", NULL};
const struct json_field run_end_schema[] = {
    JSON_FIELD(struct end_doc, status, JSON_K_ENUM, .names = end_names, .def = "done"),
    JSON_FIELD(struct end_doc, why, JSON_K_STRING, .max = 1000, .def = "", .doc = "where it is not done"),
    JSON_FIELD(struct end_doc, total, JSON_K_INT, .doc = "files, entries or targets there were"),
    JSON_FIELD(struct end_doc, done, JSON_K_INT, .doc = "of those, looked at"),
    JSON_FIELD(struct end_doc, answered, JSON_K_INT, .doc = "of those, with certificates"),
    JSON_FIELD(struct end_doc, failed, JSON_K_INT, .doc = "of those, that could not be read"),
    JSON_FIELD(struct end_doc, spec, JSON_K_ANY,
               .doc = "what was looked through after all, and where to go on: an object"),
    {0},
};

/* Change a run that others may be changing too. */
static tm_err change_run(struct run *ret, struct api_call *c, const char *id,
                         void (*change)(struct run *r, const void *arg), const void *arg, const char *event,
                         struct diag *diag)
{
    tm_err e = TM_ECONFLICT;
    for (int i = 0; i < TRIES && e == TM_ECONFLICT; i++) {
        TM_TRY(run_get(ret, c->arena, c->house, c->tenant->id, id, diag));
        if (run_has_ended(ret))
            return diag_fail(diag, TM_ECONFLICT, NULL, "run", "this run has ended");
        if (strcmp(ret->via, "scan") == 0)
            return diag_fail(diag, TM_EFORBIDDEN, NULL, "run", "scans end by themselves, or are canceled");
        change(ret, arg);
        e = run_put(c->house, c->arena, ret, event, diag);
    }
    return e;
}

static void end(struct run *r, const void *arg)
{
    const struct end_doc *d = arg;
    static const int statuses[] = {RUN_DONE, RUN_FAILED, RUN_CANCELED};
    r->status = statuses[d->status];
    r->why = d->why;
    r->ended_ms = clock_now_ms();
    r->total = d->total;
    r->done = d->done;
    r->answered = d->answered;
    r->failed = d->failed;
    if (d->spec_text.n)
        r->spec = d->spec_text;
}

static tm_err end_run(struct api_call *c, struct diag *diag)
{
    static const char *const events[] = {"discovery.done", "discovery.failed", "discovery.canceled"};
    struct end_doc d = {.why = ""};
    struct run r;
    json_t *doc = NULL;
    if (c->body.n)
        TM_TRY(api_body_json(&doc, c, diag));
    tm_err e = doc ? json_bind(&d, run_end_schema, doc, "", c->arena, diag) : TM_OK;
    if (e == TM_OK)
        e = spec_text(&d.spec_text, c->arena, d.spec, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(change_run(&r, c, api_param(c, "id"), end, &d, events[d.status], diag));
    return show_run(c, &r);
}

/* ---- sightings ---- */

struct report {
    struct api_call *c;
    const char *via, *run;
    struct arena *arena; /* of the piece */
    struct sighting v[PIECE];
    json_t *docs[PIECE];
    size_t n, lines, unread;
    struct sightings_taken taken;
    struct buf why;
};

static void add_counts(struct sightings_taken *to, const struct sightings_taken *t)
{
    to->added += t->added;
    to->known += t->known;
    to->refused += t->refused;
    to->new_places += t->new_places;
    to->changed += t->changed;
    to->same += t->same;
    to->gone += t->gone;
}

static tm_err take_piece(struct report *p, struct diag *diag)
{
    struct sightings_taken t;
    tm_err e = sightings_take(p->c->house, p->c->tenant->id, p->c->principal, p->v, p->n, &t, diag);
    add_counts(&p->taken, &t);
    for (size_t i = 0; i < p->n; i++)
        json_decref(p->docs[i]);
    p->n = 0;
    arena_reset(p->arena);
    return e;
}

static void unreadable(struct report *p, const struct diag *why)
{
    if (p->unread++ >= WHY_SHOWN)
        return;
    buf_printf(&p->why, "%s{\"line\":%zu", p->unread > 1 ? "," : "", p->lines);
    api_put_text(&p->why, "why", why->message);
    buf_putc(&p->why, '}');
}

static tm_err take_lines(struct report *p, struct diag *diag)
{
    for (struct slice rest = p->c->body; rest.n; csv_skip_line(&rest)) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        struct slice line = slice_trim(slice_sub(rest, 0, end ? (size_t)(end - rest.p) : rest.n));
        struct diag why = {0};
        p->lines++;
        if (line.n == 0)
            continue;
        tm_err e = sighting_line_read(&p->v[p->n], &p->docs[p->n], p->arena, line, &why);
        if (e == TM_ENOMEM)
            return e;
        if (e != TM_OK) {
            unreadable(p, &why);
            continue;
        }
        p->v[p->n].via = p->via;
        p->v[p->n].run = p->run;
        if (++p->n == PIECE || arena_used(p->arena) > PIECE_ARENA / 4)
            TM_TRY(take_piece(p, diag));
    }
    return p->n ? take_piece(p, diag) : TM_OK;
}

static void count_in(struct run *r, const void *arg)
{
    const struct sightings_taken *t = arg;
    r->added += (int64_t)t->added;
    r->known += (int64_t)t->known;
    r->refused += (int64_t)t->refused;
    r->new_places += (int64_t)t->new_places;
    r->changed += (int64_t)t->changed;
    r->same += (int64_t)t->same;
    r->gone += (int64_t)t->gone;
}

static void put_counts(struct buf *out, const struct report *p)
{
    const struct sightings_taken *t = &p->taken;
    buf_printf(out,
               "{\"added\":%zu,\"known\":%zu,\"refused\":%zu,\"new_places\":%zu,\"changed\":%zu,\"same\":%zu,"
               "\"gone\":%zu,\"unread\":%zu,\"why\":[",
               t->added, t->known, t->refused, t->new_places, t->changed, t->same, t->gone, p->unread);
    buf_put_slice(out, buf_slice(&p->why));
    buf_puts(out, "]}\n");
}

/* Who reports says how it was met, within what its run is. */
static tm_err report_begin(struct report *p, struct api_call *c, struct diag *diag)
{
    const char *run = api_query(c, "run"), *via = api_query(c, "via");
    struct run r;
    size_t i = 0;
    p->c = c;
    p->via = via ? via : "agent";
    p->run = run ? run : "";
    while (via_names[i] && strcmp(via_names[i], p->via) != 0)
        i++;
    if (!via_names[i])
        return diag_fail(diag, TM_EINVAL, NULL, "via", "must be agent, files, pcap, ct or ca");
    if (!run)
        return TM_OK;
    TM_TRY(run_get(&r, c->arena, c->house, c->tenant->id, run, diag));
    if (run_has_ended(&r))
        return diag_fail(diag, TM_ECONFLICT, NULL, "run", "this run has ended");
    if (strcmp(r.via, "scan") == 0)
        return diag_fail(diag, TM_EFORBIDDEN, NULL, "run", "scans are reported by the house itself");
    p->via = via ? p->via : r.via;
    return TM_OK;
}

static tm_err report(struct api_call *c, struct diag *diag)
{
    struct report *p = calloc(1, sizeof *p);
    struct arena *a = p ? arena_new(PIECE_ARENA) : NULL;
    tm_err e = a ? report_begin(p, c, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        struct run r;
        p->arena = a;
        buf_init(&p->why, 1 << 20);
        e = take_lines(p, diag);
        for (size_t i = 0; i < p->n; i++) /* what an error left */
            json_decref(p->docs[i]);
        /* What is durable counts, whatever came behind it. */
        tm_err counted = p->run[0]
                             ? change_run(&r, c, p->run, count_in, &p->taken, NULL, e == TM_OK ? diag : NULL)
                             : TM_OK;
        e = e == TM_OK ? counted : e;
        put_counts(&c->out, p);
        buf_done(&p->why);
    }
    arena_free(a);
    free(p);
    return e;
}

/* ---- places ---- */

static void put_ms(struct buf *out, const char *key, int64_t ms)
{
    api_put_time(out, key, ms / 1000);
}

static void put_state(struct buf *out, const struct place_before *b)
{
    buf_puts(out, "{\"fingerprint\":");
    buf_put_json_string(out, slice_str(b->leaf));
    api_put_text(out, "serial", b->cert);
    api_put_text(out, "run", b->run);
    put_ms(out, "since", b->since);
    put_ms(out, "last", b->last);
    buf_putc(out, '}');
}

static void put_place(struct buf *out, const struct place *p)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(p->id));
    api_put_text(out, "place", p->name);
    api_put_text(out, "status", p->status == PLACE_PRESENT ? "present" : "gone");
    api_put_text(out, "via", p->via);
    api_put_text(out, "serial", p->cert);
    buf_puts(out, ",\"chain\":[");
    for (size_t i = 0; i < p->n_chain; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(p->chain[i]));
    }
    buf_puts(out, "]");
    put_ms(out, "first", p->first);
    put_ms(out, "since", p->since);
    put_ms(out, "last", p->last);
    api_put_text(out, "run", p->run);
    api_put_text(out, "found_by", p->found_by);
    buf_printf(out, ",\"details\":%s", p->details);
    if (p->refused[0])
        api_put_text(out, "refused", p->refused);
    buf_puts(out, ",\"before\":[");
    for (size_t i = 0; i < p->n_before; i++) {
        buf_puts(out, i ? "," : "");
        put_state(out, &p->before[i]);
    }
    buf_puts(out, "]}");
}

static tm_err list_places(struct api_call *c, struct diag *diag)
{
    const char *host = api_query(c, "host"), *certificate = api_query(c, "certificate"),
               *after = api_query(c, "after");
    struct store_read q = {.kind = host ? READ_OBJECTS_OWNED : READ_OBJECTS,
                           .object_kind = OBJECT_PLACE,
                           .name = host,
                           .after = slice_str(after ? after : "")};
    if (certificate) {
        if (host)
            return diag_fail(diag, TM_EINVAL, NULL, "host", "look up by host or by certificate");
        q.kind = READ_OBJECT;
        q.text = certificate;
    }
    TM_TRY(api_limit(&q.limit, c, 100, 1000, diag));
    tm_err e = api_read(c, &q, diag);
    if (e != TM_ENOTFOUND)
        TM_TRY(e);
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < q.n; i++) {
        struct place p;
        TM_TRY(place_from_row(&p, c->arena, &q.objects[i]));
        buf_puts(&c->out, i ? "," : "");
        put_place(&c->out, &p);
    }
    api_put_next(&c->out, &q, false);
    return TM_OK;
}

static tm_err get_place(struct api_call *c, struct diag *diag)
{
    struct place p;
    struct store_read q = {.kind = READ_OBJECT, .object_kind = OBJECT_PLACE, .name = api_param(c, "id")};
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no such place");
    TM_TRY(e);
    TM_TRY(place_from_row(&p, c->arena, &q.objects[0]));
    put_place(&c->out, &p);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* ---- what changed ---- */

struct diff {
    struct api_call *c;
    struct run from, to; /* `from.id` NULL: what `to` found */
    int64_t from_ms, to_ms;
    size_t shown, limit;
    char last[PLACE_ID_LEN + 1];
};

static void put_side(struct diff *d, const char *key, const struct place_before *b)
{
    struct buf *out = &d->c->out;
    struct store_read q = {.kind = READ_CERT};
    struct slice id;
    if (!b || !b->leaf[0])
        return;
    buf_printf(out, ",\"%s\":{\"fingerprint\":", key);
    buf_put_json_string(out, slice_str(b->leaf));
    api_put_text(out, "serial", b->cert);
    if (hex_decode(&id, d->c->arena, slice_str(b->cert)) == TM_OK && id.n == CERT_SERIAL_LEN) {
        memcpy(q.id, id.p, CERT_SERIAL_LEN);
        if (api_read(d->c, &q, &(struct diag){0}) == TM_OK) {
            api_put_text(out, "subject", q.certs[0].subject);
            api_put_text(out, "issuer", q.certs[0].authority);
            api_put_time(out, "not_after", q.certs[0].not_after);
        }
    }
    buf_putc(out, '}');
}

/* Where the certificate is the same in both, and was all the time between, what differs is what was sent behind it. */
static bool only_chain(const struct place *p, const struct place_before *was, const struct place_before *now)
{
    const struct place_before *end = p->before + p->n_before;
    size_t older = was >= p->before && was < end ? (size_t)(was - p->before) + 1 : 0,
           newer = now >= p->before && now < end ? (size_t)(now - p->before) + 1 : 0;
    bool same = older != newer;
    for (size_t i = newer; same && i < older; i++)
        same = strcmp(p->before[i].leaf, now->leaf) == 0;
    return same;
}

static void put_change(struct diff *d, const struct place *p, const struct place_before *was,
                       const struct place_before *now)
{
    bool before = was && was->leaf[0], after = now && now->leaf[0],
         same = before && after && strcmp(was->leaf, now->leaf) == 0;
    if ((!before && !after) || (same && !only_chain(p, was, now)))
        return;
    buf_printf(&d->c->out, "%s{\"change\":\"%s\"", d->shown ? "," : "",
               !before  ? "new"
               : !after ? "gone"
               : same   ? "chain"
                        : "changed");
    d->shown++;
    api_put_text(&d->c->out, "place", p->name);
    api_put_text(&d->c->out, "id", p->id);
    api_put_text(&d->c->out, "via", p->via);
    put_side(d, "was", was);
    put_side(d, "now", now);
    buf_putc(&d->c->out, '}');
}

static void compare(struct diff *d, const struct place *p)
{
    struct place_before now, then;
    if (d->from.id) {
        if (strcmp(p->via, d->to.via) == 0)
            put_change(d, p, place_at(p, &then, d->from_ms), place_at(p, &now, d->to_ms));
        return;
    }
    /* What the run itself put there, and what it took the place of. */
    const struct place_before *at = place_at(p, &now, INT64_MAX);
    for (size_t i = 0; at && i <= p->n_before; i++) {
        const struct place_before *older = i < p->n_before ? &p->before[i] : NULL;
        if (strcmp(at->run, d->to.id) == 0)
            put_change(d, p, older, at);
        at = older;
    }
}

static tm_err compare_all(struct diff *d, const char *after, struct diag *diag)
{
    struct arena *a = arena_new(256 << 20);
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = d->c->tenant->id,
                           .arena = a,
                           .object_kind = OBJECT_PLACE,
                           .after = slice_str(after),
                           .limit = PLACES_PAGE};
    tm_err e = a ? TM_OK : TM_ENOMEM;
    memccpy(d->last, after, '\0', sizeof d->last - 1);
    size_t looked = 0;
    bool more = true;
    while (e == TM_OK && more && looked < LOOKED && d->shown < d->limit) {
        q.after = slice_str(d->last);
        e = store_read_now(d->c->house->store, &q);
        size_t i = 0;
        for (; e == TM_OK && i < q.n && d->shown < d->limit; i++) {
            struct place p;
            e = place_from_row(&p, a, &q.objects[i]);
            if (e == TM_OK)
                compare(d, &p);
            memccpy(d->last, q.objects[i].id, '\0', sizeof d->last - 1);
        }
        looked += i;
        more = q.more || i < q.n;
        arena_reset(a);
    }
    if (e != TM_OK && q.err != TM_OK)
        *diag = q.diag;
    if (!more)
        d->last[0] = '\0';
    arena_free(a);
    return e;
}

static int64_t end_of(const struct run *r)
{
    return r->ended_ms ? r->ended_ms : clock_now_ms();
}

static tm_err diff_runs(struct api_call *c, struct diag *diag)
{
    const char *since = api_query(c, "since"), *after = api_query(c, "after");
    struct diff d = {.c = c};
    TM_TRY(api_limit(&d.limit, c, 100, 1000, diag));
    TM_TRY(run_get(&d.to, c->arena, c->house, c->tenant->id, api_param(c, "id"), diag));
    if (since) {
        TM_TRY(run_get(&d.from, c->arena, c->house, c->tenant->id, since, diag));
        if (strcmp(d.from.via, d.to.via) != 0)
            return diag_fail(diag, TM_EINVAL, NULL, "since", "a run of another kind can't be compared");
        if (end_of(&d.from) > end_of(&d.to)) { /* the older one first, however they were named */
            struct run r = d.from;
            d.from = d.to;
            d.to = r;
        }
        d.from_ms = end_of(&d.from);
        d.to_ms = end_of(&d.to);
    }
    buf_puts(&c->out, "{\"items\":[");
    TM_TRY(compare_all(&d, after ? after : "", diag));
    buf_puts(&c->out, "]");
    if (d.last[0])
        buf_printf(&c->out, ",\"next\":\"%s\"", d.last);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field run_fields[] = {
    {"id", "string", NULL, "f95d0a1b2c3d4e5f607182"},
    {"status", "waiting|running|done|canceled|failed", NULL, "done"},
    {"via", "scan|files|pcap|ct|agent|ca", "of which kind it is", "files"},
    {"name", "string", "the resource that it belongs to; empty: it was asked for by hand", ""},
    {"by", "string", NULL, "admin"},
    {"begun", "time?", NULL, NULL},
    {"ended", "time?", NULL, NULL},
    {"created", "time?", NULL, NULL},
    {"total", "integer", "targets, files or entries; 0: not known", "120"},
    {"done", "integer", "of those, looked at", "120"},
    {"answered", "integer", "of those, with certificates", "17"},
    {"failed", "integer", "of those, that could not be read", "1"},
    {"added", "integer", "certificates new to the inventory", "3"},
    {"known", "integer", "certificates that were in it", "14"},
    {"refused", "integer", "certificates that could not be taken", "0"},
    {"new_places", "integer", NULL, "3"},
    {"changed", "integer", "places with another certificate than before", "1"},
    {"same", "integer", NULL, "13"},
    {"gone", "integer", "places without one that had one", "0"},
    {"why", "string", "it failed or ended early", ""},
    {"spec", "object", "what was asked for", NULL},
    {0},
};
static const struct api_field run_list_fields[] = {
    {"items", "[]DiscoveryRun", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", "f95d0a1b2c3d4e5f607182"},
    {0},
};
static const struct api_field line_fields[] = {
    {"line", "integer", "from 1", "3"},
    {"why", "string", NULL, "not a JSON object"},
    {0},
};
static const struct api_field taken_fields[] = {
    {"added", "integer", "certificates new to the inventory", "1"},
    {"known", "integer", "certificates that were in it", "0"},
    {"refused", "integer", "certificates that could not be taken; their places say why", "0"},
    {"new_places", "integer", NULL, "1"},
    {"changed", "integer", NULL, "0"},
    {"same", "integer", NULL, "0"},
    {"gone", "integer", NULL, "0"},
    {"unread", "integer", "lines that could not be read", "0"},
    {"why", "[]SightingLine", "the first 100 of them", NULL},
    {0},
};
static const struct api_field state_fields[] = {
    {"fingerprint", "hex", "SHA-256 of the certificate; empty: there was none", NULL},
    {"serial", "string", "its id in this inventory; empty: it could not be taken", API_SERIAL_EXAMPLE},
    {"run", "string", "that found it", ""},
    {"since", "time?", "first seen there", NULL},
    {"last", "time?", "last seen there", NULL},
    {0},
};
static const struct api_field place_fields[] = {
    {"id", "hex", NULL, "6776edacb246ac2e79bb17b9cbfb7098"},
    {"place", "string", "its name", "tls:192.0.2.1:443"},
    {"status", "present|gone", NULL, "present"},
    {"via", "string", "how it was last met", "scan"},
    {"serial", "string", "the leaf's id in this inventory; empty: there is none", API_SERIAL_EXAMPLE},
    {"chain", "[]hex", "SHA-256 of each certificate, as sent", NULL},
    {"first", "time?", "the place was first met", NULL},
    {"since", "time?", "what is there now was first seen", NULL},
    {"last", "time?", "what is there now was last seen, to the day", NULL},
    {"run", "string", "that saw it last", ""},
    {"found_by", "string", "the run that found what is there now", ""},
    {"details", "object", "protocol, cipher, name … as the kind of discovery has them", NULL},
    {"refused?", "string", "why what was sent could not be taken", NULL},
    {"before", "[]PlaceState", "what was there, newest first", NULL},
    {0},
};
static const struct api_field place_list_fields[] = {
    {"items", "[]Place", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", NULL},
    {0},
};
static const struct api_field side_fields[] = {
    {"fingerprint", "hex", NULL, NULL},
    {"serial", "string", "its id in this inventory", API_SERIAL_EXAMPLE},
    {"subject?", "string", "RFC 4514", "CN=server.example.org"},
    {"issuer?", "string", NULL, "issuing-ca"},
    {"not_after?", "time?", NULL, NULL},
    {0},
};
static const struct api_field change_fields[] = {
    {"change", "new|changed|gone|chain", "chain: the same certificate, with others behind it", "changed"},
    {"place", "string", NULL, "tls:192.0.2.1:443"},
    {"id", "hex", "the place's", NULL},
    {"via", "string", NULL, "scan"},
    {"was?", "PlaceSide", NULL, NULL},
    {"now?", "PlaceSide", NULL, NULL},
    {0},
};
static const struct api_field diff_fields[] = {
    {"items", "[]PlaceChange", NULL, NULL},
    {"next?", "string", "what `after` is for the next page; a page may be short or empty while there is more",
     NULL},
    {0},
};
const struct api_schema discovery_api_schemas[] = {
    {"DiscoveryRun", NULL, run_fields, NULL, NULL},
    {"DiscoveryRunList", NULL, run_list_fields, NULL, NULL},
    {"DiscoveryBegin", "a run of somebody's own", NULL, run_begin_schema,
     "{\"via\":\"agent\",\"spec\":{\"host\":\"web-1\"}}"},
    {"DiscoveryEnd", "what came of it", NULL, run_end_schema,
     "{\"status\":\"done\",\"total\":120,\"done\":120}"},
    {"SightingsTaken", NULL, taken_fields, NULL, NULL},
    {"SightingLine", NULL, line_fields, NULL, NULL},
    {"Place", "where a certificate was met", place_fields, NULL, NULL},
    {"PlaceState", NULL, state_fields, NULL, NULL},
    {"PlaceList", NULL, place_list_fields, NULL, NULL},
    {"PlaceSide", NULL, side_fields, NULL, NULL},
    {"PlaceChange", NULL, change_fields, NULL, NULL},
    {"PlaceDiff", NULL, diff_fields, NULL, NULL},
    {0},
};
static const struct api_field run_query[] = {
    {"status", "waiting|running|done|canceled|failed", NULL, "running"},
    {"name", "string", "of this resource", NULL},
    {0},
};
static const struct api_field report_query[] = {
    {"run", "string", "counted in this run", NULL},
    {"via", "agent|files|pcap|ct|ca", "how they were met", "agent"},
    {0},
};
static const struct api_field place_query[] = {
    {"host", "string", "what stands before the first '/' of their names", "file:web-1"},
    {"certificate", "hex", "that have this certificate now, by its id", API_SERIAL_EXAMPLE},
    {0},
};
static const struct api_field diff_query[] = {
    {"since", "string", "an earlier run of the same kind; else what the run itself found", NULL},
    {0},
};
static const struct api_content report_forms[] = {
    {0, "application/x-ndjson", NULL,
     "one sighting a line: {\"place\":\"file:host/path\",\"at\":time,\"details\":{…},\"chain\":[base64 of DER, leaf "
     "first]}; an empty chain says that nothing is there any more"},
    {0},
};
static const struct api_content begin_answers[] = {{201, "application/json", "DiscoveryRun", "it runs"}, {0}};

enum { KEEPERS = ROLE_ADMIN | ROLE_OPERATOR };

const struct api_route discovery_api_routes[] = {
    {HTTP_M_GET, "/api/v1/discovery/runs", API_READERS, list_runs, 0, "listDiscoveryRuns",
     "Discovery runs, newest first", "discovery", NULL, "DiscoveryRunList", API_PAGED, run_query},
    {HTTP_M_POST, "/api/v1/discovery/runs", KEEPERS, begin_run, RUN_BODY, "beginDiscoveryRun",
     "Begin a run whose sightings are reported by whoever began it", "discovery", "DiscoveryBegin", NULL,
     API_LOCATION, .gives = begin_answers},
    {HTTP_M_GET, "/api/v1/discovery/runs/{id}", API_READERS, get_run, 0, "getDiscoveryRun", "One run",
     "discovery", NULL, "DiscoveryRun"},
    {HTTP_M_POST, "/api/v1/discovery/runs/{id}/end", KEEPERS, end_run, RUN_BODY, "endDiscoveryRun",
     "Say what came of a run", "discovery", "DiscoveryEnd", "DiscoveryRun", API_BODY_OPTIONAL},
    {HTTP_M_GET, "/api/v1/discovery/runs/{id}/diff", API_READERS, diff_runs, 0, "diffDiscoveryRuns",
     "What is new, changed and gone: found by a run, or between the ends of two", "discovery", NULL,
     "PlaceDiff", API_PAGED, diff_query},
    {HTTP_M_POST, "/api/v1/sightings", KEEPERS, report, SIGHTINGS_BODY, "reportSightings",
     "Report certificates and where they were met; sending the same again changes nothing", "discovery", NULL,
     "SightingsTaken", .query = report_query, .takes = report_forms},
    {HTTP_M_GET, "/api/v1/places", API_READERS, list_places, 0, "listPlaces",
     "Where certificates were met: all, of one host, or of one certificate", "discovery", NULL, "PlaceList",
     API_PAGED, place_query},
    {HTTP_M_GET, "/api/v1/places/{id}", API_READERS, get_place, 0, "getPlace",
     "One place and what it had before", "discovery", NULL, "Place"},
    {0},
};
