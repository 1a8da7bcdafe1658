#include "x509/cms/certs_only.h"
#include "der/builder.h"
#include "der/oid.h"
#include "der/reader.h"

/* ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY }
 * SignedData ::= SEQUENCE { version INTEGER, digestAlgorithms SET OF, encapContentInfo SEQUENCE { eContentType },
 *                           certificates [0] IMPLICIT SET OF OPTIONAL, crls [1] IMPLICIT SET OF OPTIONAL, signerInfos SET OF }
 *
 * CMS is BER: only what is signed has to be DER (RFC 5652 5.3), and nothing here is. So the certificates stay in the caller's order,
 * which clients that take the first one for their own rely on. */
tm_err certs_only_build(struct buf *out, const struct slice *certs, size_t n, const struct slice *crls,
                        size_t n_crls)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(OID_SIGNED_DATA));
    der_open(&b, DER_CONTEXT_CONS(0));
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 1); /* RFC 5652 5.1: no attribute certificates, id-data */
    der_put(&b, DER_SET, (struct slice){0});
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(OID_DATA));
    der_close(&b);
    if (n) {
        der_open(&b, DER_CONTEXT_CONS(0));
        for (size_t i = 0; i < n; i++)
            der_put_tlv(&b, certs[i]);
        der_close(&b);
    }
    if (n_crls) {
        der_open(&b, DER_CONTEXT_CONS(1));
        for (size_t i = 0; i < n_crls; i++)
            der_put_tlv(&b, crls[i]);
        der_close(&b);
    }
    der_put(&b, DER_SET, (struct slice){0});
    der_close(&b);
    der_close(&b);
    der_close(&b);
    return der_builder_finish(&b);
}

/* CertificateSet: plain certificates are SEQUENCEs; the other choices (attribute certificates and the like) carry context tags and are
 * passed over. */
static tm_err certificates_read(struct slice *ret, size_t max, size_t *ret_n, struct der_reader *set)
{
    size_t n = 0;
    while (!der_at_end(set)) {
        struct slice tlv;
        unsigned tag;
        TM_TRY(der_read_any(set, &tag, NULL, &tlv));
        if (tag != DER_SEQUENCE)
            continue;
        if (n == max)
            return der_reject(set, TM_ETOOBIG, NULL, "certificates", "too many certificates");
        ret[n++] = tlv;
    }
    *ret_n = n;
    return der_end(set);
}

static tm_err signed_data_read(struct slice *ret, size_t max, size_t *ret_n, struct der_reader *sd)
{
    struct der_reader encap, certs;
    struct slice type, signers, ignored;
    uint64_t version;
    bool present;
    TM_TRY(der_read_uint(sd, &version));
    if (version < 1 || version > 5)
        return der_reject(sd, TM_EMALFORMED, "RFC 5652 5.1", "version",
                          "a version that SignedData does not have");
    TM_TRY(der_skip(sd, DER_SET));
    TM_TRY(der_enter(sd, DER_SEQUENCE, &encap));
    TM_TRY(der_read_oid(&encap, &type));
    TM_TRY(der_read_optional(&encap, DER_CONTEXT_CONS(0), &ignored, &present));
    TM_TRY(der_end(&encap));
    *ret_n = 0;
    TM_TRY(der_enter_optional(sd, DER_CONTEXT_CONS(0), &certs, &present));
    if (present)
        TM_TRY(certificates_read(ret, max, ret_n, &certs));
    TM_TRY(der_read_optional(sd, DER_CONTEXT_CONS(1), &ignored, &present));
    TM_TRY(der_read(sd, DER_SET, &signers));
    if (signers.n)
        return der_reject(sd, TM_EMALFORMED, "RFC 8951 3", "signerInfos",
                          "a signed message, not certificates only");
    return der_end(sd);
}

tm_err certs_only_parse(struct slice *ret_certs, size_t max, size_t *ret_n, struct slice der,
                        struct diag *diag)
{
    struct der_reader r, info, content, sd;
    struct slice type;
    size_t n = 0;
    der_reader_init(&r, der, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &info));
    TM_TRY(der_read_oid(&info, &type));
    if (oid_find(type) != OID_SIGNED_DATA)
        return der_reject(&info, TM_EMALFORMED, "RFC 5652 5.1", "contentType", "not SignedData");
    TM_TRY(der_enter(&info, DER_CONTEXT_CONS(0), &content));
    TM_TRY(der_enter(&content, DER_SEQUENCE, &sd));
    TM_TRY(signed_data_read(ret_certs, max, &n, &sd));
    TM_TRY(der_end(&content));
    TM_TRY(der_end(&info));
    TM_TRY(der_end(&r));
    *ret_n = n;
    return TM_OK;
}
