/* base/arena.h - one memory pool a request, freed as a whole.
 *
 * Layer 0. Not shared between threads. An arena has a maximum; going over it is TM_ETOOBIG seen as NULL here: callers
 * turn a NULL into TM_ENOMEM (use arena_err() to tell which). Memory is zeroed and aligned for any type. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct arena;

enum { ARENA_DEFAULT_MAX = 16 << 20 };

/* A new arena that hands out at most `max` bytes in all (0: ARENA_DEFAULT_MAX). NULL when out of memory. */
struct arena *arena_new(size_t max);
/* The same with room for `first` bytes in its first block, for those that are reset and used again. */
struct arena *arena_new_sized(size_t max, size_t first);
void arena_free(struct arena *a);

/* Forget everything handed out, keep the first block for reuse. */
void arena_reset(struct arena *a);

[[gnu::malloc, gnu::alloc_size(2)]] void *arena_alloc(struct arena *a, size_t n);
/* n*size with overflow check. */
void *arena_calloc(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
[[gnu::format(printf, 2, 3)]] char *arena_printf(struct arena *a, const char *fmt, ...);

/* Copy bytes; *ret untouched on failure. A NUL byte follows the copy (not counted), so that text can be used as a string. */
tm_err arena_copy(struct slice *ret, struct arena *a, struct slice s);

/* TM_OK, or why the last allocation returned NULL. */
tm_err arena_err(const struct arena *a);
size_t arena_used(const struct arena *a);
