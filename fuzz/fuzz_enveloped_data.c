/* EnvelopedData as BER from outside.
 * Parser: x509/cms/enveloped.c */
#include "base/arena.h"
#include "x509/cms/enveloped.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(8 << 20);
    static struct enveloped_data d;
    if (a && enveloped_data_parse(&d, a, slice_of(data, size), NULL) == TM_OK) {
        if (d.n_recipients > ENVELOPED_RECIPIENTS_MAX || d.encrypted.n > size)
            abort();
        for (size_t i = 0; i < d.n_recipients; i++)
            if (d.recipients[i].encrypted_key.n > size)
                abort();
    }
    arena_free(a);
    return 0;
}
