#include "enroll/outbound/reach.h"
#include "base/clock.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_NS_MIN = 500000000, LOOK_MS = 200 };

/* IANA's special-purpose registries (RFC 6890): none of these is a server on the public Internet. Forms of IPv6 that carry an IPv4
 * address are among them, for they would be a way around. */
static const char *const special[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",   "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",    "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",  "224.0.0.0/4",    "240.0.0.0/4",
    "::/96",         "::ffff:0:0/96",   "::ffff:0:0:0/96", "64:ff9b::/96",   "64:ff9b:1::/48",
    "100::/64",      "2001::/23",       "2001:db8::/32",   "2002::/16",      "3fff::/20",
    "5f00::/16",     "fc00::/7",        "fe80::/10",       "fec0::/10",      "ff00::/8",
};

static bool in_any(const struct slice *address, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct cidr c;
        if (cidr_parse(&c, texts[i]) && cidr_contains(&c, *address))
            return true;
    }
    return false;
}

bool reach_allowed(const struct json_strings *networks, const struct address *a)
{
    struct slice octets = slice_of(a->ip, a->family == ADDRESS_V4 ? 4 : 16);
    if (a->family != ADDRESS_V4 && a->family != ADDRESS_V6)
        return false;
    return !in_any(&octets, special, sizeof special / sizeof *special) ||
           in_any(&octets, networks->v, networks->n);
}

bool reach_literal(struct address *ret, const char *host)
{
    uint8_t octets[16];
    if (inet_pton(AF_INET, host, octets) == 1)
        *ret = address_from_v4(octets);
    else if (inet_pton(AF_INET6, host, octets) == 1)
        *ret = address_from_v6(octets);
    else
        return false;
    return true;
}

/* ---- getting there ---- */

static bool wait_until(int fd, short events, uint64_t deadline_ns, const atomic_bool *over)
{
    for (;;) {
        uint64_t now = clock_mono_ns();
        struct pollfd p = {.fd = fd, .events = events};
        if (now >= deadline_ns || (over && atomic_load(over)))
            return false;
        int ms = (int)((deadline_ns - now) / 1000000 + 1);
        int rc = poll(&p, 1, over && ms > LOOK_MS ? LOOK_MS : ms);
        if (rc > 0)
            return true;
        if (rc < 0 && errno != EINTR)
            return false;
    }
}

bool reach_wait(const struct reach *r, int fd, short events)
{
    return wait_until(fd, events, r->deadline_ns, r->over);
}

static int open_socket(const struct address *a, int port, uint64_t deadline_ns, const atomic_bool *over,
                       int *ret_errno)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to = {0};
    socklen_t n = a->family == ADDRESS_V4 ? sizeof to.v4 : sizeof to.v6;
    if (a->family == ADDRESS_V4) {
        to.v4.sin_family = AF_INET;
        to.v4.sin_port = htons((uint16_t)port);
        memcpy(&to.v4.sin_addr, a->ip, 4);
    } else {
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_port = htons((uint16_t)port);
        memcpy(&to.v6.sin6_addr, a->ip, 16);
    }
    int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err = 0;
    if (fd < 0) {
        *ret_errno = errno;
        return -1;
    }
    if (connect(fd, &to.sa, n) != 0)
        err = errno;
    if (err == EINPROGRESS) {
        socklen_t size = sizeof err;
        err = ETIMEDOUT;
        if (wait_until(fd, POLLOUT, deadline_ns, over))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
    }
    if (err == 0)
        return fd;
    close(fd);
    *ret_errno = err;
    return -1;
}

tm_err reach_connect(int *ret_fd, struct reach *r, const struct address *v, size_t n, int port)
{
    int err = ETIMEDOUT;
    char text[ADDRESS_TEXT_MAX] = "";
    for (size_t i = 0; i < n; i++) {
        uint64_t now = clock_mono_ns();
        if (now >= r->deadline_ns)
            break;
        /* Each address gets its share of the time that is left. */
        uint64_t share = (r->deadline_ns - now) / (n - i);
        if (share < CONNECT_NS_MIN)
            share = CONNECT_NS_MIN;
        uint64_t until = now + share < r->deadline_ns ? now + share : r->deadline_ns;
        address_format(text, &v[i]);
        int fd = open_socket(&v[i], port, until, r->over, &err);
        if (fd >= 0) {
            *ret_fd = fd;
            return TM_OK;
        }
    }
    snprintf(r->why, sizeof r->why, "%s port %d: %s", text, port, strerror(err));
    return TM_EUNAVAIL;
}
