/* Files that hold certificates: keystores, bundles, lists, settings.
 *
 * The first octet chooses the format, or that it is told by content, and whether there is a password ("changeit"). What is found is bounded, names print
 * and tell items apart, and reading again gives the same.
 * Parser: inventory/formats/container.c -container_forms inventory/formats/pem.c inventory/formats/der.c inventory/formats/pkcs7.c
 * inventory/formats/pkcs12.c inventory/formats/jks.c inventory/formats/csv.c inventory/formats/ndjson.c inventory/formats/embedded.c base/csv.c */
#include "inventory/formats/container.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PASSWORD = 0x80 };

static void hold(bool good)
{
    if (!good)
        abort();
}

static void look(const struct container *c)
{
    size_t certs = 0;
    for (size_t i = 0; i < c->n_items; i++) {
        const struct container_item *it = &c->items[i];
        hold(it->n_chain > 0 && it->n_chain <= CONTAINER_CHAIN_MAX);
        certs += it->n_chain;
        for (const char *s = it->alias; *s; s++)
            hold((unsigned char)*s >= 0x20 && *s != 0x7f);
    }
    hold(certs == c->certs && certs <= CONTAINER_CERTS_MAX);
    for (size_t i = 0; i < c->refused && i < CONTAINER_REFUSALS_MAX; i++)
        hold(c->refusals[i].where && c->refusals[i].why && c->refusals[i].why[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cert_format *const *const formats = cert_formats;
    struct container c;
    struct diag diag = {0};
    size_t n = 0;
    if (size < 1)
        return 0;
    while (formats[n])
        n++;
    size_t which = (data[0] & ~PASSWORD) % (n + 1);
    struct container_input in = {.bytes = slice_of(data + 1, size - 1),
                                 .form = which < n ? formats[which]->name : NULL,
                                 .has_password = data[0] & PASSWORD,
                                 .password = slice_str(data[0] & PASSWORD ? "changeit" : "")};
    (void)container_likely(in.bytes, in.bytes.n);
    if (container_read(&c, &in, &diag) != TM_OK)
        return 0;
    look(&c);
    container_done(&c);
    return 0;
}
