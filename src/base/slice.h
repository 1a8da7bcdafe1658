/* base/slice.h - a borrowed run of bytes. Layer 0, pure. The holder says from what it borrows. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p; /* NULL only when n == 0 */
    size_t n;
};

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){.p = p, .n = n};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){.p = (const uint8_t *)s, .n = s ? strlen(s) : 0};
}

/* A slice over a string literal or byte array, without the terminating NUL of the former. */
#define SLICE_LIT(lit) ((struct slice){.p = (const uint8_t *)(lit), .n = sizeof(lit) - 1})
#define SLICE_ARR(arr) ((struct slice){.p = (const uint8_t *)(arr), .n = sizeof(arr)})

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}

/* Bytewise order, shorter first on a common prefix: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);

/* ASCII case-insensitive equality. */
bool slice_caseeq(struct slice a, struct slice b);

/* Constant-time in the bytes (not in the lengths): for tokens and MACs. */
bool slice_ct_eq(struct slice a, struct slice b);

/* The part from `from`, at most `n` bytes; clamped to what there is. */
struct slice slice_sub(struct slice s, size_t from, size_t n);

/* Without leading and trailing ASCII white space. */
struct slice slice_trim(struct slice s);
