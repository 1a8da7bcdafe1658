/* issue/under_way.h - revocations between their first look at the clock and the moment when all who publish know of them.
 *
 * Layer 4, thread-safe. Whoever says "as of" an instant what is revoked may say no later one than under_way_as_of(): everything that began before
 * it is durable, and told (house.h, on_status). They are counted in two heaps, the older of which runs empty while the younger grows, so
 * that a stream of them without end does not hold the instant back. */
#pragma once
#include <pthread.h>
#include <stdint.h>

struct under_way {
    pthread_mutex_t lock;
    unsigned n[2];
    int64_t since_ms[2];
    unsigned now; /* the heap that the next one joins */
};
void under_way_init(struct under_way *u);
void under_way_done(struct under_way *u);
/* Before the clock is read. The heap, for under_way_end(). */
unsigned under_way_begin(struct under_way *u);
void under_way_end(struct under_way *u, unsigned heap);
/* Unix ms. */
int64_t under_way_as_of(struct under_way *u);
