/* Recordings of exchanges: our own lines and HAR files, and all that is told of them.
 * Parser: trace/read.c trace/acme.c trace/acme_verdict.c trace/est.c trace/tell.c */
#include "base/arena.h"
#include "trace/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(64 << 20);
    struct trace t;
    struct diag diag = {0};
    struct buf out;
    if (!a)
        return 0;
    buf_init(&out, 4 << 20);
    if (trace_read(&t, a, slice_of(data, size), &diag) == TM_OK)
        TM_IGNORE(trace_tell(&out, &t, NULL, true, &diag));
    buf_done(&out);
    arena_free(a);
    return 0;
}
