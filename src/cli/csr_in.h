/* cli/csr_in.h - certificate requests from files. Layer 6. */
#pragma once
#include "cli/cli.h"
#include <jansson.h>

/* {"csr": …} with the options --profile, --endpoint, --device and --renews where given: the body of /api/v1/enroll. NULL after complaining. */
json_t *csr_document(struct cli *c, const char *path);
