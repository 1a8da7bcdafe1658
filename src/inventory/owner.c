#include "inventory/owner.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "inventory/ask.h"
#include "issue/house.h"
#include "issue/ownership_doc.h"
#include "register/register.h"
#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, STATE_MAX = 64 << 10 };

const char *const owned_names[OWNED_FIELDS + 1] = {"owner",       "technical", "place", "service",
                                                   "criticality", "tag",       NULL};

/* ---- notes ---- */

static const char *text_of(struct arena *a, const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? arena_strdup(a, s) : "";
}

static tm_err note_parse(struct cert_note *ret, uint64_t *ret_arrival, struct arena *a,
                         const struct object_row *row)
{
    json_t *o = NULL;
    TM_TRY(json_parse(&o, row->state, STATE_MAX, NULL));
    *ret = (struct cert_note){.version = row->version};
    for (int i = 0; i < OWNED_TAG; i++)
        ret->text[i] = text_of(a, o, owned_names[i]);
    const json_t *tags = json_object_get(o, "tags"), *one;
    size_t i;
    json_array_foreach(tags, i, one) if (json_is_string(one) && ret->n_tags < NOTE_TAGS_MAX)
        ret->tags[ret->n_tags++] = arena_strdup(a, json_string_value(one));
    ret->comment = text_of(a, o, "comment");
    ret->by = text_of(a, o, "by");
    ret->at = json_integer_value(json_object_get(o, "at"));
    *ret_arrival = (uint64_t)json_integer_value(json_object_get(o, "arrival"));
    json_decref(o);
    return arena_err(a);
}

static tm_err read_now(struct house *h, struct store_read *q, struct diag *diag)
{
    tm_err e = store_read_now(h->store, q);
    if (e != TM_OK)
        *diag = q->diag;
    return e;
}

tm_err cert_note_read(struct cert_note *ret, struct arena *a, struct house *h, tenant_id tenant,
                      const uint8_t id[CERT_SERIAL_LEN], struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_CERT_NOTE};
    uint64_t unused;
    q.name = arena_hex(a, slice_of(id, CERT_SERIAL_LEN));
    if (!q.name)
        return arena_err(a);
    tm_err e = read_now(h, &q, diag);
    if (e == TM_ENOTFOUND) {
        *ret = (struct cert_note){.comment = "", .by = ""};
        for (int i = 0; i < OWNED_TAG; i++)
            ret->text[i] = "";
        return TM_OK;
    }
    return e == TM_OK ? note_parse(ret, &unused, a, &q.objects[0]) : e;
}

static void put_member(struct buf *b, const char *key, const char *value, bool first)
{
    buf_printf(b, "%s\"%s\":", first ? "" : ",", key);
    buf_put_json_string(b, slice_str(value));
}

/* What it says, for the row and for the event. *ret_says: anything at all. */
static tm_err note_text(struct slice *ret, bool *ret_says, struct arena *a, const struct cert_note *n,
                        int64_t arrival)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    *ret_says = n->n_tags || n->comment[0];
    buf_putc(&b, '{');
    for (int i = 0; i < OWNED_TAG; i++) {
        put_member(&b, owned_names[i], n->text[i], i == 0);
        *ret_says |= n->text[i][0] != '\0';
    }
    buf_puts(&b, ",\"tags\":[");
    for (size_t i = 0; i < n->n_tags; i++) {
        buf_puts(&b, i ? "," : "");
        buf_put_json_string(&b, slice_str(n->tags[i]));
    }
    buf_putc(&b, ']');
    put_member(&b, "comment", n->comment, false);
    put_member(&b, "by", n->by, false);
    if (arrival)
        buf_printf(&b, ",\"at\":%lld,\"arrival\":%lld", (long long)clock_now(), (long long)arrival);
    buf_putc(&b, '}');
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

tm_err cert_note_write(struct house *h, struct arena *a, tenant_id tenant, const struct cert_row *row,
                       const struct cert_note *note, int64_t expected_version, struct diag *diag)
{
    struct slice state, said, body;
    bool says;
    char *id = arena_hex(a, SLICE_ARR(row->id)), *about = id ? arena_printf(a, "certificate/%s", id) : NULL;
    if (!about)
        return arena_err(a);
    TM_TRY(note_text(&state, &says, a, note, (int64_t)row->arrival));
    TM_TRY(note_text(&said, &says, a, note, 0));
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(note->by)},
        {.key = "note", .kind = EVENT_RAW, .s = said},
        {0},
    };
    struct effect v[2] = {{.kind = says ? EFFECT_OBJECT_PUT : EFFECT_OBJECT_DROP,
                           .tenant = tenant,
                           .expected_version = expected_version}};
    v[0].u.object.row =
        (struct object_row){.kind = OBJECT_CERT_NOTE,
                            .id = id,
                            .owner = "",
                            .key = "",
                            .ref = "",
                            .created_at = clock_now(),
                            .keep_until = row->keep_until == TM_TIME_NEVER ? 0 : row->keep_until,
                            .state = state};
    TM_TRY(register_event_body(&body, a, fields));
    TM_TRY(register_event_effect(&v[1], a, tenant, "certificate.noted", about, body, clock_now_ms()));
    return house_commit(h, v, 2, diag);
}

/* ---- rules ---- */

struct rule {
    struct ownership_doc doc;
    const char *name;
    struct cert_test match;
};

static int rule_order(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    if (x->doc.order != y->doc.order)
        return x->doc.order < y->doc.order ? -1 : 1;
    return strcmp(x->name, y->name);
}

static const char *rule_text(const struct rule *r, int field)
{
    const char *const texts[] = {r->doc.owner, r->doc.technical, r->doc.place, r->doc.service,
                                 criticality_words[r->doc.criticality]};
    return texts[field];
}

tm_err owner_rule_check(struct arena *a, const char *match, struct diag *diag)
{
    const struct query_env env = {.now = clock_now()};
    struct cert_test unused;
    if (query_parse(&unused, a, slice_str(match), &env, diag) == TM_OK)
        return TM_OK;
    char why[sizeof diag->message];
    memcpy(why, diag->message, sizeof why);
    return diag_fail(diag, TM_EINVAL, NULL, "/match", "%s", why);
}

static tm_err rules_read(struct rule **ret, size_t *ret_n, struct arena *a, struct house *h, tenant_id tenant,
                         struct diag *diag)
{
    const struct query_env env = {.now = clock_now()};
    struct store_read q = {
        .kind = READ_RESOURCES, .tenant = tenant, .arena = a, .name = "Ownership", .limit = RULES_MAX};
    TM_TRY(read_now(h, &q, diag));
    if (q.more)
        return diag_fail(diag, TM_EINVAL, NULL, "query",
                         "there are more than %d rules of kind Ownership; join some", RULES_MAX);
    struct rule *v = arena_calloc(a, q.n + 1, sizeof *v);
    size_t n = 0;
    if (!v)
        return arena_err(a);
    for (size_t i = 0; i < q.n; i++) {
        json_t *doc = NULL;
        TM_TRY(json_parse(&doc, q.resources[i].json, 1 << 20, diag));
        tm_err e = json_bind(&v[n].doc, ownership_schema, doc, "", a, diag);
        json_decref(doc);
        if (e == TM_OK)
            e = query_parse(&v[n].match, a, slice_str(v[n].doc.match), &env, diag);
        v[n].name = q.resources[i].name;
        /* Checked when it was put: what a later version does not understand any more says nothing. */
        n += e == TM_OK;
        if (e != TM_OK && e != TM_EINVAL)
            return e;
    }
    diag_clear(diag);
    if (n)
        qsort(v, n, sizeof *v, rule_order);
    *ret = v;
    *ret_n = n;
    return TM_OK;
}

/* ---- one certificate ---- */

static void say(struct cert_owner *o, int field, const char *text, const char *from)
{
    if (text && text[0] && !o->text[field][0]) {
        o->text[field] = text;
        o->from[field] = from;
    }
}

static void say_tag(struct cert_owner *o, const char *tag)
{
    for (size_t i = 0; i < o->n_tags; i++)
        if (strcmp(o->tags[i], tag) == 0)
            return;
    if (o->n_tags < NOTE_TAGS_MAX)
        o->tags[o->n_tags++] = tag;
}

static tm_err rule_holds(bool *ret, const struct rule *r, struct arena *a, struct house *h, tenant_id tenant,
                         uint64_t arrival, struct diag *diag)
{
    struct cert_test both[2] = {{.kind = CERT_TEST_RANGE,
                                 .column = CERT_COLUMN_ARRIVAL,
                                 .from = (int64_t)arrival,
                                 .to = (int64_t)arrival},
                                r->match};
    const struct cert_test where = {.kind = CERT_TEST_ALL, .parts = both, .n = 2};
    struct store_read q = {.kind = READ_CERTS_COUNTED, .tenant = tenant, .arena = a, .where = &where};
    TM_TRY(read_now(h, &q, diag));
    *ret = q.count > 0;
    return TM_OK;
}

static tm_err say_device(struct cert_owner *o, struct arena *a, struct house *h, tenant_id tenant,
                         const char *device, struct diag *diag)
{
    struct store_read q = {.kind = READ_DEVICE, .tenant = tenant, .arena = a, .name = device};
    if (!device[0])
        return TM_OK;
    tm_err e = read_now(h, &q, diag);
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    const char *from = arena_printf(a, "device/%s", device);
    if (!from)
        return arena_err(a);
    say(o, OWNED_OWNER, q.devices[0].owner, from);
    say(o, OWNED_PLACE, q.devices[0].place, from);
    return TM_OK;
}

tm_err cert_owner_find(struct cert_owner *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct cert_row *row, struct diag *diag)
{
    struct cert_note note;
    struct rule *rules;
    size_t n;
    *ret = (struct cert_owner){0};
    for (int i = 0; i < OWNED_TAG; i++)
        ret->text[i] = ret->from[i] = "";
    TM_TRY(cert_note_read(&note, a, h, tenant, row->id, diag));
    for (int i = 0; i < OWNED_TAG; i++)
        say(ret, i, note.text[i], "note");
    for (size_t i = 0; i < note.n_tags; i++)
        say_tag(ret, note.tags[i]);
    TM_TRY(rules_read(&rules, &n, a, h, tenant, diag));
    for (size_t k = 0; k < n; k++) {
        bool holds;
        TM_TRY(rule_holds(&holds, &rules[k], a, h, tenant, row->arrival, diag));
        const char *from = holds ? arena_printf(a, "rule/%s", rules[k].name) : "";
        for (int i = 0; holds && from && i < OWNED_TAG; i++)
            say(ret, i, rule_text(&rules[k], i), from);
        for (size_t i = 0; holds && i < rules[k].doc.tags.n; i++)
            say_tag(ret, rules[k].doc.tags.v[i]);
    }
    return say_device(ret, a, h, tenant, row->device, diag);
}

/* ---- questions ---- */

struct asked {
    struct arena *a;
    struct house *h;
    tenant_id tenant;
    enum owned_field field;
    const char *value; /* "": any */
    bool stars;
    struct diag *diag;
};

static bool is_meant(const struct asked *x, const char *text)
{
    if (!text || !text[0])
        return false;
    return !x->value[0] || (x->stars ? stars_match(slice_str(text), slice_str(x->value))
                                     : slice_caseeq(slice_str(text), slice_str(x->value)));
}

struct tests {
    struct cert_test *v;
    size_t n;
};

static tm_err tests_init(struct tests *t, struct arena *a, size_t max)
{
    t->n = 0;
    t->v = arena_calloc(a, max, sizeof *t->v);
    return t->v ? TM_OK : arena_err(a);
}

static struct cert_test any_of(const struct tests *t)
{
    return (struct cert_test){.kind = CERT_TEST_ANY, .parts = t->v, .n = t->n};
}

static struct cert_test arrival_is(uint64_t arrival)
{
    return (struct cert_test){.kind = CERT_TEST_RANGE,
                              .column = CERT_COLUMN_ARRIVAL,
                              .from = (int64_t)arrival,
                              .to = (int64_t)arrival};
}

/* Notes that say it, and notes that say something else in this field. */
static tm_err notes_test(struct tests *meant, struct tests *other, const struct asked *x)
{
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = x->tenant,
                           .arena = x->a,
                           .object_kind = OBJECT_CERT_NOTE,
                           .limit = PAGE,
                           .more = true};
    size_t looked = 0;
    while (q.more) {
        TM_TRY(read_now(x->h, &q, x->diag));
        looked += q.n;
        for (size_t i = 0; i < q.n; i++) {
            struct cert_note note;
            uint64_t arrival;
            bool is = false, says = false;
            TM_TRY(note_parse(&note, &arrival, x->a, &q.objects[i]));
            if (x->field == OWNED_TAG)
                for (size_t k = 0; k < note.n_tags; k++)
                    is |= is_meant(x, note.tags[k]);
            else
                says = note.text[x->field][0] != '\0', is = is_meant(x, note.text[x->field]);
            if (meant->n + other->n == NOTES_CHOSEN || looked > NOTES_LOOKED_AT)
                return diag_fail(
                    x->diag, TM_EINVAL, NULL, "query",
                    "too many certificates have notes of their own to be asked for by %s: write rules of kind "
                    "Ownership instead",
                    owned_names[x->field]);
            if (is)
                meant->v[meant->n++] = arrival_is(arrival);
            else if (says)
                other->v[other->n++] = arrival_is(arrival);
        }
        q.after = q.page_next;
    }
    return TM_OK;
}

/* Owners are found by an index; places by looking at the devices. */
static tm_err devices_test(struct tests *t, const struct asked *x)
{
    bool by_index = x->field == OWNED_OWNER && x->value[0] && !x->stars;
    if (x->field != OWNED_OWNER && x->field != OWNED_PLACE)
        return TM_OK;
    struct store_read q = {.kind = READ_DEVICES,
                           .tenant = x->tenant,
                           .arena = x->a,
                           .text = "",
                           .device_owner = by_index ? x->value : NULL,
                           .limit = PAGE,
                           .more = true};
    for (size_t looked = 0; q.more; looked += q.n) {
        TM_TRY(read_now(x->h, &q, x->diag));
        for (size_t i = 0; i < q.n; i++) {
            const struct device_row *d = &q.devices[i];
            if (!is_meant(x, x->field == OWNED_OWNER ? d->owner : d->place))
                continue;
            if (t->n == RULE_DEVICES_MAX)
                return diag_fail(
                    x->diag, TM_EINVAL, NULL, "query",
                    "more than %d devices are meant, too many for one question: write a rule of kind Ownership",
                    RULE_DEVICES_MAX);
            t->v[t->n++] = (struct cert_test){.kind = CERT_TEST_KEY,
                                              .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(d->id)}};
        }
        if (looked > NOTES_LOOKED_AT)
            return diag_fail(
                x->diag, TM_EINVAL, NULL, "query",
                "there are too many devices to look through for this: name the owner without stars");
        q.after = q.page_next;
    }
    return TM_OK;
}

static tm_err pair(struct cert_test *ret, struct arena *a, enum cert_test_kind kind, struct cert_test x,
                   struct cert_test y)
{
    struct cert_test *v = arena_calloc(a, 2, sizeof *v);
    if (!v)
        return arena_err(a);
    v[0] = x;
    v[1] = y;
    *ret = (struct cert_test){.kind = kind, .parts = v, .n = 2};
    return TM_OK;
}

static tm_err not_of(struct cert_test *ret, struct arena *a, struct cert_test x)
{
    struct cert_test *v = arena_calloc(a, 1, sizeof *v);
    if (!v)
        return arena_err(a);
    *v = x;
    *ret = (struct cert_test){.kind = CERT_TEST_NOT, .parts = v, .n = 1};
    return TM_OK;
}

static bool rule_is_meant(const struct asked *x, const struct rule *r)
{
    bool is = false;
    if (x->field != OWNED_TAG)
        return is_meant(x, rule_text(r, x->field));
    for (size_t i = 0; i < r->doc.tags.n; i++)
        is |= is_meant(x, r->doc.tags.v[i]);
    return is;
}

/* From the last to the first: a rule that says it adds what it matches, one that says something else takes that away. Tags add up. */
static tm_err rules_test(struct cert_test *ret, const struct asked *x)
{
    struct rule *rules = NULL;
    size_t n = 0;
    TM_TRY(rules_read(&rules, &n, x->a, x->h, x->tenant, x->diag));
    for (size_t i = n; i-- > 0;) {
        struct cert_test others = {0};
        if (rule_is_meant(x, &rules[i])) {
            TM_TRY(pair(ret, x->a, CERT_TEST_ANY, rules[i].match, *ret));
        } else if (x->field != OWNED_TAG && rule_text(&rules[i], x->field)[0]) {
            TM_TRY(not_of(&others, x->a, rules[i].match));
            TM_TRY(pair(ret, x->a, CERT_TEST_ALL, others, *ret));
        }
    }
    return TM_OK;
}

tm_err owner_test(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                  struct cert_test *ret, struct diag *diag)
{
    const struct owner_asked *who = arg;
    const struct asked x = {.a = a,
                            .h = who->house,
                            .tenant = who->tenant,
                            .field = field,
                            .value = value,
                            .stars = stars,
                            .diag = diag};
    struct tests meant, other, devices;
    struct cert_test rest, without;
    TM_TRY(tests_init(&meant, a, NOTES_CHOSEN));
    TM_TRY(tests_init(&other, a, NOTES_CHOSEN));
    TM_TRY(tests_init(&devices, a, RULE_DEVICES_MAX));
    TM_TRY(notes_test(&meant, &other, &x));
    TM_TRY(devices_test(&devices, &x));
    rest = any_of(&devices);
    TM_TRY(rules_test(&rest, &x));
    TM_TRY(not_of(&without, a, any_of(&other)));
    TM_TRY(pair(&rest, a, CERT_TEST_ALL, without, rest));
    return pair(ret, a, CERT_TEST_ANY, any_of(&meant), rest);
}
