/* web/console.h - the console's files, built from web/ and embedded into the binary (web/asset.h). Layer 5.
 *
 * GET / and everything under it on the console listener. Without the console in this build, / says so and how to get it. */
#pragma once
#include "http/server.h"

extern const struct http_route console_routes[];
