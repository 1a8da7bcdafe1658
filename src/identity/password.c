#include "identity/password.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* RFC 9106 4, the second recommended option: 64 MiB, three passes, four lanes. */
enum { MEMORY_KIB = 65536, PASSES = 3, LANES = 4, SALT = 16, HASH = 32, AT_ONCE = 2, DISTINCT_MIN = 5 };
/* Bounds for what was kept, by whatever version of this program. */
enum { MEMORY_MAX = 1 << 20, PASSES_MAX = 16, LANES_MAX = 16 };

/* ---- what is good enough ---- */

static bool holds(struct slice text, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; n >= 4 && i + n <= text.n; i++)
        if (slice_caseeq(slice_sub(text, i, n), slice_str(part)))
            return true;
    return false;
}

/* How many octets follow the one before neither by repeating nor by counting: "aaaaaaaaaaaa" and "123456789012" have next to none. */
static size_t surprises(struct slice s)
{
    size_t n = 0;
    int step = 0;
    for (size_t i = 1; i < s.n; i++) {
        int d = s.p[i] - s.p[i - 1];
        n += d != step || d < -1 || d > 1;
        step = d;
    }
    return n;
}

static size_t distinct(struct slice s)
{
    bool seen[256] = {false};
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += !seen[s.p[i]];
        seen[s.p[i]] = true;
    }
    return n;
}

static size_t characters(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

tm_err password_acceptable(struct slice password, const char *user, struct diag *diag)
{
    if (password.n > PASSWORD_MAX || characters(password) < PASSWORD_MIN)
        return diag_fail(diag, TM_EINVAL, "password.length", "/password",
                         "a password has at least %d characters, and at most %d octets; a sentence is fine",
                         PASSWORD_MIN, PASSWORD_MAX);
    if (!utf8_valid(password))
        return diag_fail(diag, TM_EINVAL, "password.form", "/password", "a password is UTF-8 text");
    if (distinct(password) < DISTINCT_MIN || surprises(password) < DISTINCT_MIN)
        return diag_fail(diag, TM_EINVAL, "password.simple", "/password",
                         "this is too simple: it repeats or counts");
    if (holds(password, user) || holds(password, "touchmark") || holds(password, "password"))
        return diag_fail(diag, TM_EINVAL, "password.name", "/password",
                         "it must not be made around your name, \"touchmark\" or \"password\"");
    return TM_OK;
}

/* ---- Argon2id ---- */

struct cost {
    uint32_t memory, passes, lanes;
};

static tm_err argon2id(uint8_t ret[HASH], struct slice password, struct slice salt, struct cost c)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "ARGON2ID", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    uint32_t threads = 1;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)password.p, password.n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.p, salt.n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &c.passes),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_THREADS, &threads),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_LANES, &c.lanes),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_MEMCOST, &c.memory),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx && EVP_KDF_derive(ctx, ret, HASH, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok ? TM_OK : TM_ECRYPTO;
}

/* Whoever asks much has memory and processors to himself for no longer than others take. */
static tm_err in_turn(uint8_t ret[HASH], struct slice password, struct slice salt, struct cost c,
                      struct diag *diag)
{
    static atomic_uint running;
    tm_err e = TM_EBUSY;
    if (atomic_fetch_add(&running, 1) < AT_ONCE)
        e = argon2id(ret, password, salt, c);
    atomic_fetch_sub(&running, 1);
    return e == TM_EBUSY ? diag_fail(diag, TM_EBUSY, "password.busy", NULL,
                                     "others sign in at this moment; try again in a second")
                         : e;
}

static void put(struct buf *b, struct slice octets)
{
    buf_putc(b, '$');
    buf_put_base64(b, octets, BASE64_STD, 0);
    while (b->n && b->p[b->n - 1] == '=') /* PHC strings go without */
        b->n--;
}

tm_err password_hash(char ret[PASSWORD_TEXT], struct slice password, struct diag *diag)
{
    uint8_t salt[SALT], hash[HASH];
    struct buf b;
    TM_TRY(random_bytes(salt, sizeof salt));
    TM_TRY(in_turn(hash, password, SLICE_ARR(salt), (struct cost){MEMORY_KIB, PASSES, LANES}, diag));
    buf_init(&b, PASSWORD_TEXT - 1);
    buf_printf(&b, "$argon2id$v=19$m=%d,t=%d,p=%d", MEMORY_KIB, PASSES, LANES);
    put(&b, SLICE_ARR(salt));
    put(&b, SLICE_ARR(hash));
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        memcpy(ret, b.p, b.n);
        ret[b.n] = '\0';
    }
    buf_done(&b);
    return e;
}

static bool read_kept(struct cost *c, struct slice *salt, struct slice *hash, struct arena *a,
                      const char *kept)
{
    unsigned m, t, p;
    int at = 0;
    if (sscanf(kept, "$argon2id$v=19$m=%u,t=%u,p=%u$%n", &m, &t, &p, &at) != 3 || at == 0 || m > MEMORY_MAX ||
        t > PASSES_MAX || p > LANES_MAX)
        return false;
    const char *dollar = strchr(kept + at, '$');
    *c = (struct cost){m, t, p};
    return dollar &&
           base64_decode(salt, a, slice_of(kept + at, (size_t)(dollar - kept - at)), BASE64_STD) == TM_OK &&
           base64_decode(hash, a, slice_str(dollar + 1), BASE64_STD) == TM_OK && hash->n == HASH;
}

tm_err password_verify(const char *kept, struct slice password, struct diag *diag)
{
    static const uint8_t nobody[SALT] = "no such password";
    struct cost c = {MEMORY_KIB, PASSES, LANES};
    struct slice salt = SLICE_ARR(nobody), hash = {0};
    uint8_t worked_out[HASH];
    struct arena *a = arena_new(8192);
    if (!a)
        return TM_ENOMEM;
    tm_err e = kept && !read_kept(&c, &salt, &hash, a, kept) ? TM_ECORRUPT : TM_OK;
    if (e == TM_OK && password.n > PASSWORD_MAX)
        password = slice_sub(password, 0, PASSWORD_MAX); /* it fits none, and costs no more */
    if (e == TM_OK)
        e = in_turn(worked_out, password, salt, c, diag);
    if (e == TM_OK && (!kept || !slice_ct_eq(SLICE_ARR(worked_out), hash)))
        e = diag_fail(diag, TM_EAUTH, "session.credentials", NULL, "name, password or code do not fit");
    OPENSSL_cleanse(worked_out, sizeof worked_out);
    arena_free(a);
    return e;
}
