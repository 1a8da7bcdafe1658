/* base/csv.h - the cells of comma-separated text (RFC 4180), one after the other. Layer 0, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct arena;

/* One cell at the front of *s, which moves behind it; unquoted into `a` where it is quoted, else trimmed and borrowed. *ret_last: the row ends behind
 * it; *line grows by the line ends passed. A quoted cell, of at most `max` octets, may hold line ends. TM_EMALFORMED. */
tm_err csv_cell(struct slice *ret, struct slice *s, struct arena *a, bool *ret_last, uint64_t *line,
                size_t max, struct diag *diag);
/* Move *s behind the next line end. */
void csv_skip_line(struct slice *s);
