/* Keys that are made here: the template names an algorithm or nothing, and the key comes with the certificate, in an envelope for the key or
 * the secret that protected the request (RFC 9810 5.3.4, RFC 9483 4.1.6). */
#include "base/arena.h"
#include "der/reader.h"
#include "enroll/cmp/cmp.h"
#include "enroll/server_key.h"
#include "issue/cmp_settings.h"
#include "issue/key_package.h"
#include "issue/message.h"
#include "keys/key.h"

static tm_err refuse(struct cmp_exchange *x, const char *rule, const char *why)
{
    return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EDENIED, rule, "%s", why);
}

static tm_err make_key(struct cmp_exchange *x, const struct profile *p)
{
    struct enrollment *e = &x->issue.e;
    TM_TRY(server_key_make(&x->key, e, p, &x->diag));
    e->subject = x->csr.subject;
    e->exts = x->csr.exts;
    e->not_before = x->csr.not_before;
    e->not_after = x->csr.not_after;
    return csr_san(&e->san, x->a, &x->csr, &x->diag);
}

tm_err cmp_seal_check(struct cmp_exchange *x)
{
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, x->issue.e.profile);
    if (server_key_check(x->endpoint->server_keygen ? p : NULL, &x->diag) != TM_OK) {
        x->fail = CMP_NOT_AUTHORIZED;
        return TM_EDENIED;
    }
    if (x->ra)
        return refuse(x, "cmp.ra", "a key is given to whom it is for, not to a registration authority");
    if (x->by == CMP_BY_SIGNATURE && key_package_recipient(&x->who.peer, &x->diag) != TM_OK)
        return refuse(x, x->diag.rule, "nothing can be encrypted to the key that signed the request");
    return make_key(x, p);
}

/* EnvelopedData out of its ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT ANY }. */
static tm_err unwrap(struct slice *ret, struct slice der)
{
    struct der_reader r, seq, content;
    struct slice type;
    der_reader_init(&r, der, NULL);
    TM_TRY(der_enter(&r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_oid(&seq, &type));
    TM_TRY(der_enter(&seq, DER_CONTEXT_CONS(0), &content));
    return der_read_tlv(&content, DER_SEQUENCE, ret);
}

tm_err cmp_seal_key(struct cmp_exchange *x)
{
    struct message m = {.tenant = x->endpoint->tenant,
                        .authority = x->authority,
                        .request_id = x->http->id,
                        .endpoint = x->endpoint->name};
    /* RFC 9483 4.1.6: what leads from the signer up to the root goes along. */
    struct slice certs[CMP_CHAIN_MAX];
    m.certs = certs;
    certs[m.n_certs++] = x->authority->der;
    for (size_t i = 0; i + 1 < x->authority->n_chain && m.n_certs < CMP_CHAIN_MAX; i++)
        certs[m.n_certs++] = x->authority->chain[i];
    struct key_recipient to = {.cipher = OID_AES256_CBC, .bare = x->endpoint->cmp->key_form == CMP_KEY_BARE};
    struct slice der;
    if (x->by == CMP_BY_MAC)
        to.secret = slice_str(x->secret);
    else
        to.cert = x->who.peer.der;
    tm_err e = key_package_seal(&der, x->a, x->house, &m, x->key, &to, &x->diag);
    key_free(x->key);
    x->key = NULL;
    return e == TM_OK ? unwrap(&x->private_key, der) : e;
}
