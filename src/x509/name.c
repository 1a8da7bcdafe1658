#include "x509/name.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"

/* How an attribute's value is written, and its upper bound in characters (RFC 5280 appendix A.1, X.520). */
enum kind { TEXT, PRINTABLE, IA5 };

static const struct attr_rule {
    enum oid id;
    const char *key; /* RFC 4514 section 3 key, or one that people use; NULL: the table's name */
    enum kind kind;
    unsigned ub;
    bool prints_key; /* the key is RFC 4514's own */
} attr_rules[] = {
    {OID_CN, "CN", TEXT, 64, true},
    {OID_O, "O", TEXT, 64, true},
    {OID_OU, "OU", TEXT, 64, true},
    {OID_C, "C", PRINTABLE, 2, true},
    {OID_ST, "ST", TEXT, 128, true},
    {OID_L, "L", TEXT, 128, true},
    {OID_STREET, "STREET", TEXT, 128, true},
    {OID_DC, "DC", IA5, 63, true},
    {OID_UID, "UID", TEXT, 256, true},
    {OID_SERIAL_NUMBER, NULL, PRINTABLE, 64, false},
    {OID_DN_QUALIFIER, NULL, PRINTABLE, 64, false},
    {OID_EMAIL, "E", IA5, 255, false},
    {OID_SURNAME, "SN", TEXT, 40, false},
    {OID_GIVEN_NAME, "GN", TEXT, 64, false},
    {OID_TITLE, NULL, TEXT, 64, false},
    {OID_PSEUDONYM, NULL, TEXT, 128, false},
    {OID_JURISDICTION_C, NULL, PRINTABLE, 2, false},
    {OID_POSTAL_CODE, NULL, TEXT, 40, false},
};
enum { UB_OTHER = 1024 };

static const struct attr_rule *attr_rule_find(enum oid id)
{
    for (size_t i = 0; i < sizeof attr_rules / sizeof *attr_rules; i++)
        if (attr_rules[i].id == id)
            return &attr_rules[i];
    return NULL;
}

static bool is_string_tag(unsigned tag)
{
    switch (tag) {
    case DER_UTF8_STRING:
    case DER_PRINTABLE_STRING:
    case DER_IA5_STRING:
    case DER_NUMERIC_STRING:
    case DER_VISIBLE_STRING:
    case DER_T61_STRING:
    case DER_BMP_STRING:
    case DER_UNIVERSAL_STRING:
        return true;
    default:
        return false;
    }
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* X.680 41.4. */
static bool is_printable_char(uint32_t c)
{
    return c < 0x80 && c != 0 && (is_alnum((uint8_t)c) || strchr(" '()+,-./:=?", (int)c));
}

/* The next character of a string of type `tag`; *s moves past it. False where the octets are none of that type. NUL is refused in all:
 * it has ended names early in too many programs. */
static bool next_char(unsigned tag, struct slice *s, uint32_t *ret)
{
    size_t step = 1;
    uint32_t c = s->p[0];
    switch (tag) {
    case DER_UTF8_STRING:
        if (c >= 0x80) {
            step = utf8_step(*s);
            if (step < 2)
                return false;
            c &= 0x7fu >> step;
            for (size_t i = 1; i < step; i++)
                c = c << 6 | (s->p[i] & 0x3f);
        }
        break;
    case DER_BMP_STRING:
        step = 2;
        if (s->n < 2)
            return false;
        c = c << 8 | s->p[1];
        if (c >= 0xd800 && c <= 0xdfff) /* surrogates: the Basic Multilingual Plane has none */
            return false;
        break;
    case DER_UNIVERSAL_STRING:
        step = 4;
        if (s->n < 4)
            return false;
        c = c << 24 | (uint32_t)s->p[1] << 16 | (uint32_t)s->p[2] << 8 | s->p[3];
        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        break;
    case DER_PRINTABLE_STRING:
        if (!is_printable_char(c))
            return false;
        break;
    case DER_NUMERIC_STRING:
        if (c != ' ' && (c < '0' || c > '9'))
            return false;
        break;
    case DER_VISIBLE_STRING:
        if (c < 0x20 || c > 0x7e)
            return false;
        break;
    case DER_IA5_STRING:
        if (c > 0x7f)
            return false;
        break;
    default: /* T61String: read as Latin-1, which is what senders mean by it (RFC 5280 appendix A.1 leaves it open) */
        break;
    }
    *s = slice_of(s->p + step, s->n - step);
    *ret = c;
    return c != 0;
}

/* Length in characters; false where the contents are not of type `tag`. */
static bool string_check(unsigned tag, struct slice s, size_t *ret_chars)
{
    size_t n = 0;
    uint32_t c;
    for (; s.n; n++)
        if (!next_char(tag, &s, &c))
            return false;
    *ret_chars = n;
    return true;
}

static tm_err value_check(struct der_reader *r, const struct name_attr *attr)
{
    size_t chars;
    if (!is_string_tag(attr->tag)) {
        /* RFC 5280 appendix A.1: the attributes with a rule are strings; others may be of any type. */
        if (attr_rule_find(attr->type))
            return der_reject(r, TM_EMALFORMED, "RFC 5280 4.1.2.4", "name",
                              "attribute value that is not a string");
        return TM_OK;
    }
    const struct attr_rule *rule = attr_rule_find(attr->type);
    size_t ub = rule ? rule->ub : UB_OTHER;
    if (attr->value.n == 0)
        return der_reject(r, TM_EMALFORMED, "RFC 5280 4.1.2.4", "name", "empty attribute value");
    /* Octets, not characters, and with room to spare: names beyond the bounds exist, endless ones must not. */
    if (attr->value.n > ub * 4)
        return der_reject(r, TM_ETOOBIG, "RFC 5280 A.1", "name",
                          "attribute value far beyond its upper bound");
    if (!string_check(attr->tag, attr->value, &chars))
        return der_reject(r, TM_EMALFORMED, "X.680 41", "name",
                          "characters that the string type does not have");
    return TM_OK;
}

/* RelativeDistinguishedName ::= SET SIZE (1..MAX) OF AttributeTypeAndValue
 * AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY } */
static tm_err rdn_parse(struct name *ret, struct der_reader *names, unsigned rdn)
{
    struct der_reader set, seq;
    struct slice last = {0}, tlv;
    TM_TRY(der_enter(names, DER_SET, &set));
    if (der_at_end(&set))
        return der_reject(names, TM_EMALFORMED, "RFC 5280 4.1.2.4", "name",
                          "empty RelativeDistinguishedName");
    while (!der_at_end(&set)) {
        if (ret->n == NAME_MAX_ATTRS)
            return der_reject(names, TM_ETOOBIG, NULL, "name", "more than 32 attributes");
        struct name_attr *attr = &ret->attrs[ret->n];
        struct der_reader peek = set;
        TM_TRY(der_read_any(&peek, NULL, NULL, &tlv));
        if (last.p && slice_cmp(last, tlv) > 0) /* X.690 11.6 */
            return der_reject(&set, TM_EMALFORMED, "X.690 11.6", "name", "SET OF not in ascending order");
        last = tlv;
        TM_TRY(der_enter(&set, DER_SEQUENCE, &seq));
        TM_TRY(der_read_oid(&seq, &attr->oid));
        TM_TRY(der_read_any(&seq, &attr->tag, &attr->value, NULL));
        TM_TRY(der_end(&seq));
        attr->type = oid_find(attr->oid);
        attr->rdn = rdn;
        TM_TRY(value_check(&seq, attr));
        ret->n++;
    }
    return der_end(&set);
}

/* Name ::= CHOICE { rdnSequence SEQUENCE OF RelativeDistinguishedName } */
tm_err name_read(struct name *ret, struct der_reader *r)
{
    struct der_reader tlv = *r, names;
    ret->n = 0;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &ret->der));
    TM_TRY(der_enter(r, DER_SEQUENCE, &names));
    for (unsigned rdn = 0; !der_at_end(&names); rdn++)
        TM_TRY(rdn_parse(ret, &names, rdn));
    return der_end(&names);
}

tm_err name_parse(struct name *ret, struct slice tlv, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, tlv, diag);
    TM_TRY(name_read(ret, &r));
    return der_end(&r);
}

static size_t utf8_put(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)((0xf00u >> n) | c);
    return n;
}

tm_err name_attr_text(struct slice *ret, struct arena *a, const struct name_attr *attr)
{
    if (!is_string_tag(attr->tag))
        return TM_EINVAL;
    if (attr->tag != DER_BMP_STRING && attr->tag != DER_UNIVERSAL_STRING && attr->tag != DER_T61_STRING) {
        *ret = attr->value;
        return TM_OK;
    }
    /* At most three octets of UTF-8 for two of BMPString, two for one of T61String, four for four of UniversalString. */
    uint8_t *out = arena_alloc(a, attr->value.n * 2 + 1);
    if (!out)
        return TM_ENOMEM;
    size_t n = 0;
    uint32_t c;
    for (struct slice s = attr->value; s.n;) {
        if (!next_char(attr->tag, &s, &c))
            return TM_EMALFORMED;
        n += utf8_put(out + n, c);
    }
    *ret = slice_of(out, n);
    return TM_OK;
}

tm_err name_get(struct slice *ret, struct arena *a, const struct name *n, enum oid type)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->attrs[i].type == type)
            return name_attr_text(ret, a, &n->attrs[i]);
    return TM_ENOTFOUND;
}

static struct slice skip_spaces(unsigned tag, struct slice s)
{
    uint32_t c;
    for (struct slice rest = s; rest.n && next_char(tag, &rest, &c) && c == ' '; s = rest)
        ;
    return s;
}

/* The next character folded as RFC 5280 7.1 and RFC 4518 2.6.1 have it: a run of spaces is one, ASCII is lower case, spaces at the
 * end are none. 0 at the end. */
static uint32_t folded(unsigned tag, struct slice *s)
{
    uint32_t c;
    if (s->n == 0 || !next_char(tag, s, &c))
        return 0;
    if (c == ' ') {
        *s = skip_spaces(tag, *s);
        return s->n ? ' ' : 0;
    }
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool value_matches(const struct name_attr *a, const struct name_attr *b)
{
    if (!is_string_tag(a->tag) || !is_string_tag(b->tag))
        return a->tag == b->tag && slice_eq(a->value, b->value);
    struct slice x = skip_spaces(a->tag, a->value), y = skip_spaces(b->tag, b->value);
    for (;;) {
        uint32_t c = folded(a->tag, &x), d = folded(b->tag, &y);
        if (c != d)
            return false;
        if (c == 0)
            return true;
    }
}

static bool attr_matches(const struct name_attr *a, const struct name_attr *b)
{
    return slice_eq(a->oid, b->oid) && value_matches(a, b);
}

/* Attributes of one RDN: a set, so each has to find a partner of its own. `n` is at most NAME_MAX_ATTRS. */
static bool rdn_matches(const struct name_attr *a, const struct name_attr *b, size_t n)
{
    uint32_t taken = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < n && (taken >> j & 1 || !attr_matches(&a[i], &b[j])))
            j++;
        if (j == n)
            return false;
        taken |= (uint32_t)1 << j;
    }
    return true;
}

/* How many attributes the RDN that starts at `i` has. */
static size_t rdn_size(const struct name *n, size_t i)
{
    size_t k = 1;
    while (i + k < n->n && n->attrs[i + k].rdn == n->attrs[i].rdn)
        k++;
    return k;
}

bool name_starts_with(const struct name *n, const struct name *prefix)
{
    size_t i = 0;
    while (i < prefix->n) {
        size_t k = rdn_size(prefix, i);
        if (i >= n->n || rdn_size(n, i) != k || !rdn_matches(&n->attrs[i], &prefix->attrs[i], k))
            return false;
        i += k;
    }
    return true;
}

bool name_matches(const struct name *a, const struct name *b)
{
    if (slice_eq(a->der, b->der))
        return true;
    return a->n == b->n && name_starts_with(a, b);
}

/* RFC 4514 2.4. Characters that a terminal would act on are written as \XX too. */
static void print_escaped(struct buf *out, unsigned tag, struct slice s)
{
    bool first = true;
    while (s.n) {
        uint8_t utf8[4];
        uint32_t c;
        if (!next_char(tag, &s, &c))
            return;
        bool last = s.n == 0;
        size_t n = utf8_put(utf8, c);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            for (size_t i = 0; i < n; i++)
                buf_printf(out, "\\%02X", utf8[i]);
        } else {
            if ((c < 0x80 && strchr("\"+,;<>\\", (int)c)) || (first && c == '#') ||
                (c == ' ' && (first || last)))
                buf_putc(out, '\\');
            buf_put(out, utf8, n);
        }
        first = false;
    }
}

static void print_key(struct buf *out, const struct name_attr *attr)
{
    const struct attr_rule *rule = attr_rule_find(attr->type);
    if (rule && rule->prints_key) {
        buf_puts(out, rule->key);
    } else if (attr->type != OID_UNKNOWN) {
        buf_puts(out, oid_name(attr->type));
    } else {
        oid_print_dotted(out, attr->oid);
    }
}

static void print_attr(struct buf *out, const struct name_attr *attr)
{
    print_key(out, attr);
    buf_putc(out, '=');
    if (is_string_tag(attr->tag) && attr->type != OID_UNKNOWN) {
        print_escaped(out, attr->tag, attr->value);
        return;
    }
    /* RFC 4514 2.4: "#" and the hex of the value's BER encoding */
    uint8_t head[6] = {(uint8_t)attr->tag};
    size_t n = 2, len = attr->value.n;
    if (len < 0x80) {
        head[1] = (uint8_t)len;
    } else {
        size_t octets = len <= 0xff ? 1 : len <= 0xffff ? 2 : 3;
        head[1] = (uint8_t)(0x80 | octets);
        for (size_t i = octets; i > 0; i--, len >>= 8)
            head[1 + i] = (uint8_t)len;
        n += octets;
    }
    buf_putc(out, '#');
    buf_put_hex(out, slice_of(head, n));
    buf_put_hex(out, attr->value);
}

void name_print(struct buf *out, const struct name *n)
{
    for (size_t end = n->n; end > 0;) {
        size_t start = end - 1;
        while (start > 0 && n->attrs[start - 1].rdn == n->attrs[start].rdn)
            start--;
        if (end < n->n)
            buf_putc(out, ',');
        for (size_t i = start; i < end; i++) {
            if (i > start)
                buf_putc(out, '+');
            print_attr(out, &n->attrs[i]);
        }
        end = start;
    }
}

void name_print_der(struct buf *out, struct slice tlv)
{
    struct name n;
    if (tlv.n == 0)
        return;
    if (name_parse(&n, tlv, NULL) == TM_OK) {
        name_print(out, &n);
    } else {
        buf_putc(out, '#');
        buf_put_hex(out, tlv);
    }
}

/* Which string type the value goes out as; 0 where the rules leave none. */
static unsigned output_tag(const struct attr_rule *rule, struct slice utf8)
{
    static const unsigned tags[] = {
        [TEXT] = DER_UTF8_STRING, [PRINTABLE] = DER_PRINTABLE_STRING, [IA5] = DER_IA5_STRING};
    unsigned tag = rule ? tags[rule->kind] : DER_UTF8_STRING;
    size_t chars;
    if (utf8.n == 0 || !string_check(tag, utf8, &chars) || chars > (rule ? rule->ub : UB_OTHER))
        return 0;
    if (rule && rule->kind == PRINTABLE && rule->ub == 2 && chars != 2) /* X520countryName: SIZE (2) */
        return 0;
    return tag;
}

void name_build_member(struct der_builder *b, struct slice oid, struct slice utf8)
{
    unsigned tag = output_tag(attr_rule_find(oid_find(oid)), utf8);
    if (tag == 0) {
        if (b->err == TM_OK)
            b->err = TM_EINVAL;
        return;
    }
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    der_put(b, tag, utf8);
    der_close(b);
}

void name_build_attr(struct der_builder *b, enum oid type, struct slice utf8)
{
    der_open(b, DER_SET);
    name_build_member(b, oid_contents(type), utf8);
    der_close(b);
}
