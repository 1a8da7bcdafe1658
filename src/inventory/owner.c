#include "inventory/owner.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "inventory/owner_rule.h"
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

tm_err cert_note_from_row(struct cert_note *ret, uint64_t *ret_arrival, struct arena *a,
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
    if (e != TM_OK && diag)
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
    return e == TM_OK ? cert_note_from_row(ret, &unused, a, &q.objects[0]) : e;
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

static const char *rule_text(const struct owner_rule *r, int field)
{
    const char *const texts[] = {r->doc.owner, r->doc.technical, r->doc.place, r->doc.service,
                                 criticality_words[r->doc.criticality]};
    return texts[field];
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
    struct owner_rules rules;
    struct owner_case x;
    *ret = (struct cert_owner){0};
    for (int i = 0; i < OWNED_TAG; i++)
        ret->text[i] = ret->from[i] = "";
    TM_TRY(cert_note_read(&note, a, h, tenant, row->id, diag));
    for (int i = 0; i < OWNED_TAG; i++)
        say(ret, i, note.text[i], "note");
    for (size_t i = 0; i < note.n_tags; i++)
        say_tag(ret, note.tags[i]);
    TM_TRY(owner_rules_read(&rules, a, h, tenant, diag));
    TM_TRY(owner_case_make(&x, a, h, tenant, &rules, row, &note, diag));
    for (size_t k = 0; k < rules.n; k++) {
        const struct owner_rule *r = &rules.v[k];
        bool holds;
        TM_TRY(owner_rule_holds(&holds, r, &x, a, diag));
        const char *from = holds ? arena_printf(a, "rule/%s", r->name) : "";
        for (int i = 0; holds && from && i < OWNED_TAG; i++)
            say(ret, i, rule_text(r, i), from);
        for (size_t i = 0; holds && i < r->doc.tags.n; i++)
            say_tag(ret, r->doc.tags.v[i]);
    }
    return say_device(ret, a, h, tenant, row->device, diag);
}

/* ---- one after the other ---- */

struct owners {
    struct house *house;
    tenant_id tenant;
    struct owner_rules rules;
    bool notes; /* there are some */
};

tm_err owners_new(struct owners **ret, struct arena *a, struct house *h, tenant_id tenant, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECTS, .tenant = tenant, .arena = a, .object_kind = OBJECT_CERT_NOTE, .limit = 1};
    struct owners *o = arena_calloc(a, 1, sizeof *o);
    if (!o)
        return arena_err(a);
    o->house = h;
    o->tenant = tenant;
    tm_err e = read_now(h, &q, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    o->notes = e == TM_OK && q.n;
    diag_clear(diag);
    TM_TRY(owner_rules_read(&o->rules, a, h, tenant, diag));
    *ret = o;
    return TM_OK;
}

tm_err owners_find(const char **ret, const struct owners *o, struct arena *a, const struct cert_row *row,
                   struct diag *diag)
{
    struct cert_note note = {.text = {"", "", "", "", ""}};
    struct owner_case x;
    *ret = "";
    if (o->notes)
        TM_TRY(cert_note_read(&note, a, o->house, o->tenant, row->id, diag));
    if (note.text[OWNED_OWNER][0]) {
        *ret = note.text[OWNED_OWNER];
        return TM_OK;
    }
    if (o->rules.n == 0)
        return TM_OK;
    TM_TRY(owner_case_make(&x, a, o->house, o->tenant, &o->rules, row, &note, diag));
    for (size_t i = 0; i < o->rules.n && !(*ret)[0]; i++) {
        const struct owner_rule *r = &o->rules.v[i];
        bool holds = false;
        if (r->doc.owner[0])
            TM_TRY(owner_rule_holds(&holds, r, &x, a, diag));
        if (holds)
            *ret = r->doc.owner;
    }
    return TM_OK;
}

/* ---- questions ---- */

struct asked {
    struct owner_asked *who;
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
    size_t n, cap;
};

static tm_err tests_add(struct tests *t, struct arena *a, struct cert_test one)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct cert_test *v = arena_calloc(a, cap, sizeof *v);
        if (!v)
            return arena_err(a);
        if (t->n)
            memcpy(v, t->v, t->n * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = one;
    return TM_OK;
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
            TM_TRY(cert_note_from_row(&note, &arrival, x->a, &q.objects[i]));
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
            if (is || says)
                TM_TRY(tests_add(is ? meant : other, x->a, arrival_is(arrival)));
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
            TM_TRY(
                tests_add(t, x->a,
                          (struct cert_test){.kind = CERT_TEST_KEY,
                                             .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(d->id)}}));
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

static bool rule_is_meant(const struct asked *x, const struct owner_rule *r)
{
    bool is = false;
    if (x->field != OWNED_TAG)
        return is_meant(x, rule_text(r, x->field));
    for (size_t i = 0; i < r->doc.tags.n; i++)
        is |= is_meant(x, r->doc.tags.v[i]);
    return is;
}

/* What rules hold of is the same for all terms of a question. */
static tm_err rules_once(const struct asked *x)
{
    if (x->who->tests)
        return TM_OK;
    struct owner_rules *rules = arena_calloc(x->a, 1, sizeof *rules);
    if (!rules)
        return arena_err(x->a);
    TM_TRY(owner_rules_read(rules, x->a, x->h, x->tenant, x->diag));
    TM_TRY(owner_rules_test(&x->who->tests, x->a, x->h, x->tenant, rules, x->diag));
    x->who->rules = rules;
    return TM_OK;
}

/* From the last to the first: a rule that says it adds what it matches, one that says something else takes that away. Tags add up. */
static tm_err rules_test(struct cert_test *ret, const struct asked *x)
{
    TM_TRY(rules_once(x));
    for (size_t i = x->who->rules->n; i-- > 0;) {
        const struct owner_rule *r = &x->who->rules->v[i];
        struct cert_test all = x->who->tests[i], others = {0};
        bool meant = rule_is_meant(x, r);
        if (!meant && (x->field == OWNED_TAG || !rule_text(r, x->field)[0]))
            continue;
        if (meant) {
            TM_TRY(pair(ret, x->a, CERT_TEST_ANY, all, *ret));
        } else {
            TM_TRY(not_of(&others, x->a, all));
            TM_TRY(pair(ret, x->a, CERT_TEST_ALL, others, *ret));
        }
    }
    return TM_OK;
}

tm_err owner_test(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                  struct cert_test *ret, struct diag *diag)
{
    struct owner_asked *who = arg;
    const struct asked x = {.who = who,
                            .a = a,
                            .h = who->house,
                            .tenant = who->tenant,
                            .field = field,
                            .value = value,
                            .stars = stars,
                            .diag = diag};
    struct tests meant = {0}, other = {0}, devices = {0};
    struct cert_test rest, without;
    if (++who->asked > OWNED_ASKED_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "query",
                         "a query asks for owners, places, tags and the like %d times at most; use stars",
                         OWNED_ASKED_MAX);
    TM_TRY(notes_test(&meant, &other, &x));
    TM_TRY(devices_test(&devices, &x));
    rest = any_of(&devices);
    TM_TRY(rules_test(&rest, &x));
    TM_TRY(not_of(&without, a, any_of(&other)));
    TM_TRY(pair(&rest, a, CERT_TEST_ALL, without, rest));
    return pair(ret, a, CERT_TEST_ANY, any_of(&meant), rest);
}
