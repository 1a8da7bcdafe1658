/* What a web server says to http-01, in two pieces, and where its redirect leads.
 * Parser: enroll/outbound/response.c:response_read,target_resolve */
#include "enroll/outbound/response.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_err feed(struct response *ret, struct slice first, struct slice second)
{
    struct response_reader *r = malloc(response_reader_size());
    if (!r)
        return TM_ENOMEM;
    response_reader_init(r, ret);
    tm_err e = response_read(r, first);
    if (e == TM_OK && second.n)
        e = response_read(r, second);
    if (e == TM_OK)
        e = response_read(r, (struct slice){0});
    free(r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct target base = {.host = "www.example.org", .path = "/x"};
    static uint8_t room[2][1024];
    struct response whole = {.body = room[0], .body_max = sizeof room[0]},
                    halves = {.body = room[1], .body_max = sizeof room[1]};
    struct target t;
    if (size == 0)
        return 0;
    size_t cut = data[0] % size;
    struct slice rest = slice_of(data + 1, size - 1);
    tm_err a = feed(&whole, rest, (struct slice){0});
    tm_err b = feed(&halves, slice_sub(rest, 0, cut), slice_sub(rest, cut, rest.n));
    /* Where it was cut means nothing. */
    if (a == TM_OK && b == TM_OK &&
        (whole.status != halves.status || strcmp(whole.location, halves.location) != 0 ||
         !slice_eq(slice_of(whole.body, whole.body_n), slice_of(halves.body, halves.body_n))))
        abort();
    if (a == TM_OK && whole.location[0] && target_resolve(&t, &base, whole.location) == TM_OK &&
        (strpbrk(t.path, " \r\n") || t.path[0] != '/' || !t.host[0] || strpbrk(t.host, "/@ \r\n")))
        abort();
    return 0;
}
