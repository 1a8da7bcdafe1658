/* The certificates of the test vectors in tests/data/filter/, as docs/filter-format.md describes them. */
#pragma once
#include "base/digest.h"
#include "filter/writer.h"
#include <string.h>

enum { VECTOR_T0 = 1700000000, VECTOR_FULL = 4000, VECTOR_DELTA = 4200 };

static inline void vector_issuer(uint8_t id[TMF_ISSUER_LEN])
{
    TM_IGNORE(sha256(id, SLICE_LIT("touchmark test vector issuer")));
}

static inline void vector_serial(uint8_t s[TMF_SERIAL_LEN], uint32_t i)
{
    uint8_t digest[SHA256_LEN],
        be[4] = {(uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    uint32_t at = VECTOR_T0 + i;
    TM_IGNORE(sha256(digest, SLICE_ARR(be)));
    s[0] = 0x7f;
    s[1] = 0xff;
    for (int j = 0; j < 4; j++)
        s[2 + j] = (uint8_t)(at >> (24 - 8 * j));
    memcpy(s + 6, digest, 10);
}

static inline bool vector_revoked(uint32_t i)
{
    return i < VECTOR_FULL && i % 20 == 7;
}
static inline bool vector_revoked_later(uint32_t i)
{
    return (vector_revoked(i) && i != 27) || i % 500 == 13;
}

static inline tm_err vector_full(struct buf *out)
{
    const struct filter_head head = {.kind = TMF_FULL,
                                     .name = "vector",
                                     .number = 1,
                                     .this_update = VECTOR_T0 + 5000,
                                     .next_update = VECTOR_T0 + 5000 + 86400};
    uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
    struct filter_writer *w;
    vector_issuer(id);
    TM_TRY(filter_writer_new(&w, &head));
    tm_err e = filter_writer_issuer(w, id, VECTOR_T0 + VECTOR_FULL);
    for (uint32_t i = 0; i < VECTOR_FULL && e == TM_OK; i++) {
        vector_serial(serial, i);
        e = filter_writer_add(w, FILTER_REVOKED, serial, vector_revoked(i));
    }
    if (e == TM_OK)
        e = filter_writer_end(w, out);
    filter_writer_free(w);
    return e;
}

static inline tm_err vector_delta(struct buf *out, struct slice full)
{
    struct filter_head head = {.kind = TMF_DELTA,
                               .name = "vector",
                               .number = 2,
                               .base_number = 1,
                               .this_update = VECTOR_T0 + 9000,
                               .next_update = VECTOR_T0 + 9000 + 3600};
    uint8_t id[TMF_ISSUER_LEN], serial[TMF_SERIAL_LEN];
    struct filter_writer *w;
    vector_issuer(id);
    TM_TRY(sha256(head.base_digest, full));
    TM_TRY(filter_writer_new(&w, &head));
    tm_err e = filter_writer_issuer(w, id, VECTOR_T0 + VECTOR_DELTA);
    for (uint32_t i = 0; i < VECTOR_DELTA && e == TM_OK; i++) {
        vector_serial(serial, i);
        e = vector_revoked(i) ? filter_writer_add(w, FILTER_RELEASED, serial, !vector_revoked_later(i))
                              : filter_writer_add(w, FILTER_REVOKED, serial, vector_revoked_later(i));
    }
    if (e == TM_OK)
        e = filter_writer_end(w, out);
    filter_writer_free(w);
    return e;
}
