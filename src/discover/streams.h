/* discover/streams.h - TCP connections out of packets, and the certificates that TLS up to 1.2 shows in them.
 *
 * Layer 5, pure, one thread. Bounded: STREAMS_MAX connections and STREAMS_OCTETS at a time, for which the one that was quiet for longest makes room; of each
 * direction STREAM_OCTETS are put in order and looked through, which is more than a handshake takes. TLS 1.3 encrypts its certificates: such connections are
 * counted. After STARTTLS it is found where the first ServerHello or ClientHello stands. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

struct streams;

enum {
    STREAMS_MAX = 4096,
    STREAMS_OCTETS = 64 << 20, /* of all of them that are kept */
    STREAM_OCTETS = 256 << 10, /* of a direction that are looked at */
    STREAM_CHAIN_MAX = 16,
    STREAM_NAME_MAX = 255
};

struct stream_certs {
    char server[64], client[64]; /* addresses, IPv6 without brackets */
    int server_port;
    char name[STREAM_NAME_MAX + 1]; /* that the client asked for (SNI); "" none */
    int version;                    /* of the protocol: 0x0303 is TLS 1.2 */
    bool starttls;                  /* something was said in the clear before */
    bool of_client;                 /* the client's certificates, not the server's */
    int64_t at;                     /* unix ms; 0 not known */
    const struct slice *chain;
    size_t n_chain;
};
struct streams_counts {
    uint64_t packets, not_tcp, connections, tls, tls13, chains;
    size_t kept; /* octets, at this moment */
};

tm_err streams_new(struct streams **ret, void (*certs)(void *arg, const struct stream_certs *c), void *arg);
void streams_free(struct streams *s);
/* One packet of a kind of link (discover/capture.h). What can't be understood is passed over. */
void streams_packet(struct streams *s, int link, int64_t at, struct slice data);
void streams_counts_get(const struct streams *s, struct streams_counts *ret);
