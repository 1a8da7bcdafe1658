#include "policy/names.h"
#include "base/text.h"
#include "der/reader.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static bool is_alnum(uint8_t c)
{
    return is_alpha(c) || is_digit(c);
}
static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* ---- A-labels ---- */

enum { PUNY_BASE = 36, PUNY_TMIN = 1, PUNY_TMAX = 26, PUNY_SKEW = 38, PUNY_DAMP = 700, LABEL_MAX = 63 };

/* RFC 3492 6.1 */
static uint32_t puny_adapt(uint32_t delta, uint32_t points, bool first)
{
    delta = first ? delta / PUNY_DAMP : delta / 2;
    delta += delta / points;
    uint32_t k = 0;
    for (; delta > ((PUNY_BASE - PUNY_TMIN) * PUNY_TMAX) / 2; k += PUNY_BASE)
        delta /= PUNY_BASE - PUNY_TMIN;
    return k + (PUNY_BASE - PUNY_TMIN + 1) * delta / (delta + PUNY_SKEW);
}

/* RFC 3492 6.2, what follows "xn--". Code points into out[LABEL_MAX]; 0 on malformed input. */
static size_t puny_decode(uint32_t *out, struct slice in)
{
    size_t n = 0, at = 0;
    for (size_t i = in.n; i-- > 0;) {
        if (in.p[i] == '-') {
            if (i == 0) /* the delimiter stands only behind basic code points */
                return 0;
            for (; n < i; n++)
                out[n] = lower(in.p[n]);
            at = i + 1;
            break;
        }
    }
    uint32_t code = 128, i = 0, bias = 72;
    while (at < in.n) {
        uint32_t old = i, w = 1;
        for (uint32_t k = PUNY_BASE;; k += PUNY_BASE) {
            if (at == in.n)
                return 0;
            uint8_t c = lower(in.p[at++]);
            if (c == '-')
                return 0;
            uint32_t digit = is_digit(c) ? (uint32_t)(c - '0') + 26 : (uint32_t)(c - 'a');
            if (digit > (UINT32_MAX - i) / w)
                return 0;
            i += digit * w;
            uint32_t t = k <= bias ? PUNY_TMIN : k >= bias + PUNY_TMAX ? PUNY_TMAX : k - bias;
            if (digit < t)
                break;
            if (w > UINT32_MAX / (PUNY_BASE - t))
                return 0;
            w *= PUNY_BASE - t;
        }
        if (n == LABEL_MAX)
            return 0;
        bias = puny_adapt(i - old, (uint32_t)n + 1, old == 0);
        code += i / (uint32_t)(n + 1);
        i %= (uint32_t)(n + 1);
        if (code > 0x10FFFF)
            return 0;
        memmove(out + i + 1, out + i, (n - i) * sizeof *out);
        out[i++] = code;
        n++;
    }
    return n;
}

/* Scripts whose letters pass for each other's. Coarse blocks are enough: a label may use one of them. */
static unsigned script_of(uint32_t c)
{
    if (c < 0x80)
        return is_alpha((uint8_t)c) ? 1 : 0;
    if (c == 0xD7 || c == 0xF7)
        return 0;
    if ((c >= 0xC0 && c <= 0x24F) || (c >= 0x1E00 && c <= 0x1EFF))
        return 1;
    if ((c >= 0x370 && c <= 0x3FF) || (c >= 0x1F00 && c <= 0x1FFF))
        return 2;
    if (c >= 0x400 && c <= 0x52F)
        return 4;
    if (c >= 0x530 && c <= 0x58F)
        return 8;
    if (c >= 0x13A0 && c <= 0x13FF)
        return 16;
    return 0;
}

/* Code points that no U-label has (RFC 5892: controls, blanks, signs, upper-case forms, private use, compatibility forms). */
static bool code_point_refused(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } bad[] = {{0x80, 0xB6},       {0xB8, 0xDE},       {0xD7, 0xD7},     {0xF7, 0xF7},     {0x2000, 0x20CF},
               {0x2100, 0x2DDF},   {0x2E00, 0x2E7F},   {0x3000, 0x3004}, {0xA640, 0xA640}, {0xD800, 0xF8FF},
               {0xFB00, 0xFB1D},   {0xFE00, 0xFE1F},   {0xFE30, 0xFE72}, {0xFEFF, 0xFFFF}, {0x1D000, 0x1DFFF},
               {0x1F000, 0x1FFFF}, {0xE0000, 0x10FFFF}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (c >= bad[i].first && c <= bad[i].last)
            return true;
    return false;
}

static const char *a_label_check(struct slice label)
{
    uint32_t code[LABEL_MAX + 1];
    size_t n = puny_decode(code, slice_sub(label, 4, label.n));
    if (n == 0)
        return "has an A-label that does not decode (RFC 3492)";
    unsigned scripts = 0;
    bool beyond_ascii = false;
    for (size_t i = 0; i < n; i++) {
        if (code[i] >= 0x80)
            beyond_ascii = true;
        if (code_point_refused(code[i]))
            return "has an A-label with a character that internationalized names may not have (RFC 5892)";
        scripts |= script_of(code[i]);
    }
    if (!beyond_ascii)
        return "has an A-label that hides a plain ASCII label";
    if (scripts & (scripts - 1))
        return "has an A-label that mixes scripts which look alike";
    return NULL;
}

/* ---- DNS names ---- */

static const char *label_check(struct slice label)
{
    if (label.n == 0)
        return "has an empty label";
    if (label.n > LABEL_MAX)
        return "has a label of more than 63 octets";
    for (size_t i = 0; i < label.n; i++) {
        uint8_t c = label.p[i];
        if (is_alnum(c) || c == '-')
            continue;
        if (c >= 0x80)
            return "has octets beyond ASCII; internationalized names are written as A-labels (xn--)";
        if (c == '*')
            return "has a * that is not the whole first label";
        return "has a character other than letters, digits and hyphens";
    }
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return "has a label that begins or ends with a hyphen";
    if (label.n >= 4 && label.p[2] == '-' && label.p[3] == '-') {
        if (lower(label.p[0]) != 'x' || lower(label.p[1]) != 'n')
            return "has a reserved label (hyphens in the third and fourth place)";
        return a_label_check(label);
    }
    return NULL;
}

bool dns_name_is_wildcard(struct slice name)
{
    return name.n >= 2 && name.p[0] == '*' && name.p[1] == '.';
}

size_t dns_name_labels(struct slice name)
{
    size_t n = name.n > 0;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '.';
    return n;
}

const char *dns_name_check(struct slice name, bool wildcard)
{
    if (name.n == 0)
        return "is empty";
    if (name.n > 253)
        return "has more than 253 octets";
    if (name.p[name.n - 1] == '.')
        return "ends with a dot";
    if (dns_name_is_wildcard(name)) {
        if (!wildcard)
            return "is a wildcard, which is not allowed";
        name = slice_sub(name, 2, name.n);
        if (dns_name_labels(name) < 2)
            return "is a wildcard for a whole top-level domain";
    }
    size_t start = 0;
    bool numeric = false;
    for (size_t i = 0; i <= name.n; i++) {
        if (i < name.n && name.p[i] != '.')
            continue;
        struct slice label = slice_of(name.p + start, i - start);
        const char *why = label_check(label);
        if (why)
            return why;
        numeric = true;
        for (size_t j = 0; j < label.n && numeric; j++)
            numeric = is_digit(label.p[j]);
        start = i + 1;
    }
    return numeric ? "ends with an all-numeric label, as an address would" : NULL;
}

bool dns_name_under(struct slice name, struct slice suffix)
{
    if (suffix.n > 0 && suffix.p[0] == '.')
        suffix = slice_sub(suffix, 1, suffix.n);
    if (suffix.n == 0 || name.n < suffix.n)
        return false;
    if (!slice_caseeq(slice_sub(name, name.n - suffix.n, suffix.n), suffix))
        return false;
    return name.n == suffix.n || name.p[name.n - suffix.n - 1] == '.';
}

bool dns_name_is_internal(struct slice name)
{
    static const char *const zones[] = {"local",    "internal",    "lan",       "home", "corp",
                                        "intranet", "private",     "localhost", "test", "example",
                                        "invalid",  "localdomain", "onion",     "mail", "home.arpa"};
    if (dns_name_labels(name) < 2)
        return true;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (dns_name_under(name, slice_str(zones[i])))
            return true;
    return false;
}

/* ---- URIs ---- */

static bool uri_char(uint8_t c)
{
    return is_alnum(c) || (c && strchr("-._~:/?#[]@!$&'()*+,;=%", c));
}

static bool dot_segment(struct slice seg)
{
    /* "." and "..", also with dots written as %2e */
    size_t dots = 0, i = 0;
    while (i < seg.n) {
        if (seg.p[i] == '.') {
            i++;
        } else if (seg.n - i >= 3 && seg.p[i] == '%' && seg.p[i + 1] == '2' && lower(seg.p[i + 2]) == 'e') {
            i += 3;
        } else {
            return false;
        }
        dots++;
    }
    return dots == 1 || dots == 2;
}

static const char *uri_path_check(struct slice path)
{
    size_t start = 0;
    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/' && path.p[i] != '?' && path.p[i] != '#')
            continue;
        if (dot_segment(slice_of(path.p + start, i - start)))
            return "has a dot segment";
        if (i < path.n && path.p[i] != '/')
            return NULL;
        start = i + 1;
    }
    return NULL;
}

const char *uri_check(struct slice uri)
{
    if (uri.n == 0)
        return "is empty";
    if (uri.n > 2048)
        return "has more than 2048 octets";
    size_t colon = 0;
    while (colon < uri.n && (is_alnum(uri.p[colon]) || (colon && strchr("+-.", uri.p[colon]))))
        colon++;
    if (colon == 0 || colon == uri.n || uri.p[colon] != ':' || !is_alpha(uri.p[0]))
        return "does not begin with a scheme (RFC 3986 3.1)";
    if (colon + 1 == uri.n)
        return "has nothing behind its scheme";
    for (size_t i = 0; i < uri.n; i++) {
        if (!uri_char(uri.p[i]))
            return "has a character that URIs may not have (RFC 3986 2)";
        if (uri.p[i] == '%' && (uri.n - i < 3 || !strchr("0123456789abcdefABCDEF", uri.p[i + 1]) ||
                                !strchr("0123456789abcdefABCDEF", uri.p[i + 2])))
            return "has a % without two hex digits";
    }
    struct slice rest = slice_sub(uri, colon + 1, uri.n);
    if (rest.n >= 2 && rest.p[0] == '/' && rest.p[1] == '/') {
        size_t end = 2;
        while (end < rest.n && !strchr("/?#", rest.p[end]))
            end++;
        if (end == 2)
            return "has an empty host";
        if (memchr(rest.p, '@', end))
            return "has user information in front of its host";
        rest = slice_sub(rest, end, rest.n);
    }
    return uri_path_check(rest);
}

bool uri_has_prefix(struct slice uri, struct slice prefix)
{
    if (prefix.n == 0 || uri.n < prefix.n || memcmp(uri.p, prefix.p, prefix.n) != 0)
        return false;
    return uri.n == prefix.n || strchr("/:?#", prefix.p[prefix.n - 1]) || strchr("/:?#", uri.p[prefix.n]);
}

/* ---- mail addresses ---- */

struct slice email_domain(struct slice mail)
{
    for (size_t i = mail.n; i-- > 0;)
        if (mail.p[i] == '@')
            return slice_sub(mail, i + 1, mail.n);
    return (struct slice){0};
}

const char *email_check(struct slice mail)
{
    const uint8_t *at = mail.n ? memchr(mail.p, '@', mail.n) : NULL;
    if (!at)
        return "has no @";
    struct slice local = slice_sub(mail, 0, (size_t)(at - mail.p));
    if (local.n == 0 || local.n > 64)
        return "has a local part that is empty or longer than 64 octets";
    for (size_t i = 0; i < local.n; i++) {
        uint8_t c = local.p[i];
        bool dot = c == '.' && i > 0 && i + 1 < local.n && local.p[i - 1] != '.';
        if (!dot && !is_alnum(c) && (c == 0 || !strchr("!#$%&'*+-/=?^_`{|}~", c)))
            return "has a local part that is not a dot-atom (RFC 5322 3.2.3)";
    }
    return dns_name_check(slice_sub(mail, local.n + 1, mail.n), false);
}

/* ---- identifiers of hardware ---- */

const char *hardware_module_name_check(struct slice value)
{
    struct der_reader r, seq;
    struct slice type, serial = {0};
    der_reader_init(&r, value, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_oid(&seq, &type) != TM_OK ||
        der_read(&seq, DER_OCTET_STRING, &serial) != TM_OK || der_end(&seq) != TM_OK || der_end(&r) != TM_OK)
        return "is a hardwareModuleName that does not decode (RFC 4108)";
    if (serial.n == 0)
        return "is a hardwareModuleName with an empty serial number";
    return serial.n > 64 ? "is a hardwareModuleName with a serial number of more than 64 octets" : NULL;
}

const char *permanent_identifier_check(struct slice value)
{
    struct der_reader r, seq;
    struct slice text = {0}, assigner;
    der_reader_init(&r, value, NULL);
    TM_IGNORE(der_enter(&r, DER_SEQUENCE, &seq));
    if (r.err != TM_OK || der_read(&seq, DER_UTF8_STRING, &text) != TM_OK)
        return "is a permanentIdentifier without a value (RFC 4043)";
    if (!der_at_end(&seq))
        TM_IGNORE(der_read_oid(&seq, &assigner));
    if (der_end(&seq) != TM_OK || der_end(&r) != TM_OK)
        return "is a permanentIdentifier that does not decode (RFC 4043)";
    return text.n > 255 ? "is a permanentIdentifier of more than 255 octets" : text_check(text);
}

/* ---- text ---- */

const char *text_check(struct slice text)
{
    if (text.n == 0)
        return "is empty";
    if (text.p[0] == ' ' || text.p[text.n - 1] == ' ')
        return "begins or ends with a blank";
    for (struct slice rest = text; rest.n > 0;) {
        if (rest.p[0] >= 0x20 && rest.p[0] < 0x7f) {
            rest = (struct slice){rest.p + 1, rest.n - 1};
            continue;
        }
        size_t step = utf8_step(rest);
        if (step == 0)
            return "is not UTF-8";
        if (utf8_invisible(utf8_code(rest, step)))
            return "has a control or an invisible character";
        rest = slice_sub(rest, step, rest.n);
    }
    return NULL;
}

size_t text_length(struct slice utf8)
{
    size_t n = 0;
    for (size_t i = 0; i < utf8.n; i++)
        n += (utf8.p[i] & 0xc0) != 0x80;
    return n;
}

/* ---- globs ---- */

/* Length of the pattern element at `p`, and whether it matches c. */
static size_t glob_element(struct slice p, uint8_t c, bool *match)
{
    if (p.p[0] == '?') {
        *match = true;
        return 1;
    }
    if (p.p[0] != '[') {
        *match = p.p[0] == c;
        return 1;
    }
    *match = false;
    size_t i = 1;
    for (; i < p.n && p.p[i] != ']'; i++) {
        if (i + 2 < p.n && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
            *match |= c >= p.p[i] && c <= p.p[i + 2];
            i += 2;
        } else {
            *match |= c == p.p[i];
        }
    }
    return i < p.n ? i + 1 : i;
}

bool glob_match(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.n) {
        bool match = false;
        size_t n = 0;
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            mark = t;
            continue;
        }
        if (p < pattern.n)
            n = glob_element(slice_sub(pattern, p, pattern.n), text.p[t], &match);
        if (match) {
            p += n;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

const char *glob_check(struct slice pattern)
{
    bool open = false;
    size_t n = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        if (open && pattern.p[i] == ']') {
            if (n == 0)
                return "has an empty set []";
            open = false;
        } else if (open) {
            n++;
        } else if (pattern.p[i] == '[') {
            open = true;
            n = 0;
        } else if (pattern.p[i] == ']') {
            return "has a ] without its [";
        }
    }
    return open ? "has a [ without its ]" : NULL;
}

/* ---- networks ---- */

bool cidr_parse(struct cidr *ret, const char *text)
{
    char addr[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof addr)
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    struct cidr c = {0};
    if (inet_pton(AF_INET, addr, c.addr) == 1)
        c.family_octets = 4;
    else if (inet_pton(AF_INET6, addr, c.addr) == 1)
        c.family_octets = 16;
    else
        return false;
    c.prefix = c.family_octets * 8;
    if (slash) {
        char *end = NULL;
        if (!is_digit((uint8_t)slash[1]))
            return false;
        unsigned long v = strtoul(slash + 1, &end, 10);
        if (*end || v > c.prefix)
            return false;
        c.prefix = (unsigned)v;
    }
    /* Bits behind the prefix are a slip of the pen that would make the rule read wider than it is. */
    for (unsigned bit = c.prefix; bit < c.family_octets * 8; bit++)
        if (c.addr[bit / 8] & (0x80 >> bit % 8))
            return false;
    *ret = c;
    return true;
}

bool cidr_contains(const struct cidr *c, struct slice address)
{
    if (address.n != c->family_octets)
        return false;
    for (unsigned bit = 0; bit < c->prefix; bit++)
        if ((address.p[bit / 8] ^ c->addr[bit / 8]) & (0x80 >> bit % 8))
            return false;
    return true;
}
