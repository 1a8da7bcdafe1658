#include "x509/ext.h"
#include "der/builder.h"
#include "der/reader.h"

const char *const key_usage_names[] = {
    "digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",           "encipherOnly",    "decipherOnly",     NULL,
};

/* Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
static tm_err ext_read(struct ext *ret, struct der_reader *list)
{
    struct der_reader seq;
    TM_TRY(der_enter(list, DER_SEQUENCE, &seq));
    TM_TRY(der_read_oid(&seq, &ret->oid));
    ret->critical = false;
    if (der_peek(&seq) == DER_BOOLEAN) {
        TM_TRY(der_read_bool(&seq, &ret->critical));
        if (!ret->critical)
            return der_reject(&seq, TM_EMALFORMED, "X.690 11.5", "extensions",
                              "an encoded default: critical FALSE");
    }
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &ret->value));
    ret->id = oid_find(ret->oid);
    return der_end(&seq);
}

tm_err exts_read_list(struct exts *ret, struct der_reader *list)
{
    ret->n = 0;
    if (der_at_end(list))
        return der_reject(list, TM_EMALFORMED, "RFC 5280 4.1", "extensions", "an empty list of extensions");
    while (!der_at_end(list)) {
        if (ret->n == EXT_MAX)
            return der_reject(list, TM_ETOOBIG, NULL, "extensions", "more than 40 extensions");
        struct ext *e = &ret->v[ret->n];
        TM_TRY(ext_read(e, list));
        /* RFC 5280 4.2: "A certificate MUST NOT include more than one instance of a particular extension." */
        for (size_t i = 0; i < ret->n; i++)
            if (slice_eq(ret->v[i].oid, e->oid))
                return der_reject(list, TM_EMALFORMED, "RFC 5280 4.2", "extensions", "an extension twice");
        ret->n++;
    }
    return der_end(list);
}

/* Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension */
tm_err exts_parse(struct exts *ret, struct slice tlv, struct diag *diag)
{
    struct der_reader r, list;
    der_reader_init(&r, tlv, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &list));
    TM_TRY(exts_read_list(ret, &list));
    return der_end(&r);
}

const struct ext *exts_find(const struct exts *e, enum oid id)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].id == id && id != OID_UNKNOWN)
            return &e->v[i];
    return NULL;
}

void exts_build(struct der_builder *b, const struct ext *v, size_t n)
{
    if (n == 0)
        return;
    der_open(b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++) {
        der_open(b, DER_SEQUENCE);
        der_put_oid(b, v[i].oid.n ? v[i].oid : oid_contents(v[i].id));
        if (v[i].critical)
            der_put_bool(b, true);
        der_put(b, DER_OCTET_STRING, v[i].value);
        der_close(b);
    }
    der_close(b);
}

/* Enter the SEQUENCE that most extension values are. */
static tm_err value_enter(struct der_reader *r, struct der_reader *seq, struct slice value, struct diag *diag)
{
    der_reader_init(r, value, diag);
    return der_enter(r, DER_SEQUENCE, seq);
}

static tm_err value_end(struct der_reader *r, struct der_reader *seq)
{
    TM_TRY(der_end(seq));
    return der_end(r);
}

/* BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER (0..MAX) OPTIONAL } */
tm_err ext_decode_basic_constraints(struct basic_constraints *ret, struct slice value, struct diag *diag)
{
    struct der_reader r, seq;
    struct basic_constraints bc = {0};
    TM_TRY(value_enter(&r, &seq, value, diag));
    /* An encoded FALSE breaks X.690 11.5, but certificates of many years carry it and nothing hangs on it: let it pass. */
    if (der_peek(&seq) == DER_BOOLEAN)
        TM_TRY(der_read_bool(&seq, &bc.ca));
    if (!der_at_end(&seq)) {
        TM_TRY(der_read_uint(&seq, &bc.path_len));
        bc.has_path_len = true;
        if (!bc.ca)
            return der_reject(&seq, TM_EMALFORMED, "RFC 5280 4.2.1.9", "basicConstraints",
                              "pathLenConstraint without cA");
    }
    TM_TRY(value_end(&r, &seq));
    *ret = bc;
    return TM_OK;
}

/* KeyUsage ::= BIT STRING { digitalSignature (0), … decipherOnly (8) } */
tm_err ext_decode_key_usage(uint32_t *ret, struct slice value, struct diag *diag)
{
    struct der_reader r;
    uint32_t bits;
    der_reader_init(&r, value, diag);
    TM_TRY(der_read_named_bits(&r, DER_BIT_STRING, &bits));
    if (bits == 0)
        return der_reject(&r, TM_EMALFORMED, "RFC 5280 4.2.1.3", "keyUsage", "a keyUsage without any bit");
    if (bits > (KU_DECIPHER_ONLY << 1) - 1)
        return der_reject(&r, TM_EMALFORMED, "RFC 5280 4.2.1.3", "keyUsage",
                          "a bit that keyUsage does not have");
    TM_TRY(der_end(&r));
    *ret = bits;
    return TM_OK;
}

/* ExtKeyUsageSyntax ::= SEQUENCE SIZE (1..MAX) OF KeyPurposeId */
tm_err ext_decode_eku(struct eku *ret, struct slice value, struct diag *diag)
{
    struct der_reader r, seq;
    ret->n = 0;
    TM_TRY(value_enter(&r, &seq, value, diag));
    if (der_at_end(&seq))
        return der_reject(&seq, TM_EMALFORMED, "RFC 5280 4.2.1.12", "extKeyUsage", "an empty list");
    while (!der_at_end(&seq)) {
        if (ret->n == EKU_MAX)
            return der_reject(&seq, TM_ETOOBIG, NULL, "extKeyUsage", "more than 32 purposes");
        TM_TRY(der_read_oid(&seq, &ret->oid[ret->n]));
        ret->n++;
    }
    return value_end(&r, &seq);
}

/* SubjectKeyIdentifier ::= OCTET STRING */
tm_err ext_decode_ski(struct slice *ret, struct slice value, struct diag *diag)
{
    struct der_reader r;
    struct slice id;
    der_reader_init(&r, value, diag);
    TM_TRY(der_read(&r, DER_OCTET_STRING, &id));
    if (id.n == 0)
        return der_reject(&r, TM_EMALFORMED, "RFC 5280 4.2.1.2", "subjectKeyIdentifier",
                          "an empty key identifier");
    TM_TRY(der_end(&r));
    *ret = id;
    return TM_OK;
}

/* AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0] OCTET STRING OPTIONAL, authorityCertIssuer [1] GeneralNames OPTIONAL,
 *                                       authorityCertSerialNumber [2] INTEGER OPTIONAL } */
tm_err ext_decode_akid(struct slice *ret, struct slice value, struct diag *diag)
{
    struct der_reader r, seq;
    struct slice id, ignored;
    bool has_id, has_issuer, has_serial;
    TM_TRY(value_enter(&r, &seq, value, diag));
    TM_TRY(der_read_optional(&seq, DER_CONTEXT(0), &id, &has_id));
    TM_TRY(der_read_optional(&seq, DER_CONTEXT_CONS(1), &ignored, &has_issuer));
    TM_TRY(der_read_optional(&seq, DER_CONTEXT(2), &ignored, &has_serial));
    if (has_issuer != has_serial) /* RFC 5280 A.2: "both be present or both be absent" */
        return der_reject(&seq, TM_EMALFORMED, "RFC 5280 A.2", "authorityKeyIdentifier",
                          "issuer and serial number not together");
    TM_TRY(value_end(&r, &seq));
    *ret = id;
    return TM_OK;
}

static bool uri_is_fetchable(struct slice uri)
{
    static const char *const schemes[] = {"http:", "https:", "ldap:", "ldaps:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (slice_caseeq(slice_sub(uri, 0, strlen(schemes[i])), slice_str(schemes[i])))
            return true;
    return false;
}

/* The first URI among the names that follow; all of them are read. */
static tm_err first_uri(struct slice *ret, struct der_reader *names)
{
    struct general_name gn;
    struct slice uri = {0};
    while (!der_at_end(names)) {
        TM_TRY(general_name_read(&gn, names));
        if (gn.type == GN_URI && uri.n == 0 && uri_is_fetchable(gn.value))
            uri = gn.value;
    }
    TM_TRY(der_end(names));
    *ret = uri;
    return TM_OK;
}

/* DistributionPoint ::= SEQUENCE { distributionPoint [0] DistributionPointName OPTIONAL, reasons [1] ReasonFlags OPTIONAL,
 *                                  cRLIssuer [2] GeneralNames OPTIONAL }
 * DistributionPointName ::= CHOICE { fullName [0] GeneralNames, nameRelativeToCRLIssuer [1] RelativeDistinguishedName } */
static tm_err distribution_point_read(struct slice *ret_uri, struct der_reader *list)
{
    struct der_reader point, name, names;
    struct slice ignored;
    uint32_t reasons;
    bool has_name, has_full, has_issuer;
    *ret_uri = (struct slice){0};
    TM_TRY(der_enter(list, DER_SEQUENCE, &point));
    TM_TRY(der_enter_optional(&point, DER_CONTEXT_CONS(0), &name, &has_name));
    if (has_name) {
        TM_TRY(der_enter_optional(&name, DER_CONTEXT_CONS(0), &names, &has_full));
        if (has_full)
            TM_TRY(first_uri(ret_uri, &names));
        else
            TM_TRY(der_skip(&name, DER_CONTEXT_CONS(1)));
        TM_TRY(der_end(&name));
    }
    if (der_peek(&point) == DER_CONTEXT(1))
        TM_TRY(der_read_named_bits(&point, DER_CONTEXT(1), &reasons));
    TM_TRY(der_read_optional(&point, DER_CONTEXT_CONS(2), &ignored, &has_issuer));
    if (!has_name && !has_issuer) /* "either distributionPoint or cRLIssuer MUST be present" */
        return der_reject(&point, TM_EMALFORMED, "RFC 5280 4.2.1.13", "cRLDistributionPoints",
                          "a point with neither name nor cRLIssuer");
    return der_end(&point);
}

/* CRLDistributionPoints ::= SEQUENCE SIZE (1..MAX) OF DistributionPoint */
tm_err ext_decode_cdp(struct slice *ret_uris, size_t max, size_t *ret_n, struct slice value,
                      struct diag *diag)
{
    struct der_reader r, list;
    size_t n = 0;
    TM_TRY(value_enter(&r, &list, value, diag));
    if (der_at_end(&list))
        return der_reject(&list, TM_EMALFORMED, "RFC 5280 4.2.1.13", "cRLDistributionPoints",
                          "an empty list");
    while (!der_at_end(&list)) {
        struct slice uri;
        TM_TRY(distribution_point_read(&uri, &list));
        if (uri.n && n < max)
            ret_uris[n++] = uri;
    }
    TM_TRY(value_end(&r, &list));
    *ret_n = n;
    return TM_OK;
}

/* AuthorityInfoAccessSyntax ::= SEQUENCE SIZE (1..MAX) OF AccessDescription
 * AccessDescription ::= SEQUENCE { accessMethod OBJECT IDENTIFIER, accessLocation GeneralName } */
tm_err ext_decode_aia(struct slice *ret_uris, size_t max, size_t *ret_n, enum oid method, struct slice value,
                      struct diag *diag)
{
    struct der_reader r, list, desc;
    size_t n = 0;
    TM_TRY(value_enter(&r, &list, value, diag));
    if (der_at_end(&list))
        return der_reject(&list, TM_EMALFORMED, "RFC 5280 4.2.2.1", "authorityInfoAccess", "an empty list");
    while (!der_at_end(&list)) {
        struct slice oid;
        struct general_name gn;
        TM_TRY(der_enter(&list, DER_SEQUENCE, &desc));
        TM_TRY(der_read_oid(&desc, &oid));
        TM_TRY(general_name_read(&gn, &desc));
        TM_TRY(der_end(&desc));
        if (gn.type == GN_URI && oid_find(oid) == method && n < max)
            ret_uris[n++] = gn.value;
    }
    TM_TRY(value_end(&r, &list));
    *ret_n = n;
    return TM_OK;
}

/* CertificatePolicies ::= SEQUENCE SIZE (1..MAX) OF PolicyInformation
 * PolicyInformation ::= SEQUENCE { policyIdentifier OBJECT IDENTIFIER, policyQualifiers SEQUENCE OF PolicyQualifierInfo OPTIONAL } */
tm_err ext_decode_policies(struct slice *ret_oids, size_t max, size_t *ret_n, struct slice value,
                           struct diag *diag)
{
    struct der_reader r, list, info;
    size_t n = 0;
    TM_TRY(value_enter(&r, &list, value, diag));
    if (der_at_end(&list))
        return der_reject(&list, TM_EMALFORMED, "RFC 5280 4.2.1.4", "certificatePolicies", "an empty list");
    while (!der_at_end(&list)) {
        struct slice oid;
        TM_TRY(der_enter(&list, DER_SEQUENCE, &info));
        TM_TRY(der_read_oid(&info, &oid));
        if (!der_at_end(&info))
            TM_TRY(der_skip(&info, DER_SEQUENCE));
        TM_TRY(der_end(&info));
        for (size_t i = 0; i < n; i++) /* "A certificate policy OID MUST NOT appear more than once" */
            if (slice_eq(ret_oids[i], oid))
                return der_reject(&list, TM_EMALFORMED, "RFC 5280 4.2.1.4", "certificatePolicies",
                                  "a policy twice");
        if (n < max)
            ret_oids[n++] = oid;
    }
    TM_TRY(value_end(&r, &list));
    *ret_n = n;
    return TM_OK;
}
