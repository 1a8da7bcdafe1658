/* How the house stands on five axes: facts out of the store, the catalog and the running parts, judged by posture_rules.c.
 *
 * Every read is bounded, so that the answer costs the same at ten certificates and at ten million; what is only sampled says so. */
#include "api/groups.h"
#include "api/posture_rules.h"
#include "base/arena.h"
#include "base/clock.h"
#include "issue/jobs.h"
#include "keys/signer.h"
#include "policy/enrollment.h"
#include "register/register.h"
#include "status/crl.h"
#include "status/reach.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DAY = 86400,
    WEEK = 7 * DAY,
    RECENT = 90 * DAY,
    EVENTS_MAX = 10000, /* the newest of the tenant's log that are looked at */
    RULES_MAX = 32,
    PROFILES_MAX = 1000,
    ENDING_MAX = 300, /* certificates that end within a week, whose successors are looked for */
    WAITING_MAX = 1000,
    JOBS_MAX = 64,
    DOC_MAX = 256 << 10,
    NAME_LEN = 64,
};

struct kind {
    const char *name;
    bool server, untold;
    int64_t lives;
    uint64_t n_long;
};

struct gathering {
    struct api_call *c;
    struct posture_facts f;
    struct kind *kinds; /* profiles, sorted by name */
    size_t n_kinds;
    struct {
        char rule[NAME_LEN];
        uint64_t n;
    } rules[RULES_MAX];
    size_t n_rules;
};

/* ---- profiles ---- */

static bool lists(const json_t *list, const char *word)
{
    size_t i;
    const json_t *v;
    json_array_foreach(list, i,
                       v) if (json_is_string(v) && strcmp(json_string_value(v), word) == 0) return true;
    return false;
}

static void kind_read(struct kind *k, const json_t *doc)
{
    const json_t *lifetime = json_object_get(doc, "lifetime");
    const char *text = json_string_value(json_object_get(lifetime, "max"));
    if (!text)
        text = json_string_value(json_object_get(lifetime, "default"));
    const char *end = json_string_value(json_object_get(lifetime, "not-after"));
    k->lives = TM_TIME_NEVER;
    if (!end && text && duration_parse(&k->lives, slice_str(text)) != TM_OK)
        k->lives = TM_TIME_NEVER;
    const char *model = json_string_value(json_object_get(json_object_get(doc, "revocation"), "model"));
    k->server = lists(json_object_get(json_object_get(doc, "usage"), "eku"), "serverAuth");
    k->untold = model && strcmp(model, "none") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kind *)a)->name, ((const struct kind *)b)->name);
}

static tm_err gather_profiles(struct gathering *g, struct diag *diag)
{
    struct store_read q = {.kind = READ_RESOURCES, .name = "Profile", .limit = PROFILES_MAX};
    TM_TRY(api_read(g->c, &q, diag));
    g->kinds = arena_calloc(g->c->arena, q.n ? q.n : 1, sizeof *g->kinds);
    if (!g->kinds)
        return TM_ENOMEM;
    for (size_t i = 0; i < q.n; i++) {
        json_t *doc = NULL;
        struct diag ignored = {0};
        if (json_parse(&doc, q.resources[i].json, DOC_MAX, &ignored) != TM_OK)
            continue;
        struct kind *k = &g->kinds[g->n_kinds++];
        k->name = q.resources[i].name;
        kind_read(k, doc);
        json_decref(doc);
        g->f.profiles++;
        if (k->untold && k->lives > 10 * DAY) {
            g->f.untold_name = g->f.untold++ ? g->f.untold_name : k->name;
        }
    }
    qsort(g->kinds, g->n_kinds, sizeof *g->kinds, by_name);
    return TM_OK;
}

/* ---- what happened ---- */

static bool member(char ret[NAME_LEN], struct slice body, const char *key)
{
    struct slice v;
    ret[0] = '\0';
    if (!register_event_find(&v, body, key) || v.n < 2 || v.p[0] != '"' || v.n - 2 >= NAME_LEN)
        return false;
    memcpy(ret, v.p + 1, v.n - 2);
    ret[v.n - 2] = '\0';
    return true;
}

static int64_t number(struct slice body, const char *key)
{
    struct slice v;
    char text[24];
    if (!register_event_find(&v, body, key) || v.n == 0 || v.n >= sizeof text)
        return 0;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    return strtoll(text, NULL, 10);
}

static void count_issued(struct gathering *g, const struct event_row *v, bool lately)
{
    struct posture_facts *f = &g->f;
    char text[NAME_LEN];
    member(text, v->body, "door");
    /* The house's own: listeners, responders, RAs. Nobody asked for them. */
    if (strcmp(text, door_names[DOOR_CEREMONY]) == 0)
        return;
    bool by_hand = strcmp(text, door_names[DOOR_REST]) == 0;
    f->issued += lately;
    f->by_hand += by_hand;
    f->by_protocol += !by_hand;
    member(text, v->body, "profile");
    struct kind *k = bsearch(&(struct kind){.name = text}, g->kinds, g->n_kinds, sizeof *g->kinds, by_name);
    if (!k || !k->server)
        return;
    int64_t lives = number(v->body, "not_after") - number(v->body, "not_before");
    f->servers++;
    f->servers_today += lives <= f->public_max + DAY;
    f->servers_47d += lives <= 48 * DAY; /* backdating is no longer life */
    k->n_long += lives > 48 * DAY;
}

static void count_rule(struct gathering *g, struct slice body)
{
    char rule[NAME_LEN];
    size_t i = 0;
    if (!member(rule, body, "rule"))
        return;
    while (i < g->n_rules && strcmp(g->rules[i].rule, rule) != 0)
        i++;
    if (i == RULES_MAX)
        return;
    if (i == g->n_rules) {
        memcpy(g->rules[i].rule, rule, sizeof rule);
        g->n_rules++;
    }
    g->rules[i].n++;
}

static void count_event(void *arg, const struct event_row *v)
{
    struct gathering *g = arg;
    int64_t age = g->f.now - v->time / 1000;
    bool lately = age <= WEEK;
    if (age > RECENT)
        return;
    if (strcmp(v->type, "certificate.issued") == 0) {
        count_issued(g, v, lately);
    } else if (strcmp(v->type, "enrollment.denied") == 0 && lately) {
        g->f.denied++;
        count_rule(g, v->body);
    } else if (strcmp(v->type, "enrollment.refused") == 0 && lately) {
        int64_t n = number(v->body, "count");
        g->f.refused += n > 0 ? (uint64_t)n : 1;
    }
}

static tm_err newest_events(struct gathering *g, tenant_id tenant, const char *type,
                            void (*each)(void *arg, const struct event_row *v), struct diag *diag)
{
    struct store_read size = {.kind = READ_LOG_SIZE, .tenant = tenant, .arena = g->c->arena};
    TM_TRY(store_read_now(g->c->house->store, &size));
    return api_each_event(g->c, tenant, type, size.count > EVENTS_MAX ? size.count - EVENTS_MAX : 0, each, g,
                          diag);
}

static tm_err gather_events(struct gathering *g, struct diag *diag)
{
    TM_TRY(newest_events(g, g->c->tenant->id, NULL, count_event, diag));
    for (size_t i = 0; i < g->n_rules; i++)
        if (g->rules[i].n > g->f.top_rule_n) {
            g->f.top_rule_n = g->rules[i].n;
            g->f.top_rule = g->rules[i].rule;
        }
    for (size_t i = 0; i < g->n_kinds; i++)
        if (g->kinds[i].n_long > g->f.long_n) {
            g->f.long_n = g->kinds[i].n_long;
            g->f.long_profile = g->kinds[i].name;
        }
    return TM_OK;
}

static void note_backup(void *arg, const struct event_row *v)
{
    struct gathering *g = arg;
    if (strcmp(v->type, "house.backup") == 0)
        g->f.backup_at = v->time / 1000;
}

/* ---- what waits, what ends ---- */

static tm_err gather_waiting(struct gathering *g, struct diag *diag)
{
    struct store_read q = {.kind = READ_CONTINUATIONS, .text = "pending", .limit = WAITING_MAX};
    TM_TRY(api_read(g->c, &q, diag));
    for (size_t i = 0; i < q.n; i++) {
        const struct continuation_row *r = &q.continuations[i];
        if (strcmp(r->kind, "enrollment") != 0 || r->expires_at < g->f.now)
            continue;
        int64_t age = g->f.now - r->created_at;
        g->f.waiting++;
        g->f.oldest_wait = age > g->f.oldest_wait ? age : g->f.oldest_wait;
    }
    return TM_OK;
}

/* Something with the same name that ends later and is good. */
static bool replaced(struct gathering *g, struct arena *a, const struct cert_row *row)
{
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = g->c->tenant->id,
                           .arena = a,
                           .key = {.kind = CERT_KEY_SUBJECT, .value = slice_str(row->subject)},
                           .limit = 10};
    if (store_read_now(g->c->house->store, &q) != TM_OK)
        return true; /* not known: no complaint */
    for (size_t i = 0; i < q.n; i++)
        if (!q.certs[i].revoked_at && q.certs[i].not_after > row->not_after)
            return true;
    return false;
}

static tm_err gather_ending(struct gathering *g, struct diag *diag)
{
    int64_t now = g->f.now, to = now + WEEK;
    uint16_t first = cert_id_month(now), last = cert_id_month(to);
    uint8_t after[CERT_SERIAL_LEN] = {(uint8_t)(first >> 8), (uint8_t)first};
    struct store_read q = {
        .kind = READ_CERTS,
        .filter = {.not_after_from = now, .not_after_to = to, .revoked = 0, .source = CERT_ISSUED},
        .after = SLICE_ARR(after),
        .limit = ENDING_MAX,
    };
    struct arena *scratch = arena_new(0);
    if (!scratch)
        return TM_ENOMEM;
    tm_err e = TM_OK;
    /* A page may be short where the filter passes many over: some of them, and no more. */
    for (int pages = 0; pages < 16 && e == TM_OK && g->f.ending < ENDING_MAX; pages++) {
        e = api_read(g->c, &q, diag);
        for (size_t i = 0; e == TM_OK && i < q.n && g->f.ending < ENDING_MAX; i++) {
            const struct cert_row *row = &q.certs[i];
            /* What lives no longer than that is renewed in its last days, if at all. */
            if (!row->subject[0] || row->not_after - row->not_before <= 10 * DAY ||
                (uint16_t)(row->id[0] << 8 | row->id[1]) > last)
                continue;
            g->f.ending++;
            if (!replaced(g, scratch, row))
                g->f.alone_name = g->f.ending_alone++ ? g->f.alone_name : row->subject;
            arena_reset(scratch);
        }
        if (!q.more || q.page_next.n < 2 || (uint16_t)(q.page_next.p[0] << 8 | q.page_next.p[1]) > last)
            break;
        q.after = q.page_next;
    }
    arena_free(scratch);
    return e;
}

/* ---- authorities ---- */

static bool key_is_weak(const struct authority *x)
{
    struct slice modulus;
    return spki_rsa_modulus(&modulus, &x->cert.spki) && modulus.n < 3072 / 8;
}

static bool has_successor(const struct gathering *g, const struct authority *x)
{
    const struct authority *next =
        x->successor && x->successor[0] ? catalog_authority(g->c->catalog, x->tenant, x->successor) : NULL;
    return next && !next->disabled && !next->revoked && next->cert.not_after > x->cert.not_after;
}

/* Another that issues, whose key is here too. */
static bool has_stand_in(const struct gathering *g, const struct authority *x)
{
    const struct authority *const *v;
    size_t n = catalog_authorities(g->c->catalog, &v);
    for (size_t i = 0; i < n; i++)
        if (v[i] != x && v[i]->tenant == x->tenant && !v[i]->disabled && !v[i]->revoked && !v[i]->offline &&
            !v[i]->is_root && v[i]->parent && x->parent && strcmp(v[i]->parent, x->parent) == 0 &&
            v[i]->cert.not_after >= x->cert.not_after)
            return true;
    return has_successor(g, x);
}

static void count(unsigned *n, const char **name, const char *one)
{
    if ((*n)++ == 0)
        *name = one;
}

static void look_at_list(struct gathering *g, const struct authority *x)
{
    struct posture_facts *f = &g->f;
    struct crl_row crl;
    f->lists++;
    bool fresh = crl_current(&crl, g->c->arena, g->c->house, x) == TM_OK &&
                 crl.next_update - f->now > (crl.next_update - crl.this_update) / 8;
    if (fresh)
        f->fresh++;
    else if (!f->stale_name[0])
        f->stale_name = x->name;
    if (!x->offline)
        return;
    struct crl_series s = {0};
    struct diag ignored = {0};
    f->series++;
    /* A list of its own that lives for long is as good as many. */
    bool far = crl_series_state(&s, g->c->house, x, &ignored) == TM_OK
                   ? s.ends - f->now >= CRL_SERIES_WARN
                   : fresh && crl.next_update - f->now >= CRL_SERIES_WARN;
    if (!far)
        count(&f->series_short, &f->series_name, x->name);
}

static void gather_authorities(struct gathering *g)
{
    struct posture_facts *f = &g->f;
    const struct authority *const *v;
    size_t n = catalog_authorities(g->c->catalog, &v);
    for (size_t i = 0; i < n; i++) {
        const struct authority *x = v[i];
        if (x->tenant != g->c->tenant->id || x->disabled)
            continue;
        f->authorities++;
        if (x->cert.not_after - f->now < 365 * DAY && !has_successor(g, x))
            count(&f->short_lived, &f->short_name, x->name);
        if (key_is_weak(x))
            count(&f->weak, &f->weak_name, x->name);
        look_at_list(g, x);
        if (x->is_root) {
            f->roots++;
            if (x->offline)
                f->roots_offline++;
            else
                f->online_root = x->name;
        } else if (!x->offline) {
            f->issuers++;
            if (x->ocsp.key[0] && x->ocsp.cert.der.n)
                f->responders++;
            else if (!f->silent_issuer[0])
                f->silent_issuer = x->name;
            if (!has_stand_in(g, x))
                count(&f->lone, &f->lone_name, x->name);
        }
    }
}

/* ---- endpoints and principals ---- */

static void look_at_endpoint(struct gathering *g, const json_t *doc, const char *name)
{
    struct posture_facts *f = &g->f;
    const char *protocol = json_string_value(json_object_get(doc, "protocol"));
    if (!protocol || json_is_true(json_object_get(doc, "disabled")))
        return;
    f->endpoints++;
    if (json_is_true(json_object_get(doc, "server-keygen")))
        count(&f->keygen, &f->keygen_name, name);
    bool open_door = strcmp(protocol, "scep") == 0 &&
                     lists(json_object_get(json_object_get(doc, "scep"), "challenges"), "none");
    if (open_door)
        count(&f->unproven, &f->unproven_name, name);
}

static tm_err each_resource(struct gathering *g, const char *kind, tenant_id tenant,
                            void (*each)(struct gathering *g, const json_t *doc, const char *name),
                            struct diag *diag)
{
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = g->c->arena, .name = kind, .limit = 10000};
    tm_err e = store_read_now(g->c->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    for (size_t i = 0; i < q.n; i++) {
        json_t *doc = NULL;
        struct diag ignored = {0};
        if (json_parse(&doc, q.resources[i].json, 1 << 20, &ignored) == TM_OK)
            each(g, doc, q.resources[i].name);
        json_decref(doc);
    }
    return TM_OK;
}

static void look_at_principal(struct gathering *g, const json_t *doc, const char *name)
{
    (void)name;
    const json_t *roles = json_object_get(doc, "roles");
    if (!json_is_true(json_object_get(doc, "disabled")) &&
        (lists(roles, "admin") || lists(roles, "operator")))
        g->f.deciders++;
}

static void look_at_house_principal(struct gathering *g, const json_t *doc, const char *name)
{
    if (json_is_true(json_object_get(doc, "all-tenants")))
        look_at_principal(g, doc, name);
}

/* ---- the running house ---- */

/* The effective user of a process, as /proc shows it to everybody. */
static bool other_user(pid_t pid)
{
    char path[64], line[256];
    unsigned long effective = (unsigned long)geteuid();
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *at;
        if (strncmp(line, "Uid:", 4) != 0)
            continue;
        strtoul(line + 4, &at, 10);
        effective = strtoul(at, NULL, 10);
        break;
    }
    if (f)
        fclose(f);
    return effective != (unsigned long)geteuid();
}

static bool lies_in(const char *file, const char *directory)
{
    char *whole = realpath(file, NULL), *above = realpath(directory, NULL);
    size_t n = above ? strlen(above) : 0;
    bool in = whole && above && strncmp(whole, above, n) == 0 && whole[n] == '/';
    free(whole);
    free(above);
    return in;
}

static void gather_house(struct gathering *g)
{
    struct posture_facts *f = &g->f;
    struct house *h = g->c->house;
    f->signer_there = h->signer && signer_alive(h->signer);
    f->signer_apart = h->mode == HOUSE_SERVE;
    f->signer_own_user = f->signer_there && f->signer_apart && other_user(signer_pid(h->signer));
    f->passphrase_beside = h->passphrase_file && lies_in(h->passphrase_file, h->home);
    struct job_state jobs[JOBS_MAX];
    size_t n = h->jobs ? jobs_state(h->jobs, jobs, JOBS_MAX) : 0;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].failing && !f->failing_job[0] &&
            (strncmp(jobs[i].name, "crl", 3) == 0 || strncmp(jobs[i].name, "ocsp", 4) == 0 ||
             strncmp(jobs[i].name, "filter", 6) == 0))
            f->failing_job = jobs[i].name;
    struct reach_latency took[REACH_MODELS];
    reach_latency(took, h, g->c->tenant->id);
    for (int m = 0; m < REACH_MODELS; m++) {
        /* What is published by a schedule is as late as it says; the slower half is what counts. */
        f->measured += took[m].n;
        f->median_ms = took[m].median_ms > f->median_ms ? took[m].median_ms : f->median_ms;
        f->worst_ms = took[m].worst_ms > f->worst_ms ? took[m].worst_ms : f->worst_ms;
    }
    f->mass_four_eyes = g->c->tenant->approve_revocations_above > 0;
}

static tm_err gather_register(struct gathering *g, struct diag *diag)
{
    struct store_read size = {.kind = READ_LOG_SIZE}, newest = {.kind = READ_CHECKPOINT};
    TM_TRY(api_read(g->c, &size, diag));
    tm_err e = api_read(g->c, &newest, diag);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    if (newest.n == 0)
        return TM_OK;
    uint64_t covered = newest.checkpoints[0].size;
    g->f.uncovered = size.count > covered ? size.count - covered : 0;
    g->f.checkpoint_at = newest.checkpoints[0].time / 1000;
    return TM_OK;
}

static tm_err gather(struct gathering *g, struct diag *diag)
{
    int64_t now = clock_now();
    g->f = (struct posture_facts){
        .now = now,
        .public_max = posture_public_max(now),
        .top_rule = "",
        .long_profile = "",
        .unproven_name = "",
        .keygen_name = "",
        .alone_name = "",
        .short_name = "",
        .weak_name = "",
        .stale_name = "",
        .silent_issuer = "",
        .lone_name = "",
        .online_root = "",
        .series_name = "",
        .untold_name = "",
        .failing_job = "",
    };
    TM_TRY(gather_profiles(g, diag));
    TM_TRY(gather_events(g, diag));
    TM_TRY(newest_events(g, TENANT_HOUSE, "house.backup", note_backup, diag));
    TM_TRY(gather_waiting(g, diag));
    TM_TRY(gather_ending(g, diag));
    gather_authorities(g);
    TM_TRY(each_resource(g, "Endpoint", g->c->tenant->id, look_at_endpoint, diag));
    TM_TRY(each_resource(g, "Principal", g->c->tenant->id, look_at_principal, diag));
    if (g->c->tenant->id != TENANT_HOUSE)
        TM_TRY(each_resource(g, "Principal", TENANT_HOUSE, look_at_house_principal, diag));
    gather_house(g);
    return gather_register(g, diag);
}

/* ---- the answer ---- */

static void put_score(struct buf *out, const char *key, int score)
{
    if (score < 0)
        buf_printf(out, ",\"%s\":null", key);
    else
        buf_printf(out, ",\"%s\":%d", key, score);
}

static void put_check(struct buf *out, const struct posture_check *v, size_t n,
                      const struct posture_check *one)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(one->id));
    api_put_text(out, "title", one->title);
    put_score(out, "score", one->score);
    api_put_int(out, "weight", one->weight);
    api_put_text(out, "fact", one->fact);
    if (one->move[0]) {
        api_put_text(out, "move", one->move);
        api_put_int(out, "gain", posture_gain(v, n, one));
    }
    buf_putc(out, '}');
}

static void put_axis(struct buf *out, const struct posture_check *v, size_t n, enum posture_axis axis)
{
    buf_printf(out, "{\"axis\":\"%s\",\"title\":\"%s\"", posture_axis_names[axis], posture_axis_titles[axis]);
    put_score(out, "score", posture_axis_score(v, n, axis));
    buf_puts(out, ",\"checks\":[");
    for (size_t i = 0, shown = 0; i < n; i++) {
        if (v[i].axis != axis)
            continue;
        buf_puts(out, shown++ ? "," : "");
        put_check(out, v, n, &v[i]);
    }
    buf_puts(out, "]}");
}

static tm_err posture(struct api_call *c, struct diag *diag)
{
    struct gathering *g = arena_calloc(c->arena, 1, sizeof *g);
    struct posture_check v[POSTURE_CHECKS_MAX];
    if (!g)
        return TM_ENOMEM;
    g->c = c;
    TM_TRY(gather(g, diag));
    size_t n = posture_checks(v, c->arena, &g->f);
    char at[21];
    clock_format_rfc3339(at, g->f.now);
    buf_printf(&c->out, "{\"at\":\"%s\",\"axes\":[", at);
    for (int axis = 0; axis < POSTURE_AXES; axis++) {
        buf_puts(&c->out, axis ? "," : "");
        put_axis(&c->out, v, n, (enum posture_axis)axis);
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field posture_fields[] = {
    {"at", "time", NULL, NULL},
    {"axes", "[]PostureAxis", "enrollment, lifetime, revocation, keys, incident", NULL},
    {0},
};
static const struct api_field axis_fields[] = {
    {"axis", "enrollment|lifetime|revocation|keys|incident", NULL, "revocation"},
    {"title", "string", NULL, "Revocation"},
    {"score", "integer?", "0 to 100: the weighted mean of its checks; null where there is nothing to look at",
     "85"},
    {"checks", "[]PostureCheck", NULL, NULL},
    {0},
};
static const struct api_field check_fields[] = {
    {"id", "string", NULL, "revocation.lists"},
    {"title", "string", NULL, "Lists are fresh"},
    {"score", "integer?", "0 to 100; null where there is nothing to look at", "66"},
    {"weight", "integer", "in its axis", "35"},
    {"fact", "string", "what was found", "2 of 3 revocation lists are there and not near their end."},
    {"move?", "string", "what would make it better", "Publish the list of issuing-ca."},
    {"gain?", "integer", "points by which the axis would rise", "12"},
    {0},
};
const struct api_schema posture_api_schemas[] = {
    {"Posture", "how the house stands, by what its data say", posture_fields, NULL, NULL},
    {"PostureAxis", NULL, axis_fields, NULL, NULL},
    {"PostureCheck", NULL, check_fields, NULL, NULL},
    {0},
};

const struct api_route posture_api_routes[] = {
    {HTTP_M_GET, "/api/v1/posture", API_READERS, posture, 0, "getPosture",
     "The health radar: five axes of 0 to 100, with the facts behind them and what would move each", "system",
     NULL, "Posture"},
    {0},
};
