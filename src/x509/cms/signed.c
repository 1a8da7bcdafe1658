#include "x509/cms/signed.h"
#include "base/arena.h"
#include "base/buf.h"
#include "der/ber.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"
#include "x509/cert.h"

/* ---- signed attributes ---- */

/* The one value of an attribute that must have one. */
static tm_err only_value(struct der_reader *ret, struct der_reader *set, unsigned tag, const char *rule,
                         const char *field)
{
    TM_TRY(der_enter(set, DER_SET, ret));
    if (der_peek(ret) != tag)
        return der_reject(ret, TM_EMALFORMED, rule, field, "not a value of the attribute's type");
    return TM_OK;
}

/* Attribute ::= SEQUENCE { attrType OBJECT IDENTIFIER, attrValues SET OF AttributeValue } */
static tm_err attribute_read(struct signed_signer *s, struct der_reader *attr)
{
    struct der_reader values;
    struct slice oid;
    TM_TRY(der_read_oid(attr, &oid));
    switch (oid_find(oid)) {
    case OID_CONTENT_TYPE: /* RFC 5652 11.1 */
        if (s->content_type.n)
            return der_reject(attr, TM_EMALFORMED, "RFC 5652 11.1", "contentType", "the attribute twice");
        TM_TRY(only_value(&values, attr, DER_OID, "RFC 5652 11.1", "contentType"));
        TM_TRY(der_read_oid(&values, &s->content_type));
        break;
    case OID_MESSAGE_DIGEST: /* RFC 5652 11.2 */
        if (s->message_digest.n)
            return der_reject(attr, TM_EMALFORMED, "RFC 5652 11.2", "messageDigest", "the attribute twice");
        TM_TRY(only_value(&values, attr, DER_OCTET_STRING, "RFC 5652 11.2", "messageDigest"));
        TM_TRY(der_read(&values, DER_OCTET_STRING, &s->message_digest));
        break;
    case OID_SIGNING_TIME: /* RFC 5652 11.3 */
        TM_TRY(der_enter(attr, DER_SET, &values));
        TM_TRY(der_read_time(&values, &s->signing_time));
        break;
    default:
        return der_skip(attr, DER_SET);
    }
    return der_end(&values);
}

/* signedAttrs [0] IMPLICIT SET SIZE (1..MAX) OF Attribute: signed under the tag of a SET (RFC 5652 5.4). */
static tm_err attrs_read(struct signed_signer *s, struct arena *a, struct der_reader *info)
{
    struct der_reader look = *info, set, attr;
    struct slice tlv;
    if (der_peek(info) != DER_CONTEXT_CONS(0))
        return der_reject(info, TM_EMALFORMED, "RFC 5652 5.3", "signedAttrs", "no signed attributes");
    TM_TRY(der_read_tlv(&look, DER_CONTEXT_CONS(0), &tlv));
    TM_TRY(arena_copy(&s->attrs, a, tlv));
    ((uint8_t *)(uintptr_t)s->attrs.p)[0] = DER_SET; /* the copy is ours */
    TM_TRY(der_enter(info, DER_CONTEXT_CONS(0), &set));
    for (size_t n = 0; !der_at_end(&set); n++) {
        if (n == SIGNED_ATTRS_MAX)
            return der_reject(&set, TM_ETOOBIG, NULL, "signedAttrs", "too many attributes");
        TM_TRY(der_enter(&set, DER_SEQUENCE, &attr));
        TM_TRY(attribute_read(s, &attr));
        TM_TRY(der_end(&attr));
    }
    TM_TRY(der_end(&set));
    if (s->content_type.n == 0 || s->message_digest.n == 0)
        return der_reject(info, TM_EMALFORMED, "RFC 5652 5.3", "signedAttrs",
                          "contentType or messageDigest is missing");
    return TM_OK;
}

/* ---- signers ---- */

/* SignerIdentifier ::= CHOICE { issuerAndSerialNumber SEQUENCE { Name, INTEGER }, subjectKeyIdentifier [0] OCTET STRING } */
static tm_err sid_read(struct signed_signer *s, struct der_reader *info)
{
    struct der_reader seq;
    if (der_peek(info) == DER_CONTEXT(0))
        return der_read(info, DER_CONTEXT(0), &s->key_id);
    TM_TRY(der_enter(info, DER_SEQUENCE, &seq));
    TM_TRY(der_read_tlv(&seq, DER_SEQUENCE, &s->issuer));
    TM_TRY(der_read_integer(&seq, &s->serial));
    return der_end(&seq);
}

/* SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] OPTIONAL, signatureAlgorithm, signature OCTET STRING,
 *                           unsignedAttrs [1] OPTIONAL } */
static tm_err signer_read(struct signed_signer *s, struct arena *a, struct der_reader *info)
{
    uint64_t version;
    struct slice ignored;
    bool present;
    *s = (struct signed_signer){0};
    TM_TRY(der_read_uint(info, &version));
    TM_TRY(sid_read(s, info));
    if (version != (s->issuer.n ? 1u : 3u))
        return der_reject(info, TM_EMALFORMED, "RFC 5652 5.3", "version", "not the version of its sid");
    TM_TRY(algid_read(&s->digest_alg, info));
    TM_TRY(attrs_read(s, a, info));
    TM_TRY(algid_read(&s->sig_alg, info));
    TM_TRY(der_read(info, DER_OCTET_STRING, &s->signature));
    TM_TRY(der_read_optional(info, DER_CONTEXT_CONS(1), &ignored, &present));
    return der_end(info);
}

static tm_err signers_read(struct signed_data *d, struct arena *a, struct der_reader *sd)
{
    struct der_reader set, info;
    TM_TRY(der_enter(sd, DER_SET, &set));
    while (!der_at_end(&set)) {
        if (d->n_signers == SIGNED_SIGNERS_MAX)
            return der_reject(&set, TM_ETOOBIG, NULL, "signerInfos", "too many signers");
        TM_TRY(der_enter(&set, DER_SEQUENCE, &info));
        TM_TRY(signer_read(&d->signers[d->n_signers], a, &info));
        d->n_signers++;
    }
    return der_end(&set);
}

/* ---- the whole ---- */

/* CertificateSet: plain certificates are SEQUENCEs, the other choices carry context tags and are passed over. */
static tm_err certs_read(struct signed_data *d, struct der_reader *sd)
{
    struct der_reader set;
    bool present;
    TM_TRY(der_enter_optional(sd, DER_CONTEXT_CONS(0), &set, &present));
    if (!present)
        return TM_OK;
    while (!der_at_end(&set)) {
        struct slice tlv;
        unsigned tag;
        TM_TRY(der_read_any(&set, &tag, NULL, &tlv));
        if (tag != DER_SEQUENCE)
            continue;
        if (d->n_certs == SIGNED_CERTS_MAX)
            return der_reject(&set, TM_ETOOBIG, NULL, "certificates", "too many certificates");
        d->certs[d->n_certs++] = tlv;
    }
    return der_end(&set);
}

/* EncapsulatedContentInfo ::= SEQUENCE { eContentType OBJECT IDENTIFIER, eContent [0] EXPLICIT OCTET STRING OPTIONAL }
 * Data may be left out, as in a CertRep that has nothing to give (RFC 8894 3.3.2): what is signed is then that there is nothing. */
static tm_err content_read(struct signed_data *d, struct der_reader *sd)
{
    struct der_reader encap, content;
    TM_TRY(der_enter(sd, DER_SEQUENCE, &encap));
    TM_TRY(der_read_oid(&encap, &d->content_type));
    if (der_at_end(&encap) && oid_find(d->content_type) == OID_DATA)
        return der_end(&encap);
    if (der_at_end(&encap))
        return der_reject(&encap, TM_EMALFORMED, "RFC 5652 5.2", "eContent", "the content is not inside");
    TM_TRY(der_enter(&encap, DER_CONTEXT_CONS(0), &content));
    TM_TRY(der_read(&content, DER_OCTET_STRING, &d->content));
    TM_TRY(der_end(&content));
    return der_end(&encap);
}

/* SignedData ::= SEQUENCE { version, digestAlgorithms SET OF, encapContentInfo, certificates [0] OPTIONAL, crls [1] OPTIONAL, signerInfos } */
static tm_err signed_data_read(struct signed_data *d, struct arena *a, struct der_reader *sd)
{
    uint64_t version;
    struct slice ignored;
    bool present;
    TM_TRY(der_read_uint(sd, &version));
    if (version < 1 || version > 5)
        return der_reject(sd, TM_EMALFORMED, "RFC 5652 5.1", "version",
                          "a version that SignedData does not have");
    TM_TRY(der_skip(sd, DER_SET));
    TM_TRY(content_read(d, sd));
    TM_TRY(certs_read(d, sd));
    TM_TRY(der_read_optional(sd, DER_CONTEXT_CONS(1), &ignored, &present));
    TM_TRY(signers_read(d, a, sd));
    return der_end(sd);
}

/* ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY } */
tm_err signed_data_parse(struct signed_data *ret, struct arena *a, struct slice ber, struct diag *diag)
{
    struct der_reader r, info, content, sd;
    struct slice der, type;
    ret->n_certs = ret->n_signers = 0;
    TM_TRY(ber_normalize(&der, a, ber, SIGNED_DATA_MAX, diag));
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &info));
    TM_TRY(der_read_oid(&info, &type));
    if (oid_find(type) != OID_SIGNED_DATA)
        return der_reject(&info, TM_EMALFORMED, "RFC 5652 5.1", "contentType", "not SignedData");
    TM_TRY(der_enter(&info, DER_CONTEXT_CONS(0), &content));
    TM_TRY(der_enter(&content, DER_SEQUENCE, &sd));
    TM_TRY(signed_data_read(ret, a, &sd));
    TM_TRY(der_end(&content));
    TM_TRY(der_end(&info));
    return der_end(&r);
}

bool signed_signer_is(const struct signed_signer *s, const struct cert *c)
{
    if (s->issuer.n)
        return slice_eq(s->issuer, c->issuer) && slice_eq(s->serial, c->serial);
    return s->key_id.n && slice_eq(s->key_id, cert_ski(c));
}

/* ---- building ---- */

static void put_attribute(struct der_builder *b, enum oid type)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(type));
    der_open(b, DER_SET);
}

static void end_attribute(struct der_builder *b)
{
    der_close(b);
    der_close(b);
}

tm_err signed_attrs_build(struct buf *out, struct slice content_type, struct slice digest, int64_t time)
{
    return signed_attrs_build_with(out, content_type, digest, time, (struct slice){0});
}

tm_err signed_attrs_build_with(struct buf *out, struct slice content_type, struct slice digest, int64_t time,
                               struct slice attributes)
{
    struct der_builder b;
    struct der_reader more;
    der_builder_init(&b, out);
    der_open(&b, DER_SET);
    put_attribute(&b, OID_CONTENT_TYPE);
    der_put_oid(&b, content_type);
    end_attribute(&b);
    put_attribute(&b, OID_SIGNING_TIME);
    der_put_time(&b, time);
    end_attribute(&b);
    put_attribute(&b, OID_MESSAGE_DIGEST);
    der_put(&b, DER_OCTET_STRING, digest);
    end_attribute(&b);
    der_reader_init(&more, attributes, NULL);
    while (!der_at_end(&more)) {
        struct slice tlv;
        TM_TRY(der_read_tlv(&more, DER_SEQUENCE, &tlv));
        der_put_tlv(&b, tlv);
    }
    der_close_set_of(&b);
    return der_builder_finish(&b);
}

static void put_signer(struct der_builder *b, const struct signed_message *m)
{
    der_open(b, DER_SEQUENCE);
    der_put_uint(b, 1); /* RFC 5652 5.3: issuerAndSerialNumber */
    der_open(b, DER_SEQUENCE);
    der_put_tlv(b, m->issuer);
    der_put(b, DER_INTEGER, m->serial);
    der_close(b);
    der_put_tlv(b, m->digest_alg);
    struct der_reader r;
    struct slice attrs;
    der_reader_init(&r, m->attrs, NULL);
    if (der_read(&r, DER_SET, &attrs) != TM_OK)
        b->err = TM_EINTERNAL;
    else
        der_put(b, DER_CONTEXT_CONS(0), attrs);
    der_put_tlv(b, m->sig_alg);
    der_put(b, DER_OCTET_STRING, m->signature);
    der_close(b);
}

tm_err signed_data_build(struct buf *out, const struct signed_message *m)
{
    struct der_builder b;
    bool is_signed = m->attrs.n != 0;
    der_builder_init(&b, out);
    if (!m->bare) {
        der_open(&b, DER_SEQUENCE);
        der_put_oid(&b, oid_contents(OID_SIGNED_DATA));
        der_open(&b, DER_CONTEXT_CONS(0));
    }
    der_open(&b, DER_SEQUENCE);
    bool data = oid_find(m->content_type) == OID_DATA;
    der_put_uint(&b, data ? 1 : 3); /* RFC 5652 5.1 */
    der_open(&b, DER_SET);
    if (is_signed)
        der_put_tlv(&b, m->digest_alg);
    der_close(&b);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, m->content_type);
    if (m->content.n || !data) {
        der_open(&b, DER_CONTEXT_CONS(0));
        der_put(&b, DER_OCTET_STRING, m->content);
        der_close(&b);
    }
    der_close(&b);
    if (m->n_certs) {
        /* CMS is BER: unsorted, so that who takes the first certificate for his own is right (x509/cms/certs_only.c). */
        der_open(&b, DER_CONTEXT_CONS(0));
        for (size_t i = 0; i < m->n_certs; i++)
            der_put_tlv(&b, m->certs[i]);
        der_close(&b);
    }
    der_open(&b, DER_SET);
    if (is_signed)
        put_signer(&b, m);
    der_close(&b);
    der_close(&b);
    if (!m->bare) {
        der_close(&b);
        der_close(&b);
    }
    return der_builder_finish(&b);
}
