/* status/tile_path.h - the path of a tile as C2SP tlog-tiles writes it: "<L>/<N>[.p/<W>]", N in groups of three digits.
 * Layer 4, private to status/, pure. */
#pragma once
#include "base/err.h"
#include <stdint.h>

/* "0/x001/x234/067" -> level 0, index 1234067, width 256; "0/067.p/8" -> width 8. TM_EINVAL for any other spelling. */
tm_err tile_path_parse(unsigned *ret_level, uint64_t *ret_index, unsigned *ret_width, const char *path);
