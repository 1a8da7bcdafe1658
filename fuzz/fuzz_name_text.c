/* Names as text: what parses prints, and what is printed parses to the same name. The first byte picks the kind.
 * Parser: x509/name_text.c x509/general_name_text.c */
#include "base/arena.h"
#include "base/buf.h"
#include "x509/general_name.h"
#include "x509/name.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dn(struct arena *a, struct slice text)
{
    struct slice tlv, again;
    struct diag d = {0};
    struct buf out;
    buf_init(&out, 1 << 20);
    if (name_from_text(&tlv, a, text, &d) == TM_OK) {
        struct name n, m;
        name_print_der(&out, tlv);
        if (name_from_text(&again, a, buf_slice(&out), &d) == TM_OK &&
            (name_parse(&n, tlv, &d) != TM_OK || name_parse(&m, again, &d) != TM_OK || !name_matches(&n, &m)))
            abort();
    } else if (d.message[0] == '\0') {
        abort();
    }
    buf_done(&out);
}

static void gn(struct arena *a, struct slice text)
{
    struct general_name n, m;
    struct diag d = {0};
    struct buf out;
    buf_init(&out, 1 << 20);
    if (general_name_from_text(&n, a, text, &d) == TM_OK) {
        general_name_print(&out, &n);
        if (n.type != GN_DIRECTORY &&
            (general_name_from_text(&m, a, buf_slice(&out), &d) != TM_OK || !general_name_eq(&n, &m)))
            abort();
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    if (!a || size == 0) {
        arena_free(a);
        return 0;
    }
    if (data[0] & 1)
        dn(a, slice_of(data + 1, size - 1));
    else
        gn(a, slice_of(data + 1, size - 1));
    arena_free(a);
    return 0;
}
