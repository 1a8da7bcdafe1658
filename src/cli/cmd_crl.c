/* crl: what is published, and publishing at once. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <string.h>

static int show(struct cli *c)
{
    bool pem = cli_has(c, "pem");
    const char *list = cli_has(c, "list") ? show_escape(c, cli_get(c, "list")) : "full";
    const char *path = arena_printf(c->arena, "/api/v1/crls/%s?list=%s%s", show_escape(c, c->args[0]), list,
                                    pem ? "&pem=1" : "");
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!pem)
        return show_value(c, r.json);
    const char *text = json_string_value(json_object_get(r.json, "crl"));
    return cli_write_file(c, cli_get(c, "out"), slice_str(text ? text : ""), 0644) ? 0 : 1;
}

static json_t *publish_one(struct cli *c, const char *name)
{
    const char *path = arena_printf(c->arena, "/api/v1/crls/%s/publish", show_escape(c, name));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "POST", path, slice_of(NULL, 0), NULL, &r))
        return NULL;
    return json_incref(r.json);
}

/* Names of the authorities that publish; a copy, for the answer does not live on. */
static json_t *names_of(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/resources/authorities", slice_of(NULL, 0), NULL, &r))
        return NULL;
    json_t *names = json_array();
    size_t i;
    const json_t *doc;
    json_array_foreach(json_object_get(r.json, "items"), i, doc)
    {
        const char *key = json_string_value(json_object_get(doc, "key"));
        if (key && key[0])
            json_array_append(names, json_object_get(doc, "name"));
    }
    return names;
}

static int publish(struct cli *c)
{
    static const struct show_column columns[] = {{"AUTHORITY", "authority"}, {"NUMBER", "number"},
                                                 {"FROM", "this_update"},    {"UNTIL", "next_update"},
                                                 {"REVOKED", "revoked"},     {0}};
    json_t *names = c->n_args ? json_pack("[s]", c->args[0]) : names_of(c), *rows = json_array();
    int status = names && rows ? 0 : 1;
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        json_t *done = publish_one(c, json_string_value(name));
        if (done)
            json_array_append_new(rows, done);
        else
            status = 1;
    }
    if (json_array_size(rows))
        status = show_items(c, rows, columns) ? 1 : status;
    json_decref(names);
    json_decref(rows);
    return status;
}

static const struct cli_option show_options[] = {
    {"list", 0, "NAME", "delta, indirect, a shard such as 16-3, or of a profile: profile-web (full)", false},
    {"pem", 0, NULL, "the list itself", false},
    {"out", 'O', "FILE", "with --pem: where to; standard output else", false},
    {0},
};

const struct command crl_commands[] = {
    {.noun = "crl",
     .verb = "show",
     .summary = "show an authority's published CRL",
     .arguments = "AUTHORITY",
     .description =
         "Number, dates, how many it lists, where it is found; of an offline root also the series signed ahead.",
     .example = "touchmark crl show issuing-ca\ntouchmark crl show issuing-ca --pem -O issuing-ca.crl",
     .options = show_options,
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "crl",
     .verb = "publish",
     .summary = "make and publish CRLs now",
     .arguments = "[AUTHORITY]",
     .description =
         "The server does this by itself when one is due and seconds after a revocation; this does not wait. Without an\n"
         "argument: every authority whose key is in this house.",
     .example = "touchmark crl publish issuing-ca",
     .max_args = 1,
     .run = publish},
    {0},
};
