/* SCEP (RFC 8894) told step by step: what kind of message, who signed it, to whom it is encrypted, and what the CertRep says.
 *
 * What is inside an envelope is told where the server has recorded it (http/server.h, `opened` and `sealed`), and never a challenge. */
#include "base/arena.h"
#include "base/text.h"
#include "der/ber.h"
#include "enroll/scep/message.h"
#include "http/server.h"
#include "http/target.h"
#include "keys/cms.h"
#include "trace/scep_seen.h"
#include "trace/tellers.h"
#include "x509/cms/certs_only.h"
#include "x509/csr.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { CERTS_MAX = 32, REASON_MAX = 300, NONCE_SHOWN = 8 };

/* ---- which exchange it is ---- */

static const char *const bare_paths[] = {"/certsrv/mscep/mscep.dll", "/certsrv/mscep/mscep.dll/pkiclient.exe",
                                         "/cgi-bin/pkiclient.exe"};

/* /scep/<endpoint>[/pkiclient.exe], and for the endpoint "scep" the paths of NDES and of old gear. */
static bool ours(const char *path, const char *label)
{
    for (size_t i = 0; i < sizeof bare_paths / sizeof *bare_paths; i++)
        if (strcmp(path, bare_paths[i]) == 0)
            return !label || strcmp(label, "scep") == 0;
    if (strncmp(path, "/scep/", 6) != 0)
        return false;
    size_t n = strcspn(path + 6, "/");
    const char *rest = path + 6 + n;
    return n > 0 && (rest[0] == '\0' || strcmp(rest, "/pkiclient.exe") == 0) &&
           (!label || (strlen(label) == n && strncmp(path + 6, label, n) == 0));
}

static const char *query(const struct target *target, const char *name)
{
    for (const struct http_param *p = target->query; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

static const char *type_text(unsigned type)
{
    switch (type) {
    case SCEP_CERT_REP:
        return "CertRep";
    case SCEP_RENEWAL_REQ:
        return "RenewalReq, the next certificate";
    case SCEP_PKCS_REQ:
        return "PKCSReq, a certificate";
    case SCEP_CERT_POLL:
        return "CertPoll, what has become of a request";
    case SCEP_GET_CERT:
        return "GetCert, a certificate that was issued";
    case SCEP_GET_CRL:
        return "GetCRL, the revocation list";
    default:
        return "a type that SCEP does not have";
    }
}

/* ---- memory ---- */

static tm_err open_state(void **ret, struct trace_text *t)
{
    struct scep_seen *s = arena_calloc(t->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    s->transactions = arena_calloc(t->arena, SEEN_TRANSACTIONS, sizeof *s->transactions);
    s->messages = arena_calloc(t->arena, TRACE_EXCHANGES_MAX, sizeof *s->messages);
    if (!s->transactions || !s->messages)
        return TM_ENOMEM;
    *ret = s;
    return TM_OK;
}

static const char *text_of(struct trace_text *t, struct slice s)
{
    const char *copy = arena_strndup(t->arena, (const char *)s.p, s.n);
    return trace_clean(t, copy ? copy : "");
}

/* NULL: there are too many to remember. */
static struct seen_transaction *transaction_of(struct scep_seen *s, struct trace_text *t, struct slice id,
                                               unsigned number)
{
    for (size_t i = 0; i < s->n_transactions; i++)
        if (slice_eq(s->transactions[i].raw, id))
            return &s->transactions[i];
    if (s->n_transactions == SEEN_TRANSACTIONS)
        return NULL;
    s->transactions[s->n_transactions] =
        (struct seen_transaction){.raw = id, .id = text_of(t, id), .first = number, .fail = -1};
    return &s->transactions[s->n_transactions++];
}

/* ---- what both directions have ---- */

static const char *hex_text(struct trace_text *t, struct slice s)
{
    const char *hex = arena_hex(t->arena, s);
    return hex ? hex : "?";
}

static const char *nonce_text(struct trace_text *t, struct slice nonce)
{
    const char *hex = arena_hex(t->arena, slice_sub(nonce, 0, NONCE_SHOWN));
    const char *s = hex ? arena_printf(t->arena, "%s%s", hex, nonce.n > NONCE_SHOWN ? "…" : "") : NULL;
    return s ? s : "";
}

static void say_signature(struct scep_seen *s, struct trace_text *t, const struct scep_message *m)
{
    struct diag diag = {0};
    const struct cert *by = &m->by;
    bool self = slice_eq(by->issuer, by->subject);
    tm_err e = cms_signer_verify_legacy(&m->cms, m->signer, &by->spki, true, &diag);
    s->unverified += e != TM_OK;
    trace_say(t, "signed", "%s, by %s%s of %s, key %s; the signature %s%s",
              oid_name(m->signer->digest_alg.id), self ? "a self-signed certificate" : "certificate ",
              self ? "" : hex_text(t, by->serial), trace_name(t, by->subject), trace_key(&by->spki),
              e == TM_OK ? "verifies" : "does NOT verify: ", e == TM_OK ? "" : trace_clean(t, diag.message));
    if (!self)
        trace_say(t, "", "which %s has issued", trace_name(t, by->issuer));
}

/* ---- envelopes ---- */

static const char *transport_text(const struct algid *a)
{
    return a->id == OID_RSA_OAEP ? "RSA-OAEP" : a->id == OID_RSA ? "RSA with PKCS #1 v1.5" : oid_name(a->id);
}

static const struct seen_ra *ra_of(const struct scep_seen *s, const struct enveloped_recipient *r)
{
    for (size_t i = 0; i < s->n_ras; i++)
        if (enveloped_recipient_is(r, &s->ras[i].cert))
            return &s->ras[i];
    return NULL;
}

static void say_recipient(const struct scep_seen *s, struct trace_text *t,
                          const struct enveloped_recipient *r, const struct cert *asker)
{
    const struct seen_ra *ra = ra_of(s, r);
    const char *whom;
    if (asker && enveloped_recipient_is(r, asker))
        whom = "whose certificate signed the request";
    else if (ra)
        whom = arena_printf(t->arena, "%s, as GetCACert showed in #%u", trace_name(t, ra->cert.subject),
                            ra->number);
    else if (r->key_id.n)
        whom = arena_printf(t->arena, "the key with the id %s", hex_text(t, r->key_id));
    else
        whom = arena_printf(t->arena, "serial %s of %s%s", hex_text(t, r->serial), trace_name(t, r->issuer),
                            s->n_ras && !asker ? ", which is NOT what GetCACert showed" : "");
    trace_say(t, "", "key by %s, for %s", transport_text(&r->key_alg), whom ? whom : "?");
}

/* `asker`: of an answer, who asked. */
static void say_envelope(const struct scep_seen *s, struct trace_text *t, struct slice content,
                         const struct cert *asker)
{
    struct diag diag = {0};
    struct enveloped_data *d = arena_calloc(t->arena, 1, sizeof *d);
    if (!d)
        return;
    if (content.n == 0) {
        trace_say(t, "encrypted", "nothing: there is no envelope");
    } else if (enveloped_data_parse(d, t->arena, content, &diag) != TM_OK) {
        trace_say(t, "encrypted", "NOT as SCEP wants it: %s", trace_clean(t, diag.message));
    } else {
        trace_say(t, "encrypted", "%s, %zu octets", oid_name(d->cipher.id), d->encrypted.n);
        for (size_t i = 0; i < d->n_recipients; i++)
            say_recipient(s, t, &d->recipients[i], asker);
        if (d->n_recipients == 0)
            trace_say(t, "", "key under the challenge password, or by key agreement");
    }
}

/* ---- requests ---- */

static void say_nonce(struct scep_seen *s, struct trace_text *t, const struct trace_exchange *x,
                      const struct scep_message *m, struct slice body)
{
    const char *text = nonce_text(t, m->sender_nonce);
    for (size_t i = 0; i < s->n_messages; i++)
        if (slice_eq(s->messages[i].nonce, m->sender_nonce)) {
            bool same = slice_eq(s->messages[i].body, body);
            trace_say(t, "nonce", "%s, as in #%u: %s", text, s->messages[i].number,
                      same ? "the same message again" : "used for ANOTHER message, which is refused");
            return;
        }
    trace_say(t, "nonce", "%s, first use in this recording", text);
    if (s->n_messages < TRACE_EXCHANGES_MAX)
        s->messages[s->n_messages++] =
            (struct seen_message){.nonce = m->sender_nonce, .body = body, .number = x->number};
}

static void say_csr(struct trace_text *t, struct slice inside, struct seen_transaction *of)
{
    struct csr csr;
    struct slice blank;
    if (csr_parse_pkcs10(&csr, inside, NULL) != TM_OK ||
        scep_request_blank(&blank, t->arena, &csr, inside) != TM_OK) {
        trace_say(t, "inside", "what is recorded of it can't be read");
        return;
    }
    trace_say_csr_blanked(t, blank);
    if (csr.challenge_password.n)
        trace_say(t, "challenge", "a password of %zu characters (not shown)", csr.challenge_password.n);
    else
        trace_say(t, "challenge", "none");
    if (of)
        of->subject = trace_name(t, csr.subject);
}

static void say_inside(struct trace_text *t, const struct trace_exchange *x, const struct scep_message *m,
                       struct seen_transaction *of)
{
    struct slice inside = x->request.inside, issuer, serial;
    if (inside.n == 0)
        trace_say(t, "inside", "not known: only the server can open it%s",
                  m->type == SCEP_CERT_POLL ? ", and has no need to" : "");
    else if (m->type == SCEP_PKCS_REQ || m->type == SCEP_RENEWAL_REQ)
        say_csr(t, inside, of);
    else if (scep_issuer_serial_parse(&issuer, &serial, inside, NULL) == TM_OK)
        trace_say(t, "inside", "serial %s of %s", hex_text(t, serial), trace_name(t, issuer));
    else
        trace_say(t, "inside", "what is recorded of it can't be read");
}

/* The octets of a message: the body of a POST, or a parameter of a GET. */
static bool request_octets(struct slice *ret, struct trace_text *t, const struct trace_exchange *x,
                           const struct target *target)
{
    const char *message = query(target, "message");
    *ret = x->request.body;
    if (strcmp(x->method, "GET") != 0)
        return ret->n > 0;
    return message && scep_get_decode(ret, t->arena, message, NULL) == TM_OK;
}

static struct scep_message *say_request(struct scep_seen *s, struct trace_text *t,
                                        const struct trace_exchange *x, const struct target *target,
                                        struct seen_transaction **ret_of)
{
    struct diag diag = {0};
    struct slice body = {0};
    struct scep_message *m = arena_calloc(t->arena, 1, sizeof *m);
    if (x->request.omitted) {
        trace_say(t, "asks", "(not recorded: %s)", trace_clean(t, x->request.omitted));
        return NULL;
    }
    if (!request_octets(&body, t, x, target)) {
        trace_say(t, "asks", "a message that is missing, or not base64");
        return NULL;
    }
    if (!m || scep_message_parse(m, t->arena, body, &diag) != TM_OK) {
        trace_say(t, "asks", "a message that is NOT as SCEP wants it: %s%s%s%s", trace_clean(t, diag.message),
                  diag.rule[0] ? " (" : "", diag.rule, diag.rule[0] ? ")" : "");
        return NULL;
    }
    struct seen_transaction *of = transaction_of(s, t, m->transaction_id, x->number);
    trace_say(t, "asks", "%u, %s; transaction %s", m->type, type_text(m->type),
              text_of(t, m->transaction_id));
    if (of) {
        of->last = x->number;
        of->type = m->type;
        of->polls += m->type == SCEP_CERT_POLL;
    }
    say_nonce(s, t, x, m, body);
    say_signature(s, t, m);
    say_envelope(s, t, m->cms.content, NULL);
    say_inside(t, x, m, of);
    *ret_of = of;
    return m;
}

/* ---- answers ---- */

/* How the server says no without a CertRep: text for people. */
static void say_by_http(struct scep_seen *s, struct trace_text *t, const struct trace_exchange *x)
{
    struct slice body = slice_trim(slice_sub(x->response.body, 0, REASON_MAX));
    s->by_http++;
    s->last_by_http = body.n ? text_of(t, body) : "no reason is given";
    s->last_by_http_number = x->number;
    trace_say(t, "refused", "by HTTP status %d: %s", x->status, s->last_by_http);
}

static void say_certificates(struct scep_seen *s, struct trace_text *t, struct slice raw, unsigned number,
                             const char **ret_serial)
{
    struct slice der, certs[CERTS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (ber_normalize(&der, t->arena, raw, TRACE_LINE_MAX, &diag) != TM_OK ||
        certs_only_parse(certs, CERTS_MAX, &n, der, &diag) != TM_OK) {
        trace_say(t, "answers", "what is no certs-only PKCS #7: %s", trace_clean(t, diag.message));
        return;
    }
    if (n == 0)
        trace_say(t, "answers", "no certificate, %zu octets", raw.n);
    for (size_t i = 0; i < n; i++) {
        struct cert c;
        trace_say_certificate(t, certs[i], i == 0 ? ret_serial : NULL);
        if (s && s->n_ras < SEEN_RAS && cert_parse(&c, certs[i], NULL) == TM_OK)
            s->ras[s->n_ras++] = (struct seen_ra){.cert = c, .number = number};
    }
}

/* GetCACert (RFC 8894 4.2.1): one certificate as it is, or several as PKCS #7. */
static void say_ca(struct scep_seen *s, struct trace_text *t, const struct trace_exchange *x)
{
    struct slice body = x->response.body;
    struct cert c;
    if (cert_parse(&c, body, NULL) != TM_OK) {
        say_certificates(s, t, body, x->number, NULL);
        return;
    }
    trace_say_certificate(t, body, NULL);
    if (s->n_ras < SEEN_RAS)
        s->ras[s->n_ras++] = (struct seen_ra){.cert = c, .number = x->number};
}

static void say_next(struct trace_text *t, const struct trace_exchange *x)
{
    struct diag diag = {0};
    struct signed_data *d = arena_calloc(t->arena, 1, sizeof *d);
    if (!d || signed_data_parse(d, t->arena, x->response.body, &diag) != TM_OK) {
        trace_say(t, "answers", "what is no signed PKCS #7: %s", trace_clean(t, diag.message));
        return;
    }
    trace_say(t, "answers", "the certificates to come, in a message with %zu signer(s):", d->n_signers);
    say_certificates(NULL, t, d->content, x->number, NULL);
}

/* A line each; clients decide by them. */
static void say_caps(struct trace_text *t, const struct trace_exchange *x)
{
    const char *s = arena_strndup(t->arena, (const char *)x->response.body.p, x->response.body.n);
    struct buf b;
    buf_init(&b, 8192);
    for (; s && *s; s += strspn(s, "\r\n")) {
        size_t n = strcspn(s, "\r\n");
        buf_printf(&b, "%s%.*s", b.n ? ", " : "", (int)n, s);
        s += n;
    }
    trace_say(t, "answers", "can do: %s", b.n ? trace_clean(t, buf_str(&b)) : "nothing that it says");
    buf_done(&b);
}

static void remember(struct seen_transaction *of, const struct scep_outcome *o, const char *why,
                     const char *serial)
{
    if (!of)
        return;
    of->why = NULL;
    of->fail = -1;
    switch (o->status) {
    case SCEP_SUCCESS:
        of->state = "success";
        of->serial = of->type == SCEP_GET_CRL ? NULL : serial ? serial : "";
        break;
    case SCEP_PENDING:
        of->state = "pending";
        break;
    default:
        of->state = "failure";
        of->why = why;
        of->fail = o->has_fail ? (int)o->fail : -1;
    }
}

static void say_outcome(struct trace_text *t, const struct scep_outcome *o, const char *why)
{
    if (!o->has_status)
        trace_say(t, "answers", "a message without pkiStatus: no CertRep");
    else if (o->status == SCEP_SUCCESS)
        trace_say(t, "answers", "CertRep: success");
    else if (o->status == SCEP_PENDING)
        trace_say(t, "answers", "CertRep: pending: somebody has to approve it, and the client has to poll");
    else if (!o->has_fail)
        trace_say(t, "refused", "CertRep: failure, and no failInfo says why");
    else
        trace_say(t, "refused", "CertRep: failure, failInfo %u %s (%s)%s%s", o->fail, scep_fail_name(o->fail),
                  scep_fail_meaning(o->fail), why[0] ? ": " : "", why);
}

static void say_reply(struct scep_seen *s, struct trace_text *t, const struct trace_exchange *x,
                      const struct scep_message *asked, struct seen_transaction *of)
{
    struct diag diag = {0};
    struct scep_outcome o = {0};
    const char *serial = NULL;
    struct scep_message *m = arena_calloc(t->arena, 1, sizeof *m);
    if (!m || scep_message_parse(m, t->arena, x->response.body, &diag) != TM_OK ||
        scep_outcome_read(&o, m->signer->attrs, &diag) != TM_OK) {
        trace_say(t, "answers", "what is NOT a message of SCEP's: %s", trace_clean(t, diag.message));
        return;
    }
    const char *why = text_of(t, o.text);
    say_outcome(t, &o, why);
    if (asked && !slice_eq(m->transaction_id, asked->transaction_id))
        trace_say(t, "", "its transaction is ANOTHER one: %s", text_of(t, m->transaction_id));
    if (asked && !slice_eq(o.recipient_nonce, asked->sender_nonce))
        trace_say(t, "", "its recipientNonce is NOT the request's senderNonce: clients throw it away");
    say_signature(s, t, m);
    if (o.has_status && o.status == SCEP_SUCCESS) {
        say_envelope(s, t, m->cms.content, asked ? &asked->by : NULL);
        if (x->response.inside.n && asked && asked->type == SCEP_GET_CRL)
            trace_say(t, "answers", "the revocation list, %zu octets", x->response.inside.n);
        else if (x->response.inside.n)
            say_certificates(NULL, t, x->response.inside, x->number, &serial);
    }
    if (o.has_status)
        remember(of, &o, why, serial);
}

static void say_answer(struct scep_seen *s, struct trace_text *t, const struct trace_exchange *x,
                       const char *operation, const struct scep_message *asked, struct seen_transaction *of)
{
    if (x->status == 0) {
        s->lost++;
        trace_say(t, "lost", "there is no answer in this recording");
    } else if (x->status >= 400) {
        say_by_http(s, t, x);
    } else if (x->response.omitted) {
        trace_say(t, "answers", "(not recorded: %s)", trace_clean(t, x->response.omitted));
    } else if (strcasecmp(operation, "GetCACaps") == 0) {
        say_caps(t, x);
    } else if (strcasecmp(operation, "GetCACert") == 0) {
        say_ca(s, t, x);
    } else if (strcasecmp(operation, "GetNextCACert") == 0) {
        say_next(t, x);
    } else if (strcasecmp(operation, "PKIOperation") == 0) {
        say_reply(s, t, x, asked, of);
    }
}

static void step(void *state, struct trace_text *t, const struct trace_exchange *x)
{
    struct scep_seen *s = state;
    struct target target = {0};
    struct scep_message *asked = NULL;
    struct seen_transaction *of = NULL;
    const char *detail = NULL, *operation = NULL;
    s->exchanges++;
    if (target_parse(&target, t->arena, slice_str(x->target), &detail) == TM_OK)
        operation = query(&target, "operation");
    if (!operation)
        trace_say(t, "asks", "nothing: the address has no \"operation\"");
    else if (strcasecmp(operation, "PKIOperation") == 0)
        asked = say_request(s, t, x, &target, &of);
    else
        trace_say(t, "asks", "%s", trace_clean(t, operation));
    say_answer(s, t, x, operation ? operation : "", asked, of);
}

const struct trace_protocol trace_scep = {
    .name = "scep",
    .title = "Simple Certificate Enrolment Protocol (RFC 8894)",
    .door = DOOR_SCEP,
    .ours = ours,
    .open = open_state,
    .step = step,
    .verdict = scep_seen_verdict,
};
