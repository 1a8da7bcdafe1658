/* cli/revoke_many.h - "cert revoke" where it is about many: a query, a file, several serials. Layer 6. */
#pragma once
#include "cli/cli.h"

extern const struct cli_option revoke_options[];
/* Do the options and arguments mean many? */
bool revoke_is_many(const struct cli *c);
int revoke_many(struct cli *c);
