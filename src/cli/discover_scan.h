/* cli/discover_scan.h - what the command line says of a scan, as the API takes it. Layer 6. */
#pragma once
#include "cli/cli.h"
#include <jansson.h>

extern const struct cli_option discover_scan_options[];
/* The body of a request; NULL after complaining. */
json_t *discover_scan_request(struct cli *c);
