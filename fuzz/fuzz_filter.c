/* Revocation filters: the first two octets split the input into a full filter and a delta; whatever they say, nothing outside is read, and
 * an answer is one of those that there are. Parser: filter/reader/touchmark_filter.c */
#include "filter/writer.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct tmf_filter *f, const struct tmf_filter *delta)
{
    struct tmf_issuer x;
    for (uint32_t i = 0; i < 4 && tmf_issuer_at(f, i, &x) == 0; i++)
        for (uint8_t j = 0; j < 32; j++) {
            uint8_t serial[TMF_SERIAL_LEN] = {0x7f, 0xff, 0x65, 0x53, 0xf1, j, j, 1};
            int a = tmf_query(f, delta, x.id, serial, j < 30 ? TMF_SERIAL_LEN : j - 30);
            if (a < TMF_CORRUPT || a > TMF_UNKNOWN_ISSUER)
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tmf_filter f, d;
    if (size < 2)
        return 0;
    size_t first = (size_t)data[0] | (size_t)data[1] << 8;
    data += 2;
    size -= 2;
    if (first > size)
        first = size;
    if (tmf_open(&f, data, first) != 0)
        return 0;
    (void)filter_bound(&f);
    bool has_delta = tmf_open(&d, data + first, size - first) == 0;
    ask(&f, NULL);
    if (has_delta) {
        (void)tmf_fits(&d, &f, f.base_digest);
        ask(&f, &d);
    }
    return 0;
}
