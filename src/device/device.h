/* device/device.h - the device register: what a device is, who owns it, and the steps of its life (E1).
 *
 * Layer 4 (over issue/). Every change is one transaction with its event: device.registered or device.changed. Blocking. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "issue/house.h"
#include "policy/enrollment.h"
#include "store/store.h"
struct arena;

/* The fields that callers set. NULL leaves a field as it is ("" for a new device). */
struct device_fields {
    const char *id;
    const char *serial, *model, *vendor, *owner, *place, *batch;
    const char *identifiers, *tags; /* canonical JSON objects of strings */
};
enum device_put_result { DEVICE_CREATED, DEVICE_UPDATED, DEVICE_UNCHANGED };

enum { DEVICE_ID_MAX = 200, DEVICE_FIELD_MAX = 200, DEVICE_OBJECT_MAX = 64 << 10 };

/* Printable, no blanks at the ends, no '/', 1..DEVICE_ID_MAX octets. */
bool device_id_valid(struct slice id);
/* Lengths, text, and that the objects are objects of strings. */
tm_err device_fields_check(const struct device_fields *f, struct diag *diag);
/* An object of strings as canonical JSON text in `a`; NULL stays NULL. */
tm_err device_object(const char **ret, struct arena *a, const json_t *object, const char *field,
                     struct diag *diag);

/* Register devices, or bring known ones up to date, all in one transaction: what is unchanged is not written. `expected_version` as in
 * EFFECT_DEVICE_PUT, for each of them. New devices are in state made. results[n]. */
tm_err device_put_many(enum device_put_result *results, struct house *h, tenant_id tenant, struct arena *a,
                       const struct device_fields *v, size_t n, int64_t expected_version, const char *by,
                       struct diag *diag);

/* May a device go from one state to the other by somebody's word? */
bool device_step_legal(enum device_state from, enum device_state to);
/* Take a step. Retiring then revokes what the device still holds, for cessationOfOperation; *ret_revoked says how many; retiring a
 * retired device once more revokes what an interrupted sweep left. TM_ENOTFOUND, TM_ECONFLICT for a step that is not legal or a row
 * that changed meanwhile. */
tm_err device_step(struct house *h, tenant_id tenant, struct arena *a, const char *id, enum device_state to,
                   const char *by, const char *why, size_t *ret_revoked, struct diag *diag);
