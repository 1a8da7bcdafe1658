#include "identity/cose.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "identity/cbor.h"
#include "keys/jwk.h"
#include "keys/pubkey.h"

enum { COSE_ES256 = -7, COSE_EDDSA = -8, COSE_RS256 = -257 };
const int cose_algs[] = {COSE_ES256, COSE_EDDSA, COSE_RS256, 0};

/* RFC 9053 7, RFC 8230 4: labels and values of the three kinds of key. */
enum { LABEL_KTY = 1, LABEL_ALG = 3, LABEL_A = -1, LABEL_B = -2, LABEL_C = -3 };
enum { KTY_OKP = 1, KTY_EC2 = 2, KTY_RSA = 3, CRV_P256 = 1, CRV_ED25519 = 6 };

struct members {
    int64_t kty, alg, crv;
    struct slice n, b, c; /* RSA: modulus; b: x or exponent; c: y */
};

static void read_member(struct cbor *m, struct members *k)
{
    int64_t label = cbor_int(m);
    if (label == LABEL_KTY)
        k->kty = cbor_int(m);
    else if (label == LABEL_ALG)
        k->alg = cbor_int(m);
    else if (label == LABEL_A && cbor_is_int(m))
        k->crv = cbor_int(m);
    else if (label == LABEL_A)
        k->n = cbor_bytes(m);
    else if (label == LABEL_B)
        k->b = cbor_bytes(m);
    else if (label == LABEL_C)
        k->c = cbor_bytes(m);
    else
        cbor_skip(m);
}

static tm_err text(const char **ret, struct arena *a, struct slice octets)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_put_base64(&b, octets, BASE64_URL, 0);
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        *ret = arena_strdup(a, buf_str(&b));
        e = *ret ? TM_OK : TM_ENOMEM;
    }
    buf_done(&b);
    return e;
}

/* As a JWK, so that one place makes keys out of their parts and looks whether they are good. */
static tm_err by_jwk(struct spki *ret, struct arena *a, const struct members *k, struct diag *diag)
{
    const char *n = NULL, *b = NULL, *c = NULL;
    TM_TRY(text(&n, a, k->n));
    TM_TRY(text(&b, a, k->b));
    TM_TRY(text(&c, a, k->c));
    json_t *doc = k->kty == KTY_RSA ? json_pack("{s:s,s:s,s:s}", "kty", "RSA", "n", n, "e", b)
                  : k->kty == KTY_EC2
                      ? json_pack("{s:s,s:s,s:s,s:s}", "kty", "EC", "crv", "P-256", "x", b, "y", c)
                      : json_pack("{s:s,s:s,s:s}", "kty", "OKP", "crv", "Ed25519", "x", b);
    struct jwk jwk;
    if (!doc)
        return TM_ENOMEM;
    tm_err e = jwk_parse(&jwk, a, doc, diag);
    json_decref(doc);
    if (e == TM_OK)
        *ret = jwk.spki;
    return e;
}

tm_err cose_key_parse(struct cose_key *ret, struct arena *a, struct slice octets, struct diag *diag)
{
    struct members k = {0};
    struct cbor c;
    cbor_init(&c, octets);
    for (size_t n = cbor_map(&c); n > 0 && c.err == TM_OK; n--)
        read_member(&c, &k);
    if (cbor_end(&c) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 9052 7", "credentialPublicKey",
                         "the public key is not a COSE key");
    bool fits = (k.kty == KTY_EC2 && k.alg == COSE_ES256 && k.crv == CRV_P256) ||
                (k.kty == KTY_OKP && k.alg == COSE_EDDSA && k.crv == CRV_ED25519) ||
                (k.kty == KTY_RSA && k.alg == COSE_RS256);
    if (!fits)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 9053 2", "credentialPublicKey",
                         "keys are taken for ES256, EdDSA (Ed25519) and RS256");
    TM_TRY(by_jwk(&ret->spki, a, &k, diag));
    ret->alg = (int)k.alg;
    return TM_OK;
}

tm_err cose_verify(const struct spki *key, int alg, struct slice message, struct slice signature,
                   struct diag *diag)
{
    enum sig_alg s = alg == COSE_ES256   ? SIG_ECDSA_SHA256
                     : alg == COSE_EDDSA ? SIG_ED25519
                     : alg == COSE_RS256 ? SIG_RSA_SHA256
                                         : SIG_ALG_NONE;
    struct algid algid;
    if (s == SIG_ALG_NONE)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 9053 2", "alg", "COSE algorithm %d is not taken", alg);
    TM_TRY(algid_parse(&algid, sig_alg_info(s)->algid, diag));
    return pubkey_verify(key, &algid, message, signature, diag);
}
