/* When each list is due, and what was revoked since it was last made. */
#include "base/clock.h"
#include "issue/house.h"
#include "status/status_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t retry_first_ns = UINT64_C(4000000000), retry_most_ns = UINT64_C(60000000000);

/* ---- each list; the lock is held ---- */

static struct due *find_due(struct status *s, const struct authority *x, const char *scope)
{
    for (size_t i = 0; i < s->n_due; i++)
        if (s->due[i].tenant == x->tenant && strcmp(s->due[i].scope, scope) == 0 &&
            strcmp(s->due[i].authority, x->name) == 0)
            return &s->due[i];
    return NULL;
}

static struct due *add_due(struct status *s, const struct authority *x, const char *scope)
{
    struct due *d = find_due(s, x, scope);
    if (!d && s->n_due < DUES_MAX) {
        d = &s->due[s->n_due++];
        *d = (struct due){.tenant = x->tenant, .seen = true};
        snprintf(d->authority, sizeof d->authority, "%s", x->name);
        snprintf(d->scope, sizeof d->scope, "%s", scope);
    }
    return d;
}

/* What is made in a moment is never put off. */
static bool too_soon(const struct due *d)
{
    static const uint64_t moment_ns = 20000000;
    return d->took_ns >= moment_ns && clock_mono_ns() - d->made_ns < 20 * d->took_ns;
}

/* ---- from outside ---- */

int64_t status_due_at(struct house *h, const struct authority *x, const char *scope, int64_t every)
{
    struct status *s = h->status;
    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    struct due *d = find_due(s, x, scope);
    /* Another period since: what is remembered says nothing. */
    int64_t at = d && d->every == every ? d->at : 0;
    pthread_mutex_unlock(&s->lock);
    return at;
}

void status_due_set(struct house *h, const struct authority *x, const char *scope, int64_t every, int64_t at)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    struct due *d = add_due(s, x, scope);
    if (d) {
        d->every = every;
        d->at = at;
    }
    pthread_mutex_unlock(&s->lock);
}

void status_seen(struct house *h, const struct authority *x, const char *scope)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    struct due *d = find_due(s, x, scope);
    if (d)
        d->seen = true;
    pthread_mutex_unlock(&s->lock);
}

void status_drop_unseen(struct house *h)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->n_due; i-- > 0;) {
        if (!s->due[i].seen)
            s->due[i] = s->due[--s->n_due];
    }
    for (size_t i = 0; i < s->n_due; i++)
        s->due[i].seen = false;
    pthread_mutex_unlock(&s->lock);
}

void status_published(struct house *h, const struct authority *x, const char *scope, int64_t number,
                      uint64_t took_ns)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    struct due *d = add_due(s, x, scope);
    if (d) {
        d->number = number;
        d->every = 0; /* when it is due again is to be worked out */
        d->put_off = false;
        d->made_ns = clock_mono_ns();
        d->took_ns = took_ns;
    }
    pthread_mutex_unlock(&s->lock);
}

void status_outdated(struct house *h, const struct authority *x, const char *scope)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    struct due *d = find_due(s, x, scope);
    if (d)
        d->number = 0;
    pthread_mutex_unlock(&s->lock);
}

int64_t status_published_last(struct house *h, const struct authority *x, const char *scope)
{
    struct status *s = h->status;
    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    const struct due *d = find_due(s, x, scope);
    int64_t number = d ? d->number : 0;
    pthread_mutex_unlock(&s->lock);
    return number;
}

bool status_put_off(struct house *h, const struct authority *x, const char *scope)
{
    struct status *s = h->status;
    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    struct due *d = find_due(s, x, scope);
    bool put_off = d && too_soon(d);
    if (put_off) {
        d->put_off = true;
        d->number = 0; /* what changed meanwhile is not known any more */
    }
    pthread_mutex_unlock(&s->lock);
    return put_off;
}

static bool is_put_off(struct house *h, const struct authority *x, const char *scope, bool over)
{
    struct status *s = h->status;
    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    const struct due *d = find_due(s, x, scope);
    bool is = d && d->put_off && !(over && too_soon(d));
    pthread_mutex_unlock(&s->lock);
    return is;
}

bool status_put_off_over(struct house *h, const struct authority *x, const char *scope)
{
    return is_put_off(h, x, scope, true);
}

bool status_is_put_off(struct house *h, const struct authority *x, const char *scope)
{
    return is_put_off(h, x, scope, false);
}

void status_make_begin(struct house *h)
{
    if (h->status)
        pthread_mutex_lock(&h->status->making);
}

void status_make_end(struct house *h)
{
    if (h->status)
        pthread_mutex_unlock(&h->status->making);
}

/* ---- what was revoked or released since it was last published ---- */

bool crl_dirty_add(struct crl_dirty *d, tenant_id tenant, const char *authority, const char *list,
                   const uint8_t *id)
{
    if (d->all)
        return false;
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 64;
        struct crl_dirty_id *v = d->n < CRL_DIRTY_MAX ? realloc(d->v, cap * sizeof *v) : NULL;
        if (!v) {
            d->all = true;
            return false;
        }
        d->v = v;
        d->cap = cap;
    }
    struct crl_dirty_id *x = &d->v[d->n++];
    x->tenant = tenant;
    snprintf(x->authority, sizeof x->authority, "%s", authority);
    snprintf(x->list, sizeof x->list, "%s", list);
    memcpy(x->id, id, sizeof x->id);
    return true;
}

void status_dirty_put(struct house *h, tenant_id tenant, const char *authority, const char *list,
                      const uint8_t *id)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    crl_dirty_add(&s->dirty, tenant, authority, list, id);
    pthread_mutex_unlock(&s->lock);
}

/* All is looked at each hour, whoever says what has changed: what another process did, nobody has told this one. */
void status_dirty_take(struct house *h, struct crl_dirty *ret)
{
    static const uint64_t all_every = UINT64_C(3500) * 1000000000;
    struct status *s = h->status;
    uint64_t now = clock_mono_ns();
    /* First the clock: what began to be revoked before has been put here, if not in an earlier turn. */
    int64_t as_of_ms = under_way_as_of(&h->under_way);
    *ret = (struct crl_dirty){.all = true, .taken_ms = as_of_ms};
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    *ret = s->dirty;
    ret->taken_ms = as_of_ms;
    s->dirty = (struct crl_dirty){0};
    ret->all |= s->all_ns == 0 || now - s->all_ns > all_every;
    if (ret->all)
        s->all_ns = now;
    pthread_mutex_unlock(&s->lock);
}

void status_dirty_back(struct house *h, struct crl_dirty *d)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (d->all)
        s->dirty.all = true;
    for (size_t i = 0; i < d->n && !s->dirty.all; i++)
        crl_dirty_add(&s->dirty, d->v[i].tenant, d->v[i].authority, d->v[i].list, d->v[i].id);
    s->pause_ns = s->pause_ns ? 2 * s->pause_ns : retry_first_ns;
    s->pause_ns = s->pause_ns < retry_most_ns ? s->pause_ns : retry_most_ns;
    s->retry_ns = clock_mono_ns() + s->pause_ns;
    pthread_mutex_unlock(&s->lock);
}

void status_dirty_done(struct house *h)
{
    struct status *s = h->status;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->pause_ns = s->retry_ns = 0;
    pthread_mutex_unlock(&s->lock);
}

bool status_dirty_waits(struct house *h)
{
    struct status *s = h->status;
    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    bool waits = (s->dirty.all || s->dirty.n) && clock_mono_ns() >= s->retry_ns;
    pthread_mutex_unlock(&s->lock);
    return waits;
}
