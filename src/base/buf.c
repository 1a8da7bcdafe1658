#include "base/buf.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_LEAST = 64 };

void buf_init(struct buf *b, size_t max)
{
    /* One byte less than SIZE_MAX, so that the uncounted NUL can be added without a check. */
    *b = (struct buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->err = TM_OK;
    if (b->p)
        b->p[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool buf_room(struct buf *b, size_t n)
{
    if (b->err != TM_OK)
        return false;
    if (n > b->max - b->n) {
        b->err = TM_ETOOBIG;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_LEAST;
    while (cap < need && cap <= b->max / 2)
        cap *= 2;
    if (cap < need || cap > b->max)
        cap = b->max + 1;
    uint8_t *p = realloc(b->p, cap);
    if (!p) {
        b->err = TM_ENOMEM;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (!buf_room(b, n))
        return NULL;
    uint8_t *at = b->p + b->n;
    b->n += n;
    b->p[b->n] = '\0';
    return at;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    uint8_t *at = buf_extend(b, n);
    if (at && n)
        memcpy(at, p, n);
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, uint8_t c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (!buf_room(b, 0))
        return;
    size_t room = b->cap - b->n;
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf((char *)b->p + b->n, room, fmt, ap);
    va_end(ap);
    if (len < 0) {
        b->err = TM_ETOOBIG; /* longer than INT_MAX */
    } else if ((size_t)len < room) {
        b->n += (size_t)len;
    } else if (buf_room(b, (size_t)len)) {
        vsnprintf((char *)b->p + b->n, (size_t)len + 1, fmt, again);
        b->n += (size_t)len;
    }
    va_end(again);
    b->p[b->n] = '\0';
}

void buf_consume(struct buf *b, size_t n)
{
    if (b->err != TM_OK || !b->p)
        return;
    if (n > b->n)
        n = b->n;
    b->n -= n;
    memmove(b->p, b->p + n, b->n + 1);
}

/* The escape of a byte that cannot stand in a JSON string as it is (RFC 8259 section 7); else NULL. */
static const char *json_escape(uint8_t c, char scratch[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (c >= 0x20 && c != 0x7f)
        return NULL;
    snprintf(scratch, 8, "\\u%04x", c);
    return scratch;
}

void buf_put_json_string(struct buf *b, struct slice s)
{
    buf_putc(b, '"');
    size_t at = 0, plain = 0; /* s[plain..at) needs no change and is not written yet */
    while (at < s.n) {
        char scratch[8];
        const char *instead = json_escape(s.p[at], scratch);
        size_t step = 1;
        if (!instead && s.p[at] >= 0x80) {
            step = utf8_step(slice_of(s.p + at, s.n - at));
            if (step == 0) {
                instead = "\xef\xbf\xbd"; /* U+FFFD */
                step = 1;
            }
        }
        if (instead) {
            buf_put(b, s.p + plain, at - plain);
            buf_puts(b, instead);
            plain = at + step;
        }
        at += step;
    }
    if (at > plain)
        buf_put(b, s.p + plain, at - plain);
    buf_putc(b, '"');
}

const char *buf_str(const struct buf *b)
{
    return b->p && b->err == TM_OK ? (const char *)b->p : "";
}

char *buf_take(struct buf *b)
{
    if (b->err != TM_OK || !buf_extend(b, 0))
        return NULL;
    char *taken = (char *)b->p;
    buf_init(b, b->max);
    return taken;
}
