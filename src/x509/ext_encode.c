/* Encoders of extension values: the productions stand above the decoders in x509/ext.c. */
#include "der/reader.h"
#include "x509/ext.h"
#include "x509/internal.h"

tm_err ext_encode_basic_constraints(struct slice *ret, struct arena *a, const struct basic_constraints *bc)
{
    struct der_builder b;
    struct buf out;
    if (bc->has_path_len && !bc->ca) /* RFC 5280 4.2.1.9 */
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, 24));
    der_open(&b, DER_SEQUENCE);
    if (bc->ca)
        der_put_bool(&b, true);
    if (bc->has_path_len)
        der_put_uint(&b, bc->path_len);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_key_usage(struct slice *ret, struct arena *a, uint32_t ku)
{
    struct der_builder b;
    struct buf out;
    if (ku == 0 || ku > (KU_DECIPHER_ONLY << 1) - 1) /* RFC 5280 4.2.1.3: at least one bit */
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, 16));
    der_put_named_bits(&b, DER_BIT_STRING, ku);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_eku(struct slice *ret, struct arena *a, const struct slice *oids, size_t n)
{
    struct der_builder b;
    struct buf out;
    size_t max = DER_HEAD_MAX;
    if (n == 0)
        return TM_EINVAL;
    for (size_t i = 0; i < n; i++)
        max += oids[i].n + DER_HEAD_MAX;
    TM_TRY(arena_builder(&b, &out, a, max));
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++)
        der_put_oid(&b, oids[i]);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_ski(struct slice *ret, struct arena *a, struct slice key_id)
{
    struct der_builder b;
    struct buf out;
    if (key_id.n == 0)
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, key_id.n + DER_HEAD_MAX));
    der_put(&b, DER_OCTET_STRING, key_id);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_akid(struct slice *ret, struct arena *a, struct slice key_id)
{
    struct der_builder b;
    struct buf out;
    if (key_id.n == 0)
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, key_id.n + 2 * DER_HEAD_MAX));
    der_open(&b, DER_SEQUENCE);
    der_put(&b, DER_CONTEXT(0), key_id);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

/* The most that the names take encoded: three elements around an otherName, at most two around the others. */
static size_t names_max(const struct general_name *v, size_t n)
{
    size_t max = DER_HEAD_MAX;
    for (size_t i = 0; i < n; i++)
        max += v[i].value.n + v[i].other_oid.n + 4 * DER_HEAD_MAX;
    return max;
}

tm_err ext_encode_san(struct slice *ret, struct arena *a, const struct general_name *v, size_t n)
{
    struct der_builder b;
    struct buf out;
    if (n == 0 ||
        n > GENERAL_NAMES_MAX) /* RFC 5280 4.2.1.6: "the sequence MUST contain at least one entry" */
        return TM_EINVAL;
    TM_TRY(arena_builder(&b, &out, a, names_max(v, n)));
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++)
        general_name_build(&b, &v[i]);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

static tm_err cdp(struct slice *ret, struct arena *a, const char *const *uris, size_t n,
                  struct slice crl_issuer)
{
    struct der_builder b;
    struct buf out;
    size_t max = DER_HEAD_MAX + n * (crl_issuer.n + 2 * DER_HEAD_MAX);
    if (n == 0)
        return TM_EINVAL;
    for (size_t i = 0; i < n; i++)
        max += strlen(uris[i]) + 4 * DER_HEAD_MAX;
    TM_TRY(arena_builder(&b, &out, a, max));
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++) {
        der_open(&b, DER_SEQUENCE);
        der_open(&b, DER_CONTEXT_CONS(0));
        der_open(&b, DER_CONTEXT_CONS(0));
        der_put(&b, DER_CONTEXT(GN_URI), slice_str(uris[i]));
        der_close(&b);
        der_close(&b);
        if (crl_issuer.n) { /* cRLIssuer [2] GeneralNames, of them directoryName [4] */
            der_open(&b, DER_CONTEXT_CONS(2));
            der_open(&b, DER_CONTEXT_CONS(GN_DIRECTORY));
            der_put_tlv(&b, crl_issuer);
            der_close(&b);
            der_close(&b);
        }
        der_close(&b);
    }
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_cdp(struct slice *ret, struct arena *a, const char *const *uris, size_t n)
{
    return cdp(ret, a, uris, n, (struct slice){0});
}

tm_err ext_encode_cdp_of(struct slice *ret, struct arena *a, const char *uri, struct slice crl_issuer)
{
    return cdp(ret, a, &uri, 1, crl_issuer);
}

static void access_build(struct der_builder *b, enum oid method, const char *uri)
{
    if (!uri)
        return;
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(method));
    der_put(b, DER_CONTEXT(GN_URI), slice_str(uri));
    der_close(b);
}

tm_err ext_encode_aia(struct slice *ret, struct arena *a, const char *ocsp_uri, const char *ca_issuers_uri)
{
    struct der_builder b;
    struct buf out;
    if (!ocsp_uri && !ca_issuers_uri)
        return TM_EINVAL;
    size_t max = slice_str(ocsp_uri).n + slice_str(ca_issuers_uri).n + 64;
    TM_TRY(arena_builder(&b, &out, a, max));
    der_open(&b, DER_SEQUENCE);
    access_build(&b, OID_AD_OCSP, ocsp_uri);
    access_build(&b, OID_AD_CA_ISSUERS, ca_issuers_uri);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

tm_err ext_encode_policies(struct slice *ret, struct arena *a, const struct slice *oids, size_t n)
{
    struct der_builder b;
    struct buf out;
    size_t max = DER_HEAD_MAX;
    if (n == 0)
        return TM_EINVAL;
    for (size_t i = 0; i < n; i++)
        max += oids[i].n + 2 * DER_HEAD_MAX;
    TM_TRY(arena_builder(&b, &out, a, max));
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++) {
        der_open(&b, DER_SEQUENCE);
        der_put_oid(&b, oids[i]);
        der_close(&b);
    }
    der_close(&b);
    return arena_builder_finish(ret, &b);
}

static void subtrees_build(struct der_builder *b, unsigned tag, const struct general_names *names)
{
    if (names->n == 0)
        return;
    der_open(b, tag);
    for (size_t i = 0; i < names->n; i++) {
        der_open(b, DER_SEQUENCE);
        general_name_build(b, &names->v[i]);
        der_close(b);
    }
    der_close(b);
}

tm_err ext_encode_name_constraints(struct slice *ret, struct arena *a, const struct name_constraints *nc)
{
    struct der_builder b;
    struct buf out;
    if (nc->permitted.n == 0 && nc->excluded.n == 0) /* RFC 5280 4.2.1.10: "MUST NOT … an empty sequence" */
        return TM_EINVAL;
    size_t max = names_max(nc->permitted.v, nc->permitted.n) + names_max(nc->excluded.v, nc->excluded.n) +
                 DER_HEAD_MAX * (1 + nc->permitted.n + nc->excluded.n);
    TM_TRY(arena_builder(&b, &out, a, max));
    der_open(&b, DER_SEQUENCE);
    subtrees_build(&b, DER_CONTEXT_CONS(0), &nc->permitted);
    subtrees_build(&b, DER_CONTEXT_CONS(1), &nc->excluded);
    der_close(&b);
    return arena_builder_finish(ret, &b);
}
