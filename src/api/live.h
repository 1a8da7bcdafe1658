/* api/live.h - what happens, as it happens: GET /api/v1/events/stream sends the register's events as server-sent events (WHATWG HTML 9.2).
 *
 * Layer 5. One thread looks what is new and hands it to the loops that hold the connections; a stream costs its connection and a few hundred
 * octets, and nothing waits for a client that doesn't read. Readers of the tenant get every event, owners those about their devices, their
 * certificates and their requests.
 *
 *   id: 41                                  the event's position: sent back as Last-Event-ID, the stream goes on behind it
 *   data: {"pos":41,"time":…,"type":…,"subject":…,"body":…}
 *
 *   event: ready                            the first of every stream: {"pos": what comes next}
 *   event: skipped                          too many at once, too long away, or too large: {"from":…,"to":…}; GET /register/events has them
 *
 * Who may read is asked again while a stream lasts: a token that ends, ends its streams. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdbool.h>
#include <stddef.h>
struct buf;
struct house;
struct http_request;
struct live;

enum {
    LIVE_MAX = 4096,            /* streams in all */
    LIVE_PRINCIPAL_MAX = 256,   /* of one principal in one tenant */
    LIVE_BATCH = 256,           /* events told one by one at a time; more are skipped */
    LIVE_EVENT_MAX = 128 << 10, /* octets of one that is told; a larger one is skipped */
    LIVE_TURN = 256 << 10,      /* octets told in one turn, beyond which the next one goes on */
    LIVE_BEAT_MS = 15000,       /* a comment, so that both ends see that the other is there */
    LIVE_CHECK_MS = 5000,       /* may it still read? */
    LIVE_LOOK_MS = 250,         /* how often the thread looks */
    LIVE_BEHIND_MAX =
        1
        << 20, /* octets that a client may leave unread before its stream is ended; it comes back with Last-Event-ID */
};

/* Before the server starts: h->live. */
tm_err live_start(struct house *h);
/* Before the server stops: ends every stream and the thread. No further stream begins. */
void live_stop(struct house *h);
/* After the house's pools have ended. */
void live_free(struct live *l);

/* How many streams there are. */
size_t live_count(const struct live *l);

/* The route's handler, on the loop. */
void live_begin(struct http_request *r);

/* One event as it is sent. */
void live_put_event(struct buf *out, const struct event_row *v);
/* Is it an owner's? What it is about is theirs (`owns`, asked with a device's id), or they asked for it. */
bool live_concerns(const struct event_row *v, const char *principal,
                   bool (*owns)(void *arg, const char *device), void *arg);
