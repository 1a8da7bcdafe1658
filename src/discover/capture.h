/* discover/capture.h - recorded network traffic: packets out of pcap and pcapng files.
 *
 * Layer 5, pure: octets are pushed in as they are read, packets come out. Bounded: a packet or block of more than CAPTURE_BLOCK_MAX octets ends it. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

enum { CAPTURE_BLOCK_MAX = 1 << 20, CAPTURE_INTERFACES_MAX = 64 };

/* Kinds of links whose packets are understood; numbers as the formats have them. */
enum capture_link {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_OLD = 12,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_COOKED = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_COOKED2 = 276,
};

struct capture {
    /* One packet; `at` unix ms, 0 not known. */
    void (*packet)(void *arg, int link, int64_t at, struct slice data);
    void *arg;
    uint64_t packets, blocks;
    /* under way */
    struct buf rest;
    int format; /* 0: not known yet */
    bool swapped, nanoseconds;
    int link; /* pcap's */
    struct capture_interface {
        int link;
        uint64_t units; /* a second */
    } interfaces[CAPTURE_INTERFACES_MAX];
    size_t n_interfaces;
};

void capture_init(struct capture *c, void (*packet)(void *arg, int link, int64_t at, struct slice data),
                  void *arg);
void capture_done(struct capture *c);
/* TM_EMALFORMED, TM_EUNSUPPORTED (no capture that is known), TM_ETOOBIG, TM_ENOMEM. */
tm_err capture_feed(struct capture *c, struct slice octets, struct diag *diag);
/* There is nothing more: TM_EMALFORMED where it ends within a packet. */
tm_err capture_end(struct capture *c, struct diag *diag);
