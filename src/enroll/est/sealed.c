/* Keys made here that the client wants encrypted beyond TLS (RFC 7030 4.4.1, 4.4.2): a key package (RFC 5958), signed by the RA of the
 * authority that issues its certificate, in an envelope for the key of the certificate that the client has shown. */
#include "base/arena.h"
#include "der/builder.h"
#include "der/reader.h"
#include "enroll/est/est.h"
#include "issue/message.h"
#include "keys/cms.h"
#include "keys/key.h"
#include "x509/cms/capabilities.h"
#include <string.h>

enum { PACKAGE_MAX = 64 << 10 };

static tm_err refuse(struct diag *diag, const char *rule, const char *message)
{
    return diag_fail(diag, TM_EUNSUPPORTED, rule, "attributes", "%s", message);
}

/* The strongest cipher that both sides have; where the client does not say (RFC 7030 4.4.1), AES-256. */
static tm_err choose_cipher(struct est_exchange *x, struct diag *diag)
{
    const struct csr_attr *a = csr_attr_find(&x->csr, OID_EXT_SMIME_CAPABILITIES);
    struct smime_capabilities has = {.aes256_cbc = true};
    if (a)
        TM_TRY(smime_capabilities_parse(&has, a->values, diag));
    if (!has.aes128_cbc && !has.aes256_cbc)
        return refuse(
            diag, "RFC 7030 4.4.1",
            "none of the ciphers in smimeCapabilities is done here; AES-128-CBC and AES-256-CBC are");
    x->seal.cipher = has.aes256_cbc ? OID_AES256_CBC : OID_AES128_CBC;
    x->seal.oaep = has.rsa_oaep;
    return TM_OK;
}

/* AsymmetricDecryptKeyIdentifier ::= OCTET STRING: the certificate's subjectKeyIdentifier, or the hash that makes one. */
static tm_err check_identifier(const struct est_exchange *x, const struct csr_attr *a, struct diag *diag)
{
    struct der_reader values;
    struct slice id;
    uint8_t sha1_id[20], sha256_id[20];
    der_reader_init(&values, a->values, NULL);
    if (der_read(&values, DER_OCTET_STRING, &id) != TM_OK || der_end(&values) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 7030 4.4.1.2", "attributes",
                         "asymmDecryptKeyID is not one OCTET STRING");
    TM_TRY(spki_key_id_sha1(sha1_id, &x->who.peer.spki));
    TM_TRY(spki_key_id(sha256_id, &x->who.peer.spki));
    bool ours = x->who.predecessor.n && id.n &&
                (slice_eq(id, cert_ski(&x->who.peer)) || slice_eq(id, SLICE_ARR(sha1_id)) ||
                 slice_eq(id, SLICE_ARR(sha256_id)));
    if (!ours)
        return refuse(diag, "RFC 7030 4.4.1.2",
                      "the key to encrypt to is not the one of the certificate that the client has shown");
    return TM_OK;
}

/* RFC 5280 4.2.1.3: a certificate that says what its key is for must say this. */
static tm_err check_usable(const struct est_exchange *x, struct diag *diag)
{
    struct pubkey_info info;
    const struct ext *ext = exts_find(&x->who.peer.exts, OID_EXT_KEY_USAGE);
    uint32_t ku = KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT;
    TM_TRY(pubkey_info(&info, &x->who.peer.spki, diag));
    if (ext)
        TM_TRY(ext_decode_key_usage(&ku, ext->value, diag));
    bool rsa = info.alg == KEY_ALG_RSA;
    bool ec = info.alg >= KEY_ALG_EC_P256 && info.alg <= KEY_ALG_EC_P521;
    if (!(rsa && (ku & KU_KEY_ENCIPHERMENT)) && !(ec && (ku & KU_KEY_AGREEMENT)))
        return refuse(diag, "RFC 7030 4.4.1.2",
                      "the certificate's key is not for encryption: RSA with keyEncipherment or EC with "
                      "keyAgreement is wanted");
    return TM_OK;
}

tm_err est_seal_prepare(struct est_exchange *x, struct diag *diag)
{
    /* RFC 7030 4.4.1.1: what can't be encrypted as it was asked to ends with an error. */
    if (csr_attr_find(&x->csr, OID_AA_DECRYPT_KEY_ID))
        return refuse(diag, "RFC 7030 4.4.1.1",
                      "no symmetric keys are shared with clients here; name the key of a certificate");
    const struct csr_attr *a = csr_attr_find(&x->csr, OID_AA_ASYMM_DECRYPT_KEY_ID);
    if (!a)
        return TM_OK;
    if (x->who.predecessor.n == 0)
        return refuse(diag, "RFC 7030 4.4.1.2", "a key is encrypted to the TLS client's certificate only");
    TM_TRY(check_identifier(x, a, diag));
    TM_TRY(check_usable(x, diag));
    TM_TRY(choose_cipher(x, diag));
    x->seal.authority = est_authority(x, x->issue.e.profile);
    if (!x->seal.authority || !x->seal.authority->ra_key[0])
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra", NULL,
                         "the authority has nobody who signs messages for it; touchmark ca ra makes that");
    x->seal.wanted = true;
    return TM_OK;
}

/* AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey (RFC 5958 2), whose v1 is PKCS #8's PrivateKeyInfo. */
static tm_err make_package(struct buf *out, const struct key *key)
{
    struct secret pkcs8 = {0};
    struct der_builder b;
    TM_TRY(key_export_pkcs8(&pkcs8, key));
    tm_err e = buf_extend(out, pkcs8.n + 16) ? TM_OK : TM_ENOMEM;
    buf_reset(out);
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, secret_slice(&pkcs8));
    der_close(&b);
    if (e == TM_OK)
        e = der_builder_finish(&b);
    secret_done(&pkcs8);
    return e;
}

static tm_err seal(struct est_exchange *x, struct slice package, struct diag *diag)
{
    struct arena *a = x->request->arena;
    struct message m = {
        .tenant = x->endpoint->tenant,
        .authority = x->seal.authority,
        .request_id = x->request->id,
        .endpoint = x->endpoint->name,
        .content_type = OID_CT_ASYMMETRIC_KEY_PACKAGE,
        .content = package,
        .bare = true,
    };
    struct slice inner;
    struct buf out;
    TM_TRY(message_sign(&inner, a, x->house, &m, diag));
    buf_init(&out, MESSAGE_DER_MAX);
    tm_err e = cms_seal(&out, x->who.peer.der, x->seal.cipher, x->seal.oaep, OID_SIGNED_DATA, inner, diag);
    explicit_bzero((void *)(uintptr_t)inner.p,
                   inner.n); /* the copy in the arena is ours, and holds the key */
    if (e == TM_OK)
        e = arena_copy(&x->seal.message, a, buf_slice(&out));
    buf_done(&out);
    return e;
}

void est_seal_work(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct est_exchange *x = TM_CONTAINER(i, struct est_exchange, issue);
    if (i->outcome == ISSUE_ISSUED) {
        struct buf package;
        buf_init(&package, PACKAGE_MAX);
        tm_err e = make_package(&package, x->key);
        if (e == TM_OK)
            e = seal(x, buf_slice(&package), &i->diag);
        if (package.p)
            explicit_bzero(package.p, package.cap);
        buf_done(&package);
        if (e != TM_OK) {
            i->outcome = ISSUE_FAILED;
            i->err = e;
        }
    }
    i->done.run = est_answer;
    executor_post(http_request_executor(x->request), &i->done);
}
