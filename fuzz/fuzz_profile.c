/* Profile documents: what compiles shows itself whole, keeps its source, and grants or refuses its own sample.
 * Parser: policy/profile.c policy/profile_schema.c policy/profile_compile.c policy/profile_reference.c */
#include "base/arena.h"
#include "base/buf.h"
#include "policy/profile.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct profile *p = NULL, *again = NULL;
    struct diag diag = {0};
    if (profile_from_json(&p, slice_of(data, size), 1, &diag) != TM_OK)
        return 0;
    struct buf out;
    buf_init(&out, 4 << 20);
    /* A template over made-up names may give something that is too long; a crash it may not give. */
    TM_IGNORE(profile_snapshot(&out, p));
    buf_reset(&out);
    if (profile_csrattrs(&out, p, true) != TM_OK)
        abort();
    if (profile_from_json(&again, profile_source(p), 1, &diag) != TM_OK)
        abort();
    if (!slice_eq(profile_source(p), profile_source(again)))
        abort();
    buf_done(&out);
    profile_unref(again);
    profile_unref(p);
    return 0;
}
