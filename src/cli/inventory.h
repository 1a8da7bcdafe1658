/* cli/inventory.h - what commands about the inventory share. Layer 6. */
#pragma once
#include "cli/cli.h"
#include <stddef.h>

/* The arguments from the given one on as one query, with spaces between them. In the arena. */
const char *inventory_query_text(struct cli *c, int from);
/* What a query chooses, as a table; max 0: all. An exit status. */
int inventory_list(struct cli *c, const char *query, const char *sort, size_t max);
