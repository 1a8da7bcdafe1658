#include "issue/message.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "issue/catalog.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "keys/cms.h"
#include "keys/signer.h"
#include "register/register.h"
#include "x509/cms/signed.h"
#include <stdio.h>
#include <string.h>

static const char *text_of(const char *s)
{
    return s ? s : "";
}

static tm_err record(struct house *h, const struct message *m, const struct sign_op *op, struct diag *diag)
{
    char about[128];
    snprintf(about, sizeof about, "authority/%s", m->authority->name);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(m->authority->name)},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)op->chain_seq},
        {.key = "content", .kind = EVENT_STR, .s = slice_str(oid_name(m->content_type))},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(text_of(m->endpoint))},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(op->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("cms")},
        {.key = "request", .kind = EVENT_STR, .s = slice_str(text_of(m->request_id))},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(op->tbs_hash)},
        {0},
    };
    TM_TRY(house_event(h, m->tenant, "message.signed", about, fields, diag));
    chain_recorded(h->chain, op->chain_seq);
    return TM_OK;
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
    TM_TRY(cms_digest(&cms->digest_alg, digest, &n, x->ra_sig_alg, m->content));
    buf_init(&attrs, 4096);
    tm_err e = signed_attrs_build(&attrs, cms->content_type, slice_of(digest, n), clock_now());
    if (e == TM_OK)
        e = arena_copy(&cms->attrs, a, buf_slice(&attrs));
    buf_done(&attrs);
    struct sign_op *op = arena_calloc(a, 1, sizeof *op);
    if (e != TM_OK || !op)
        return e != TM_OK ? e : TM_ENOMEM;
    op->kind = SIGN_CMS;
    op->key_id = x->ra_key;
    op->alg = x->ra_sig_alg;
    op->tbs = cms->attrs;
    e = signer_sign(h->signer, op);
    if (e != TM_OK) {
        *diag = op->diag;
        return e;
    }
    chain_signed(h->chain, op->chain_seq, op->chain_hash);
    cms->issuer = x->ra_cert.issuer;
    cms->serial = x->ra_cert.serial;
    cms->sig_alg = sig_alg_info(x->ra_sig_alg)->algid;
    cms->signature = slice_of(op->signature, op->signature_n);
    return record(h, m, op, diag);
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
