/* The allocations of a fuzz target: those of our own code (by the linker's --wrap) and of libcrypto. Not Jansson's: version 2.14 reads
 * through a wild pointer when memory runs out inside its lexer. */
#define STARVE_IMPLEMENTATION
#include "starve.h"
#include <openssl/crypto.h>
#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

/* Targets have one thread. `fails` is the number of the allocation that fails, 0 for none. */
static size_t count, fails;
static bool inside, refused;

static bool refuse(void)
{
    if (!inside || ++count != fails)
        return false;
    refused = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return refuse() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return refuse() ? NULL : __real_realloc(p, n);
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
    return n == 0 || refuse() ? NULL : __real_malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    if (n == 0) {
        free(p);
        return NULL;
    }
    return refuse() ? NULL : __real_realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
    free(p);
}

/* Before the library has allocated anything. */
__attribute__((constructor)) static void libcrypto_take(void)
{
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
}

void starve_abort(void)
{
    if (!refused)
        abort();
}

/* FNV-1a. */
static uint64_t input_hash(const uint8_t *data, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

static void run(const uint8_t *data, size_t size, size_t nth)
{
    count = 0;
    fails = nth;
    refused = false;
    inside = true;
    (void)starve_target(data, size);
    inside = false;
    refused = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run(data, size, 0);
    if (count)
        run(data, size, 1 + (size_t)(input_hash(data, size) % count));
    return 0;
}
