/* Recordings of exchanges: our own lines and HAR files, and all that is told of them.
 * Parser: trace/read.c trace/acme.c trace/acme_verdict.c trace/cmp.c trace/cmp_message.c trace/est.c trace/scep.c trace/scep_verdict.c
 * trace/tell.c */
#include "base/arena.h"
#include "trace/trace.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Which endpoints an exchange belongs to: what is ours with a label is ours without one as well. */
static void sort(const struct trace *t)
{
    static const char *const labels[] = {"default", "acme", "cmp", "servers", "scep"};
    for (size_t i = 0; i < t->n; i++)
        for (size_t j = 0; trace_protocols[j]; j++) {
            const struct trace_protocol *p = trace_protocols[j];
            bool any = p->ours(t->v[i].path, NULL);
            for (size_t k = 0; k < sizeof labels / sizeof *labels; k++)
                if (p->ours(t->v[i].path, labels[k]) && !any)
                    abort();
            if (p->secret)
                (void)p->secret(t->v[i].path);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(64 << 20);
    struct trace t;
    struct diag diag = {0};
    struct buf out;
    if (!a)
        return 0;
    buf_init(&out, 4 << 20);
    if (trace_read(&t, a, slice_of(data, size), &diag) == TM_OK) {
        sort(&t);
        TM_IGNORE(trace_tell(&out, &t, NULL, true, &diag));
        for (size_t i = 0; trace_protocols[i]; i++) {
            buf_reset(&out);
            TM_IGNORE(trace_tell(&out, &t, trace_protocols[i], false, &diag));
        }
    }
    buf_done(&out);
    arena_free(a);
    return 0;
}
