/* discover/hellos.h - one direction of a TLS connection that others had: hellos and certificates, as far as they are in the clear.
 * Layer 5, pure, bounded: HELLOS_OCTETS are looked at, and no more than that is kept. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>

enum { HELLOS_OCTETS = 256 << 10, HELLOS_CHAIN_MAX = 16, HELLOS_NAME_MAX = 255 };

struct hello {
    bool of_server;
    bool behind;                    /* something was said before */
    int version;                    /* of a server's */
    char name[HELLOS_NAME_MAX + 1]; /* of a client's (RFC 6066 3); "" none, or one that is no plain name */
};
struct hellos_events {
    void (*hello)(void *arg, const struct hello *h);
    void (*chain)(void *arg, const struct slice *chain, size_t n); /* octets until it returns */
    void *arg;
};
struct hellos {
    struct buf in, messages; /* records; handshake messages out of them */
    size_t seen, passed;     /* octets so far; of those before the first hello */
    bool found;              /* the first hello: from there on it is TLS */
    bool of_server;
};

void hellos_init(struct hellos *h);
void hellos_done(struct hellos *h);
/* What it keeps. */
size_t hellos_octets(const struct hellos *h);
/* The next octets. False: nothing further is to be learned. */
bool hellos_feed(struct hellos *h, struct slice octets, const struct hellos_events *events);
