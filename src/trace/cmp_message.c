/* One PKIMessage in words: header, who protects it and whether that holds, and what its body says (RFC 9810 5). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "keys/cmp_mac.h"
#include "keys/pubkey.h"
#include "trace/cmp_seen.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/csr.h"
#include <inttypes.h>
#include <string.h>

enum { REQUESTS_MAX = 16, HEX_MAX = 40 };

static const char *text_of(struct trace_text *t, struct slice s)
{
    const char *copy = arena_strndup(t->arena, (const char *)s.p, s.n);
    return trace_clean(t, copy);
}

static const char *hex_of(struct trace_text *t, struct slice s)
{
    const char *hex = arena_hex(t->arena, s);
    if (!hex)
        return "?";
    return strlen(hex) <= HEX_MAX ? hex : trace_clean(t, arena_printf(t->arena, "%.*s…", HEX_MAX, hex));
}

static const char *oid_text(struct trace_text *t, struct slice oid)
{
    const char *s = oid_to_text(t->arena, oid);
    return s ? s : "?";
}

/* ---- header ---- */

static const char *sender_text(struct trace_text *t, const struct cmp_message *m)
{
    return m->sender_name.n ? trace_name(t, m->sender_name) : "a name that is no directoryName";
}

static void say_profiles(struct trace_text *t, const struct cmp_message *m)
{
    const struct cmp_info *i = cmp_info_find(m, OID_IT_CERT_PROFILE);
    struct slice v[CMP_PROFILES_MAX];
    size_t n = 0;
    if (!i || cmp_profiles_read(v, &n, i->value, NULL) != TM_OK)
        return;
    for (size_t k = 0; k < n; k++)
        trace_say(t, "", "asks for profile %s", text_of(t, v[k]));
}

static void say_header(struct trace_text *t, const struct cmp_message *m, const char *who)
{
    char when[21] = "at no time";
    if (m->time)
        clock_format_rfc3339(when, m->time);
    trace_say(t, who, "%s, version %" PRIu64 ", transaction %s, from %s, %s", cmp_body_name(m->body), m->pvno,
              m->transaction_id.n ? hex_of(t, m->transaction_id) : "(none)", sender_text(t, m), when);
    if (m->sender_nonce.n < 16)
        trace_say(t, "", "its senderNonce has %zu octets, and should have 16 (RFC 9483 3.1)",
                  m->sender_nonce.n);
    if (cmp_info_find(m, OID_IT_IMPLICIT_CONFIRM))
        trace_say(t, "", "need not be confirmed (implicitConfirm)");
    say_profiles(t, m);
}

/* ---- protection ---- */

static void say_mac(struct trace_text *t, const struct cmp_message *m)
{
    struct cmp_mac mac;
    struct diag diag = {0};
    if (cmp_mac_parse(&mac, &m->protection_alg, &diag) != TM_OK) {
        trace_say(t, "protected", "by a MAC with parameters that are not taken: %s",
                  trace_clean(t, diag.message));
        return;
    }
    trace_say(t, "protected",
              "by a MAC (%s, %s, %" PRIu64
              " iterations), reference %s; whether it is right only its secret can tell",
              mac.pbmac1 ? "PBMAC1" : "PBM", oid_name(mac.mac), mac.iterations,
              utf8_valid(m->sender_kid) && m->sender_kid.n ? text_of(t, m->sender_kid) : "(none)");
}

static void say_signature(struct trace_text *t, const struct cmp_message *m)
{
    struct cert by;
    struct slice part;
    struct diag diag = {0};
    if (m->n_extra == 0 || cert_parse(&by, m->extra[0], &diag) != TM_OK) {
        trace_say(t, "protected", "by a signature (%s); its certificate is not the first of extraCerts",
                  oid_text(t, m->protection_alg.oid));
        return;
    }
    bool good = cmp_protected_part(&part, t->arena, m->header, m->body_tlv) == TM_OK &&
                pubkey_verify(&by.spki, &m->protection_alg, part, m->protection, &diag) == TM_OK;
    trace_say(t, "protected", "by the key of %s (%s), issued by %s; the signature %s",
              trace_name(t, by.subject), oid_text(t, m->protection_alg.oid), trace_name(t, by.issuer),
              good ? "verifies" : "does NOT verify");
    struct slice ski = cert_ski(&by);
    if (ski.n && !slice_eq(ski, m->sender_kid))
        trace_say(t, "", "senderKID is NOT that certificate's key identifier (RFC 9483 3.1)");
}

static void say_protection(struct trace_text *t, const struct cmp_message *m)
{
    if (!m->is_protected || !m->has_protection_alg)
        trace_say(t, "protected",
                  m->is_protected == m->has_protection_alg
                      ? "not at all"
                      : "by halves: protection and protectionAlg belong together");
    else if (cmp_mac_is(&m->protection_alg))
        say_mac(t, m);
    else
        say_signature(t, m);
}

/* ---- bodies of requests ---- */

static const char *const pops[] = {
    [CSR_POP_SIGNATURE] = NULL,
    [CSR_POP_NONE] = "possession of the key is not proven",
    [CSR_POP_RA_VERIFIED] = "a registration authority says that it has seen the proof (raVerified)",
    [CSR_POP_KEY_ENCIPHERMENT] = "possession is to be proven by decrypting"};

static void say_request(struct trace_text *t, struct slice der)
{
    struct csr c;
    const struct csr_attr *old;
    trace_say_csr(t, der, NULL);
    if (csr_parse_crmf(&c, t->arena, der, NULL) != TM_OK)
        return;
    if (c.spki.der.n == 0)
        trace_say(t, "", "without a key: it is to be made by who answers");
    else if (pops[c.pop])
        trace_say(t, "", "%s", pops[c.pop]);
    struct slice issuer, serial;
    old = csr_attr_find(&c, OID_REG_CTRL_OLD_CERT_ID);
    if (old && cmp_cert_id_read(&issuer, &serial, old->values, NULL) == TM_OK)
        trace_say(t, "", "in the place of certificate %s", hex_of(t, serial));
}

static void say_requests(struct trace_text *t, struct slice content)
{
    struct slice v[REQUESTS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (crmf_messages_read(v, REQUESTS_MAX, &n, content, &diag) != TM_OK)
        trace_say(t, "request", "can't be read: %s", trace_clean(t, diag.message));
    if (n > 1)
        trace_say(t, "request", "%zu of them in one message, where RFC 9483 4.1.1 has one", n);
    for (size_t i = 0; i < n; i++)
        say_request(t, v[i]);
}

static void say_confirms(struct trace_text *t, struct slice content)
{
    struct cmp_confirm v[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (cmp_confirms_read(v, CMP_ITEMS_MAX, &n, content, &diag) != TM_OK)
        trace_say(t, "confirms", "what can't be read: %s", trace_clean(t, diag.message));
    else if (n == 0)
        trace_say(t, "declines", "whatever it was given");
    for (size_t i = 0; i < n; i++)
        trace_say(t, v[i].status == CMP_REJECTION ? "declines" : "confirms",
                  "the certificate of request %" PRId64 ", hash %s", v[i].request_id, hex_of(t, v[i].hash));
}

static void say_revocations(struct trace_text *t, struct slice content)
{
    struct cmp_revocation v[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (cmp_revocations_read(v, CMP_ITEMS_MAX, &n, content, &diag) != TM_OK)
        trace_say(t, "revokes", "what can't be read: %s", trace_clean(t, diag.message));
    for (size_t i = 0; i < n; i++)
        trace_say(t, "revokes", "certificate %s of %s: %s",
                  v[i].serial.n ? hex_of(t, v[i].serial) : "(which is not said)",
                  v[i].issuer.n ? trace_name(t, v[i].issuer) : "an issuer that is not said",
                  v[i].reason >= 0 ? crl_reason_names[v[i].reason] : "no reason is given");
}

static void say_polls(struct trace_text *t, struct slice content)
{
    int64_t v[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (cmp_polls_read(v, CMP_ITEMS_MAX, &n, content, &diag) != TM_OK)
        trace_say(t, "asks", "about what can't be read: %s", trace_clean(t, diag.message));
    for (size_t i = 0; i < n; i++)
        trace_say(t, "asks", "again about request %" PRId64, v[i]);
}

static void say_infos(struct trace_text *t, const struct cmp_message *m, bool answer)
{
    struct cmp_info v[CMP_INFO_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (cmp_infos_read(v, CMP_INFO_MAX, &n, m->content, &diag) != TM_OK)
        trace_say(t, answer ? "answers" : "asks", "what can't be read: %s", trace_clean(t, diag.message));
    for (size_t i = 0; i < n; i++) {
        const char *what = oid_text(t, v[i].oid);
        if (answer)
            trace_say(t, "answers", "%s: %zu octets%s", what, v[i].value.n,
                      v[i].value.n ? "" : ", there is none");
        else
            trace_say(t, "asks", "for %s", what);
    }
}

static void say_inner(struct trace_text *t, struct slice content, bool answer)
{
    struct slice v[CMP_NESTED_MAX];
    struct cmp_message *m = arena_alloc(t->arena, sizeof *m);
    struct diag diag = {0};
    size_t n = 0;
    if (cmp_nested_read(v, CMP_NESTED_MAX, &n, content, &diag) != TM_OK)
        trace_say(t, "holds", "what can't be read: %s", trace_clean(t, diag.message));
    else
        trace_say(t, "holds", "%zu message(s)", n);
    for (size_t i = 0; i < n && m; i++) {
        if (cmp_message_parse(m, v[i], &diag) != TM_OK) {
            trace_say(t, "", "%zu: no message: %s", i + 1, trace_clean(t, diag.message));
            continue;
        }
        say_header(t, m, "inside");
        say_protection(t, m);
        if (!answer && (m->body == CMP_IR || m->body == CMP_CR || m->body == CMP_KUR))
            say_requests(t, m->content);
    }
}

static void say_body(struct trace_text *t, const struct cmp_message *m, bool answer)
{
    switch (m->body) {
    case CMP_IR:
    case CMP_CR:
    case CMP_KUR:
        say_requests(t, m->content);
        break;
    case CMP_P10CR:
        trace_say_csr(t, m->content, NULL);
        break;
    case CMP_CERTCONF:
        say_confirms(t, m->content);
        break;
    case CMP_RR:
        say_revocations(t, m->content);
        break;
    case CMP_POLLREQ:
        say_polls(t, m->content);
        break;
    case CMP_POPDECR:
        trace_say(t, "proves", "possession of the key by the number that it has decrypted");
        break;
    case CMP_GENM:
    case CMP_GENP:
        say_infos(t, m, answer);
        break;
    case CMP_NESTED:
        say_inner(t, m->content, answer);
        break;
    default:
        break; /* of answers the outcome is told */
    }
}

bool cmp_tell(struct cmp_message *ret, struct trace_text *t, struct slice der, bool answer)
{
    struct diag diag = {0};
    if (cmp_message_parse(ret, der, &diag) != TM_OK) {
        trace_say(t, answer ? "answers" : "sends", "what is no message of CMP: %s",
                  trace_clean(t, diag.message));
        return false;
    }
    say_header(t, ret, answer ? "answers" : "sends");
    say_protection(t, ret);
    say_body(t, ret, answer);
    return true;
}

/* ---- outcomes ---- */

static const struct {
    enum cmp_fail fail;
    const char *what;
} advices[] = {
    {CMP_BAD_MESSAGE_CHECK,
     "the secret, its reference or the signing key is not the right one, or the secret is over or of another endpoint; the register has which"},
    {CMP_SIGNER_NOT_TRUSTED,
     "no trust set of the endpoint vouches for the certificate in extraCerts, nor was it issued here"},
    {CMP_CERT_REVOKED, "the certificate is revoked: enroll anew"},
    {CMP_WRONG_INTEGRITY,
     "another kind of protection is wanted: see what the endpoint's authentication takes"},
    {CMP_BAD_POP,
     "the request has to be signed by the key that is to be certified or, for a key for encryption, the key has to decrypt what it is sent"},
    {CMP_BAD_TIME, "set the client's clock, or widen the endpoint's clock-skew"},
    {CMP_BAD_CERT_TEMPLATE, "compare the request's names and key with the profile"},
    {CMP_BAD_ALG, "take another algorithm, or other parameters"},
    {CMP_NOT_AUTHORIZED, "who asks may not have this: see the rule, and touchmark profile test"},
    {CMP_TRANSACTION_ID_IN_USE, "begin with a transactionID that is new"},
    {CMP_BAD_RECIPIENT_NONCE, "recipNonce has to be the senderNonce of the latest answer"},
    {CMP_BAD_SENDER_NONCE, "senderNonce has to have 16 random octets"},
    {CMP_UNSUPPORTED_VERSION, "speak version 2 or 3"},
    {CMP_BAD_CERT_ID, "name a certificate that was issued here, or hash the one that came"},
    {CMP_CERT_CONFIRMED, "leave certConf out where implicitConfirm was granted"},
    {CMP_SYSTEM_UNAVAIL, "come again later; the log of the house says what is not there"},
    {CMP_SYSTEM_FAILURE, "the log of the house says what went wrong"},
};

static const char *fail_text(struct trace_text *t, uint32_t fail)
{
    struct buf b;
    buf_init(&b, 1024);
    for (int i = 0; i < 32; i++)
        if (fail & (1u << i))
            buf_printf(&b, "%s%s", b.n ? ", " : "", cmp_fail_name(i)[0] ? cmp_fail_name(i) : "of no name");
    const char *s = arena_strdup(t->arena, buf_str(&b));
    buf_done(&b);
    return s ? s : "";
}

static void refused(struct cmp_seen *s, struct trace_text *t, const struct cmp_outcome *o)
{
    s->state = CMP_SEEN_REFUSED;
    s->fail = fail_text(t, o->status.fail);
    s->reason = o->status.text.n ? text_of(t, o->status.text) : "no reason is given";
    s->advice = NULL;
    for (size_t i = 0; i < sizeof advices / sizeof *advices && !s->advice; i++)
        if (o->status.fail & (1u << advices[i].fail))
            s->advice = advices[i].what;
    trace_say(t, "refused", "%s: %s", s->fail[0] ? s->fail : "without failInfo", s->reason);
}

static void say_certificate(struct cmp_seen *s, struct trace_text *t, const struct cmp_message *m,
                            const struct cmp_outcome *o)
{
    s->state = cmp_info_find(m, OID_IT_IMPLICIT_CONFIRM) ? CMP_SEEN_GIVEN : CMP_SEEN_UNCONFIRMED;
    if (o->cert.n)
        trace_say_certificate(t, o->cert, &s->serial);
    else
        trace_say(t, "answers",
                  o->encrypted_cert ? "an encrypted certificate: who can read it has the key"
                                    : "that it is granted, without a certificate");
    if (o->status.status == CMP_GRANTED_WITH_MODS)
        trace_say(t, "", "it is not quite what was asked for (grantedWithMods)");
    if (o->private_key)
        trace_say(t, "", "its key comes along, encrypted");
}

void cmp_tell_outcome(struct cmp_seen *s, struct trace_text *t, const struct cmp_message *m)
{
    struct cmp_outcome v[CMP_ITEMS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    tm_err e = cmp_outcomes_read(v, CMP_ITEMS_MAX, &n, m->body, m->content, &diag);
    if (m->body == CMP_POPDECC) {
        trace_say(t, "answers",
                  "a number encrypted to the key: who can decrypt it has the key (RFC 9810 5.2.8.3.3)");
        s->state = CMP_SEEN_CHALLENGED;
        return;
    }
    if (m->body == CMP_PKICONF || m->body == CMP_GENP || m->body == CMP_NESTED) {
        if (m->body == CMP_PKICONF)
            trace_say(t, "answers", "that this is understood");
        if (m->body == CMP_PKICONF && s->state == CMP_SEEN_UNCONFIRMED)
            s->state = CMP_SEEN_GIVEN;
        else if (s->state == CMP_SEEN_ASKED)
            s->state = CMP_SEEN_ANSWERED;
        return;
    }
    if (e != TM_OK)
        trace_say(t, "answers", "what can't be read: %s", trace_clean(t, diag.message));
    for (size_t i = 0; i < n; i++) {
        const struct cmp_outcome *o = &v[i];
        if (m->body == CMP_ERROR || o->status.status == CMP_REJECTION) {
            refused(s, t, o);
        } else if (o->status.status == CMP_WAITING) {
            s->state = CMP_SEEN_WAITING;
            trace_say(t, "answers", "not yet: %s%s",
                      o->status.text.n ? text_of(t, o->status.text) : "it waits",
                      m->body == CMP_POLLREP
                          ? trace_clean(t, arena_printf(t->arena, "; to be asked again after %" PRIu64 " s",
                                                        o->check_after))
                          : "");
        } else if (m->body == CMP_RP) {
            s->state = CMP_SEEN_REVOKED;
            trace_say(t, "answers", "that it is done");
        } else {
            say_certificate(s, t, m, o);
        }
    }
}
