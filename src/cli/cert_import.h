/* cli/cert_import.h - "cert import": files and directories into the inventory, and what came of each. Layer 6. */
#pragma once
#include "cli/cli.h"

extern const struct cli_option cert_import_options[];
int cert_import(struct cli *c);

/* A password: --password-file, else asked for; kept for further files. False after complaining. */
struct secret;
bool cert_import_password(struct cli *c, struct secret *io, const char *file);
