/* token and request: what lets enrollments in, and those that wait for a person. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY_MAX = 64 };

static void add_many(struct cli *c, json_t *doc, const char *option, const char *key)
{
    json_t *list = json_array();
    const char *s;
    for (int i = 0; list && i < MANY_MAX && (s = cli_get_nth(c, option, i)); i++) {
        while (*s) { /* "admin,operator" is two */
            size_t n = strcspn(s, ",");
            if (n)
                json_array_append_new(list, json_stringn(s, n));
            s += n + (s[n] == ',');
        }
    }
    if (json_array_size(list))
        json_object_set(doc, key, list);
    json_decref(list);
}

static int create(struct cli *c)
{
    bool api = cli_has(c, "principal"), external = cli_has(c, "external");
    if (api && external)
        return cli_usage(c, "--external and --principal exclude each other");
    if (!api && !cli_has(c, "endpoint"))
        return cli_usage(
            c, "needs --endpoint NAME for an enrollment token, or --principal NAME for an API token");
    json_t *doc = json_pack("{s:s}", "type", api ? "api" : external ? "external" : "enrollment");
    if (!doc)
        return cli_fail(c, "out of memory");
    static const char *const texts[] = {"endpoint", "profile", "device", "principal", "ttl", NULL};
    for (size_t i = 0; texts[i]; i++)
        if (cli_has(c, texts[i]))
            json_object_set_new(doc, texts[i], json_string(cli_get(c, texts[i])));
    add_many(c, doc, "name", "names");
    add_many(c, doc, "roles", "roles");
    const char *uses = cli_get(c, "uses");
    if (uses) {
        char *end;
        long n = strtol(uses, &end, 10);
        if (*end || end == uses || n < 1) {
            json_decref(doc);
            return cli_usage(c, "--uses takes a number, not \"%s\"", uses);
        }
        json_object_set_new(doc, "uses", json_integer(n));
    }
    struct cli_reply r;
    if (!cli_send_json(c, "POST", "/api/v1/tokens", doc, &r))
        return 1;
    if (c->output != OUTPUT_TABLE)
        return show_value(c, r.json);
    /* The token alone on standard output, for $(...); of an external account the two that clients ask for. */
    const char *token = json_string_value(json_object_get(r.json, "token")),
               *id = json_string_value(json_object_get(r.json, "id")),
               *secret = json_string_value(json_object_get(r.json, "secret")),
               *expires = json_string_value(json_object_get(r.json, "expires_at"));
    if (external)
        printf("key id:   %s\nHMAC key: %s\n", id ? id : "", secret ? secret : "");
    else
        printf("%s\n", token ? token : "");
    if (!c->quiet)
        fprintf(stderr, "The %s is shown this once. It ends %s.\n", external ? "key" : "token",
                expires ? expires : "");
    return 0;
}

static int list(struct cli *c)
{
    static const struct show_column columns[] = {
        {"ID", "id"},       {"STATUS", "status"}, {"EXPIRES", "expires_at"}, {"USES", "uses"},
        {"OF", "max_uses"}, {"BY", "created_by"}, {"CLAIMS", "claims"},      {0}};
    return show_list(c, "/api/v1/tokens", "after", columns, 0);
}

static int show(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/tokens/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int revoke(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/tokens/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "DELETE", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("token %s revoked\n", c->args[0]);
    return 0;
}

/* ---- requests ---- */

static int list_requests(struct cli *c)
{
    static const struct show_column columns[] = {{"ID", "id"},
                                                 {"STATUS", "status"},
                                                 {"KIND", "kind"},
                                                 {"SINCE", "created_at"},
                                                 {"UNTIL", "expires_at"},
                                                 {0}};
    const char *status = cli_get(c, "status");
    const char *path = status ? arena_printf(c->arena, "/api/v1/requests?status=%s", show_escape(c, status))
                              : "/api/v1/requests";
    return path ? show_list(c, path, "after", columns, 0) : cli_fail(c, "out of memory");
}

static int show_request(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/requests/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int decide(struct cli *c, const char *verb)
{
    json_t *doc = json_pack("{s:s}", "comment", cli_has(c, "comment") ? cli_get(c, "comment") : "");
    struct cli_reply r;
    if (!cli_send_json(c, "POST",
                       arena_printf(c->arena, "/api/v1/requests/%s/%s", show_escape(c, c->args[0]), verb),
                       doc, &r))
        return 1;
    return r.json ? show_value(c, r.json) : 0;
}

static int approve(struct cli *c)
{
    return decide(c, "approve");
}

static int reject(struct cli *c)
{
    return decide(c, "reject");
}

/* ---- the tables ---- */

static const struct cli_option create_options[] = {
    {"endpoint", 0, "NAME", "enrollment: where it may be used", false},
    {"profile", 0, "NAME", "enrollment: what it may get", false},
    {"device", 0, "ID", "enrollment: the device it is for", false},
    {"external", 0, NULL, "the key of an external account for ACME: names that it is for need no challenge",
     false},
    {"name", 0, "NAME", "enrollment: a name it may ask for: DNS:..., IP:..., CN=...", true},
    {"principal", 0, "NAME", "API: who it acts as", false},
    {"roles", 0, "ROLE,...", "API: only these of the principal's roles", true},
    {"ttl", 0, "DURATION", "how long it lives (1d)", false},
    {"uses", 0, "N", "how often it may be used (1)", false},
    {0},
};
static const struct cli_option request_options[] = {
    {"status", 0, "WORD", "only those", false},
    {0},
};
static const struct cli_option decide_options[] = {
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};

const struct command token_commands[] = {
    {
        .noun = "token",
        .verb = "create",
        .summary = "make an enrollment token or an API token",
        .arguments = "",
        .description = "Prints the token on standard output; it is not kept and can't be shown again.",
        .example = "touchmark token create --endpoint servers --name DNS:server.example.org --ttl 1h",
        .options = create_options,
        .run = create,
    },
    {
        .noun = "token",
        .verb = "list",
        .summary = "list the tokens",
        .arguments = "",
        .example = "touchmark token list",
        .run = list,
    },
    {
        .noun = "token",
        .verb = "show",
        .summary = "show one token, without its secret",
        .arguments = "ID",
        .example = "touchmark token show 3f1c9a",
        .min_args = 1,
        .max_args = 1,
        .run = show,
    },
    {
        .noun = "token",
        .verb = "revoke",
        .summary = "revoke a token",
        .arguments = "ID",
        .example = "touchmark token revoke 3f1c9a",
        .min_args = 1,
        .max_args = 1,
        .run = revoke,
    },
    {0},
};

const struct command request_commands[] = {
    {
        .noun = "request",
        .verb = "list",
        .summary = "list the requests that wait for a person",
        .arguments = "",
        .example = "touchmark request list --status pending",
        .options = request_options,
        .run = list_requests,
    },
    {
        .noun = "request",
        .verb = "show",
        .summary = "show one request",
        .arguments = "ID",
        .example = "touchmark request show 7b2e",
        .min_args = 1,
        .max_args = 1,
        .run = show_request,
    },
    {
        .noun = "request",
        .verb = "approve",
        .summary = "approve a request and issue",
        .arguments = "ID",
        .example = "touchmark request approve 7b2e --comment \"ticket 4711\"",
        .options = decide_options,
        .min_args = 1,
        .max_args = 1,
        .run = approve,
    },
    {
        .noun = "request",
        .verb = "reject",
        .summary = "reject a request",
        .arguments = "ID",
        .example = "touchmark request reject 7b2e --comment \"unknown device\"",
        .options = decide_options,
        .min_args = 1,
        .max_args = 1,
        .run = reject,
    },
    {0},
};
