#include "discover/scans_record.h"
#include "base/arena.h"
#include "base/clock.h"
#include <string.h>

/* A chain has 64 KiB at most, and few have a twentieth of that: the batch is full when its arena is half full. */
enum { ARENA_MAX = 16 << 20, ARENA_FULL = 8 << 20 };

bool scan_record_init(struct scan_record *r, struct house *h, struct run *run)
{
    *r = (struct scan_record){.house = h, .run = run, .arena = arena_new(ARENA_MAX)};
    return r->arena != NULL;
}

static void forget(struct scan_record *r)
{
    for (size_t i = 0; i < r->n; i++)
        json_decref(r->details[i]);
    r->n = 0;
    arena_reset(r->arena);
}

void scan_record_done(struct scan_record *r)
{
    if (!r->arena)
        return;
    forget(r);
    arena_free(r->arena);
    r->arena = NULL;
}

bool scan_record_full(const struct scan_record *r)
{
    return r->n == RECORD_BATCH || arena_used(r->arena) >= ARENA_FULL;
}

tm_err scan_record_add(struct scan_record *r, const struct scan_result *x)
{
    char place[SCAN_PLACE_MAX];
    if (x->address->family == ADDRESS_NONE || x->facts->failure == TLS_FAIL_NOT_ALLOWED ||
        x->facts->failure == TLS_FAIL_LOCAL)
        return TM_OK; /* that says nothing of the place */
    struct slice *chain = arena_calloc(r->arena, x->facts->n_chain + 1, sizeof *chain);
    scan_place(place, x);
    const char *name = arena_strdup(r->arena, place);
    if (!chain || !name)
        return TM_ENOMEM;
    for (size_t i = 0; i < x->facts->n_chain; i++)
        TM_TRY(arena_copy(&chain[i], r->arena, x->facts->chain[i]));
    json_t *details = scan_details(x);
    if (!details)
        return TM_ENOMEM;
    r->details[r->n] = details;
    r->v[r->n++] = (struct sighting){.place = name,
                                     .via = "scan",
                                     .run = r->run->id,
                                     .at = clock_now_ms(),
                                     .details = details,
                                     .chain = chain,
                                     .n_chain = x->facts->n_chain};
    return TM_OK;
}

tm_err scan_record_flush(struct scan_record *r, struct sightings_taken *ret, struct diag *diag)
{
    *ret = (struct sightings_taken){0};
    if (r->n == 0)
        return TM_OK;
    tm_err e = sightings_take(r->house, r->run->tenant, r->run->by, r->v, r->n, ret, diag);
    forget(r);
    return e;
}
