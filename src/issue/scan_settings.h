/* issue/scan_settings.h - the resource kind Scan, and what a scan that is asked for by hand may be told: the same. Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "issue/scan_plan.h"

struct scan_doc {
    const char *kind, *name, *tenant, *title;
    struct scan_settings s;
    int64_t every; /* seconds; 0: when somebody asks */
    bool disabled;
};
extern const struct json_field scan_schema[];

/* By hand: its own settings, or the name of a Scan. */
struct scan_request {
    const char *scan; /* "" none */
    struct scan_settings s;
};
extern const struct json_field scan_request_schema[];

/* The check of the kind (issue/resources.h). */
struct arena;
tm_err scan_check(struct arena *a, const json_t *doc, struct diag *diag);
