/* x509/internal.h - helpers shared inside x509/. Layer 2. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "der/builder.h"

/* A builder over `max` bytes of the arena: what is built needs no further memory and no release. */
static inline tm_err arena_builder(struct der_builder *b, struct buf *buf, struct arena *a, size_t max)
{
    uint8_t *p = arena_alloc(a, max + 1);
    if (!p)
        return arena_err(a) != TM_OK ? arena_err(a) : TM_ENOMEM;
    *buf = (struct buf){.p = p, .cap = max + 1, .max = max};
    der_builder_init(b, buf);
    return TM_OK;
}

/* Check the builder once, hand out what it built. */
static inline tm_err arena_builder_finish(struct slice *ret, struct der_builder *b)
{
    TM_TRY(der_builder_finish(b));
    *ret = buf_slice(b->out);
    return TM_OK;
}

/* Room for a tag and the longest length that we write. */
enum { DER_HEAD_MAX = 6 };

static inline tm_err arena_failed(struct arena *a)
{
    return arena_err(a) != TM_OK ? arena_err(a) : TM_ENOMEM;
}
