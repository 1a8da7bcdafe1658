#include "http/date.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void http_date_format(char out[30], int64_t t)
{
    struct civil_time c = civil_from_unix(t);
    int64_t day = t >= 0 ? t / 86400 : (t - 86399) / 86400;
    /* 1970-01-01 was a Thursday. The moduli only tell the compiler how long the text can get. */
    snprintf(out, 30, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[((day + 4) % 7 + 7) % 7],
             (unsigned)c.day % 100, months[(unsigned)(c.month - 1) % 12], (unsigned)c.year % 10000,
             (unsigned)c.hour % 100, (unsigned)c.minute % 100, (unsigned)c.second % 100);
}

tm_err http_date_parse(int64_t *ret, const char *text)
{
    struct civil_time c = {0};
    char month[4] = "";
    int end = 0;
    if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &c.day, month, &c.year, &c.hour,
               &c.minute, &c.second, &end) != 6 ||
        end == 0 || text[end] != '\0')
        return TM_EMALFORMED;
    for (size_t i = 0; i < 12; i++)
        if (strcmp(months[i], month) == 0)
            c.month = (int)i + 1;
    return c.month && civil_to_unix(ret, &c) == TM_OK ? TM_OK : TM_EMALFORMED;
}
