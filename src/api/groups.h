/* api/groups.h - the groups of routes that make up /api/v1, and what they share. Layer 5, private to api/. */
#pragma once
#include "api/api.h"
#include "issue/house.h"

extern const struct api_route system_api_routes[];
extern const struct api_route certificate_api_routes[];
extern const struct api_route gap_api_routes[];
extern const struct api_schema gap_api_schemas[];
extern const struct api_route discovery_api_routes[];
extern const struct api_schema discovery_api_schemas[];
extern const struct api_route inventory_api_routes[];
extern const struct api_schema inventory_api_schemas[];
extern const struct api_route view_api_routes[];
extern const struct api_schema view_api_schemas[];
extern const struct api_route note_api_routes[];
extern const struct api_schema note_api_schemas[];
extern const struct api_route import_api_routes[];
extern const struct api_schema import_api_schemas[];
extern const struct api_route token_api_routes[];
extern const struct api_route session_api_routes[], account_api_routes[], user_api_routes[],
    provider_api_routes[];
extern const struct api_schema session_api_schemas[], account_api_schemas[], user_api_schemas[],
    provider_api_schemas[];
extern const struct api_route login_api_routes[];
extern const struct api_schema login_api_schemas[];
extern const struct api_route renewal_api_routes[];
extern const struct api_schema renewal_api_schemas[];
extern const struct api_route filter_api_routes[];
extern const struct api_schema filter_api_schemas[];
extern const struct api_route trace_api_routes[];
extern const struct api_schema trace_api_schemas[];
extern const struct api_route request_api_routes[];
extern const struct api_route device_api_routes[];
extern const struct api_route crl_api_routes[];
extern const struct api_route ocsp_api_routes[];
extern const struct api_route revocation_api_routes[];
extern const struct api_schema revocation_api_schemas[];
extern const struct api_route scan_api_routes[];
extern const struct api_schema scan_api_schemas[];
extern const struct api_route alert_api_routes[];
extern const struct api_schema alert_api_schemas[];
extern const struct api_route finding_api_routes[];
extern const struct api_schema finding_api_schemas[];
extern const struct api_schema ocsp_api_schemas[];
extern const struct api_route register_api_routes[];
extern const struct api_route live_api_routes[];
extern const struct api_route choice_api_routes[];
extern const struct api_schema choice_api_schemas[];
extern const struct api_route posture_api_routes[];
extern const struct api_schema posture_api_schemas[];
extern const struct api_route summary_api_routes[];
extern const struct api_route describe_api_routes[];
extern const struct api_route openapi_api_routes[];
extern const struct api_route backup_api_routes[];
extern const struct api_route crl_api_routes[];

extern const struct api_route authority_api_routes[];

extern const struct api_schema problem_api_schemas[], system_api_schemas[], enroll_api_schemas[],
    certificate_api_schemas[], token_api_schemas[], request_api_schemas[], device_api_schemas[],
    crl_api_schemas[], register_api_schemas[], resource_api_schemas[], backup_api_schemas[],
    summary_api_schemas[], describe_api_schemas[], authority_api_schemas[];
#define API_SERIAL_EXAMPLE "014e6b013abacc77221c86a61bd3114c"
#define API_PEM_EXAMPLE    "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"

enum { API_READERS = ROLE_AUDITOR | ROLE_OPERATOR | ROLE_ADMIN };

/* A read on this thread for the call's tenant: fills tenant and arena, gives the diag on. */
tm_err api_read(struct api_call *c, struct store_read *q, struct diag *diag);
/* Each event of a tenant's register from `from` on, oldest first, of one type or of any (NULL); a page at a time in memory. */
tm_err api_each_event(struct api_call *c, tenant_id tenant, const char *type, uint64_t from,
                      void (*each)(void *arg, const struct event_row *v), void *arg, struct diag *diag);
/* "limit" of the query, 1..max. */
tm_err api_limit(size_t *ret, const struct api_call *c, size_t otherwise, size_t max, struct diag *diag);
/* Members of a JSON object under way: ,"key":… (the caller opens it; `first` has no comma). */
void api_put_text(struct buf *out, const char *key, const char *value);
/* RFC 3339 of unix seconds; null for 0; "never" as the far date it is. */
void api_put_time(struct buf *out, const char *key, int64_t unix_seconds);
void api_put_int(struct buf *out, const char *key, int64_t value);
void api_put_bool(struct buf *out, const char *key, bool value);
/* Close a list "items" and, while there is more, say where it goes on; `hex`: octets that are no text. */
void api_put_next(struct buf *out, const struct store_read *q, bool hex);
/* Does Accept name this media type? */
bool api_accepts(const struct api_call *c, const char *type);
/* Scopes of an API token as they are kept, "certificates:read,devices:write", in the call's arena. TM_EINVAL. */
tm_err token_scopes(const char **ret, struct api_call *c, const struct json_strings *scopes,
                    struct diag *diag);
/* The certificates that "query" chooses, in the order of "sort". */
tm_err api_list_where(struct api_call *c, struct diag *diag);
/* "valid", "revoked", "on-hold" or "expired". */
const char *api_cert_status(const struct cert_row *row);
/* Whose hand rows that came with their DER are from, as it is known today: of what came in before its CA, their own word is old. */
tm_err api_class_now(struct api_call *c, struct cert_row *rows, size_t n, struct diag *diag);
/* One inventory row as an object; `pem` adds the certificate itself. */
void api_put_cert(struct buf *out, const struct cert_row *row, bool pem);
/* Members of an object under way: what this certificate took the place of, and what took its (inventory/succession.h). With its DER, if kept. */
tm_err api_put_succession(struct api_call *c, const struct cert_row *row, struct diag *diag);
/* A serial or inventory id in hex. */
tm_err api_cert_id(uint8_t ret[CERT_SERIAL_LEN], struct api_call *c, const char *text, struct diag *diag);
/* Whoever has one of `roles` may; an owner may where the device is theirs. "" is nobody's device. */
tm_err api_may_device(struct api_call *c, unsigned roles, const char *device, struct diag *diag);
/* "admin,operator": the call's roles as policy reads them. */
const char *api_roles_text(struct arena *a, unsigned roles);
/* Which tenants there are is for those to know who act in all of them. */
bool api_sees_tenants(const struct api_call *c);
/* If-Match: "<version>", as an ETag gave it, makes a write conditional; "0": must not exist yet. -1 without. */
tm_err api_expected_version(int64_t *ret, const struct api_call *c, struct diag *diag);
/* The optional "comment" of a body that may be empty; "" without one. In the call's arena. */
tm_err api_comment(const char **ret, struct api_call *c, struct diag *diag);
