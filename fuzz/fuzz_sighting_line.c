/* Sightings as agents report them, one line of JSON each. What is read is written and read back the same.
 * Parser: inventory/sighting_line.c -sighting_line_put inventory/place.c:place_name_valid */
#include "base/arena.h"
#include "base/buf.h"
#include "inventory/sighting_line.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    struct sighting s, back;
    json_t *doc = NULL, *again = NULL;
    struct diag diag = {0};
    struct buf line;
    if (!a)
        return 0;
    buf_init(&line, SIGHTING_LINE_MAX);
    if (sighting_line_read(&s, &doc, a, slice_of(data, size), &diag) == TM_OK) {
        if (s.n_chain > SIGHTING_CHAIN_MAX)
            abort();
        sighting_line_put(&line, s.place, s.at, NULL, s.chain, s.n_chain);
        if (buf_err(&line) == TM_OK &&
            sighting_line_read(&back, &again, a, buf_slice(&line), &diag) == TM_OK &&
            (strcmp(back.place, s.place) != 0 || back.at != s.at || back.n_chain != s.n_chain))
            abort();
    }
    json_decref(doc);
    json_decref(again);
    buf_done(&line);
    arena_free(a);
    return 0;
}
