#include "issue/under_way.h"
#include "base/clock.h"

void under_way_init(struct under_way *u)
{
    *u = (struct under_way){.now = 0};
    pthread_mutex_init(&u->lock, NULL);
}

void under_way_done(struct under_way *u)
{
    pthread_mutex_destroy(&u->lock);
}

unsigned under_way_begin(struct under_way *u)
{
    pthread_mutex_lock(&u->lock);
    unsigned other = 1 - u->now;
    if (u->n[u->now] && u->n[other] == 0)
        u->now = other;
    if (u->n[u->now]++ == 0)
        u->since_ms[u->now] = clock_now_ms();
    unsigned heap = u->now;
    pthread_mutex_unlock(&u->lock);
    return heap;
}

void under_way_end(struct under_way *u, unsigned heap)
{
    pthread_mutex_lock(&u->lock);
    u->n[heap]--;
    pthread_mutex_unlock(&u->lock);
}

int64_t under_way_as_of(struct under_way *u)
{
    int64_t at = clock_now_ms();
    pthread_mutex_lock(&u->lock);
    for (int i = 0; i < 2; i++)
        if (u->n[i] && u->since_ms[i] < at)
            at = u->since_ms[i];
    pthread_mutex_unlock(&u->lock);
    return at;
}
