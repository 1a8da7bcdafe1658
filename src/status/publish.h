/* status/publish.h - what anyone may fetch over plain HTTP: CRLs, CA certificates, the register's checkpoints and tiles.
 *
 * Layer 4. GET /crl/{ski}/{file}, /ca/{file}, /register/checkpoint, /register/tile/{rest...}, /register/t/{tenant}/…; ETag, Last-Modified,
 * If-None-Match, If-Modified-Since, Cache-Control by nextUpdate (RFC 9110, RFC 9111). What was read once stays in memory (bounded)
 * until a newer one is published; http_request.app is the struct house, whose `status` field status_open() fills. */
#pragma once
#include "base/err.h"
#include "http/server.h"
struct house;
struct status;

enum { STATUS_CACHE_MAX = 64 << 20, STATUS_ENTRY_MAX = 16 << 20 };

/* Before the server starts. status_stop() after it has ended: waits for what is under way, answers nothing more; jobs and pools may still look in
 * until the house is closed, so that its result is freed after that. */
tm_err status_open(struct house *h);
struct status *status_stop(struct house *h);
void status_free(struct status *s);

extern const struct http_route status_routes[]; /* ended by a NULL pattern */
