#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "issue/house.h"
#include "issue/jobs.h"

/* A turn drops so many at most, in commits of a batch each. */
enum { DROP_BATCH = 256, DROP_ROUNDS = 400 };

static tm_err drop_batch(struct house *h, size_t *ret_n, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read q = {
        .kind = READ_OBJECTS_OLD, .arena = a, .window_start = clock_now(), .limit = DROP_BATCH};
    tm_err e = store_read_now(h->store, &q);
    struct effect *v = e == TM_OK && q.n ? arena_calloc(a, q.n, sizeof *v) : NULL;
    for (size_t i = 0; v && i < q.n; i++)
        v[i] = (struct effect){.kind = EFFECT_OBJECT_DROP,
                               .tenant = q.objects[i].tenant,
                               .expected_version = -1,
                               .u.object.row = q.objects[i]};
    if (e != TM_OK)
        *diag = q.diag;
    else if (q.n)
        e = v ? house_commit(h, v, q.n, diag) : TM_ENOMEM;
    *ret_n = e == TM_OK ? q.n : 0;
    arena_free(a);
    return e;
}

/* What rooms keep of their own (orders, transactions, jobs, sessions …) leaves when its time is over. */
static tm_err retention(struct house *h, struct diag *diag)
{
    size_t total = 0, n = DROP_BATCH;
    for (int i = 0; i < DROP_ROUNDS && n == DROP_BATCH; i++) {
        TM_TRY(drop_batch(h, &n, diag));
        total += n;
    }
    if (total)
        log_info(NULL, "objects.retention", LOG_I("objects", (int64_t)total));
    return TM_OK;
}

const struct job objects_job = {.name = "objects.retention", .period_ms = 600 * 1000, .run = retention};
