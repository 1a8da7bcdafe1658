/* Where a validation may go. Whoever asks for a certificate chooses names, their addresses and redirects: without these rules the server
 * would be their hand inside the network. */
#include "base/clock.h"
#include "enroll/acme/resolve.h"
#include "enroll/acme/validate.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
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

bool reach_allowed(const struct acme_settings *s, const struct address *a)
{
    struct slice octets = slice_of(a->ip, a->family == ADDRESS_V4 ? 4 : 16);
    if (a->family != ADDRESS_V4 && a->family != ADDRESS_V6)
        return false;
    return !in_any(&octets, special, sizeof special / sizeof *special) ||
           in_any(&octets, s->validation.networks.v, s->validation.networks.n);
}

tm_err attempt_failed(struct attempt *t, enum acme_problem p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->detail, sizeof t->detail, fmt, ap);
    va_end(ap);
    t->problem = p;
    return TM_EDENIED;
}

/* ---- addresses of a host ---- */

static bool literal(struct address *ret, const char *host)
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

static tm_err look_up(struct address *ret, size_t *n, struct attempt *t, const char *host, int type)
{
    struct slice records[REACH_ADDRESSES_MAX];
    size_t count, size = type == RESOLVE_A ? 4 : 16;
    struct diag diag = {0};
    tm_err e = resolver_lookup(records, REACH_ADDRESSES_MAX, &count, t->arena, t->resolver, host, type,
                               t->deadline_ns, &diag);
    if (e != TM_OK)
        return attempt_failed(t, ACME_P_DNS, "%s", diag.message);
    for (size_t i = 0; i < count && *n < REACH_ADDRESSES_MAX; i++)
        if (records[i].n == size)
            ret[(*n)++] = size == 4 ? address_from_v4(records[i].p) : address_from_v6(records[i].p);
    return TM_OK;
}

tm_err reach_resolve(struct address *ret, size_t *ret_n, struct attempt *t, const char *host)
{
    struct address all[REACH_ADDRESSES_MAX];
    size_t n = 0, allowed = 0;
    char text[ADDRESS_TEXT_MAX] = "";
    if (literal(&all[0], host)) {
        n = 1;
    } else {
        /* One family is enough: servers that answer AAAA with an error are common. */
        tm_err v6 = look_up(all, &n, t, host, RESOLVE_AAAA);
        tm_err v4 = look_up(all, &n, t, host, RESOLVE_A);
        if (n == 0 && (v4 != TM_OK || v6 != TM_OK))
            return v4 != TM_OK ? v4 : v6;
        if (n == 0)
            return attempt_failed(t, ACME_P_DNS, "%s has no address", host);
    }
    for (size_t i = 0; i < n; i++) {
        if (reach_allowed(t->settings, &all[i]))
            ret[allowed++] = all[i];
        else
            address_format(text, &all[i]);
    }
    *ret_n = allowed;
    if (allowed)
        return TM_OK;
    t->final = true;
    return attempt_failed(t, ACME_P_CONNECTION, "%s leads to %s, where validations here do not go", host,
                          text);
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

bool reach_wait(const struct attempt *t, int fd, short events)
{
    return wait_until(fd, events, t->deadline_ns, t->over);
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

tm_err reach_connect(int *ret_fd, struct attempt *t, const struct address *v, size_t n, int port)
{
    int err = ETIMEDOUT;
    char text[ADDRESS_TEXT_MAX] = "";
    for (size_t i = 0; i < n; i++) {
        uint64_t now = clock_mono_ns();
        if (now >= t->deadline_ns)
            break;
        /* Each address gets its share of the time that is left. */
        uint64_t share = (t->deadline_ns - now) / (n - i);
        if (share < CONNECT_NS_MIN)
            share = CONNECT_NS_MIN;
        uint64_t until = now + share < t->deadline_ns ? now + share : t->deadline_ns;
        address_format(text, &v[i]);
        int fd = open_socket(&v[i], port, until, t->over, &err);
        if (fd >= 0) {
            *ret_fd = fd;
            return TM_OK;
        }
    }
    return attempt_failed(t, ACME_P_CONNECTION, "%s port %d: %s", text, port, strerror(err));
}
