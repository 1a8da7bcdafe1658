#include "discover/kit.h"
#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_LEN = 16, SHORT_TAG_LEN = 8, IV_LEN = 12, BLOCK_MAX = 128 };

/* ---- groups ---- */

struct group {
    uint16_t id;
    const char *type, *name; /* OpenSSL's; name NULL: the type says all */
    bool kem;
};
static const struct group groups[] = {
    {TLS_GROUP_X25519_MLKEM768, "X25519MLKEM768", NULL, true},
    {TLS_GROUP_X25519, "X25519", NULL, false},
    {TLS_GROUP_P256, "EC", "P-256", false},
    {TLS_GROUP_P384, "EC", "P-384", false},
    {TLS_GROUP_P521, "EC", "P-521", false},
    {TLS_GROUP_X448, "X448", NULL, false},
    {0x11eb, "SecP256r1MLKEM768", NULL, true},
    {0x11ed, "SecP384r1MLKEM1024", NULL, true},
    {0x0100, "DH", "ffdhe2048", false},
    {0x0101, "DH", "ffdhe3072", false},
    {0x0102, "DH", "ffdhe4096", false},
};
enum { GROUPS = sizeof groups / sizeof *groups };
const uint16_t share_groups[GROUPS + 1] = {
    TLS_GROUP_X25519_MLKEM768,
    TLS_GROUP_X25519,
    TLS_GROUP_P256,
    TLS_GROUP_P384,
    TLS_GROUP_P521,
    TLS_GROUP_X448,
    0x11eb,
    0x11ed,
    0x0100,
    0x0101,
    0x0102,
    0,
};

struct share {
    const struct group *group;
    EVP_PKEY *key;
    EVP_PKEY_CTX *ctx; /* ready to derive or to decapsulate */
    uint8_t *public;
    size_t public_n;
    unsigned refs, uses;
};

struct hash {
    EVP_MD *md;
    size_t n, block;
    uint8_t derived[TLS_HASH_MAX]; /* Derive-Secret of the early secret without a PSK: the same for all */
};

struct kit {
    struct share *now[GROUPS];
    struct hash hash[2]; /* SHA-256, SHA-384 */
    EVP_MD_CTX *digest;
    EVP_CIPHER *gcm128, *gcm256, *chacha, *ccm;
    EVP_CIPHER_CTX *cipher;
};

struct transcript {
    EVP_MD_CTX *ctx;
    const struct hash *hash;
};

static void share_free(struct share *s)
{
    OPENSSL_free(s->public);
    EVP_PKEY_CTX_free(s->ctx);
    EVP_PKEY_free(s->key);
    free(s);
}

void share_drop(struct share *s)
{
    if (s && --s->refs == 0)
        share_free(s);
}

static EVP_PKEY *generate(const struct group *g)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, g->type, NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
        (g->name && EVP_PKEY_CTX_set_group_name(ctx, g->name) != 1) || EVP_PKEY_generate(ctx, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static struct share *share_new(const struct group *g)
{
    struct share *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->group = g;
    s->refs = 1;
    s->key = generate(g);
    s->ctx = s->key ? EVP_PKEY_CTX_new_from_pkey(NULL, s->key, NULL) : NULL;
    s->public_n = s->key ? EVP_PKEY_get1_encoded_public_key(s->key, &s->public) : 0;
    if (!s->ctx || s->public_n == 0 ||
        (g->kem ? EVP_PKEY_decapsulate_init(s->ctx, NULL) : EVP_PKEY_derive_init(s->ctx)) != 1) {
        share_free(s);
        return NULL;
    }
    /* RFC 8446 7.4.1: the secret of a finite field has the length of its prime, with the zeros in front. */
    if (strcmp(g->type, "DH") == 0)
        EVP_PKEY_CTX_set_dh_pad(s->ctx, 1);
    return s;
}

tm_err share_take(struct share **ret, struct kit *k, uint16_t group)
{
    size_t i = 0;
    while (i < GROUPS && groups[i].id != group)
        i++;
    if (i == GROUPS)
        return TM_EUNSUPPORTED;
    if (!k->now[i] || k->now[i]->uses >= SHARE_USES) {
        struct share *fresh = share_new(&groups[i]);
        if (!fresh) {
            ERR_clear_error();
            return TM_ECRYPTO;
        }
        share_drop(k->now[i]);
        k->now[i] = fresh;
    }
    k->now[i]->uses++;
    k->now[i]->refs++;
    *ret = k->now[i];
    return TM_OK;
}

uint16_t share_group(const struct share *s)
{
    return s->group->id;
}

struct slice share_public(const struct share *s)
{
    return slice_of(s->public, s->public_n);
}

static tm_err agree(uint8_t *out, size_t *n, const struct share *s, struct slice theirs)
{
    if (s->group->kem)
        return EVP_PKEY_decapsulate(s->ctx, out, n, theirs.p, theirs.n) == 1 ? TM_OK : TM_ECRYPTO;
    EVP_PKEY *peer = s->group->name
                         ? EVP_PKEY_new()
                         : EVP_PKEY_new_raw_public_key_ex(NULL, s->group->type, NULL, theirs.p, theirs.n);
    bool ok = peer && (!s->group->name || (EVP_PKEY_copy_parameters(peer, s->key) == 1 &&
                                           EVP_PKEY_set1_encoded_public_key(peer, theirs.p, theirs.n) == 1));
    /* That the point is on its curve was looked at when it was read; the rest would protect a secret that protects nothing. */
    ok = ok && EVP_PKEY_derive_set_peer_ex(s->ctx, peer, 0) == 1 && EVP_PKEY_derive(s->ctx, out, n) == 1;
    EVP_PKEY_free(peer);
    return ok ? TM_OK : TM_ECRYPTO;
}

/* ---- HKDF (RFC 5869) over a digest ---- */

static bool hmac(struct kit *k, const struct hash *h, uint8_t *out, struct slice key, struct slice a,
                 struct slice b)
{
    uint8_t pad[BLOCK_MAX], inner[TLS_HASH_MAX];
    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < key.n; i++)
        pad[i] ^= key.p[i];
    if (EVP_DigestInit_ex2(k->digest, h->md, NULL) != 1 || EVP_DigestUpdate(k->digest, pad, h->block) != 1 ||
        EVP_DigestUpdate(k->digest, a.p, a.n) != 1 || EVP_DigestUpdate(k->digest, b.p, b.n) != 1 ||
        EVP_DigestFinal_ex(k->digest, inner, NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    return EVP_DigestInit_ex2(k->digest, h->md, NULL) == 1 &&
           EVP_DigestUpdate(k->digest, pad, h->block) == 1 && EVP_DigestUpdate(k->digest, inner, h->n) == 1 &&
           EVP_DigestFinal_ex(k->digest, out, NULL) == 1;
}

/* HKDF-Expand-Label (RFC 8446 7.1) of at most one block. */
static bool expand_label(struct kit *k, const struct hash *h, uint8_t *out, size_t n, const uint8_t *secret,
                         const char *label, struct slice context)
{
    uint8_t info[2 + 1 + 32 + 1 + TLS_HASH_MAX + 1], block[TLS_HASH_MAX];
    size_t length = strlen(label), at = 0;
    info[at++] = 0;
    info[at++] = (uint8_t)n;
    info[at++] = (uint8_t)(6 + length);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, length);
    at += 6 + length;
    info[at++] = (uint8_t)context.n;
    if (context.n)
        memcpy(info + at, context.p, context.n);
    at += context.n;
    info[at++] = 1;
    if (!hmac(k, h, block, slice_of(secret, h->n), slice_of(info, at), (struct slice){0}))
        return false;
    memcpy(out, block, n);
    return true;
}

static bool hash_init(struct kit *k, struct hash *h, const char *name, size_t n, size_t block)
{
    static const uint8_t zeros[TLS_HASH_MAX];
    uint8_t early[TLS_HASH_MAX], empty[TLS_HASH_MAX];
    h->md = EVP_MD_fetch(NULL, name, NULL);
    h->n = n;
    h->block = block;
    return h->md && EVP_Digest("", 0, empty, NULL, h->md, NULL) == 1 &&
           hmac(k, h, early, slice_of(zeros, n), slice_of(zeros, n), (struct slice){0}) &&
           expand_label(k, h, h->derived, n, early, "derived", slice_of(empty, n));
}

static const struct hash *hash_of(const struct kit *k, const struct tls_suite *suite)
{
    return &k->hash[suite->sha384];
}

/* ---- the kit ---- */

tm_err kit_new(struct kit **ret)
{
    struct kit *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    k->digest = EVP_MD_CTX_new();
    k->cipher = EVP_CIPHER_CTX_new();
    k->gcm128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    k->gcm256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    k->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    k->ccm = EVP_CIPHER_fetch(NULL, "AES-128-CCM", NULL);
    if (!k->digest || !k->cipher || !k->gcm128 || !k->gcm256 || !k->chacha || !k->ccm ||
        !hash_init(k, &k->hash[0], "SHA2-256", 32, 64) || !hash_init(k, &k->hash[1], "SHA2-384", 48, 128)) {
        kit_free(k);
        ERR_clear_error();
        return TM_ECRYPTO;
    }
    *ret = k;
    return TM_OK;
}

void kit_free(struct kit *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < GROUPS; i++)
        share_drop(k->now[i]);
    EVP_MD_free(k->hash[0].md);
    EVP_MD_free(k->hash[1].md);
    EVP_CIPHER_free(k->gcm128);
    EVP_CIPHER_free(k->gcm256);
    EVP_CIPHER_free(k->chacha);
    EVP_CIPHER_free(k->ccm);
    EVP_CIPHER_CTX_free(k->cipher);
    EVP_MD_CTX_free(k->digest);
    free(k);
}

/* ---- transcripts ---- */

struct transcript *transcript_new(struct kit *k, const struct tls_suite *suite, struct slice hello,
                                  struct slice retry)
{
    uint8_t first[4 + TLS_HASH_MAX] = {TLS_MESSAGE_HASH, 0, 0, 0};
    struct transcript *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->hash = hash_of(k, suite);
    t->ctx = EVP_MD_CTX_new();
    first[3] = (uint8_t)t->hash->n;
    if (t->ctx && EVP_Digest(hello.p, hello.n, first + 4, NULL, t->hash->md, NULL) == 1 &&
        EVP_DigestInit_ex2(t->ctx, t->hash->md, NULL) == 1 &&
        EVP_DigestUpdate(t->ctx, first, 4 + t->hash->n) == 1 && transcript_add(t, retry))
        return t;
    transcript_free(t);
    return NULL;
}

bool transcript_add(struct transcript *t, struct slice message)
{
    return EVP_DigestUpdate(t->ctx, message.p, message.n) == 1;
}

void transcript_free(struct transcript *t)
{
    if (t)
        EVP_MD_CTX_free(t->ctx);
    free(t);
}

/* ---- the server's handshake keys ---- */

static bool transcript_hash(uint8_t out[TLS_HASH_MAX], struct kit *k, const struct hash *h,
                            struct transcript *t, struct slice hello, struct slice server_hello)
{
    if (t)
        return t->hash == h && transcript_add(t, server_hello) && EVP_DigestFinal_ex(t->ctx, out, NULL) == 1;
    return EVP_DigestInit_ex2(k->digest, h->md, NULL) == 1 &&
           EVP_DigestUpdate(k->digest, hello.p, hello.n) == 1 &&
           EVP_DigestUpdate(k->digest, server_hello.p, server_hello.n) == 1 &&
           EVP_DigestFinal_ex(k->digest, out, NULL) == 1;
}

static size_t key_length(const struct tls_suite *suite)
{
    return suite->id == 0x1302 || suite->id == 0x1303 ? 32 : 16;
}

tm_err tls13_keys_derive(struct tls13_keys *ret, struct kit *k, const struct tls_suite *suite,
                         const struct share *ours, struct slice theirs, struct transcript *t,
                         struct slice hello, struct slice server_hello)
{
    const struct hash *h = hash_of(k, suite);
    uint8_t shared[SHARE_SECRET_MAX], secret[TLS_HASH_MAX], traffic[TLS_HASH_MAX], seen[TLS_HASH_MAX];
    size_t n = sizeof shared;
    struct tls13_keys keys = {.suite = suite};
    tm_err e = agree(shared, &n, ours, theirs);
    if (e == TM_OK &&
        !(transcript_hash(seen, k, h, t, hello, server_hello) &&
          hmac(k, h, secret, slice_of(h->derived, h->n), slice_of(shared, n), (struct slice){0}) &&
          expand_label(k, h, traffic, h->n, secret, "s hs traffic", slice_of(seen, h->n)) &&
          expand_label(k, h, keys.key, key_length(suite), traffic, "key", (struct slice){0}) &&
          expand_label(k, h, keys.iv, IV_LEN, traffic, "iv", (struct slice){0})))
        e = TM_ECRYPTO;
    ERR_clear_error();
    if (e == TM_OK)
        *ret = keys;
    return e;
}

static const EVP_CIPHER *cipher_of(const struct kit *k, const struct tls_suite *suite)
{
    switch (suite->id) {
    case 0x1301:
        return k->gcm128;
    case 0x1302:
        return k->gcm256;
    case 0x1303:
        return k->chacha;
    default:
        return k->ccm;
    }
}

/* CCM wants to know all lengths before (RFC 3610), and checks the tag with the text. */
static bool open_sealed(uint8_t *out, struct kit *k, const struct tls13_keys *keys,
                        const uint8_t nonce[IV_LEN], const uint8_t header[5], struct slice sealed, size_t tag)
{
    EVP_CIPHER_CTX *c = k->cipher;
    const EVP_CIPHER *cipher = cipher_of(k, keys->suite);
    bool ccm = cipher == k->ccm;
    int n = (int)(sealed.n - tag), got = 0;
    uint8_t copy[TAG_LEN];
    memcpy(copy, sealed.p + n, tag);
    if (EVP_CIPHER_CTX_reset(c) != 1 || EVP_DecryptInit_ex2(c, cipher, NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, IV_LEN, NULL) != 1 ||
        (ccm && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, (int)tag, copy) != 1) ||
        EVP_DecryptInit_ex2(c, NULL, keys->key, nonce, NULL) != 1 ||
        (ccm && EVP_DecryptUpdate(c, NULL, &got, NULL, n) != 1) ||
        EVP_DecryptUpdate(c, NULL, &got, header, 5) != 1 || EVP_DecryptUpdate(c, out, &got, sealed.p, n) != 1)
        return false;
    return ccm || (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, (int)tag, copy) == 1 &&
                   EVP_DecryptFinal_ex(c, out + n, &got) == 1);
}

tm_err tls13_open(uint8_t *out, size_t *ret_n, uint8_t *ret_type, struct kit *k, struct tls13_keys *keys,
                  const uint8_t header[5], struct slice sealed)
{
    size_t tag = keys->suite->id == 0x1305 ? SHORT_TAG_LEN : TAG_LEN;
    uint8_t nonce[IV_LEN];
    if (sealed.n <= tag)
        return TM_ECRYPTO;
    /* RFC 8446 5.3 */
    memcpy(nonce, keys->iv, IV_LEN);
    for (int i = 0; i < 8; i++)
        nonce[IV_LEN - 1 - i] ^= (uint8_t)(keys->sequence >> (8 * i));
    keys->sequence++;
    if (!open_sealed(out, k, keys, nonce, header, sealed, tag)) {
        ERR_clear_error();
        return TM_ECRYPTO;
    }
    /* RFC 8446 5.4: the type is the last octet that is not zero. */
    size_t n = sealed.n - tag;
    while (n && out[n - 1] == 0)
        n--;
    if (n == 0)
        return TM_ECRYPTO;
    *ret_type = out[n - 1];
    *ret_n = n - 1;
    return TM_OK;
}
