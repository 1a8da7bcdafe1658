#include "web/asset.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

const struct asset *asset_find(const char *path)
{
    for (const struct asset *a = assets; a->path; a++)
        if (strcmp(a->path, path) == 0)
            return a;
    return NULL;
}

/* ";q=0", ";q=0.0" … : not acceptable. */
static bool weight_is_zero(const char *s, const char *end)
{
    for (; s < end; s++)
        if ((*s == 'q' || *s == 'Q') && s + 1 < end && s[1] == '=')
            return strspn(s + 2, "0.") >= (size_t)(end - s - 2);
    return false;
}

bool asset_accepts_gzip(const char *header)
{
    bool any = false;
    while (header && *header) {
        header += strspn(header, " \t,");
        size_t n = strcspn(header, ",");
        size_t name = strcspn(header, "; \t,");
        const char *end = header + n;
        while (end > header && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        bool zero = weight_is_zero(header + name, end);
        if ((name == 4 && strncasecmp(header, "gzip", 4) == 0) ||
            (name == 6 && strncasecmp(header, "x-gzip", 6) == 0))
            return !zero;
        if (name == 1 && *header == '*')
            any = !zero;
        header += n;
    }
    return any;
}

static const char *opaque(const char *etag)
{
    return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

bool asset_known(const char *header, const char *etag)
{
    const char *wanted = opaque(etag);
    size_t n = strlen(wanted);
    while (header && *header) {
        header += strspn(header, " \t,");
        if (*header == '*')
            return true;
        const char *tag = opaque(header);
        size_t length = strcspn(tag, ", \t");
        if (length == n && memcmp(tag, wanted, n) == 0)
            return true;
        header = tag + length;
    }
    return false;
}

tm_err asset_unpack(struct buf *out, const struct asset *a)
{
    enum { GZIP = 16 };
    uint8_t *plain = malloc(a->plain_n ? a->plain_n : 1);
    if (!plain)
        return TM_ENOMEM;
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)a->gzip,
                  .avail_in = (uInt)a->gzip_n,
                  .next_out = plain,
                  .avail_out = (uInt)a->plain_n};
    tm_err e = TM_ENOMEM;
    if (inflateInit2(&z, MAX_WBITS + GZIP) == Z_OK) {
        e = inflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out == a->plain_n ? TM_OK : TM_ECORRUPT;
        inflateEnd(&z);
    }
    if (e == TM_OK)
        buf_put(out, plain, a->plain_n);
    free(plain);
    return e == TM_OK ? buf_err(out) : e;
}
