#include "x509/cert.h"
#include "der/reader.h"
#include "x509/internal.h"

/* Version ::= INTEGER { v1(0), v2(1), v3(2) }, [0] EXPLICIT DEFAULT v1 */
static tm_err version_read(unsigned *ret, struct der_reader *tbs)
{
    struct der_reader inner;
    bool present;
    uint64_t v = 0;
    TM_TRY(der_enter_optional(tbs, DER_CONTEXT_CONS(0), &inner, &present));
    if (present) {
        TM_TRY(der_read_uint(&inner, &v));
        TM_TRY(der_end(&inner));
        if (v == 0)
            return der_reject(tbs, TM_EMALFORMED, "X.690 11.5", "tbsCertificate.version",
                              "an encoded default: v1");
        if (v > 2)
            return der_reject(tbs, TM_EMALFORMED, "RFC 5280 4.1.2.1", "tbsCertificate.version",
                              "a version other than 1, 2 and 3");
    }
    *ret = (unsigned)v + 1;
    return TM_OK;
}

/* Validity ::= SEQUENCE { notBefore Time, notAfter Time } */
static tm_err validity_read(struct cert *c, struct der_reader *tbs)
{
    struct der_reader seq;
    TM_TRY(der_enter(tbs, DER_SEQUENCE, &seq));
    TM_TRY(der_read_time(&seq, &c->not_before));
    TM_TRY(der_read_time(&seq, &c->not_after));
    return der_end(&seq);
}

struct slice serial_magnitude(struct slice contents)
{
    while (contents.n > 1 && contents.p[0] == 0)
        contents = slice_sub(contents, 1, contents.n);
    return contents;
}

bool serial_pad(uint8_t *out, size_t size, struct slice contents)
{
    struct slice m = serial_magnitude(contents);
    if (m.n > size)
        return false;
    memset(out, 0, size);
    if (m.n)
        memcpy(out + size - m.n, m.p, m.n);
    return true;
}

struct slice serial_contents(uint8_t *room, struct slice magnitude)
{
    struct slice m = serial_magnitude(magnitude);
    size_t pad = m.n && m.p[0] & 0x80 ? 1 : 0;
    room[0] = 0;
    if (m.n)
        memcpy(room + pad, m.p, m.n);
    return slice_of(room, m.n + pad);
}

static tm_err serial_read(struct slice *ret, struct der_reader *tbs)
{
    TM_TRY(der_read_integer(tbs, ret));
    /* RFC 5280 4.1.2.2 bounds the length; zero and negative ones exist and "certificate users SHOULD be prepared to gracefully handle
     * such certificates". 160 random bits with the octet that keeps them positive are common. */
    bool positive = ret->n == CERT_SERIAL_MAX + 1 && ret->p[0] == 0;
    if (ret->n > CERT_SERIAL_MAX && !positive)
        return der_reject(tbs, TM_EMALFORMED, "RFC 5280 4.1.2.2", "tbsCertificate.serialNumber",
                          "a serial number of more than 20 octets");
    return TM_OK;
}

/* issuerUniqueID [1] and subjectUniqueID [2] IMPLICIT BIT STRING OPTIONAL: nothing uses them, but they may be there. */
static tm_err unique_ids_skip(const struct cert *c, struct der_reader *tbs)
{
    for (unsigned n = 1; n <= 2; n++) {
        if (der_peek(tbs) != DER_CONTEXT(n))
            continue;
        if (c->version < 2)
            return der_reject(tbs, TM_EMALFORMED, "RFC 5280 4.1.2.8", "tbsCertificate",
                              "a unique identifier in version 1");
        TM_TRY(der_skip(tbs, DER_CONTEXT(n)));
    }
    return TM_OK;
}

/* TBSCertificate ::= SEQUENCE { version [0] DEFAULT v1, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo,
 *                               issuerUniqueID [1] OPTIONAL, subjectUniqueID [2] OPTIONAL, extensions [3] EXPLICIT OPTIONAL } */
static tm_err tbs_read(struct cert *c, struct algid *inner, struct der_reader *tbs)
{
    struct der_reader wrapper, list;
    struct name name;
    bool present;
    TM_TRY(version_read(&c->version, tbs));
    TM_TRY(serial_read(&c->serial, tbs));
    TM_TRY(algid_read(inner, tbs));
    TM_TRY(name_read(&name, tbs));
    c->issuer = name.der;
    if (name.n == 0)
        return der_reject(tbs, TM_EMALFORMED, "RFC 5280 4.1.2.4", "tbsCertificate.issuer",
                          "an empty issuer name");
    TM_TRY(validity_read(c, tbs));
    TM_TRY(name_read(&name, tbs));
    c->subject = name.der;
    TM_TRY(spki_read(&c->spki, tbs));
    TM_TRY(unique_ids_skip(c, tbs));
    c->exts.n = 0;
    TM_TRY(der_enter_optional(tbs, DER_CONTEXT_CONS(3), &wrapper, &present));
    if (present) {
        if (c->version != 3) /* "This field MUST only appear if the version is 3" */
            return der_reject(tbs, TM_EMALFORMED, "RFC 5280 4.1.2.9", "tbsCertificate.extensions",
                              "extensions in a version other than 3");
        TM_TRY(der_enter(&wrapper, DER_SEQUENCE, &list));
        TM_TRY(exts_read_list(&c->exts, &list));
        TM_TRY(der_end(&wrapper));
    }
    return der_end(tbs);
}

/* Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue BIT STRING } */
tm_err cert_parse(struct cert *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, tbs;
    struct algid inner = {0};
    if (der.n > CERT_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "certificate", "more than %d bytes", CERT_DER_MAX);
    ret->der = der;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    struct der_reader tlv = seq;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &ret->tbs));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &tbs));
    TM_TRY(tbs_read(ret, &inner, &tbs));
    TM_TRY(algid_read(&ret->sigalg, &seq));
    if (!slice_eq(inner.der, ret->sigalg.der))
        return der_reject(&seq, TM_EMALFORMED, "RFC 5280 4.1.1.2", "signatureAlgorithm",
                          "differs from the algorithm inside the signed part");
    TM_TRY(der_read_bits(&seq, &ret->signature));
    TM_TRY(der_end(&seq));
    return der_end(&r);
}

tm_err cert_parse_tbs(struct cert *ret, struct slice tbs, struct diag *diag)
{
    struct der_reader r, seq;
    if (tbs.n > CERT_DER_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "tbsCertificate", "more than %d bytes", CERT_DER_MAX);
    ret->der = ret->signature = (struct slice){0};
    ret->tbs = tbs;
    der_reader_init(&r, tbs, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(tbs_read(ret, &ret->sigalg, &seq));
    return der_end(&r);
}

struct slice cert_ski(const struct cert *c)
{
    struct slice id = {0};
    const struct ext *e = exts_find(&c->exts, OID_EXT_SKI);
    if (e && ext_decode_ski(&id, e->value, NULL) != TM_OK)
        return (struct slice){0};
    return id;
}

struct slice cert_akid(const struct cert *c)
{
    struct slice id = {0};
    const struct ext *e = exts_find(&c->exts, OID_EXT_AKID);
    if (e && ext_decode_akid(&id, e->value, NULL) != TM_OK)
        return (struct slice){0};
    return id;
}

bool cert_is_ca(const struct cert *c)
{
    struct basic_constraints bc;
    const struct ext *e = exts_find(&c->exts, OID_EXT_BASIC_CONSTRAINTS);
    return e && ext_decode_basic_constraints(&bc, e->value, NULL) == TM_OK && bc.ca;
}

tm_err cert_san(struct general_names *ret, struct arena *a, const struct cert *c, struct diag *diag)
{
    const struct ext *e = exts_find(&c->exts, OID_EXT_SAN);
    if (!e) {
        *ret = (struct general_names){0};
        return TM_OK;
    }
    return general_names_parse(ret, a, e->value, diag);
}

/* RFC 5280 4.1.2.2: positive, at most 20 octets, and as it stands a minimal INTEGER: the signer fills octets in place, so
 * nothing may shift. */
static bool serial_ok(struct slice s)
{
    if (s.n == 0 || s.n > CERT_SERIAL_MAX || s.p[0] & 0x80)
        return false;
    return s.p[0] != 0 || (s.n > 1 && s.p[1] & 0x80);
}

tm_err tbs_cert_build(struct buf *out, const struct tbs_cert *t, size_t *ret_serial_offset)
{
    struct der_builder b;
    size_t start = out->n;
    if (!serial_ok(t->serial))
        return TM_EINVAL;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_CONTEXT_CONS(0));
    der_put_uint(&b, 2); /* v3 */
    der_close(&b);
    der_put(&b, DER_INTEGER, t->serial);
    size_t serial_end = out->n;
    der_put_tlv(&b, t->sigalg);
    der_put_tlv(&b, t->issuer);
    der_open(&b, DER_SEQUENCE);
    der_put_time(&b, t->not_before);
    der_put_time(&b, t->not_after);
    der_close(&b);
    der_put_tlv(&b, t->subject);
    der_put_tlv(&b, t->spki);
    if (t->n_exts) {
        der_open(&b, DER_CONTEXT_CONS(3));
        exts_build(&b, t->exts, t->n_exts);
        der_close(&b);
    }
    size_t end = out->n;
    der_close(&b);
    TM_TRY(der_builder_finish(&b));
    if (ret_serial_offset) {
        size_t grown = out->n - end; /* the outer length octets, which came in front of everything */
        *ret_serial_offset = serial_end - t->serial.n + grown - start;
    }
    return TM_OK;
}

tm_err signed_assemble(struct buf *out, struct slice tbs, struct slice sigalg, struct slice signature)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, tbs);
    der_put_tlv(&b, sigalg);
    der_put_bits(&b, signature);
    der_close(&b);
    return der_builder_finish(&b);
}
