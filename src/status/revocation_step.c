/* What a mass revocation does next, a page at a time: each page and the job's new state are one transaction. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/jobs.h"
#include "register/register.h"
#include "status/revocation_impl.h"
#include "x509/crl.h"
#include <string.h>

enum { SCAN_MIN_MS = 2000, SCAN_MAX_MS = 600000, SCANS = 50, LOOK_MIN_MS = 100, SPREAD_DAYS = 30 };

/* ---- what came of it, by authority ---- */

static struct revocation_effect *effect_of(struct revocation *j, const char *authority)
{
    struct revocation_effect *v = j->effects.v;
    for (size_t i = 0; i < j->effects.n; i++)
        if (strcmp(v[i].authority, authority) == 0)
            return &v[i];
    if (j->effects.n == REVOCATION_EFFECTS_MAX)
        return NULL; /* revoked all the same; its times are in /metrics */
    struct revocation_effect *x = &v[j->effects.n++];
    *x = (struct revocation_effect){.authority = authority, .last = ""};
    for (size_t m = 0; m < REACH_MODELS; m++)
        x->took[m] = -1;
    return x;
}

static tm_err note(struct revocation *j, struct arena *a, const struct cert_row *row, unsigned models,
                   int64_t at_ms)
{
    struct revocation_effect *x = effect_of(j, row->authority);
    if (!x)
        return TM_OK;
    x->n++;
    x->first_ms = x->first_ms ? x->first_ms : at_ms;
    x->last_ms = at_ms;
    x->models |= models;
    if (models & 1u << REACH_EXPIRY && row->not_after > x->until)
        x->until = row->not_after;
    x->last = arena_hex(a, SLICE_ARR(row->id));
    return x->last ? TM_OK : TM_ENOMEM;
}

/* A copy that can be thrown away. */
static tm_err copy(struct revocation *ret, struct arena *a, const struct revocation *j)
{
    *ret = *j;
    struct revocation_effect *v = arena_calloc(a, REVOCATION_EFFECTS_MAX, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    if (j->effects.n)
        memcpy(v, j->effects.v, j->effects.n * sizeof *v);
    ret->effects.v = v;
    ret->why = "";
    return TM_OK;
}

/* ---- asking holders to renew ---- */

static tm_err asked_event(struct effect *ret, struct arena *a, const struct revocation *j,
                          const struct revocation_page *p)
{
    struct buf list;
    struct slice body;
    int64_t start = j->begun_ms / 1000;
    buf_init(&list, 64 << 10);
    for (size_t i = 0; i < p->n; i++) {
        buf_puts(&list, i ? ",\"" : "[\"");
        buf_put_hex(&list, SLICE_ARR(p->rows[i]->id));
        buf_putc(&list, '"');
    }
    buf_putc(&list, ']');
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(j->by)},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(j->comment)},
        {.key = "end", .kind = EVENT_INT, .i = j->deadline},
        {.key = "explanation", .kind = EVENT_STR, .s = slice_str(j->explanation)},
        {.key = "job", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "serials", .kind = EVENT_RAW, .s = buf_slice(&list)},
        {.key = "start", .kind = EVENT_INT, .i = start},
        {0},
    };
    tm_err e = buf_err(&list) == TM_OK ? register_event_body(&body, a, fields) : buf_err(&list);
    buf_done(&list);
    TM_TRY(e);
    return register_event_effect(ret, a, j->tenant, "certificate.renewal-asked", "certificates", body,
                                 clock_now_ms());
}

static int64_t scan_ms(const struct revocation *j)
{
    int64_t ms = (j->deadline * 1000 - j->begun_ms) / SCANS;
    return ms < SCAN_MIN_MS ? SCAN_MIN_MS : ms > SCAN_MAX_MS ? SCAN_MAX_MS : ms;
}

/* When to look again before the deadline, and at it. */
static int64_t planned_next(const struct revocation *j, int64_t now)
{
    int64_t at = j->deadline * 1000;
    return j->replace_first && now + scan_ms(j) < at ? now + scan_ms(j) : at;
}

static tm_err ask_page(struct arena *a, struct house *h, struct revocation *j, struct diag *diag)
{
    struct revocation_page *p = arena_calloc(a, 1, sizeof *p);
    struct effect *effects = arena_calloc(a, REVOCATION_PAGE + 2, sizeof *effects);
    struct revocation next;
    size_t n = 0;
    if (!p || !effects)
        return TM_ENOMEM;
    TM_TRY(copy(&next, a, j));
    TM_TRY(revocation_page(p, a, h, j, NULL, j->at, diag));
    for (size_t i = 0; i < p->n; i++)
        TM_TRY(revocation_window(&effects[n++], a, j, p->rows[i]));
    if (p->n)
        TM_TRY(asked_event(&effects[n++], a, j, p));
    next.asked += (int64_t)p->n;
    next.at = p->next;
    if (!p->more) {
        next.status = REVOCATION_PLANNED;
        next.next_ms = planned_next(j, clock_now_ms());
    }
    TM_TRY(revocation_effect_put(&effects[n++], a, &next));
    TM_TRY(house_commit(h, effects, n, diag));
    *j = next;
    j->version++;
    return TM_OK;
}

/* ---- revoking ---- */

static tm_err done_event(struct effect *ret, struct arena *a, const struct revocation *j)
{
    struct event_field fields[] = {
        {.key = "before", .kind = EVENT_INT, .i = j->before},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(j->by)},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "matched", .kind = EVENT_INT, .i = j->matched},
        {.key = "revoked", .kind = EVENT_INT, .i = j->revoked},
        {.key = "superseded", .kind = EVENT_INT, .i = j->superseded},
        {0},
    };
    return revocation_event(ret, a, j, "revocation.done", fields);
}

/* Why each is revoked: those who were asked to renew and did, as superseded. `early`: only those. */
static tm_err choose(struct issue_revocation *v, size_t *ret_n, struct revocation *next, struct arena *a,
                     struct house *h, const struct revocation_page *p, bool early, int64_t at_ms,
                     struct diag *diag)
{
    unsigned models[REVOCATION_PAGE];
    TM_TRY(reach_models(models, h, next->tenant, p->rows, p->n, diag));
    *ret_n = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool renewed = false;
        if (next->deadline)
            TM_TRY(revocation_renewed(&renewed, a, h, next, p->rows[i], diag));
        if (early && !renewed)
            continue;
        v[(*ret_n)++] =
            (struct issue_revocation){.row = p->rows[i], .reason = renewed ? CRL_SUPERSEDED : next->reason};
        next->superseded += renewed;
        next->early += early;
        next->revoked++;
        TM_TRY(note(next, a, p->rows[i], models[i], at_ms));
    }
    return TM_OK;
}

static tm_err revoke_page(struct arena *a, struct house *h, struct revocation *j, bool early,
                          struct diag *diag)
{
    struct revocation_page *p = arena_calloc(a, 1, sizeof *p);
    struct issue_revocation *v = arena_calloc(a, REVOCATION_PAGE, sizeof *v);
    struct effect also[2] = {0};
    struct revocation next;
    size_t n, n_also = 0;
    int64_t now = clock_now_ms();
    if (!p || !v)
        return TM_ENOMEM;
    TM_TRY(copy(&next, a, j));
    TM_TRY(revocation_page(p, a, h, j, NULL, j->at, diag));
    TM_TRY(choose(v, &n, &next, a, h, p, early, now, diag));
    next.at = p->next;
    if (early) {
        next.next_ms = p->more ? now : planned_next(j, now);
    } else {
        next.looked += (int64_t)p->looked;
        next.before += (int64_t)p->before;
    }
    if (!early && !p->more) {
        if (j->set.listed)
            next.before -= next.early; /* they were revoked already, by this job */
        next.status = REVOCATION_SPREADS;
        next.revoked_ms = now;
        next.seen_by = revocation_process(h);
        next.next_ms = now + LOOK_MIN_MS;
        TM_TRY(done_event(&also[n_also++], a, &next));
    }
    TM_TRY(revocation_effect_put(&also[n_also++], a, &next));
    struct issue_reasons why = {.by = j->by, .comment = j->comment, .job = j->id, .at_ms = now};
    TM_TRY(issue_revoke_set(h, j->tenant, v, n, &why, also, n_also, diag));
    *j = next;
    j->version++;
    return TM_OK;
}

/* ---- until it is said ---- */

/* The process that revoked them has ended since: whether it is said has to be found out anew. */
static tm_err again(struct arena *a, struct house *h, const struct revocation *j, struct diag *diag)
{
    const struct revocation_effect *v = j->effects.v;
    for (size_t i = 0; i < j->effects.n; i++) {
        struct slice id;
        struct store_read q = {.kind = READ_CERT, .tenant = j->tenant, .arena = a};
        unsigned models = 0;
        for (unsigned m = 0; m < REACH_MODELS; m++)
            if (v[i].models & 1u << m && v[i].took[m] < 0)
                models |= 1u << m;
        if (hex_decode(&id, a, slice_str(v[i].last)) != TM_OK || id.n != CERT_SERIAL_LEN)
            continue;
        memcpy(q.id, id.p, CERT_SERIAL_LEN);
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK && e != TM_ENOTFOUND) {
            *diag = q.diag;
            return e;
        }
        if (e == TM_OK)
            reach_again(h, j->tenant, &q.certs[0], models, v[i].last_ms);
    }
    jobs_kick(h->jobs, "crl.publish");
    return TM_OK;
}

/* *ret_news: some of it is said that was not. True: all of it is. */
static bool look(struct house *h, struct revocation *j, bool *ret_news)
{
    struct revocation_effect *v = j->effects.v;
    bool all = true;
    *ret_news = false;
    for (size_t i = 0; i < j->effects.n; i++)
        for (unsigned m = 0; m < REACH_MODELS; m++) {
            int64_t ms;
            if (!(v[i].models & 1u << m) || v[i].took[m] >= 0)
                continue;
            if (m == REACH_EXPIRY)
                ms = v[i].until * 1000;
            else if (!reach_done(h, j->tenant, v[i].authority, (enum reach_model)m, v[i].last_ms, &ms)) {
                all = false;
                continue;
            }
            v[i].took[m] = ms > v[i].last_ms ? ms - v[i].last_ms : 0;
            *ret_news = true;
        }
    return all;
}

static tm_err spread(struct arena *a, struct house *h, struct revocation *j, struct diag *diag)
{
    if (!h->reach)
        return TM_OK; /* nothing is published while nobody serves */
    int64_t now = clock_now_ms(), since = now > j->revoked_ms ? now - j->revoked_ms : 0;
    bool first = j->seen_by != revocation_process(h), news;
    if (first) {
        TM_TRY(again(a, h, j, diag));
        j->seen_by = revocation_process(h);
    }
    bool all = look(h, j, &news) || since > SPREAD_DAYS * 86400000ll;
    if (!all && !news && !first && j->next_ms > now)
        return TM_OK; /* it was only that something of somebody else's was said */
    struct buf b;
    struct slice effects;
    j->why = "";
    j->next_ms = all ? 0 : now + (since / 4 > LOOK_MIN_MS ? since / 4 : LOOK_MIN_MS);
    if (!all)
        return revocation_save(h, a, j, NULL, NULL, diag);
    j->status = REVOCATION_DONE;
    j->ended_ms = now;
    buf_init(&b, REVOCATION_STATE_MAX);
    revocation_put_effects(&b, j);
    tm_err e = buf_err(&b) == TM_OK ? arena_copy(&effects, a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    TM_TRY(e);
    struct event_field fields[] = {
        {.key = "effects", .kind = EVENT_RAW, .s = effects},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {0},
    };
    return revocation_save(h, a, j, "revocation.reached", fields, diag);
}

/* ---- the rest ---- */

static tm_err give_up(struct arena *a, struct house *h, struct revocation *j, struct diag *diag)
{
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = SLICE_LIT("")},
        {.key = "comment", .kind = EVENT_STR, .s = SLICE_LIT("nobody approved it in time")},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(j->id)},
        {.key = "revoked", .kind = EVENT_INT, .i = 0},
        {0},
    };
    j->status = REVOCATION_CANCELED;
    j->ended_ms = clock_now_ms();
    j->next_ms = 0;
    j->why = "nobody approved it in time";
    return revocation_save(h, a, j, "revocation.canceled", fields, diag);
}

static tm_err tidy(bool *ret_more, struct arena *a, struct house *h, struct revocation *j, struct diag *diag)
{
    TM_TRY(revocation_windows_drop(ret_more, a, h, j, diag));
    if (*ret_more)
        return TM_OK;
    j->next_ms = 0;
    return revocation_save(h, a, j, NULL, NULL, diag);
}

tm_err revocation_step(bool *ret_more, struct arena *a, struct house *h, struct revocation *j,
                       struct diag *diag)
{
    bool due = j->deadline && clock_now() >= j->deadline;
    *ret_more = true;
    switch (j->status) {
    case REVOCATION_ASKS:
        return ask_page(a, h, j, diag);
    case REVOCATION_PLANNED:
        if (!due && j->replace_first) {
            TM_TRY(revoke_page(a, h, j, true, diag));
            *ret_more = j->at[0] != '\0';
            return TM_OK;
        }
        *ret_more = due;
        if (!due)
            return TM_OK;
        j->status = REVOCATION_RUNS;
        j->at = "";
        return revocation_save(h, a, j, NULL, NULL, diag);
    case REVOCATION_RUNS:
        TM_TRY(revoke_page(a, h, j, false, diag));
        *ret_more = j->status == REVOCATION_RUNS;
        return TM_OK;
    case REVOCATION_SPREADS:
        *ret_more = false;
        return spread(a, h, j, diag);
    case REVOCATION_CANCELED:
        return tidy(ret_more, a, h, j, diag);
    case REVOCATION_WAITS:
        *ret_more = false;
        return give_up(a, h, j, diag);
    default:
        *ret_more = false;
        return TM_OK;
    }
}
