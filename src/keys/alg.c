#include "keys/alg.h"
#include "base/err.h"
#include "der/reader.h"
#include <stdlib.h>

static const struct key_alg_info key_algs[KEY_ALG_COUNT] = {
    [KEY_ALG_EC_P256] = {.id = KEY_ALG_EC_P256,
                         .name = "ec-p256",
                         .title = "ECDSA P-256",
                         .openssl_name = "EC",
                         .openssl_group = "P-256",
                         .bits = 256,
                         .can_sign = true,
                         .can_agree = true},
    [KEY_ALG_EC_P384] = {.id = KEY_ALG_EC_P384,
                         .name = "ec-p384",
                         .title = "ECDSA P-384",
                         .openssl_name = "EC",
                         .openssl_group = "P-384",
                         .bits = 384,
                         .can_sign = true,
                         .can_agree = true},
    [KEY_ALG_EC_P521] = {.id = KEY_ALG_EC_P521,
                         .name = "ec-p521",
                         .title = "ECDSA P-521",
                         .openssl_name = "EC",
                         .openssl_group = "P-521",
                         .bits = 521,
                         .can_sign = true,
                         .can_agree = true},
    [KEY_ALG_RSA] = {.id = KEY_ALG_RSA,
                     .name = "rsa",
                     .title = "RSA",
                     .openssl_name = "RSA",
                     .min_bits = 2048,
                     .max_bits = 8192,
                     .can_sign = true,
                     .can_encipher = true},
    [KEY_ALG_ED25519] = {.id = KEY_ALG_ED25519,
                         .name = "ed25519",
                         .title = "Ed25519",
                         .openssl_name = "ED25519",
                         .bits = 256,
                         .can_sign = true},
    [KEY_ALG_ED448] = {.id = KEY_ALG_ED448,
                       .name = "ed448",
                       .title = "Ed448",
                       .openssl_name = "ED448",
                       .bits = 456,
                       .can_sign = true},
    [KEY_ALG_ML_DSA_44] = {.id = KEY_ALG_ML_DSA_44,
                           .name = "ml-dsa-44",
                           .title = "ML-DSA-44",
                           .openssl_name = "ML-DSA-44",
                           .bits = 1312 * 8,
                           .can_sign = true,
                           .post_quantum = true},
    [KEY_ALG_ML_DSA_65] = {.id = KEY_ALG_ML_DSA_65,
                           .name = "ml-dsa-65",
                           .title = "ML-DSA-65",
                           .openssl_name = "ML-DSA-65",
                           .bits = 1952 * 8,
                           .can_sign = true,
                           .post_quantum = true},
    [KEY_ALG_ML_DSA_87] = {.id = KEY_ALG_ML_DSA_87,
                           .name = "ml-dsa-87",
                           .title = "ML-DSA-87",
                           .openssl_name = "ML-DSA-87",
                           .bits = 2592 * 8,
                           .can_sign = true,
                           .post_quantum = true},
};

/* AlgorithmIdentifiers as certificates carry them. */
#define OID_TLV_ECDSA(n)  0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, (n)
#define OID_TLV_PKCS1(n)  0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, (n)
#define OID_TLV_SHA2(n)   0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, (n)
#define OID_TLV_ML_DSA(n) 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, (n)

/* RFC 5758 3.2: parameters absent. */
#define ALGID_ECDSA(n) {0x30, 0x0a, OID_TLV_ECDSA(n)}
/* RFC 4055 section 5: parameters NULL. */
#define ALGID_RSA(n) {0x30, 0x0d, OID_TLV_PKCS1(n), 0x05, 0x00}
/* RFC 4055 section 5: absent is to be accepted as well. */
#define ALGID_RSA_BARE(n) {0x30, 0x0b, OID_TLV_PKCS1(n)}
/* RFC 4055 section 3.1: the same hash for the message and MGF1, salt as long as the hash, default trailer. */
#define ALGID_PSS(h, salt)                                                                                   \
    {0x30,                                                                                                   \
     0x41,                                                                                                   \
     OID_TLV_PKCS1(0x0a),                                                                                    \
     0x30,                                                                                                   \
     0x34,                                                                                                   \
     0xa0,                                                                                                   \
     0x0f,                                                                                                   \
     0x30,                                                                                                   \
     0x0d,                                                                                                   \
     OID_TLV_SHA2(h),                                                                                        \
     0x05,                                                                                                   \
     0x00,                                                                                                   \
     0xa1,                                                                                                   \
     0x1c,                                                                                                   \
     0x30,                                                                                                   \
     0x1a,                                                                                                   \
     OID_TLV_PKCS1(0x08),                                                                                    \
     0x30,                                                                                                   \
     0x0d,                                                                                                   \
     OID_TLV_SHA2(h),                                                                                        \
     0x05,                                                                                                   \
     0x00,                                                                                                   \
     0xa2,                                                                                                   \
     0x03,                                                                                                   \
     0x02,                                                                                                   \
     0x01,                                                                                                   \
     (salt)}
/* RFC 4055 section 2.1: hash parameters absent is to be accepted as well. */
#define ALGID_PSS_BARE(h, salt)                                                                              \
    {0x30,                                                                                                   \
     0x3d,                                                                                                   \
     OID_TLV_PKCS1(0x0a),                                                                                    \
     0x30,                                                                                                   \
     0x30,                                                                                                   \
     0xa0,                                                                                                   \
     0x0d,                                                                                                   \
     0x30,                                                                                                   \
     0x0b,                                                                                                   \
     OID_TLV_SHA2(h),                                                                                        \
     0xa1,                                                                                                   \
     0x1a,                                                                                                   \
     0x30,                                                                                                   \
     0x18,                                                                                                   \
     OID_TLV_PKCS1(0x08),                                                                                    \
     0x30,                                                                                                   \
     0x0b,                                                                                                   \
     OID_TLV_SHA2(h),                                                                                        \
     0xa2,                                                                                                   \
     0x03,                                                                                                   \
     0x02,                                                                                                   \
     0x01,                                                                                                   \
     (salt)}
/* RFC 8410 section 3. */
#define ALGID_EDDSA(n) {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, (n)}
/* RFC 9881 section 2: parameters absent. */
#define ALGID_ML_DSA(n) {0x30, 0x0b, OID_TLV_ML_DSA(n)}

static const uint8_t ecdsa_sha256[] = ALGID_ECDSA(0x02), ecdsa_sha384[] = ALGID_ECDSA(0x03),
                     ecdsa_sha512[] = ALGID_ECDSA(0x04);
static const uint8_t rsa_sha256[] = ALGID_RSA(0x0b), rsa_sha384[] = ALGID_RSA(0x0c),
                     rsa_sha512[] = ALGID_RSA(0x0d);
static const uint8_t rsa_sha256_bare[] = ALGID_RSA_BARE(0x0b), rsa_sha384_bare[] = ALGID_RSA_BARE(0x0c),
                     rsa_sha512_bare[] = ALGID_RSA_BARE(0x0d);
static const uint8_t pss_sha256[] = ALGID_PSS(0x01, 0x20), pss_sha384[] = ALGID_PSS(0x02, 0x30),
                     pss_sha512[] = ALGID_PSS(0x03, 0x40);
static const uint8_t pss_sha256_bare[] = ALGID_PSS_BARE(0x01, 0x20),
                     pss_sha384_bare[] = ALGID_PSS_BARE(0x02, 0x30),
                     pss_sha512_bare[] = ALGID_PSS_BARE(0x03, 0x40);
static const uint8_t ed25519[] = ALGID_EDDSA(0x70), ed448[] = ALGID_EDDSA(0x71);
static const uint8_t ml_dsa_44[] = ALGID_ML_DSA(0x11), ml_dsa_65[] = ALGID_ML_DSA(0x12),
                     ml_dsa_87[] = ALGID_ML_DSA(0x13);

static const struct sig_alg_info sig_algs[SIG_ALG_COUNT] = {
    [SIG_ECDSA_SHA256] = {SIG_ECDSA_SHA256, "ecdsa-sha256", "SHA2-256", SLICE_ARR(ecdsa_sha256), false},
    [SIG_ECDSA_SHA384] = {SIG_ECDSA_SHA384, "ecdsa-sha384", "SHA2-384", SLICE_ARR(ecdsa_sha384), false},
    [SIG_ECDSA_SHA512] = {SIG_ECDSA_SHA512, "ecdsa-sha512", "SHA2-512", SLICE_ARR(ecdsa_sha512), false},
    [SIG_RSA_SHA256] = {SIG_RSA_SHA256, "rsa-sha256", "SHA2-256", SLICE_ARR(rsa_sha256), false},
    [SIG_RSA_SHA384] = {SIG_RSA_SHA384, "rsa-sha384", "SHA2-384", SLICE_ARR(rsa_sha384), false},
    [SIG_RSA_SHA512] = {SIG_RSA_SHA512, "rsa-sha512", "SHA2-512", SLICE_ARR(rsa_sha512), false},
    [SIG_RSA_PSS_SHA256] = {SIG_RSA_PSS_SHA256, "rsa-pss-sha256", "SHA2-256", SLICE_ARR(pss_sha256), true},
    [SIG_RSA_PSS_SHA384] = {SIG_RSA_PSS_SHA384, "rsa-pss-sha384", "SHA2-384", SLICE_ARR(pss_sha384), true},
    [SIG_RSA_PSS_SHA512] = {SIG_RSA_PSS_SHA512, "rsa-pss-sha512", "SHA2-512", SLICE_ARR(pss_sha512), true},
    [SIG_ED25519] = {SIG_ED25519, "ed25519", NULL, SLICE_ARR(ed25519), false},
    [SIG_ED448] = {SIG_ED448, "ed448", NULL, SLICE_ARR(ed448), false},
    [SIG_ML_DSA_44] = {SIG_ML_DSA_44, "ml-dsa-44", NULL, SLICE_ARR(ml_dsa_44), false},
    [SIG_ML_DSA_65] = {SIG_ML_DSA_65, "ml-dsa-65", NULL, SLICE_ARR(ml_dsa_65), false},
    [SIG_ML_DSA_87] = {SIG_ML_DSA_87, "ml-dsa-87", NULL, SLICE_ARR(ml_dsa_87), false},
};

/* Other encodings of the same that are to be accepted, never sent. */
static const struct {
    enum sig_alg id;
    struct slice algid;
} sig_alg_variants[] = {
    {SIG_RSA_SHA256, SLICE_ARR(rsa_sha256_bare)},     {SIG_RSA_SHA384, SLICE_ARR(rsa_sha384_bare)},
    {SIG_RSA_SHA512, SLICE_ARR(rsa_sha512_bare)},     {SIG_RSA_PSS_SHA256, SLICE_ARR(pss_sha256_bare)},
    {SIG_RSA_PSS_SHA384, SLICE_ARR(pss_sha384_bare)}, {SIG_RSA_PSS_SHA512, SLICE_ARR(pss_sha512_bare)},
};

static const enum sig_alg defaults[KEY_ALG_COUNT] = {
    [KEY_ALG_EC_P256] = SIG_ECDSA_SHA256, [KEY_ALG_EC_P384] = SIG_ECDSA_SHA384,
    [KEY_ALG_EC_P521] = SIG_ECDSA_SHA512, [KEY_ALG_RSA] = SIG_RSA_SHA256,
    [KEY_ALG_ED25519] = SIG_ED25519,      [KEY_ALG_ED448] = SIG_ED448,
    [KEY_ALG_ML_DSA_44] = SIG_ML_DSA_44,  [KEY_ALG_ML_DSA_65] = SIG_ML_DSA_65,
    [KEY_ALG_ML_DSA_87] = SIG_ML_DSA_87,
};

const struct key_alg_info *key_alg_info(enum key_alg id)
{
    unsigned n = (unsigned)id;
    return n > KEY_ALG_NONE && n < KEY_ALG_COUNT ? &key_algs[n] : NULL;
}

tm_err key_alg_from_name(enum key_alg *ret, unsigned *ret_bits, struct slice name)
{
    static const struct {
        const char *name;
        unsigned bits;
    } rsa_sizes[] = {{"rsa-2048", 2048}, {"rsa-3072", 3072}, {"rsa-4096", 4096}};
    for (size_t i = 0; i < sizeof rsa_sizes / sizeof rsa_sizes[0]; i++) {
        if (!slice_eq_str(name, rsa_sizes[i].name))
            continue;
        *ret = KEY_ALG_RSA;
        if (ret_bits)
            *ret_bits = rsa_sizes[i].bits;
        return TM_OK;
    }
    for (unsigned i = 1; i < KEY_ALG_COUNT; i++) {
        if (!slice_eq_str(name, key_algs[i].name))
            continue;
        *ret = key_algs[i].id;
        if (ret_bits)
            *ret_bits = key_algs[i].bits;
        return TM_OK;
    }
    return TM_EUNSUPPORTED;
}

const struct sig_alg_info *sig_alg_info(enum sig_alg id)
{
    unsigned n = (unsigned)id;
    return n > SIG_ALG_NONE && n < SIG_ALG_COUNT ? &sig_algs[n] : NULL;
}

tm_err sig_alg_from_name(enum sig_alg *ret, struct slice name)
{
    for (unsigned i = 1; i < SIG_ALG_COUNT; i++) {
        if (slice_eq_str(name, sig_algs[i].name)) {
            *ret = sig_algs[i].id;
            return TM_OK;
        }
    }
    return TM_EUNSUPPORTED;
}

tm_err sig_alg_from_algid(enum sig_alg *ret, const struct algid *a, struct diag *diag)
{
    for (unsigned i = 1; i < SIG_ALG_COUNT; i++) {
        if (slice_eq(a->der, sig_algs[i].algid)) {
            *ret = sig_algs[i].id;
            return TM_OK;
        }
    }
    for (size_t i = 0; i < sizeof sig_alg_variants / sizeof sig_alg_variants[0]; i++) {
        if (slice_eq(a->der, sig_alg_variants[i].algid)) {
            *ret = sig_alg_variants[i].id;
            return TM_OK;
        }
    }
    const char *name = a->id != OID_UNKNOWN ? oid_name(a->id) : "unknown";
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5280 4.1.1.2", "signatureAlgorithm",
                     "signature algorithm %s, or its parameters, are not supported", name);
}

enum sig_alg sig_alg_default(enum key_alg k)
{
    return key_alg_info(k) ? defaults[k] : SIG_ALG_NONE;
}

bool sig_alg_fits(enum sig_alg s, enum key_alg k)
{
    switch (k) {
    case KEY_ALG_EC_P256:
    case KEY_ALG_EC_P384:
    case KEY_ALG_EC_P521:
        return s >= SIG_ECDSA_SHA256 && s <= SIG_ECDSA_SHA512;
    case KEY_ALG_RSA:
        return s >= SIG_RSA_SHA256 && s <= SIG_RSA_PSS_SHA512;
    default:
        return s != SIG_ALG_NONE && s == sig_alg_default(k);
    }
}
