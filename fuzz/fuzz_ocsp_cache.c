/* The status-proxy's file of OCSP answers, as it finds it in its state directory: only what verifies under the CA is kept, and what is kept is
 * written as it was read.
 * Dictionary: der
 * Parser: gateway/ocsp.c:next_part,ocsp_load,question_parse,answer_check,signature_good,is_issuer,keep,find,drop,put_part,ocsp_write */
#include "base/buf.h"
#include "gateway/impl.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#include "ocsp_cache.h"

static bool gateway_with_ca(struct gateway *g)
{
    /* Read here and not from a directory, so `ocsp` is off until it is open. */
    *g = (struct gateway){.config = {.ocsp_entries = 16}, .n_authorities = 1};
    return cert_parse(&g->authorities[0].cert, SLICE_ARR(ca_der), NULL) == TM_OK && ocsp_open(g) == TM_OK;
}

static void read_and_write(struct buf *out, struct slice file)
{
    static struct gateway g;
    if (gateway_with_ca(&g)) {
        ocsp_load(&g, file);
        ocsp_write(out, &g);
    }
    ocsp_close(&g);
}

/* Each question and answer as they stand in the file: nothing is made up. */
static void found_in(struct slice part, struct slice file)
{
    while (part.n >= 4) {
        size_t n =
            4 + (part.p[0] | (size_t)part.p[1] << 8 | (size_t)part.p[2] << 16 | (size_t)part.p[3] << 24);
        if (n > part.n || !memmem(file.p, file.n, part.p, n))
            abort();
        part = slice_sub(part, n, part.n);
    }
    if (part.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    read_and_write(&once, slice_of(data, size));
    if (buf_err(&once) == TM_OK) {
        found_in(buf_slice(&once), slice_of(data, size));
        read_and_write(&twice, buf_slice(&once));
    }
    /* Some may have found no place among the others. */
    if (buf_err(&twice) == TM_OK)
        found_in(buf_slice(&twice), buf_slice(&once));
    if (once.n && !twice.n && buf_err(&twice) == TM_OK)
        abort();
    buf_done(&twice);
    buf_done(&once);
    return 0;
}
