/* cli/resource.h - resources for commands: kinds by the words people write, and showing them. Layer 6. */
#pragma once
#include "cli/cli.h"

/* Print all of a kind, or the one named. An exit status. */
int resource_get(struct cli *c, const char *word, const char *name);
