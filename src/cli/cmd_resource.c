/* Resources as documents: apply, get, delete; and the same under the kinds' own nouns. */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/resource.h"
#include "cli/show.h"
#include "cli/yaml.h"
#include "issue/resources.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILES_MAX = 256, LIST_MAX = 10000 };

/* What refers to others comes after them. */
static const char *const kind_order[] = {"Tenant",           "TrustSet",  "Authority", "Profile",
                                         "Endpoint",         "Principal", "Filter",    "Notification",
                                         "IdentityProvider", "Scan",      "Ownership", NULL};

/* ---- kinds ---- */

/* "TrustSet", "trust-sets", "trustset", "trust-set": letters without case, with or without dashes. */
static bool same_word(const char *a, const char *b)
{
    for (;;) {
        while (*a == '-')
            a++;
        while (*b == '-')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b) || !*a)
            return *a == *b;
        a++;
        b++;
    }
}

static const struct resource_kind *resource_kind_named(struct cli *c, const char *word)
{
    struct buf known;
    buf_init(&known, 4096);
    const struct resource_kind *found = NULL;
    for (const struct resource_kind *k = resource_kinds; k->kind && !found; k++) {
        if (same_word(word, k->kind) || same_word(word, k->plural))
            found = k;
        buf_printf(&known, "%s%s", known.n ? ", " : "", k->plural);
    }
    if (!found)
        cli_usage(c, "there is no kind \"%s\"; there are %s", word, buf_str(&known));
    buf_done(&known);
    return found;
}

/* ---- get ---- */

/* What it is first, what the house added last. */
static json_t *in_reading_order(json_t *doc)
{
    static const char *const first[] = {"kind", "name", "tenant", "title", "description", NULL};
    json_t *out = json_object();
    for (size_t i = 0; out && first[i]; i++)
        if (json_object_get(doc, first[i]))
            json_object_set(out, first[i], json_object_get(doc, first[i]));
    const char *key;
    json_t *x;
    json_object_foreach(doc, key, x)
    {
        if (out && !json_object_get(out, key) && strcmp(key, "metadata") != 0)
            json_object_set(out, key, x);
    }
    if (out && json_object_get(doc, "metadata"))
        json_object_set(out, "metadata", json_object_get(doc, "metadata"));
    return out;
}

int resource_get(struct cli *c, const char *word, const char *name)
{
    const struct resource_kind *k = resource_kind_named(c, word);
    if (!k)
        return 2;
    struct cli_reply r;
    if (name) {
        const char *path = arena_printf(c->arena, "/api/v1/resources/%s/%s%s", k->plural,
                                        show_escape(c, name), cli_has(c, "house") ? "?house=1" : "");
        if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
            return 1;
        if (c->output == OUTPUT_TABLE)
            c->output = OUTPUT_YAML; /* ready for apply */
        json_t *ordered = in_reading_order(r.json);
        int status = ordered ? show_value(c, ordered) : cli_fail(c, "out of memory");
        json_decref(ordered);
        return status;
    }
    const char *path = arena_printf(c->arena, "/api/v1/resources/%s?limit=%d%s", k->plural, LIST_MAX,
                                    cli_has(c, "house") ? "&house=1" : "");
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    json_t *items = json_object_get(r.json, "items");
    size_t i;
    json_t *x;
    if (c->output == OUTPUT_TABLE)
        json_array_foreach(items, i, x)
        {
            const json_t *meta = json_object_get(x, "metadata");
            json_object_set(x, "version", json_object_get(meta, "version"));
            json_object_set(x, "updated", json_object_get(meta, "updated_at"));
            if (!json_object_get(x, "title"))
                json_object_set(x, "title", json_object_get(x, "description"));
        }
    static const struct show_column columns[] = {
        {"NAME", "name"}, {"VERSION", "version"}, {"UPDATED", "updated"}, {"TITLE", "title"}, {0}};
    return show_items(c, items, columns);
}

static int get(struct cli *c)
{
    return resource_get(c, c->args[0], c->n_args > 1 ? c->args[1] : NULL);
}

static int list_own(struct cli *c)
{
    return resource_get(c, c->command->noun, NULL);
}

static int show_own(struct cli *c)
{
    return resource_get(c, c->command->noun, c->args[0]);
}

static int delete(struct cli *c)
{
    const struct resource_kind *k = resource_kind_named(c, c->args[0]);
    if (!k)
        return 2;
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/resources/%s/%s%s", k->plural,
                                    show_escape(c, c->args[1]), cli_has(c, "house") ? "?house=1" : "");
    if (!path || !cli_call_ok(c, "DELETE", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("%s %s deleted\n", k->kind, c->args[1]);
    return 0;
}

/* ---- apply ---- */

struct sheet {
    const char *file;
    struct yaml_doc doc;
    const struct resource_kind *kind;
    const char *name;
    int order;
    size_t nth;     /* as read */
    bool unchanged; /* it stands there already */
};
struct applying {
    struct cli *c;
    struct sheet *v;
    size_t n, cap;
};

static bool complain(struct cli *c, const struct sheet *s, const char *pointer, const char *rule,
                     const char *what)
{
    struct yaml_mark m = yaml_mark_find(&s->doc, pointer);
    cli_fail(c, "%s:%u:%u: %s%s%s%s%s%s", s->file, m.line, m.column, pointer, pointer[0] ? ": " : "", what,
             rule[0] ? " (" : "", rule, rule[0] ? ")" : "");
    return false;
}

static bool identify(struct cli *c, struct sheet *s)
{
    const json_t *v = s->doc.value;
    if (!json_is_object(v))
        return complain(c, s, "", "", "a resource is a mapping with kind and name");
    const char *kind = json_string_value(json_object_get(v, "kind"));
    s->name = json_string_value(json_object_get(v, "name"));
    if (!kind)
        return complain(c, s, "", "", "the resource has no kind");
    if (!s->name)
        return complain(c, s, "", "", "the resource has no name");
    s->kind = resource_kind_find(kind);
    if (!s->kind)
        return complain(
            c, s, "/kind", "",
            "there is no such kind; there are Tenant, TrustSet, Authority, Profile, Endpoint, Principal, Filter, Notification, IdentityProvider, Scan, Ownership");
    while (kind_order[s->order] && strcmp(kind_order[s->order], s->kind->kind) != 0)
        s->order++;
    return true;
}

static bool read_sheets(struct applying *a, const char *file)
{
    struct cli *c = a->c;
    struct slice text;
    if (!cli_read_file(c, file, YAML_TEXT_MAX, &text))
        return false;
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    tm_err e = yaml_load(&docs, &n, c->arena, text, &diag);
    if (e != TM_OK) {
        cli_fail(c, "%s:%s: %s", file, diag.field, diag.message[0] ? diag.message : tm_err_name(e));
        return false;
    }
    if (a->n + n > a->cap) {
        struct sheet *more = arena_calloc(c->arena, 2 * (a->n + n), sizeof *more);
        if (!more) {
            for (size_t i = 0; i < n; i++)
                json_decref(docs[i].value);
            cli_fail(c, "out of memory");
            return false;
        }
        if (a->n)
            memcpy(more, a->v, a->n * sizeof *more);
        a->v = more;
        a->cap = 2 * (a->n + n);
    }
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        struct sheet *s = &a->v[a->n];
        *s = (struct sheet){.file = file, .doc = docs[i], .nth = a->n};
        a->n++;
        ok = identify(c, s) && ok;
    }
    return ok;
}

static int by_order(const void *x, const void *y)
{
    const struct sheet *a = x, *b = y;
    if (a->order != b->order)
        return a->order - b->order;
    return a->nth < b->nth ? -1 : 1;
}

static bool put(struct cli *c, const struct sheet *s, bool dry, bool *ret_unchanged)
{
    struct buf b;
    buf_init(&b, YAML_TEXT_MAX);
    buf_put_json(&b, s->doc.value, false);
    /* Who acts in all tenants is kept with the house. */
    bool house =
        json_is_true(json_object_get(s->doc.value, "all-tenants")) && strcmp(s->kind->kind, "Principal") == 0;
    const char *query = dry && house ? "?dry_run=1&house=1" : dry ? "?dry_run=1" : house ? "?house=1" : "";
    const char *path =
        arena_printf(c->arena, "/api/v1/resources/%s/%s%s", s->kind->plural, show_escape(c, s->name), query);
    const char *before = c->tenant, *own = json_string_value(json_object_get(s->doc.value, "tenant"));
    if (own && own[0] && !s->kind->house_wide && !cli_has(c, "tenant"))
        c->tenant = own;
    struct cli_reply r;
    bool ok = path && buf_err(&b) == TM_OK && cli_call(c, "PUT", path, buf_slice(&b), "application/json", &r);
    c->tenant = before;
    buf_done(&b);
    if (!ok)
        return false;
    if (r.status < 400) {
        *ret_unchanged = json_is_true(json_object_get(r.json, "unchanged"));
        return true;
    }
    const char *field = json_string_value(json_object_get(r.json, "field"));
    const char *rule = json_string_value(json_object_get(r.json, "rule"));
    const char *detail = json_string_value(json_object_get(r.json, "detail"));
    return complain(c, s, field && field[0] == '/' ? field : "", rule ? rule : "",
                    detail ? detail : "was refused");
}

static int apply_sheets(struct applying *a)
{
    struct cli *c = a->c;
    bool dry = cli_has(c, "dry-run");
    if (a->n)
        qsort(a->v, a->n, sizeof *a->v, by_order);
    /* All are looked at before the first is put: a mistake in one file leaves nothing half done. A tenant's own resources can only be
     * looked at once it exists. */
    bool ok = true, tenants = a->n && a->v[0].order == 0, table = c->output == OUTPUT_TABLE;
    json_t *all = json_array();
    for (size_t i = 0; i < a->n && (dry || !tenants); i++)
        ok = put(c, &a->v[i], true, &a->v[i].unchanged) && ok;
    for (size_t i = 0; i < a->n && ok; i++) {
        struct sheet *s = &a->v[i];
        ok = dry || put(c, s, false, &s->unchanged);
        const char *what = s->unchanged ? "unchanged" : dry ? "would be applied" : "applied";
        if (ok && table && !c->quiet)
            printf("%s %s %s\n", s->kind->kind, s->name, what);
        if (ok)
            json_array_append_new(
                all, json_pack("{s:s, s:s, s:s}", "kind", s->kind->kind, "name", s->name, "outcome", what));
    }
    if (!table)
        ok = show_value(c, all) == 0 && ok;
    json_decref(all);
    return ok ? 0 : 1;
}

static int apply(struct cli *c)
{
    struct applying a = {.c = c};
    bool ok = true;
    int files = 0;
    for (const char *f; files < FILES_MAX && (f = cli_get_nth(c, "file", files)); files++)
        ok = read_sheets(&a, f) && ok;
    for (int i = 0; i < c->n_args; i++)
        ok = read_sheets(&a, c->args[i]) && ok;
    int status = 1;
    if (files + c->n_args == 0)
        status = cli_usage(c, "needs -f FILE");
    else if (ok && a.n == 0)
        status = cli_fail(c, "there is no resource in it");
    else if (ok)
        status = apply_sheets(&a);
    for (size_t i = 0; i < a.n; i++)
        json_decref(a.v[i].doc.value);
    return status;
}

static const struct cli_option house_options[] = {
    {"house", 0, NULL, "principals of the whole house, not of the tenant", false},
    {0},
};
static const struct cli_option apply_options[] = {
    {"file", 'f', "FILE", "YAML or JSON, one or many documents; - is standard input", true},
    {"dry-run", 0, NULL, "check, and change nothing", false},
    {0},
};

#define OWN_KIND(word, what, own_options)                                                                    \
    {.noun = word,                                                                                           \
     .verb = "list",                                                                                         \
     .summary = "list the " what "s",                                                                        \
     .arguments = "",                                                                                        \
     .example = "touchmark " word " list",                                                                   \
     .options = own_options,                                                                                 \
     .run = list_own},                                                                                       \
    {                                                                                                        \
        .noun = word, .verb = "show", .summary = "show one " what " as YAML", .arguments = "NAME",           \
        .min_args = 1, .max_args = 1, .example = "touchmark " word " show NAME", .options = own_options,     \
        .run = show_own                                                                                      \
    }

const struct command resource_commands[] = {
    {
        .noun = "apply",
        .verb = "",
        .summary = "create or change resources from files",
        .arguments = "[FILE...]",
        .description =
            "Resources are tenants, trust sets, authorities, profiles, endpoints, filters and principals. All documents are checked\n"
            "first, then put in the order in which they need each other. What stands there already is left alone: no new version.",
        .example = "touchmark apply -f profiles/server-internal-1y.yaml --dry-run",
        .options = apply_options,
        .max_args = -1,
        .run = apply,
    },
    {
        .noun = "get",
        .verb = "",
        .summary = "list resources of a kind, or show one",
        .arguments = "KIND [NAME]",
        .description = "Kinds: tenants, authorities, profiles, endpoints, trust-sets, principals, filters.",
        .example = "touchmark get profiles device-ldevid-1y -o yaml",
        .min_args = 1,
        .max_args = 2,
        .options = house_options,
        .run = get,
    },
    {
        .noun = "delete",
        .verb = "",
        .summary = "delete a resource",
        .arguments = "KIND NAME",
        .description =
            "Its history stays. What another resource needs is not deleted, nor an authority while its certificates live:\n"
            "set disabled: true in it.",
        .example = "touchmark delete endpoint old-fleet",
        .min_args = 2,
        .max_args = 2,
        .options = house_options,
        .run = delete,
    },
    OWN_KIND("endpoint", "endpoint", NULL),
    OWN_KIND("tenant", "tenant", NULL),
    OWN_KIND("principal", "principal", house_options),
    OWN_KIND("trust-set", "trust set", NULL),
    {0},
};
