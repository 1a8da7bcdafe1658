#include "discover/pace.h"
#include <stdlib.h>
#include <string.h>

enum { HOSTS = 1 << 16, WINDOW = 16 };

bool pace_init(struct pace *p, unsigned per_second, unsigned per_host_second, uint64_t now_ms)
{
    *p = (struct pace){.per_second = per_second, .at_ms = now_ms, .allowance = 1};
    p->host_ms = per_host_second ? 1000 / per_host_second : 0;
    if (p->host_ms)
        p->hosts = calloc(HOSTS, sizeof *p->hosts);
    return !p->host_ms || p->hosts;
}

void pace_done(struct pace *p)
{
    free(p->hosts);
    p->hosts = NULL;
}

bool pace_may(struct pace *p, uint64_t now_ms)
{
    if (!p->per_second)
        return true;
    double most = p->per_second > 2 ? (double)p->per_second / 2 : 1;
    p->allowance += (double)(now_ms - p->at_ms) * p->per_second / 1000;
    p->at_ms = now_ms;
    if (p->allowance > most)
        p->allowance = most;
    return p->allowance >= 1;
}

void pace_took(struct pace *p)
{
    if (p->per_second)
        p->allowance--;
}

/* Entries whose instant has passed are free. Where a whole window is taken, the one that is free first gives way. */
uint64_t pace_host(struct pace *p, const struct address *host, uint64_t now_ms)
{
    if (!p->hosts)
        return now_ms;
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof host->ip; i++)
        hash = (hash ^ host->ip[i]) * 0x100000001b3;
    hash ^= hash >> 29;
    struct pace_host *best = NULL;
    for (size_t i = 0; i < WINDOW; i++) {
        struct pace_host *h = &p->hosts[(hash + i) % HOSTS];
        if (h->next_ms && memcmp(h->ip, host->ip, sizeof h->ip) == 0) {
            best = h;
            break;
        }
        if (!best || h->next_ms < best->next_ms)
            best = h;
    }
    uint64_t at = now_ms;
    if (best->next_ms > now_ms && memcmp(best->ip, host->ip, sizeof best->ip) == 0)
        at = best->next_ms;
    memcpy(best->ip, host->ip, sizeof best->ip);
    best->next_ms = at + p->host_ms;
    return at;
}
