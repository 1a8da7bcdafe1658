/* finding: what is wrong, deciding about it, and having everything looked at. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 100, SHOW_MAX = 1000 };

static const struct show_column columns[] = {{"ID", "id"},
                                             {"SEVERITY", "severity"},
                                             {"RULE", "rule"},
                                             {"NAME", "name"},
                                             {"OWNER", "owner"},
                                             {"WHY", "why"},
                                             {0}};
static const struct show_column rule_columns[] = {
    {"RULE", "id"}, {"SEVERITY", "severity"}, {"LOOKS AT", "scope"}, {"SAYS", "title"}, {0}};

static int list(struct cli *c)
{
    static const char *const filters[] = {"status", "rule", "severity", "owner", "subject", NULL};
    struct buf path;
    buf_init(&path, 8192);
    buf_puts(&path, "/api/v1/findings");
    for (size_t i = 0, n = 0; filters[i]; i++)
        if (cli_has(c, filters[i]))
            buf_printf(&path, "%c%s=%s", n++ ? '&' : '?', filters[i], show_escape(c, cli_get(c, filters[i])));
    const char *text = arena_strdup(c->arena, buf_str(&path));
    int64_t max;
    buf_done(&path);
    if (!cli_get_number(c, "limit", SHOW_MAX, 1, 1000000, &max))
        return 2;
    return text ? show_list(c, text, "after", columns, (size_t)max) : cli_fail(c, "out of memory");
}

static int show(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/findings/%s", show_escape(c, c->args[0]));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int decide(struct cli *c, const char *verb, json_t *doc)
{
    int status = 0;
    for (int i = 0; i < c->n_args && status == 0; i++) {
        const char *path = arena_printf(c->arena, "/api/v1/findings/%s/%s", show_escape(c, c->args[i]), verb);
        struct cli_reply r;
        status = path && cli_send_json(c, "POST", path, json_incref(doc), &r) ? show_value(c, r.json) : 1;
    }
    json_decref(doc);
    return status;
}

static int set_aside(struct cli *c, const char *verb)
{
    if (!cli_has(c, "reason"))
        return cli_usage(c, "--reason says why, for the register");
    if (cli_has(c, "until") == cli_has(c, "for"))
        return cli_usage(c, "say --until DATE or --for DURATION");
    json_t *doc = json_pack("{s:s}", "reason", cli_get(c, "reason"));
    const char *key = cli_has(c, "until") ? "until" : "for";
    json_object_set_new(doc, key, json_string(cli_get(c, key)));
    return decide(c, verb, doc);
}

static int accept(struct cli *c)
{
    return set_aside(c, "accept");
}

static int snooze(struct cli *c)
{
    return set_aside(c, "snooze");
}

static int reopen(struct cli *c)
{
    return decide(c, "reopen",
                  json_pack("{s:s}", "comment", cli_has(c, "comment") ? cli_get(c, "comment") : ""));
}

static int rules(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/finding-rules", slice_of(NULL, 0), NULL, &r))
        return 1;
    if (c->n_args == 0)
        return show_items(c, json_object_get(r.json, "items"), rule_columns);
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(r.json, "items"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));
        if (id && strcmp(id, c->args[0]) == 0)
            return show_value(c, item);
    }
    return cli_fail(c, "there is no rule \"%s\"; \"touchmark finding rules\" lists them", c->args[0]);
}

static int64_t ended(const struct cli_reply *r)
{
    return json_integer_value(json_object_get(r->json, "last_ended_ms"));
}

/* Until a pass that began after this was asked has ended. */
static bool wait_for(struct cli *c, int64_t before, struct cli_reply *r)
{
    struct cli_progress p = {0};
    cli_progress_begin(&p, c, "looked at", 0);
    while (cli_call_ok(c, "GET", "/api/v1/finding-pass", slice_of(NULL, 0), NULL, r)) {
        cli_progress_step(&p, (uint64_t)json_integer_value(json_object_get(r->json, "looked")));
        if (ended(r) != before && !json_is_true(json_object_get(r->json, "running"))) {
            cli_progress_end(&p);
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000l}, NULL);
    }
    return false;
}

static int run(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/finding-pass", slice_of(NULL, 0), NULL, &r))
        return 1;
    int64_t before = ended(&r);
    /* One that is under way may have passed by already what somebody just changed. */
    if (cli_has(c, "wait") && json_is_true(json_object_get(r.json, "running"))) {
        if (!wait_for(c, before, &r))
            return 1;
        before = ended(&r);
    }
    json_t *doc = json_object();
    if (cli_has(c, "deep"))
        json_object_set_new(doc, "deep", json_true());
    cli_call_patience(CLI_PATIENCE_DAY);
    if (!cli_send_json(c, "POST", "/api/v1/finding-pass", doc, &r))
        return 1;
    if (cli_has(c, "wait") && !wait_for(c, before, &r))
        return 1;
    return show_value(c, r.json);
}

static const struct cli_option list_options[] = {
    {"status", 0, "WORD", "open, accepted, snoozed, gone or any (open)", false},
    {"rule", 0, "RULE", "of this rule", false},
    {"severity", 0, "WORD", "this severe or more: info, low, medium, high, critical", false},
    {"owner", 0, "NAME", "of this owner", false},
    {"subject", 0, "SUBJECT", "about this: certificate/<id>, place/<id>", false},
    {"limit", 0, "N", "at most so many (1000)", false},
    {0},
};
static const struct cli_option aside_options[] = {
    {"reason", 0, "TEXT", "why, for the register", false},
    {"until", 0, "DATE", "open again then", false},
    {"for", 0, "DURATION", "or after so long: 30d", false},
    {0},
};
static const struct cli_option reopen_options[] = {
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};
static const struct cli_option run_options[] = {
    {"deep", 0, NULL, "look at the octets of keys again as well", false},
    {"wait", 0, NULL, "until the pass has ended", false},
    {0},
};

const struct command finding_commands[] = {
    {.noun = "finding",
     .verb = "list",
     .summary = "what is wrong with certificates and where they are met",
     .arguments = "",
     .description = "Findings open by themselves when a rule is true and close when it is true no longer.",
     .example =
         "touchmark finding list --severity high\ntouchmark finding list --owner facilities --rule renewal.overdue",
     .options = list_options,
     .run = list},
    {.noun = "finding",
     .verb = "show",
     .summary = "one finding: why it is true, its evidence, and what to do",
     .arguments = "ID",
     .description =
         "The evidence are the facts that the rule looked at; controls are those of standards that it touches.",
     .example = "touchmark finding show 9b2f6d0f1c0c4f37a7f6f1c5e0a8d412",
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "finding",
     .verb = "accept",
     .summary = "accept findings until a time",
     .arguments = "ID...",
     .description =
         "For a risk that is taken: at most three years, then it is open again. The register records who and why.",
     .example =
         "touchmark finding accept 9b2f6d0f1c0c4f37a7f6f1c5e0a8d412 --reason \"lab network\" --until 2027-06-30",
     .options = aside_options,
     .min_args = 1,
     .max_args = -1,
     .run = accept},
    {.noun = "finding",
     .verb = "snooze",
     .summary = "put findings off for a while",
     .arguments = "ID...",
     .description = "For what will be done, but not now: at most 90 days, then it is open again.",
     .example =
         "touchmark finding snooze 9b2f6d0f1c0c4f37a7f6f1c5e0a8d412 --reason \"change window\" --for 14d",
     .options = aside_options,
     .min_args = 1,
     .max_args = -1,
     .run = snooze},
    {.noun = "finding",
     .verb = "reopen",
     .summary = "take back that findings were accepted or snoozed",
     .arguments = "ID...",
     .description =
         "They are open at once. What is gone can't be opened: it opens by itself when it is true again.",
     .example = "touchmark finding reopen 9b2f6d0f1c0c4f37a7f6f1c5e0a8d412",
     .options = reopen_options,
     .min_args = 1,
     .max_args = -1,
     .run = reopen},
    {.noun = "finding",
     .verb = "rules",
     .summary = "the rules, or when one is true",
     .arguments = "[RULE]",
     .description = "docs/findings.md has them all.",
     .example = "touchmark finding rules\ntouchmark finding rules key.reuse",
     .min_args = 0,
     .max_args = 1,
     .run = rules},
    {.noun = "finding",
     .verb = "run",
     .summary = "look at everything now",
     .arguments = "",
     .description =
         "A server does this once a day, and looks at what arrives and changes within seconds; so this is for those who don't want to\n"
         "wait. Without a server it is done here.",
     .example = "touchmark finding run --wait",
     .options = run_options,
     .run = run},
    {0},
};
