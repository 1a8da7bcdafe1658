/* The text form of distinguished names read back (RFC 4514 section 3). */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "x509/name.h"

enum { TEXT_MAX = 8192 };

static const struct {
    const char *key;
    enum oid id;
} keys[] = {
    {"CN", OID_CN},
    {"O", OID_O},
    {"OU", OID_OU},
    {"C", OID_C},
    {"ST", OID_ST},
    {"S", OID_ST},
    {"L", OID_L},
    {"STREET", OID_STREET},
    {"DC", OID_DC},
    {"UID", OID_UID},
    {"SN", OID_SURNAME},
    {"GN", OID_GIVEN_NAME},
    {"E", OID_EMAIL},
    {"EMAIL", OID_EMAIL},
    {"T", OID_TITLE},
    {"DNQ", OID_DN_QUALIFIER},
    {"SERIALNUMBER", OID_SERIAL_NUMBER},
};

/* One attribute of the text, in the order read. */
struct piece {
    enum oid id;
    struct slice oid;
    struct slice value; /* unescaped UTF-8, or the value's TLV when `raw` */
    bool raw;
    bool joined; /* by '+' to the one before */
};

struct scanner {
    struct slice text;
    size_t at;
    struct arena *a;
    struct diag *diag;
};

static tm_err fail(struct scanner *s, const char *message)
{
    if (s->diag)
        s->diag->offset = s->at;
    return diag_fail(s->diag, TM_EINVAL, "RFC 4514 3", NULL, "%s (at character %zu of the name)", message,
                     s->at + 1);
}

static bool more(const struct scanner *s)
{
    return s->at < s->text.n;
}

static void skip_spaces(struct scanner *s)
{
    while (more(s) && s->text.p[s->at] == ' ')
        s->at++;
}

static tm_err key_read(struct scanner *s, struct piece *p)
{
    skip_spaces(s);
    size_t from = s->at;
    while (more(s) && s->text.p[s->at] != '=')
        s->at++;
    if (!more(s)) {
        s->at = from;
        return fail(s, "expected KEY=value");
    }
    struct slice key = slice_trim(slice_of(s->text.p + from, s->at - from));
    s->at++;
    if (key.n && key.p[0] >= '0' && key.p[0] <= '9') {
        if (oid_from_dotted(&p->oid, s->a, key) != TM_OK) {
            s->at = from;
            return fail(s, "malformed object identifier");
        }
        p->id = oid_find(p->oid);
        return TM_OK;
    }
    for (size_t i = 0; p->id == OID_UNKNOWN && i < sizeof keys / sizeof *keys; i++)
        if (slice_caseeq(key, slice_str(keys[i].key)))
            p->id = keys[i].id;
    if (p->id == OID_UNKNOWN)
        p->id = oid_find_name(key);
    if (p->id == OID_UNKNOWN) {
        s->at = from;
        return fail(
            s,
            "unknown attribute; known are CN, O, OU, C, ST, L, DC, UID, serialNumber … or a dotted number");
    }
    p->oid = oid_contents(p->id);
    return TM_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After a backslash: a special character, or two hex digits for one octet. */
static tm_err escape_read(struct scanner *s, uint8_t *ret)
{
    if (!more(s))
        return fail(s, "ends after a backslash");
    int hi = hex_digit(s->text.p[s->at]);
    int lo = s->at + 1 < s->text.n ? hex_digit(s->text.p[s->at + 1]) : -1;
    if (hi >= 0) {
        if (lo < 0)
            return fail(s, "a backslash and one hex digit");
        *ret = (uint8_t)(hi << 4 | lo);
        s->at += 2;
        return TM_OK;
    }
    if (!strchr(" \"#+,;<=>\\", s->text.p[s->at]))
        return fail(s, "a backslash before a character that needs none");
    *ret = s->text.p[s->at++];
    return TM_OK;
}

static tm_err hex_value_read(struct scanner *s, struct piece *p)
{
    struct der_reader r;
    size_t from = ++s->at;
    while (more(s) && s->text.p[s->at] != ',' && s->text.p[s->at] != '+')
        s->at++;
    if (hex_decode(&p->value, s->a, slice_trim(slice_of(s->text.p + from, s->at - from))) != TM_OK)
        return fail(s, "malformed hex after '#'");
    der_reader_init(&r, p->value, NULL);
    if (der_read_any(&r, NULL, NULL, NULL) != TM_OK || der_end(&r) != TM_OK)
        return fail(s, "the hex after '#' is not one DER value");
    p->raw = true;
    return TM_OK;
}

static tm_err value_read(struct scanner *s, struct piece *p)
{
    skip_spaces(s);
    if (more(s) && s->text.p[s->at] == '#')
        return hex_value_read(s, p);
    uint8_t *out = arena_alloc(s->a, s->text.n - s->at + 1);
    if (!out)
        return TM_ENOMEM;
    bool quoted = more(s) && s->text.p[s->at] == '"'; /* RFC 2253 section 4 */
    if (quoted)
        s->at++;
    size_t n = 0, keep = 0; /* keep: spaces before this one stay */
    bool closed = false;
    while (more(s) && (quoted || !strchr(",+", s->text.p[s->at]))) {
        uint8_t c = s->text.p[s->at++];
        bool literal = quoted;
        if (c == '\0')
            return fail(s, "a NUL character");
        if (quoted && c == '"') {
            closed = true;
            break;
        }
        if (c == '\\') {
            TM_TRY(escape_read(s, &c));
            literal = true;
        } else if (!quoted && strchr("\";<>", c)) {
            s->at--;
            return fail(s, "a special character that needs a backslash");
        }
        out[n++] = c;
        if (literal || c != ' ')
            keep = n;
    }
    if (quoted && !closed)
        return fail(s, "the quote is not closed");
    if (quoted)
        skip_spaces(s);
    p->value = slice_of(out, keep);
    return TM_OK;
}

static tm_err pieces_read(struct scanner *s, struct piece *v, size_t *ret_n)
{
    size_t n = 0;
    bool joined = false;
    for (;;) {
        if (n == NAME_MAX_ATTRS)
            return diag_fail(s->diag, TM_ETOOBIG, NULL, NULL, "a name of more than %d attributes",
                             NAME_MAX_ATTRS);
        v[n] = (struct piece){.joined = joined};
        TM_TRY(key_read(s, &v[n]));
        TM_TRY(value_read(s, &v[n]));
        n++;
        if (!more(s))
            break;
        if (s->text.p[s->at] != ',' && s->text.p[s->at] != '+')
            return fail(s, "expected ',' or '+'");
        joined = s->text.p[s->at++] == '+';
    }
    *ret_n = n;
    return TM_OK;
}

static tm_err piece_build(struct der_builder *b, const struct piece *p, struct diag *diag)
{
    if (p->raw) {
        der_open(b, DER_SEQUENCE);
        der_put_oid(b, p->oid);
        der_put_tlv(b, p->value);
        der_close(b);
        return TM_OK;
    }
    name_build_member(b, p->oid, p->value);
    if (b->err == TM_EINVAL)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 A.1", p->id ? oid_name(p->id) : NULL,
                         "the value is empty, too long or has characters that this attribute may not have");
    return b->err;
}

/* Without white space around, but for a space at the end that a backslash keeps. */
static struct slice trimmed(struct slice text)
{
    struct slice s = slice_trim(text);
    size_t backslashes = 0;
    while (backslashes < s.n && s.p[s.n - 1 - backslashes] == '\\')
        backslashes++;
    if (backslashes % 2 && s.p + s.n < text.p + text.n)
        s.n++;
    return s;
}

tm_err name_from_text(struct slice *ret_tlv, struct arena *a, struct slice text, struct diag *diag)
{
    struct scanner s = {.text = trimmed(text), .a = a, .diag = diag};
    struct piece v[NAME_MAX_ATTRS];
    struct der_builder b;
    struct buf out;
    size_t n = 0;
    if (text.n > TEXT_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "a name of more than %d characters", TEXT_MAX);
    if (s.text.n)
        TM_TRY(pieces_read(&s, v, &n));
    buf_init(&out, TEXT_MAX * 2);
    der_builder_init(&b, &out);
    tm_err e = TM_OK;
    der_open(&b, DER_SEQUENCE);
    for (size_t end = n;
         e == TM_OK && end > 0;) { /* the text has the most specific RDN first, the encoding last */
        size_t start = end - 1;
        while (v[start].joined)
            start--;
        der_open(&b, DER_SET);
        for (size_t i = start; e == TM_OK && i < end; i++)
            e = piece_build(&b, &v[i], diag);
        der_close_set_of(&b);
        end = start;
    }
    der_close(&b);
    if (e == TM_OK)
        e = der_builder_finish(&b);
    /* What '#' brought in is held to the same rules as a name from the wire. */
    struct name check;
    if (e == TM_OK)
        e = name_parse(&check, buf_slice(&out), diag);
    if (e == TM_OK)
        e = arena_copy(ret_tlv, a, buf_slice(&out));
    buf_done(&out);
    return e;
}
