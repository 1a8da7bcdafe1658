#include "status/tile_path.h"
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { LEVEL_MAX = 63, WIDTH = 256, GROUPS_MAX = 6 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number without leading zeros, up to `max`; moves past it. */
static bool number(unsigned *ret, const char **p, unsigned max)
{
    const char *s = *p;
    unsigned v = 0;
    if (!is_digit(*s) || (s[0] == '0' && is_digit(s[1])))
        return false;
    for (; is_digit(*s); s++) {
        v = v * 10 + (unsigned)(*s - '0');
        if (v > max)
            return false;
    }
    *ret = v;
    *p = s;
    return true;
}

tm_err tile_path_parse(unsigned *ret_level, uint64_t *ret_index, unsigned *ret_width, const char *path)
{
    const char *p = path;
    unsigned level, width = WIDTH;
    uint64_t index = 0;
    if (!number(&level, &p, LEVEL_MAX) || *p != '/')
        return TM_EINVAL;
    p++;
    for (size_t groups = 0;; groups++) {
        bool more = *p == 'x';
        p += more;
        if (groups == GROUPS_MAX || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2]))
            return TM_EINVAL;
        unsigned group = (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
        /* One spelling a number: the first of several groups is not 000. */
        if (groups == 0 && more && group == 0)
            return TM_EINVAL;
        index = index * 1000 + group;
        p += 3;
        if (!more)
            break;
        if (*p++ != '/')
            return TM_EINVAL;
    }
    if (strncmp(p, ".p/", 3) == 0) {
        p += 3;
        if (!number(&width, &p, WIDTH - 1) || width == 0)
            return TM_EINVAL;
    }
    if (*p != '\0')
        return TM_EINVAL;
    *ret_level = level;
    *ret_index = index;
    *ret_width = width;
    return TM_OK;
}
