/* api/problem.h - errors of the API as RFC 9457 problem documents. Layer 5. */
#pragma once
#include "base/err.h"
struct buf;

/* HTTP status of an error: the API's one table. */
int api_status_of(tm_err e);
/* {"type","title","status","detail","rule","field","request_id"}. Internal errors show no detail: the log has it under the request id. */
void api_problem(struct buf *out, tm_err e, const struct diag *diag, const char *request_id);
