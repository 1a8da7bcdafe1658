/* discover/starttls.h - how services that begin in clear are asked for TLS: one row a protocol.
 *
 * Layer 5, pure. A step is given all that the service has said since the last one, and says how much of it is used up. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

enum { STARTTLS_OCTETS_MAX = 16 << 10, STARTTLS_LINE_MAX = 4096 };

enum starttls_state {
    STARTTLS_MORE,    /* it hasn't finished speaking */
    STARTTLS_SENT,    /* the next step waits for the answer to what was put out */
    STARTTLS_READY,   /* TLS begins, now that what was put out is sent */
    STARTTLS_REFUSED, /* it has no TLS; *hint says how it said so */
    STARTTLS_FOREIGN, /* it speaks another protocol */
};

struct starttls {
    const char *name;
    uint16_t port;
    bool speaks_first; /* the service does; else step 0 is asked with nothing */
    enum starttls_state (*step)(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint);
};
extern const struct starttls starttls_smtp, starttls_imap, starttls_pop3, starttls_ldap, starttls_postgres,
    starttls_mysql, starttls_xmpp;
extern const struct starttls *const starttls_protocols[]; /* ended by NULL */
const struct starttls *starttls_find(const char *name);
