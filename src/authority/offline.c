#include "authority/offline.h"
#include "authority/file.h"
#include "authority/offline_impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "keys/signer.h"
#include <dirent.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The blocks of a bundle, in this order. */
static const char label_header[] = "TOUCHMARK BUNDLE";
static const char label_key[] = "ENCRYPTED PRIVATE KEY";
static const char label_env[] = "TOUCHMARK ENVELOPE";
static const char label_cert[] = "CERTIFICATE";
static const char label_record[] = "TOUCHMARK RECORD";
static const char label_mac[] = "TOUCHMARK MAC";
static const char begin_mac[] = "-----BEGIN TOUCHMARK MAC-----";
static const char bundle_format[] = "touchmark-offline-bundle-v1";

enum { SALT_LEN = 16, SCRYPT_N = 1 << 15, SCRYPT_R = 8, SCRYPT_P = 1, DERIVED_LEN = 64, CHECK_LEN = 8 };

/* ---- the key of the MAC ---- */

/* scrypt(passphrase, salt): 32 octets for the MAC, 32 that tell a wrong passphrase from an altered file. */
static tm_err derive(uint8_t mac_key[32], uint8_t check[SHA256_LEN], const struct secret *passphrase,
                     struct slice salt)
{
    uint8_t out[DERIVED_LEN];
    uint64_t n = SCRYPT_N, memory = 256ull << 20;
    uint32_t r = SCRYPT_R, p = SCRYPT_P;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, passphrase->p, passphrase->n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.p, salt.n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    tm_err e = ctx && EVP_KDF_derive(ctx, out, sizeof out, params) == 1 ? TM_OK : TM_ECRYPTO;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    if (e == TM_OK) {
        memcpy(mac_key, out, 32);
        e = hmac_sha256(check, slice_of(out + 32, 32), SLICE_LIT("touchmark-bundle-check-v1"));
    }
    OPENSSL_cleanse(out, sizeof out);
    return e;
}

static tm_err hex_field(struct slice *ret, const struct offline_bundle *b, const char *key, size_t n)
{
    return hex_decode(ret, b->a, slice_str(offline_header(b, key))) == TM_OK && ret->n == n ? TM_OK
                                                                                            : TM_EMALFORMED;
}

/* ---- small things ---- */

/* It becomes a file name: a key's of another tenant has a dot in it. */
static bool offline_name_valid(const char *name)
{
    const char *dot = strchr(name, '.');
    if (!dot)
        return name_valid(slice_str(name));
    return strlen(name) <= 63 && name_valid(slice_of(name, (size_t)(dot - name))) &&
           name_valid(slice_str(dot + 1));
}

const char *offline_header(const struct offline_bundle *b, const char *key)
{
    const char *v = json_string_value(json_object_get(b->header, key));
    return v ? v : "";
}

enum sig_alg offline_sig_alg(const struct offline_bundle *b)
{
    enum sig_alg s;
    if (sig_alg_from_name(&s, slice_str(offline_header(b, "signature"))) == TM_OK)
        return s;
    struct pubkey_info info;
    return pubkey_info(&info, &b->cert.spki, NULL) == TM_OK ? sig_alg_default(info.alg) : SIG_ALG_NONE;
}

tm_err offline_record(struct offline_bundle *b, const char *list, json_t *entry)
{
    json_t *v = json_object_get(b->record, list);
    return entry && json_array_append_new(v, entry) == 0 ? TM_OK : TM_ENOMEM;
}

const char *offline_bundle_name(const struct offline_bundle *b)
{
    return b->name;
}

const struct cert *offline_bundle_cert(const struct offline_bundle *b)
{
    return &b->cert;
}

/* ---- the file ---- */

static void put_json_block(struct buf *out, const char *label, const json_t *v)
{
    struct buf text;
    buf_init(&text, OFFLINE_BUNDLE_MAX);
    buf_put_json(&text, v, false);
    buf_put_pem(out, label, buf_slice(&text));
    if (buf_err(&text) != TM_OK)
        out->err = buf_err(&text);
    buf_done(&text);
}

static tm_err serialize(struct buf *out, const struct offline_bundle *b)
{
    buf_printf(
        out,
        "Touchmark: the CA \"%s\", its key encrypted. Keep it off every network; keep its passphrase elsewhere.\n",
        b->name);
    put_json_block(out, label_header, b->header);
    buf_put_pem(out, label_key, b->key);
    buf_put_pem(out, label_env, b->env);
    buf_put_pem(out, label_cert, b->der);
    put_json_block(out, label_record, b->record);
    uint8_t mac[SHA256_LEN];
    TM_TRY(buf_err(out));
    TM_TRY(hmac_sha256(mac, SLICE_ARR(b->mac_key), buf_slice(out)));
    buf_put_pem(out, label_mac, SLICE_ARR(mac));
    return buf_err(out);
}

static tm_err save(const struct offline_bundle *b, bool replace, struct diag *diag)
{
    struct buf text;
    buf_init(&text, OFFLINE_BUNDLE_MAX);
    tm_err e = serialize(&text, b);
    if (e == TM_ETOOBIG)
        e = diag_fail(diag, e, NULL, NULL, "the bundle's record is full (%d bytes)", OFFLINE_BUNDLE_MAX);
    if (e == TM_OK)
        e = file_write(b->path, buf_slice(&text), 0400, replace, diag);
    buf_done(&text);
    return e;
}

tm_err offline_bundle_save(const struct offline_bundle *b, struct diag *diag)
{
    return save(b, true, diag);
}

/* ---- a place for the signer ---- */

/* The key stays encrypted there; memory rather than disk, so that nothing is left behind by a power cut. */
static tm_err make_dir(struct offline_bundle *b, struct diag *diag)
{
    static const char *const places[] = {"/dev/shm/touchmark-XXXXXX", "/tmp/touchmark-XXXXXX"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(b->dir, sizeof b->dir, "%s", places[i]);
        if (mkdtemp(b->dir))
            return TM_OK;
    }
    b->dir[0] = '\0';
    return diag_fail(diag, TM_EIO, NULL, NULL, "cannot make a private directory in /dev/shm or /tmp");
}

static void remove_dir(struct offline_bundle *b)
{
    if (!b->dir[0])
        return;
    DIR *d = opendir(b->dir);
    for (struct dirent *x; d && (x = readdir(d));)
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
            unlinkat(dirfd(d), x->d_name, 0);
    if (d)
        closedir(d);
    rmdir(b->dir);
    b->dir[0] = '\0';
}

static char *key_path(const struct offline_bundle *b, const char *suffix)
{
    return arena_printf(b->a, "%s/%s%s", b->dir, b->name, suffix);
}

static tm_err start_signer(struct offline_bundle *b, const struct secret *passphrase, struct diag *diag)
{
    struct signer_config c = {.key_dir = b->dir, .passphrase = passphrase, .in_process = true};
    return signer_start(&b->signer, &c, diag);
}

/* ---- open ---- */

static tm_err malformed(struct diag *diag, const char *path, const char *label)
{
    return diag_fail(diag, TM_EMALFORMED, NULL, NULL,
                     "%s is not a bundle: the block \"%s\" is missing or broken", path, label);
}

static tm_err next_block(struct slice *ret, struct offline_bundle *b, struct slice *text, const char *label,
                         struct diag *diag)
{
    char *found;
    if (pem_next(ret, &found, b->a, text, NULL) != TM_OK || strcmp(found, label) != 0)
        return malformed(diag, b->path, label);
    return TM_OK;
}

static tm_err next_json(json_t **ret, struct offline_bundle *b, struct slice *text, const char *label,
                        struct diag *diag)
{
    struct slice der;
    TM_TRY(next_block(&der, b, text, label, diag));
    if (json_parse(ret, der, OFFLINE_BUNDLE_MAX, NULL) != TM_OK || !json_is_object(*ret))
        return malformed(diag, b->path, label);
    return TM_OK;
}

static tm_err check_mac(struct offline_bundle *b, const struct secret *passphrase, struct slice body,
                        struct slice mac, struct diag *diag)
{
    struct slice salt, check;
    if (strcmp(offline_header(b, "format"), bundle_format) != 0)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, NULL, "%s is of another format than %s", b->path,
                         bundle_format);
    if (hex_field(&salt, b, "salt", SALT_LEN) != TM_OK || hex_field(&check, b, "check", CHECK_LEN) != TM_OK)
        return malformed(diag, b->path, label_header);
    uint8_t found[SHA256_LEN];
    TM_TRY(derive(b->mac_key, found, passphrase, salt));
    if (!slice_ct_eq(check, slice_of(found, CHECK_LEN)))
        return diag_fail(diag, TM_ELOCKED, NULL, NULL, "wrong passphrase for %s", b->path);
    uint8_t want[SHA256_LEN];
    TM_TRY(hmac_sha256(want, SLICE_ARR(b->mac_key), body));
    if (!slice_ct_eq(mac, SLICE_ARR(want)))
        return diag_fail(diag, TM_ECORRUPT, NULL, NULL, "%s was altered or cut: its MAC does not fit",
                         b->path);
    return TM_OK;
}

tm_err offline_bundle_parse(struct offline_bundle *b, struct slice text, struct slice *ret_body,
                            struct slice *ret_mac, struct diag *diag)
{
    const uint8_t *at = text.n ? memmem(text.p, text.n, begin_mac, sizeof begin_mac - 1) : NULL;
    if (!at)
        return malformed(diag, b->path, label_mac);
    *ret_body = slice_of(text.p, (size_t)(at - text.p));
    TM_TRY(next_json(&b->header, b, &text, label_header, diag));
    TM_TRY(next_block(&b->key, b, &text, label_key, diag));
    TM_TRY(next_block(&b->env, b, &text, label_env, diag));
    TM_TRY(next_block(&b->der, b, &text, label_cert, diag));
    TM_TRY(next_json(&b->record, b, &text, label_record, diag));
    TM_TRY(next_block(ret_mac, b, &text, label_mac, diag));
    b->name = offline_header(b, "name");
    if (!offline_name_valid(b->name) || !json_is_array(json_object_get(b->record, "signed")) ||
        !json_is_array(json_object_get(b->record, "revoked")))
        return malformed(diag, b->path, label_record);
    return cert_parse(&b->cert, b->der, diag);
}

static tm_err read_bundle(struct offline_bundle *b, const struct secret *passphrase, struct diag *diag)
{
    struct slice text, body, mac;
    TM_TRY(file_read(&text, b->a, b->path, OFFLINE_BUNDLE_MAX, diag));
    TM_TRY(offline_bundle_parse(b, text, &body, &mac, diag));
    return check_mac(b, passphrase, body, mac, diag);
}

static tm_err unpack(struct offline_bundle *b, const struct secret *passphrase, struct diag *diag)
{
    TM_TRY(make_dir(b, diag));
    char *key = key_path(b, ".key"), *env = key_path(b, ".env");
    struct buf pem;
    buf_init(&pem, OFFLINE_BUNDLE_MAX);
    buf_put_pem(&pem, label_key, b->key);
    tm_err e = key && env ? buf_err(&pem) : TM_ENOMEM;
    if (e == TM_OK)
        e = file_write(key, buf_slice(&pem), 0400, false, diag);
    buf_done(&pem);
    if (e == TM_OK)
        e = file_write(env, b->env, 0400, false, diag);
    if (e == TM_OK)
        e = start_signer(b, passphrase, diag);
    if (e != TM_OK)
        return e;
    const struct signer_key *k = signer_key_find(b->signer, b->name);
    if (!k || !slice_eq(k->spki, b->cert.spki.der))
        return diag_fail(diag, TM_ECORRUPT, NULL, NULL, "%s: the key is not the certificate's", b->path);
    return TM_OK;
}

static struct offline_bundle *bundle_new(const char *path)
{
    struct offline_bundle *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->a = arena_new(4 * OFFLINE_BUNDLE_MAX);
    b->path = strdup(path);
    if (!b->a || !b->path) {
        offline_bundle_close(b);
        return NULL;
    }
    return b;
}

tm_err offline_bundle_open(struct offline_bundle **ret, const char *path, const struct secret *passphrase,
                           struct diag *diag)
{
    struct offline_bundle *b = bundle_new(path);
    if (!b)
        return TM_ENOMEM;
    tm_err e = read_bundle(b, passphrase, diag);
    if (e == TM_OK)
        e = unpack(b, passphrase, diag);
    if (e != TM_OK) {
        offline_bundle_close(b);
        return e;
    }
    *ret = b;
    return TM_OK;
}

void offline_bundle_close(struct offline_bundle *b)
{
    if (!b)
        return;
    signer_free(b->signer);
    remove_dir(b);
    json_decref(b->header);
    json_decref(b->record);
    OPENSSL_cleanse(b->mac_key, sizeof b->mac_key);
    arena_free(b->a);
    free(b->path);
    free(b);
}

/* ---- create ---- */

static tm_err set_text(json_t *object, const char *key, const char *value)
{
    return json_object_set_new(object, key, json_string(value ? value : "")) == 0 ? TM_OK : TM_ENOMEM;
}

static tm_err set_hex(struct offline_bundle *b, const char *key, struct slice value)
{
    return set_text(b->header, key, arena_hex(b->a, value));
}

/* A fresh salt, and what follows from it. */
static tm_err set_passphrase(struct offline_bundle *b, const struct secret *passphrase)
{
    uint8_t salt[SALT_LEN], check[SHA256_LEN];
    TM_TRY(random_bytes(salt, sizeof salt));
    TM_TRY(derive(b->mac_key, check, passphrase, SLICE_ARR(salt)));
    TM_TRY(set_hex(b, "salt", SLICE_ARR(salt)));
    return set_hex(b, "check", slice_of(check, CHECK_LEN));
}

static tm_err make_header(struct offline_bundle *b, const struct ca_spec *s)
{
    char when[21];
    clock_format_rfc3339(when, clock_now());
    b->header = json_object();
    b->record = json_pack("{s:[],s:[]}", "signed", "revoked");
    if (!b->header || !b->record)
        return TM_ENOMEM;
    TM_TRY(set_text(b->header, "format", bundle_format));
    TM_TRY(set_text(b->header, "name", s->name));
    TM_TRY(set_text(b->header, "created", when));
    TM_TRY(set_text(b->header, "crl_url", s->crl_url));
    TM_TRY(set_text(b->header, "ca_url", s->ca_url));
    TM_TRY(set_text(b->header, "signature", s->signature));
    b->name = offline_header(b, "name");
    return TM_OK;
}

/* Key and envelope into the private directory, and what was written there into the bundle. */
static tm_err pack_key(struct offline_bundle *b, struct key *k, const struct envelope *env,
                       const struct secret *passphrase, struct diag *diag)
{
    if (!b->dir[0])
        TM_TRY(make_dir(b, diag));
    TM_TRY(key_store(b->dir, k, env, passphrase, diag));
    char *key_file = key_path(b, ".key"), *env_file = key_path(b, ".env");
    struct slice pem;
    if (!key_file || !env_file)
        return TM_ENOMEM;
    TM_TRY(file_read(&pem, b->a, key_file, OFFLINE_BUNDLE_MAX, diag));
    TM_TRY(pem_next(&b->key, NULL, b->a, &pem, label_key));
    return file_read(&b->env, b->a, env_file, OFFLINE_BUNDLE_MAX, diag);
}

static tm_err self_sign(struct offline_bundle *b, const struct ca_spec *s, const struct ca_plan *p,
                        struct diag *diag)
{
    struct ca_signed signed_ca;
    TM_TRY(ca_plan_sign(&signed_ca, b->a, b->signer, s->name, p, p->spki, diag));
    b->der = signed_ca.der;
    TM_TRY(cert_parse(&b->cert, b->der, diag));
    return offline_record(b, "signed",
                          json_pack("{s:I,s:s,s:s,s:s}", "time", (json_int_t)clock_now(), "kind", "ca",
                                    "serial", arena_hex(b->a, SLICE_ARR(signed_ca.serial)), "tbs",
                                    arena_hex(b->a, SLICE_ARR(signed_ca.tbs_hash))));
}

/* An address with the key id in the place of "{ski}". */
static tm_err set_url(struct offline_bundle *b, const char *key, const char *url)
{
    static const char mark[] = "{ski}";
    const char *at = url ? strstr(url, mark) : NULL;
    if (!at)
        return set_text(b->header, key, url);
    const char *hex = arena_hex(b->a, cert_ski(&b->cert));
    const char *full =
        hex ? arena_printf(b->a, "%.*s%s%s", (int)(at - url), url, hex, at + sizeof mark - 1) : NULL;
    return full ? set_text(b->header, key, full) : TM_ENOMEM;
}

static tm_err create(struct offline_bundle *b, const struct secret *passphrase, const struct ca_spec *s,
                     struct key *k, struct diag *diag)
{
    int64_t now = clock_now();
    struct ca_plan p = {.path_len = s->path_len,
                        .spki = key_spki(k),
                        .not_before = s->not_before ? s->not_before : now - CA_BACKDATE,
                        .not_after = ca_not_after(s->lifetime, true, now, TM_TIME_NEVER),
                        .permit_dns = s->permit_dns,
                        .n_permit_dns = s->n_permit_dns,
                        .sig_alg = sig_alg_default(key_alg(k))};
    if (s->signature && s->signature[0])
        TM_TRY(sig_alg_from_name(&p.sig_alg, slice_str(s->signature)));
    TM_TRY(ca_spec_subject(&p.subject, b->a, s, diag));
    p.issuer = p.subject;
    struct envelope env;
    TM_TRY(ca_envelope(&env, b->a, s, true, p.subject, p.not_after, diag));
    TM_TRY(make_header(b, s));
    TM_TRY(set_passphrase(b, passphrase));
    TM_TRY(pack_key(b, k, &env, passphrase, diag));
    TM_TRY(start_signer(b, passphrase, diag));
    TM_TRY(self_sign(b, s, &p, diag));
    TM_TRY(set_url(b, "crl_url", s->crl_url));
    TM_TRY(set_url(b, "ca_url", s->ca_url));
    return save(b, false, diag);
}

tm_err offline_bundle_create(struct offline_bundle **ret, const char *path, const struct secret *passphrase,
                             const struct ca_spec *spec, struct diag *diag)
{
    struct ca_spec s = *spec;
    enum key_alg alg;
    unsigned bits;
    if (!passphrase || passphrase->n == 0)
        return diag_fail(diag, TM_ELOCKED, NULL, NULL, "a bundle needs a passphrase");
    if (access(path, F_OK) == 0)
        return diag_fail(diag, TM_ECONFLICT, NULL, NULL, "%s exists already", path);
    TM_TRY(ca_spec_key(&alg, &bits, &s, true, diag));
    if (!s.key || !s.key[0])
        s.key = key_alg_info(alg)->name;
    TM_TRY(ca_spec_check(&s, diag));
    struct key *k = NULL;
    TM_TRY(key_generate(&k, alg, bits, diag));
    struct offline_bundle *b = bundle_new(path);
    tm_err e = b ? create(b, passphrase, &s, k, diag) : TM_ENOMEM;
    key_free(k);
    if (e != TM_OK) {
        offline_bundle_close(b);
        return e;
    }
    *ret = b;
    return TM_OK;
}

tm_err offline_bundle_rekey(struct offline_bundle *b, const struct secret *old,
                            const struct secret *passphrase, struct diag *diag)
{
    if (!passphrase || passphrase->n == 0)
        return diag_fail(diag, TM_ELOCKED, NULL, NULL, "a bundle needs a passphrase");
    struct key *k = NULL;
    struct envelope env;
    TM_TRY(key_load(&k, &env, b->a, b->dir, b->name, old, diag));
    char *key_file = key_path(b, ".key");
    tm_err e = key_file ? TM_OK : TM_ENOMEM;
    if (e == TM_OK)
        unlink(key_file);
    if (e == TM_OK)
        e = pack_key(b, k, &env, passphrase, diag);
    if (e == TM_OK)
        e = set_passphrase(b, passphrase);
    if (e == TM_OK)
        e = offline_bundle_save(b, diag);
    key_free(k);
    return e;
}
