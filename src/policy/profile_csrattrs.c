/* What a request for this profile needs, as EST and CMP tell their clients (RFC 8951, RFC 9908, RFC 9483 4.3.3). */
#include "base/arena.h"
#include "base/buf.h"
#include "der/builder.h"
#include "der/reader.h"
#include "policy/profile_impl.h"

static void put_oid(struct der_builder *b, enum oid id)
{
    der_put_oid(b, oid_contents(id));
}

/* SingleAttributeTemplate ::= SEQUENCE { type OID, value ANY OPTIONAL }, alone in its RDN. The value stays open: the client
 * fills it in. */
static void put_rdn(struct der_builder *b, enum oid type)
{
    der_open(b, DER_SET);
    der_open(b, DER_SEQUENCE);
    put_oid(b, type);
    der_close(b);
    der_close(b);
}

/* Does the certificate's subject take this attribute from the request? */
static bool wants_attr(const struct profile *p, const struct attr_info *attr)
{
    for (size_t i = 0; i < p->n_subject; i++)
        for (size_t j = 0; j < p->subject[i].value.n; j++) {
            /* Only where the request is asked first; else something else is there to fill it. */
            const struct template_segment *seg = &p->subject[i].value.v[j];
            if (seg->n && seg->alt[0].source == SOURCE_CSR && &attr_table[seg->alt[0].which] == attr)
                return true;
        }
    for (size_t i = 0; p->n_subject == 0 && i < p->n_required; i++)
        if (p->required[i] == attr)
            return true;
    return false;
}

static void put_subject(struct der_builder *b, const struct profile *p)
{
    bool any = false;
    for (size_t i = 0; i < attr_table_n; i++)
        any |= wants_attr(p, &attr_table[i]);
    if (!any)
        return;
    der_open(b, DER_SEQUENCE);
    for (size_t i = 0; i < attr_table_n; i++)
        if (wants_attr(p, &attr_table[i]))
            put_rdn(b, attr_table[i].oid);
    der_close(b);
}

struct key_oids {
    enum key_alg alg;
    enum oid algorithm, curve;
};
static const struct key_oids key_oids[] = {
    {KEY_ALG_EC_P256, OID_EC_PUBLIC_KEY, OID_P256},  {KEY_ALG_EC_P384, OID_EC_PUBLIC_KEY, OID_P384},
    {KEY_ALG_EC_P521, OID_EC_PUBLIC_KEY, OID_P521},  {KEY_ALG_ED25519, OID_ED25519, OID_UNKNOWN},
    {KEY_ALG_ED448, OID_ED448, OID_UNKNOWN},         {KEY_ALG_ML_DSA_44, OID_ML_DSA_44, OID_UNKNOWN},
    {KEY_ALG_ML_DSA_65, OID_ML_DSA_65, OID_UNKNOWN}, {KEY_ALG_ML_DSA_87, OID_ML_DSA_87, OID_UNKNOWN},
};

static const struct key_oids *key_oids_find(enum key_alg alg)
{
    for (size_t i = 0; i < sizeof key_oids / sizeof key_oids[0]; i++)
        if (key_oids[i].alg == alg)
            return &key_oids[i];
    return NULL;
}

static unsigned rsa_bits(const struct key_rule *rule)
{
    return rule->min_bits ? rule->min_bits : 2048;
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }. RFC 9908 3.4: a placeholder whose modulus has the length that
 * is wanted says the size of an RSA key; with any other kind there is no key here. */
static void put_rsa_placeholder(struct der_builder *b, unsigned bits)
{
    uint8_t modulus[8192 / 8];
    size_t n = (bits + 7) / 8;
    if (n > sizeof modulus)
        n = sizeof modulus;
    memset(modulus, 0xff, n);
    modulus[0] = (uint8_t)(0xff >> (8 * n - bits) % 8);
    der_open_bits(b);
    der_open(b, DER_SEQUENCE);
    der_put_unsigned(b, slice_of(modulus, n));
    der_put_uint(b, 65537);
    der_close(b);
    der_close(b);
}

/* subjectPKInfo [0] SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING OPTIONAL }: the profile's first choice. */
static void put_key_template(struct der_builder *b, const struct profile *p)
{
    const struct key_oids *k = key_oids_find(p->keys[0].alg);
    der_open(b, DER_CONTEXT_CONS(0));
    der_open(b, DER_SEQUENCE);
    put_oid(b, k ? k->algorithm : OID_RSA);
    if (!k)
        der_put_null(b);
    else if (k->curve != OID_UNKNOWN)
        put_oid(b, k->curve);
    der_close(b);
    if (!k)
        put_rsa_placeholder(b, rsa_bits(&p->keys[0]));
    der_close(b);
}

/* ExtensionTemplate ::= SEQUENCE { extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING OPTIONAL } */
static void put_extension_template(struct der_builder *b, struct slice oid)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    der_close(b);
}

static void put_extensions(struct der_builder *b, const struct profile *p)
{
    der_open(b, DER_CONTEXT_CONS(1));
    bool san = p->doc.san.from == SAN_FROM_REQUEST && p->doc.san.min > (int64_t)p->n_san;
    if (san || p->n_allow_ext > 0) {
        der_open(b, DER_SEQUENCE);
        put_oid(b, OID_AA_EXTENSION_REQ_TEMPLATE);
        der_open(b, DER_SET);
        der_open(b, DER_SEQUENCE);
        if (san)
            put_extension_template(b, oid_contents(OID_EXT_SAN));
        for (size_t i = 0; i < p->n_allow_ext; i++)
            put_extension_template(b, p->allow_ext[i]);
        der_close(b);
        der_close(b);
        der_close(b);
    }
    der_close(b);
}

/* The way of RFC 7030 4.5.2: { id-ecPublicKey, { curve } }, { rsaEncryption, { size } }, or the algorithm alone. */
static void put_key_attribute(struct der_builder *b, const struct key_rule *rule)
{
    const struct key_oids *k = key_oids_find(rule->alg);
    if (k && k->curve == OID_UNKNOWN) {
        put_oid(b, k->algorithm);
        return;
    }
    der_open(b, DER_SEQUENCE);
    put_oid(b, k ? k->algorithm : OID_RSA);
    der_open(b, DER_SET);
    if (k)
        put_oid(b, k->curve);
    else
        der_put_uint(b, rsa_bits(rule));
    der_close(b);
    der_close(b);
}

/* CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID */
tm_err profile_csrattrs(struct buf *out, const struct profile *p, bool bound)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    put_oid(&b, OID_AA_CERT_REQUEST_INFO_TEMPLATE);
    der_open(&b, DER_SET);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, 0); /* v1(0), RFC 9908 3.4 */
    put_subject(&b, p);
    put_key_template(&b, p);
    put_extensions(&b, p);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    put_key_attribute(&b, &p->keys[0]);
    if (bound) /* RFC 7030 4.5.2: who must link the request to its connection is told so */
        put_oid(&b, OID_CHALLENGE_PASSWORD);
    der_close(&b);
    return der_builder_finish(&b);
}

/* ---- CMP ---- */

/* Name with attributes whose values are empty: the client fills them in (RFC 9483 4.3.3). */
static void put_template_subject(struct der_builder *b, const struct profile *p)
{
    bool any = false;
    for (size_t i = 0; i < attr_table_n; i++)
        any |= wants_attr(p, &attr_table[i]);
    if (!any)
        return;
    der_open(b, DER_CONTEXT_CONS(5));
    der_open(b, DER_SEQUENCE);
    for (size_t i = 0; i < attr_table_n; i++) {
        if (!wants_attr(p, &attr_table[i]))
            continue;
        der_open(b, DER_SET);
        der_open(b, DER_SEQUENCE);
        put_oid(b, attr_table[i].oid);
        der_put(b, DER_UTF8_STRING, (struct slice){0});
        der_close(b);
        der_close(b);
    }
    der_close(b);
    der_close(b);
}

/* Extension with an empty value, which the client fills in. */
static void put_open_extension(struct der_builder *b, struct slice oid)
{
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid);
    der_put(b, DER_OCTET_STRING, (struct slice){0});
    der_close(b);
}

static void put_template_extensions(struct der_builder *b, const struct profile *p)
{
    bool san = p->doc.san.from == SAN_FROM_REQUEST;
    if (!san && p->n_allow_ext == 0)
        return;
    der_open(b, DER_CONTEXT_CONS(9));
    if (san)
        put_open_extension(b, oid_contents(OID_EXT_SAN));
    for (size_t i = 0; i < p->n_allow_ext; i++)
        if (oid_find(p->allow_ext[i]) != OID_EXT_SAN)
            put_open_extension(b, p->allow_ext[i]);
    der_close(b);
}

/* id-regCtrl-algId with an AlgorithmIdentifier, or id-regCtrl-rsaKeyLen with a number (RFC 9480 2.16). */
static void put_key_spec(struct der_builder *b, const struct key_rule *rule)
{
    const struct key_oids *k = key_oids_find(rule->alg);
    der_open(b, DER_SEQUENCE);
    put_oid(b, k ? OID_REG_CTRL_ALG_ID : OID_REG_CTRL_RSA_KEY_LEN);
    if (k) {
        der_open(b, DER_SEQUENCE);
        put_oid(b, k->algorithm);
        if (k->curve != OID_UNKNOWN)
            put_oid(b, k->curve);
        der_close(b);
    } else {
        der_put_uint(b, rsa_bits(rule));
    }
    der_close(b);
}

/* CertReqTemplateContent ::= SEQUENCE { certTemplate CertTemplate, keySpec Controls OPTIONAL } */
tm_err profile_cert_template(struct buf *out, const struct profile *p)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    put_template_subject(&b, p);
    put_template_extensions(&b, p);
    der_close(&b);
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < p->n_keys; i++)
        put_key_spec(&b, &p->keys[i]);
    der_close(&b);
    der_close(&b);
    return der_builder_finish(&b);
}
