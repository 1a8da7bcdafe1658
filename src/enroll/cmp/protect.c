/* Who protected a message (RFC 9810 5.1.3, RFC 9483 3.2): whoever has the secret behind a reference, or the key of a certificate; and the
 * protection of the answer. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include "issue/trust.h"
#include "keys/pubkey.h"
#include <stdatomic.h>
#include <string.h>

enum { DEAR_WORK = 20000, DEAR_AT_ONCE = 2 };

/* ---- by a shared secret ---- */

/* References that are unknown, expired or for another endpoint and wrong MACs look the same from outside. */
static tm_err mac_refuse(struct cmp_exchange *x, const char *rule, const char *why)
{
    x->stranger = true;
    return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, rule, "%s", why);
}

static tm_err mac_verify(struct cmp_exchange *x, struct slice part, bool *ret_good)
{
    static atomic_int dear;
    uint8_t mac[CMP_MAC_MAX];
    size_t n;
    /* Who sends it is not known yet, and says himself how much work it is: that must not take all threads of the house. */
    bool is_dear = cmp_mac_work(&x->mac) > DEAR_WORK;
    if (is_dear && atomic_fetch_add(&dear, 1) >= DEAR_AT_ONCE) {
        atomic_fetch_sub(&dear, 1);
        return cmp_refuse(x, CMP_SYSTEM_UNAVAIL, TM_EQUOTA, "cmp.iterations",
                          "too many messages with so many iterations at once; ask again, or take fewer");
    }
    tm_err e = cmp_mac_compute(mac, &n, &x->mac, slice_str(x->secret), part);
    if (is_dear)
        atomic_fetch_sub(&dear, 1);
    TM_TRY(e);
    *ret_good = slice_ct_eq(slice_of(mac, n), x->m.protection);
    return TM_OK;
}

/* The secret behind the reference. Where there is none the same work is done with another one, so that no clock tells the difference. */
static tm_err by_reference(struct cmp_exchange *x, const char *id, struct slice part, struct caller *c,
                           char **ret_profile)
{
    static const char decoy[] = "Q7d0m2vJ9wXk1uYtR4sPq8nZ3bLc6hFe5gAiKoVxTyM";
    struct diag why = {0};
    bool good = false;
    tm_err e = token_mac(c, ret_profile, &x->secret, x->a, x->house, x->endpoint->tenant, x->endpoint->name,
                         id, &why);
    bool found = e == TM_OK;
    if (!found && tm_err_class(e) != TM_CLASS_DENIED) {
        x->diag = why;
        return e;
    }
    if (!found && !(x->secret = arena_strdup(x->a, decoy)))
        return TM_ENOMEM;
    TM_TRY(mac_verify(x, part, &good));
    if (!found)
        return mac_refuse(x, why.rule, why.message);
    return good ? TM_OK : mac_refuse(x, "cmp.mac", "the MAC does not verify under the reference's secret");
}

static tm_err by_mac(struct cmp_exchange *x, struct slice part)
{
    struct caller c = {0};
    char *profile = NULL;
    if (!x->endpoint->allow_token)
        return cmp_refuse(x, CMP_WRONG_INTEGRITY, TM_EAUTH, "endpoint.token",
                          "this endpoint takes no shared secrets; sign the message");
    tm_err e = cmp_mac_parse(&x->mac, &x->m.protection_alg, &x->diag);
    if (e != TM_OK) {
        x->fail = e == TM_EMALFORMED ? CMP_BAD_DATA_FORMAT : CMP_BAD_ALG;
        return e;
    }
    if (x->m.sender_kid.n == 0 || !utf8_valid(x->m.sender_kid))
        return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, "RFC 9483 3.1",
                          "senderKID has to name the reference of the shared secret");
    const char *id = arena_strndup(x->a, (const char *)x->m.sender_kid.p, x->m.sender_kid.n);
    if (!id)
        return TM_ENOMEM;
    TM_TRY(by_reference(x, id, part, &c, &profile));
    c.peer = x->http->peer;
    x->who.caller = c;
    x->token_profile = profile;
    x->credential = arena_printf(x->a, "token:%s", id);
    x->by = CMP_BY_MAC;
    x->known = true;
    return x->credential ? TM_OK : TM_ENOMEM;
}

/* ---- by a certificate ---- */

/* RFC 9483 3.3: the first of extraCerts is the one that protects. */
static tm_err signer_certificate(struct cmp_exchange *x, struct cert *by)
{
    const struct cmp_message *m = &x->m;
    if (m->n_extra == 0)
        return cmp_refuse(x, CMP_SIGNER_NOT_TRUSTED, TM_EAUTH, "RFC 9483 3.3",
                          "extraCerts lacks the certificate of the key that signed the message");
    if (cert_parse(by, m->extra[0], &x->diag) != TM_OK)
        return cmp_refuse(x, CMP_BAD_DATA_FORMAT, TM_EMALFORMED, "certificate.form",
                          "the first of extraCerts could not be read");
    struct slice ski = cert_ski(by);
    if (ski.n && !slice_eq(ski, m->sender_kid)) /* RFC 9483 3.1 */
        return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, "RFC 9483 3.1",
                          "senderKID is not the key identifier of the first of extraCerts");
    if (!slice_eq(m->sender_name, by->subject)) {
        struct name a, b;
        if (name_parse(&a, m->sender_name, NULL) != TM_OK || name_parse(&b, by->subject, NULL) != TM_OK ||
            !name_matches(&a, &b))
            return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, "RFC 9483 3.1",
                              "sender is not the subject of the first of extraCerts");
    }
    const struct ext *ku = exts_find(&by->exts, OID_EXT_KEY_USAGE);
    uint32_t bits = KU_DIGITAL_SIGNATURE;
    if (ku && (ext_decode_key_usage(&bits, ku->value, NULL) != TM_OK || !(bits & KU_DIGITAL_SIGNATURE)))
        return cmp_refuse(x, CMP_SIGNER_NOT_TRUSTED, TM_EAUTH, "RFC 9483 1.5",
                          "the key of this certificate is not for digital signatures");
    return TM_OK;
}

static bool is_ra_certificate(const struct cert *c)
{
    struct eku eku = {0};
    const struct ext *e = exts_find(&c->exts, OID_EXT_EKU);
    if (!e || ext_decode_eku(&eku, e->value, NULL) != TM_OK)
        return false;
    for (size_t i = 0; i < eku.n; i++)
        if (oid_find(eku.oid[i]) == OID_EKU_CMC_RA)
            return true;
    return false;
}

/* A registration authority that the endpoint lists (RFC 9810 4.1, RFC 6402 2.10). */
static bool by_ra(struct cmp_exchange *x, const struct cert *by)
{
    const struct cmp_settings *s = x->endpoint->cmp;
    struct diag ignored = {0};
    if (!is_ra_certificate(by))
        return false;
    for (size_t i = 0; i < s->ra_trust_sets.n; i++) {
        const struct trust_set *t = catalog_trust_set(x->catalog, x->endpoint->tenant, s->ra_trust_sets.v[i]);
        if (!t || trust_set_verify(t, by, x->m.extra, x->m.n_extra, clock_now(), &ignored) != TM_OK)
            continue;
        x->ra = true;
        /* It answers for the names of others: its own certificate binds none of them. */
        x->who.caller.kind = CALLER_DEVICE;
        x->who.caller.trust_set = t->name;
        return true;
    }
    return false;
}

static tm_err by_signature(struct cmp_exchange *x, struct slice part)
{
    struct cert by = {0};
    uint8_t fp[SHA256_LEN] = {0};
    TM_TRY(signer_certificate(x, &by));
    tm_err e = pubkey_verify(&by.spki, &x->m.protection_alg, part, x->m.protection, &x->diag);
    if (e == TM_EUNSUPPORTED)
        return cmp_refuse(x, CMP_BAD_ALG, e, "RFC 9481 3",
                          "the message is signed by an algorithm that is not done here");
    if (e == TM_EBADSIG || tm_err_class(e) == TM_CLASS_CALLER)
        return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, "cmp.signature",
                          "the message's signature does not verify");
    TM_TRY(e);
    x->who.caller.peer = x->http->peer;
    x->by = CMP_BY_SIGNATURE;
    if (by_ra(x, &by)) {
        e = identity_not_revoked(x->house, x->a, x->endpoint->tenant, &by, &x->diag);
        if (e == TM_EAUTH)
            x->fail = CMP_CERT_REVOKED;
        TM_TRY(e);
        TM_TRY(identity_subject(&x->who.caller.id, x->a, &by));
    } else {
        x->who.shown = x->m.extra[0];
        x->who.chain = x->m.extra + 1;
        x->who.n_chain = x->m.n_extra - 1;
        e = identity_certificate(&x->who, &x->diag);
        if (tm_err_class(e) == TM_CLASS_DENIED)
            x->fail =
                strcmp(x->diag.rule, "certificate.revoked") == 0 ? CMP_CERT_REVOKED : CMP_SIGNER_NOT_TRUSTED;
        TM_TRY(e);
    }
    TM_TRY(sha256(fp, by.der));
    const char *hex = arena_hex(x->a, SLICE_ARR(fp));
    x->credential = hex ? arena_printf(x->a, "cert:%s", hex) : NULL;
    x->known = true;
    return x->credential ? TM_OK : TM_ENOMEM;
}

/* ---- both ---- */

tm_err cmp_authenticate(struct cmp_exchange *x)
{
    const struct cmp_message *m = &x->m;
    struct slice part;
    x->who =
        (struct identity){.house = x->house, .catalog = x->catalog, .endpoint = x->endpoint, .arena = x->a};
    if (m->is_protected != m->has_protection_alg)
        return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EMALFORMED, "RFC 9810 5.1.1",
                          "protection and protectionAlg are there together or not at all");
    if (!m->is_protected) {
        /* RFC 9483 4.3: what anybody may know anybody may ask. */
        if (m->body == CMP_GENM)
            return TM_OK;
        return cmp_refuse(x, CMP_BAD_MESSAGE_CHECK, TM_EAUTH, "cmp.protection",
                          "the message is not protected");
    }
    TM_TRY(cmp_protected_part(&part, x->a, m->header, m->body_tlv));
    if (m->protection_alg.id == OID_DH_BASED_MAC || m->protection_alg.id == OID_KEM_BASED_MAC)
        return cmp_refuse(x, CMP_BAD_ALG, TM_EUNSUPPORTED, "RFC 9481 6",
                          "protection by key agreement or KEM is not done here");
    return cmp_mac_is(&m->protection_alg) ? by_mac(x, part) : by_signature(x, part);
}

tm_err cmp_protection_alg(struct slice *ret, struct cmp_exchange *x)
{
    *ret = (struct slice){0};
    if (!x->known)
        return TM_OK;
    if (x->by == CMP_BY_MAC)
        return cmp_mac_renew(ret, x->a, &x->mac);
    *ret = sig_alg_info(x->authority->ra_sig_alg)->algid;
    return TM_OK;
}

tm_err cmp_protect_mac(struct cmp_exchange *x)
{
    uint8_t mac[CMP_MAC_MAX];
    size_t n;
    TM_TRY(cmp_mac_compute(mac, &n, &x->mac, slice_str(x->secret), x->part));
    return arena_copy(&x->protection, x->a, slice_of(mac, n));
}
