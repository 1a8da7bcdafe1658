/* api/bulk.h - bulk enrollment: NDJSON of requests in, NDJSON of results out, streaming both ways. Layer 5.
 *
 * POST /api/v1/enroll/bulk?endpoint=…&profile=…[&chain=1], one object a line:
 *   {"id": "any text", "csr": "base64 or PEM"[, "profile": …, "endpoint": …, "device": …, "idempotency_key": …]}
 * One result a line, in the order in which they become durable: {"id", "status": "issued", "serial", "certificate": base64 DER} or
 * {"id", "status": "denied"|"pending"|"failed", "rule", "detail"}. A line that can't be read gives a result with its line number, and the stream goes on.
 * At most BULK_WINDOW requests are under way for a stream; beyond that its body is not read. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>
struct http_request;

void bulk_begin(struct http_request *r);
void bulk_body(struct http_request *r, struct slice data);
void bulk_end(struct http_request *r, bool ok);
