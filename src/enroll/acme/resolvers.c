#include "enroll/acme/resolvers.h"
#include "base/buf.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RESOLVERS_MAX = 16 };

struct known_resolver {
    char *key;
    struct resolver *resolver;
    unsigned users;
    uint64_t last_used; /* ns */
};

struct resolvers {
    pthread_mutex_t lock;
    struct known_resolver v[RESOLVERS_MAX];
    size_t n;
};

static char *resolver_key(const struct acme_settings *s)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    buf_puts(&b, s->validation.dnssec ? "dnssec" : "plain");
    for (size_t i = 0; i < s->validation.resolvers.n; i++)
        buf_printf(&b, " %s", s->validation.resolvers.v[i]);
    for (size_t i = 0; i < s->validation.insecure.n; i++)
        buf_printf(&b, " !%s", s->validation.insecure.v[i]);
    return buf_take(&b);
}

/* Lock held. A place for one more, perhaps by the one that was not used for longest; NULL: all are in use. */
static struct known_resolver *free_place(struct resolvers *v)
{
    struct known_resolver *oldest = NULL;
    if (v->n < RESOLVERS_MAX)
        return &v->v[v->n++];
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].users == 0 && (!oldest || v->v[i].last_used < oldest->last_used))
            oldest = &v->v[i];
    if (oldest) {
        resolver_free(oldest->resolver);
        free(oldest->key);
        *oldest = (struct known_resolver){.key = NULL};
    }
    return oldest;
}

tm_err resolvers_take(struct resolver **ret, struct resolvers *v, const struct acme_settings *s,
                      struct diag *diag)
{
    char *key = resolver_key(s);
    struct known_resolver *found = NULL;
    if (!key)
        return TM_ENOMEM;
    tm_err e = TM_OK;
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->n && !found; i++)
        if (v->v[i].key && strcmp(v->v[i].key, key) == 0)
            found = &v->v[i];
    if (!found) {
        found = free_place(v);
        e = found ? resolver_new(&found->resolver, s, diag)
                  : diag_fail(diag, TM_EUNAVAIL, NULL, "validation",
                              "more than %d sets of resolvers are in use", RESOLVERS_MAX);
        if (e == TM_OK) {
            found->key = key;
            key = NULL;
        }
    }
    if (e == TM_OK) {
        found->users++;
        *ret = found->resolver;
    }
    pthread_mutex_unlock(&v->lock);
    free(key);
    return e;
}

void resolvers_give(struct resolvers *v, const struct resolver *r)
{
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->n; i++) {
        if (v->v[i].resolver != r)
            continue;
        v->v[i].users--;
        v->v[i].last_used = clock_mono_ns();
    }
    pthread_mutex_unlock(&v->lock);
}

tm_err resolvers_new(struct resolvers **ret)
{
    struct resolvers *v = calloc(1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    pthread_mutex_init(&v->lock, NULL);
    *ret = v;
    return TM_OK;
}

void resolvers_free(struct resolvers *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n; i++) {
        resolver_free(v->v[i].resolver);
        free(v->v[i].key);
    }
    pthread_mutex_destroy(&v->lock);
    free(v);
}
