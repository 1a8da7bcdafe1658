/* issue/scan_plan.h - what a scan is told to look at, as numbers: addresses, ports, names, exclusions, and where it may go at all.
 *
 * Layer 4, pure. Targets as people write them:
 *   192.0.2.1   192.0.2.0/24   192.0.2.1-192.0.2.50   2001:db8::/120   [2001:db8::1]:8443   www.example.org   www.example.org:8443-8450
 *   smtp://mail.example.org   dtls://192.0.2.1:5684
 * Ports: 443   8000-8010   smtp:2525   (a protocol's usual port speaks that protocol unless another is named: tls:25).
 * Everything that is to be looked at has a number below `total`, so that a scan is an order of numbers and a place in it. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "http/address.h"
#include "issue/scan_settings.h"
struct arena;

enum scan_protocol {
    SCAN_TLS,
    SCAN_DTLS,
    SCAN_SMTP,
    SCAN_IMAP,
    SCAN_POP3,
    SCAN_LDAP,
    SCAN_POSTGRES,
    SCAN_MYSQL,
    SCAN_XMPP,
    SCAN_PROTOCOLS
};
extern const char *const scan_protocol_names[SCAN_PROTOCOLS + 1];

enum {
    SCAN_PORTS_MAX = 65536,
    SCAN_NAMES_MAX = 256,
    SCAN_HOST_ADDRESSES = 4, /* of a host name that are looked at */
};
#define SCAN_TOTAL_MAX (UINT64_C(1) << 32)

struct scan_port {
    uint16_t port;
    uint8_t protocol; /* enum scan_protocol */
};
struct scan_span {
    unsigned octets; /* 4 or 16; 0: none */
    uint8_t first[16], last[16];
};
struct scan_item {
    const char *host; /* NULL: `span` */
    struct scan_span span;
    const struct scan_port *ports;
    size_t n_ports;
    const char *const *names; /* server names to ask for; NULL among them: none */
    size_t n_names;
    uint64_t first, count; /* its numbers */
};
struct scan_plan {
    struct scan_item *items;
    size_t n;
    uint64_t total;
    struct scan_span *exclude, *allow;
    size_t n_exclude, n_allow;
};

/* TM_EINVAL, TM_ETOOBIG: diag->field is a JSON pointer into the settings. TM_EFORBIDDEN: a range that is neither private nor allowed by name. */
tm_err scan_plan_make(struct scan_plan *ret, struct arena *a, const struct scan_settings *s,
                      struct diag *diag);

/* What a number stands for. Of a host, `slot` says which of its addresses. */
struct scan_spot {
    const struct scan_item *item;
    struct address address; /* of a span */
    unsigned slot;          /* of a host */
    struct scan_port port;
    const char *name; /* server name; NULL: none */
};
struct scan_spot scan_plan_at(const struct scan_plan *p, uint64_t number);
/* It is private or named, nothing that is no host's, and not excluded. */
bool scan_plan_allows(const struct scan_plan *p, const struct address *a);
bool scan_plan_excludes(const struct scan_plan *p, const struct address *a);
