/* SCEP messages for the benchmark, made beforehand by OpenSSL's own CMS: RSA keys of clients, PKCSReq of each, and what their answers say. */
#include "base/arena.h"
#include "cli/bench.h"
#include "enroll/scep/message.h"
#include "x509/cms/certs_only.h"
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRIME_BITS = 1024, NAME_LEN = 64, ANSWER_MAX = 1 << 20 };

static tm_err failed(struct diag *diag, const char *what)
{
    ERR_clear_error();
    return diag_fail(diag, TM_ECRYPTO, NULL, NULL, "%s could not be made", what);
}

/* ---- keys ----
 * A prime takes some thirty milliseconds, so that a thousand keys would take a minute: every pair of a few dozen primes is a key of its own,
 * which to a server looks like any other. */

struct bench_scep_keys {
    BIGNUM **primes;
    size_t n, p, q; /* the next pair */
};

static BIGNUM *prime_make(void)
{
    BIGNUM *p = BN_new();
    while (p && BN_generate_prime_ex(p, PRIME_BITS, 0, NULL, NULL, NULL) == 1)
        if (BN_mod_word(p, RSA_F4) != 1) /* else the exponent has no inverse */
            return p;
    BN_free(p);
    return NULL;
}

tm_err bench_scep_keys_open(struct bench_scep_keys **ret, size_t keys, struct diag *diag)
{
    struct bench_scep_keys *k = calloc(1, sizeof *k);
    size_t n = 2;
    while (n * (n - 1) / 2 < keys)
        n++;
    BIGNUM **v = k ? calloc(n, sizeof *v) : NULL;
    if (!v) {
        free(k);
        return TM_ENOMEM;
    }
    *k = (struct bench_scep_keys){.primes = v, .q = 1};
    for (; k->n < n; k->n++)
        if (!(v[k->n] = prime_make())) {
            bench_scep_keys_close(k);
            return failed(diag, "a prime");
        }
    *ret = k;
    return TM_OK;
}

void bench_scep_keys_close(struct bench_scep_keys *k)
{
    for (size_t i = 0; k && i < k->n; i++)
        BN_free(k->primes[i]);
    if (k)
        free(k->primes);
    free(k);
}

static bool push(OSSL_PARAM_BLD *b, const char *name, const BIGNUM *v)
{
    return OSSL_PARAM_BLD_push_BN(b, name, v) == 1;
}

/* The private key of two primes, with what makes it quick (RFC 8017 3.2). */
static EVP_PKEY *key_of(BIGNUM *p, BIGNUM *q)
{
    EVP_PKEY *key = NULL;
    BN_CTX *ctx = BN_CTX_new();
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *n = BN_new(), *e = BN_new(), *d = BN_new(), *p1 = BN_dup(p), *q1 = BN_dup(q), *phi = BN_new(),
           *dp = BN_new(), *dq = BN_new(), *qi = BN_new();
    bool good = ctx && b && from && n && e && d && p1 && q1 && phi && dp && dq && qi &&
                BN_set_word(e, RSA_F4) == 1 && BN_sub_word(p1, 1) == 1 && BN_sub_word(q1, 1) == 1 &&
                BN_mul(n, p, q, ctx) == 1 && BN_mul(phi, p1, q1, ctx) == 1 &&
                BN_mod_inverse(d, e, phi, ctx) && BN_mod(dp, d, p1, ctx) == 1 &&
                BN_mod(dq, d, q1, ctx) == 1 && BN_mod_inverse(qi, q, p, ctx) &&
                push(b, OSSL_PKEY_PARAM_RSA_N, n) && push(b, OSSL_PKEY_PARAM_RSA_E, e) &&
                push(b, OSSL_PKEY_PARAM_RSA_D, d) && push(b, OSSL_PKEY_PARAM_RSA_FACTOR1, p) &&
                push(b, OSSL_PKEY_PARAM_RSA_FACTOR2, q) && push(b, OSSL_PKEY_PARAM_RSA_EXPONENT1, dp) &&
                push(b, OSSL_PKEY_PARAM_RSA_EXPONENT2, dq) && push(b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, qi);
    OSSL_PARAM *params = good ? OSSL_PARAM_BLD_to_param(b) : NULL;
    if (params &&
        (EVP_PKEY_fromdata_init(from) != 1 || EVP_PKEY_fromdata(from, &key, EVP_PKEY_KEYPAIR, params) != 1))
        key = NULL;
    OSSL_PARAM_free(params);
    BIGNUM *all[] = {n, e, d, p1, q1, phi, dp, dq, qi};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        BN_free(all[i]);
    EVP_PKEY_CTX_free(from);
    OSSL_PARAM_BLD_free(b);
    BN_CTX_free(ctx);
    return key;
}

static EVP_PKEY *key_next(struct bench_scep_keys *k)
{
    if (k->p + 1 >= k->n)
        return NULL;
    EVP_PKEY *key = key_of(k->primes[k->p], k->primes[k->q]);
    if (++k->q == k->n) {
        k->p++;
        k->q = k->p + 1;
    }
    return key;
}

/* ---- certificate and request ---- */

static bool named(X509_NAME *n, const char *cn)
{
    return n && X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1;
}

static X509 *self_signed(EVP_PKEY *key, const char *cn)
{
    X509 *c = X509_new();
    if (c && X509_set_version(c, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(c), 1) == 1 &&
        named(X509_get_subject_name(c), cn) && named(X509_get_issuer_name(c), cn) &&
        X509_gmtime_adj(X509_getm_notBefore(c), -86400) && X509_gmtime_adj(X509_getm_notAfter(c), 86400) &&
        X509_set_pubkey(c, key) == 1 && X509_sign(c, key, EVP_sha256()) > 0)
        return c;
    X509_free(c);
    return NULL;
}

/* DER, to be freed with OPENSSL_free(); its length, or 0. */
static size_t request(uint8_t **ret, EVP_PKEY *key, const char *cn, const char *challenge)
{
    X509_REQ *r = X509_REQ_new();
    int n = 0;
    if (r && named(X509_REQ_get_subject_name(r), cn) && X509_REQ_set_pubkey(r, key) == 1 &&
        X509_REQ_add1_attr_by_NID(r, NID_pkcs9_challengePassword, MBSTRING_ASC,
                                  (const unsigned char *)challenge, (int)strlen(challenge)) == 1 &&
        X509_REQ_sign(r, key, EVP_sha256()) > 0)
        n = i2d_X509_REQ(r, ret);
    X509_REQ_free(r);
    return n > 0 ? (size_t)n : 0;
}

/* ---- the message (RFC 8894 3.3.1) ---- */

static CMS_ContentInfo *envelope(struct slice recipient, const uint8_t *plain, size_t n)
{
    const uint8_t *p = recipient.p;
    X509 *ra = d2i_X509(NULL, &p, (long)recipient.n);
    STACK_OF(X509) *to = sk_X509_new_null();
    BIO *in = BIO_new_mem_buf(plain, (int)n);
    CMS_ContentInfo *cms = ra && to && in && sk_X509_push(to, ra) > 0
                               ? CMS_encrypt(to, in, EVP_aes_128_cbc(), CMS_BINARY)
                               : NULL;
    BIO_free(in);
    sk_X509_free(to);
    X509_free(ra);
    return cms;
}

static bool attribute(CMS_SignerInfo *si, const char *oid, int type, const void *value, int n)
{
    return CMS_signed_add1_attr_by_txt(si, oid, type, value, n) == 1;
}

static CMS_ContentInfo *signed_by(BIO *content, X509 *cert, EVP_PKEY *key, const char *transaction)
{
    enum { FLAGS = CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP };
    uint8_t nonce[16];
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, FLAGS);
    CMS_SignerInfo *si = cms ? CMS_add1_signer(cms, cert, key, EVP_sha256(), FLAGS) : NULL;
    if (si && RAND_bytes(nonce, sizeof nonce) == 1 &&
        attribute(si, "2.16.840.1.113733.1.9.2", V_ASN1_PRINTABLESTRING, "19", 2) &&
        attribute(si, "2.16.840.1.113733.1.9.5", V_ASN1_OCTET_STRING, nonce, sizeof nonce) &&
        attribute(si, "2.16.840.1.113733.1.9.7", V_ASN1_PRINTABLESTRING, transaction,
                  (int)strlen(transaction)) &&
        CMS_final(cms, content, NULL, CMS_BINARY) == 1)
        return cms;
    CMS_ContentInfo_free(cms);
    return NULL;
}

static bool message(struct bench_scep_message *ret, EVP_PKEY *key, struct slice recipient, const char *cn,
                    const char *challenge)
{
    uint8_t *csr = NULL, *inner = NULL;
    X509 *cert = self_signed(key, cn);
    size_t n = request(&csr, key, cn, challenge);
    CMS_ContentInfo *env = n ? envelope(recipient, csr, n) : NULL;
    int inner_n = env ? i2d_CMS_ContentInfo(env, &inner) : 0;
    BIO *content = inner_n > 0 ? BIO_new_mem_buf(inner, inner_n) : NULL;
    CMS_ContentInfo *cms = cert && content ? signed_by(content, cert, key, cn) : NULL;
    ret->n = cms ? (size_t)i2d_CMS_ContentInfo(cms, &ret->der) : 0;
    CMS_ContentInfo_free(cms);
    BIO_free(content);
    OPENSSL_free(inner);
    CMS_ContentInfo_free(env);
    OPENSSL_free(csr);
    X509_free(cert);
    return ret->n > 0;
}

tm_err bench_scep_message(struct bench_scep_message *ret, struct bench_scep_keys *keys,
                          struct slice recipient, const char *cn, const char *challenge, struct diag *diag)
{
    *ret = (struct bench_scep_message){.key = key_next(keys)};
    return ret->key && message(ret, ret->key, recipient, cn, challenge) ? TM_OK
                                                                        : failed(diag, "a SCEP message");
}

void bench_scep_message_done(struct bench_scep_message *m)
{
    OPENSSL_free(m->der);
    EVP_PKEY_free(m->key);
    buf_done(&m->answer);
    *m = (struct bench_scep_message){0};
}

/* ---- answers ---- */

static tm_err outcome(struct scep_message *m, struct arena *a, struct slice answer, struct diag *diag)
{
    struct scep_outcome o = {0};
    TM_TRY(scep_message_parse(m, a, answer, diag));
    TM_TRY(scep_outcome_read(&o, m->signer->attrs, diag));
    if (o.has_status && o.status == SCEP_SUCCESS)
        return TM_OK;
    return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "a CertRep with status %u, failInfo %u: %.*s", o.status,
                     o.fail, (int)o.text.n, o.text.n ? (const char *)o.text.p : "");
}

tm_err bench_scep_answer(const struct bench_scep_message *m, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct scep_message *parsed = a ? arena_calloc(a, 1, sizeof *parsed) : NULL;
    tm_err e = parsed ? outcome(parsed, a, buf_slice(&m->answer), diag) : TM_ENOMEM;
    arena_free(a);
    return e;
}

/* Opened with the client's key: is there a certificate for its name? */
static bool opens(struct slice envelope_der, EVP_PKEY *key, const char *cn)
{
    const uint8_t *p = envelope_der.p;
    uint8_t *plain = NULL;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)envelope_der.n);
    BIO *out = BIO_new(BIO_s_mem());
    bool good = cms && out && CMS_decrypt(cms, key, NULL, NULL, out, CMS_BINARY) == 1;
    long n = good ? BIO_get_mem_data(out, &plain) : 0;
    good = n > 0 && memmem(plain, (size_t)n, cn, strlen(cn));
    BIO_free(out);
    CMS_ContentInfo_free(cms);
    return good;
}

tm_err bench_scep_open(const struct bench_scep_message *m, const char *cn, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct scep_message *parsed = a ? arena_calloc(a, 1, sizeof *parsed) : NULL;
    tm_err e = parsed ? outcome(parsed, a, buf_slice(&m->answer), diag) : TM_ENOMEM;
    if (e == TM_OK && !opens(parsed->cms.content, m->key, cn))
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "an answer does not hold the certificate for %s", cn);
    arena_free(a);
    return e;
}

tm_err bench_scep_recipient(struct slice *ret, struct arena *a, struct slice answer, struct diag *diag)
{
    struct slice certs[8];
    struct cert c;
    size_t n = 0;
    if (cert_parse(&c, answer, NULL) == TM_OK)
        return arena_copy(ret, a, answer);
    TM_TRY(certs_only_parse(certs, 8, &n, answer, diag));
    return n ? arena_copy(ret, a, certs[0])
             : diag_fail(diag, TM_EMALFORMED, NULL, NULL, "GetCACert shows no certificate");
}
