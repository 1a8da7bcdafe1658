/* YAML documents: what is taken is written and read again the same, and every place that is asked for is found.
 * Parser: cli/yaml.c */
#include "base/arena.h"
#include "base/buf.h"
#include "cli/yaml.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MOST = 64 << 10, OUT_MOST = 16 << 20 };

static void reads_back(struct arena *a, const json_t *v)
{
    struct buf b;
    buf_init(&b, OUT_MOST);
    yaml_dump(&b, v);
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    if (buf_err(&b) == TM_OK && yaml_load(&docs, &n, a, buf_slice(&b), &diag) == TM_OK) {
        if (n != 1 || !json_equal(docs[0].value, v))
            abort();
        for (size_t i = 0; i < n; i++)
            json_decref(docs[i].value);
    } else if (buf_err(&b) == TM_OK && arena_err(a) == TM_OK) {
        abort();
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(OUT_MOST);
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    if (!a || size > SIZE_MOST || yaml_load(&docs, &n, a, slice_of(data, size), &diag) != TM_OK) {
        arena_free(a);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < docs[i].n_marks; k++)
            if (yaml_mark_find(&docs[i], docs[i].marks[k].pointer).line == 0)
                abort();
        reads_back(a, docs[i].value);
        json_decref(docs[i].value);
    }
    arena_free(a);
    return 0;
}
