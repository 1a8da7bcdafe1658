/* discover/engine.h - many conversations at once: sockets on a libevent loop, at a polite pace, each with its deadlines.
 *
 * Layer 5. engine_run() blocks the thread that calls it, with a loop of its own; nothing else of the house waits for it. A target in flight is a small
 * state machine, and all that it keeps beyond OpenSSL's own is `struct talk` and what has come of a record that is not complete. */
#pragma once
#include "base/err.h"
#include "discover/talk.h"
#include "http/address.h"
#include <stdatomic.h>

enum { ENGINE_PARALLEL = 256, ENGINE_PARALLEL_MAX = 10000, ENGINE_CONNECT_MS = 4000, ENGINE_TALK_MS = 8000 };

struct engine_target {
    struct address address;
    uint16_t port;
    bool dtls;
    const struct starttls *starttls; /* NULL: TLS at once */
    const char *name;                /* server_name; lives until its result; NULL: none */
    uint64_t tag;                    /* the caller's */
};

/* Bits of engine_result.versions, also for what was asked about. */
enum { ENGINE_SSL3 = 1, ENGINE_TLS10 = 2, ENGINE_TLS11 = 4, ENGINE_TLS12 = 8, ENGINE_TLS13 = 16 };

struct engine_result {
    const struct engine_target *target;
    const struct tls_facts *facts; /* borrowed for the call */
    unsigned versions;             /* that it takes; 0 where that was not asked */
    int pq;                        /* does it have X25519MLKEM768? -1: not known */
    unsigned connections;          /* that it took */
};

struct engine_config {
    unsigned parallel;            /* connections at once; 0: ENGINE_PARALLEL */
    unsigned per_second;          /* new connections; 0: no limit */
    unsigned per_host_second;     /* the same, to one address; 0: no limit */
    unsigned connect_ms, talk_ms; /* 0: as above */
    bool versions;           /* ask each server which versions and groups it takes: six more connections */
    const char *const *alpn; /* offered where TLS begins at once; ended by NULL; NULL: none */
    const atomic_bool *over; /* set: it ends soon, without results for what is under way; NULL: nobody does */
    bool (*next)(void *arg, struct engine_target *ret); /* false: there are no more */
    void (*result)(void *arg, const struct engine_result *r);
    void (*turn)(void *arg); /* some ten times a second; may block for a while; NULL */
    void *arg;
};

struct engine_stats {
    uint64_t targets, connections;
    unsigned in_flight_max;
};

/* TM_OK also when it was ended by `over`. TM_EUNAVAIL: no loop or not one socket is to be had; TM_ENOMEM. */
tm_err engine_run(const struct engine_config *c, struct engine_stats *ret, struct diag *diag);
