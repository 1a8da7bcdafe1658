/* discover list, show, diff: what discovery has done and what came of it. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <string.h>

static int list(struct cli *c)
{
    static const struct show_column columns[] = {{"RUN", "id"},
                                                 {"STATUS", "status"},
                                                 {"VIA", "via"},
                                                 {"NAME", "name"},
                                                 {"BEGUN", "begun"},
                                                 {"DONE", "done"},
                                                 {"ADDED", "added"},
                                                 {"NEW", "new_places"},
                                                 {"CHANGED", "changed"},
                                                 {"GONE", "gone"},
                                                 {0}};
    int64_t limit;
    if (!cli_get_number(c, "limit", 20, 1, INT64_MAX, &limit))
        return 2;
    const char *path = "/api/v1/discovery/runs";
    if (cli_has(c, "status"))
        path = arena_printf(c->arena, "%s?status=%s", path, show_escape(c, cli_get(c, "status")));
    return path ? show_list(c, path, "after", columns, (size_t)limit) : cli_fail(c, "out of memory");
}

static int show(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/discovery/runs/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, (struct slice){0}, NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int diff(struct cli *c)
{
    static const struct show_column columns[] = {{"CHANGE", "change"},
                                                 {"PLACE", "place"},
                                                 {"WAS", "was.subject"},
                                                 {"UNTIL", "was.not_after"},
                                                 {"NOW", "now.subject"},
                                                 {"UNTIL", "now.not_after"},
                                                 {0}};
    /* Of two the later one is asked about; the house sees to their order. */
    const char *path =
        arena_printf(c->arena, "/api/v1/discovery/runs/%s/diff%s%s", show_escape(c, c->args[c->n_args - 1]),
                     c->n_args > 1 ? "?since=" : "", c->n_args > 1 ? show_escape(c, c->args[0]) : "");
    return path ? show_list(c, path, "after", columns, 0) : cli_fail(c, "out of memory");
}

static const struct cli_option list_options[] = {
    {"status", 0, "WORD", "waiting, running, done, canceled or failed", false},
    {"limit", 0, "N", "at most so many (20)", false},
    {0},
};

const struct command discover_runs_commands[] = {
    {
        .noun = "discover",
        .verb = "list",
        .summary = "list discovery runs, newest first",
        .arguments = "",
        .example = "touchmark discover list --status failed",
        .options = list_options,
        .run = list,
    },
    {
        .noun = "discover",
        .verb = "show",
        .summary = "one run: how far it is and what came of it",
        .arguments = "RUN",
        .example = "touchmark discover show fe61a7c2d4900f3b5e8a71",
        .min_args = 1,
        .max_args = 1,
        .run = show,
    },
    {
        .noun = "discover",
        .verb = "diff",
        .summary = "what is new, changed and gone",
        .arguments = "RUN [RUN]",
        .description =
            "Of one run: what it found that was not so before it. Of two: between the ends of both.",
        .example = "touchmark discover diff fe61a7c2d4900f3b5e8a71 -o json",
        .min_args = 1,
        .max_args = 2,
        .run = diff,
    },
    {0},
};
