/* Paths of tiles, dates and entity tags as clients write them.
 * Parser: status/tile_path.c http/date.c:http_date_parse status/conditional.c:etag_listed */
#include "http/date.h"
#include "status/conditional.h"
#include "status/tile_path.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    unsigned level, width;
    uint64_t index;
    if (tile_path_parse(&level, &index, &width, text) == TM_OK && (level > 63 || width == 0 || width > 256))
        abort();
    int64_t t;
    if (http_date_parse(&t, text) == TM_OK) {
        char again[30];
        int64_t u;
        http_date_format(again, t);
        if (http_date_parse(&u, again) != TM_OK || u != t)
            abort();
    }
    (void)etag_listed(text, "\"0123456789abcdef\"");
    free(text);
    return 0;
}
