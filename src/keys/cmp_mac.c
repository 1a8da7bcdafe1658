#include "keys/cmp_mac.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/secret.h"
#include "der/builder.h"
#include "der/reader.h"
#include "x509/internal.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

enum { RENEWED_SALT = 16, PARAMS_MAX = 1024, KEY_MAX = 128 };

/* ---- algorithms ---- */

static const struct {
    enum oid id;
    const char *digest;
    size_t n;
} digests[] =
    {
        {OID_SHA1, "SHA1", 20},
        {OID_SHA256, "SHA2-256", 32},
        {OID_SHA384, "SHA2-384", 48},
        {OID_SHA512, "SHA2-512", 64},
},
  hmacs[] = {
      {OID_HMAC_SHA1, "SHA1", 20},       {OID_HMAC_SHA1_IANA, "SHA1", 20},  {OID_HMAC_SHA256, "SHA2-256", 32},
      {OID_HMAC_SHA384, "SHA2-384", 48}, {OID_HMAC_SHA512, "SHA2-512", 64},
};

static const char *digest_name(enum oid id)
{
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
        if (digests[i].id == id)
            return digests[i].digest;
    return NULL;
}

static const char *hmac_digest(enum oid id, size_t *ret_n)
{
    for (size_t i = 0; i < sizeof hmacs / sizeof *hmacs; i++) {
        if (hmacs[i].id != id)
            continue;
        if (ret_n)
            *ret_n = hmacs[i].n;
        return hmacs[i].digest;
    }
    return NULL;
}

/* Parameters absent or NULL. */
static bool bare(const struct algid *a)
{
    return a->params.n == 0 || (a->params.n == 2 && a->params.p[0] == DER_NULL);
}

static tm_err unsupported(struct diag *diag, const char *what)
{
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 9481 6.1", "protectionAlg", "%s that is not done here",
                     what);
}

/* ---- parameters ---- */

bool cmp_mac_is(const struct algid *alg)
{
    return alg->id == OID_PASSWORD_BASED_MAC || alg->id == OID_PBMAC1;
}

static tm_err check_bounds(const struct cmp_mac *m, uint64_t least, struct diag *diag)
{
    if (m->iterations < least)
        return diag_fail(diag, TM_EDENIED, "cmp.iterations", "protectionAlg",
                         "%llu iterations are too few; at least %llu are wanted",
                         (unsigned long long)m->iterations, (unsigned long long)least);
    if (m->iterations > CMP_MAC_ITERATIONS_MAX)
        return diag_fail(diag, TM_EDENIED, "cmp.iterations", "protectionAlg",
                         "%llu iterations are too many; at most %d are done",
                         (unsigned long long)m->iterations, CMP_MAC_ITERATIONS_MAX);
    if (m->salt.n < CMP_MAC_SALT_MIN || m->salt.n > CMP_MAC_SALT_MAX)
        return diag_fail(diag, TM_EDENIED, "cmp.salt", "protectionAlg",
                         "the salt has %zu octets, not %d to %d", m->salt.n, CMP_MAC_SALT_MIN,
                         CMP_MAC_SALT_MAX);
    return TM_OK;
}

/* PBMParameter ::= SEQUENCE { salt OCTET STRING, owf AlgorithmIdentifier, iterationCount INTEGER, mac AlgorithmIdentifier } */
static tm_err pbm_parse(struct cmp_mac *m, const struct algid *alg, struct diag *diag)
{
    struct der_reader r, seq;
    struct algid owf, mac;
    der_reader_init(&r, alg->params, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &m->salt));
    TM_TRY(algid_read(&owf, &seq));
    TM_TRY(der_read_uint(&seq, &m->iterations));
    TM_TRY(algid_read(&mac, &seq));
    TM_TRY(der_end(&seq));
    if (!digest_name(owf.id) || !bare(&owf))
        return unsupported(diag, "a one-way function");
    if (!hmac_digest(mac.id, NULL) || !bare(&mac))
        return unsupported(diag, "a MAC");
    m->digest = owf.id;
    m->mac = mac.id;
    m->digest_alg = owf.der;
    m->mac_alg = mac.der;
    return check_bounds(m, CMP_PBM_ITERATIONS_MIN, diag);
}

/* PBKDF2-params ::= SEQUENCE { salt CHOICE { specified OCTET STRING, … }, iterationCount INTEGER, keyLength INTEGER OPTIONAL,
 *     prf AlgorithmIdentifier DEFAULT hmacWithSHA1 } */
static tm_err pbkdf2_parse(struct cmp_mac *m, const struct algid *kdf, struct diag *diag)
{
    struct der_reader r, seq;
    struct algid prf = {.id = OID_HMAC_SHA1};
    if (kdf->id != OID_PBKDF2)
        return unsupported(diag, "a key derivation function");
    der_reader_init(&r, kdf->params, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(der_read(&seq, DER_OCTET_STRING, &m->salt));
    TM_TRY(der_read_uint(&seq, &m->iterations));
    if (der_peek(&seq) == DER_INTEGER) {
        TM_TRY(der_read_uint(&seq, &m->key_length));
        if (m->key_length < 16 || m->key_length > KEY_MAX)
            return diag_fail(diag, TM_EDENIED, "cmp.key-length", "protectionAlg",
                             "a MAC key has 16 to %d octets", KEY_MAX);
    }
    if (!der_at_end(&seq))
        TM_TRY(algid_read(&prf, &seq));
    TM_TRY(der_end(&seq));
    if (!hmac_digest(prf.id, NULL) || !bare(&prf))
        return unsupported(diag, "a pseudorandom function");
    m->digest = prf.id;
    m->digest_alg = prf.der;
    return TM_OK;
}

/* PBMAC1-params ::= SEQUENCE { keyDerivationFunc AlgorithmIdentifier, messageAuthScheme AlgorithmIdentifier } */
static tm_err pbmac1_parse(struct cmp_mac *m, const struct algid *alg, struct diag *diag)
{
    struct der_reader r, seq;
    struct algid kdf, mac;
    der_reader_init(&r, alg->params, diag);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_end(&r));
    TM_TRY(algid_read(&kdf, &seq));
    TM_TRY(algid_read(&mac, &seq));
    TM_TRY(der_end(&seq));
    TM_TRY(pbkdf2_parse(m, &kdf, diag));
    if (!hmac_digest(mac.id, NULL) || !bare(&mac))
        return unsupported(diag, "a MAC");
    m->pbmac1 = true;
    m->mac = mac.id;
    m->mac_alg = mac.der;
    return check_bounds(m, CMP_PBMAC1_ITERATIONS_MIN, diag);
}

tm_err cmp_mac_parse(struct cmp_mac *ret, const struct algid *alg, struct diag *diag)
{
    *ret = (struct cmp_mac){0};
    if (alg->params.n == 0)
        return diag_fail(diag, TM_EMALFORMED, "RFC 9481 6.1", "protectionAlg", "its parameters are missing");
    return alg->id == OID_PBMAC1 ? pbmac1_parse(ret, alg, diag) : pbm_parse(ret, alg, diag);
}

static void put_pbm(struct der_builder *b, const struct cmp_mac *m)
{
    der_put_oid(b, oid_contents(OID_PASSWORD_BASED_MAC));
    der_open(b, DER_SEQUENCE);
    der_put(b, DER_OCTET_STRING, m->salt);
    der_put_tlv(b, m->digest_alg);
    der_put_uint(b, m->iterations);
    der_put_tlv(b, m->mac_alg);
    der_close(b);
}

static void put_pbmac1(struct der_builder *b, const struct cmp_mac *m)
{
    der_put_oid(b, oid_contents(OID_PBMAC1));
    der_open(b, DER_SEQUENCE);
    der_open(b, DER_SEQUENCE);
    der_put_oid(b, oid_contents(OID_PBKDF2));
    der_open(b, DER_SEQUENCE);
    der_put(b, DER_OCTET_STRING, m->salt);
    der_put_uint(b, m->iterations);
    if (m->key_length)
        der_put_uint(b, m->key_length);
    if (m->digest_alg.n)
        der_put_tlv(b, m->digest_alg);
    der_close(b);
    der_close(b);
    der_put_tlv(b, m->mac_alg);
    der_close(b);
}

tm_err cmp_mac_renew(struct slice *ret_algid, struct arena *a, struct cmp_mac *m)
{
    struct der_builder b;
    struct buf buf;
    uint8_t salt[RENEWED_SALT];
    TM_TRY(random_bytes(salt, sizeof salt));
    TM_TRY(arena_copy(&m->salt, a, SLICE_ARR(salt)));
    TM_TRY(arena_builder(&b, &buf, a, PARAMS_MAX));
    der_open(&b, DER_SEQUENCE);
    if (m->pbmac1)
        put_pbmac1(&b, m);
    else
        put_pbm(&b, m);
    der_close(&b);
    return arena_builder_finish(ret_algid, &b);
}

/* ---- the MAC ---- */

/* RFC 4211 4.4: the one-way function over secret and salt, and again over its result. */
static tm_err pbm_key(uint8_t key[KEY_MAX], size_t *ret_n, const struct cmp_mac *m, struct slice secret)
{
    EVP_MD *md = EVP_MD_fetch(NULL, digest_name(m->digest), NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned n = 0;
    bool good = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
                EVP_DigestUpdate(ctx, secret.p, secret.n) == 1 &&
                EVP_DigestUpdate(ctx, m->salt.p, m->salt.n) == 1 && EVP_DigestFinal_ex(ctx, key, &n) == 1;
    for (uint64_t i = 1; good && i < m->iterations; i++)
        good = EVP_DigestInit_ex2(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, key, n) == 1 &&
               EVP_DigestFinal_ex(ctx, key, &n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    *ret_n = n;
    return good ? TM_OK : TM_ECRYPTO;
}

/* RFC 8018 7.1: that of the MAC where it is not said. */
static size_t pbmac1_key_length(const struct cmp_mac *m)
{
    size_t n = 0;
    (void)hmac_digest(m->mac, &n);
    return m->key_length ? (size_t)m->key_length : n;
}

uint64_t cmp_mac_work(const struct cmp_mac *m)
{
    size_t block = 0;
    if (!m->pbmac1)
        return m->iterations;
    /* RFC 8018 5.2: so many blocks as the key is long, each of so many HMACs, which are two hashes. */
    (void)hmac_digest(m->digest, &block);
    return block ? 2 * m->iterations * ((pbmac1_key_length(m) + block - 1) / block) : 0;
}

static tm_err pbkdf2_key(uint8_t key[KEY_MAX], size_t *ret_n, const struct cmp_mac *m, struct slice secret)
{
    size_t n = pbmac1_key_length(m);
    EVP_MD *md = EVP_MD_fetch(NULL, hmac_digest(m->digest, NULL), NULL);
    bool good = md && PKCS5_PBKDF2_HMAC((const char *)secret.p, (int)secret.n, m->salt.p, (int)m->salt.n,
                                        (int)m->iterations, md, (int)n, key) == 1;
    EVP_MD_free(md);
    *ret_n = n;
    return good ? TM_OK : TM_ECRYPTO;
}

tm_err cmp_mac_compute(uint8_t ret[CMP_MAC_MAX], size_t *ret_n, const struct cmp_mac *m, struct slice secret,
                       struct slice message)
{
    uint8_t key[KEY_MAX];
    size_t key_n = 0, n = 0;
    char digest[16] = "";
    memccpy(digest, hmac_digest(m->mac, NULL), 0, sizeof digest - 1);
    tm_err e = m->pbmac1 ? pbkdf2_key(key, &key_n, m, secret) : pbm_key(key, &key_n, m, secret);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (e == TM_OK &&
        !(ctx && EVP_MAC_init(ctx, key, key_n, params) == 1 &&
          EVP_MAC_update(ctx, message.p, message.n) == 1 && EVP_MAC_final(ctx, ret, &n, CMP_MAC_MAX) == 1))
        e = TM_ECRYPTO;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    explicit_bzero(key, sizeof key);
    *ret_n = n;
    return e;
}
