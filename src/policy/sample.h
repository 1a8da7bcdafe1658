/* policy/sample.h - a made-up request and house, in which a profile shows what it makes: snapshots and `profile show`.
 * Layer 3, private to policy/. */
#pragma once
#include "policy/decide.h"
struct arena;
struct profile;

struct sample {
    struct enrollment e;
    struct facts f;
};
/* A request that the profile would grant, at 2026-11-21T12:00:00Z; lives in `a`. */
tm_err sample_make(struct sample *ret, struct arena *a, const struct profile *p);
