/* device/import.h - lists of devices as files: NDJSON, one object a line, or CSV with a header (RFC 4180). Layer 4, pure.
 *
 * Columns and members: id, serial, model, vendor, owner, place, batch, criticality (kept as a tag); further columns are "identifier.<name>" and "tag.<name>", further members the
 * objects "identifiers" and "tags". A row without an id has its serial as id. Empty CSV cells leave a field as it is. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "device/device.h"
struct arena;

enum { IMPORT_ROW_MAX = 64 << 10, IMPORT_COLUMNS_MAX = 64 };

struct device_import {
    struct slice rest;
    bool csv;
    uint64_t line, next_line; /* of the row read last, from 1 */
    size_t n_columns;
    struct slice columns[IMPORT_COLUMNS_MAX]; /* names of the header, borrowed */
};

/* `csv`: the text begins with a header line. The text stays borrowed. TM_EMALFORMED for a header that cannot be used. */
tm_err device_import_begin(struct device_import *ret, struct slice text, bool csv, struct diag *diag);
/* The next row, in `a`. TM_ENOTFOUND at the end. Any other error is this row's alone: the next call goes on behind it. `line` says which. */
tm_err device_import_next(struct device_import *im, struct device_fields *ret, struct arena *a,
                          struct diag *diag);
