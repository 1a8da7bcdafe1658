/* Resource documents, each held to its kind: what is wrong is said.
 * Parser: issue/resources.c issue/notification.c issue/scan_settings.c issue/provider_settings.c */
#include "base/arena.h"
#include "issue/resources.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *doc = NULL;
    struct diag d = {0};
    struct arena *a = arena_new(4 << 20);
    if (!a)
        return 0;
    if (json_parse(&doc, slice_of(data, size), 1 << 20, &d) == TM_OK) {
        const char *name = json_string_value(json_object_get(doc, "kind"));
        const struct resource_kind *kind = name ? resource_kind_find(name) : NULL;
        if (kind && kind->check(a, doc, &d) != TM_OK && d.message[0] == '\0')
            abort();
    }
    json_decref(doc);
    arena_free(a);
    return 0;
}
