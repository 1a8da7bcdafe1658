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
struct session;

enum api_role { ROLE_AUDITOR = 1, ROLE_OPERATOR = 2, ROLE_OWNER = 4, ROLE_ADMIN = 8, ROLE_HOUSE_ADMIN = 16 };
extern const char *const api_role_names[]; /* "auditor", "operator", "owner", "admin", "house-admin"; NULL */

struct api_call {
    struct house *house;
    struct catalog *catalog;
    struct arena *arena;
    const char *request_id;
    const char *principal;     /* name, for events; "local:<uid>" over the admin socket */
    unsigned roles;            /* bit set of enum api_role in `tenant` */
    const char *owner_of;      /* for ROLE_OWNER: whose devices */
    const char *const *groups; /* that the principal belongs to */
    size_t n_groups;
    const char *scopes;            /* of its token: "certificates:read,devices:write"; NULL or "" no limit */
    const char *only_tenant;       /* the same: the one tenant; NULL or "" no limit */
    const struct session *session; /* by which the caller is known; NULL: otherwise */
    const char *csrf;              /* the token of that session */
    tm_err refused; /* why a session that was shown does not count: for routes that need somebody */
    struct diag why_refused;
    const struct tenant *tenant;
    enum http_method method;
    const char *path; /* "/api/v1/…" without the tenant prefix */
    const struct http_param *params, *query;
    struct slice body;
    const char *content_type, *accept, *idempotency_key, *if_match;
    const char *peer;
    const char *host, *origin, *agent, *cookie; /* header fields of those names; NULL where absent */

    /* answer */
    int status;                /* 200 unless set */
    const char *answer_type;   /* "application/json" unless set */
    struct buf out;            /* the body; owned by the dispatcher */
    const char *location;      /* Location header */
    int64_t etag;              /* version as ETag; 0: none */
    unsigned allow;            /* with status 405: the methods that the path takes */
    const char *set_cookie[2]; /* values of Set-Cookie; NULL none */
    int64_t retry_after;       /* seconds; 0: none */
    /* Streaming answers: when the dispatcher can stream, `write` is set; handlers with long lists use it instead of `out`. */
    tm_err (*write)(struct api_call *c, struct slice data);
    void *write_arg;
};

/* ---- what the OpenAPI document says of a route: data beside the handler, and checked against what it does ---- */

/* A member of an answer, or a parameter. `type`: string integer boolean number time hex pem base64 object any; "a|b|c" one of these
 * words; Name another schema; "[]T" a list; "{}T" an object of T by name; "T?" may be null. A name that ends in '?' may be missing. */
struct api_field {
    const char *name, *type, *doc;
    const char *example; /* as JSON, but texts without their quotes; NULL: made from the type */
};
struct api_schema {
    const char *name, *doc;
    const struct api_field *fields; /* of an answer; ended by a NULL name */
    const struct json_field *bound; /* of a body: what the handler binds it with */
    const char *example;            /* JSON; needed where `bound` is set */
};
/* One form of a body or an answer. */
struct api_content {
    int status;         /* of an answer; 0 in bodies */
    const char *type;   /* media type; NULL: no content */
    const char *schema; /* NULL: text or octets */
    const char *doc;
};

enum {
    API_PAGED = 1,         /* takes ?limit and ?after, answers `next` */
    API_IF_MATCH = 2,      /* takes If-Match; answers carry an ETag */
    API_IDEMPOTENT = 4,    /* takes Idempotency-Key */
    API_BODY_OPTIONAL = 8, /* the body may be left out */
    API_ETAG = 16,         /* answers carry an ETag */
    API_LOCATION = 32,     /* answers carry a Location */
    API_LOCAL = 64,        /* over the admin socket only */
    API_ANY_QUERY = 128,   /* parameters that are not declared are passed over: others write them */
    API_SESSION = 256,     /* by a session alone, not by a token or a certificate */
    API_COOKIE = 512,      /* answers may carry a Set-Cookie */
    API_OWN =
        1024, /* of the caller's own session, wherever its principal lives and however little it may do */
};

struct api_route {
    enum http_method method;
    const char *pattern; /* "/api/v1/devices/{id}" */
    unsigned roles;      /* any of these may call it */
    tm_err (*handler)(struct api_call *c, struct diag *diag);
    size_t body_max; /* 0: none */
    const char *id, *summary, *tag;
    const char *request_schema,
        *response_schema; /* of JSON bodies and of 200 answers in JSON; NULL: see below */
    unsigned flags;
    const struct api_field
        *query; /* all that may stand behind '?': anything else is refused. Ended by a NULL name */
    const struct api_content *takes; /* bodies that are no JSON, ended by a NULL type */
    const struct api_content
        *gives; /* answers below 400 beside or instead of 200 with response_schema, ended by status 0 */
};
/* One array a file, each ended by a NULL pattern; the array of arrays by NULL. */
extern const struct api_route *const api_routes[];
/* The same for schemas, ended by a NULL name. */
extern const struct api_schema *const api_schemas[];

/* Helpers for handlers. The body as an object (json_decref() it); path parameter ("" when absent); query value (NULL when absent). */
tm_err api_body_json(json_t **ret, struct api_call *c, struct diag *diag);
const char *api_param(const struct api_call *c, const char *name);
const char *api_query(const struct api_call *c, const char *name);
tm_err api_query_int(int64_t *ret, const struct api_call *c, const char *name, int64_t otherwise, int64_t max,
                     struct diag *diag);
/* Begin a call from an HTTP request: catalog reference (catalog_unref() it), tenant, caller. Reads the store. */
tm_err api_call_open(struct api_call *c, struct http_request *r, struct diag *diag);
/* May the caller do this: has it one of the roles, and do the scopes of its token let it, which are by tag and reading or writing? TM_EAUTH,
 * TM_EFORBIDDEN. For routes outside the dispatcher, which asks by itself. */
tm_err api_may(const struct api_call *c, unsigned roles, const char *tag, enum http_method method,
               struct diag *diag);
/* Find the route, check roles, run it, turn an error into a problem document. Always leaves a complete answer. */
void api_dispatch(struct api_call *c);
/* The routes as the HTTP server wants them (auth by bearer token, client certificate or unix socket peer, then api_dispatch in the blocking pool). */
extern const struct http_route api_http_routes[];
/* on_error of the HTTP server: what it refuses by itself below /api/ is a problem document too; elsewhere it stays as it is. */
void api_http_error(void *app, struct http_request *r, int status, const char *detail);
