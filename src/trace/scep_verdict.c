/* What became of each transaction of a SCEP recording, and what to do about those that failed. */
#include "enroll/scep/message.h"
#include "trace/scep_seen.h"
#include <string.h>

/* RFC 8894 3.2.1.4.5 */
static const struct {
    const char *name, *meaning;
} fails[] = {
    [SCEP_BAD_ALG] = {"badAlg", "an algorithm that is not taken"},
    [SCEP_BAD_MESSAGE_CHECK] = {"badMessageCheck", "signature or envelope is not sound"},
    [SCEP_BAD_REQUEST] = {"badRequest", "the transaction is not permitted"},
    [SCEP_BAD_TIME] = {"badTime", "it was signed at another time"},
    [SCEP_BAD_CERT_ID] = {"badCertId", "no such certificate"},
};
enum { FAILS = sizeof fails / sizeof *fails };

const char *scep_fail_name(unsigned fail)
{
    return fail < FAILS ? fails[fail].name : "?";
}

const char *scep_fail_meaning(unsigned fail)
{
    return fail < FAILS ? fails[fail].meaning : "a number that SCEP does not have";
}

/* By the rule that the reason begins with, or else by failInfo. */
static const char *advice(const char *why, int fail)
{
    static const struct {
        const char *rule, *what;
    } rules[] = {
        {"scep.challenge:", "`touchmark token create --for scep` makes a one-time challenge for the names"},
        {"scep.nonce:", "the client reuses its nonce: each message has to have a new one"},
        {"scep.transaction:",
         "the transaction is not known here, or it or its challenge was used with another key: a new key needs a new challenge"},
        {"scep.envelope:",
         "what was opened is not the signer's own request: the client took an old RA certificate, or another key than it signs with"},
        {"scep.cipher:",
         "the client has to encrypt with AES (GetCACaps says so), or the endpoint needs `legacy: { des3: true }`"},
        {"approval.", "the approver's decision: `touchmark request list`"},
    };
    static const char *const by_fail[FAILS] = {
        [SCEP_BAD_ALG] =
            "compare the algorithms above with what GetCACaps answers; old ones need the endpoint's `legacy`",
        [SCEP_BAD_MESSAGE_CHECK] = "let the client fetch the RA's certificate anew (GetCACert)",
        [SCEP_BAD_REQUEST] = "compare the request with the challenge's names and the profile",
        [SCEP_BAD_TIME] = "set the client's clock, or widen the endpoint's `clock-tolerance`",
        [SCEP_BAD_CERT_ID] =
            "the RA's certificate may have changed: let the client fetch it anew (GetCACert)",
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strncmp(why, rules[i].rule, strlen(rules[i].rule)) == 0)
            return rules[i].what;
    return fail >= 0 && fail < FAILS ? by_fail[fail] : NULL;
}

static const char *what_of(const struct seen_transaction *x)
{
    if (x->type == SCEP_GET_CERT)
        return "a certificate that was issued";
    if (x->type == SCEP_GET_CRL)
        return "the revocation list";
    return x->subject ? x->subject : "a subject that can't be seen";
}

static void transaction_verdict(struct trace_text *t, const struct seen_transaction *x)
{
    trace_say(t, "request", "%s (#%u) for %s: %s", x->id, x->first, what_of(x),
              x->state ? x->state : "no answer could be read");
    if (x->serial && x->serial[0])
        trace_say(t, "", "certificate %s was given", x->serial);
    else if (x->serial)
        trace_say(t, "", "what was given is encrypted for the client");
    if (x->state && strcmp(x->state, "pending") == 0)
        trace_say(t, "", "it waits for approval (`touchmark request list`); the client has polled %u time(s)",
                  x->polls);
    if (!x->why)
        return;
    const char *what = advice(x->why, x->fail);
    trace_say(t, "", "refused (#%u): %s%s%s", x->last,
              x->fail >= 0 ? scep_fail_name((unsigned)x->fail) : "no failInfo", x->why[0] ? ": " : "",
              x->why);
    if (what)
        trace_say(t, "", "%s", what);
}

void scep_seen_verdict(void *state, struct trace_text *t)
{
    const struct scep_seen *s = state;
    for (size_t i = 0; i < s->n_transactions; i++)
        transaction_verdict(t, &s->transactions[i]);
    if (s->by_http)
        trace_say(t, "refused", "%u message(s) by HTTP, without a CertRep; the last, #%u: %s", s->by_http,
                  s->last_by_http_number, s->last_by_http);
    if (s->unverified)
        trace_say(t, "signed", "%u signature(s) do NOT verify", s->unverified);
    if (s->lost)
        trace_say(t, "lost", "%u request(s) have no answer in this recording", s->lost);
    if (!s->n_transactions && !s->by_http)
        trace_say(t, "nothing", "was asked for by a message, and nothing was refused, in %u exchange(s)",
                  s->exchanges);
}
