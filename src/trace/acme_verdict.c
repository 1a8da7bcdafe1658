/* What became of the orders and accounts of an ACME recording, and what to do about what was refused. */
#include "base/arena.h"
#include "trace/acme_seen.h"
#include <stdio.h>
#include <string.h>

const char *acme_advice(const char *type)
{
    static const struct {
        const char *type, *advice;
    } all[] = {
        {"accountDoesNotExist",
         "the client has another key or address of the account than this server: let it register again"},
        {"alreadyReplaced",
         "another order replaces this certificate already: order without \"replaces\", or renew what that order gave"},
        {"alreadyRevoked", "nothing is left to do: it is revoked"},
        {"badCSR", "compare the request's names and key with the order and the profile"},
        {"badPublicKey", "let the client make another key, of an algorithm and size that the profile takes"},
        {"badSignatureAlgorithm", "the answer lists the algorithms that are taken: use a key of one of them"},
        {"caa", "the domain's CAA record does not name this CA: add it"},
        {"connection",
         "the server could not reach the name's host: check address, port and firewall, and `validation.networks` of the endpoint"},
        {"dns",
         "look the name up from the server: `validation.resolvers` and `insecure-domains` of the endpoint say by whom"},
        {"externalAccountRequired",
         "make a key with `touchmark token create --external` and give it to the client"},
        {"incorrectResponse",
         "what was found there is not this account's answer: another client, an old file or a redirect"},
        {"invalidContact", "give a contact such as mailto:admin@example.org"},
        {"invalidProfile", "the directory's meta lists the profiles of this endpoint"},
        {"orderNotReady", "all names have to be proven before finalize"},
        {"rateLimited", "wait as Retry-After says, or raise `limits` of the endpoint"},
        {"rejectedIdentifier",
         "the profile does not allow the name: `touchmark profile test` shows the rule"},
        {"tls", "the TLS answer on the name's host is not as tls-alpn-01 wants it"},
        {"unauthorized", "the signature, the address that was signed or the account's rights do not fit"},
        {"userActionRequired", "the terms have to be agreed to"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].type, type) == 0)
            return all[i].advice;
    return NULL;
}

/* Is a name one of "a, b, c"? */
static bool listed(const char *list, const char *name, size_t n)
{
    for (const char *s = list; *s;) {
        size_t length = strcspn(s, ",");
        if (length == n && strncmp(s, name, n) == 0)
            return true;
        s += length + strspn(s + length, ", ");
    }
    return false;
}

/* Those of `a` that are not in `b`, on one line; names differ in case only by mistake, but RFC 5280 does not mind. */
static void say_missing(struct trace_text *t, const char *a, const char *b, const char *about)
{
    struct buf out;
    buf_init(&out, 64 << 10);
    for (const char *s = a; *s;) {
        size_t n = strcspn(s, ",");
        if (!listed(b, s, n))
            buf_printf(&out, "%s%.*s", out.n ? ", " : "", (int)n, s);
        s += n + strspn(s + n, ", ");
    }
    if (out.n)
        trace_say(t, "", "%s: %s", about, buf_str(&out));
    buf_done(&out);
}

static void order_verdict(struct trace_text *t, const struct seen_order *o)
{
    const char *id = strrchr(o->url, '/');
    const char *status = o->status ? o->status : "unknown", *names = o->names ? o->names : "unknown names";
    trace_say(t, "order", "%s (#%u) for %s: last seen %s", id && id[1] ? id + 1 : o->url, o->made, names,
              status);
    if (o->serial)
        trace_say(t, "", "certificate %s was handed out", o->serial);
    else if (strcmp(status, "valid") == 0)
        trace_say(t, "", "the certificate was made and not fetched in this recording");
    else if (strcmp(status, "ready") == 0 && !o->csr_names && !o->refusal)
        trace_say(t, "", "all names are proven; the client did not finalize");
    else if (strcmp(status, "processing") == 0)
        trace_say(t, "", "it waits for approval: `touchmark request list`");
    if (!o->refusal || o->serial)
        return;
    trace_say(t, "", "finalize was refused (#%u): %s", o->refused, o->refusal);
    if (o->csr_names && o->names && strcmp(o->csr_names, o->names) != 0) {
        trace_say(t, "", "the names in the request differ from the order's");
        say_missing(t, o->names, o->csr_names, "only in the order");
        say_missing(t, o->csr_names, o->names, "only in the request");
    }
}

void acme_seen_verdict(void *state, struct trace_text *t)
{
    const struct seen *s = state;
    size_t failed = 0;
    for (size_t i = 0; i < s->n_orders; i++)
        order_verdict(t, &s->orders[i]);
    for (size_t i = 0; i < s->n_authzs; i++) {
        const struct seen_authz *z = &s->authzs[i];
        if (!z->why && !(z->status && strcmp(z->status, "pending") == 0))
            continue;
        failed++;
        if (z->why)
            trace_say(t, "name", "%s is %s (#%u): %s", z->name, z->status, z->told, z->why);
        else
            trace_say(t, "name", "%s is still to be proven (#%u)", z->name, z->told);
    }
    for (size_t i = 0; i < s->n_refusals; i++) {
        const struct seen_refusal *r = &s->refusals[i];
        const char *advice = acme_advice(r->type);
        trace_say(t, "refused", "#%u, %s: %s: %s", r->number, r->what, r->type, r->detail);
        if (advice)
            trace_say(t, "", "%s", advice);
    }
    if (s->bad_nonces)
        trace_say(t, "nonces",
                  "%u badNonce: part of the protocol, clients try again with the nonce that comes with it",
                  s->bad_nonces);
    if (s->answers_lost)
        trace_say(t, "lost", "%u request(s) have no answer in this recording", s->answers_lost);
    if (!s->n_orders && !s->n_refusals && !failed)
        trace_say(t, "nothing", "was ordered and nothing was refused, in %u exchange(s)", s->exchanges);
}
