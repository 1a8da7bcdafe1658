/* http/address.h - network addresses of peers, and the ranges that proxies are trusted from. Layer 1, pure. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <sys/socket.h>

/* IPv4-mapped IPv6 addresses are kept as IPv4, so that one peer has one form on a dual-stack listener. */
struct address {
    enum { ADDRESS_NONE, ADDRESS_V4, ADDRESS_V6, ADDRESS_UNIX } family;
    uint8_t ip[16]; /* the first 4 for IPv4; the uid in host order for unix sockets */
};

struct address_range {
    struct address base;
    unsigned bits;
};

enum { ADDRESS_TEXT_MAX = 48 };

struct address address_from_sockaddr(const struct sockaddr *sa);
struct address address_from_v4(const uint8_t ip[4]);
struct address address_from_v6(const uint8_t ip[16]);
struct address address_from_uid(uid_t uid);

/* "192.0.2.1", "2001:db8::1", "unix:1000" or "unknown". */
void address_format(char out[ADDRESS_TEXT_MAX], const struct address *a);
bool address_is_loopback(const struct address *a);

/* "10.0.0.0/8", "::1", or "unix" for every peer on a unix socket. TM_EINVAL with diag otherwise. */
tm_err address_range_parse(struct address_range *ret, const char *text, struct diag *diag);
bool address_range_holds(const struct address_range *r, const struct address *a);
