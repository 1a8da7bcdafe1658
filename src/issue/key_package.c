#include "issue/key_package.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/secret.h"
#include "der/builder.h"
#include "der/reader.h"
#include "issue/message.h"
#include "keys/cms.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "x509/cert.h"
#include <string.h>

enum { PACKAGE_MAX = 64 << 10 };

tm_err key_package_recipient(const struct cert *c, struct diag *diag)
{
    struct pubkey_info info;
    const struct ext *ext = exts_find(&c->exts, OID_EXT_KEY_USAGE);
    uint32_t ku = KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT;
    TM_TRY(pubkey_info(&info, &c->spki, diag));
    if (ext)
        TM_TRY(ext_decode_key_usage(&ku, ext->value, diag));
    bool rsa = info.alg == KEY_ALG_RSA;
    bool ec = info.alg >= KEY_ALG_EC_P256 && info.alg <= KEY_ALG_EC_P521;
    if ((rsa && (ku & KU_KEY_ENCIPHERMENT)) || (ec && (ku & KU_KEY_AGREEMENT)))
        return TM_OK;
    return diag_fail(diag, TM_EUNSUPPORTED, "RFC 5280 4.2.1.3", "certificate",
                     "the certificate's key is not for encryption: RSA with keyEncipherment or EC with "
                     "keyAgreement is wanted");
}

/* AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey (RFC 5958 2), whose v1 is PKCS #8's PrivateKeyInfo. */
static tm_err make_package(struct buf *out, const struct key *key, bool bare)
{
    struct secret pkcs8 = {0};
    struct der_builder b;
    TM_TRY(key_export_pkcs8(&pkcs8, key));
    tm_err e = buf_extend(out, pkcs8.n + 16) ? TM_OK : TM_ENOMEM;
    buf_reset(out);
    der_builder_init(&b, out);
    if (!bare)
        der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, secret_slice(&pkcs8));
    if (!bare)
        der_close(&b);
    if (e == TM_OK)
        e = der_builder_finish(&b);
    secret_done(&pkcs8);
    return e;
}

static tm_err seal(struct slice *ret, struct arena *a, struct slice inner, const struct key_recipient *to,
                   struct diag *diag)
{
    struct buf out;
    buf_init(&out, MESSAGE_DER_MAX);
    tm_err e = to->cert.n ? cms_seal(&out, to->cert, to->cipher, to->oaep, OID_SIGNED_DATA, inner, diag)
                          : cms_seal_password(&out, to->secret, to->cipher, OID_SIGNED_DATA, inner, diag);
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&out));
    buf_done(&out);
    return e;
}

tm_err key_package_seal(struct slice *ret, struct arena *a, struct house *h, struct message *m,
                        const struct key *key, const struct key_recipient *to, struct diag *diag)
{
    struct buf package;
    struct slice inner = {0};
    buf_init(&package, PACKAGE_MAX);
    tm_err e = make_package(&package, key, to->bare);
    m->content_type = OID_CT_ASYMMETRIC_KEY_PACKAGE;
    m->content = buf_slice(&package);
    m->bare = true;
    if (e == TM_OK)
        e = message_sign(&inner, a, h, m, diag);
    if (package.p)
        explicit_bzero(package.p, package.cap);
    buf_done(&package);
    if (e == TM_OK)
        e = seal(ret, a, inner, to, diag);
    if (inner.n)
        explicit_bzero((void *)(uintptr_t)inner.p,
                       inner.n); /* the copy in the arena is ours, and holds the key */
    return e;
}
