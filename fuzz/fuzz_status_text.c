/* Paths of tiles, names of lists, identifiers of certificates, dates, entity tags and ranges as clients write them.
 * Parser: status/tile_path.c status/scope.c:crl_scope_name_valid issue/renewal.c:renewal_id_read http/date.c:http_date_parse status/conditional.c:etag_listed,http_range_parse,range_number */
#include "base/arena.h"
#include "http/date.h"
#include "issue/renewal.h"
#include "status/conditional.h"
#include "status/scope.h"
#include "status/tile_path.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Spelt in one way. */
static void look_at_id(const char *text)
{
    struct arena *a = arena_new(0);
    struct slice key_id;
    uint8_t id[CERT_SERIAL_LEN];
    char again[RENEWAL_ID_MAX];
    if (a && renewal_id_read(&key_id, id, a, text) == TM_OK &&
        (renewal_id_write(again, key_id, SLICE_ARR(id)) != TM_OK || strcmp(again, text) != 0))
        abort();
    arena_free(a);
}

/* A part lies within the whole. */
static void look_at_range(const char *text)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t from, n;
        if (http_range_parse(&from, &n, text, sizes[i]) == TM_OK &&
            (n == 0 || from >= sizes[i] || n > sizes[i] - from))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    unsigned level, width;
    uint64_t index;
    if (tile_path_parse(&level, &index, &width, text) == TM_OK && (level > 63 || width == 0 || width > 256))
        abort();
    int64_t t;
    if (http_date_parse(&t, text) == TM_OK) {
        char again[30];
        int64_t u;
        http_date_format(again, t);
        if (http_date_parse(&u, again) != TM_OK || u != t)
            abort();
    }
    if (crl_scope_name_valid(text) && (strlen(text) >= CRL_LIST_NAME_MAX || strchr(text, '/')))
        abort();
    look_at_id(text);
    look_at_range(text);
    (void)etag_listed(text, "\"0123456789abcdef\"");
    free(text);
    return 0;
}
