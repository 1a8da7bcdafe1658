/* Name constraints (RFC 5280 4.2.1.10): decode, and check a name against them. */
#include "der/reader.h"
#include "x509/ext.h"
#include "x509/internal.h"
#include "x509/name.h"

static const char rule[] = "RFC 5280 4.2.1.10";

/* RFC 5280 4.2.1.10: an address and a mask; a mask that is no prefix has no meaning to the authors of the rule (RFC 4632). */
static bool mask_ok(struct slice ip)
{
    bool ended = false;
    if (ip.n != 8 && ip.n != 32)
        return false;
    for (size_t i = ip.n / 2; i < ip.n; i++) {
        uint8_t inverse = (uint8_t)~ip.p[i];
        if ((ended && ip.p[i]) || (inverse & (inverse + 1)))
            return false;
        ended |= ip.p[i] != 0xff;
    }
    return true;
}

/* GeneralSubtrees ::= SEQUENCE SIZE (1..MAX) OF GeneralSubtree
 * GeneralSubtree ::= SEQUENCE { base GeneralName, minimum [0] BaseDistance DEFAULT 0, maximum [1] BaseDistance OPTIONAL } */
static tm_err subtrees_read(struct general_names *ret, struct arena *a, struct der_reader *list)
{
    size_t n = 0;
    for (struct der_reader count = *list; !der_at_end(&count); n++) {
        TM_TRY(der_skip(&count, DER_SEQUENCE));
        if (n == GENERAL_NAMES_MAX)
            return der_reject(list, TM_ETOOBIG, NULL, "nameConstraints", "more than 128 subtrees");
    }
    if (n == 0)
        return der_reject(list, TM_EMALFORMED, rule, "nameConstraints", "an empty list of subtrees");
    struct general_name *v = arena_calloc(a, n, sizeof *v);
    if (!v)
        return arena_failed(a);
    for (size_t i = 0; i < n; i++) {
        struct der_reader seq;
        TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
        TM_TRY(general_name_read(&v[i], &seq));
        if (v[i].type == GN_IP && !mask_ok(v[i].value))
            return der_reject(&seq, TM_EMALFORMED, rule, "nameConstraints",
                              "an IP address without a proper mask");
        if (!der_at_end(
                &seq)) /* "the minimum MUST be zero, and maximum MUST be absent", and DER leaves a default out */
            return der_reject(&seq, TM_EMALFORMED, rule, "nameConstraints", "minimum or maximum present");
    }
    TM_TRY(der_end(list));
    *ret = (struct general_names){.v = v, .n = n};
    return TM_OK;
}

/* NameConstraints ::= SEQUENCE { permittedSubtrees [0] GeneralSubtrees OPTIONAL, excludedSubtrees [1] GeneralSubtrees OPTIONAL } */
tm_err ext_decode_name_constraints(struct name_constraints *ret, struct arena *a, struct slice value,
                                   struct diag *diag)
{
    struct der_reader r, seq, list;
    struct name_constraints nc = {0};
    bool permitted, excluded;
    der_reader_init(&r, value, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(0), &list, &permitted));
    if (permitted)
        TM_TRY(subtrees_read(&nc.permitted, a, &list));
    TM_TRY(der_enter_optional(&seq, DER_CONTEXT_CONS(1), &list, &excluded));
    if (excluded)
        TM_TRY(subtrees_read(&nc.excluded, a, &list));
    if (!permitted && !excluded)
        return der_reject(&seq, TM_EMALFORMED, rule, "nameConstraints", "an empty sequence");
    TM_TRY(der_end(&seq));
    TM_TRY(der_end(&r));
    *ret = nc;
    return TM_OK;
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.n >= end.n && slice_caseeq(slice_sub(s, s.n - end.n, end.n), end);
}

/* `host` is `domain` or below it. A leading dot asks for below. */
static bool dns_within(struct slice host, struct slice domain)
{
    if (domain.n == 0)
        return true;
    if (domain.p[0] == '.')
        return host.n > domain.n && ends_with(host, domain);
    if (host.n == domain.n)
        return slice_caseeq(host, domain);
    return host.n > domain.n && ends_with(host, domain) && host.p[host.n - domain.n - 1] == '.';
}

/* For mailboxes and URIs a constraint without a leading dot is that host alone. */
static bool host_within(struct slice host, struct slice domain)
{
    return domain.n && domain.p[0] == '.' ? dns_within(host, domain) : slice_caseeq(host, domain);
}

static bool email_within(struct slice mailbox, struct slice base)
{
    const uint8_t *at = mailbox.n ? memrchr(mailbox.p, '@', mailbox.n) : NULL;
    if (!at)
        return false;
    if (base.n == 0)
        return true;
    size_t local = (size_t)(at - mailbox.p);
    struct slice host = slice_sub(mailbox, local + 1, mailbox.n);
    const uint8_t *base_at = memrchr(base.p, '@', base.n);
    if (!base_at)
        return host_within(host, base);
    size_t base_local = (size_t)(base_at - base.p);
    return slice_eq(slice_sub(mailbox, 0, local), slice_sub(base, 0, base_local)) &&
           slice_caseeq(host, slice_sub(base, base_local + 1, base.n));
}

static const uint8_t *find_char(struct slice s, int c)
{
    return s.n ? memchr(s.p, c, s.n) : NULL;
}

/* The host of scheme://userinfo@host:port/…; empty without an authority or where the host is an IP literal. */
static struct slice uri_host(struct slice uri)
{
    const uint8_t *colon = find_char(uri, ':');
    if (!colon)
        return (struct slice){0};
    struct slice s = slice_sub(uri, (size_t)(colon - uri.p) + 1, uri.n);
    if (s.n < 2 || s.p[0] != '/' || s.p[1] != '/')
        return (struct slice){0};
    s = slice_sub(s, 2, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (strchr("/?#", s.p[i])) {
            s.n = i;
            break;
        }
    const uint8_t *at = s.n ? memrchr(s.p, '@', s.n) : NULL;
    if (at)
        s = slice_sub(s, (size_t)(at - s.p) + 1, s.n);
    if (s.n && s.p[0] == '[')
        return (struct slice){0};
    const uint8_t *port = find_char(s, ':');
    if (port)
        s.n = (size_t)(port - s.p);
    return s;
}

static bool ip_within(struct slice ip, struct slice base)
{
    if (base.n != 2 * ip.n)
        return false;
    for (size_t i = 0; i < ip.n; i++)
        if ((ip.p[i] ^ base.p[i]) & base.p[ip.n + i])
            return false;
    return true;
}

static bool directory_within(struct slice tlv, struct slice base)
{
    struct name n, prefix;
    return name_parse(&n, tlv, NULL) == TM_OK && name_parse(&prefix, base, NULL) == TM_OK &&
           name_starts_with(&n, &prefix);
}

static bool within(const struct general_name *gn, const struct general_name *base)
{
    switch (gn->type) {
    case GN_DNS:
        return dns_within(gn->value, base->value);
    case GN_EMAIL:
        return email_within(gn->value, base->value);
    case GN_URI:
        return host_within(uri_host(gn->value), base->value);
    case GN_IP:
        return ip_within(gn->value, base->value);
    case GN_DIRECTORY:
        return directory_within(gn->value, base->value);
    default:
        return false;
    }
}

/* "*.a.example" would also be "x.a.example": an excluded name that the wildcard can stand for excludes the wildcard. */
static bool wildcard_covers(const struct general_name *gn, const struct general_name *base)
{
    if (gn->type != GN_DNS || gn->value.n < 2 || gn->value.p[0] != '*' || gn->value.p[1] != '.')
        return false;
    struct slice host = base->value;
    if (host.n && host.p[0] == '.')
        host = slice_sub(host, 1, host.n);
    const uint8_t *dot = find_char(host, '.');
    return dot && slice_caseeq(slice_sub(host, (size_t)(dot - host.p), host.n),
                               slice_sub(gn->value, 1, gn->value.n));
}

static bool is_understood(enum general_name_type type)
{
    return type == GN_DNS || type == GN_EMAIL || type == GN_URI || type == GN_IP || type == GN_DIRECTORY;
}

static tm_err deny(const struct general_name *gn, struct diag *diag, const char *why)
{
    struct buf text;
    buf_init(&text, 512);
    general_name_print(&text, gn);
    tm_err e = diag_fail(diag, TM_EDENIED, rule, "nameConstraints", "%s %s", buf_str(&text), why);
    buf_done(&text);
    return e;
}

tm_err name_constraints_check(const struct name_constraints *nc, const struct general_name *gn,
                              struct diag *diag)
{
    bool limited = false, permitted = false;
    for (size_t i = 0; i < nc->permitted.n; i++) {
        if (nc->permitted.v[i].type != gn->type)
            continue;
        limited = true;
        permitted |= within(gn, &nc->permitted.v[i]);
    }
    /* "either process the constraint or reject the certificate": of the forms that we don't know nothing is permitted */
    if (limited && !permitted)
        return deny(gn, diag, "is outside every permitted subtree");
    for (size_t i = 0; i < nc->excluded.n; i++) {
        const struct general_name *base = &nc->excluded.v[i];
        if (base->type != gn->type)
            continue;
        /* A URI without a host cannot be shown to lie outside. */
        bool hostless = gn->type == GN_URI && uri_host(gn->value).n == 0;
        if (!is_understood(gn->type) || hostless || within(gn, base) || wildcard_covers(gn, base))
            return deny(gn, diag, "is in an excluded subtree");
    }
    return TM_OK;
}
