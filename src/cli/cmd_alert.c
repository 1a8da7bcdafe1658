/* alert: what somebody was told, who looks after it, and testing how they are told. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_MAX = 600 };

static const struct show_column columns[] = {{"ID", "id"},
                                             {"SEVERITY", "severity"},
                                             {"CAUSE", "cause"},
                                             {"TITLE", "title"},
                                             {"OWNER", "owner"},
                                             {"OPENED", "opened_at"},
                                             {0}};

static int list(struct cli *c)
{
    const char *path = cli_has(c, "status") ? arena_printf(c->arena, "/api/v1/alerts?status=%s",
                                                           show_escape(c, cli_get(c, "status")))
                                            : "/api/v1/alerts";
    return path ? show_list(c, path, "after", columns, 0) : cli_fail(c, "out of memory");
}

static int show(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/alerts/%s", show_escape(c, c->args[0]));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int acknowledge(struct cli *c)
{
    int status = 0;
    for (int i = 0; i < c->n_args && status == 0; i++) {
        const char *path =
            arena_printf(c->arena, "/api/v1/alerts/%s/acknowledge", show_escape(c, c->args[i]));
        json_t *doc = json_pack("{s:s}", "comment", cli_has(c, "comment") ? cli_get(c, "comment") : "");
        struct cli_reply r;
        status = path && cli_send_json(c, "POST", path, doc, &r) ? show_value(c, r.json) : 1;
    }
    return status;
}

static int test(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/notifications/%s/test", show_escape(c, c->args[0]));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "POST", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

/* A secret on the command line would be seen by all in the list of processes: it comes by file or standard input. */
static int secret(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/notifications/%s/secret", show_escape(c, c->args[0]));
    struct slice text = {0};
    struct cli_reply r;
    if (!cli_has(c, "remove") &&
        !cli_read_file(c, cli_has(c, "file") ? cli_get(c, "file") : "-", SECRET_MAX, &text))
        return 1;
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    if (!cli_has(c, "remove") && text.n == 0)
        return cli_fail(c, "there is no secret in it; --remove takes the one that is set away");
    json_t *doc = json_pack("{s:s%}", "secret", text.n ? (const char *)text.p : "", text.n);
    if (text.n)
        OPENSSL_cleanse((uint8_t *)text.p, text.n);
    if (!doc)
        return cli_fail(c, "the secret is no UTF-8 text");
    if (!path || !cli_send_json(c, "PUT", path, doc, &r))
        return 1;
    return show_value(c, r.json);
}

static const struct cli_option list_options[] = {
    {"status", 0, "WORD", "open, acknowledged, resolved or any (open)", false},
    {0},
};
static const struct cli_option ack_options[] = {
    {"comment", 0, "TEXT", "for the register", false},
    {0},
};
static const struct cli_option secret_options[] = {
    {"file", 0, "FILE", "its first line is the secret (standard input)", false},
    {"remove", 0, NULL, "take it away", false},
    {0},
};

const struct command alert_commands[] = {
    {.noun = "alert",
     .verb = "list",
     .summary = "what somebody was told, or will be",
     .arguments = "",
     .description =
         "One alert a subject and cause. It is sent by the resources of kind Notification; docs/howto-alerts.md.",
     .example = "touchmark alert list --status any",
     .options = list_options,
     .run = list},
    {.noun = "alert",
     .verb = "show",
     .summary = "one alert",
     .arguments = "ID",
     .description = "Its finding, where it is about one, has the evidence: touchmark finding show.",
     .example = "touchmark alert show 5d1a7c9f0b3e4d2c8a6f1e0d9c8b7a65",
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "alert",
     .verb = "ack",
     .summary = "say that you look after alerts",
     .arguments = "ID...",
     .description =
         "Nothing more is sent about them unless they get worse. They end by themselves when their cause is gone.",
     .example = "touchmark alert ack 5d1a7c9f0b3e4d2c8a6f1e0d9c8b7a65 --comment \"ticket 4711\"",
     .options = ack_options,
     .min_args = 1,
     .max_args = -1,
     .run = acknowledge},
    {.noun = "alert",
     .verb = "test",
     .summary = "send a test by a Notification",
     .arguments = "NAME",
     .description =
         "At once, and says what went wrong: name, network, TLS, password, or what the other side answered.",
     .example = "touchmark alert test ops-mail",
     .min_args = 1,
     .max_args = 1,
     .run = test},
    {.noun = "alert",
     .verb = "secret",
     .summary = "set the password or key of a Notification",
     .arguments = "NAME",
     .description =
         "A mail server's password, or the key that a webhook's signature is made with. Kept sealed, and shown to nobody.",
     .example = "touchmark alert secret ops-mail --file password.txt",
     .options = secret_options,
     .min_args = 1,
     .max_args = 1,
     .run = secret},
    {0},
};
