/* CAA records: one octet for what is asked, then records, each with its length in front.
 * Parser: enroll/acme/caa.c:property_parse,tag_is,tag_known,method_listed,match_value,caa_judge enroll/acme/issue_value.c */
#include "enroll/acme/caa.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX = 16 };
    struct slice v[MAX], all = slice_of(data, size);
    size_t n = 0;
    uint8_t how = size ? data[0] : 0;
    const char *issuers[] = {"ca.example"}, *why = NULL;
    const struct json_strings list = {.v = issuers, .n = 1}, none = {0};
    for (all = slice_sub(all, 1, all.n); all.n > 0 && n < MAX; n++) {
        v[n] = slice_sub(all, 1, all.p[0]);
        all = slice_sub(all, 1 + v[n].n, all.n);
    }
    const struct caa_wanted w = {.issuers = &list,
                                 .account_url = how & 2 ? "https://a/1" : "https://a/2",
                                 .method = how & 4 ? "dns-01" : "",
                                 .wildcard = how & 1};
    bool good = caa_judge(v, n, &w, &why);
    /* A refusal says why; who has no name of his own has no more than others. */
    if (good != (why == NULL))
        abort();
    struct caa_wanted nobody = w;
    nobody.issuers = &none;
    if (!good && caa_judge(v, n, &nobody, &why))
        abort();
    return 0;
}
