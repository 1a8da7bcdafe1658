/* inventory/csv.h - cells of a CSV file (RFC 4180) that a spreadsheet takes for text and a terminal can show.
 *
 * Layer 5, pure. A cell that begins as a formula does (= + - @, or behind blanks) gets an apostrophe before it; what is no valid UTF-8, control
 * characters and those that turn the direction of text become spelt-out code points, so that a row stays a row. */
#pragma once
#include "base/buf.h"

/* With a comma before it, unless it is the first of its row. */
void csv_put_cell(struct buf *out, const char *text, bool first);
void csv_end_row(struct buf *out);
