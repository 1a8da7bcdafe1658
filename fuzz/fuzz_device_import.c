/* Device lists: both forms, every row to the end; the reader must always get there.
 * Parser: device/import.c */
#include "base/arena.h"
#include "device/import.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(0);
    for (int csv = 0; a && csv < 2; csv++) {
        struct device_import im;
        if (device_import_begin(&im, slice_of(data, n), csv, NULL) != TM_OK)
            continue;
        struct device_fields f;
        for (size_t rows = 0;; rows++) {
            tm_err e = device_import_next(&im, &f, a, NULL);
            if (e == TM_ENOTFOUND)
                break;
            if (e == TM_OK && device_fields_check(&f, NULL) != TM_OK)
                abort();
            if (rows > n)
                abort();
            arena_reset(a);
        }
    }
    arena_free(a);
    return 0;
}
