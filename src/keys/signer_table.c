#include "base/arena.h"
#include "keys/signer_client.h"
#include <stdlib.h>

static tm_err read_key(struct signer_key *ret, struct arena *a, struct proto_reader *r, struct diag *diag)
{
    struct slice id = proto_read_bytes(r, (size_t)proto_read_uint(r, 1));
    unsigned alg = (unsigned)proto_read_uint(r, 1);
    ret->bits = (unsigned)proto_read_uint(r, 4);
    struct slice spki = proto_read_bytes(r, (size_t)proto_read_uint(r, 4));
    struct slice json = proto_read_bytes(r, (size_t)proto_read_uint(r, 4));
    if (r->failed || alg >= KEY_ALG_COUNT)
        return TM_EMALFORMED;
    ret->alg = (enum key_alg)alg;
    ret->id = arena_strndup(a, (const char *)id.p, id.n);
    if (!ret->id)
        return TM_ENOMEM;
    TM_TRY(arena_copy(&ret->spki, a, spki));
    return envelope_from_json(&ret->env, a, json, diag);
}

tm_err signer_table_read(struct signer_table **ret, struct proto_reader *r, struct diag *diag)
{
    struct signer_table *t = calloc(1, sizeof *t);
    if (!t)
        return TM_ENOMEM;
    size_t n = (size_t)proto_read_uint(r, 2);
    t->arena = arena_new(64 << 20);
    t->keys = t->arena ? arena_calloc(t->arena, n + 1, sizeof *t->keys) : NULL;
    tm_err err = t->keys ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; err == TM_OK && i < n; i++, t->n++)
        err = read_key(&t->keys[i], t->arena, r, diag);
    if (err == TM_OK)
        err = proto_end(r);
    if (err != TM_OK) {
        arena_free(t->arena);
        free(t);
        return err;
    }
    *ret = t;
    return TM_OK;
}

void signer_table_publish(struct signer *s, struct signer_table *t)
{
    t->older = atomic_load(&s->table);
    atomic_store(&s->table, t);
}

void signer_tables_free(struct signer *s)
{
    for (struct signer_table *t = atomic_load(&s->table), *older; t; t = older) {
        older = t->older;
        arena_free(t->arena);
        free(t);
    }
}

const struct signer_key *signer_key_find(const struct signer *s, const char *id)
{
    const struct signer_table *t = atomic_load(&s->table);
    for (size_t i = 0; t && i < t->n; i++)
        if (strcmp(t->keys[i].id, id) == 0)
            return &t->keys[i];
    return NULL;
}
