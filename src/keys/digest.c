#include "keys/internal.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static const char *const names[] = {"SHA2-256", "SHA2-384", "SHA2-512"};
enum { N_DIGESTS = sizeof names / sizeof names[0] };

/* Fetched on first use, kept for the life of the process. */
static _Atomic(EVP_MD *) fetched[N_DIGESTS];

static const EVP_MD *digest_fetch(size_t i)
{
    EVP_MD *md = atomic_load_explicit(&fetched[i], memory_order_acquire);
    if (md)
        return md;
    EVP_MD *mine = EVP_MD_fetch(NULL, names[i], NULL);
    if (!mine)
        return NULL;
    if (atomic_compare_exchange_strong(&fetched[i], &md, mine))
        return mine;
    EVP_MD_free(mine);
    return md;
}

static pthread_key_t thread_key;
static bool thread_key_usable;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void thread_ctx_free(void *p)
{
    EVP_MD_CTX_free(p);
}

static void thread_key_make(void)
{
    thread_key_usable = pthread_key_create(&thread_key, thread_ctx_free) == 0;
}

static tm_err thread_ctx(EVP_MD_CTX **ret)
{
    pthread_once(&thread_key_once, thread_key_make);
    if (!thread_key_usable)
        return TM_EINTERNAL;
    EVP_MD_CTX *ctx = pthread_getspecific(thread_key);
    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        if (!ctx)
            return TM_ENOMEM;
        if (pthread_setspecific(thread_key, ctx) != 0) {
            EVP_MD_CTX_free(ctx);
            return TM_ENOMEM;
        }
    }
    *ret = ctx;
    return TM_OK;
}

tm_err keys_digest(uint8_t out[KEY_DIGEST_MAX], size_t *ret_n, const char *name, struct slice message)
{
    for (size_t i = 0; i < N_DIGESTS; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        EVP_MD_CTX *ctx;
        TM_TRY(thread_ctx(&ctx));
        const EVP_MD *md = digest_fetch(i);
        unsigned n = 0;
        if (!md || EVP_DigestInit_ex2(ctx, md, NULL) != 1 ||
            (message.n && EVP_DigestUpdate(ctx, message.p, message.n) != 1) ||
            EVP_DigestFinal_ex(ctx, out, &n) != 1)
            return TM_ECRYPTO;
        *ret_n = n;
        return TM_OK;
    }
    return TM_EUNSUPPORTED;
}
