#include "x509/general_name.h"
#include "base/text.h"
#include "der/reader.h"
#include "x509/internal.h"
#include "x509/name.h"

static tm_err reject(struct der_reader *r, const char *message)
{
    return der_reject(r, TM_EMALFORMED, "RFC 5280 4.2.1.6", "generalName", message);
}

/* OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY DEFINED BY type-id } */
static tm_err other_name_read(struct general_name *ret, struct der_reader *r)
{
    struct der_reader seq, value;
    TM_TRY(der_enter(r, DER_CONTEXT_CONS(0), &seq));
    TM_TRY(der_read_oid(&seq, &ret->other_oid));
    TM_TRY(der_enter(&seq, DER_CONTEXT_CONS(0), &value));
    TM_TRY(der_read_tlv(&value, 0, &ret->value));
    TM_TRY(der_end(&value));
    ret->other = oid_find(ret->other_oid);
    return der_end(&seq);
}

/* RFC 5280 4.2.1.6: IA5String. Control characters have no place in a DNS name, mailbox or URI and would reach logs and terminals. */
static bool is_ia5_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return true;
}

/* GeneralName ::= CHOICE { otherName [0], rfc822Name [1], dNSName [2], x400Address [3], directoryName [4], ediPartyName [5],
 *                          uniformResourceIdentifier [6], iPAddress [7], registeredID [8] } */
tm_err general_name_read(struct general_name *ret, struct der_reader *r)
{
    unsigned tag = der_peek(r);
    struct der_reader inner;
    struct name name;
    *ret = (struct general_name){.type = (enum general_name_type)(tag & 0x1f)};
    switch (tag) {
    case DER_CONTEXT_CONS(GN_OTHER):
        return other_name_read(ret, r);
    case DER_CONTEXT(GN_EMAIL):
    case DER_CONTEXT(GN_DNS):
    case DER_CONTEXT(GN_URI):
        TM_TRY(der_read(r, tag, &ret->value));
        return is_ia5_text(ret->value) ? TM_OK : reject(r, "a character that is not printable ASCII");
    case DER_CONTEXT_CONS(GN_DIRECTORY): /* Name is a CHOICE, so its tag is explicit (X.680 31.2.7) */
        TM_TRY(der_enter(r, tag, &inner));
        TM_TRY(der_read_tlv(&inner, DER_SEQUENCE, &ret->value));
        TM_TRY(der_end(&inner));
        if (name_parse(&name, ret->value, r->diag) != TM_OK)
            return der_reject(r, TM_EMALFORMED, "RFC 5280 4.1.2.4", "directoryName",
                              "malformed directoryName");
        return TM_OK;
    case DER_CONTEXT(GN_IP):
        TM_TRY(der_read(r, tag, &ret->value));
        if (ret->value.n != 4 && ret->value.n != 16 && ret->value.n != 8 && ret->value.n != 32)
            return reject(r, "an IP address that is neither version 4 nor 6");
        return TM_OK;
    case DER_CONTEXT(GN_RID):
        TM_TRY(der_read(r, tag, &ret->value));
        if (ret->value.n == 0 || ret->value.p[ret->value.n - 1] & 0x80)
            return reject(r, "malformed registeredID");
        return TM_OK;
    case DER_CONTEXT_CONS(GN_X400):
    case DER_CONTEXT_CONS(GN_EDI):
        return der_read(r, tag, &ret->value);
    default:
        return reject(r, "a choice that GeneralName does not have");
    }
}

/* RFC 5280 4.2.1.6: a URI is absolute: scheme ":" and something after it. */
static bool uri_is_absolute(struct slice s)
{
    size_t i = 0;
    for (; i < s.n && s.p[i] != ':'; i++) {
        uint8_t c = s.p[i] | 0x20;
        bool alpha = c >= 'a' && c <= 'z';
        if (!alpha && (i == 0 || !((s.p[i] >= '0' && s.p[i] <= '9') || strchr("+-.", s.p[i]))))
            return false;
    }
    return i > 0 && i + 1 < s.n;
}

/* What holds of a name but not of a name constraint's base. */
static tm_err subject_form_check(const struct general_name *gn, struct der_reader *r)
{
    const uint8_t *at = NULL;
    switch (gn->type) {
    case GN_DNS: /* "dNSName of ' ' MUST NOT be used"; nor is an empty one a name */
        if (gn->value.n == 0 || gn->value.n > 255 || memchr(gn->value.p, ' ', gn->value.n))
            return reject(r, "a dNSName that is empty, too long or has a space");
        return TM_OK;
    case GN_EMAIL: /* Local-part "@" Domain (RFC 5321 4.1.2) */
        if (gn->value.n)
            at = memrchr(gn->value.p, '@', gn->value.n);
        if (!at || at == gn->value.p || at + 1 == gn->value.p + gn->value.n)
            return reject(r, "an rfc822Name that is not local-part@domain");
        return TM_OK;
    case GN_URI:
        return uri_is_absolute(gn->value) ? TM_OK : reject(r, "a URI that is not absolute");
    case GN_IP:
        return gn->value.n == 4 || gn->value.n == 16 ? TM_OK : reject(r, "an IP address with a mask");
    default:
        return TM_OK;
    }
}

/* GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName */
tm_err general_names_parse(struct general_names *ret, struct arena *a, struct slice tlv, struct diag *diag)
{
    struct der_reader r, seq;
    size_t n = 0;
    der_reader_init(&r, tlv, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    for (struct der_reader count = seq; !der_at_end(&count); n++) {
        TM_TRY(der_read_any(&count, NULL, NULL, NULL));
        if (n == GENERAL_NAMES_MAX)
            return der_reject(&seq, TM_ETOOBIG, NULL, "generalNames", "more than 128 names");
    }
    if (n == 0)
        return reject(&seq, "a GeneralNames without names");
    struct general_name *v = arena_calloc(a, n, sizeof *v);
    if (!v)
        return arena_failed(a);
    for (size_t i = 0; i < n; i++) {
        TM_TRY(general_name_read(&v[i], &seq));
        TM_TRY(subject_form_check(&v[i], &seq));
    }
    TM_TRY(der_end(&seq));
    *ret = (struct general_names){.v = v, .n = n};
    return TM_OK;
}

void general_name_build(struct der_builder *b, const struct general_name *gn)
{
    switch (gn->type) {
    case GN_OTHER:
        der_open(b, DER_CONTEXT_CONS(GN_OTHER));
        der_put_oid(b, gn->other_oid);
        der_open(b, DER_CONTEXT_CONS(0));
        der_put_tlv(b, gn->value);
        der_close(b);
        der_close(b);
        return;
    case GN_DIRECTORY:
    case GN_X400:
    case GN_EDI:
        der_put(b, DER_CONTEXT_CONS((unsigned)gn->type), gn->value);
        return;
    default:
        der_put(b, DER_CONTEXT((unsigned)gn->type), gn->value);
        return;
    }
}

/* RFC 5280 7.2 to 7.5: the host of DNS names and mailboxes compares without case, a mailbox's local part exactly. */
static bool mailbox_eq(struct slice a, struct slice b)
{
    const uint8_t *x = a.n ? memrchr(a.p, '@', a.n) : NULL, *y = b.n ? memrchr(b.p, '@', b.n) : NULL;
    if (!x || !y || a.n != b.n || x - a.p != y - b.p)
        return slice_eq(a, b);
    size_t local = (size_t)(x - a.p);
    return memcmp(a.p, b.p, local) == 0 && slice_caseeq(slice_sub(a, local, a.n), slice_sub(b, local, b.n));
}

bool general_name_eq(const struct general_name *a, const struct general_name *b)
{
    struct name x, y;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case GN_DNS:
        return slice_caseeq(a->value, b->value);
    case GN_EMAIL:
        return mailbox_eq(a->value, b->value);
    case GN_DIRECTORY:
        if (slice_eq(a->value, b->value))
            return true;
        return name_parse(&x, a->value, NULL) == TM_OK && name_parse(&y, b->value, NULL) == TM_OK &&
               name_matches(&x, &y);
    case GN_OTHER:
        return slice_eq(a->other_oid, b->other_oid) && slice_eq(a->value, b->value);
    default:
        return slice_eq(a->value, b->value);
    }
}

static tm_err other_name(struct general_name *ret, enum oid id, struct der_builder *b)
{
    struct slice value;
    TM_TRY(arena_builder_finish(&value, b));
    *ret =
        (struct general_name){.type = GN_OTHER, .value = value, .other_oid = oid_contents(id), .other = id};
    return TM_OK;
}

tm_err general_name_hw_module(struct general_name *ret, struct arena *a, struct slice hw_type_oid,
                              struct slice serial)
{
    struct der_builder b;
    struct buf out;
    if (serial.n == 0)
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, hw_type_oid.n + serial.n + 3 * DER_HEAD_MAX));
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, hw_type_oid);
    der_put(&b, DER_OCTET_STRING, serial);
    der_close(&b);
    return other_name(ret, OID_HW_MODULE_NAME, &b);
}

tm_err general_name_permanent_id(struct general_name *ret, struct arena *a, struct slice id,
                                 struct slice assigner_oid)
{
    struct der_builder b;
    struct buf out;
    if (!utf8_valid(id))
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, id.n + assigner_oid.n + 3 * DER_HEAD_MAX));
    der_open(&b, DER_SEQUENCE);
    if (id.n)
        der_put(&b, DER_UTF8_STRING, id);
    if (assigner_oid.n)
        der_put_oid(&b, assigner_oid);
    der_close(&b);
    return other_name(ret, OID_PERMANENT_IDENTIFIER, &b);
}

tm_err general_name_upn(struct general_name *ret, struct arena *a, struct slice upn)
{
    struct der_builder b;
    struct buf out;
    if (upn.n == 0 || !utf8_valid(upn))
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, upn.n + DER_HEAD_MAX));
    der_put(&b, DER_UTF8_STRING, upn);
    return other_name(ret, OID_UPN, &b);
}
