/* identity/rows.h - what this room keeps, as objects of the store: reading and writing their states, and making secrets.
 * Layer 5, blocking. Private to the room. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct house;

enum { ROW_STATE_MAX = 64 << 10, ROW_SECRET_TEXT = 44 };

/* Read one object by id; its state bound by `schema` into `out`. TM_ENOTFOUND. */
tm_err row_read(struct object_row *ret, void *out, const struct json_field *schema, struct arena *a,
                struct house *h, tenant_id tenant, enum object_kind kind, const char *id, struct diag *diag);
/* Bind the state of a row that was read. */
tm_err row_bind(void *out, const struct json_field *schema, struct arena *a, const struct object_row *row,
                struct diag *diag);
/* Fill an effect that puts `row` with this state (taken over). row->version is the expected one. */
tm_err row_put(struct effect *ret, struct arena *a, const struct object_row *row, json_t *state);
void row_drop(struct effect *ret, const struct object_row *row);

/* An id that begins with its time. */
tm_err row_id(const char **ret, struct arena *a);
/* 32 random octets as base64url, and the hash under which they are known again. */
tm_err row_secret(char ret[ROW_SECRET_TEXT], char ret_hash[65]);
/* Of a secret that was presented; `label` keeps those of different kinds apart. */
tm_err row_secret_hash(char ret[65], struct slice secret);
bool row_secret_fits(struct slice secret, const char *hash);

/* One event about `subject`. */
struct event_field;
tm_err row_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type, const char *subject,
                 const struct event_field *fields);
