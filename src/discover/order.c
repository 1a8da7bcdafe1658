#include "discover/order.h"

enum { ROUNDS = 4 };

struct order order_of(uint64_t total, uint64_t seed)
{
    struct order o = {.total = total, .seed = seed, .half = 1};
    while (o.half < 32 && (UINT64_C(1) << (2 * o.half)) < total)
        o.half++;
    return o;
}

/* splitmix64's last step */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* A Feistel network is a permutation whatever its rounds do; walking on until a number is below the total makes it one of just those. */
uint64_t order_at(const struct order *o, uint64_t place)
{
    uint64_t mask = (UINT64_C(1) << o->half) - 1, v = place;
    do {
        uint64_t left = v >> o->half & mask, right = v & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            uint64_t next = left ^ (mix(right + o->seed + round * 0x9e3779b97f4a7c15) & mask);
            left = right;
            right = next;
        }
        v = left << o->half | right;
    } while (v >= o->total);
    return v;
}
