/* Revocation filters: the first two octets split the input into a full filter and a delta; whatever they say, nothing outside is read, and
 * an answer is one of those that there are.
 * Parser: filter/reader/touchmark_filter.c */
#include "filter/writer.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One serial, also with a zero before it, which changes nothing. */
static void ask_one(const struct tmf_filter *f, const struct tmf_filter *delta,
                    const uint8_t issuer[TMF_ISSUER_LEN], const uint8_t *serial, size_t n)
{
    uint8_t longer[TMF_SERIAL_LEN + 2] = {0};
    memcpy(longer + 1, serial, n);
    int a = tmf_query(f, delta, issuer, serial, n);
    if (a < TMF_CORRUPT || a > TMF_UNKNOWN_ISSUER || a != (int)tmf_query(f, delta, issuer, longer, n + 1))
        abort();
}

static void ask_issuer(const struct tmf_filter *f, const struct tmf_filter *delta,
                       const uint8_t issuer[TMF_ISSUER_LEN])
{
    static const uint8_t too_long[TMF_SERIAL_LEN + 1] = {1}, first[TMF_SERIAL_LEN] = {1},
                                                   late[TMF_SERIAL_LEN] = {0x7f, 0xff, 0xff,
                                                                           0xff, 0xff, 0xff};
    for (uint8_t j = 0; j < 32; j++) {
        uint8_t serial[TMF_SERIAL_LEN] = {0x7f, 0xff, 0x65, 0x53, 0xf1, j, j, 1};
        ask_one(f, delta, issuer, serial, j < 30 ? TMF_SERIAL_LEN : j - 30);
    }
    ask_one(f, delta, issuer, too_long, sizeof too_long);
    ask_one(f, delta, issuer, first, sizeof first);
    ask_one(f, delta, issuer, late, sizeof late);
}

static void ask(const struct tmf_filter *f, const struct tmf_filter *delta)
{
    static const uint8_t nobody[TMF_ISSUER_LEN] = {0xff, 0xff};
    struct tmf_issuer x;
    for (uint32_t i = 0; i < 4 && tmf_issuer_at(f, i, &x) == 0; i++)
        ask_issuer(f, delta, x.id);
    for (uint32_t i = 0; delta && i < 4 && tmf_issuer_at(delta, i, &x) == 0; i++)
        ask_issuer(f, delta, x.id);
    ask_issuer(f, delta, nobody);
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
        (void)tmf_fits(&d, &f, d.base_digest);
        ask(&f, &d);
    }
    return 0;
}
