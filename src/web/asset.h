/* web/asset.h - the console's files as they stand in the binary, and when to send which form. Layer 5, immutable, thread-safe.
 *
 * web/embed builds the console and writes assets[]; every file is there once, compressed. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asset {
    const char *path; /* "/", "/assets/console-0123456789ab.js" */
    const char *type;
    const char *etag; /* weak: the same for both forms */
    bool immutable;   /* its name changes with its content */
    const uint8_t *gzip;
    size_t gzip_n, plain_n;
};
extern const struct asset
    assets[]; /* ended by a NULL path; empty when the console was left out of this build */
extern const char *const assets_missing; /* why it was; NULL when it is here */

/* NULL when there is none. */
const struct asset *asset_find(const char *path);
/* RFC 9110 12.5.3: may the answer be gzip? `header` is Accept-Encoding, or NULL. */
bool asset_accepts_gzip(const char *header);
/* RFC 9110 13.1.2: does If-None-Match (or NULL) name this ETag, by weak comparison? */
bool asset_known(const char *header, const char *etag);
/* Append the file as it was before compression. */
tm_err asset_unpack(struct buf *out, const struct asset *a);
