#include "finding/subjects.h"
#include "base/arena.h"
#include "finding/finding.h"
#include "issue/house.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1024, PAGE = 2000, MOST = 1 << 23 };

struct subjects {
    uint64_t *v; /* hashes, the lowest bit: seen; 0 free */
    size_t n, cap;
    bool overflow; /* too many to remember: anything may have some */
};

static uint64_t hash_of(const char *subject)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *subject; subject++)
        h = (h ^ (uint8_t)*subject) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
    return (h | 2) & ~UINT64_C(1);
}

static uint64_t *slot(uint64_t *v, size_t cap, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & (cap - 1);
    while (v[at] && (v[at] & ~UINT64_C(1)) != hash)
        at = (at + 1) & (cap - 1);
    return &v[at];
}

static tm_err add(struct subjects *s, uint64_t hash)
{
    if (s->overflow)
        return TM_OK;
    if (2 * s->n >= s->cap) {
        uint64_t *v = s->cap < MOST ? calloc(2 * s->cap, sizeof *v) : NULL;
        if (!v && s->cap < MOST)
            return TM_ENOMEM;
        s->overflow = !v;
        if (!v)
            return TM_OK;
        for (size_t i = 0; i < s->cap; i++)
            if (s->v[i])
                *slot(v, 2 * s->cap, s->v[i] & ~UINT64_C(1)) = s->v[i];
        free(s->v);
        s->v = v;
        s->cap *= 2;
    }
    uint64_t *at = slot(s->v, s->cap, hash);
    s->n += *at == 0;
    *at = hash;
    return TM_OK;
}

tm_err subjects_load(struct subjects **ret, uint64_t open[64], struct house *h, tenant_id tenant,
                     struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct subjects *s = calloc(1, sizeof *s);
    struct store_read q = {
        .kind = READ_OBJECTS, .tenant = tenant, .arena = a, .object_kind = OBJECT_FINDING, .limit = PAGE};
    char after[FINDING_ID_LEN + 1] = "";
    tm_err e = a && s && (s->v = calloc(FIRST, sizeof *s->v)) ? TM_OK : TM_ENOMEM;
    memset(open, 0, 64 * sizeof *open);
    if (e == TM_OK)
        s->cap = FIRST;
    do {
        if (e == TM_OK && (e = store_read_now(h->store, &q)) != TM_OK)
            *diag = q.diag;
        for (size_t i = 0; e == TM_OK && i < q.n; i++) {
            const struct finding_rule *r = NULL;
            enum finding_severity severity;
            if (q.objects[i].status == FINDING_GONE)
                continue;
            e = add(s, hash_of(q.objects[i].owner));
            if (e == TM_OK)
                e = finding_head(&r, &severity, &q.objects[i]);
            if (e == TM_OK && r)
                open[finding_rule_index(r)]++;
        }
        if (e == TM_OK && q.n && strlen(q.objects[q.n - 1].id) < sizeof after)
            memcpy(after, q.objects[q.n - 1].id, strlen(q.objects[q.n - 1].id) + 1);
        if (a)
            arena_reset(a);
        q.after = slice_str(after);
    } while (e == TM_OK && q.more);
    arena_free(a);
    if (e != TM_OK) {
        subjects_free(s);
        return e;
    }
    *ret = s;
    return TM_OK;
}

void subjects_free(struct subjects *s)
{
    if (s)
        free(s->v);
    free(s);
}

bool subjects_meet(struct subjects *s, const char *subject)
{
    uint64_t *at = slot(s->v, s->cap, hash_of(subject));
    bool there = *at != 0;
    if (there)
        *at |= 1;
    return there || s->overflow;
}

bool subjects_seen(const struct subjects *s, const char *subject)
{
    return s->overflow || (*slot(s->v, s->cap, hash_of(subject)) & 1);
}
