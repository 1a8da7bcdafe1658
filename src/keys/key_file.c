#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/text.h"
#include "keys/internal.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>

/* As much work as N = 2^15, within the 32 MiB that OpenSSL allows when it decrypts PKCS#8: so stock tools can open the files. */
enum { SCRYPT_N = 1 << 14, SCRYPT_R = 8, SCRYPT_P = 2, SALT_LEN = 16 };
enum { FILE_MAX = 128 << 10, NAME_LEN = 80 };

static const char seal_prefix[] = "touchmark-envelope-v1"; /* with its NUL */

/* ---- files ---- */

bool key_id_valid(struct slice s)
{
    if (s.n < 1 || s.n > 63 || s.p[0] == '.' || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return true;
}

static tm_err io_fail(struct diag *diag, const char *name, const char *what)
{
    int e = errno;
    tm_err err = e == ENOSPC || e == EDQUOT ? TM_EFULL : e == ENOENT ? TM_ENOTFOUND : TM_EIO;
    return diag_fail(diag, err, NULL, name, "%s: %s", what, strerror(e));
}

/* Whole or not at all, also over a power cut. Root writes for whom the directory belongs to. `replace` false: TM_ECONFLICT where
 * the name is taken. */
static tm_err write_atomic(int dir, const char *name, struct slice contents, bool replace, struct diag *diag)
{
    char tmp[NAME_LEN + 8];
    snprintf(tmp, sizeof tmp, ".%s.tmp", name);
    unlinkat(dir, tmp, 0);
    TM_CLEANUP(tm_close_p)
    int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    if (fd < 0)
        return io_fail(diag, name, "cannot create the file");
    struct stat st;
    bool good = fd_write_all(fd, contents) &&
                (geteuid() != 0 || (fstat(dir, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0)) &&
                fsync(fd) == 0;
    if (!good) {
        tm_err err = io_fail(diag, name, "cannot write the file");
        unlinkat(dir, tmp, 0);
        return err;
    }
    int moved = replace ? renameat(dir, tmp, dir, name) : renameat2(dir, tmp, dir, name, RENAME_NOREPLACE);
    if (moved != 0) {
        bool taken = errno == EEXIST;
        tm_err err = taken ? diag_fail(diag, TM_ECONFLICT, NULL, name, "there is a key of that name already")
                           : io_fail(diag, name, "cannot put the file in place");
        unlinkat(dir, tmp, 0);
        return err;
    }
    if (fsync(dir) != 0)
        return io_fail(diag, name, "cannot sync the directory");
    return TM_OK;
}

/* The whole file into `ret`, which the caller wipes. */
static tm_err read_file(struct secret *ret, int dir, const char *name, struct diag *diag)
{
    TM_CLEANUP(tm_close_p) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return io_fail(diag, name, "cannot open the file");
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return diag_fail(diag, TM_EIO, NULL, name, "not a regular file");
    if (st.st_size > FILE_MAX)
        return diag_fail(diag, TM_ECORRUPT, NULL, name, "the file is larger than %d bytes", FILE_MAX);
    struct secret s;
    TM_TRY(secret_init(&s, (size_t)st.st_size));
    size_t n = 0;
    while (n < s.n) {
        ssize_t got = read(fd, s.p + n, s.n - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            secret_done(&s);
            return io_fail(diag, name, "cannot read the file");
        }
        n += (size_t)got;
    }
    *ret = s;
    return TM_OK;
}

/* ---- the seal ---- */

/* File: the canonical JSON, a newline, the key's signature over prefix || JSON in base64, a newline. */
static tm_err seal(struct buf *out, struct key *k, const struct envelope *e, struct diag *diag)
{
    struct buf text, signature;
    buf_init(&text, sizeof seal_prefix + ENVELOPE_JSON_MAX);
    buf_init(&signature, KEY_SIGNATURE_MAX);
    buf_put(&text, seal_prefix, sizeof seal_prefix);
    tm_err err = envelope_to_json(&text, e);
    if (err == TM_OK)
        err = key_sign(&signature, k, SIG_ALG_NONE, buf_slice(&text), diag);
    if (err == TM_OK) {
        buf_put_slice(out, slice_sub(buf_slice(&text), sizeof seal_prefix, text.n));
        buf_putc(out, '\n');
        buf_put_base64(out, buf_slice(&signature), BASE64_STD, 0);
        buf_putc(out, '\n');
        err = buf_err(out);
    }
    buf_done(&signature);
    buf_done(&text);
    return err;
}

static tm_err seal_broken(struct diag *diag, const char *id, const char *why)
{
    return diag_fail(diag, TM_ECORRUPT, "key.seal", id, "the envelope of key %s is broken: %s", id, why);
}

/* The JSON of a sealed file is the bytes before the first newline: canonical JSON holds none. */
static tm_err unseal(struct envelope *ret, struct arena *a, struct slice file, const char *id,
                     const struct key *k, struct diag *diag)
{
    const uint8_t *nl = file.n ? memchr(file.p, '\n', file.n) : NULL;
    if (!nl)
        return seal_broken(diag, id, "it has no seal");
    struct slice json = slice_of(file.p, (size_t)(nl - file.p));
    struct slice rest = slice_of(nl + 1, file.n - json.n - 1), signature;
    if (json.n > ENVELOPE_JSON_MAX || base64_decode(&signature, a, rest, BASE64_STD) != TM_OK)
        return seal_broken(diag, id, "it does not parse");

    struct buf text;
    buf_init(&text, sizeof seal_prefix + ENVELOPE_JSON_MAX);
    buf_put(&text, seal_prefix, sizeof seal_prefix);
    buf_put_slice(&text, json);
    struct spki spki;
    struct algid alg;
    tm_err err = buf_err(&text);
    if (err == TM_OK)
        err = spki_parse(&spki, key_spki(k), NULL);
    if (err == TM_OK)
        err = algid_parse(&alg, sig_alg_info(sig_alg_default(key_alg(k)))->algid, NULL);
    if (err == TM_OK)
        err = pubkey_verify(&spki, &alg, buf_slice(&text), signature, NULL);
    buf_done(&text);
    if (err == TM_EBADSIG)
        return seal_broken(diag, id, "its seal does not verify");
    TM_TRY(err);
    struct diag why = {0};
    struct envelope e;
    if (envelope_from_json(&e, a, json, &why) != TM_OK)
        return seal_broken(diag, id, why.message);
    if (strcmp(e.key_id, id) != 0)
        return seal_broken(diag, id, "it was made for another key");
    *ret = e;
    return TM_OK;
}

/* ---- encrypted PKCS#8 ---- */

static tm_err encrypt_pkcs8(struct buf *pem, const struct key *k, const struct secret *passphrase,
                            struct diag *diag)
{
    /* A fresh salt and IV (both NULL here) come from the library's CSPRNG. */
    X509_ALGOR *pbe =
        PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, SALT_LEN, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key_evp(k));
    X509_SIG *sealed = NULL;
    if (pbe && plain)
        sealed = PKCS8_set0_pbe_ex((const char *)passphrase->p, (int)passphrase->n, plain, pbe, NULL, NULL);
    if (!sealed)
        X509_ALGOR_free(pbe); /* else it belongs to `sealed` */
    unsigned char *der = NULL;
    int n = sealed ? i2d_X509_SIG(sealed, &der) : -1;
    if (n > 0)
        buf_put_pem(pem, "ENCRYPTED PRIVATE KEY", slice_of(der, (size_t)n));
    OPENSSL_free(der);
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(plain);
    ERR_clear_error();
    return n > 0 ? buf_err(pem)
                 : diag_fail(diag, TM_ECRYPTO, NULL, NULL, "the private key cannot be encrypted");
}

static tm_err names_for(char key_name[NAME_LEN], char env_name[NAME_LEN], const char *id, struct diag *diag)
{
    if (!key_id_valid(slice_str(id)))
        return diag_fail(diag, TM_EINVAL, NULL, "key_id", "a key's name is 1 to 63 of [a-z0-9.-]");
    snprintf(key_name, NAME_LEN, "%s.key", id);
    snprintf(env_name, NAME_LEN, "%s.env", id);
    return TM_OK;
}

tm_err key_store(const char *dir, struct key *k, const struct envelope *e, const struct secret *passphrase,
                 struct diag *diag)
{
    char key_name[NAME_LEN], env_name[NAME_LEN];
    TM_TRY(names_for(key_name, env_name, e->key_id, diag));
    if (!passphrase || passphrase->n == 0)
        return diag_fail(diag, TM_ELOCKED, NULL, NULL, "a private key is stored under a passphrase only");
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return io_fail(diag, dir, "cannot make the key directory");
    TM_CLEANUP(tm_close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(diag, dir, "cannot open the key directory");

    struct buf pem, env;
    buf_init(&pem, FILE_MAX);
    buf_init(&env, FILE_MAX);
    tm_err err = encrypt_pkcs8(&pem, k, passphrase, diag);
    if (err == TM_OK)
        err = seal(&env, k, e, diag);
    if (err == TM_OK && faccessat(fd, key_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        err = diag_fail(diag, TM_ECONFLICT, NULL, e->key_id, "there is a key of that name already");
    /* The key file comes last: an envelope alone, which a crash may leave, is not a key and is written over. */
    if (err == TM_OK)
        err = write_atomic(fd, env_name, buf_slice(&env), true, diag);
    if (err == TM_OK)
        err = write_atomic(fd, key_name, buf_slice(&pem), false, diag);
    buf_done(&env);
    buf_done(&pem);
    return err;
}

tm_err key_reseal(const char *dir, struct key *k, const struct envelope *e, struct diag *diag)
{
    char key_name[NAME_LEN], env_name[NAME_LEN];
    TM_TRY(names_for(key_name, env_name, e->key_id, diag));
    TM_CLEANUP(tm_close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(diag, dir, "cannot open the key directory");
    if (faccessat(fd, key_name, F_OK, 0) != 0)
        return io_fail(diag, key_name, "there is no such key");
    struct buf env;
    buf_init(&env, FILE_MAX);
    tm_err err = seal(&env, k, e, diag);
    if (err == TM_OK)
        err = write_atomic(fd, env_name, buf_slice(&env), true, diag);
    buf_done(&env);
    return err;
}

tm_err key_envelope_at(struct envelope *ret_env, struct arena *a, int dir, const char *id,
                       const struct key *k, struct diag *diag)
{
    char key_name[NAME_LEN], env_name[NAME_LEN];
    struct secret file;
    TM_TRY(names_for(key_name, env_name, id, diag));
    tm_err err = read_file(&file, dir, env_name, diag);
    if (err == TM_ENOTFOUND)
        return seal_broken(diag, id, "it is missing");
    TM_TRY(err);
    err = unseal(ret_env, a, secret_slice(&file), id, k, diag);
    secret_done(&file);
    return err;
}

tm_err key_load_at(struct key **ret, struct envelope *ret_env, struct arena *a, int dir, const char *id,
                   const struct secret *passphrase, struct diag *diag)
{
    char key_name[NAME_LEN], env_name[NAME_LEN];
    TM_TRY(names_for(key_name, env_name, id, diag));
    struct secret file;
    struct key *k = NULL;
    TM_TRY(read_file(&file, dir, key_name, diag));
    struct diag why = {0};
    tm_err err = key_import(&k, secret_slice(&file), passphrase, &why);
    secret_done(&file);
    if (err == TM_EMALFORMED)
        err = TM_ECORRUPT;
    if (err != TM_OK)
        return diag_fail(diag, err, NULL, id, "key %s: %s", id, why.message);

    err = key_envelope_at(ret_env, a, dir, id, k, diag);
    if (err != TM_OK) {
        key_free(k);
        return err;
    }
    *ret = k;
    return TM_OK;
}

tm_err key_load(struct key **ret, struct envelope *ret_env, struct arena *a, const char *dir, const char *id,
                const struct secret *passphrase, struct diag *diag)
{
    TM_CLEANUP(tm_close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(diag, dir, "cannot open the key directory");
    return key_load_at(ret, ret_env, a, fd, id, passphrase, diag);
}
