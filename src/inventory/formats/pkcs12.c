/* PKCS#12 (RFC 7292): the certificates of a key store. Its keys are counted and stay encrypted.
 *
 * Through OpenSSL, which reads the BER and knows the old ciphers that such files still have. What the file asks to be computed is bounded first: an
 * iteration count is anybody's to write. */
#include "base/arena.h"
#include "base/buf.h"
#include "der/reader.h"
#include "inventory/formats/formats.h"
#include "x509/cert.h"
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <string.h>

enum {
    ITERATIONS_MAX = 2000000,
    SAFES_MAX = 16,
    BAGS_MAX = 20000,
    DEPTH_MAX = 4,
    KEYS_MAX = 1024,   /* whose certificates are told from others */
    CHAINS_MAX = 64,   /* that are put together, ... */
    ISSUERS_MAX = 256, /* ... out of so many certificates */
    KEY_ID_MAX = 64,
    PASSWORD_MAX = 1024
};

struct bag_cert {
    struct slice der, key_id;
    const char *alias;
    bool of_key, used;
};
struct reading {
    struct container_out *o;
    struct arena *a;
    const char *password;
    struct bag_cert *certs;
    size_t n_certs, bags;
    struct slice *key_ids;
    size_t n_keys, n_chains;
    struct diag *diag;
};

/* PFX ::= SEQUENCE { version INTEGER (v3), authSafe ContentInfo, … }: 3 right behind the outer header, whatever the form of its length. */
static bool looks(struct slice bytes)
{
    static const uint8_t version[] = {0x02, 0x01, 0x03, 0x30};
    if (bytes.n < 16 || bytes.p[0] != 0x30)
        return false;
    size_t header = bytes.p[1] & 0x80 ? 2 + (bytes.p[1] & 0x7f) : 2;
    return slice_eq(slice_sub(bytes, header, sizeof version), SLICE_ARR(version));
}

/* ---- what it costs ---- */

static bool affordable_count(const ASN1_INTEGER *n)
{
    int64_t v;
    return n && ASN1_INTEGER_get_int64(&v, n) == 1 && v > 0 && v <= ITERATIONS_MAX;
}

static bool affordable_pbkdf2(const X509_ALGOR *kdf)
{
    const ASN1_OBJECT *oid;
    const void *value;
    int type;
    X509_ALGOR_get0(&oid, &type, &value, kdf);
    if (OBJ_obj2nid(oid) != NID_id_pbkdf2 || type != V_ASN1_SEQUENCE)
        return false;
    PBKDF2PARAM *p = ASN1_item_unpack(value, ASN1_ITEM_rptr(PBKDF2PARAM));
    bool good = p && affordable_count(p->iter);
    PBKDF2PARAM_free(p);
    return good;
}

static bool affordable(const X509_ALGOR *alg)
{
    const ASN1_OBJECT *oid;
    const void *value;
    int type;
    bool good = false;
    X509_ALGOR_get0(&oid, &type, &value, alg);
    if (type != V_ASN1_SEQUENCE)
        return false;
    if (OBJ_obj2nid(oid) == NID_pbes2) {
        PBE2PARAM *p = ASN1_item_unpack(value, ASN1_ITEM_rptr(PBE2PARAM));
        good = p && affordable_pbkdf2(p->keyfunc);
        PBE2PARAM_free(p);
    } else {
        PBEPARAM *p = ASN1_item_unpack(value, ASN1_ITEM_rptr(PBEPARAM));
        good = p && affordable_count(p->iter);
        PBEPARAM_free(p);
    }
    return good;
}

/* The MAC's: RFC 7292's own derivation by its count; PBMAC1 (RFC 9579) has its count in the algorithm. */
static bool affordable_mac(const PKCS12 *p12)
{
    const ASN1_INTEGER *count = NULL;
    const X509_ALGOR *alg = NULL;
    const ASN1_OBJECT *oid;
    const void *value;
    int type;
    PKCS12_get0_mac(NULL, &alg, NULL, &count, p12);
    if (!alg)
        return false;
    X509_ALGOR_get0(&oid, &type, &value, alg);
    if (OBJ_obj2nid(oid) != NID_pbmac1)
        return !count || affordable_count(count);
    /* RFC 9579 5: the length of the key has to be said; a longer one than the longest digest costs as many derivations, and libraries have taken it for
     * the size of a buffer (CVE-2025-11187). */
    PBKDF2PARAM *kdf = type == V_ASN1_SEQUENCE ? PBMAC1_get1_pbkdf2_param(alg) : NULL;
    int64_t length = 0;
    bool good = kdf && affordable_count(kdf->iter) && kdf->keylength &&
                ASN1_INTEGER_get_int64(&length, kdf->keylength) == 1 && length > 0 &&
                length <= EVP_MAX_MD_SIZE;
    PBKDF2PARAM_free(kdf);
    return good;
}

/* ---- bags ---- */

static tm_err key_id_of(struct slice *ret, struct arena *a, const STACK_OF(X509_ATTRIBUTE) * attrs)
{
    ASN1_TYPE *t = PKCS12_get_attr_gen(attrs, NID_localKeyID);
    *ret = (struct slice){0};
    if (!t || t->type != V_ASN1_OCTET_STRING)
        return TM_OK;
    const ASN1_OCTET_STRING *s = t->value.octet_string;
    int n = ASN1_STRING_length(s);
    if (n <= 0 || n > KEY_ID_MAX)
        return TM_OK;
    return arena_copy(ret, a, slice_of(ASN1_STRING_get0_data(s), (size_t)n));
}

static tm_err take_cert(struct reading *r, PKCS12_SAFEBAG *bag)
{
    struct bag_cert c = {.alias = ""};
    if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
        return TM_OK; /* a CRL, or SDSI: not what is looked for */
    X509 *x = PKCS12_SAFEBAG_get1_cert(bag);
    unsigned char *der = NULL;
    int n = x ? i2d_X509(x, &der) : -1;
    tm_err e = TM_OK;
    if (n > 0)
        e = arena_copy(&c.der, r->a, slice_of(der, (size_t)n));
    OPENSSL_free(der);
    X509_free(x);
    if (n <= 0) {
        container_refuse(r->o, "", "a certificate bag that can't be read");
        return TM_OK;
    }
    TM_TRY(e);
    char *name = PKCS12_get_friendlyname(bag);
    if (name)
        c.alias = arena_strndup(r->a, name, strnlen(name, CONTAINER_ALIAS_MAX));
    OPENSSL_free(name);
    if (!c.alias)
        return arena_err(r->a);
    TM_TRY(key_id_of(&c.key_id, r->a, PKCS12_SAFEBAG_get0_attrs(bag)));
    r->certs[r->n_certs++] = c;
    return TM_OK;
}

static tm_err take_key(struct reading *r, PKCS12_SAFEBAG *bag)
{
    container_saw_key(r->o);
    if (r->n_keys == KEYS_MAX)
        return TM_OK;
    tm_err e = key_id_of(&r->key_ids[r->n_keys], r->a, PKCS12_SAFEBAG_get0_attrs(bag));
    r->n_keys += e == TM_OK && r->key_ids[r->n_keys].n != 0;
    return e;
}

static tm_err take_bags(struct reading *r, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth)
{
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++) {
        PKCS12_SAFEBAG *bag = sk_PKCS12_SAFEBAG_value(bags, i);
        if (++r->bags > BAGS_MAX)
            return diag_fail(r->diag, TM_ETOOBIG, NULL, "body", "more than %d bags", BAGS_MAX);
        switch (PKCS12_SAFEBAG_get_nid(bag)) {
        case NID_certBag:
            TM_TRY(take_cert(r, bag));
            break;
        case NID_keyBag:
        case NID_pkcs8ShroudedKeyBag:
        case NID_secretBag:
            TM_TRY(take_key(r, bag));
            break;
        case NID_safeContentsBag:
            if (depth == 0)
                container_refuse(r->o, "", "bags in bags, more than %d deep", DEPTH_MAX);
            else
                TM_TRY(take_bags(r, PKCS12_SAFEBAG_get0_safes(bag), depth - 1));
            break;
        default:
            break;
        }
    }
    return TM_OK;
}

/* One of the authenticated safes: plain, or encrypted with the password. */
static tm_err take_safe(struct reading *r, PKCS7 *p7)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    if (PKCS7_type_is_data(p7)) {
        bags = PKCS12_unpack_p7data(p7);
    } else if (PKCS7_type_is_encrypted(p7)) {
        const X509_ALGOR *alg =
            p7->d.encrypted && p7->d.encrypted->enc_data ? p7->d.encrypted->enc_data->algorithm : NULL;
        if (!alg || !affordable(alg)) {
            container_refuse(r->o, "",
                             "encrypted by a way that is not known, or with more than %d iterations",
                             ITERATIONS_MAX);
            return TM_OK;
        }
        bags = PKCS12_unpack_p7encdata(p7, r->password, -1);
        if (!bags)
            return diag_fail(r->diag, TM_ELOCKED, "RFC 7292 5.1", "password",
                             "its certificates are encrypted, and this password does not open them");
    } else {
        container_refuse(r->o, "", "a part that is encrypted to a public key");
        return TM_OK;
    }
    if (!bags) {
        container_refuse(r->o, "", "a part that can't be read");
        return TM_OK;
    }
    tm_err e = take_bags(r, bags, DEPTH_MAX);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return e;
}

/* ---- chains ---- */

static bool is_of_a_key(const struct reading *r, const struct bag_cert *c)
{
    for (size_t i = 0; i < r->n_keys && c->key_id.n; i++)
        if (slice_eq(r->key_ids[i], c->key_id))
            return true;
    return false;
}

static struct bag_cert *issuer_of(struct reading *r, const struct cert *c)
{
    struct cert up;
    for (size_t i = 0; i < r->n_certs && i < ISSUERS_MAX; i++)
        if (!slice_eq(r->certs[i].der, c->der) && !r->certs[i].of_key &&
            cert_parse(&up, r->certs[i].der, NULL) == TM_OK && slice_eq(up.subject, c->issuer))
            return &r->certs[i];
    return NULL;
}

/* The certificate of a key, and the issuers that stand beside it. */
static tm_err put_chain(struct reading *r, struct bag_cert *leaf)
{
    struct cert c;
    struct bag_cert *at = leaf;
    TM_TRY(container_begin(r->o, leaf->alias, true));
    unsigned most = r->n_chains++ < CHAINS_MAX ? CONTAINER_CHAIN_MAX : 1;
    for (unsigned i = 0; at && i < most; i++) {
        at->used = true;
        TM_TRY(container_put(r->o, at->der));
        bool ends = cert_parse(&c, at->der, NULL) != TM_OK || slice_eq(c.subject, c.issuer);
        at = ends ? NULL : issuer_of(r, &c);
    }
    return TM_OK;
}

static tm_err put_all(struct reading *r)
{
    for (size_t i = 0; i < r->n_certs; i++)
        r->certs[i].of_key = is_of_a_key(r, &r->certs[i]);
    for (size_t i = 0; i < r->n_certs; i++)
        if (r->certs[i].of_key)
            TM_TRY(put_chain(r, &r->certs[i]));
    for (size_t i = 0; i < r->n_certs; i++) {
        if (r->certs[i].used)
            continue;
        TM_TRY(container_begin(r->o, r->certs[i].alias, false));
        TM_TRY(container_put(r->o, r->certs[i].der));
    }
    return TM_OK;
}

/* ---- the file ---- */

/* Both ways to write no password. */
static tm_err check_mac(struct reading *r, PKCS12 *p12, bool has_password)
{
    if (!PKCS12_mac_present(p12)) {
        container_note(r->o, "its integrity was not verified: it has no MAC");
        return TM_OK;
    }
    if (!affordable_mac(p12))
        return diag_fail(r->diag, TM_EUNSUPPORTED, "RFC 7292 4", "body",
                         "its MAC is of a kind that is not known, or wants more than %d iterations",
                         ITERATIONS_MAX);
    if (PKCS12_verify_mac(p12, r->password, -1) == 1)
        return TM_OK;
    if (!has_password && PKCS12_verify_mac(p12, NULL, 0) == 1) {
        r->password = NULL;
        return TM_OK;
    }
    return diag_fail(r->diag, TM_ELOCKED, "RFC 7292 5.1", "password",
                     has_password ? "the password does not fit, or the file was altered"
                                  : "it needs a password: give the one it was written with");
}

static tm_err read_safes(struct reading *r, PKCS12 *p12)
{
    STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(p12);
    int n = safes ? sk_PKCS7_num(safes) : 0;
    tm_err e = TM_OK;
    if (!safes)
        return diag_fail(r->diag, TM_EMALFORMED, "RFC 7292 4", "body", "its contents can't be read");
    if (n > SAFES_MAX)
        e = diag_fail(r->diag, TM_ETOOBIG, NULL, "body", "more than %d parts", SAFES_MAX);
    for (int i = 0; i < n && e == TM_OK; i++)
        e = take_safe(r, sk_PKCS7_value(safes, i));
    sk_PKCS7_pop_free(safes, PKCS7_free);
    return e == TM_OK ? put_all(r) : e;
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    struct arena *a = container_arena(o);
    const unsigned char *p = in->bytes.p;
    char password[PASSWORD_MAX + 1] = "";
    struct reading r = {.o = o,
                        .a = a,
                        .password = password,
                        .diag = diag,
                        .certs = arena_calloc(a, BAGS_MAX, sizeof *r.certs),
                        .key_ids = arena_calloc(a, KEYS_MAX + 1, sizeof *r.key_ids)};
    if (!r.certs || !r.key_ids)
        return arena_err(a);
    if (in->password.n > PASSWORD_MAX || (in->password.n && memchr(in->password.p, '\0', in->password.n)))
        return diag_fail(diag, TM_EINVAL, NULL, "password",
                         "a password of more than %d octets, or with a zero in it", PASSWORD_MAX);
    PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)in->bytes.n);
    if (!p12) {
        ERR_clear_error();
        return diag_fail(diag, TM_EMALFORMED, "RFC 7292 4", "body", "not a PKCS#12 file, or cut short");
    }
    if (in->password.n)
        memcpy(password, in->password.p, in->password.n);
    tm_err e = check_mac(&r, p12, in->has_password);
    if (e == TM_OK)
        e = read_safes(&r, p12);
    OPENSSL_cleanse(password, sizeof password);
    PKCS12_free(p12);
    ERR_clear_error();
    return e;
}

const struct cert_format pkcs12_format = {"pkcs12", "a PKCS#12 key store", looks, read};
