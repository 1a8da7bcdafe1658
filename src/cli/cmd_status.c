/* status: is the house well? */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <stdio.h>

static void print_check(const json_t *one)
{
    const json_t *score = json_object_get(one, "score");
    const char *fact = json_string_value(json_object_get(one, "fact")),
               *move = json_string_value(json_object_get(one, "move"));
    if (json_is_integer(score))
        printf("  %3lld  ", (long long)json_integer_value(score));
    else
        printf("    -  ");
    show_plain(fact ? fact : "");
    putchar('\n');
    if (!move)
        return;
    printf("       +%lld: ", (long long)json_integer_value(json_object_get(one, "gain")));
    show_plain(move);
    putchar('\n');
}

/* One axis: its score, and under it what was found, with what would move it. */
static void print_axis(const json_t *axis)
{
    const json_t *score = json_object_get(axis, "score"), *one;
    const char *title = json_string_value(json_object_get(axis, "title"));
    size_t i;
    show_plain(title ? title : "");
    if (json_is_integer(score))
        printf(": %lld of 100\n", (long long)json_integer_value(score));
    else
        printf(": nothing to look at yet\n");
    json_array_foreach(json_object_get(axis, "checks"), i, one) print_check(one);
}

static int posture(struct cli *c)
{
    struct cli_reply r;
    size_t i;
    const json_t *axis;
    if (!cli_call_ok(c, "GET", "/api/v1/posture", slice_of(NULL, 0), NULL, &r))
        return 1;
    if (c->output != OUTPUT_TABLE)
        return show_value(c, r.json);
    json_array_foreach(json_object_get(r.json, "axes"), i, axis) print_axis(axis);
    return 0;
}

static int status(struct cli *c)
{
    if (cli_has(c, "posture"))
        return posture(c);
    bool running = cli_server_running(c);
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/status", slice_of(NULL, 0), NULL, &r))
        return 1;
    json_t *v = json_pack("{s:s,s:s}", "home", c->home, "server", running ? "running" : "not running");
    if (!v || !json_is_object(r.json) || json_object_update(v, r.json) != 0) {
        json_decref(v);
        return cli_fail(c, "the answer was not to be read");
    }
    int bad = show_value(c, v);
    json_decref(v);
    return bad;
}

static const struct cli_option status_options[] = {
    {"posture", 0, NULL, "how the house stands on five axes, from its data, with what would move each",
     false},
    {0},
};

const struct command status_commands[] = {
    {.noun = "status",
     .verb = "",
     .summary = "show how the house is",
     .arguments = "",
     .description = "Of the running server, or of the home itself where none runs.",
     .example = "touchmark status\ntouchmark status --posture\ntouchmark status -o json",
     .options = status_options,
     .run = status},
    {0},
};
