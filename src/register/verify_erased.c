/* Erased events against their erasures: a row without contents has a later "register.erased" that names its place, leaf and type. */
#include "base/digest.h"
#include "register/internal.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };

struct erased_event {
    uint64_t pos;
    uint8_t what[15]; /* of the digest of leaf and type */
    bool told;
};

static tm_err what_of(uint8_t ret[15], const uint8_t leaf[MERKLE_HASH], struct slice type)
{
    uint8_t hash[SHA256_LEN];
    struct slice parts[] = {slice_of(leaf, MERKLE_HASH), type};
    TM_TRY(sha256_many(hash, parts, 2));
    memcpy(ret, hash, sizeof((struct erased_event *)0)->what);
    return TM_OK;
}

tm_err erased_note(struct erased_events *s, const struct event_row *e)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : FIRST_CAP;
        struct erased_event *v = reallocarray(s->v, cap, sizeof *v);
        if (!v)
            return TM_ENOMEM;
        s->v = v;
        s->cap = cap;
    }
    struct erased_event *x = &s->v[s->n++];
    *x = (struct erased_event){.pos = e->pos};
    return what_of(x->what, e->leaf, slice_str(e->type));
}

static int by_pos(const void *key, const void *entry)
{
    uint64_t pos = *(const uint64_t *)key, other = ((const struct erased_event *)entry)->pos;
    return pos < other ? -1 : pos > other;
}

tm_err erased_told(struct erased_events *s, struct slice body)
{
    uint64_t pos;
    uint8_t leaf[MERKLE_HASH], what[15];
    struct slice type;
    if (s->n == 0 || !event_find_number(&pos, body, "pos") || !event_find_hash(leaf, body, "leaf") ||
        !event_find_string(&type, body, "what"))
        return TM_OK;
    struct erased_event *x = bsearch(&pos, s->v, s->n, sizeof *s->v, by_pos); /* met in order */
    if (!x)
        return TM_OK;
    TM_TRY(what_of(what, leaf, type));
    x->told = x->told || memcmp(what, x->what, sizeof what) == 0;
    return TM_OK;
}

bool erased_untold(uint64_t *ret, const struct erased_events *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->v[i].told) {
            *ret = s->v[i].pos;
            return true;
        }
    return false;
}

void erased_done(struct erased_events *s)
{
    free(s->v);
    *s = (struct erased_events){0};
}
