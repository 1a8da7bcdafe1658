#include "identity/token_use.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "identity/rows.h"
#include "issue/house.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 4096, KEEP = 400 * 86400 };

struct use {
    int64_t at;
    const char *peer;
};
static const struct json_field use_schema[] = {
    JSON_FIELD(struct use, at, JSON_K_INT, .required = true),
    JSON_FIELD(struct use, peer, JSON_K_STRING, .def = ""),
    {0},
};

/* What was written lately: a token's place follows from its hash, the newer one takes it. */
static struct {
    pthread_mutex_t lock;
    struct {
        uint8_t key[8];
        int64_t at;
    } v[PLACES];
} lately = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_time(tenant_id tenant, const char *id, int64_t now)
{
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {slice_of(&tenant, sizeof tenant), slice_str(id)};
    if (sha256_many(hash, parts, 2) != TM_OK)
        return false;
    size_t i = ((unsigned)hash[8] << 8 | hash[9]) % PLACES;
    pthread_mutex_lock(&lately.lock);
    bool yes = memcmp(lately.v[i].key, hash, sizeof lately.v[i].key) != 0 ||
               now - lately.v[i].at >= TOKEN_USE_EACH || now < lately.v[i].at;
    if (yes) {
        memcpy(lately.v[i].key, hash, sizeof lately.v[i].key);
        lately.v[i].at = now;
    }
    pthread_mutex_unlock(&lately.lock);
    return yes;
}

void token_used(struct house *h, tenant_id tenant, const char *id, const char *peer)
{
    int64_t now = clock_now();
    if (h->mode == HOUSE_READ || !is_time(tenant, id, now))
        return;
    struct arena *a = arena_new(0);
    struct effect effect;
    struct diag diag = {0};
    struct object_row row = {.tenant = tenant,
                             .kind = OBJECT_TOKEN_USE,
                             .id = id,
                             .owner = "",
                             .key = "",
                             .ref = "",
                             .status = 1,
                             .created_at = now,
                             .keep_until = now + KEEP,
                             .version = -1};
    /* Nobody's request fails because this can't be written. */
    if (a && row_put(&effect, a, &row,
                     json_pack("{s:I,s:s}", "at", (json_int_t)now, "peer", peer ? peer : "")) == TM_OK)
        TM_IGNORE(house_commit(h, &effect, 1, &diag));
    arena_free(a);
}

tm_err token_last_use(int64_t *ret_at, const char **ret_peer, struct arena *a, struct house *h,
                      tenant_id tenant, const char *id)
{
    struct object_row row;
    struct use u = {0};
    TM_TRY(row_read(&row, &u, use_schema, a, h, tenant, OBJECT_TOKEN_USE, id, NULL));
    *ret_at = u.at;
    *ret_peer = u.peer;
    return TM_OK;
}
