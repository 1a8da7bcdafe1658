/* What ber_normalize() returns has nothing left to normalise.
 * Dictionary: der
 * Parser: der/ber.c */
#include "base/arena.h"
#include "der/ber.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct slice der, again;
    struct diag d = {0};
    if (!a)
        return 0;
    if (ber_normalize(&der, a, slice_of(data, size), 1 << 20, &d) == TM_OK &&
        (ber_normalize(&again, a, der, 1 << 20, &d) != TM_OK || again.p != der.p || again.n != der.n))
        abort();
    arena_free(a);
    return 0;
}
