#include "http/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct address address_from_v4(const uint8_t ip[4])
{
    struct address a = {.family = ADDRESS_V4};
    memcpy(a.ip, ip, 4);
    return a;
}

struct address address_from_v6(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(ip, mapped, sizeof mapped) == 0)
        return address_from_v4(ip + 12);
    struct address a = {.family = ADDRESS_V6};
    memcpy(a.ip, ip, 16);
    return a;
}

struct address address_from_uid(uid_t uid)
{
    struct address a = {.family = ADDRESS_UNIX};
    memcpy(a.ip, &uid, sizeof uid);
    return a;
}

struct address address_from_sockaddr(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        uint8_t ip[4];
        memcpy(ip, &in.sin_addr, sizeof ip);
        return address_from_v4(ip);
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        return address_from_v6(in6.sin6_addr.s6_addr);
    }
    return (struct address){.family = ADDRESS_NONE};
}

void address_format(char out[ADDRESS_TEXT_MAX], const struct address *a)
{
    uid_t uid;
    switch (a->family) {
    case ADDRESS_V4:
        inet_ntop(AF_INET, a->ip, out, ADDRESS_TEXT_MAX);
        return;
    case ADDRESS_V6:
        inet_ntop(AF_INET6, a->ip, out, ADDRESS_TEXT_MAX);
        return;
    case ADDRESS_UNIX:
        memcpy(&uid, a->ip, sizeof uid);
        snprintf(out, ADDRESS_TEXT_MAX, "unix:%lu", (unsigned long)uid);
        return;
    case ADDRESS_NONE:
        break;
    }
    snprintf(out, ADDRESS_TEXT_MAX, "unknown");
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t v6[16] = {[15] = 1};
    switch (a->family) {
    case ADDRESS_V4:
        return a->ip[0] == 127;
    case ADDRESS_V6:
        return memcmp(a->ip, v6, sizeof v6) == 0;
    case ADDRESS_UNIX:
        return true;
    case ADDRESS_NONE:
        break;
    }
    return false;
}

static tm_err range_bits(unsigned *ret, const char *text, unsigned most)
{
    char *end;
    if (*text < '0' || *text > '9')
        return TM_EINVAL;
    unsigned long bits = strtoul(text, &end, 10);
    if (*end || bits > most)
        return TM_EINVAL;
    *ret = (unsigned)bits;
    return TM_OK;
}

tm_err address_range_parse(struct address_range *ret, const char *text, struct diag *diag)
{
    char ip[INET6_ADDRSTRLEN + 1];
    uint8_t raw[16];
    struct address_range r = {0};
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);

    if (strcmp(text, "unix") == 0) {
        ret->base = (struct address){.family = ADDRESS_UNIX};
        ret->bits = 0;
        return TM_OK;
    }
    if (n >= sizeof ip)
        return diag_fail(diag, TM_EINVAL, NULL, "trusted_proxies", "%s is not an address or a CIDR range",
                         text);
    memcpy(ip, text, n);
    ip[n] = '\0';
    if (inet_pton(AF_INET, ip, raw) == 1) {
        r.base = address_from_v4(raw);
        r.bits = 32;
    } else if (inet_pton(AF_INET6, ip, raw) == 1) {
        /* Not through address_from_v6(): the prefix length counts from the front of all 128 bits. */
        r.base.family = ADDRESS_V6;
        memcpy(r.base.ip, raw, 16);
        r.bits = 128;
    } else {
        return diag_fail(diag, TM_EINVAL, NULL, "trusted_proxies", "%s is not an address or a CIDR range",
                         text);
    }
    if (slash && range_bits(&r.bits, slash + 1, r.bits) != TM_OK)
        return diag_fail(diag, TM_EINVAL, NULL, "trusted_proxies", "%s has no valid prefix length", text);
    *ret = r;
    return TM_OK;
}

bool address_range_holds(const struct address_range *r, const struct address *a)
{
    if (r->base.family != a->family)
        return false;
    if (a->family == ADDRESS_UNIX)
        return true;
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->base.ip, a->ip, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return ((r->base.ip[whole] ^ a->ip[whole]) & mask) == 0;
}
