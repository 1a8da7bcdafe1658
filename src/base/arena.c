#include "base/arena.h"
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { ARENA_GAP = 0 };
#endif

enum {
    ARENA_ALIGN = alignof(max_align_t),
    ARENA_FIRST_BLOCK = 4 << 10,
    ARENA_LARGEST_BLOCK = 256 << 10,
};

struct block {
    struct block *next;
    size_t size; /* of `bytes` */
    alignas(max_align_t) uint8_t bytes[];
};

/* The arena sits at the head of its own first block: a small request costs one malloc.
 *
 * Blocks double up to ARENA_LARGEST_BLOCK. What takes more than a quarter of the next block gets a block of its own, so
 * that the room left in the current one is not given up for it. */
struct arena {
    size_t max, used; /* bytes handed out, rounded up to the alignment; used <= max */
    tm_err err;
    uint8_t *at, *end; /* room left in the current block */
    size_t next_size;
    struct block *blocks; /* all but the first */
    size_t first_size;
    alignas(max_align_t) uint8_t first[];
};

static void arena_start(struct arena *a)
{
    a->used = 0;
    a->err = TM_OK;
    a->at = a->first;
    a->end = a->first + a->first_size;
    a->next_size = (size_t)ARENA_FIRST_BLOCK * 2;
    a->blocks = NULL;
    ASAN_POISON_MEMORY_REGION(a->first, a->first_size);
}

struct arena *arena_new_sized(size_t max, size_t first)
{
    size_t size =
        first < ARENA_FIRST_BLOCK - sizeof(struct arena) ? ARENA_FIRST_BLOCK : first + sizeof(struct arena);
    struct arena *a = malloc(size);
    if (!a)
        return NULL;
    a->max = max ? max : ARENA_DEFAULT_MAX;
    a->first_size = size - sizeof *a;
    arena_start(a);
    return a;
}

struct arena *arena_new(size_t max)
{
    return arena_new_sized(max, 0);
}

static void blocks_free(struct arena *a)
{
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        ASAN_UNPOISON_MEMORY_REGION(b->bytes, b->size);
        free(b);
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    blocks_free(a);
    ASAN_UNPOISON_MEMORY_REGION(a->first, a->first_size);
    free(a);
}

void arena_reset(struct arena *a)
{
    blocks_free(a);
    arena_start(a);
}

static struct block *block_add(struct arena *a, size_t size)
{
    struct block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    ASAN_POISON_MEMORY_REGION(b->bytes, b->size);
    return b;
}

static void *arena_fail(struct arena *a, tm_err e)
{
    a->err = e;
    return NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->max)
        return arena_fail(a, TM_ETOOBIG);
    size_t rounded = n ? (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    if (rounded > a->max - a->used)
        return arena_fail(a, TM_ETOOBIG);
    size_t need = rounded + ARENA_GAP;
    uint8_t *p;
    if (need <= (size_t)(a->end - a->at)) {
        p = a->at;
        a->at += need;
    } else if (need > a->next_size / 4) {
        struct block *b = block_add(a, need);
        if (!b)
            return arena_fail(a, TM_ENOMEM);
        p = b->bytes;
    } else {
        struct block *b = block_add(a, a->next_size);
        if (!b)
            return arena_fail(a, TM_ENOMEM);
        if (a->next_size < ARENA_LARGEST_BLOCK)
            a->next_size *= 2;
        p = b->bytes;
        a->at = p + need;
        a->end = p + b->size;
    }
    a->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(p, n);
    return memset(p, 0, n);
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return arena_fail(a, TM_ETOOBIG);
    return arena_alloc(a, total);
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    size_t len = n ? strnlen(s, n) : 0;
    char *copy = arena_alloc(a, len + 1);
    if (copy && len)
        memcpy(copy, s, len);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    char *text = len < 0 ? arena_fail(a, TM_EINTERNAL) : arena_alloc(a, (size_t)len + 1);
    if (text && (size_t)len < sizeof small)
        memcpy(text, small, (size_t)len + 1);
    else if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

tm_err arena_copy(struct slice *ret, struct arena *a, struct slice s)
{
    if (s.n == SIZE_MAX)
        return TM_ETOOBIG;
    uint8_t *copy = arena_alloc(a, s.n + 1);
    if (!copy)
        return a->err;
    if (s.n)
        memcpy(copy, s.p, s.n);
    *ret = slice_of(copy, s.n);
    return TM_OK;
}

tm_err arena_err(const struct arena *a)
{
    return a->err;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
