/* The two header fields that the console's files are chosen by: any text is read to its end and no further, and what is asked for
 * plainly is found in it.
 * Parser: web/asset.c:asset_accepts_gzip,asset_known,weight_is_zero,opaque */
#include "web/asset.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char etag[] = "W/\"0123456789abcdef\"";
    char *header = malloc(size + sizeof etag + 8);
    if (!header)
        return 0;
    if (size)
        memcpy(header, data, size);
    header[size] = '\0';
    size_t n = strlen(header);
    (void)asset_accepts_gzip(header);
    (void)asset_known(header, etag);
    /* A list with one more member has that member, whatever stands before it. */
    memcpy(header + n, ", ", 2);
    memcpy(header + n + 2, etag, sizeof etag);
    check(asset_known(header, etag));
    free(header);
    return 0;
}
