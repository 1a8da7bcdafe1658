/* http/target.h - the request target: origin-form and absolute-form (RFC 9112 section 3.2) into path and query. Layer 1, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct arena;
struct http_param;

enum { TARGET_SEGMENTS_MAX = 32, TARGET_QUERY_MAX = 64 };

struct target {
    const char *path; /* all of it decoded once; no NUL, no control characters, no "." or ".." segments */
    const char *const *segment;     /* decoded one by one: "%2F" stays inside its segment */
    const char *const *tail;        /* the decoded path from the beginning of that segment on */
    size_t n_segments;              /* "/" has one, the empty one */
    const struct http_param *query; /* decoded, '+' is a space; ended by a NULL name */
};

/* Everything lives in `a`. TM_EMALFORMED with a reason for the client in *ret_detail, TM_ETOOBIG over the limits above, TM_ENOMEM. */
tm_err target_parse(struct target *ret, struct arena *a, struct slice raw, const char **ret_detail);
