#include "keys/pubkey.h"
#include "base/per_thread.h"
#include "der/reader.h"
#include "keys/internal.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>

/* ---- structure ---- */

static const struct {
    enum oid curve;
    enum key_alg alg;
    size_t coordinate;
} ec_curves[] = {
    {OID_P256, KEY_ALG_EC_P256, 32},
    {OID_P384, KEY_ALG_EC_P384, 48},
    {OID_P521, KEY_ALG_EC_P521, 66},
};

/* RFC 5480 2.1.1: namedCurve only. RFC 5480 2.2: the uncompressed form is the one that everybody reads. */
static tm_err ec_info(struct pubkey_info *ret, const struct spki *s, struct diag *diag)
{
    struct der_reader r;
    struct slice curve;
    der_reader_init(&r, s->alg.params, NULL);
    if (der_read_oid(&r, &curve) != TM_OK || der_end(&r) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "RFC 5480 2.1.1", "subjectPublicKeyInfo.algorithm",
                         "EC parameters are not a named curve");
    enum oid id = oid_find(curve);
    for (size_t i = 0; i < sizeof ec_curves / sizeof ec_curves[0]; i++) {
        if (ec_curves[i].curve != id)
            continue;
        size_t want = 1 + 2 * ec_curves[i].coordinate;
        if (s->key.n != want || s->key.p[0] != 0x04)
            return diag_fail(diag, TM_EINVAL, "RFC 5480 2.2", "subjectPublicKey",
                             "the EC point is not in uncompressed form with %zu octets", want);
        *ret = (struct pubkey_info){.alg = ec_curves[i].alg, .ec_point = s->key};
        ret->bits = key_alg_info(ret->alg)->bits;
        return TM_OK;
    }
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5480 2.1.1", "subjectPublicKeyInfo.algorithm",
                     "the curve is not P-256, P-384 or P-521");
}

static unsigned magnitude_bits(struct slice m)
{
    return m.n ? (unsigned)(m.n * 8 - (size_t)(__builtin_clz(m.p[0]) - 24)) : 0;
}

/* INTEGER contents -> magnitude; false unless positive. */
static bool positive(struct slice *ret, struct slice integer)
{
    if (integer.n == 0 || (integer.p[0] & 0x80))
        return false;
    if (integer.p[0] == 0)
        integer = slice_sub(integer, 1, integer.n);
    *ret = integer;
    return integer.n != 0;
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
static tm_err rsa_info(struct pubkey_info *ret, const struct spki *s, struct diag *diag)
{
    static const uint8_t null_params[] = {0x05, 0x00};
    if (!slice_eq(s->alg.params, SLICE_ARR(null_params)))
        return diag_fail(diag, TM_EINVAL, "RFC 3279 2.3.1", "subjectPublicKeyInfo.algorithm",
                         "rsaEncryption parameters are not NULL");
    struct der_reader r, seq;
    struct slice n, e;
    der_reader_init(&r, s->key, NULL);
    bool well_formed = der_enter(&r, DER_SEQUENCE, &seq) == TM_OK && der_read_integer(&seq, &n) == TM_OK &&
                       der_read_integer(&seq, &e) == TM_OK && der_end(&seq) == TM_OK && der_end(&r) == TM_OK;
    if (!well_formed)
        return diag_fail(diag, TM_EINVAL, "RFC 8017 A.1.1", "subjectPublicKey", "not an RSAPublicKey");
    if (!positive(&n, n) || !positive(&e, e) || !(n.p[n.n - 1] & 1) || !(e.p[e.n - 1] & 1))
        return diag_fail(diag, TM_EINVAL, "RFC 8017 3.1", "subjectPublicKey",
                         "RSA modulus and exponent are not both positive and odd");
    const struct key_alg_info *info = key_alg_info(KEY_ALG_RSA);
    unsigned bits = magnitude_bits(n);
    if (bits < info->min_bits || bits > info->max_bits)
        return diag_fail(diag, TM_EUNSUPPORTED, "key.size", "subjectPublicKey",
                         "an RSA modulus of %u bits is not in %u..%u", bits, info->min_bits, info->max_bits);
    if (e.n > n.n || (e.n == n.n && memcmp(e.p, n.p, n.n) >= 0))
        return diag_fail(diag, TM_EINVAL, "RFC 8017 3.1", "subjectPublicKey",
                         "the RSA exponent is not smaller than the modulus");
    *ret = (struct pubkey_info){.alg = KEY_ALG_RSA, .bits = bits, .rsa_modulus = n, .rsa_exponent = e};
    return TM_OK;
}

static tm_err raw_info(struct pubkey_info *ret, enum key_alg alg, size_t octets, const struct spki *s,
                       const char *rule, struct diag *diag)
{
    if (s->alg.params.n != 0)
        return diag_fail(diag, TM_EINVAL, rule, "subjectPublicKeyInfo.algorithm", "%s takes no parameters",
                         key_alg_info(alg)->title);
    if (s->key.n != octets)
        return diag_fail(diag, TM_EINVAL, rule, "subjectPublicKey", "an %s key has %zu octets, not %zu",
                         key_alg_info(alg)->title, octets, s->key.n);
    *ret = (struct pubkey_info){.alg = alg, .bits = key_alg_info(alg)->bits};
    return TM_OK;
}

tm_err pubkey_info(struct pubkey_info *ret, const struct spki *s, struct diag *diag)
{
    switch (s->alg.id) {
    case OID_EC_PUBLIC_KEY:
        return ec_info(ret, s, diag);
    case OID_RSA:
        return rsa_info(ret, s, diag);
    case OID_ED25519:
        return raw_info(ret, KEY_ALG_ED25519, 32, s, "RFC 8410 3", diag);
    case OID_ED448:
        return raw_info(ret, KEY_ALG_ED448, 57, s, "RFC 8410 3", diag);
    case OID_ML_DSA_44:
        return raw_info(ret, KEY_ALG_ML_DSA_44, 1312, s, "RFC 9881 4", diag);
    case OID_ML_DSA_65:
        return raw_info(ret, KEY_ALG_ML_DSA_65, 1952, s, "RFC 9881 4", diag);
    case OID_ML_DSA_87:
        return raw_info(ret, KEY_ALG_ML_DSA_87, 2592, s, "RFC 9881 4", diag);
    default:
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5280 4.1.2.7", "subjectPublicKeyInfo.algorithm",
                         "keys of type %s are not supported", s->alg.id ? oid_name(s->alg.id) : "unknown");
    }
}

/* ---- per-thread contexts ---- */

/* One EC key a curve, into which each caller's point is set in place, and a verifying context bound to it: the context
 * refers to the very key object, so it need not be set up again. Setting the point checks the curve equation. */
struct ec_slot {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *verify;
};
struct thread_keys {
    struct ec_slot ec[KEY_ALG_EC_P521 + 1];
};

static void ec_slot_done(struct ec_slot *s)
{
    EVP_PKEY_CTX_free(s->verify);
    EVP_PKEY_free(s->pkey);
    *s = (struct ec_slot){0};
}

static void thread_keys_done(void *p)
{
    struct thread_keys *t = p;
    for (int i = 0; i <= KEY_ALG_EC_P521; i++)
        ec_slot_done(&t->ec[i]);
}

static struct per_thread thread_keys = {.size = sizeof(struct thread_keys), .end = thread_keys_done};

/* A key from the curve's parameters and the first caller's point. */
static tm_err ec_slot_open(struct ec_slot *s, const struct pubkey_info *info)
{
    char group[16];
    strncpy(group, key_alg_info(info->alg)->openssl_group, sizeof group - 1);
    group[sizeof group - 1] = '\0';
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)info->ec_point.p,
                                          info->ec_point.n),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    bool good = make && EVP_PKEY_fromdata_init(make) == 1 &&
                EVP_PKEY_fromdata(make, &s->pkey, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(make);
    if (!good)
        return TM_EINVAL;
    s->verify = EVP_PKEY_CTX_new_from_pkey(NULL, s->pkey, NULL);
    if (!s->verify || EVP_PKEY_verify_init(s->verify) != 1) {
        ec_slot_done(s);
        return TM_ECRYPTO;
    }
    return TM_OK;
}

/* The thread's slot for the curve with the caller's point in it. TM_EINVAL: not on the curve. */
static tm_err ec_slot_for(struct ec_slot **ret, const struct pubkey_info *info, struct diag *diag)
{
    struct thread_keys *t;
    TM_TRY(per_thread_get(&t, &thread_keys));
    struct ec_slot *s = &t->ec[info->alg];
    tm_err err = TM_OK;
    if (!s->pkey)
        err = ec_slot_open(s, info);
    else if (EVP_PKEY_set1_encoded_public_key(s->pkey, info->ec_point.p, info->ec_point.n) != 1)
        err = TM_EINVAL;
    if (err != TM_OK) {
        ERR_clear_error();
        return diag_fail(diag, err, "RFC 5480 2.2", "subjectPublicKey", "the point is not on the curve %s",
                         key_alg_info(info->alg)->openssl_group);
    }
    *ret = s;
    return TM_OK;
}

/* ---- other keys are made anew: that is cheap beside their verification ---- */

static BIGNUM *bignum(struct slice magnitude)
{
    return BN_bin2bn(magnitude.p, (int)magnitude.n, NULL);
}

static EVP_PKEY *rsa_pkey(const struct pubkey_info *info)
{
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = bignum(info->rsa_modulus), *e = bignum(info->rsa_exponent);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (n && e && bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (params && make && EVP_PKEY_fromdata_init(make) == 1 &&
        EVP_PKEY_fromdata(make, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(make);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    return pkey;
}

static EVP_PKEY *other_pkey(const struct pubkey_info *info, const struct spki *s)
{
    if (info->alg == KEY_ALG_RSA)
        return rsa_pkey(info);
    return EVP_PKEY_new_raw_public_key_ex(NULL, key_alg_info(info->alg)->openssl_name, NULL, s->key.p,
                                          s->key.n);
}

tm_err pubkey_check(const struct spki *s, struct diag *diag)
{
    struct pubkey_info info;
    TM_TRY(pubkey_info(&info, s, diag));
    struct ec_slot *slot;
    if (info.ec_point.n)
        return ec_slot_for(&slot, &info, diag);
    EVP_PKEY *pkey = other_pkey(&info, s);
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    /* ML-DSA has nothing to check beyond its length (FIPS 204 section 3.6.2). */
    bool good = ctx && (key_alg_info(info.alg)->post_quantum || EVP_PKEY_public_check(ctx) == 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    if (good)
        return TM_OK;
    ERR_clear_error();
    return diag_fail(diag, TM_EINVAL, NULL, "subjectPublicKey", "not a valid %s key",
                     key_alg_info(info.alg)->title);
}

/* ---- verification ---- */

static tm_err bad_signature(struct diag *diag)
{
    ERR_clear_error(); /* what OpenSSL says of a malformed signature is of no use later */
    return diag_fail(diag, TM_EBADSIG, NULL, "signature", "the signature does not verify");
}

static tm_err verify_ec(const struct pubkey_info *info, const struct sig_alg_info *alg, struct slice message,
                        struct slice signature, struct diag *diag)
{
    struct ec_slot *slot;
    uint8_t digest[KEY_DIGEST_MAX];
    size_t n;
    TM_TRY(ec_slot_for(&slot, info, diag));
    TM_TRY(keys_digest(digest, &n, alg->digest, message));
    if (EVP_PKEY_verify(slot->verify, signature.p, signature.n, digest, n) != 1)
        return bad_signature(diag);
    return TM_OK;
}

static bool set_rsa_padding(EVP_PKEY_CTX *ctx, const struct sig_alg_info *alg)
{
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, alg->pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1)
        return false;
    char digest[16];
    strncpy(digest, alg->digest, sizeof digest - 1);
    digest[sizeof digest - 1] = '\0';
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    /* MGF1 takes the message's digest where nothing else is said. */
    return EVP_PKEY_CTX_set_params(ctx, params) == 1 &&
           (!alg->pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static tm_err verify_rsa(EVP_PKEY *pkey, const struct sig_alg_info *alg, struct slice message,
                         struct slice signature, struct diag *diag)
{
    uint8_t digest[KEY_DIGEST_MAX];
    size_t n;
    TM_TRY(keys_digest(digest, &n, alg->digest, message));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    tm_err err = TM_ECRYPTO;
    if (ctx && EVP_PKEY_verify_init(ctx) == 1 && set_rsa_padding(ctx, alg))
        err = EVP_PKEY_verify(ctx, signature.p, signature.n, digest, n) == 1 ? TM_OK : bad_signature(diag);
    EVP_PKEY_CTX_free(ctx);
    return err;
}

/* Ed25519, Ed448, ML-DSA hash by themselves. */
static tm_err verify_whole(EVP_PKEY *pkey, struct slice message, struct slice signature, struct diag *diag)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    tm_err err = TM_ECRYPTO;
    if (ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) == 1)
        err = EVP_DigestVerify(ctx, signature.p, signature.n, message.p, message.n) == 1
                  ? TM_OK
                  : bad_signature(diag);
    EVP_MD_CTX_free(ctx);
    return err;
}

static tm_err verify_info(const struct pubkey_info *info, const struct spki *s, enum sig_alg id,
                          struct slice message, struct slice signature, struct diag *diag)
{
    const struct sig_alg_info *alg = sig_alg_info(id);
    if (signature.n == 0)
        return bad_signature(diag);
    if (info->ec_point.n)
        return verify_ec(info, alg, message, signature, diag);
    EVP_PKEY *pkey = other_pkey(info, s);
    if (!pkey) {
        ERR_clear_error();
        return diag_fail(diag, TM_EINVAL, NULL, "subjectPublicKey", "not a valid %s key",
                         key_alg_info(info->alg)->title);
    }
    tm_err err = info->alg == KEY_ALG_RSA ? verify_rsa(pkey, alg, message, signature, diag)
                                          : verify_whole(pkey, message, signature, diag);
    EVP_PKEY_free(pkey);
    return err;
}

tm_err pubkey_verify(const struct spki *s, const struct algid *sigalg, struct slice message,
                     struct slice signature, struct diag *diag)
{
    struct pubkey_info info;
    enum sig_alg alg;
    TM_TRY(pubkey_info(&info, s, diag));
    TM_TRY(sig_alg_from_algid(&alg, sigalg, diag));
    if (!sig_alg_fits(alg, info.alg))
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5280 4.1.1.2", "signatureAlgorithm",
                         "signature algorithm %s does not fit an %s key", sig_alg_info(alg)->name,
                         key_alg_info(info.alg)->title);
    return verify_info(&info, s, alg, message, signature, diag);
}

tm_err csr_verify_pop(const struct csr *c, struct diag *diag)
{
    if (c->pop != CSR_POP_SIGNATURE)
        return diag_fail(diag, TM_EBADSIG, "RFC 4211 4", "popo",
                         "the request carries no signature by its key");
    return pubkey_verify(&c->spki, &c->sigalg, c->signed_part, c->signature, diag);
}

tm_err cert_verify_signature(const struct cert *c, const struct spki *issuer, struct diag *diag)
{
    return pubkey_verify(issuer, &c->sigalg, c->tbs, c->signature, diag);
}
