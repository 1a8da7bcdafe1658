/* status/status_impl.h - what the process that serves keeps in memory about published lists: those that were asked for, when each is due, and what
 * was revoked since. Layer 4, private to status/. */
#pragma once
#include "status/crl_impl.h"
#include "status/scope.h"
#include <pthread.h>
#include <stdatomic.h>

enum { ENTRIES_MAX = 256, DUES_MAX = 4096 };

/* A CRL as it is served, shared by the cache and the replies under way. */
struct blob {
    atomic_uint refs;
    tenant_id tenant;
    char authority[64];
    char ski[64]; /* hex */
    char scope[CRL_LIST_NAME_MAX];
    char etag[40];
    int64_t this_update, next_update;
    uint64_t used; /* for eviction */
    int fd;        /* of a list that is too long for memory, `size` octets; -1 */
    uint64_t size;
    size_t n;
    uint8_t der[];
};

/* The next regular CRL of an authority. */
struct due {
    tenant_id tenant;
    char authority[64], scope[CRL_LIST_NAME_MAX];
    int64_t every, at;
    int64_t number; /* of the last one that was published here; 0: none */
    bool put_off, seen;
    uint64_t made_ns, took_ns;
};

struct status {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct blob *entries[ENTRIES_MAX];
    size_t n, octets;
    uint64_t clock, generation;
    unsigned in_flight;
    bool closing;
    struct due due[DUES_MAX];
    size_t n_due;
    struct crl_dirty dirty;
    uint64_t all_ns;   /* when all was last looked at */
    uint64_t retry_ns; /* before that nothing is tried again; `pause_ns` since it failed */
    uint64_t pause_ns;
    pthread_mutex_t making; /* one thread of the process makes lists at a time */
};
