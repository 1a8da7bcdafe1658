/* Entries of Certificate Transparency logs: a data tile, a checkpoint, or an answer to get-entries, as the first octet chooses.
 * Parser: discover/ct.c -ct_tile_path */
#include "base/arena.h"
#include "discover/ct.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const domains[] = {"example.org", "b"};

static void look(struct arena *a, const struct ct_entry *e, bool tile)
{
    struct cert c;
    if (e->cert.n == 0 || e->n_chain > CT_CHAIN_MAX)
        abort();
    for (size_t i = 0; i < e->n_chain && tile; i++)
        if (e->chain[i].n != CT_FINGERPRINT)
            abort();
    if (cert_parse(&c, e->cert, NULL) == TM_OK && !ct_in_domains(a, &c, NULL, 0))
        abort();
    else if (cert_parse(&c, e->cert, NULL) == TM_OK)
        (void)ct_in_domains(a, &c, domains, 2);
}

static void tile(struct arena *a, struct slice s)
{
    struct ct_entry e;
    size_t before = s.n;
    while (ct_tile_next(&e, &s, NULL) == TM_OK) {
        look(a, &e, true);
        if (s.n >= before)
            abort();
        before = s.n;
    }
}

static void entries(struct arena *a, struct slice s)
{
    json_t *doc = NULL;
    size_t i;
    const json_t *x;
    struct ct_entry e;
    if (json_parse(&doc, s, 1 << 20, NULL) != TM_OK)
        return;
    json_array_foreach(json_object_get(doc, "entries"), i, x)
    {
        if (ct_entry_read(&e, a, x, NULL) == TM_OK)
            look(a, &e, false);
    }
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = size ? arena_new(0) : NULL;
    uint64_t n;
    if (!a)
        return 0;
    struct slice s = slice_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        tile(a, s);
    else if (data[0] % 3 == 1)
        entries(a, s);
    else
        (void)ct_checkpoint_size(&n, s, NULL);
    arena_free(a);
    return 0;
}
