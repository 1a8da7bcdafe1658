#include "issue/scan_plan.h"
#include "base/arena.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const scan_protocol_names[SCAN_PROTOCOLS + 1] = {"tls",  "dtls",     "smtp",  "imap", "pop3",
                                                             "ldap", "postgres", "mysql", "xmpp", NULL};
/* By protocol; what stands first of a port says what is usual there. */
static const struct scan_port usual_ports[] = {
    {443, SCAN_TLS},  {5684, SCAN_DTLS}, {25, SCAN_SMTP},       {587, SCAN_SMTP},   {143, SCAN_IMAP},
    {110, SCAN_POP3}, {389, SCAN_LDAP},  {5432, SCAN_POSTGRES}, {3306, SCAN_MYSQL}, {5222, SCAN_XMPP},
};
enum { USUAL_PORTS = sizeof usual_ports / sizeof *usual_ports };

/* Where one may look without being told: RFC 1918, RFC 4193, and this machine. Link-local addresses are not among them, for
 * what answers there may be the cloud's own. */
static const char *const private_networks[] = {"10.0.0.0/8",  "172.16.0.0/12", "192.168.0.0/16",
                                               "127.0.0.0/8", "::1/128",       "fc00::/7"};
/* No host has one of these. */
static const char *const no_hosts[] = {"0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8"};

/* ---- spans of addresses ---- */

static bool literal(struct scan_span *ret, const char *text, size_t n, bool last)
{
    char copy[64];
    uint8_t raw[16];
    if (n == 0 || n >= sizeof copy)
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    unsigned octets = inet_pton(AF_INET, copy, raw) == 1 ? 4 : inet_pton(AF_INET6, copy, raw) == 1 ? 16 : 0;
    if (octets == 0 || (last && ret->octets != octets))
        return false;
    ret->octets = octets;
    memcpy(last ? ret->last : ret->first, raw, octets);
    return true;
}

static bool network(struct scan_span *ret, const char *text)
{
    struct cidr c;
    if (!cidr_parse(&c, text))
        return false;
    ret->octets = c.family_octets;
    memcpy(ret->first, c.addr, c.family_octets);
    memcpy(ret->last, c.addr, c.family_octets);
    for (unsigned bit = c.prefix; bit < c.family_octets * 8; bit++)
        ret->last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return true;
}

/* "192.0.2.1-50" too: the last octet of the last one. */
static bool span_parse(struct scan_span *ret, const char *text)
{
    const char *dash = strchr(text, '-');
    *ret = (struct scan_span){0};
    if (!dash)
        return network(ret, text);
    if (!literal(ret, text, (size_t)(dash - text), false))
        return false;
    if (ret->octets == 4 && strlen(dash + 1) <= 3 && strspn(dash + 1, "0123456789") == strlen(dash + 1) &&
        dash[1]) {
        long v = strtol(dash + 1, NULL, 10);
        memcpy(ret->last, ret->first, 4);
        ret->last[3] = (uint8_t)v;
        return v <= 255 && ret->last[3] >= ret->first[3];
    }
    return literal(ret, dash + 1, strlen(dash + 1), true) && memcmp(ret->first, ret->last, ret->octets) <= 0;
}

static bool within(const struct scan_span *inner, const struct scan_span *outer)
{
    return inner->octets == outer->octets && memcmp(inner->first, outer->first, inner->octets) >= 0 &&
           memcmp(inner->last, outer->last, inner->octets) <= 0;
}

static bool meets(const struct scan_span *a, const struct scan_span *b)
{
    return a->octets == b->octets && memcmp(a->first, b->last, a->octets) <= 0 &&
           memcmp(b->first, a->last, a->octets) <= 0;
}

static bool in_some(const struct scan_span *s, const char *const *texts, size_t n, bool whole)
{
    for (size_t i = 0; i < n; i++) {
        struct scan_span other = {0};
        if (network(&other, texts[i]) && (whole ? within(s, &other) : meets(s, &other)))
            return true;
    }
    return false;
}

/* How many addresses; SCAN_TOTAL_MAX + 1 for any number beyond. */
static uint64_t span_count(const struct scan_span *s)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < s->octets; i++) {
        count = count * 256 + s->last[i] - s->first[i];
        if (count > SCAN_TOTAL_MAX)
            return SCAN_TOTAL_MAX + 1;
    }
    return count + 1;
}

static struct address span_address(const struct scan_span *s, uint64_t offset)
{
    uint8_t ip[16];
    memcpy(ip, s->first, sizeof ip);
    for (unsigned i = s->octets; i-- > 0 && offset;) {
        offset += ip[i];
        ip[i] = (uint8_t)offset;
        offset >>= 8;
    }
    return s->octets == 4 ? address_from_v4(ip) : address_from_v6(ip);
}

static struct scan_span span_of(const struct address *a)
{
    struct scan_span s = {.octets = a->family == ADDRESS_V4 ? 4 : 16};
    memcpy(s.first, a->ip, s.octets);
    memcpy(s.last, a->ip, s.octets);
    return s;
}

static bool span_allowed(const struct scan_plan *p, const struct scan_span *s)
{
    if (in_some(s, no_hosts, sizeof no_hosts / sizeof *no_hosts, false))
        return false;
    for (size_t i = 0; i < p->n_allow; i++)
        if (within(s, &p->allow[i]))
            return true;
    return in_some(s, private_networks, sizeof private_networks / sizeof *private_networks, true);
}

bool scan_plan_excludes(const struct scan_plan *p, const struct address *a)
{
    struct scan_span s = span_of(a);
    for (size_t i = 0; i < p->n_exclude; i++)
        if (within(&s, &p->exclude[i]))
            return true;
    return false;
}

bool scan_plan_allows(const struct scan_plan *p, const struct address *a)
{
    struct scan_span s = span_of(a);
    return span_allowed(p, &s) && !scan_plan_excludes(p, a);
}

/* ---- ports ---- */

static int protocol_find(const char *name, size_t n)
{
    for (int i = 0; i < SCAN_PROTOCOLS; i++)
        if (strlen(scan_protocol_names[i]) == n && strncasecmp(name, scan_protocol_names[i], n) == 0)
            return i;
    return n == 5 && strncasecmp(name, "https", 5) == 0 ? SCAN_TLS : -1;
}

static int usual_protocol(unsigned port)
{
    for (size_t i = 0; i < USUAL_PORTS; i++)
        if (usual_ports[i].port == port)
            return usual_ports[i].protocol;
    return SCAN_TLS;
}

static uint16_t usual_port(int protocol)
{
    for (size_t i = 0; i < USUAL_PORTS; i++)
        if (usual_ports[i].protocol == protocol)
            return usual_ports[i].port;
    return 443;
}

struct ports {
    struct scan_port *v;
    size_t n;
};

static bool number(unsigned *ret, const char **text)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    unsigned long v = strtoul(*text, &end, 10);
    *text = end;
    *ret = (unsigned)v;
    return v > 0 && v < 65536;
}

/* [protocol ":"] port ["-" port]; `protocol` -1: what is usual there. False: it is none. */
static bool ports_add(struct ports *p, struct arena *a, const char *text, int protocol)
{
    unsigned from, to;
    const char *colon = strchr(text, ':');
    if (colon) {
        protocol = protocol_find(text, (size_t)(colon - text));
        if (protocol < 0)
            return false;
        text = colon + 1;
    }
    if (!number(&from, &text))
        return false;
    to = from;
    if (*text == '-') {
        text++;
        if (!number(&to, &text) || to < from)
            return false;
    }
    size_t n = to - from + 1;
    if (*text || p->n + n > SCAN_PORTS_MAX)
        return false;
    struct scan_port *v = arena_calloc(a, p->n + n, sizeof *v);
    if (!v)
        return false;
    if (p->n)
        memcpy(v, p->v, p->n * sizeof *v);
    for (unsigned port = from; port <= to; port++)
        v[p->n++] =
            (struct scan_port){(uint16_t)port, (uint8_t)(protocol < 0 ? usual_protocol(port) : protocol)};
    p->v = v;
    return true;
}

static tm_err read_ports(struct ports *ret, struct arena *a, const struct scan_settings *s, struct diag *diag)
{
    int protocol = s->starttls[0] ? protocol_find(s->starttls, strlen(s->starttls)) : -1;
    *ret = (struct ports){0};
    if (s->starttls[0] && protocol < 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/starttls",
                         "\"%s\" is not among tls, dtls, smtp, imap, pop3, ldap, postgres, mysql, xmpp",
                         s->starttls);
    for (size_t i = 0; i < s->ports.n; i++) {
        char at[32];
        snprintf(at, sizeof at, "/ports/%zu", i);
        if (!ports_add(ret, a, s->ports.v[i], protocol))
            return diag_fail(
                diag, arena_err(a) == TM_OK ? TM_EINVAL : arena_err(a), NULL, at,
                "\"%s\" is not a port, a range such as 8000-8010, or one with its protocol such as smtp:2525 "
                "(%d in all)",
                s->ports.v[i], SCAN_PORTS_MAX);
    }
    if (ret->n == 0) {
        struct scan_port *v = arena_calloc(a, 1, sizeof *v);
        if (!v)
            return TM_ENOMEM;
        *v = (struct scan_port){protocol < 0 ? 443 : usual_port(protocol),
                                (uint8_t)(protocol < 0 ? SCAN_TLS : protocol)};
        *ret = (struct ports){.v = v, .n = 1};
    }
    return TM_OK;
}

/* ---- targets ---- */

/* Cut "[v6]:port", "v4:port" and "name:port" in two; a bare IPv6 address has no port. NULL: it isn't closed. */
static const char *cut_port(char *text)
{
    char *colon = strrchr(text, ':'), *close = strchr(text, ']');
    if (*text == '[') {
        if (!close || (close[1] && close[1] != ':' && close[1] != '/'))
            return NULL;
        const char *port = close[1] == ':' ? close + 2 : "";
        memmove(text, text + 1, (size_t)(close - text - 1));
        close[-1] = '\0';
        return port;
    }
    if (!colon || strchr(text, ':') != colon)
        return "";
    *colon = '\0';
    return colon + 1;
}

static tm_err bad_target(struct diag *diag, const char *at, const char *text)
{
    return diag_fail(
        diag, TM_EINVAL, NULL, at,
        "\"%s\" is not an address, a range such as 10.0.0.0/24 or 10.0.0.1-10.0.0.9, or a host name, with or "
        "without a port and a protocol (smtp://host:25)",
        text);
}

static tm_err item_names(struct scan_item *x, struct arena *a, const struct scan_settings *s)
{
    const char **v = arena_calloc(a, s->names.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    v[x->n_names++] = x->host;
    for (size_t i = 0; i < s->names.n; i++)
        if (!x->host || strcasecmp(x->host, s->names.v[i]) != 0)
            v[x->n_names++] = s->names.v[i];
    x->names = v;
    return TM_OK;
}

static tm_err item_where(struct scan_item *x, const struct scan_plan *p, const char *text, const char *whole,
                         const char *at, struct diag *diag)
{
    if (span_parse(&x->span, text)) {
        if (span_allowed(p, &x->span))
            return TM_OK;
        if (in_some(&x->span, no_hosts, sizeof no_hosts / sizeof *no_hosts, false))
            return diag_fail(diag, TM_EINVAL, NULL, at, "%s holds addresses that no host has", whole);
        return diag_fail(diag, TM_EFORBIDDEN, "scan.allow", at,
                         "%s is not private: name its network in `allow` (--allow), if it is yours to scan",
                         text);
    }
    const char *why = dns_name_check(slice_str(text), false);
    /* No host is called like a range that was mistyped. */
    if (why || text[strspn(text, "0123456789.-/")] == '\0')
        return bad_target(diag, at, whole);
    x->host = text;
    return TM_OK;
}

static tm_err add_item(struct scan_plan *p, struct arena *a, const struct scan_settings *s,
                       const struct ports *usual, size_t i, struct diag *diag)
{
    char at[32];
    const char *whole = s->targets.v[i], *scheme = strstr(whole, "://");
    int protocol = scheme ? protocol_find(whole, (size_t)(scheme - whole)) : -1;
    char *text = arena_strdup(a, scheme ? scheme + 3 : whole);
    struct scan_item *x = &p->items[p->n];
    struct ports own = {0};
    snprintf(at, sizeof at, "/targets/%zu", i);
    if (!text)
        return TM_ENOMEM;
    size_t n = strlen(text);
    if (scheme && n && text[n - 1] == '/')
        text[n - 1] = '\0';
    const char *port = cut_port(text);
    if (!port || (scheme && protocol < 0))
        return bad_target(diag, at, whole);
    TM_TRY(item_where(x, p, text, whole, at, diag));
    if (!port[0] && scheme) {
        char only[8];
        snprintf(only, sizeof only, "%u", usual_port(protocol));
        port = arena_strdup(a, only);
        if (!port)
            return TM_ENOMEM;
    }
    if (port[0] && (strchr(port, ':') || !ports_add(&own, a, port, protocol)))
        return bad_target(diag, at, whole);
    x->ports = port[0] ? own.v : usual->v;
    x->n_ports = port[0] ? own.n : usual->n;
    TM_TRY(item_names(x, a, s));
    uint64_t addresses = x->host ? SCAN_HOST_ADDRESSES : span_count(&x->span);
    x->first = p->total;
    if (addresses > SCAN_TOTAL_MAX || addresses * x->n_ports > SCAN_TOTAL_MAX / x->n_names ||
        p->total + addresses * x->n_ports * x->n_names > SCAN_TOTAL_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, at,
                         "a scan looks at 4,294,967,296 targets at most: divide it");
    x->count = addresses * x->n_ports * x->n_names;
    p->total += x->count;
    p->n++;
    return TM_OK;
}

static tm_err read_spans(struct scan_span **ret, size_t *ret_n, struct arena *a,
                         const struct json_strings *texts, const char *path, struct diag *diag)
{
    struct scan_span *v = arena_calloc(a, texts->n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < texts->n; i++) {
        char at[32];
        snprintf(at, sizeof at, "/%s/%zu", path, i);
        if (!span_parse(&v[i], texts->v[i]))
            return diag_fail(diag, TM_EINVAL, NULL, at,
                             "\"%s\" is not an address or a range such as 10.0.0.0/24", texts->v[i]);
    }
    *ret = v;
    *ret_n = texts->n;
    return TM_OK;
}

tm_err scan_plan_make(struct scan_plan *ret, struct arena *a, const struct scan_settings *s,
                      struct diag *diag)
{
    struct scan_plan p = {0};
    struct ports usual;
    if (s->targets.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/targets", "a scan looks at one target at least");
    if (s->names.n > SCAN_NAMES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/names", "more than %d names", SCAN_NAMES_MAX);
    for (size_t i = 0; i < s->names.n; i++) {
        const char *why = dns_name_check(slice_str(s->names.v[i]), false);
        char at[32];
        snprintf(at, sizeof at, "/names/%zu", i);
        if (why)
            return diag_fail(diag, TM_EINVAL, NULL, at, "\"%s\" %s", s->names.v[i], why);
    }
    TM_TRY(read_spans(&p.exclude, &p.n_exclude, a, &s->exclude, "exclude", diag));
    TM_TRY(read_spans(&p.allow, &p.n_allow, a, &s->allow, "allow", diag));
    TM_TRY(read_ports(&usual, a, s, diag));
    p.items = arena_calloc(a, s->targets.n, sizeof *p.items);
    if (!p.items)
        return TM_ENOMEM;
    for (size_t i = 0; i < s->targets.n; i++)
        TM_TRY(add_item(&p, a, s, &usual, i, diag));
    *ret = p;
    return TM_OK;
}

struct scan_spot scan_plan_at(const struct scan_plan *p, uint64_t number)
{
    size_t from = 0, to = p->n;
    while (to - from > 1) {
        size_t middle = from + (to - from) / 2;
        *(p->items[middle].first <= number ? &from : &to) = middle;
    }
    const struct scan_item *x = &p->items[from];
    uint64_t k = number - x->first;
    struct scan_spot s = {.item = x, .port = x->ports[k % x->n_ports]};
    k /= x->n_ports;
    s.name = x->names[k % x->n_names];
    k /= x->n_names;
    if (x->host)
        s.slot = (unsigned)k;
    else
        s.address = span_address(&x->span, k);
    return s;
}
