/* cert export, cert count, cert note, view: questions about the whole inventory (docs/inventory.md). */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/inventory.h"
#include "cli/show.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *inventory_query_text(struct cli *c, int from)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    for (int i = from; i < c->n_args; i++) {
        buf_puts(&b, i > from ? " " : "");
        buf_puts(&b, c->args[i]);
    }
    const char *text = arena_strdup(c->arena, buf_str(&b));
    buf_done(&b);
    return text ? text : "";
}

/* ---- export ---- */

struct exporting {
    FILE *f;
    uint64_t octets;
    struct cli_progress progress;
};

static bool write_out(void *arg, struct slice data)
{
    struct exporting *x = arg;
    x->octets += data.n;
    cli_progress_step(&x->progress, x->octets >> 10);
    return fwrite(data.p, 1, data.n, x->f) == data.n;
}

static int export(struct cli *c)
{
    const char *out = cli_get(c, "out"), *form = cli_get(c, "form"), *sort = cli_get(c, "sort");
    bool named = out && strcmp(out, "-") != 0;
    const char *path = arena_printf(
        c->arena, "/api/v1/certificates/export?form=%s&sort=%s&query=%s", show_escape(c, form ? form : "csv"),
        show_escape(c, sort ? sort : "oldest"), show_escape(c, inventory_query_text(c, 0)));
    if (!path)
        return cli_fail(c, "out of memory");
    FILE *f = named ? fopen(out, "we") : stdout;
    if (!f)
        return cli_fail(c, "%s: %s", out, strerror(errno));
    struct cli_reply r;
    struct exporting x = {.f = f};
    if (named)
        cli_progress_begin(&x.progress, c, "KiB exported", 0);
    bool ok = cli_call_stream(c, "GET", path, slice_of(NULL, 0), NULL, write_out, &x, &r);
    cli_progress_end(&x.progress);
    if (ok && r.status >= 400) {
        const char *detail = json_string_value(json_object_get(r.json, "detail"));
        cli_fail(c, "%s", detail ? detail : "the inventory could not be read");
        ok = false;
    }
    bool bad = ferror(f) != 0;
    if (named && (fflush(f) != 0 || fsync(fileno(f)) != 0 || fclose(f) != 0))
        bad = true;
    if (ok && bad)
        return cli_fail(c, "%s: %s", named ? out : "standard output", strerror(errno));
    return ok ? 0 : 1;
}

/* ---- count ---- */

static int count(struct cli *c)
{
    static const struct show_column columns[] = {{"VALUE", "value"}, {"COUNT", "count"}, {0}};
    const char *by = cli_get(c, "by");
    const char *path = arena_printf(c->arena, "/api/v1/inventory/counts?query=%s%s%s",
                                    show_escape(c, inventory_query_text(c, 0)), by ? "&by=" : "",
                                    by ? show_escape(c, by) : "");
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (json_is_false(json_object_get(r.json, "complete")) && !c->quiet)
        fprintf(
            stderr,
            "touchmark: names with stars match too many certificates to read them all; narrow the query\n");
    if (c->output != OUTPUT_TABLE)
        return show_value(c, r.json);
    if (by)
        return show_items(c, json_object_get(r.json, "items"), columns);
    printf("%lld\n", (long long)json_integer_value(json_object_get(r.json, "count")));
    return 0;
}

/* ---- notes ---- */

static const char *const note_texts[] = {"owner",       "technical", "place", "service",
                                         "criticality", "comment",   NULL};

/* What was said before stays, but for what is said now. */
static json_t *note_changed(struct cli *c, const json_t *before)
{
    json_t *doc = json_object(), *tags = json_array();
    for (size_t i = 0; note_texts[i]; i++) {
        const char *old = json_string_value(json_object_get(before, note_texts[i]));
        json_object_set_new(doc, note_texts[i],
                            json_string(cli_has(c, note_texts[i]) ? cli_get(c, note_texts[i])
                                        : old                     ? old
                                                                  : ""));
    }
    for (int i = 0; cli_get_nth(c, "tag", i); i++)
        json_array_append_new(tags, json_string(cli_get_nth(c, "tag", i)));
    json_object_set(doc, "tags", cli_has(c, "tag") ? tags : json_object_get(before, "tags"));
    json_decref(tags);
    return doc;
}

static int note(struct cli *c)
{
    bool says = cli_has(c, "tag");
    for (size_t i = 0; note_texts[i]; i++)
        says |= cli_has(c, note_texts[i]);
    const char *path = arena_printf(c->arena, "/api/v1/certificates/%s/note", show_escape(c, c->args[0]));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (says && !cli_send_json(c, "PUT", path, note_changed(c, json_object_get(r.json, "note")), &r))
        return 1;
    return show_value(c, r.json);
}

/* ---- views ---- */

static const char *view_path(struct cli *c)
{
    return arena_printf(c->arena, "/api/v1/inventory/views/%s", show_escape(c, c->args[0]));
}

static int view_save(struct cli *c)
{
    json_t *doc = json_pack("{s:s}", "query", inventory_query_text(c, 1));
    static const char *const texts[] = {"title", "sort", NULL};
    for (size_t i = 0; doc && texts[i]; i++)
        if (cli_has(c, texts[i]))
            json_object_set_new(doc, texts[i], json_string(cli_get(c, texts[i])));
    struct cli_reply r;
    if (!cli_send_json(c, "PUT", view_path(c), doc, &r))
        return 1;
    return show_value(c, r.json);
}

static int view_list(struct cli *c)
{
    static const struct show_column columns[] = {{"NAME", "name"},   {"QUERY", "query"}, {"SORT", "sort"},
                                                 {"OWNER", "owner"}, {"TITLE", "title"}, {0}};
    return show_list(c, "/api/v1/inventory/views", "after", columns, 0);
}

static int view_show(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", view_path(c), slice_of(NULL, 0), NULL, &r))
        return 1;
    const char *query = json_string_value(json_object_get(r.json, "query")),
               *sort = json_string_value(json_object_get(r.json, "sort"));
    return query && sort ? inventory_list(c, query, sort, 0) : cli_fail(c, "the view can't be read");
}

static int view_delete(struct cli *c)
{
    struct cli_reply r;
    return cli_call_ok(c, "DELETE", view_path(c), slice_of(NULL, 0), NULL, &r) ? 0 : 1;
}

static const struct cli_option export_options[] = {
    {"form", 0, "FORM", "csv (which a spreadsheet opens safely) or ndjson", false},
    {"sort", 0, "ORDER", "oldest, newest or expires (oldest)", false},
    {"out", 'O', "FILE", "where to; standard output else", false},
    {0},
};
static const struct cli_option count_options[] = {
    {"by", 0, "WHAT",
     "status, authority, profile, key, signature, source, class, lifetime, expires-day, expires-week, expires-month or "
     "issued-day",
     false},
    {0},
};
static const struct cli_option note_options[] = {
    {"owner", 0, "WHO", "who answers for it: a team, a person", false},
    {"technical", 0, "WHO", "who works on it", false},
    {"place", 0, "WHERE", "where it is", false},
    {"service", 0, "WHAT", "what it is for", false},
    {"criticality", 0, "LEVEL", "low, medium, high or critical", false},
    {"tag", 0, "WORD", "in place of the tags that it had", true},
    {"comment", 0, "TEXT", "for people", false},
    {0},
};
static const struct cli_option save_options[] = {
    {"title", 0, "TEXT", "for people", false},
    {"sort", 0, "ORDER", "newest, oldest or expires (newest)", false},
    {0},
};

const struct command inventory_commands[] = {
    {
        .noun = "cert",
        .verb = "export",
        .summary = "write certificates of the inventory as CSV or JSON lines",
        .arguments = "[QUERY...]",
        .description =
            "All that the query chooses, in the language of \"cert list\"; row by row, however many there are.",
        .example = "touchmark cert export --out ends-soon.csv 'expires<30d -status:revoked'",
        .options = export_options,
        .max_args = -1,
        .run = export,
    },
    {
        .noun = "cert",
        .verb = "count",
        .summary = "count certificates of the inventory",
        .arguments = "[QUERY...]",
        .description =
            "How many the query chooses, in the language of \"cert list\"; with --by, of each kind.",
        .example = "touchmark cert count --by key 'status:valid'\n"
                   "touchmark cert count --by expires-week 'status:valid expires<90d'",
        .options = count_options,
        .max_args = -1,
        .run = count,
    },
    {
        .noun = "cert",
        .verb = "note",
        .summary = "say who answers for a certificate, or show who does",
        .arguments = "SERIAL",
        .description =
            "What is said by hand goes before rules of kind Ownership, these before the device's owner and place. An empty value\n"
            "takes back what was said. Each change is in the register.",
        .example =
            "touchmark cert note 014e6b013abacc77221c86a61bd3114c --owner facilities --place vienna --tag pci",
        .options = note_options,
        .min_args = 1,
        .max_args = 1,
        .run = note,
    },
    {
        .noun = "view",
        .verb = "save",
        .summary = "give a query of the inventory a name",
        .arguments = "NAME QUERY...",
        .description =
            "Everybody in the tenant can use it; who saved it, operators and administrators can change it.",
        .example = "touchmark view save ends-soon --sort expires 'expires<30d -status:revoked'",
        .options = save_options,
        .min_args = 1,
        .max_args = -1,
        .run = view_save,
    },
    {
        .noun = "view",
        .verb = "show",
        .summary = "list the certificates that a saved query chooses",
        .arguments = "NAME",
        .example = "touchmark view show ends-soon",
        .min_args = 1,
        .max_args = 1,
        .run = view_show,
    },
    {
        .noun = "view",
        .verb = "list",
        .summary = "list saved queries",
        .arguments = "",
        .example = "touchmark view list",
        .run = view_list,
    },
    {
        .noun = "view",
        .verb = "delete",
        .summary = "forget a saved query",
        .arguments = "NAME",
        .example = "touchmark view delete ends-soon",
        .min_args = 1,
        .max_args = 1,
        .run = view_delete,
    },
    {0},
};
