/* base/buf.h - a growable byte buffer with a declared maximum and a sticky error.
 *
 * Layer 0. After the first failure every write is a no-op; check buf_err() once at the end. Contents end with a NUL byte
 * that is not counted, so that text can be used as a C string. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct buf {
    uint8_t *p;
    size_t n, cap;
    size_t max; /* most bytes it may ever hold */
    tm_err err; /* TM_OK, TM_ENOMEM or TM_ETOOBIG */
};

/* No allocation happens before the first write. */
void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
/* Empty it, keep the memory, clear the error. */
void buf_reset(struct buf *b);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_slice(struct buf *b, struct slice s);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, uint8_t c);
[[gnu::format(printf, 2, 3)]] void buf_printf(struct buf *b, const char *fmt, ...);
/* Room for n more bytes at the end, uninitialised, already counted; NULL on failure. */
uint8_t *buf_extend(struct buf *b, size_t n);
/* Drop `n` bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* JSON string with quotes and escapes; invalid UTF-8 becomes U+FFFD. */
void buf_put_json_string(struct buf *b, struct slice s);

static inline tm_err buf_err(const struct buf *b)
{
    return b->err;
}
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}
/* As a C string, "" when empty or failed. Valid until the next write. */
const char *buf_str(const struct buf *b);
/* Hand the memory to the caller (free() it); the buffer is empty afterwards. NULL if it failed. */
char *buf_take(struct buf *b);
