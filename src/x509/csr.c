#include "x509/csr.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "x509/request.h"

static tm_err too_big(struct diag *diag)
{
    return diag_fail(diag, TM_ETOOBIG, NULL, "request", "more than %d bytes", CSR_DER_MAX);
}

const struct csr_attr *csr_attr_find(const struct csr *c, enum oid id)
{
    for (size_t i = 0; i < c->n_attrs; i++)
        if (c->attrs[i].id == id && id != OID_UNKNOWN)
            return &c->attrs[i];
    return NULL;
}

tm_err csr_san(struct general_names *ret, struct arena *a, const struct csr *c, struct diag *diag)
{
    const struct ext *e = exts_find(&c->exts, OID_EXT_SAN);
    if (!e) {
        *ret = (struct general_names){0};
        return TM_OK;
    }
    return general_names_parse(ret, a, e->value, diag);
}

tm_err csr_attr_add(struct csr *c, struct der_reader *r, struct slice oid, struct slice values)
{
    if (c->n_attrs == CSR_ATTRS_MAX)
        return der_reject(r, TM_ETOOBIG, NULL, "attributes", "more than 24 attributes");
    /* X.501 8.2: an entry holds an attribute once, all its values in one set. */
    for (size_t i = 0; i < c->n_attrs; i++)
        if (slice_eq(c->attrs[i].oid, oid))
            return der_reject(r, TM_EMALFORMED, "RFC 2986 4.1", "attributes", "an attribute twice");
    c->attrs[c->n_attrs++] = (struct csr_attr){.id = oid_find(oid), .oid = oid, .values = values};
    return TM_OK;
}

/* RFC 2985 5.4.2 and 5.4.1 are SINGLE VALUE TRUE: exactly one element in the set. */
static tm_err single_value(struct slice *ret_tlv, struct der_reader *r, struct slice values)
{
    struct der_reader set = {.start = r->start, .p = values.p, .end = values.p + values.n, .diag = r->diag};
    TM_TRY(der_read_tlv(&set, 0, ret_tlv));
    return der_end(&set);
}

static tm_err extension_request_read(struct csr *c, struct der_reader *r, struct slice values)
{
    struct slice tlv;
    if (c->exts.n) /* PKCS#9's and Microsoft's both */
        return der_reject(r, TM_EMALFORMED, "RFC 2985 5.4.2", "attributes", "a second extension request");
    TM_TRY(single_value(&tlv, r, values));
    struct der_reader value = {.start = r->start, .p = tlv.p, .end = tlv.p + tlv.n, .diag = r->diag}, list;
    TM_TRY(der_enter(&value, DER_SEQUENCE, &list));
    return exts_read_list(&c->exts, &list);
}

/* challengePassword: DirectoryString (RFC 2985 5.4.1); IA5String is met in the wild. Wide strings are not: nobody types them. */
static tm_err challenge_read(struct csr *c, struct der_reader *r, struct slice values)
{
    struct slice tlv, text;
    unsigned tag;
    TM_TRY(single_value(&tlv, r, values));
    struct der_reader value = {.start = r->start, .p = tlv.p, .end = tlv.p + tlv.n, .diag = r->diag};
    TM_TRY(der_read_any(&value, &tag, &text, NULL));
    if (tag != DER_PRINTABLE_STRING && tag != DER_UTF8_STRING && tag != DER_IA5_STRING &&
        tag != DER_T61_STRING)
        return der_reject(r, TM_EMALFORMED, "RFC 2985 5.4.1", "challengePassword", "not a string of octets");
    if (text.n == 0 || text.n > 1024 || memchr(text.p, 0, text.n))
        return der_reject(r, TM_EMALFORMED, "RFC 2985 5.4.1", "challengePassword",
                          "empty, too long or with a NUL");
    c->challenge_password = text;
    return TM_OK;
}

/* Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET SIZE (1..MAX) OF ANY } */
static tm_err attribute_read(struct csr *c, struct der_reader *set)
{
    struct der_reader seq;
    struct slice oid, values;
    TM_TRY(der_enter(set, DER_SEQUENCE, &seq));
    TM_TRY(der_read_oid(&seq, &oid));
    TM_TRY(der_read(&seq, DER_SET, &values));
    TM_TRY(der_end(&seq));
    if (values.n == 0)
        return der_reject(&seq, TM_EMALFORMED, "RFC 2986 4.1", "attributes", "an attribute without values");
    /* The values are opaque here, but they are elements. */
    struct der_reader v = {.start = set->start, .p = values.p, .end = values.p + values.n, .diag = set->diag};
    while (!der_at_end(&v))
        TM_TRY(der_read_any(&v, NULL, NULL, NULL));
    TM_TRY(der_end(&v));
    TM_TRY(csr_attr_add(c, set, oid, values));
    switch (c->attrs[c->n_attrs - 1].id) {
    case OID_EXTENSION_REQUEST:
    case OID_MS_EXTENSION_REQUEST:
        return extension_request_read(c, set, values);
    case OID_CHALLENGE_PASSWORD:
        return challenge_read(c, set, values);
    default:
        return TM_OK;
    }
}

/* CertificationRequestInfo ::= SEQUENCE { version INTEGER { v1(0) }, subject Name, subjectPKInfo, attributes [0] SET OF Attribute } */
static tm_err info_read(struct csr *c, struct der_reader *info)
{
    struct der_reader attrs;
    struct name subject;
    uint64_t version;
    bool present;
    TM_TRY(der_read_uint(info, &version));
    if (version != 0)
        return der_reject(info, TM_EMALFORMED, "RFC 2986 4.1", "version", "a version other than v1(0)");
    TM_TRY(name_read(&subject, info));
    c->subject = subject.der;
    TM_TRY(spki_read(&c->spki, info));
    /* The attributes are not OPTIONAL, yet some clients leave the empty set out; there is only one way to read that. */
    TM_TRY(der_enter_optional(info, DER_CONTEXT_CONS(0), &attrs, &present));
    while (present && !der_at_end(&attrs))
        TM_TRY(attribute_read(c, &attrs));
    if (present)
        TM_TRY(der_end(&attrs));
    return der_end(info);
}

/* Everything but the arrays, which their counts guard. */
void csr_clear(struct csr *c, enum csr_format format, struct slice der)
{
    c->format = format;
    c->der = der;
    c->subject = (struct slice){0};
    c->spki = (struct spki){0};
    c->exts.n = 0;
    c->n_attrs = 0;
    c->not_before = c->not_after = 0;
    c->challenge_password = (struct slice){0};
    c->pop = CSR_POP_NONE;
    c->signed_part = (struct slice){0};
    c->sigalg = (struct algid){0};
    c->signature = (struct slice){0};
    c->pop_detail = (struct slice){0};
    c->crmf_request_id = 0;
}

/* CertificationRequest ::= SEQUENCE { certificationRequestInfo, signatureAlgorithm, signature BIT STRING } */
tm_err csr_parse_pkcs10(struct csr *ret, struct slice der, struct diag *diag)
{
    struct der_reader r, seq, info;
    if (der.n > CSR_DER_MAX)
        return too_big(diag);
    csr_clear(ret, CSR_PKCS10, der);
    ret->pop = CSR_POP_SIGNATURE;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    struct der_reader tlv = seq;
    TM_TRY(der_read_tlv(&tlv, DER_SEQUENCE, &ret->signed_part));
    TM_TRY(der_enter(&seq, DER_SEQUENCE, &info));
    TM_TRY(info_read(ret, &info));
    TM_TRY(algid_read(&ret->sigalg, &seq));
    TM_TRY(der_read_bits(&seq, &ret->signature));
    TM_TRY(der_end(&seq));
    return der_end(&r);
}

tm_err csr_build_info(struct buf *out, struct slice subject, struct slice spki, const struct ext *exts,
                      size_t n_exts)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 0);
    if (subject.n)
        der_put_tlv(&b, subject);
    else
        der_put(&b, DER_SEQUENCE, (struct slice){0});
    der_put_tlv(&b, spki);
    der_open(&b, DER_CONTEXT_CONS(0));
    if (n_exts) {
        der_open(&b, DER_SEQUENCE);
        der_put_oid(&b, oid_contents(OID_EXTENSION_REQUEST));
        der_open(&b, DER_SET);
        exts_build(&b, exts, n_exts);
        der_close(&b);
        der_close(&b);
    }
    der_close(&b);
    der_close(&b);
    return der_builder_finish(&b);
}
