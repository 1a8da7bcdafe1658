/* discover/pace.h - when may the next connection be made, in all and to one host. Layer 5, pure: the clock is handed in. */
#pragma once
#include "http/address.h"
#include <stdbool.h>
#include <stdint.h>

struct pace_host {
    uint8_t ip[16];
    uint64_t next_ms;
};
struct pace {
    unsigned per_second;
    uint64_t host_ms; /* between two to one host; 0: no limit */
    double allowance;
    uint64_t at_ms;
    struct pace_host *hosts; /* NULL: no limit a host */
};

/* False: no memory. */
bool pace_init(struct pace *p, unsigned per_second, unsigned per_host_second, uint64_t now_ms);
void pace_done(struct pace *p);
/* May one more be made now? A half second's worth at most is made up for. */
bool pace_may(struct pace *p, uint64_t now_ms);
void pace_took(struct pace *p);
/* The instant from which a connection to this host may be made, which then is taken. */
uint64_t pace_host(struct pace *p, const struct address *host, uint64_t now_ms);
