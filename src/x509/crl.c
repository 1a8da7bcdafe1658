#include "x509/crl.h"
#include "base/buf.h"
#include "base/clock.h"
#include "der/builder.h"
#include "x509/crl_parts.h"
#include "x509/general_name.h"
#include "x509/name.h"
#include <string.h>

const char *const crl_reason_names[11] = {
    "unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
    "superseded",    "cessationOfOperation", "certificateHold", NULL, /* 7 is not used */
    "removeFromCRL", "privilegeWithdrawn",   "aACompromise",
};

enum { CRL_NUMBER_MAX = 20 };

/* CRLNumber ::= INTEGER (0..MAX); RFC 5280 5.2.3: at most 20 octets */
static tm_err number_read(struct slice *ret, struct der_reader *r)
{
    struct slice c;
    TM_TRY(der_read_integer(r, &c));
    if (c.p[0] & 0x80)
        return der_reject(r, TM_EMALFORMED, "RFC 5280 5.2.3", "cRLNumber", "a negative number");
    if (c.n > CRL_NUMBER_MAX)
        return der_reject(r, TM_EMALFORMED, "RFC 5280 5.2.3", "cRLNumber", "a number of more than 20 octets");
    TM_TRY(der_end(r));
    *ret = c;
    return TM_OK;
}

struct slice crl_number(const struct crl *c)
{
    struct slice number = {0};
    struct der_reader r;
    const struct ext *e = exts_find(&c->exts, OID_EXT_CRL_NUMBER);
    if (!e)
        return number;
    der_reader_init(&r, e->value, NULL);
    return number_read(&number, &r) == TM_OK ? number : (struct slice){0};
}

tm_err crl_extensions_read(struct crl *c, unsigned version, struct der_reader *tbs)
{
    struct der_reader wrapper, list;
    struct slice number;
    bool present;
    c->exts.n = 0;
    TM_TRY(der_enter_optional(tbs, DER_CONTEXT_CONS(0), &wrapper, &present));
    if (!present)
        return TM_OK;
    if (version != 1) /* "this field MUST only appear if the version is 2" */
        return der_reject(tbs, TM_EMALFORMED, "RFC 5280 5.1.2.7", "tbsCertList.crlExtensions",
                          "extensions in version 1");
    TM_TRY(der_enter(&wrapper, DER_SEQUENCE, &list));
    TM_TRY(exts_read_list(&c->exts, &list));
    TM_TRY(der_end(&wrapper));
    const struct ext *e = exts_find(&c->exts, OID_EXT_CRL_NUMBER);
    if (!e)
        return TM_OK;
    struct der_reader r = {
        .start = tbs->start, .p = e->value.p, .end = e->value.p + e->value.n, .diag = tbs->diag};
    return number_read(&number, &r);
}

/* TBSCertList ::= SEQUENCE { version INTEGER OPTIONAL (v2), signature, issuer, thisUpdate, nextUpdate OPTIONAL,
 *                            revokedCertificates SEQUENCE OF … OPTIONAL, crlExtensions [0] EXPLICIT OPTIONAL } */
tm_err crl_head_read(struct crl *c, struct algid *inner, unsigned *ret_version, struct der_reader *tbs)
{
    struct name issuer;
    uint64_t version = 0;
    if (der_peek(tbs) == DER_INTEGER) {
        TM_TRY(der_read_uint(tbs, &version));
        if (version != 1)
            return der_reject(tbs, TM_EMALFORMED, "RFC 5280 5.1.2.1", "tbsCertList.version",
                              "a version other than 2");
    }
    TM_TRY(algid_read(inner, tbs));
    TM_TRY(name_read(&issuer, tbs));
    c->issuer = issuer.der;
    if (issuer.n == 0)
        return der_reject(tbs, TM_EMALFORMED, "RFC 5280 5.1.2.3", "tbsCertList.issuer",
                          "an empty issuer name");
    TM_TRY(der_read_time(tbs, &c->this_update));
    c->next_update = 0;
    if (der_peek(tbs) == DER_UTC_TIME || der_peek(tbs) == DER_GENERALIZED_TIME)
        TM_TRY(der_read_time(tbs, &c->next_update));
    *ret_version = (unsigned)version;
    return TM_OK;
}

static tm_err tbs_read(struct crl *c, struct algid *inner, struct der_reader *tbs)
{
    unsigned version = 0;
    bool present;
    TM_TRY(crl_head_read(c, inner, &version, tbs));
    TM_TRY(der_read_optional(tbs, DER_SEQUENCE, &c->entries, &present));
    if (present && c->entries.n == 0) /* "the revoked certificates list MUST be absent" */
        return der_reject(tbs, TM_EMALFORMED, "RFC 5280 5.1.2.6", "tbsCertList.revokedCertificates",
                          "an empty list");
    TM_TRY(crl_extensions_read(c, version, tbs));
    return der_end(tbs);
}

/* CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signatureValue BIT STRING } */
tm_err crl_parse(struct crl *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, tbs;
    struct algid inner = {0};
    if (der.n > CRL_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "certificateList", "more than %d bytes", CRL_DER_MAX);
    ret->der = der;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    struct der_reader tlv = seq;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &ret->tbs));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &tbs));
    TM_TRY(tbs_read(ret, &inner, &tbs));
    TM_TRY(algid_read(&ret->sigalg, &seq));
    if (!slice_eq(inner.der, ret->sigalg.der))
        return der_reject(&seq, TM_EMALFORMED, "RFC 5280 5.1.1.2", "signatureAlgorithm",
                          "differs from the algorithm inside the signed part");
    TM_TRY(der_read_bits(&seq, &ret->signature));
    TM_TRY(der_end(&seq));
    return der_end(&r);
}

tm_err crl_parse_tbs(struct crl *ret, struct slice tbs, struct diag *diag)
{
    struct der_reader r, seq;
    if (tbs.n > CRL_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "tbsCertList", "more than %d bytes", CRL_DER_MAX);
    ret->der = ret->signature = (struct slice){0};
    ret->tbs = tbs;
    der_reader_init(&r, tbs, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(tbs_read(ret, &ret->sigalg, &seq));
    return der_end(&r);
}

void crl_iter_init(struct crl_iter *it, const struct crl *c, struct diag *diag)
{
    der_reader_init(&it->r, c->entries, diag);
}

/* CRLReason ::= ENUMERATED; RFC 5280 5.3.1: 7 is not used */
static tm_err reason_read(struct crl_entry *ret, struct slice value, struct diag *diag)
{
    struct der_reader r;
    struct slice c;
    der_reader_init(&r, value, diag);
    TM_TRY(der_read(&r, DER_ENUMERATED, &c));
    if (c.n != 1 || c.p[0] > CRL_AA_COMPROMISE || !crl_reason_names[c.p[0]])
        return der_reject(&r, TM_EMALFORMED, "RFC 5280 5.3.1", "reasonCode", "a reason that does not exist");
    ret->reason = c.p[0];
    return der_end(&r);
}

/* InvalidityDate ::= GeneralizedTime */
static tm_err invalidity_read(struct crl_entry *ret, struct slice value, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, value, diag);
    TM_TRY(der_read_generalized_time(&r, &ret->invalid_since));
    return der_end(&r);
}

/* CertificateIssuer ::= GeneralNames; of those the directoryName is what stands in the certificate (RFC 5280 5.3.3) */
static tm_err issuer_read(struct crl_entry *ret, struct slice value, struct diag *diag)
{
    struct der_reader r, names;
    struct general_name gn;
    der_reader_init(&r, value, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &names));
    while (!der_at_end(&names)) {
        TM_TRY(general_name_read(&gn, &names));
        if (gn.type == GN_DIRECTORY && ret->issuer.n == 0)
            ret->issuer = gn.value;
    }
    TM_TRY(der_end(&names));
    if (ret->issuer.n == 0)
        return der_reject(&r, TM_EMALFORMED, "RFC 5280 5.3.3", "certificateIssuer", "no directoryName");
    return der_end(&r);
}

static tm_err entry_extensions_read(struct crl_entry *ret, struct der_reader *list)
{
    struct exts exts;
    TM_TRY(exts_read_list(&exts, list));
    for (size_t i = 0; i < exts.n; i++) {
        if (exts.v[i].id == OID_EXT_REASON)
            TM_TRY(reason_read(ret, exts.v[i].value, list->diag));
        else if (exts.v[i].id == OID_EXT_INVALIDITY_DATE)
            TM_TRY(invalidity_read(ret, exts.v[i].value, list->diag));
        else if (exts.v[i].critical)
            ret->unknown_critical = true;
        if (exts.v[i].id == OID_EXT_CERTIFICATE_ISSUER)
            TM_TRY(issuer_read(ret, exts.v[i].value, list->diag));
    }
    return TM_OK;
}

/* What nearly all entries look like: a serial, a UTCTime and at most a reason. Octets as they are read and written. */
enum { UTC_LEN = 15, REASON_LEN = 14 };
static const uint8_t reason_head[REASON_LEN - 1] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55,
                                                    0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01};

static bool two_digits(int *ret, const uint8_t *p)
{
    unsigned a = p[0] - '0', b = p[1] - '0';
    *ret = (int)(10 * a + b);
    return a <= 9 && b <= 9;
}

static bool utc_read(int64_t *ret, const uint8_t *p)
{
    struct civil_time t;
    if (p[0] != DER_UTC_TIME || p[1] != UTC_LEN - 2 || p[14] != 'Z' || !two_digits(&t.year, p + 2) ||
        !two_digits(&t.month, p + 4) || !two_digits(&t.day, p + 6) || !two_digits(&t.hour, p + 8) ||
        !two_digits(&t.minute, p + 10) || !two_digits(&t.second, p + 12))
        return false;
    t.year += t.year < 50 ? 2000 : 1900;
    return t.second < 60 && civil_to_unix(ret, &t) == TM_OK;
}

/* A million of them are read with each list: such an entry by its octets; false where it is another kind, or malformed, which the reader says. */
static bool plain_entry_read(struct crl_entry *ret, struct der_reader *r)
{
    const uint8_t *p = r->p;
    size_t n = (size_t)(r->end - p);
    if (n < 4 || p[0] != DER_SEQUENCE || p[2] != DER_INTEGER || p[1] >= 0x80 || n < 2u + p[1])
        return false;
    size_t serial = p[3], total = 2u + p[1];
    if (serial == 0 || serial > 20 || (serial > 1 && (p[4] == 0 || p[4] == 0xff)))
        return false;
    const uint8_t *time = p + 4 + serial, *reason = time + UTC_LEN;
    bool has_reason = total == 4 + serial + UTC_LEN + REASON_LEN;
    if ((!has_reason && total != 4 + serial + UTC_LEN) || !utc_read(&ret->revoked_at, time))
        return false;
    ret->reason = CRL_UNSPECIFIED;
    if (has_reason) {
        uint8_t code = reason[REASON_LEN - 1];
        if (memcmp(reason, reason_head, sizeof reason_head) != 0 || code > CRL_AA_COMPROMISE ||
            !crl_reason_names[code])
            return false;
        ret->reason = code;
    }
    ret->serial = slice_of(p + 4, serial);
    ret->invalid_since = 0;
    ret->issuer = (struct slice){0};
    ret->unknown_critical = false;
    r->p += total;
    return true;
}

/* SEQUENCE { userCertificate CertificateSerialNumber, revocationDate Time, crlEntryExtensions Extensions OPTIONAL } */
tm_err crl_next(struct crl_iter *it, struct crl_entry *ret)
{
    struct der_reader entry, list;
    struct crl_entry e = {.reason = CRL_UNSPECIFIED};
    bool present;
    if (it->r.err == TM_OK && it->r.p == it->r.end)
        return TM_ENOTFOUND;
    if (it->r.err == TM_OK && plain_entry_read(ret, &it->r))
        return TM_OK;
    TM_TRY(der_enter(&it->r, DER_SEQUENCE, &entry));
    tm_err err = der_read_integer(&entry, &e.serial);
    if (err == TM_OK)
        err = der_read_time(&entry, &e.revoked_at);
    if (err == TM_OK)
        err = der_enter_optional(&entry, DER_SEQUENCE, &list, &present);
    if (err == TM_OK && present)
        err = entry_extensions_read(&e, &list);
    if (err == TM_OK)
        err = der_end(&entry);
    if (err != TM_OK) {
        it->r.err = err; /* a bad entry ends the iteration for good */
        return err;
    }
    *ret = e;
    return TM_OK;
}

/* The list itself may be far longer than what else is built, so its two outer lengths are reserved at full size and shrunk at the
 * end, and entries are written straight into the buffer. */
enum { OUTER_HEAD = 6 };

void crl_build_begin(struct crl_builder *b, struct buf *out, const struct tbs_crl *t)
{
    struct der_builder d;
    *b = (struct crl_builder){.out = out, .t = t, .tbs_at = out->n};
    TM_IGNORE(buf_extend(out, OUTER_HEAD) ? TM_OK : TM_ENOMEM);
    der_builder_init(&d, out);
    der_put_uint(&d, 1); /* v2 */
    der_put_tlv(&d, t->sigalg);
    der_put_tlv(&d, t->issuer);
    der_put_time(&d, t->this_update);
    if (t->next_update)
        der_put_time(&d, t->next_update);
    b->err = der_builder_finish(&d);
    b->entries_at = out->n;
    TM_IGNORE(buf_extend(out, OUTER_HEAD) ? TM_OK : TM_ENOMEM);
}

static void ext_open(struct der_builder *d, enum oid id, bool critical)
{
    der_open(d, DER_SEQUENCE);
    der_put_oid(d, oid_contents(id));
    if (critical)
        der_put_bool(d, true);
    der_open_octets(d);
}

static void ext_close(struct der_builder *d)
{
    der_close(d);
    der_close(d);
}

/* The TLV of a time; thousands of entries in a row may have the same one. */
static void time_set(struct crl_builder *b, int64_t t)
{
    struct der_builder d;
    struct buf text;
    if (b->time_n && b->time_of == t)
        return;
    buf_init(&text, sizeof b->time);
    der_builder_init(&d, &text);
    der_put_time(&d, t);
    tm_err e = der_builder_finish(&d);
    b->time_n = 0;
    if (e == TM_OK) {
        memcpy(b->time, text.p, text.n);
        b->time_n = (uint8_t)text.n;
        b->time_of = t;
    } else {
        b->err = e;
    }
    buf_done(&text);
}

static void plain_entry_write(struct crl_builder *b, const struct crl_entry *e)
{
    size_t n = 2 + e->serial.n + b->time_n + (e->reason != CRL_UNSPECIFIED ? REASON_LEN : 0);
    uint8_t *p = buf_extend(b->out, 2 + n);
    if (!p)
        return;
    *p++ = DER_SEQUENCE;
    *p++ = (uint8_t)n;
    *p++ = DER_INTEGER;
    *p++ = (uint8_t)e->serial.n;
    memcpy(p, e->serial.p, e->serial.n);
    memcpy(p + e->serial.n, b->time, b->time_n);
    p += e->serial.n + b->time_n;
    if (e->reason != CRL_UNSPECIFIED) {
        memcpy(p, reason_head, sizeof reason_head);
        p[sizeof reason_head] = (uint8_t)e->reason;
    }
}

static void entry_extensions_build(struct der_builder *d, const struct crl_entry *e)
{
    der_open(d, DER_SEQUENCE);
    if (e->reason != CRL_UNSPECIFIED) {
        uint8_t code = (uint8_t)e->reason;
        ext_open(d, OID_EXT_REASON, false);
        der_put(d, DER_ENUMERATED, slice_of(&code, 1));
        ext_close(d);
    }
    if (e->invalid_since) {
        ext_open(d, OID_EXT_INVALIDITY_DATE, false);
        der_put_generalized_time(d, e->invalid_since);
        ext_close(d);
    }
    if (e->issuer.n) { /* RFC 5280 5.3.3: "MUST be marked as critical" */
        ext_open(d, OID_EXT_CERTIFICATE_ISSUER, true);
        der_open(d, DER_SEQUENCE);
        der_open(d, DER_CONTEXT_CONS(4));
        der_put_tlv(d, e->issuer);
        der_close(d);
        der_close(d);
        ext_close(d);
    }
    der_close(d);
}

/* RFC 5280 5.3.1: "the reason code CRL entry extension SHOULD be absent instead of using the unspecified (0) reasonCode value" */
void crl_build_entry(struct crl_builder *b, const struct crl_entry *e)
{
    struct der_builder d;
    if (b->err != TM_OK)
        return;
    if (e->serial.n == 0 || e->serial.n > 64 || e->reason < 0 || e->reason > CRL_AA_COMPROMISE ||
        !crl_reason_names[e->reason]) {
        b->err = TM_EINVAL;
        return;
    }
    time_set(b, e->revoked_at);
    b->n++;
    if (!e->invalid_since && e->issuer.n == 0) {
        plain_entry_write(b, e);
        return;
    }
    der_builder_init(&d, b->out);
    der_open(&d, DER_SEQUENCE);
    der_put(&d, DER_INTEGER, e->serial);
    der_put_time(&d, e->revoked_at);
    entry_extensions_build(&d, e);
    der_close(&d);
    tm_err err = der_builder_finish(&d);
    if (b->err == TM_OK)
        b->err = err;
}

/* Write the head of the SEQUENCE whose contents follow the OUTER_HEAD octets reserved at `at`, and close the gap. */
static void outer_head_write(struct buf *out, size_t at)
{
    size_t n = out->n - at - OUTER_HEAD, octets = 0;
    for (size_t rest = n; n >= 0x80 && rest; rest >>= 8)
        octets++;
    uint8_t *p = out->p + at;
    memmove(p + 2 + octets, p + OUTER_HEAD, n);
    p[0] = DER_SEQUENCE;
    p[1] = (uint8_t)(octets ? 0x80 | octets : n);
    for (size_t i = octets, rest = n; i > 0; i--, rest >>= 8)
        p[1 + i] = (uint8_t)rest;
    out->n -= OUTER_HEAD - 2 - octets;
    out->p[out->n] = '\0';
}

/* DistributionPointName ::= CHOICE { fullName [0] GeneralNames }, inside distributionPoint [0] */
static void put_point(struct der_builder *d, const char *url)
{
    der_open(d, DER_CONTEXT_CONS(0));
    der_open(d, DER_CONTEXT_CONS(0));
    der_put(d, DER_CONTEXT(6), slice_str(url));
    der_close(d);
    der_close(d);
}

/* RFC 5280 5.2.1, 5.2.3: authorityKeyIdentifier and cRLNumber are in every CRL; neither is critical. What narrows a CRL is. */
static void extensions_build(struct der_builder *d, const struct tbs_crl *t)
{
    der_open(d, DER_CONTEXT_CONS(0));
    der_open(d, DER_SEQUENCE);
    if (t->akid.n) {
        ext_open(d, OID_EXT_AKID, false);
        der_open(d, DER_SEQUENCE);
        der_put(d, DER_CONTEXT(0), t->akid);
        der_close(d);
        ext_close(d);
    }
    ext_open(d, OID_EXT_CRL_NUMBER, false);
    der_put_unsigned(d, t->number);
    ext_close(d);
    if (t->base.n) {
        ext_open(d, OID_EXT_DELTA_CRL, true);
        der_put_unsigned(d, t->base);
        ext_close(d);
    }
    if (t->idp_url) {
        ext_open(d, OID_EXT_IDP, true);
        der_open(d, DER_SEQUENCE);
        put_point(d, t->idp_url);
        if (t->indirect) { /* indirectCRL [4] BOOLEAN DEFAULT FALSE */
            static const uint8_t yes = 0xff;
            der_put(d, DER_CONTEXT(4), slice_of(&yes, 1));
        }
        der_close(d);
        ext_close(d);
    }
    if (t->freshest_url) {
        ext_open(d, OID_EXT_FRESHEST_CRL, false);
        der_open(d, DER_SEQUENCE);
        der_open(d, DER_SEQUENCE);
        put_point(d, t->freshest_url);
        der_close(d);
        der_close(d);
        ext_close(d);
    }
    der_close(d);
    der_close(d);
}

static tm_err number_check(const struct tbs_crl *t)
{
    bool good = t->number.n > 0 && t->number.n <= CRL_NUMBER_MAX &&
                (t->number.n < CRL_NUMBER_MAX || !(t->number.p[0] & 0x80));
    return good ? TM_OK : TM_EINVAL;
}

tm_err crl_build_end(struct crl_builder *b)
{
    struct der_builder d;
    TM_TRY(b->err);
    TM_TRY(buf_err(b->out));
    TM_TRY(number_check(b->t));
    if (b->n)
        outer_head_write(b->out, b->entries_at);
    else
        b->out->n = b->entries_at; /* RFC 5280 5.1.2.6: no entries, no list */
    der_builder_init(&d, b->out);
    extensions_build(&d, b->t);
    TM_TRY(der_builder_finish(&d));
    if (b->out->n - b->tbs_at > CRL_DER_MAX)
        return TM_ETOOBIG;
    outer_head_write(b->out, b->tbs_at);
    return TM_OK;
}

size_t crl_build_prefix(const struct crl_builder *b)
{
    return b->entries_at + OUTER_HEAD;
}

static void put_head(struct buf *out, uint64_t n)
{
    uint8_t head[OUTER_HEAD];
    size_t octets = 0;
    for (uint64_t rest = n; n >= 0x80 && rest; rest >>= 8)
        octets++;
    head[0] = DER_SEQUENCE;
    head[1] = (uint8_t)(octets ? 0x80 | octets : n);
    for (size_t i = octets; i > 0; i--, n >>= 8)
        head[1 + i] = (uint8_t)n;
    buf_put(out, head, 2 + octets);
}

tm_err crl_build_end_apart(struct crl_builder *b, uint64_t n_list, struct buf *head, struct buf *tail)
{
    struct der_builder d;
    struct buf list;
    TM_TRY(b->err);
    TM_TRY(number_check(b->t));
    if (n_list == 0 || n_list > CRL_STREAM_MAX)
        return n_list ? TM_ETOOBIG : TM_EINVAL;
    der_builder_init(&d, tail);
    extensions_build(&d, b->t);
    TM_TRY(der_builder_finish(&d));
    struct slice fields =
        slice_of(b->out->p + b->tbs_at + OUTER_HEAD, b->entries_at - b->tbs_at - OUTER_HEAD);
    buf_init(&list, OUTER_HEAD);
    put_head(&list, n_list);
    put_head(head, fields.n + list.n + n_list + tail->n);
    buf_put_slice(head, fields);
    buf_put_slice(head, buf_slice(&list));
    buf_done(&list);
    return buf_err(head);
}
