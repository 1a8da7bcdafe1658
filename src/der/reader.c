#include "der/reader.h"
#include "base/clock.h"

static tm_err fail_at(struct der_reader *r, const uint8_t *at, tm_err e, const char *rule, const char *field,
                      const char *message)
{
    if (r->err == TM_OK) {
        r->err = e;
        if (r->diag)
            r->diag->offset = (size_t)(at - r->start);
        TM_IGNORE(diag_fail(r->diag, e, rule, field, "%s", message));
    }
    return r->err;
}

static tm_err malformed(struct der_reader *r, const uint8_t *at, const char *rule, const char *message)
{
    return fail_at(r, at, TM_EMALFORMED, rule, NULL, message);
}

void der_reader_init(struct der_reader *r, struct slice der, struct diag *diag)
{
    *r = (struct der_reader){.start = der.p, .p = der.p, .end = der.n ? der.p + der.n : der.p, .diag = diag};
}

unsigned der_peek(const struct der_reader *r)
{
    return der_at_end(r) ? 0 : *r->p;
}

/* X.690 10.2: string types are primitive in DER; 8.9, 8.11: SEQUENCE and SET are constructed. */
static bool universal_form_ok(unsigned tag)
{
    unsigned number = tag & 0x1f;
    bool constructed = tag & 0x20;
    if (number == 8 || number == 11 || number == 16 ||
        number == 17) /* EXTERNAL, EMBEDDED PDV, SEQUENCE, SET */
        return constructed;
    return !constructed;
}

/* X.690 8.1.3 and 10.1: definite length in the least number of octets. *p is moved past it. */
static tm_err length_read(struct der_reader *r, const uint8_t **p, size_t *ret)
{
    const uint8_t *at = *p;
    if (at == r->end)
        return malformed(r, at, "X.690 8.1.3", "ends inside an element's header");
    size_t n = *at++;
    if (n == 0x80)
        return malformed(r, *p, "X.690 10.1", "indefinite length");
    if (n > 0x80) {
        size_t octets = n & 0x7f;
        if (octets > 4)
            return malformed(r, *p, "X.690 8.1.3.5", "length of more than four octets");
        if ((size_t)(r->end - at) < octets)
            return malformed(r, *p, "X.690 8.1.3", "ends inside an element's length");
        n = 0;
        for (size_t i = 0; i < octets; i++)
            n = n << 8 | at[i];
        if (at[0] == 0 || n < 0x80)
            return malformed(r, *p, "X.690 10.1", "length not in its shortest form");
        at += octets;
    }
    if (n > (size_t)(r->end - at))
        return malformed(r, *p, "X.690 8.1.3", "an element is longer than what holds it");
    *p = at;
    *ret = n;
    return TM_OK;
}

tm_err der_read_any(struct der_reader *r, unsigned *ret_tag, struct slice *ret_contents,
                    struct slice *ret_tlv)
{
    if (r->err != TM_OK)
        return r->err;
    const uint8_t *start = r->p, *p = start;
    if (p == r->end)
        return malformed(r, p, "X.690 8.1", "an element is missing");
    unsigned tag = *p++;
    if ((tag & 0x1f) == 0x1f)
        return malformed(r, start, "X.690 8.1.2.4", "tag number above 30");
    if ((tag & 0xc0) == 0 && ((tag & 0x1f) == 0 || !universal_form_ok(tag)))
        return malformed(r, start, "X.690 10.2", "a universal type in a form that DER does not allow");
    size_t n = 0;
    TM_TRY(length_read(r, &p, &n));
    r->p = p + n;
    if (ret_tag)
        *ret_tag = tag;
    if (ret_contents)
        *ret_contents = slice_of(p, n);
    if (ret_tlv)
        *ret_tlv = slice_of(start, (size_t)(r->p - start));
    return TM_OK;
}

/* The next element's tag is checked before anything is consumed, so that the offset of a failure points at it. */
static tm_err expect(struct der_reader *r, unsigned tag)
{
    if (r->err != TM_OK)
        return r->err;
    if (r->p == r->end)
        return malformed(r, r->p, "X.690 8.1", "an element is missing");
    if (*r->p != tag) {
        TM_IGNORE(malformed(r, r->p, "X.690 8.1.2", "unexpected tag"));
        return diag_fail(r->diag, r->err, "X.690 8.1.2", NULL, "expected tag 0x%02x, found 0x%02x", tag,
                         *r->p);
    }
    return TM_OK;
}

tm_err der_read(struct der_reader *r, unsigned tag, struct slice *ret_contents)
{
    TM_TRY(expect(r, tag));
    return der_read_any(r, NULL, ret_contents, NULL);
}

tm_err der_read_tlv(struct der_reader *r, unsigned tag, struct slice *ret_tlv)
{
    if (tag)
        TM_TRY(expect(r, tag));
    return der_read_any(r, NULL, NULL, ret_tlv);
}

tm_err der_enter(struct der_reader *r, unsigned tag, struct der_reader *inner)
{
    struct slice contents;
    tm_err e = der_read(r, tag, &contents);
    if (e != TM_OK) {
        /* The inner reader fails as well, so that a decoder may go on and check once. */
        *inner = (struct der_reader){.start = r->start, .p = r->p, .end = r->p, .err = e, .diag = r->diag};
        return e;
    }
    *inner = (struct der_reader){
        .start = r->start, .p = contents.p, .end = contents.p + contents.n, .diag = r->diag};
    return TM_OK;
}

tm_err der_enter_optional(struct der_reader *r, unsigned tag, struct der_reader *inner, bool *ret_present)
{
    if (r->err == TM_OK && der_peek(r) != tag) {
        *inner = (struct der_reader){.start = r->start, .p = r->p, .end = r->p, .diag = r->diag};
        *ret_present = false;
        return TM_OK;
    }
    TM_TRY(der_enter(r, tag, inner));
    *ret_present = true;
    return TM_OK;
}

tm_err der_read_optional(struct der_reader *r, unsigned tag, struct slice *ret_contents, bool *ret_present)
{
    if (r->err == TM_OK && der_peek(r) != tag) {
        *ret_contents = (struct slice){0};
        *ret_present = false;
        return TM_OK;
    }
    TM_TRY(der_read(r, tag, ret_contents));
    *ret_present = true;
    return TM_OK;
}

tm_err der_skip(struct der_reader *r, unsigned tag)
{
    return der_read(r, tag, NULL);
}

tm_err der_read_bool(struct der_reader *r, bool *ret)
{
    struct slice c;
    TM_TRY(der_read(r, DER_BOOLEAN, &c));
    if (c.n != 1)
        return malformed(r, c.p, "X.690 8.2.1", "BOOLEAN of other than one octet");
    if (c.p[0] != 0x00 && c.p[0] != 0xff)
        return malformed(r, c.p, "X.690 11.1", "BOOLEAN that is neither 00 nor FF");
    *ret = c.p[0] != 0;
    return TM_OK;
}

static tm_err integer_check(struct der_reader *r, struct slice c)
{
    if (c.n == 0)
        return malformed(r, c.p, "X.690 8.3.1", "INTEGER without contents");
    if (c.n > 1 && ((c.p[0] == 0x00 && c.p[1] < 0x80) || (c.p[0] == 0xff && c.p[1] >= 0x80)))
        return malformed(r, c.p, "X.690 8.3.2", "INTEGER not in its shortest form");
    return TM_OK;
}

tm_err der_read_integer(struct der_reader *r, struct slice *ret_contents)
{
    struct slice c;
    TM_TRY(der_read(r, DER_INTEGER, &c));
    TM_TRY(integer_check(r, c));
    *ret_contents = c;
    return TM_OK;
}

tm_err der_read_uint(struct der_reader *r, uint64_t *ret)
{
    struct slice c;
    TM_TRY(der_read_integer(r, &c));
    if (c.p[0] & 0x80 || c.n > 8)
        return malformed(r, c.p, "X.690 8.3", "INTEGER out of range");
    uint64_t v = 0;
    for (size_t i = 0; i < c.n; i++)
        v = v << 8 | c.p[i];
    *ret = v;
    return TM_OK;
}

/* X.690 8.6.2.2 to 8.6.2.4 and 11.2.1: the initial octet counts unused bits, which are zero. */
static tm_err bit_string_check(struct der_reader *r, struct slice c)
{
    if (c.n == 0 || c.p[0] > 7 || (c.n == 1 && c.p[0] != 0))
        return malformed(r, c.p, "X.690 8.6.2", "BIT STRING with a wrong count of unused bits");
    if (c.p[c.n - 1] & ((1u << c.p[0]) - 1) && c.n > 1)
        return malformed(r, c.p, "X.690 11.2.1", "BIT STRING with unused bits set");
    return TM_OK;
}

tm_err der_read_bits(struct der_reader *r, struct slice *ret)
{
    struct slice c;
    TM_TRY(der_read(r, DER_BIT_STRING, &c));
    TM_TRY(bit_string_check(r, c));
    if (c.p[0] != 0)
        return malformed(r, c.p, "X.690 8.6.2", "BIT STRING that is not a whole number of octets");
    *ret = slice_of(c.p + 1, c.n - 1);
    return TM_OK;
}

tm_err der_read_named_bits(struct der_reader *r, unsigned tag, uint32_t *ret)
{
    struct slice c;
    TM_TRY(der_read(r, tag, &c));
    TM_TRY(bit_string_check(r, c));
    if (c.n > 5)
        return malformed(r, c.p, "X.690 8.6", "named-bit list of more than 32 bits");
    if (c.n > 1 && !(c.p[c.n - 1] & (1u << c.p[0])))
        return malformed(r, c.p, "X.690 11.2.2", "named-bit list with trailing zero bits");
    uint32_t bits = 0;
    for (size_t i = 0; i < (c.n - 1) * 8; i++)
        if (c.p[1 + i / 8] & (0x80u >> i % 8))
            bits |= (uint32_t)1 << i;
    *ret = bits;
    return TM_OK;
}

tm_err der_read_oid(struct der_reader *r, struct slice *ret)
{
    enum {
        OID_MAX = 128,
        ARC_MAX = 18
    }; /* 18 octets hold 126 bits; a UUID's arc takes 19 with two bits in the first */
    struct slice c;
    TM_TRY(der_read(r, DER_OID, &c));
    if (c.n == 0 || c.p[c.n - 1] & 0x80)
        return malformed(r, c.p, "X.690 8.19", "OBJECT IDENTIFIER that ends inside an arc");
    if (c.n > OID_MAX)
        return malformed(r, c.p, "X.690 8.19", "OBJECT IDENTIFIER of more than 128 octets");
    size_t arc = 0;
    for (size_t i = 0; i < c.n; i++) {
        if (arc == 0 && c.p[i] == 0x80)
            return malformed(r, c.p + i, "X.690 8.19.2", "arc not in its shortest form");
        arc++;
        if (arc > ARC_MAX && (arc > ARC_MAX + 1 || c.p[i - ARC_MAX] > 0x83))
            return malformed(r, c.p + i, "X.690 8.19.2", "arc of more than 128 bits");
        if (!(c.p[i] & 0x80))
            arc = 0;
    }
    *ret = c;
    return TM_OK;
}

static bool two_digits(const uint8_t *p, int *ret)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *ret = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

/* RFC 5280 4.1.2.5.1 and 4.1.2.5.2: YYMMDDHHMMSSZ, YYYYMMDDHHMMSSZ; no fractions, no offsets. */
static tm_err time_read(struct der_reader *r, unsigned tag, int64_t *ret)
{
    struct slice c;
    struct civil_time t;
    int century = 0, year;
    TM_TRY(der_read(r, tag, &c));
    const char *rule = tag == DER_UTC_TIME ? "RFC 5280 4.1.2.5.1" : "RFC 5280 4.1.2.5.2";
    size_t lead = tag == DER_UTC_TIME ? 0 : 2;
    if (c.n != lead + 13 || c.p[c.n - 1] != 'Z')
        return malformed(r, c.p, rule, "time without seconds, with fractions or with an offset");
    const uint8_t *p = c.p + lead;
    if ((lead && !two_digits(c.p, &century)) || !two_digits(p, &year) || !two_digits(p + 2, &t.month) ||
        !two_digits(p + 4, &t.day) || !two_digits(p + 6, &t.hour) || !two_digits(p + 8, &t.minute) ||
        !two_digits(p + 10, &t.second))
        return malformed(r, c.p, rule, "time with other than digits");
    t.year = lead ? century * 100 + year : year < 50 ? 2000 + year : 1900 + year;
    if (t.second > 59 || civil_to_unix(ret, &t) != TM_OK)
        return malformed(r, c.p, rule, "a time that does not exist");
    return TM_OK;
}

/* RFC 5280 4.1.2.5 has writers take UTCTime through 2049. Readers "MUST be able to process validity dates that are encoded in either",
 * and roots that everybody trusts have it the other way. */
tm_err der_read_time(struct der_reader *r, int64_t *ret)
{
    return time_read(r, der_peek(r) == DER_GENERALIZED_TIME ? DER_GENERALIZED_TIME : DER_UTC_TIME, ret);
}

tm_err der_read_generalized_time(struct der_reader *r, int64_t *ret)
{
    return time_read(r, DER_GENERALIZED_TIME, ret);
}

tm_err der_end(struct der_reader *r)
{
    if (r->err == TM_OK && r->p != r->end)
        return malformed(r, r->p, "X.690 8.1", "bytes left over");
    return r->err;
}

tm_err der_reject(struct der_reader *r, tm_err e, const char *rule, const char *field, const char *message)
{
    return fail_at(r, r->p, e, rule, field, message);
}
