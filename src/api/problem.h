/* api/problem.h - errors of the API as RFC 9457 problem documents. Layer 5. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
struct buf;

/* HTTP status of an error: the API's one table. */
int api_status_of(tm_err e);
/* {"type","title","status","detail","rule","field","request_id"}. Internal errors show no detail: the log has it under the request id. */
void api_problem(struct buf *out, tm_err e, const struct diag *diag, const char *request_id);
/* The rows of the table, for the OpenAPI document; false beyond its end. */
bool api_problem_row(size_t i, tm_err *ret_err, int *ret_status, const char **ret_title);
