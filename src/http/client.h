/* http/client.h - one blocking HTTP/1.1 exchange: over a unix socket, as the command line talks to the server of its own home, or over plain TCP for
 * what is signed itself, as the status-proxy fetches it, or over TLS. Layer 2.
 *
 * Body and answer go both ways at once, so that a server that answers while it still reads never waits for a client that only writes. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>

struct arena;

struct http_exchange {
    /* request */
    const char *method, *target;
    const char *content_type; /* NULL without a body */
    const char *accept;       /* NULL: any */
    struct slice body;
    const char *etag_known; /* If-None-Match; NULL or "": none */
    const char *date_known; /* If-Modified-Since; the same */
    const char *bearer;     /* a token for Authorization; NULL: none */
    /* Takes the body of an answer below 400 piece by piece instead of `out`; false ends the exchange. */
    bool (*write)(void *arg, struct slice data);
    void *write_arg;
    size_t max; /* of the answer in `out` */
    /* Seconds without an octet in either direction: while both sides talk (0: 60), and from the end of the request to the
     * beginning of the answer, in which the server works (0: 600). */
    unsigned idle_s, answer_s;

    unsigned total_s;          /* the whole exchange; 0: any time */
    const atomic_bool *cancel; /* ends it with TM_EUNAVAIL within a moment; NULL: nothing does */

    /* answer */
    int status;
    char type[128];               /* Content-Type, "" without one */
    char etag[128], modified[64]; /* ETag, Last-Modified; longer ones are left out */
    struct buf out;               /* buf_done() it */
};

/* TM_EUNAVAIL when nobody listens, TM_ETIMEOUT, TM_EIO when the answer ends early, TM_EMALFORMED, TM_ETOOBIG. */
tm_err http_unix_exchange(struct http_exchange *x, const char *socket_path, struct diag *diag);
/* The same over TCP; `host` is a name or an address. TM_EUNAVAIL also where the name is not known. */
tm_err http_tcp_exchange(struct http_exchange *x, const char *host, int port, struct diag *diag);
/* The same over TLS: the server's certificate must be for `host` and come from a CA of `ca_file` (PEM; NULL: whom the system trusts). TM_EAUTH: it does
 * not. */
tm_err http_tls_exchange(struct http_exchange *x, const char *host, int port, const char *ca_file,
                         struct diag *diag);
/* Is there a listener? */
bool http_unix_listens(const char *socket_path);
