/* cli/help.h - help texts out of the verb table: overview, one noun, one command; completion and man pages from the same rows. Layer 6. */
#pragma once
#include "cli/cli.h"
#include <stdio.h>

extern const struct cli_option cli_common_options[];
void help_overview(FILE *f);
void help_noun(FILE *f, const char *noun);
void help_command(const struct command *c);
/* Unknown noun: an error line with the nearest known one. */
void help_unknown(const char *noun);
/* The same for a verb that a noun does not have. */
void help_unknown_verb(const char *noun, const char *verb);
