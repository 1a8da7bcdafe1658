/* CAs in two halves, CAs that exist already, and the backup of a CA's key. */
#include "authority/ceremony.h"
#include "authority/certs_in.h"
#include "authority/enter.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "keys/key.h"
#include "keys/signer.h"
#include "x509/csr.h"
#include <string.h>

/* ---- request ---- */

static tm_err put_csr(struct buf *out, struct key *k, struct slice subject, struct diag *diag)
{
    struct buf info, signature, der;
    buf_init(&info, CSR_DER_MAX);
    buf_init(&signature, CSR_DER_MAX);
    buf_init(&der, CSR_DER_MAX);
    enum sig_alg alg = sig_alg_default(key_alg(k));
    tm_err e = csr_build_info(&info, subject, key_spki(k), NULL, 0);
    if (e == TM_OK)
        e = key_sign(&signature, k, alg, buf_slice(&info), diag);
    if (e == TM_OK)
        e = signed_assemble(&der, buf_slice(&info), sig_alg_info(alg)->algid, buf_slice(&signature));
    if (e == TM_OK) {
        buf_put_pem(out, "CERTIFICATE REQUEST", buf_slice(&der));
        e = buf_err(out);
    }
    buf_done(&der);
    buf_done(&signature);
    buf_done(&info);
    return e;
}

static tm_err request(struct buf *out, struct arena *a, const struct ceremony *c, const struct ca_spec *spec,
                      struct diag *diag)
{
    const char *key_id, *dir = ceremony_key_dir(a, c);
    struct slice subject;
    enum key_alg alg;
    unsigned bits;
    if (!dir)
        return TM_ENOMEM;
    TM_TRY(authority_key_id(&key_id, a, c->house, spec, diag));
    TM_TRY(ca_spec_subject(&subject, a, spec, diag));
    TM_TRY(ca_spec_key(&alg, &bits, spec, false, diag));
    struct key *k = NULL;
    TM_TRY(key_generate(&k, alg, bits, diag));
    /* Sealed shut until the certificate is here. */
    struct envelope env = {.key_id = key_id, .origin = "", .issuer = subject, .max_path_len = -1};
    tm_err e = key_store(dir, k, &env, c->passphrase, diag);
    bool stored = e == TM_OK;
    if (e == TM_OK)
        e = put_csr(out, k, subject, diag);
    if (e == TM_OK)
        e = ceremony_event(c, spec->tenant, "request-ca", spec->name, key_id, diag);
    if (e == TM_OK)
        e = signer_reload(c->house->signer, diag);
    if (e != TM_OK && stored)
        ceremony_discard_key(c, key_id);
    key_free(k);
    return e;
}

tm_err ceremony_request_ca(struct buf *out_csr, const struct ceremony *c, const struct ca_spec *spec,
                           struct diag *diag)
{
    TM_TRY(ceremony_check(c, spec, true, diag));
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    tm_err e = request(out_csr, a, c, spec, diag);
    arena_free(a);
    return e;
}

/* ---- install and import ---- */

struct bringing {
    struct arena *a;
    const struct ceremony *c;
    struct ca_spec spec;
    const char *what, *key_id, *dir;
    struct key *key; /* NULL: the certificate only */
    bool stored;     /* the key was written by this ceremony */
    struct catalog *cat;
    struct ca_path path;
};

/* A certificate with pathLen 0 can't be a tier's, whatever the spec says. */
static tm_err fit_spec(struct bringing *b, struct diag *diag)
{
    const struct ext *ext = exts_find(&b->path.ca.exts, OID_EXT_BASIC_CONSTRAINTS);
    struct basic_constraints bc = {0};
    if (ext)
        TM_TRY(ext_decode_basic_constraints(&bc, ext->value, diag));
    if (b->spec.issues_cas && bc.has_path_len && bc.path_len == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.9", "/certificates",
                         "pathLenConstraint is 0: no CA can stand below this one");
    b->spec.path_len = bc.has_path_len ? (int)(bc.path_len < 16 ? bc.path_len : 16) : -1;
    return TM_OK;
}

static tm_err seal(struct bringing *b, bool exists, struct diag *diag)
{
    struct envelope env;
    TM_TRY(ca_envelope(&env, b->a, &b->spec, false, b->path.ca.subject, b->path.ca.not_after, diag));
    env.key_id = b->key_id;
    if (exists)
        return key_reseal(b->dir, b->key, &env, diag);
    TM_TRY(key_store(b->dir, b->key, &env, b->c->passphrase, diag));
    b->stored = true;
    return TM_OK;
}

static tm_err bring(struct ca_result *ret, struct bringing *b, struct slice certs, bool key_exists,
                    struct diag *diag)
{
    struct cert *v = arena_calloc(b->a, CERTS_IN_MAX, sizeof *v);
    size_t n;
    if (!v)
        return TM_ENOMEM;
    TM_TRY(certs_in_read(v, &n, b->a, certs, diag));
    TM_TRY(certs_in_path(&b->path, b->a, v, n, b->key ? key_spki(b->key) : (struct slice){0}, b->cat, diag));
    TM_TRY(fit_spec(b, diag));
    if (b->key) {
        TM_TRY(seal(b, key_exists, diag));
        TM_TRY(signer_reload(b->c->house->signer, diag));
    }
    struct entry x = {
        .c = b->c,
        .spec = &b->spec,
        .what = b->what,
        .key_id = b->key ? b->key_id : "",
        .key = b->key,
        .der = b->path.ca.der,
        .chain = b->path.chain,
        .n_chain = b->path.n_chain,
        .parent = b->path.parent,
        .root = b->path.self_signed,
    };
    TM_TRY(authority_enter(ret, b->a, &x, diag));
    b->stored = false;
    return house_reload(b->c->house, diag);
}

static tm_err begin(struct bringing *b, bool with_key, struct diag *diag)
{
    TM_TRY(ceremony_check(b->c, &b->spec, with_key, diag));
    b->dir = ceremony_key_dir(b->a, b->c);
    if (!b->dir)
        return TM_ENOMEM;
    TM_TRY(authority_key_id(&b->key_id, b->a, b->c->house, &b->spec, diag));
    b->cat = house_catalog(b->c->house);
    return TM_OK;
}

static tm_err end(struct bringing *b, tm_err e)
{
    if (e != TM_OK && b->stored) {
        ceremony_discard_key(b->c, b->key_id);
        TM_IGNORE(signer_reload(b->c->house->signer, NULL));
    }
    key_free(b->key);
    catalog_unref(b->cat);
    return e;
}

tm_err ceremony_install_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                           const struct ca_spec *spec, struct slice pem, struct diag *diag)
{
    struct bringing b = {.a = a, .c = c, .spec = *spec, .what = "install-ca"};
    struct envelope env;
    TM_TRY(begin(&b, true, diag));
    tm_err e = key_load(&b.key, &env, a, b.dir, b.key_id, c->passphrase, diag);
    if (e == TM_ENOTFOUND)
        e = diag_fail(diag, e, NULL, "/name", "there is no key \"%s\" here: make a request first", b.key_id);
    if (e == TM_OK && env.allow != 0)
        e = diag_fail(diag, TM_ECONFLICT, NULL, "/name", "the key \"%s\" is in use", b.key_id);
    if (e == TM_OK)
        e = bring(ret, &b, pem, true, diag);
    return end(&b, e);
}

tm_err ceremony_import_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                          const struct ca_spec *spec, struct slice key, const struct secret *key_passphrase,
                          struct slice certs, struct diag *diag)
{
    struct bringing b = {.a = a, .c = c, .spec = *spec, .what = "import-ca"};
    TM_TRY(begin(&b, true, diag));
    tm_err e = key_import(&b.key, key, key_passphrase, diag);
    if (e == TM_OK)
        e = bring(ret, &b, certs, false, diag);
    return end(&b, e);
}

tm_err ceremony_import_cert(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                            const struct ca_spec *spec, struct slice certs, struct diag *diag)
{
    struct bringing b = {.a = a, .c = c, .spec = *spec, .what = "import-cert"};
    TM_TRY(begin(&b, false, diag));
    return end(&b, bring(ret, &b, certs, false, diag));
}
