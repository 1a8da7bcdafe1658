#include "inventory/owner_rule.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "inventory/owner.h"
#include "inventory/place.h"
#include "inventory/query.h"
#include "issue/house.h"
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, RULE_MAX = 1 << 20 };

static tm_err read_now(struct house *h, struct store_read *q, struct diag *diag)
{
    tm_err e = store_read_now(h->store, q);
    if (e != TM_OK && diag)
        *diag = q->diag;
    return e;
}

/* ---- made ready ---- */

static int in_order(const void *a, const void *b)
{
    const struct owner_rule *x = a, *y = b;
    if (x->doc.order != y->doc.order)
        return x->doc.order < y->doc.order ? -1 : 1;
    return strcmp(x->name, y->name);
}

tm_err owner_rule_check(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                        const char *match, struct diag *diag)
{
    const struct query_env env = {.now = clock_now()};
    struct cert_test unused;
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Ownership", .limit = RULES_MAX};
    if (query_parse(&unused, a, slice_str(match), &env, diag) != TM_OK) {
        char why[sizeof diag->message];
        memcpy(why, diag->message, sizeof why);
        return diag_fail(diag, TM_EINVAL, NULL, "/match", "%s", why);
    }
    TM_TRY(read_now(h, &q, diag));
    bool there = q.n < RULES_MAX;
    for (size_t i = 0; i < q.n && !there; i++)
        there = strcmp(q.resources[i].name, name) == 0;
    return there ? TM_OK
                 : diag_fail(diag, TM_EQUOTA, NULL, "/name",
                             "there are %d rules of kind Ownership already; join some", RULES_MAX);
}

static tm_err make_ready(struct owner_rule *ret, struct arena *a, const struct resource_row *row,
                         const struct query_env *env, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->json, RULE_MAX, diag));
    tm_err e = json_bind(&ret->doc, ownership_schema, doc, "", a, diag);
    json_decref(doc);
    TM_TRY(e);
    ret->name = row->name;
    ret->networks = arena_calloc(a, ret->doc.networks.n + 1, sizeof *ret->networks);
    if (!ret->networks)
        return arena_err(a);
    for (size_t i = 0; i < ret->doc.networks.n; i++)
        TM_TRY(address_range_parse(&ret->networks[i], ret->doc.networks.v[i], diag));
    return query_parse(&ret->match, a, slice_str(ret->doc.match), env, diag);
}

tm_err owner_rules_read(struct owner_rules *ret, struct arena *a, struct house *h, tenant_id tenant,
                        struct diag *diag)
{
    const struct query_env env = {.now = clock_now()};
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Ownership", .limit = RULES_MAX};
    *ret = (struct owner_rules){.n = 0};
    TM_TRY(read_now(h, &q, diag));
    if (q.more)
        return diag_fail(diag, TM_EINVAL, NULL, "query",
                         "there are more than %d rules of kind Ownership; join some", RULES_MAX);
    ret->v = arena_calloc(a, q.n + 1, sizeof *ret->v);
    if (!ret->v)
        return arena_err(a);
    for (size_t i = 0; i < q.n; i++) {
        struct owner_rule *r = &ret->v[ret->n];
        tm_err e = make_ready(r, a, &q.resources[i], &env, diag);
        /* Checked when it was put: what a later version does not understand any more says nothing. */
        if (e != TM_OK && e != TM_EINVAL)
            return e;
        if (e != TM_OK)
            continue;
        ret->n++;
        ret->by_octets |= cert_test_asks_octets(&r->match);
        ret->by_network |= r->doc.networks.n > 0;
        ret->by_tag |= r->doc.tagged.n > 0;
    }
    diag_clear(diag);
    if (ret->n)
        qsort(ret->v, ret->n, sizeof *ret->v, in_order);
    return TM_OK;
}

static bool in_networks(const struct owner_rule *r, const struct address *a)
{
    for (size_t i = 0; i < r->doc.networks.n; i++)
        if (address_range_holds(&r->networks[i], a))
            return true;
    return false;
}

static bool has_tag(const struct owner_rule *r, const struct cert_note *note)
{
    for (size_t i = 0; i < r->doc.tagged.n; i++)
        for (size_t k = 0; note && k < note->n_tags; k++)
            if (slice_caseeq(slice_str(r->doc.tagged.v[i]), slice_str(note->tags[k])))
                return true;
    return false;
}

/* ---- of one certificate ---- */

static tm_err add_keys(struct owner_case *x, struct arena *a, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = x->tenant, .arena = a, .with_der = true};
    struct slice der = x->row->der;
    struct cert cert;
    struct cert_key *keys;
    if (der.n == 0) {
        memcpy(q.id, x->row->id, sizeof q.id);
        tm_err e = read_now(x->house, &q, diag);
        if (e != TM_OK && e != TM_ENOTFOUND)
            return e;
        der = e == TM_OK ? q.certs[0].der : der;
    }
    x->unsure = der.n == 0 || cert_parse(&cert, der, NULL) != TM_OK;
    if (x->unsure)
        return TM_OK;
    TM_TRY(cert_keys_of_row(&keys, &x->n_keys, a, &cert, x->row));
    x->keys = keys;
    return TM_OK;
}

static tm_err add_places(struct owner_case *x, struct arena *a, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->tenant,
                           .arena = a,
                           .object_kind = OBJECT_PLACE,
                           .text = arena_hex(a, SLICE_ARR(x->row->id)),
                           .limit = RULE_MET_MAX};
    x->met = arena_calloc(a, RULE_MET_MAX, sizeof *x->met);
    if (!q.text || !x->met)
        return arena_err(a);
    tm_err e = read_now(x->house, &q, diag);
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    for (size_t i = 0; i < q.n && x->n_met < RULE_MET_MAX; i++)
        if (q.objects[i].status == PLACE_PRESENT && place_address(&x->met[x->n_met], q.objects[i].key))
            x->n_met++;
    return TM_OK;
}

tm_err owner_case_make(struct owner_case *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct owner_rules *r, const struct cert_row *row, const struct cert_note *note,
                       struct diag *diag)
{
    *ret = (struct owner_case){.house = h, .tenant = tenant, .row = row, .note = note};
    if (r->by_octets)
        TM_TRY(add_keys(ret, a, diag));
    return r->by_network ? add_places(ret, a, diag) : TM_OK;
}

/* By the index and the columns. */
static tm_err ask(bool *ret, const struct owner_rule *r, const struct owner_case *x, struct arena *a,
                  struct diag *diag)
{
    const struct cert_test both[2] = {{.kind = CERT_TEST_ROWS, .arrivals = &x->row->arrival, .n = 1},
                                      r->match};
    const struct cert_test where = {.kind = CERT_TEST_ALL, .parts = both, .n = 2};
    struct store_read q = {.kind = READ_CERTS_COUNTED, .tenant = x->tenant, .arena = a, .where = &where};
    TM_TRY(read_now(x->house, &q, diag));
    *ret = q.count > 0;
    return TM_OK;
}

tm_err owner_rule_holds(bool *ret, const struct owner_rule *r, const struct owner_case *x, struct arena *a,
                        struct diag *diag)
{
    bool met = r->doc.networks.n == 0;
    for (size_t i = 0; i < x->n_met && !met; i++)
        met = in_networks(r, &x->met[i]);
    *ret = false;
    if (!met || (r->doc.tagged.n && !has_tag(r, x->note)))
        return TM_OK;
    if (x->unsure && cert_test_asks_octets(&r->match))
        return ask(ret, r, x, a, diag);
    *ret = cert_test_passes(&r->match, x->row, x->keys, x->n_keys);
    return TM_OK;
}

/* ---- of all ---- */

struct rows {
    uint64_t *v;
    size_t n, cap;
};

static tm_err rows_add(struct rows *x, const struct owner_rule *r, uint64_t arrival, struct diag *diag)
{
    if (x->n == RULE_ROWS_MAX)
        return diag_fail(
            diag, TM_EINVAL, NULL, "query",
            "the rule \"%s\" of kind Ownership is about more than %d certificates by networks or "
            "tags, too many to be asked for",
            r->name, RULE_ROWS_MAX);
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 256;
        uint64_t *v = realloc(x->v, cap * sizeof *v);
        if (!v)
            return TM_ENOMEM;
        x->v = v;
        x->cap = cap;
    }
    x->v[x->n++] = arrival;
    return TM_OK;
}

static int by_arrival(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static tm_err rows_test(struct cert_test *ret, struct rows *x, struct arena *a)
{
    uint64_t *v = arena_calloc(a, x->n + 1, sizeof *v);
    size_t kept = 0;
    if (!v)
        return arena_err(a);
    if (x->n)
        qsort(x->v, x->n, sizeof *x->v, by_arrival);
    for (size_t i = 0; i < x->n; i++)
        if (kept == 0 || v[kept - 1] != x->v[i])
            v[kept++] = x->v[i];
    *ret = (struct cert_test){.kind = CERT_TEST_ROWS, .arrivals = v, .n = kept};
    return TM_OK;
}

/* All places, then all notes, are looked through once for all rules. */
struct looking {
    struct house *house;
    tenant_id tenant;
    const struct owner_rules *rules;
    struct arena *page;        /* of what is read, a page at a time */
    struct rows *met, *tagged; /* of each rule */
    struct diag *diag;
};

/* The certificate at a place; none is no error. */
static tm_err take_place(struct looking *x, const struct object_row *place)
{
    struct store_read q = {.kind = READ_CERT, .tenant = x->tenant, .arena = x->page};
    struct address at;
    struct slice id;
    bool known = false;
    if (!place_address(&at, place->key))
        return TM_OK;
    for (size_t i = 0; i < x->rules->n; i++) {
        const struct owner_rule *r = &x->rules->v[i];
        if (!in_networks(r, &at))
            continue;
        if (!known) {
            if (hex_decode(&id, x->page, slice_str(place->ref)) != TM_OK || id.n != CERT_SERIAL_LEN)
                return TM_OK;
            memcpy(q.id, id.p, CERT_SERIAL_LEN);
            tm_err e = read_now(x->house, &q, x->diag);
            if (e != TM_OK)
                return e == TM_ENOTFOUND ? TM_OK : e;
            known = true;
        }
        TM_TRY(rows_add(&x->met[i], r, q.certs[0].arrival, x->diag));
    }
    return TM_OK;
}

static tm_err take_note(struct looking *x, const struct object_row *row)
{
    struct cert_note note;
    uint64_t arrival;
    TM_TRY(cert_note_from_row(&note, &arrival, x->page, row));
    for (size_t i = 0; i < x->rules->n; i++)
        if (has_tag(&x->rules->v[i], &note))
            TM_TRY(rows_add(&x->tagged[i], &x->rules->v[i], arrival, x->diag));
    return TM_OK;
}

struct source {
    enum object_kind kind;
    int status;
    size_t max;
    const char *what;
    tm_err (*take)(struct looking *x, const struct object_row *row);
};
static const struct source places = {OBJECT_PLACE, PLACE_PRESENT, RULE_PLACES_MAX, "places", take_place},
                           notes = {OBJECT_CERT_NOTE, 0, NOTES_LOOKED_AT, "notes", take_note};

static tm_err look_through(struct looking *x, const struct source *from)
{
    char after[2 * CERT_SERIAL_LEN + 1] = ""; /* ids of both are as long */
    size_t looked = 0;
    for (bool more = true; more;) {
        arena_reset(x->page);
        struct store_read q = {.kind = READ_OBJECTS,
                               .tenant = x->tenant,
                               .arena = x->page,
                               .object_kind = from->kind,
                               .object_status = from->status,
                               .after = slice_str(after),
                               .limit = PAGE};
        tm_err e = read_now(x->house, &q, x->diag);
        if (e != TM_OK)
            return e == TM_ENOTFOUND ? TM_OK : e;
        looked += q.n;
        if (looked > from->max)
            return diag_fail(
                x->diag, TM_EINVAL, NULL, "query",
                "there are more than %zu %s, too many to look through for rules of kind Ownership "
                "with networks or tags",
                from->max, from->what);
        for (size_t i = 0; i < q.n; i++)
            TM_TRY(from->take(x, &q.objects[i]));
        more = q.more && q.n && strlen(q.objects[q.n - 1].id) < sizeof after;
        if (more)
            memcpy(after, q.objects[q.n - 1].id, strlen(q.objects[q.n - 1].id) + 1);
    }
    return TM_OK;
}

static tm_err rule_test(struct cert_test *ret, struct arena *a, const struct owner_rule *r, struct rows *met,
                        struct rows *tagged)
{
    struct cert_test *parts = arena_calloc(a, 3, sizeof *parts);
    size_t n = 0;
    if (!parts)
        return arena_err(a);
    parts[n++] = r->match;
    if (r->doc.networks.n)
        TM_TRY(rows_test(&parts[n++], met, a));
    if (r->doc.tagged.n)
        TM_TRY(rows_test(&parts[n++], tagged, a));
    *ret = n == 1 ? r->match : (struct cert_test){.kind = CERT_TEST_ALL, .parts = parts, .n = n};
    return TM_OK;
}

tm_err owner_rules_test(struct cert_test **ret, struct arena *a, struct house *h, tenant_id tenant,
                        const struct owner_rules *rules, struct diag *diag)
{
    size_t n = rules->n;
    struct cert_test *v = arena_calloc(a, n + 1, sizeof *v);
    struct looking x = {.house = h,
                        .tenant = tenant,
                        .rules = rules,
                        .page = arena_new(0),
                        .met = calloc(n + 1, sizeof *x.met),
                        .tagged = calloc(n + 1, sizeof *x.tagged),
                        .diag = diag};
    tm_err e = v && x.page && x.met && x.tagged ? TM_OK : TM_ENOMEM;
    if (e == TM_OK && rules->by_network)
        e = look_through(&x, &places);
    if (e == TM_OK && rules->by_tag)
        e = look_through(&x, &notes);
    for (size_t i = 0; i < n && e == TM_OK; i++)
        e = rule_test(&v[i], a, &rules->v[i], &x.met[i], &x.tagged[i]);
    for (size_t i = 0; i < n; i++) {
        free(x.met ? x.met[i].v : NULL);
        free(x.tagged ? x.tagged[i].v : NULL);
    }
    free(x.met);
    free(x.tagged);
    arena_free(x.page);
    if (e == TM_OK)
        *ret = v;
    return e;
}
