/* inventory/formats/formats.h - the formats, one a file. Private to inventory/formats/. */
#pragma once
#include "inventory/formats/container.h"

extern const struct cert_format jks_format, pkcs12_format, pkcs7_format, der_format, ndjson_format,
    csv_format, embedded_format, pem_format;

/* Is there a PEM block's beginning? */
bool container_has_pem(struct slice text);
/* Where `word` stands in `s` from `from` on; s.n: nowhere. */
size_t container_find(struct slice s, size_t from, struct slice word);
