/* status/conditional.h - replies that caches can live with: ETag, Last-Modified, and requests that ask for changes only
 * (RFC 9110 8.8, 13).
 * Layer 4. */
#pragma once
#include "base/slice.h"
#include "http/server.h"
#include <stdint.h>

struct representation {
    const char *type; /* media type */
    struct slice body;
    const char *etag; /* with its quotes */
    int64_t modified; /* unix seconds; 0: unknown */
    int64_t expires;  /* unix seconds; 0: only what cache_control says */
    const char *cache_control;
    bool ranges; /* parts of it are given to who asks for one (RFC 9110 14) */
    /* Where the body is not in memory: its octets, and who sends those from `from` on, n of them; `body` is empty. */
    uint64_t size;
    void (*send)(struct http_request *r, void *arg, int status, const char *type, uint64_t from, uint64_t n,
                 const struct http_header *headers);
    void *send_arg;
};
/* 200 with the body, 206 with the part that was asked for, 416 where there is none such, or 304 where the client has it. On the
 * request's loop. */
void representation_reply(struct http_request *r, const struct representation *v);

/* One range of a Range header, of a body of `size` octets: *ret_from, *ret_n. TM_ENOTFOUND: it lies outside. TM_EUNSUPPORTED: none, several, or not understood, which is
 * answered with the whole (RFC 9110 14.2). */
tm_err http_range_parse(uint64_t *ret_from, uint64_t *ret_n, const char *text, uint64_t size);
/* Is `etag` in the list of an If-None-Match header? Weak comparison (RFC 9110 13.1.2). */
bool etag_listed(const char *list, const char *etag);
