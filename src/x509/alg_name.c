#include "x509/alg_name.h"
#include "base/buf.h"
#include "der/reader.h"
#include "x509/spki.h"
#include <stdio.h>
#include <string.h>

struct name_row {
    enum oid id;
    const char *name;
};

static const struct name_row curves[] = {
    {OID_P256, "p256"}, {OID_P384, "p384"},           {OID_P521, "p521"},
    {OID_P192, "p192"}, {OID_SECP256K1, "secp256k1"}, {OID_UNKNOWN, NULL},
};
/* Keys that are told by their algorithm alone, and signatures whose name is not made by a rule. */
static const struct name_row keys[] = {
    {OID_ED25519, "ed25519"},     {OID_ED448, "ed448"},
    {OID_X25519, "x25519"},       {OID_X448, "x448"},
    {OID_ML_DSA_44, "ml-dsa-44"}, {OID_ML_DSA_65, "ml-dsa-65"},
    {OID_ML_DSA_87, "ml-dsa-87"}, {OID_DSA, "dsa"},
    {OID_DH_PUBLIC_KEY, "dh"},    {OID_SM2, "sm2"},
    {OID_UNKNOWN, NULL},
};
static const struct name_row signatures[] = {
    {OID_MD5_RSA, "rsa-md5"},
    {OID_SHA1_RSA, "rsa-sha1"},
    {OID_SHA224_RSA, "rsa-sha224"},
    {OID_SHA256_RSA, "rsa-sha256"},
    {OID_SHA384_RSA, "rsa-sha384"},
    {OID_SHA512_RSA, "rsa-sha512"},
    {OID_ECDSA_SHA1, "ecdsa-sha1"},
    {OID_ECDSA_SHA224, "ecdsa-sha224"},
    {OID_ECDSA_SHA256, "ecdsa-sha256"},
    {OID_ECDSA_SHA384, "ecdsa-sha384"},
    {OID_ECDSA_SHA512, "ecdsa-sha512"},
    {OID_DSA_SHA1, "dsa-sha1"},
    {OID_DSA_SHA256, "dsa-sha256"},
    {OID_SM2_SM3, "sm2-sm3"},
    {OID_UNKNOWN, NULL},
};
static const struct name_row digests[] = {
    {OID_MD5, "md5"},       {OID_SHA1, "sha1"},     {OID_SHA224, "sha224"}, {OID_SHA256, "sha256"},
    {OID_SHA384, "sha384"}, {OID_SHA512, "sha512"}, {OID_UNKNOWN, NULL},
};

static const char *lookup(const struct name_row *rows, enum oid id)
{
    for (; rows->name; rows++)
        if (rows->id == id)
            return rows->name;
    return NULL;
}

static void put_name(char out[ALG_NAME_LEN], const char *name)
{
    snprintf(out, ALG_NAME_LEN, "%s", name);
}

/* By its name in lower case where the table of identifiers has one, else dotted. */
static void put_oid(char out[ALG_NAME_LEN], const struct algid *a)
{
    const char *name = a->id == OID_UNKNOWN ? NULL : oid_name(a->id);
    if (name && strlen(name) < ALG_NAME_LEN) {
        size_t i = 0;
        for (; name[i]; i++)
            out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
        out[i] = '\0';
        return;
    }
    struct buf b;
    buf_init(&b, 4096);
    oid_print_dotted(&b, a->oid);
    put_name(out, b.n && b.n < ALG_NAME_LEN ? buf_str(&b) : "unknown");
    buf_done(&b);
}

static unsigned magnitude_bits(struct slice m)
{
    unsigned top = 0;
    for (unsigned v = m.p[0]; v; v >>= 1)
        top++;
    return (unsigned)(m.n - 1) * 8 + top;
}

/* ECParameters ::= CHOICE { namedCurve OBJECT IDENTIFIER, … } (RFC 5480 2.1.1) */
static const char *curve_name(const struct algid *a)
{
    struct der_reader r;
    struct slice oid;
    der_reader_init(&r, a->params, NULL);
    if (der_read_oid(&r, &oid) != TM_OK)
        return NULL;
    const char *name = lookup(curves, oid_find(oid));
    return name ? name : oid_name(oid_find(oid));
}

/* RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] HashAlgorithm DEFAULT sha1Identifier, … } (RFC 4055 3.1) */
static const char *pss_digest(const struct algid *a)
{
    struct der_reader r, seq, inner;
    struct algid hash;
    bool present = false;
    der_reader_init(&r, a->params, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK ||
        der_enter_optional(&seq, DER_CONTEXT_CONS(0), &inner, &present) != TM_OK)
        return NULL;
    if (!present)
        return "sha1";
    return algid_read(&hash, &inner) == TM_OK ? lookup(digests, hash.id) : NULL;
}

void spki_name(char out[ALG_NAME_LEN], const struct spki *s)
{
    struct slice modulus;
    const char *name = lookup(keys, s->alg.id);
    if (s->alg.id == OID_EC_PUBLIC_KEY)
        name = curve_name(&s->alg);
    struct spki rsa = *s;
    if (s->alg.id == OID_RSA_PSS)
        rsa.alg.id = OID_RSA;
    if (spki_rsa_modulus(&modulus, &rsa))
        snprintf(out, ALG_NAME_LEN, "rsa%s%u", s->alg.id == OID_RSA_PSS ? "-pss" : "",
                 magnitude_bits(modulus));
    else if (name)
        put_name(out, name);
    else
        put_oid(out, &s->alg);
}

void sigalg_name(char out[ALG_NAME_LEN], const struct algid *a)
{
    const char *name = lookup(signatures, a->id);
    if (!name)
        name = lookup(keys, a->id);
    const char *digest = a->id == OID_RSA_PSS ? pss_digest(a) : NULL;
    if (digest)
        snprintf(out, ALG_NAME_LEN, "rsa-pss-%s", digest);
    else if (name)
        put_name(out, name);
    else
        put_oid(out, a);
}
