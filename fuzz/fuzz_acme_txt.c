/* TXT records as dns-01 and dns-persist-01 read them.
 * Parser: enroll/acme/dns_01.c:txt_rdata_is enroll/acme/dns_persist_01.c:persist_accepts */
#include "enroll/acme/validate.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    /* One octet for the length of a record, the record, and the text that it may hold. */
    struct slice record = slice_sub(all, 1, size ? data[0] : 0), text = slice_sub(all, 1 + record.n, size);
    /* Every character-string has its length in front: a record is longer than its text. */
    if (txt_rdata_is(record, text) && record.n > 0 && record.n <= text.n)
        abort();
    const char *issuers[] = {"ca.example"};
    const struct json_strings list = {.v = issuers, .n = 1};
    const struct persist_wanted plain = {.issuers = &list, .account_url = "https://a/1", .now = 1000};
    struct persist_wanted wildcard = plain;
    wildcard.wildcard = true;
    /* Who may have the wildcard may have the name. */
    if (persist_accepts(all, &wildcard) && !persist_accepts(all, &plain))
        abort();
    return 0;
}
