#include "keys/jwk.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include <string.h>

enum { KEY_DER_MAX = 8 << 10, SIGNATURE_MAX = 8 << 10, RSA_BITS_MAX = 4096, MEMBER_MAX = 4096 };

tm_err base64url_strict(struct slice *ret, struct arena *a, struct slice text)
{
    struct slice octets;
    size_t rest = text.n % 4;
    if (rest == 1)
        return TM_EMALFORMED;
    TM_TRY(base64_decode(&octets, a, text, BASE64_URL));
    /* Each character of padding or white space, which base64_decode() lets pass, is six bits less. */
    if (octets.n != text.n / 4 * 3 + (rest ? rest - 1 : 0))
        return TM_EMALFORMED;
    *ret = octets;
    return TM_OK;
}

/* ---- members ---- */

static const char *text_member(const json_t *doc, const char *name)
{
    return json_string_value(json_object_get(doc, name));
}

static tm_err octets_member(struct slice *ret, struct arena *a, const json_t *doc, const char *name,
                            struct diag *diag)
{
    const char *s = text_member(doc, name);
    size_t n = s ? json_string_length(json_object_get(doc, name)) : 0;
    if (n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 7518 6", "jwk", "the key lacks \"%s\"", name);
    if (n > MEMBER_MAX)
        return diag_fail(diag, TM_ETOOBIG, "RFC 7518 6", "jwk", "\"%s\" is too long", name);
    if (base64url_strict(ret, a, slice_of(s, n)) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "RFC 7515 2", "jwk", "\"%s\" is not base64url", name);
    return TM_OK;
}

/* ---- to SPKI ---- */

static const uint8_t oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t oid_p521[] = {0x2b, 0x81, 0x04, 0x00, 0x23};

static const struct curve {
    const char *name;
    struct slice oid;
    size_t size; /* of a coordinate */
} curves[] = {
    {"P-256", {oid_p256, sizeof oid_p256}, 32},
    {"P-384", {oid_p384, sizeof oid_p384}, 48},
    {"P-521", {oid_p521, sizeof oid_p521}, 66},
};

/* Keys that are a string of octets with an algorithm of their own. */
static const struct raw_key {
    const char *kty, *name; /* `name`: crv of an OKP (RFC 8037), alg of an AKP (RFC 9964) */
    enum sig_alg alg;       /* key and signature share the AlgorithmIdentifier */
    size_t size;
} raw_keys[] = {
    {"OKP", "Ed25519", SIG_ED25519, 32},       {"OKP", "Ed448", SIG_ED448, 57},
    {"AKP", "ML-DSA-44", SIG_ML_DSA_44, 1312}, {"AKP", "ML-DSA-65", SIG_ML_DSA_65, 1952},
    {"AKP", "ML-DSA-87", SIG_ML_DSA_87, 2592},
};

static tm_err finish(struct jwk *ret, struct arena *a, struct der_builder *b, struct diag *diag)
{
    struct slice der;
    TM_TRY(der_builder_finish(b));
    TM_TRY(arena_copy(&der, a, buf_slice(b->out)));
    TM_TRY(spki_parse(&ret->spki, der, diag));
    TM_TRY(pubkey_info(&ret->key, &ret->spki, diag));
    return pubkey_check(&ret->spki, diag);
}

/* RFC 5480 2: ecPublicKey with the named curve; the point uncompressed. */
static tm_err ec_build(struct jwk *ret, struct arena *a, const struct curve *c, struct slice x,
                       struct slice y, struct diag *diag)
{
    struct buf out;
    buf_init(&out, KEY_DER_MAX);
    struct der_builder b;
    uint8_t point[1 + 2 * 66] = {0x04};
    memcpy(point + 1, x.p, c->size);
    memcpy(point + 1 + c->size, y.p, c->size);
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, SLICE_ARR(oid_ec));
    der_put_oid(&b, c->oid);
    der_close(&b);
    der_put_bits(&b, slice_of(point, 1 + 2 * c->size));
    der_close(&b);
    tm_err e = finish(ret, a, &b, diag);
    buf_done(&out);
    return e;
}

/* RFC 8017 A.1.1: RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } */
static tm_err rsa_build(struct jwk *ret, struct arena *a, struct slice n, struct slice exponent,
                        struct diag *diag)
{
    struct buf out;
    buf_init(&out, KEY_DER_MAX);
    struct der_builder b;
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, SLICE_ARR(oid_rsa));
    der_put_null(&b);
    der_close(&b);
    der_open_bits(&b);
    der_open(&b, DER_SEQUENCE);
    der_put_unsigned(&b, n);
    der_put_unsigned(&b, exponent);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    tm_err e = finish(ret, a, &b, diag);
    buf_done(&out);
    return e;
}

static tm_err raw_build(struct jwk *ret, struct arena *a, const struct raw_key *k, struct slice octets,
                        struct diag *diag)
{
    struct buf out;
    buf_init(&out, KEY_DER_MAX);
    struct der_builder b;
    der_builder_init(&b, &out);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, sig_alg_info(k->alg)->algid);
    der_put_bits(&b, octets);
    der_close(&b);
    tm_err e = finish(ret, a, &b, diag);
    buf_done(&out);
    return e;
}

/* ---- the types ---- */

/* RFC 7638 3.2: the required members in the order of their names, without white space. The texts are base64url or names from our
 * tables, so that nothing needs an escape. */
static tm_err thumbprint(struct jwk *ret, const json_t *doc, const char *const *names)
{
    struct buf b;
    buf_init(&b, 4 * MEMBER_MAX);
    for (size_t i = 0; names[i]; i++)
        buf_printf(&b, "%c\"%s\":\"%s\"", i ? ',' : '{', names[i], text_member(doc, names[i]));
    buf_putc(&b, '}');
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = sha256(ret->thumbprint, buf_slice(&b));
    buf_done(&b);
    return e;
}

static tm_err parse_ec(struct jwk *ret, struct arena *a, const json_t *doc, struct diag *diag)
{
    static const char *const members[] = {"crv", "kty", "x", "y", NULL};
    const char *crv = text_member(doc, "crv");
    for (size_t i = 0; crv && i < sizeof curves / sizeof *curves; i++) {
        if (strcmp(curves[i].name, crv) != 0)
            continue;
        struct slice x, y;
        TM_TRY(octets_member(&x, a, doc, "x", diag));
        TM_TRY(octets_member(&y, a, doc, "y", diag));
        /* RFC 7518 6.2.1.2: the full size of a coordinate */
        if (x.n != curves[i].size || y.n != curves[i].size)
            return diag_fail(diag, TM_EINVAL, "RFC 7518 6.2.1.2", "jwk", "a coordinate on %s has %zu octets",
                             crv, curves[i].size);
        TM_TRY(ec_build(ret, a, &curves[i], x, y, diag));
        return thumbprint(ret, doc, members);
    }
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 7518 6.2.1.1", "jwk", "curves are P-256, P-384 and P-521");
}

static tm_err parse_rsa(struct jwk *ret, struct arena *a, const json_t *doc, struct diag *diag)
{
    static const char *const members[] = {"e", "kty", "n", NULL};
    struct slice n, exponent;
    TM_TRY(octets_member(&n, a, doc, "n", diag));
    TM_TRY(octets_member(&exponent, a, doc, "e", diag));
    /* RFC 7518 6.3.1.1: the fewest octets; one key has one thumbprint. */
    if (n.p[0] == 0 || exponent.p[0] == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 7518 6.3.1.1", "jwk", "numbers have no leading zero octets");
    if (n.n > RSA_BITS_MAX / 8)
        return diag_fail(diag, TM_EUNSUPPORTED, "key.size", "jwk", "RSA keys have at most %d bits",
                         RSA_BITS_MAX);
    TM_TRY(rsa_build(ret, a, n, exponent, diag));
    return thumbprint(ret, doc, members);
}

static tm_err parse_raw(struct jwk *ret, struct arena *a, const json_t *doc, const char *kty,
                        struct diag *diag)
{
    static const char *const okp[] = {"crv", "kty", "x", NULL};
    static const char *const akp[] = {"alg", "kty", "pub", NULL};
    bool is_okp = strcmp(kty, "OKP") == 0;
    const char *name = text_member(doc, is_okp ? "crv" : "alg");
    for (size_t i = 0; name && i < sizeof raw_keys / sizeof *raw_keys; i++) {
        if (strcmp(raw_keys[i].kty, kty) != 0 || strcmp(raw_keys[i].name, name) != 0)
            continue;
        struct slice octets;
        TM_TRY(octets_member(&octets, a, doc, is_okp ? "x" : "pub", diag));
        if (octets.n != raw_keys[i].size)
            return diag_fail(diag, TM_EINVAL, is_okp ? "RFC 8037 2" : "RFC 9964 3", "jwk",
                             "a %s key has %zu octets", name, raw_keys[i].size);
        TM_TRY(raw_build(ret, a, &raw_keys[i], octets, diag));
        return thumbprint(ret, doc, is_okp ? okp : akp);
    }
    return diag_fail(diag, TM_EUNSUPPORTED, is_okp ? "RFC 8037 2" : "RFC 9964 3", "jwk",
                     "keys of type %s are %s", kty, is_okp ? "Ed25519 and Ed448" : "ML-DSA-44, -65 and -87");
}

tm_err jwk_parse(struct jwk *ret, struct arena *a, const json_t *doc, struct diag *diag)
{
    const char *kty = json_is_object(doc) ? text_member(doc, "kty") : NULL;
    if (!kty)
        return diag_fail(diag, TM_EINVAL, "RFC 7517 4.1", "jwk", "a key is an object with \"kty\"");
    /* Somebody who sends the private part has given it away. */
    static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"};
    for (size_t i = 0; i < sizeof private_members / sizeof *private_members; i++)
        if (json_object_get(doc, private_members[i]))
            return diag_fail(diag, TM_EINVAL, "RFC 8555 6.2", "jwk",
                             "the key contains its private part; throw this key away");
    struct jwk k = {0};
    tm_err e = TM_EUNSUPPORTED;
    if (strcmp(kty, "EC") == 0)
        e = parse_ec(&k, a, doc, diag);
    else if (strcmp(kty, "RSA") == 0)
        e = parse_rsa(&k, a, doc, diag);
    else if (strcmp(kty, "OKP") == 0 || strcmp(kty, "AKP") == 0)
        e = parse_raw(&k, a, doc, kty, diag);
    else
        e = diag_fail(diag, TM_EUNSUPPORTED, "RFC 7518 6.1", "jwk", "key types are EC, RSA, OKP and AKP");
    if (e == TM_OK)
        *ret = k;
    return e;
}

/* ---- signatures ---- */

static const struct jws_alg {
    const char *name;
    enum key_alg key; /* ECDSA: RFC 7518 3.4 binds each hash to one curve */
    enum sig_alg sig;
    size_t coordinate; /* ECDSA: octets of r and of s; 0: the signature is as it is */
} jws_algs[] = {
    {"ES256", KEY_ALG_EC_P256, SIG_ECDSA_SHA256, 32},
    {"ES384", KEY_ALG_EC_P384, SIG_ECDSA_SHA384, 48},
    {"ES512", KEY_ALG_EC_P521, SIG_ECDSA_SHA512, 66},
    {"RS256", KEY_ALG_RSA, SIG_RSA_SHA256, 0},
    {"PS256", KEY_ALG_RSA, SIG_RSA_PSS_SHA256, 0},
    {"EdDSA", KEY_ALG_ED25519, SIG_ED25519, 0},
    {"EdDSA", KEY_ALG_ED448, SIG_ED448, 0},
    {"Ed25519", KEY_ALG_ED25519, SIG_ED25519, 0}, /* RFC 9864 */
    {"Ed448", KEY_ALG_ED448, SIG_ED448, 0},
    {"ML-DSA-44", KEY_ALG_ML_DSA_44, SIG_ML_DSA_44, 0},
    {"ML-DSA-65", KEY_ALG_ML_DSA_65, SIG_ML_DSA_65, 0},
    {"ML-DSA-87", KEY_ALG_ML_DSA_87, SIG_ML_DSA_87, 0},
};

const char *const jws_alg_names[] = {"ES256",   "ES384", "ES512",     "RS256",     "PS256",     "EdDSA",
                                     "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87", NULL};

bool jws_alg_known(const char *alg)
{
    for (size_t i = 0; jws_alg_names[i]; i++)
        if (strcmp(jws_alg_names[i], alg) == 0)
            return true;
    return false;
}

/* RFC 7518 3.4: r and s, each of full size, to ECDSA-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } */
static tm_err ecdsa_der(struct buf *out, struct slice rs, size_t size, struct diag *diag)
{
    if (rs.n != 2 * size)
        return diag_fail(diag, TM_EBADSIG, "RFC 7518 3.4", "signature",
                         "the signature has %zu octets, not %zu", rs.n, 2 * size);
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_unsigned(&b, slice_sub(rs, 0, size));
    der_put_unsigned(&b, slice_sub(rs, size, size));
    der_close(&b);
    return der_builder_finish(&b);
}

static tm_err verify_with(const struct jws_alg *x, const struct spki *key, struct slice input,
                          struct slice signature, struct diag *diag)
{
    struct algid algid;
    TM_TRY(algid_parse(&algid, sig_alg_info(x->sig)->algid, diag));
    if (!x->coordinate)
        return pubkey_verify(key, &algid, input, signature, diag);
    struct buf der;
    buf_init(&der, SIGNATURE_MAX);
    tm_err e = ecdsa_der(&der, signature, x->coordinate, diag);
    if (e == TM_OK)
        e = pubkey_verify(key, &algid, input, buf_slice(&der), diag);
    buf_done(&der);
    return e;
}

tm_err jws_signature_verify(const struct spki *key, const char *alg, struct slice input,
                            struct slice signature, struct diag *diag)
{
    struct pubkey_info info;
    if (!jws_alg_known(alg))
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 8555 6.2", "alg",
                         "this signature algorithm is not taken");
    TM_TRY(pubkey_info(&info, key, diag));
    for (size_t i = 0; i < sizeof jws_algs / sizeof *jws_algs; i++)
        if (strcmp(jws_algs[i].name, alg) == 0 && jws_algs[i].key == info.alg)
            return verify_with(&jws_algs[i], key, input, signature, diag);
    return diag_fail(diag, TM_EINVAL, "RFC 8555 6.2", "alg", "%s does not fit an %s key", alg,
                     key_alg_info(info.alg)->title);
}
