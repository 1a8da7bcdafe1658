/* issue/scan_settings.h - the resource kind Scan, and what a scan that is asked for by hand may be told: the same. Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

enum { SCAN_TARGETS_MAX = 4096 };

struct scan_settings {
    struct json_strings targets, ports, names, exclude, allow, alpn;
    const char *starttls; /* what plain ports speak; "" what is usual there */
    bool versions;
    int64_t rate, rate_per_host, parallel;
    int64_t connect_timeout, timeout; /* seconds */
};

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
