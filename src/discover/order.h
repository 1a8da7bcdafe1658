/* discover/order.h - the numbers below `total` in an order that looks random and needs no memory: neighbours of a range are not asked one after
 * the other, and where a scan was is one number. Layer 5, pure. */
#pragma once
#include <stdint.h>

struct order {
    uint64_t total, seed;
    unsigned half; /* bits of half a number */
};
struct order order_of(uint64_t total, uint64_t seed);
/* The number at a place below `total`; each comes once. */
uint64_t order_at(const struct order *o, uint64_t place);
