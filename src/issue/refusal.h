/* issue/refusal.h - refusals before the pipeline, counted and recorded in windows (DESIGN 2.3).
 *
 * Layer 4, thread-safe. Whoever is refused without having authenticated must not be able to fill the disk: refusals of the same tenant, door,
 * endpoint, peer and rule within a window become one event with a count. The table is bounded; what does not fit is counted
 * under the peer "*". refusal_note() itself is declared in issue/issue.h. */
#pragma once
#include "base/err.h"
struct house;
struct refusals;

tm_err refusals_new(struct refusals **ret);
void refusals_free(struct refusals *r);
/* Record everything counted so far: one event a group. Blocking; the job runner calls it every ten seconds and at the end. */
tm_err refusals_flush(struct house *h, struct diag *diag);
