/* Lists of bad keys: text that people fetch from elsewhere. */
#include "keys/quality.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_blocklist *list = NULL;
    if (key_blocklist_parse(&list, slice_of(data, size), "list", NULL) == TM_OK)
        key_blocklist_free(list);
    return 0;
}
