/* A query of the inventory: a test within the store's bounds, or a refusal with its place and a reason.
 * Parser: inventory/query.c inventory/query_term.c */
#include "base/arena.h"
#include "inventory/query.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_err owned(void *arg, enum owned_field field, const char *value, bool stars, struct arena *a,
                    struct cert_test *ret, struct diag *diag)
{
    (void)arg;
    (void)stars;
    (void)a;
    if (field >= OWNED_FIELDS || !value)
        abort();
    if (value && value[0] == '!')
        return diag_fail(diag, TM_EINVAL, NULL, "query", "nobody owns this");
    *ret = (struct cert_test){.kind = CERT_TEST_ANY};
    return TM_OK;
}

static size_t nodes(const struct cert_test *t, size_t depth)
{
    size_t n = 1;
    if (depth > CERT_TEST_DEPTH)
        abort();
    if (t->kind > CERT_TEST_NAME || (t->kind == CERT_TEST_NOT && t->n != 1) ||
        ((t->kind == CERT_TEST_TEXT || t->kind == CERT_TEST_NAME) && !t->text))
        abort();
    for (size_t i = 0; i < t->n; i++)
        n += nodes(&t->parts[i], depth + 1);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    const struct query_env env = {.now = 1795000000, .owned = size % 2 ? owned : NULL};
    struct cert_test t = {0};
    struct diag diag = {0};
    if (!a)
        return 0;
    tm_err e = query_parse(&t, a, slice_of(data, size), &env, &diag);
    if (e == TM_OK && nodes(&t, 0) > CERT_TEST_NODES)
        abort();
    if (e == TM_EINVAL && (!diag.message[0] || diag.offset > size))
        abort();
    arena_free(a);
    return 0;
}
