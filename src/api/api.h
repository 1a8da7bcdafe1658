/* api/api.h - /api/v1: every resource and action, transport-independent.
 *
 * Layer 5. A handler is given a call and fills its answer; it runs on a thread that may block. The HTTP adapter (api/http.c) and offline CLI
 * commands (in-process) dispatch the same calls, so whatever the CLI can do REST can, and the other way round.
 * Errors are RFC 9457 problem documents: {"type","title","status","detail","rule","field","request_id"}. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "http/server.h"
#include "issue/catalog.h"

struct arena;
struct house;

enum api_role { ROLE_AUDITOR = 1, ROLE_OPERATOR = 2, ROLE_OWNER = 4, ROLE_ADMIN = 8, ROLE_HOUSE_ADMIN = 16 };
extern const char *const api_role_names[]; /* "auditor", "operator", "owner", "admin", "house-admin"; NULL */

struct api_call {
    struct house *house;
    struct catalog *catalog;
    struct arena *arena;
    const char *request_id;
    const char *principal; /* name, for events; "local:<uid>" over the admin socket */
    unsigned roles;        /* bit set of enum api_role in `tenant` */
    const char *owner_of;  /* for ROLE_OWNER: whose devices */
    const struct tenant *tenant;
    enum http_method method;
    const char *path; /* "/api/v1/…" without the tenant prefix */
    const struct http_param *params, *query;
    struct slice body;
    const char *content_type, *accept, *idempotency_key, *if_match;
    const char *peer;

    /* answer */
    int status;              /* 200 unless set */
    const char *answer_type; /* "application/json" unless set */
    struct buf out;          /* the body; owned by the dispatcher */
    const char *location;    /* Location header */
    int64_t etag;            /* version as ETag; 0: none */
    /* Streaming answers: when the dispatcher can stream, `write` is set; handlers with long lists use it instead of `out`. */
    tm_err (*write)(struct api_call *c, struct slice data);
    void *write_arg;
};

struct api_route {
    enum http_method method;
    const char *pattern; /* "/api/v1/devices/{id}" */
    unsigned roles;      /* any of these may call it */
    tm_err (*handler)(struct api_call *c, struct diag *diag);
    size_t body_max; /* 0: none */
    /* for OpenAPI */
    const char *id, *summary, *tag, *request_schema, *response_schema;
};
/* One array a file, each ended by a NULL pattern; the array of arrays by NULL. */
extern const struct api_route *const api_routes[];

/* Helpers for handlers. The body as an object (json_decref() it); path parameter ("" when absent); query value (NULL when absent). */
tm_err api_body_json(json_t **ret, struct api_call *c, struct diag *diag);
const char *api_param(const struct api_call *c, const char *name);
const char *api_query(const struct api_call *c, const char *name);
tm_err api_query_int(int64_t *ret, const struct api_call *c, const char *name, int64_t otherwise, int64_t max,
                     struct diag *diag);
/* Begin a call from an HTTP request: catalog reference (catalog_unref() it), tenant, caller. Reads the store. */
tm_err api_call_open(struct api_call *c, struct http_request *r, struct diag *diag);
/* The route of a call (method and path), NULL when none; fills c->params. */
const struct api_route *api_route_find(struct api_call *c);

/* Find the route, check roles, run it, turn an error into a problem document. Always leaves a complete answer. */
void api_dispatch(struct api_call *c);
/* The routes as the HTTP server wants them (auth by bearer token, client certificate or unix socket peer, then api_dispatch in the blocking pool). */
extern const struct http_route api_http_routes[];
/* OpenAPI 3.1 document generated from the tables. */
tm_err api_openapi(struct buf *out);
