/* Users: who signs in to the console, and how. */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/show.h"
#include <stdio.h>
#include <string.h>

enum { ROLES_MAX = 4, PORTS_MAX = 4096, CONSOLE_PORT = 9443 };

static const char *user_path(struct cli *c, const char *rest)
{
    return arena_printf(c->arena, "/api/v1/users/%s%s", show_escape(c, c->args[0]), rest);
}

static bool get_user(struct cli *c, struct cli_reply *r)
{
    return cli_call_ok(c, "GET", user_path(c, ""), slice_of(NULL, 0), NULL, r);
}

static int list(struct cli *c)
{
    static const struct show_column columns[] = {{"NAME", "name"},
                                                 {"TITLE", "title"},
                                                 {"ROLES", "roles"},
                                                 {"DISABLED", "disabled"},
                                                 {"SESSIONS", "sessions"},
                                                 {"SIGNED IN", "signed_in_at"},
                                                 {"INVITED UNTIL", "invited_until"},
                                                 {0}};
    return show_list(c, cli_has(c, "house") ? "/api/v1/users?house=1" : "/api/v1/users", "after", columns, 0);
}

static int show(struct cli *c)
{
    struct cli_reply r;
    return get_user(c, &r) ? show_value(c, r.json) : 1;
}

static int credentials(struct cli *c)
{
    struct cli_reply r;
    return get_user(c, &r) ? show_value(c, json_object_get(r.json, "credentials")) : 1;
}

/* ---- invitations ---- */

/* Where the console is, as this home knows it. */
static const char *console(struct cli *c, const char *said)
{
    const char *given = cli_get(c, "console");
    struct config config = {0};
    struct diag diag = {0};
    json_error_t bad;
    if (given || said[0])
        return given ? given : said;
    int64_t port = CONSOLE_PORT;
    if (config_load(&config, c->arena, c->home, &diag) == TM_OK) {
        if (config.console_origin[0])
            return config.console_origin;
        if (config.listen.console.port)
            port = config.listen.console.port;
    }
    const char *path = arena_printf(c->arena, "%s/run/ports.json", c->home);
    json_t *ports = path ? json_load_file(path, 0, &bad) : NULL;
    json_t *chosen = json_object_get(ports, "console");
    if (json_is_integer(chosen))
        port = json_integer_value(chosen);
    json_decref(ports);
    return arena_printf(c->arena, "https://localhost:%d", (int)port);
}

/* A principal is made where the command says what it may do, and there is none. */
static bool make_principal(struct cli *c)
{
    struct cli_reply r;
    const char *name = c->args[0], *title = cli_get(c, "title");
    const char *path = arena_printf(c->arena, "/api/v1/resources/principals/%s", show_escape(c, name));
    if (!path || !cli_call(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return false;
    if (r.status == 200) {
        cli_fail(c, "there is a principal \"%s\" already; change its roles with touchmark apply", name);
        return false;
    }
    json_t *doc = json_pack("{s:s,s:s,s:s}", "kind", "Principal", "name", name, "title", title ? title : "");
    json_t *roles = json_array(), *owner = NULL;
    for (int i = 0; cli_get_nth(c, "role", i); i++)
        json_array_append_new(roles, json_string(cli_get_nth(c, "role", i)));
    json_object_set_new(doc, "roles", roles);
    if (cli_has(c, "owner-of"))
        owner = json_string(cli_get(c, "owner-of"));
    if (owner)
        json_object_set_new(doc, "owner-of", owner);
    return cli_send_json(c, "PUT", path, doc, &r);
}

static int invite(struct cli *c)
{
    struct cli_reply r;
    const char *ttl = cli_get(c, "ttl");
    if (!cli_has(c, "role") && (cli_has(c, "title") || cli_has(c, "owner-of")))
        return cli_usage(c, "--title and --owner-of go with --role, for a user who is not there yet");
    if (cli_has(c, "role") && !make_principal(c))
        return 1;
    if (!cli_send_json(c, "POST", user_path(c, "/invite"), json_pack("{s:s}", "ttl", ttl ? ttl : "2d"), &r))
        return 1;
    if (c->output != OUTPUT_TABLE)
        return show_value(c, r.json);
    const char *origin = json_string_value(json_object_get(r.json, "origin"));
    const char *path = json_string_value(json_object_get(r.json, "path"));
    const char *until = json_string_value(json_object_get(r.json, "expires_at"));
    if (!path || !until)
        return cli_fail(c, "the server's answer has no link");
    printf("%s%s\n", console(c, origin ? origin : ""), path);
    if (!c->quiet)
        fprintf(stderr, "Good once, until %s, for whoever opens it: give it to %s alone.\n", until,
                c->args[0]);
    return 0;
}

static int withdraw(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "DELETE", user_path(c, "/invite"), slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("the invitation of %s is worthless now\n", c->args[0]);
    return 0;
}

/* ---- changes ---- */

static int set_state(struct cli *c, bool disabled)
{
    struct cli_reply r;
    if (!cli_send_json(c, "POST", user_path(c, "/state"), json_pack("{s:b}", "disabled", disabled), &r))
        return 1;
    if (!c->quiet)
        printf("user %s %s\n", c->args[0], disabled ? "disabled" : "enabled");
    return 0;
}

static int disable(struct cli *c)
{
    return set_state(c, true);
}

static int enable(struct cli *c)
{
    return set_state(c, false);
}

static int sessions(struct cli *c)
{
    static const struct show_column columns[] = {{"ID", "id"},
                                                 {"METHOD", "method"},
                                                 {"FROM", "peer"},
                                                 {"SINCE", "opened_at"},
                                                 {"LAST USE", "last_at"},
                                                 {"UNTIL", "expires_at"},
                                                 {"BROWSER", "agent"},
                                                 {0}};
    struct cli_reply r;
    if (!cli_has(c, "end"))
        return show_list(c,
                         arena_printf(c->arena, "/api/v1/sessions?principal=%s", show_escape(c, c->args[0])),
                         "after", columns, 0);
    if (!cli_call_ok(c, "DELETE", user_path(c, "/sessions"), slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("%d sessions of %s ended\n", (int)json_integer_value(json_object_get(r.json, "ended")),
               c->args[0]);
    return 0;
}

static int remove_credential(struct cli *c)
{
    struct cli_reply r;
    const char *rest = strcmp(c->args[1], "password") == 0
                           ? "/password"
                           : arena_printf(c->arena, "/passkeys/%s", show_escape(c, c->args[1]));
    if (!rest || !cli_call_ok(c, "DELETE", user_path(c, rest), slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("%s of %s removed\n", strcmp(c->args[1], "password") == 0 ? "the password" : "the passkey",
               c->args[0]);
    return 0;
}

/* ---- the table ---- */

static const struct cli_option list_options[] = {
    {"house", 0, NULL, "the house's users, who act in all tenants", false},
    {0},
};
static const struct cli_option invite_options[] = {
    {"role", 0, "ROLE", "make the user first, with this role: auditor, operator, owner, admin", true},
    {"title", 0, "TEXT", "with --role: a line for people", false},
    {"owner-of", 0, "TEXT", "with --role owner: the owner text of the user's devices", false},
    {"ttl", 0, "DURATION", "how long the link is good (2d)", false},
    {"console", 0, "URL", "where the console is, when it is not where this home has it", false},
    {0},
};
static const struct cli_option session_options[] = {
    {"end", 0, NULL, "end all of them", false},
    {0},
};

const struct command user_commands[] = {
    {
        .noun = "user",
        .verb = "list",
        .summary = "list the users",
        .arguments = "",
        .example = "touchmark user list",
        .options = list_options,
        .run = list,
    },
    {
        .noun = "user",
        .verb = "show",
        .summary = "show one user",
        .arguments = "NAME",
        .example = "touchmark user show alice",
        .min_args = 1,
        .max_args = 1,
        .run = show,
    },
    {
        .noun = "user",
        .verb = "invite",
        .summary = "print a link with which a user sets up how to sign in",
        .arguments = "NAME",
        .description =
            "The link leads to the console and is good once. What the user has already stays: an invitation also helps those who\n"
            "have lost what they signed in with.",
        .example = "touchmark user invite alice --role operator --title \"Alice\"",
        .options = invite_options,
        .min_args = 1,
        .max_args = 1,
        .run = invite,
    },
    {
        .noun = "user",
        .verb = "withdraw",
        .summary = "make an invitation worthless",
        .arguments = "NAME",
        .example = "touchmark user withdraw alice",
        .min_args = 1,
        .max_args = 1,
        .run = withdraw,
    },
    {
        .noun = "user",
        .verb = "disable",
        .summary = "let nothing of a user's be good any more: sessions, tokens, certificates",
        .arguments = "NAME",
        .example = "touchmark user disable alice",
        .min_args = 1,
        .max_args = 1,
        .run = disable,
    },
    {
        .noun = "user",
        .verb = "enable",
        .summary = "let a disabled user in again",
        .arguments = "NAME",
        .example = "touchmark user enable alice",
        .min_args = 1,
        .max_args = 1,
        .run = enable,
    },
    {
        .noun = "user",
        .verb = "sessions",
        .summary = "list a user's sessions, or end them",
        .arguments = "NAME",
        .example = "touchmark user sessions alice --end",
        .options = session_options,
        .min_args = 1,
        .max_args = 1,
        .run = sessions,
    },
    {
        .noun = "user",
        .verb = "credentials",
        .summary = "show how a user signs in",
        .arguments = "NAME",
        .example = "touchmark user credentials alice",
        .min_args = 1,
        .max_args = 1,
        .run = credentials,
    },
    {
        .noun = "user",
        .verb = "remove-credential",
        .summary = "remove a passkey of a user's, or the password",
        .arguments = "NAME ID|password",
        .example = "touchmark user remove-credential alice password",
        .min_args = 2,
        .max_args = 2,
        .run = remove_credential,
    },
    {0},
};
