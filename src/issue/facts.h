/* issue/facts.h - gather what policy judges by. Layer 4, private to issue/. Runs on a pool thread: reads the store. */
#pragma once
#include "base/err.h"
#include "issue/catalog.h"
#include "policy/enrollment.h"
#include "policy/profile.h"
struct issue_request;

/* Fill f (zeroed by the caller) for this request. Everything lives in the request's arena or the catalog. TM_ENOTFOUND only for a missing
 * authority (diag says which); absent devices and predecessors are facts, not errors. */
tm_err facts_gather(struct facts *f, struct issue_request *r, const struct catalog *c,
                    const struct profile *p, const struct authority *authority, struct device_row *ret_device,
                    struct diag *diag);
