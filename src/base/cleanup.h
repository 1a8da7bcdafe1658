/* base/cleanup.h - scope-bound release. Layer 0. */
#pragma once
#include <stdlib.h>
#include <unistd.h>

/* TM_CLEANUP(fn) T *x: calls fn(&x) when the scope is left. */
#define TM_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines fn##_p(T **) that releases *p, for use with TM_CLEANUP. */
#define TM_DEFINE_CLEANUP(type, fn)                                                                          \
    static inline void fn##_p(type *p)                                                                       \
    {                                                                                                        \
        if (*p)                                                                                              \
            fn(*p);                                                                                          \
    }

/* Move ownership out of a variable: returns the pointer, leaves NULL. */
#define TM_TAKE(ptr)                                                                                         \
    ({                                                                                                       \
        __typeof__(ptr) tm_taken_ = (ptr);                                                                   \
        (ptr) = NULL;                                                                                        \
        tm_taken_;                                                                                           \
    })

static inline void tm_free_p(void *p)
{
    free(*(void **)p);
}
static inline void tm_close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
