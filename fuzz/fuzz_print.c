/* Text is fit for a terminal and JSON is JSON, whatever went in.
 * Parser: x509/print.c x509/print_object.c x509/print_ext.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "x509/print.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    struct diag d = {0};
    buf_init(&out, 1 << 22);
    if (x509_print_any(&out, slice_of(data, size), &d) == TM_OK) {
        struct slice s = buf_slice(&out);
        if (!utf8_valid(s))
            abort();
        for (size_t i = 0; i < s.n; i++)
            if ((s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == 0x7f)
                abort();
    }
    buf_reset(&out);
    if (x509_print_any_json(&out, slice_of(data, size), &d) == TM_OK) {
        json_error_t err;
        json_t *v = json_loadb((const char *)out.p, out.n, JSON_ALLOW_NUL, &err);
        if (!v)
            abort();
        json_decref(v);
    }
    buf_done(&out);
    return 0;
}
