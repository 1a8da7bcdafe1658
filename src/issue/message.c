#include "issue/message.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "issue/catalog.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "issue/orphan.h"
#include "keys/cms.h"
#include "keys/key_transport.h"
#include "keys/signer.h"
#include "register/register.h"
#include "x509/cms/signed.h"
#include <string.h>

static const char *text_of(const char *s)
{
    return s ? s : "";
}

tm_err message_record(struct effect *ret, struct arena *a, tenant_id tenant, const struct authority *x,
                      const char *endpoint, const char *request_id, const char *content,
                      const struct sign_op *op)
{
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)op->chain_seq},
        {.key = "content", .kind = EVENT_STR, .s = slice_str(content)},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(text_of(endpoint))},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(op->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(sign_kind_names[op->kind])},
        {.key = "request", .kind = EVENT_STR, .s = slice_str(text_of(request_id))},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(op->tbs_hash)},
        {0},
    };
    struct slice body;
    const char *about = arena_printf(a, "authority/%s", x->name);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    return register_event_effect(ret, a, tenant, "message.signed", about, body, clock_now_ms());
}

static tm_err record(struct house *h, struct arena *a, const struct message *m, const struct sign_op *op,
                     struct diag *diag)
{
    struct effect effect;
    tm_err e = message_record(&effect, a, m->tenant, m->authority, m->endpoint, m->request_id,
                              oid_name(m->content_type), op);
    if (e == TM_OK)
        e = house_commit(h, &effect, 1, diag);
    if (e == TM_OK)
        chain_recorded(h->chain, op->chain_seq);
    else
        orphan_record(h, op, tm_err_name(e));
    return e;
}

/* A message over `cms`'s content; its signature, digest and attributes are filled in already where it has a signer. */
static tm_err assemble(struct slice *ret, struct arena *a, struct signed_message *cms)
{
    struct buf der;
    size_t room = cms->content.n + 8192;
    for (size_t i = 0; i < cms->n_certs; i++)
        room += cms->certs[i].n;
    buf_init(&der, MESSAGE_DER_MAX);
    /* The content may be a private key: whole from the beginning, as growing leaves copies behind, and wiped at the end. */
    tm_err e = buf_extend(&der, room) ? TM_OK : TM_ETOOBIG;
    buf_reset(&der);
    if (e == TM_OK)
        e = signed_data_build(&der, cms);
    if (e == TM_OK)
        e = arena_copy(ret, a, buf_slice(&der));
    if (der.p)
        explicit_bzero(der.p, der.cap);
    buf_done(&der);
    return e;
}

static tm_err sign(struct signed_message *cms, struct arena *a, struct house *h, const struct message *m,
                   struct diag *diag)
{
    const struct authority *x = m->authority;
    uint8_t digest[CMS_DIGEST_MAX];
    size_t n;
    struct buf attrs;
    enum sig_alg alg = m->sig_alg == SIG_ALG_NONE ? x->ra_sig_alg : m->sig_alg;
    TM_TRY(cms_digest(&cms->digest_alg, digest, &n, alg, m->content));
    buf_init(&attrs, 8192);
    tm_err e =
        signed_attrs_build_with(&attrs, cms->content_type, slice_of(digest, n), clock_now(), m->attributes);
    if (e == TM_OK)
        e = arena_copy(&cms->attrs, a, buf_slice(&attrs));
    buf_done(&attrs);
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (e != TM_OK || !op)
        return e != TM_OK ? e : TM_ENOMEM;
    op->kind = SIGN_CMS;
    op->key_id = x->ra_key;
    op->alg = alg;
    op->tbs = cms->attrs;
    if (m->content_type == OID_SIGNED_DATA || m->content_type == OID_CT_PKI_RESPONSE)
        op->content = m->content; /* docs/adr/0008 */
    e = signer_sign(h->signer, op);
    if (e != TM_OK) {
        *diag = op->diag;
        return e;
    }
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    cms->issuer = x->ra_cert.issuer;
    cms->serial = x->ra_cert.serial;
    /* rsaEncryption with NULL */
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    bool by_key = m->rsa_encryption && alg >= SIG_RSA_SHA256 && alg <= SIG_RSA_SHA512;
    cms->sig_alg = by_key ? SLICE_ARR(rsa) : sig_alg_info(alg)->algid;
    cms->signature = slice_of(op->signature, op->signature_n);
    return record(h, a, m, op, diag);
}

tm_err message_sign(struct slice *ret, struct arena *a, struct house *h, const struct message *m,
                    struct diag *diag)
{
    if (!m->authority || !m->authority->ra_key[0])
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra", NULL,
                         "the authority has nobody who signs messages for it");
    if (m->n_certs > MESSAGE_CERTS_MAX)
        return TM_ETOOBIG;
    struct slice certs[MESSAGE_CERTS_MAX + 1];
    for (size_t i = 0; i < m->n_certs; i++)
        certs[i] = m->certs[i];
    certs[m->n_certs] = m->authority->ra_cert.der;
    struct signed_message cms = {.content_type = oid_contents(m->content_type),
                                 .content = m->content,
                                 .certs = certs,
                                 .n_certs = m->n_certs + 1,
                                 .bare = m->bare};
    TM_TRY(house_signing_begin(h, diag));
    tm_err e = sign(&cms, a, h, m, diag);
    house_signing_end(h);
    return e == TM_OK ? assemble(ret, a, &cms) : e;
}

tm_err message_unsigned(struct slice *ret, struct arena *a, const struct message *m)
{
    struct signed_message cms = {
        .content_type = oid_contents(m->content_type), .content = m->content, .bare = m->bare};
    return assemble(ret, a, &cms);
}

/* ---- what is encrypted to the RA ---- */

static tm_err record_decrypted(struct house *h, tenant_id tenant, const struct authority *x,
                               const struct sign_op *op, struct diag *diag)
{
    char about[128];
    snprintf(about, sizeof about, "authority/%s", x->name);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)op->chain_seq},
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)signer_decrypted(op)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(op->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("decrypt")},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(op->tbs_hash)},
        {0},
    };
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    tm_err e = house_event(h, tenant, "messages.decrypted", about, fields, diag);
    if (e == TM_OK)
        chain_recorded(h->chain, op->chain_seq);
    else
        orphan_record(h, op, tm_err_name(e));
    return e;
}

static tm_err open_key(uint8_t ret_key[MESSAGE_KEY_MAX], struct arena *a, struct house *h, tenant_id tenant,
                       const struct authority *x, size_t key_length, struct slice algid,
                       struct slice encrypted_key, struct diag *diag)
{
    const struct signer_key *k = x->ra_key[0] ? signer_key_find(h->signer, x->ra_key) : NULL;
    if (!k || !(k->env.allow & (1u << SIGN_DECRYPT)))
        return diag_fail(diag, TM_EUNAVAIL, "authority.ra-decrypt", NULL,
                         "the RA of \"%s\" has no RSA key; touchmark ca ra %s --key rsa-3072 makes one",
                         x->name, x->name);
    struct buf request;
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (!op)
        return TM_ENOMEM;
    buf_init(&request, TRANSPORT_REQUEST_MAX);
    tm_err e = key_transport_request(&request, key_length, algid, encrypted_key);
    op->kind = SIGN_DECRYPT;
    op->key_id = x->ra_key;
    op->tbs = buf_slice(&request);
    if (e == TM_OK)
        e = signer_sign(h->signer, op);
    buf_done(&request);
    if (e != TM_OK) {
        *diag = op->diag;
        return e;
    }
    if (op->chain_seq)
        e = record_decrypted(h, tenant, x, op, diag);
    if (e == TM_OK && (op->signature_n != key_length || key_length > MESSAGE_KEY_MAX))
        e = TM_EINTERNAL;
    if (e == TM_OK)
        memcpy(ret_key, op->signature, key_length);
    explicit_bzero(op->signature, sizeof op->signature);
    return e;
}

tm_err message_open_key(uint8_t ret_key[MESSAGE_KEY_MAX], struct arena *a, struct house *h, tenant_id tenant,
                        const struct authority *x, size_t key_length, struct slice algid,
                        struct slice encrypted_key, struct diag *diag)
{
    TM_TRY(house_signing_begin(h, diag));
    tm_err e = open_key(ret_key, a, h, tenant, x, key_length, algid, encrypted_key, diag);
    house_signing_end(h);
    return e;
}
