/* GeneralNames as text, out and back. The two forms agree: what general_name_print() writes, general_name_from_text() reads. */
#include "base/text.h"
#include "der/reader.h"
#include "x509/general_name.h"
#include "x509/internal.h"
#include "x509/name.h"
#include <arpa/inet.h>

static bool is_plain_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return s.n > 0;
}

/* Text as it is, where it is printable ASCII and cannot be taken for the hex form; else "#" and hex. */
static void print_octets(struct buf *out, struct slice s)
{
    if (s.n == 0 || (is_plain_text(s) && s.p[0] != '#')) {
        buf_put_slice(out, s);
    } else {
        buf_putc(out, '#');
        buf_put_hex(out, s);
    }
}

static void print_ip(struct buf *out, struct slice ip)
{
    char text[INET6_ADDRSTRLEN];
    if ((ip.n == 4 || ip.n == 16) && inet_ntop(ip.n == 4 ? AF_INET : AF_INET6, ip.p, text, sizeof text)) {
        buf_puts(out, text);
    } else if (ip.n == 8 || ip.n == 32) { /* address and mask of a name constraint */
        print_ip(out, slice_sub(ip, 0, ip.n / 2));
        buf_putc(out, '/');
        print_ip(out, slice_sub(ip, ip.n / 2, ip.n / 2));
    } else {
        buf_put_hex(out, ip);
    }
}

/* HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } (RFC 4108 5) */
static bool print_hw_module(struct buf *out, struct slice tlv)
{
    struct der_reader r, seq;
    struct slice type, serial;
    der_reader_init(&r, tlv, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_oid(&seq, &type) != TM_OK ||
        der_read(&seq, DER_OCTET_STRING, &serial) != TM_OK || der_end(&seq) != TM_OK)
        return false;
    buf_puts(out, "hardwareModuleName:");
    oid_print_dotted(out, type);
    buf_putc(out, ':');
    print_octets(out, serial);
    return true;
}

/* PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL } (RFC 4043 2) */
static bool print_permanent_id(struct buf *out, struct slice tlv)
{
    struct der_reader r, seq;
    struct slice id, assigner = {0};
    bool present;
    der_reader_init(&r, tlv, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK ||
        der_read_optional(&seq, DER_UTF8_STRING, &id, &present) != TM_OK)
        return false;
    if (!der_at_end(&seq) && der_read_oid(&seq, &assigner) != TM_OK)
        return false;
    if (der_end(&seq) != TM_OK)
        return false;
    buf_puts(out, "permanentIdentifier:");
    oid_print_dotted(out, assigner);
    buf_putc(out, ':');
    print_octets(out, id);
    return true;
}

static bool print_utf8(struct buf *out, const char *label, struct slice tlv)
{
    struct der_reader r;
    struct slice text;
    der_reader_init(&r, tlv, NULL);
    if (der_read(&r, DER_UTF8_STRING, &text) != TM_OK || !utf8_valid(text))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    buf_puts(out, label);
    buf_put_slice(out, text);
    return true;
}

static void print_other(struct buf *out, const struct general_name *gn)
{
    bool done = false;
    if (gn->other == OID_HW_MODULE_NAME)
        done = print_hw_module(out, gn->value);
    else if (gn->other == OID_PERMANENT_IDENTIFIER)
        done = print_permanent_id(out, gn->value);
    else if (gn->other == OID_UPN)
        done = print_utf8(out, "UPN:", gn->value);
    if (done)
        return;
    buf_puts(out, "otherName:");
    oid_print_dotted(out, gn->other_oid);
    buf_putc(out, ':');
    buf_put_hex(out, gn->value);
}

void general_name_print(struct buf *out, const struct general_name *gn)
{
    switch (gn->type) {
    case GN_OTHER:
        print_other(out, gn);
        return;
    case GN_EMAIL:
        buf_puts(out, "email:");
        buf_put_slice(out, gn->value);
        return;
    case GN_DNS:
        buf_puts(out, "DNS:");
        buf_put_slice(out, gn->value);
        return;
    case GN_URI:
        buf_puts(out, "URI:");
        buf_put_slice(out, gn->value);
        return;
    case GN_DIRECTORY:
        buf_puts(out, "dirName:");
        name_print_der(out, gn->value);
        return;
    case GN_IP:
        buf_puts(out, "IP:");
        print_ip(out, gn->value);
        return;
    case GN_RID:
        buf_puts(out, "RID:");
        oid_print_dotted(out, gn->value);
        return;
    case GN_X400:
        buf_puts(out, "x400Address:");
        break;
    case GN_EDI:
        buf_puts(out, "ediPartyName:");
        break;
    }
    buf_put_hex(out, gn->value);
}

static tm_err fail(struct diag *diag, const char *rule, struct slice text, const char *message)
{
    int n = text.n < 80 ? (int)text.n : 80;
    return diag_fail(diag, TM_EINVAL, rule, NULL, "\"%.*s\": %s", n, (const char *)text.p, message);
}

/* Letters, digits, hyphens (and the underscore that service names have) in labels of 1 to 63, one "*." in front at most
 * (RFC 1034 3.5, RFC 6125 6.4.3). */
static bool dns_ok(struct slice s)
{
    if (s.n > 2 && s.p[0] == '*' && s.p[1] == '.')
        s = slice_sub(s, 2, s.n);
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0, label = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (label == 0 || label > 63 || s.p[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        uint8_t c = s.p[i] | 0x20;
        bool alnum = (c >= 'a' && c <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9');
        if (!alnum && s.p[i] != '_' && (s.p[i] != '-' || label == 0))
            return false;
        label++;
    }
    return true;
}

static tm_err ip_from_text(struct slice *ret, struct arena *a, struct slice text)
{
    char z[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (text.n >= sizeof z || memchr(text.p, 0, text.n))
        return TM_EINVAL;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    size_t n = inet_pton(AF_INET, z, ip) == 1 ? 4 : inet_pton(AF_INET6, z, ip) == 1 ? 16 : 0;
    return n ? arena_copy(ret, a, slice_of(ip, n)) : TM_EINVAL;
}

/* "<dotted or nothing>:<rest>" */
static tm_err oid_and_rest(struct slice *ret_oid, struct slice *ret_rest, struct arena *a, struct slice text)
{
    const uint8_t *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    if (!colon)
        return TM_EINVAL;
    struct slice dotted = slice_of(text.p, (size_t)(colon - text.p));
    *ret_rest = slice_sub(text, dotted.n + 1, text.n);
    if (dotted.n == 0) {
        *ret_oid = (struct slice){0};
        return TM_OK;
    }
    return oid_from_dotted(ret_oid, a, dotted);
}

/* The inverse of print_octets(). */
static tm_err octets_from_text(struct slice *s, struct arena *a)
{
    return s->n && s->p[0] == '#' ? hex_decode(s, a, slice_sub(*s, 1, s->n)) : TM_OK;
}

static tm_err other_from_text(struct general_name *ret, struct arena *a, enum oid id, struct slice text)
{
    struct slice oid, rest;
    struct der_reader r;
    if (id == OID_UPN)
        return general_name_upn(ret, a, text);
    TM_TRY(oid_and_rest(&oid, &rest, a, text));
    if (id == OID_HW_MODULE_NAME || id == OID_PERMANENT_IDENTIFIER) {
        TM_TRY(octets_from_text(&rest, a));
        return id == OID_HW_MODULE_NAME ? general_name_hw_module(ret, a, oid, rest)
                                        : general_name_permanent_id(ret, a, rest, oid);
    }
    if (oid.n == 0)
        return TM_EINVAL;
    *ret = (struct general_name){.type = GN_OTHER, .other_oid = oid, .other = oid_find(oid)};
    TM_TRY(hex_decode(&ret->value, a, rest));
    der_reader_init(&r, ret->value, NULL);
    TM_TRY(der_skip(&r, der_peek(&r)));
    return der_end(&r);
}

static const struct prefix {
    const char *text;
    enum general_name_type type;
    enum oid other;
} prefixes[] = {
    {"DNS:", GN_DNS, OID_UNKNOWN},
    {"IP:", GN_IP, OID_UNKNOWN},
    {"URI:", GN_URI, OID_UNKNOWN},
    {"email:", GN_EMAIL, OID_UNKNOWN},
    {"dirName:", GN_DIRECTORY, OID_UNKNOWN},
    {"RID:", GN_RID, OID_UNKNOWN},
    {"UPN:", GN_OTHER, OID_UPN},
    {"hardwareModuleName:", GN_OTHER, OID_HW_MODULE_NAME},
    {"permanentIdentifier:", GN_OTHER, OID_PERMANENT_IDENTIFIER},
    {"otherName:", GN_OTHER, OID_UNKNOWN},
};

static const struct prefix *prefix_find(struct slice *text)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i].text);
        if (text->n >= n && slice_caseeq(slice_sub(*text, 0, n), slice_str(prefixes[i].text))) {
            *text = slice_trim(slice_sub(*text, n, text->n));
            return &prefixes[i];
        }
    }
    return NULL;
}

/* The name goes through its own encoding and the parser, so that text is held to what the wire is held to. */
static tm_err check(const struct general_name *gn, struct arena *a, struct diag *diag)
{
    struct general_names names;
    struct der_builder b;
    struct buf out;
    struct slice tlv;
    TM_TRY(arena_builder(&b, &out, a, gn->value.n + gn->other_oid.n + 5 * DER_HEAD_MAX));
    der_open(&b, DER_SEQUENCE);
    general_name_build(&b, gn);
    der_close(&b);
    TM_TRY(arena_builder_finish(&tlv, &b));
    tm_err e = general_names_parse(&names, a, tlv, diag);
    return e == TM_EMALFORMED ? TM_EINVAL : e;
}

tm_err general_name_from_text(struct general_name *ret, struct arena *a, struct slice text, struct diag *diag)
{
    text = slice_trim(text);
    struct slice whole = text, ip;
    const struct prefix *prefix = prefix_find(&text);
    struct general_name gn = {.type = prefix ? prefix->type : GN_DNS, .value = text};
    if (text.n == 0)
        return fail(diag, "RFC 5280 4.2.1.6", whole, "an empty name");
    if (!prefix && ip_from_text(&ip, a, text) == TM_OK) {
        *ret = (struct general_name){.type = GN_IP, .value = ip};
        return TM_OK;
    }
    switch (gn.type) {
    case GN_DNS:
        if (!dns_ok(text))
            return fail(diag, "RFC 1034 3.5", whole,
                        "not a DNS name; write other names as \"URI:…\", \"email:…\" or \"IP:…\"");
        break;
    case GN_IP:
        if (ip_from_text(&gn.value, a, text) != TM_OK)
            return fail(diag, "RFC 5280 4.2.1.6", whole, "not an IP address");
        break;
    case GN_DIRECTORY:
        TM_TRY(name_from_text(&gn.value, a, text, diag));
        break;
    case GN_RID:
        if (oid_from_dotted(&gn.value, a, text) != TM_OK)
            return fail(diag, "X.660", whole, "not an object identifier");
        break;
    case GN_OTHER:
        if (other_from_text(&gn, a, prefix ? prefix->other : OID_UNKNOWN, text) != TM_OK)
            return fail(diag, "RFC 5280 4.2.1.6", whole, "malformed otherName");
        break;
    default:
        break;
    }
    TM_TRY(check(&gn, a, diag));
    *ret = gn;
    return TM_OK;
}
