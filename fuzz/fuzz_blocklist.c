/* Lists of bad keys: text that people fetch from elsewhere.
 * Parser: keys/blocklist.c:parse,read_hex,hex_digit,add,key_blocklist_parse,finish,*_cmp */
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
