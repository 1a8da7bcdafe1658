/* enroll/acme/link.h - a connection of a validation: plain or TLS, blocking up to the attempt's deadline. Layer 5, one thread each. */
#pragma once
#include "enroll/acme/validate.h"
#include <openssl/types.h>

struct link {
    struct attempt *attempt;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* Take over a connected descriptor. */
void link_init(struct link *l, struct attempt *t, int fd);
void link_done(struct link *l);
/* TLS 1.2 or newer as a client; the peer's certificate is not judged here. `sni` may be NULL; `alpn` is one protocol in wire form or empty. */
tm_err link_tls(struct link *l, const char *sni, struct slice alpn);
tm_err link_write(struct link *l, struct slice data);
/* At most `max` octets; 0 at the end. */
tm_err link_read(struct link *l, void *out, size_t max, size_t *ret_n);
