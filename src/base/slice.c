#include "base/slice.h"
#include <openssl/crypto.h>

int slice_cmp(struct slice a, struct slice b)
{
    size_t common = a.n < b.n ? a.n : b.n;
    int order = common ? memcmp(a.p, b.p, common) : 0;
    if (order != 0)
        return order;
    return (a.n > b.n) - (a.n < b.n);
}

/* Not tolower(3): that follows the locale. */
static uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool slice_caseeq(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool slice_ct_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
    if (from >= s.n)
        return slice_of(s.n ? s.p + s.n : s.p, 0);
    size_t left = s.n - from;
    return slice_of(s.p + from, n < left ? n : left);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}
