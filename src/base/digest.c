#include "base/digest.h"
#include "base/per_thread.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum digest_id { DIGEST_SHA256, DIGEST_SHA1, DIGEST_SHA512, DIGEST_COUNT };

static const char *const digest_names[DIGEST_COUNT] = {"SHA2-256", "SHA1", "SHA2-512"};

/* Fetched on first use and kept for the life of the process. Not under pthread_once: a fetch that runs out of memory
 * has to be tried again by the next caller. */
static _Atomic(EVP_MD *) fetched[DIGEST_COUNT];

static const EVP_MD *digest_fetch(enum digest_id id)
{
    EVP_MD *md = atomic_load_explicit(&fetched[id], memory_order_acquire);
    if (md)
        return md;
    EVP_MD *mine = EVP_MD_fetch(NULL, digest_names[id], NULL);
    if (!mine)
        return NULL;
    if (atomic_compare_exchange_strong(&fetched[id], &md, mine))
        return mine;
    EVP_MD_free(mine);
    return md;
}

/* One context a thread and algorithm: to set one up anew costs more than to hash a certificate with it. */
struct thread_digests {
    EVP_MD_CTX *ctx[DIGEST_COUNT];
};

static void thread_digests_done(void *p)
{
    struct thread_digests *t = p;
    for (int i = 0; i < DIGEST_COUNT; i++)
        EVP_MD_CTX_free(t->ctx[i]);
}

static struct per_thread thread_digests = {.size = sizeof(struct thread_digests), .end = thread_digests_done};

static tm_err digest(enum digest_id id, uint8_t *out, const struct slice *s, size_t n)
{
    struct thread_digests *t;
    TM_TRY(per_thread_get(&t, &thread_digests));
    const EVP_MD *md = digest_fetch(id);
    if (!md)
        return TM_ECRYPTO;
    if (!t->ctx[id] && !(t->ctx[id] = EVP_MD_CTX_new()))
        return TM_ENOMEM;
    EVP_MD_CTX *ctx = t->ctx[id];
    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        return TM_ECRYPTO;
    for (size_t i = 0; i < n; i++)
        if (s[i].n && EVP_DigestUpdate(ctx, s[i].p, s[i].n) != 1)
            return TM_ECRYPTO;
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? TM_OK : TM_ECRYPTO;
}

tm_err sha256(uint8_t out[SHA256_LEN], struct slice s)
{
    return digest(DIGEST_SHA256, out, &s, 1);
}

tm_err sha256_many(uint8_t out[SHA256_LEN], const struct slice *s, size_t n)
{
    return digest(DIGEST_SHA256, out, s, n);
}

tm_err sha1(uint8_t out[20], struct slice s)
{
    return digest(DIGEST_SHA1, out, &s, 1);
}

tm_err sha512(uint8_t out[64], struct slice s)
{
    return digest(DIGEST_SHA512, out, &s, 1);
}

/* RFC 2104 section 2, from the thread's own digest: to set up a MAC context costs several times the two hashes. */
tm_err hmac_sha256(uint8_t out[SHA256_LEN], struct slice key, struct slice s)
{
    enum { BLOCK = 64 };
    uint8_t pad[BLOCK] = {0}, inner[SHA256_LEN];
    tm_err e = TM_OK;
    if (key.n > BLOCK)
        e = sha256(pad, key);
    else if (key.n)
        memcpy(pad, key.p, key.n);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    if (e == TM_OK)
        e = sha256_many(inner, (const struct slice[]){SLICE_ARR(pad), s}, 2);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    if (e == TM_OK)
        e = sha256_many(out, (const struct slice[]){SLICE_ARR(pad), SLICE_ARR(inner)}, 2);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
    return e;
}

tm_err random_bytes(void *out, size_t n)
{
    return RAND_bytes_ex(NULL, out, n, 0) == 1 ? TM_OK : TM_ECRYPTO;
}
