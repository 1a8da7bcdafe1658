/* The file of an offline root, before its MAC is looked at.
 * Parser: authority/offline.c:offline_bundle_parse,next_json,next_block,offline_header,offline_name_valid,malformed */
#include "authority/offline_impl.h"
#include "base/arena.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "bundle";
    struct offline_bundle b = {.a = arena_new(0), .path = path};
    struct slice body, mac;
    struct diag d = {0};
    if (!b.a)
        return 0;
    tm_err e = offline_bundle_parse(&b, slice_of(data, size), &body, &mac, &d);
    if (e == TM_OK && (body.n >= size || b.name[0] == '\0' || b.name[0] == '.'))
        abort();
    if (e != TM_OK && d.message[0] == '\0')
        abort();
    json_decref(b.header);
    json_decref(b.record);
    arena_free(b.a);
    return 0;
}
