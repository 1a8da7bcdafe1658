/* finding/progress.h - writing where a pass is. Layer 5, private to finding/. */
#pragma once
#include "finding/pass.h"

/* "finding.pass/1" */
const char *progress_name(struct arena *a, const char *what, tenant_id tenant);
tm_err progress_write(struct arena *a, struct house *h, tenant_id tenant, const struct finding_progress *p,
                      struct diag *diag);
