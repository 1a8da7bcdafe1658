#include "cli/commands.h"

/* In the order in which help shows them. */
const struct command *const cli_commands[] = {
    init_commands, serve_commands, ca_commands, ca_offline_commands, device_commands, bench_commands, NULL,
};
