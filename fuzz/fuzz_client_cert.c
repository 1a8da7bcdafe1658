/* Client-Cert and Client-Cert-Chain: what parses is whole DER SEQUENCEs, and a single certificate is a list of one.
 * Parser: http/client_cert.c */
#include "base/arena.h"
#include "http/client_cert.h"
#include <stdbool.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void parse_with_room(struct slice field, size_t room)
{
    struct arena *a = arena_new(room);
    struct slice leaf = {0}, chain[CLIENT_CERT_CHAIN_MAX];
    size_t n = 0;
    if (!a)
        return;
    tm_err one = client_cert_parse(&leaf, a, field);
    tm_err many = client_cert_chain_parse(chain, &n, a, field);
    check(n <= CLIENT_CERT_CHAIN_MAX);
    for (size_t i = 0; i < n; i++)
        check(chain[i].n >= 2 && chain[i].p[0] == 0x30);
    if (one == TM_OK && many == TM_OK)
        check(n == 1 && slice_eq(leaf, chain[0]));
    if (room == 0 && one == TM_OK)
        check(many == TM_OK);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 << 10)
        return 0;
    parse_with_room(slice_of(data, size), 0);
    parse_with_room(slice_of(data, size), 32);
    return 0;
}
