/* base/json_plain.h - JSON text of the form that almost all of it has, bound to a struct without a document in between.
 *
 * Layer 0, pure. Plain are objects whose strings are printable ASCII without escapes and whose numbers are whole: what we store ourselves,
 * and what clients send who mean well. All else (another form, names unknown, repeated or missing, values beyond their bounds, anything
 * malformed) is not refused here: json_parse() and json_bind() look at it, and say what is wrong. */
#pragma once
#include "base/json.h"

/* True: *out, which was zeroed, is filled as json_bind() would fill it, its strings and lists in `a`. False: it is as it was. Schemas may
 * have strings, integers, booleans, enums, lists of strings, objects and lists of objects. */
bool json_bind_plain(void *out, const struct json_field *schema, struct slice text, struct arena *a);
