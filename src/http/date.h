/* http/date.h - dates as HTTP writes them (RFC 9110 5.6.7). Layer 1, pure. */
#pragma once
#include "base/err.h"
#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" into out[30] (RFC 9110 5.6.7). */
void http_date_format(char out[30], int64_t t);
/* That form only; the two obsolete ones and nonsense are TM_EMALFORMED. */
tm_err http_date_parse(int64_t *ret, const char *text);
