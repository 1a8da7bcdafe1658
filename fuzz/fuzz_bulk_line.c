/* Lines of a bulk enrollment: what the short way reads, the whole JSON parser reads as the same.
 * Parser: api/bulk_line.c */
#include "api/bulk_line.h"
#include "base/json.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const json_t *doc, const char *name, const char *value)
{
    const json_t *v = json_object_get(doc, name);
    if (v ? !json_is_string(v) || strcmp(json_string_value(v), value) != 0 : *value)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bulk_line line;
    char *text = malloc(size ? size : 1);
    json_t *doc = NULL;
    if (!text)
        return 0;
    memcpy(text, data, size);
    if (!bulk_line_read(&line, text, size)) {
        if (memcmp(text, data, size) != 0)
            abort();
    } else if (json_parse(&doc, slice_of(data, size), 1 << 20, NULL) != TM_OK) {
        abort();
    } else {
        same(doc, "id", line.id);
        same(doc, "csr", line.csr);
        same(doc, "profile", line.profile);
        same(doc, "endpoint", line.endpoint);
        same(doc, "device", line.device);
        same(doc, "idempotency_key", line.idempotency_key);
    }
    json_decref(doc);
    free(text);
    return 0;
}
