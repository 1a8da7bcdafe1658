/* status: is the house well? */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <stdio.h>

static int status(struct cli *c)
{
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

const struct command status_commands[] = {
    {.noun = "status",
     .verb = "",
     .summary = "show how the house is",
     .arguments = "",
     .description = "Of the running server, or of the home itself where none runs.",
     .example = "touchmark status\ntouchmark status -o json",
     .run = status},
    {0},
};
