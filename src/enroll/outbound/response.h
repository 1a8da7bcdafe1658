/* enroll/outbound/response.h - what a server answers that is asked by the house: status, Location and the beginning of the body. Layer 5, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

enum { RESPONSE_LOCATION_MAX = 2048, RESPONSE_OCTETS_MAX = 64 << 10 };

struct response {
    int status;
    char location[RESPONSE_LOCATION_MAX + 1]; /* "" without one; longer ones are cut and `bad` */
    uint8_t *body;                            /* the caller's */
    size_t body_max, body_n;
    bool cut;      /* there was more than fits, which is passed over */
    bool complete; /* nothing further is needed */
};

struct response_reader;
/* A reader in memory of the caller's choosing: response_reader_size() octets. Of `out` body and body_max are set, the rest is filled. */
size_t response_reader_size(void);
void response_reader_init(struct response_reader *r, struct response *out);
/* Take octets as they come; empty: the peer has ended. TM_EMALFORMED, TM_ETOOBIG. */
tm_err response_read(struct response_reader *r, struct slice octets);

/* A URL that a redirect leads to (RFC 9110 10.2.2), relative ones against what was asked for. */
struct target {
    bool tls;
    char host[256];
    int port;
    char path[RESPONSE_LOCATION_MAX + 1]; /* with the query */
};
/* TM_EUNSUPPORTED for other schemes; TM_EMALFORMED. */
tm_err target_resolve(struct target *ret, const struct target *base, const char *location);
