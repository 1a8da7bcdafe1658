/* CMP (RFC 9810) told message by message, and what became of each transaction. */
#include "base/arena.h"
#include "base/text.h"
#include "trace/cmp_seen.h"
#include "trace/tellers.h"
#include "trace/trace.h"
#include <string.h>

static const char prefix[] = "/.well-known/cmp";
static const char default_label[] = "cmp";

struct cmp_state {
    struct cmp_seen *v; /* CMP_SEEN_MAX of them */
    size_t n;
    unsigned exchanges, unread;
    bool more; /* transactions than are kept */
};

/* /.well-known/cmp[/p/<label>][/<operation>] (RFC 9811 3.3) */
static bool ours(const char *path, const char *label)
{
    size_t n = label ? strlen(label) : 0;
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return false;
    path += sizeof prefix - 1;
    if (*path != '\0' && *path != '/')
        return false;
    if (!label)
        return true;
    if (strncmp(path, "/p/", 3) != 0)
        return strcmp(label, default_label) == 0;
    return strncmp(path + 3, label, n) == 0 && (path[3 + n] == '/' || path[3 + n] == '\0');
}

static tm_err open_state(void **ret, struct trace_text *t)
{
    struct cmp_state *s = arena_calloc(t->arena, 1, sizeof *s);
    if (s)
        s->v = arena_calloc(t->arena, CMP_SEEN_MAX, sizeof *s->v);
    *ret = s;
    return s && s->v ? TM_OK : TM_ENOMEM;
}

/* ---- transactions ---- */

static bool begins(unsigned body)
{
    return body != CMP_CERTCONF && body != CMP_POLLREQ && body != CMP_POPDECR && body != CMP_ERROR;
}

static struct cmp_seen *transaction(struct cmp_state *s, const struct cmp_message *m, unsigned number)
{
    for (size_t i = s->n; i-- > 0;)
        if (slice_eq(s->v[i].id, m->transaction_id))
            return &s->v[i];
    if (s->n == CMP_SEEN_MAX) {
        s->more = true;
        return &s->v[CMP_SEEN_MAX - 1];
    }
    struct cmp_seen *x = &s->v[s->n++];
    *x = (struct cmp_seen){.id = m->transaction_id,
                           .number = number,
                           .request = begins(m->body) ? cmp_body_name(m->body) : "what began before",
                           .fail = "",
                           .reason = ""};
    return x;
}

/* RFC 9483 3.5: the answer bears the request's transactionID, and its senderNonce as recipNonce. */
static const char *mismatch(const struct cmp_message *asked, const struct cmp_message *reply)
{
    if (!slice_eq(asked->transaction_id, reply->transaction_id))
        return "the answer's transactionID is NOT the request's";
    if (asked->sender_nonce.n && !slice_eq(asked->sender_nonce, reply->recip_nonce))
        return "the answer's recipNonce is NOT the request's senderNonce";
    return NULL;
}

/* certConf with a rejection, or with nothing in it, and an error mean that the client declines. */
static bool declines(const struct cmp_message *m)
{
    struct cmp_confirm v[CMP_ITEMS_MAX];
    size_t n = 0;
    if (m->body == CMP_ERROR)
        return true;
    return m->body == CMP_CERTCONF && cmp_confirms_read(v, CMP_ITEMS_MAX, &n, m->content, NULL) == TM_OK &&
           (n == 0 || v[0].status == CMP_REJECTION);
}

static void tell_answer(struct cmp_seen *s, struct trace_text *t, const struct cmp_message *asked,
                        const struct trace_exchange *x)
{
    struct cmp_message *reply = arena_alloc(t->arena, sizeof *reply);
    if (!reply || x->response.body.n == 0) {
        trace_say(t, "answers", "%s",
                  x->response.omitted ? trace_clean(t, x->response.omitted) : "with no message");
        return;
    }
    if (!cmp_tell(reply, t, x->response.body, true))
        return;
    s->broken = mismatch(asked, reply);
    if (s->broken)
        trace_say(t, "", "%s", s->broken);
    bool declined = declines(asked) && s->state == CMP_SEEN_UNCONFIRMED;
    cmp_tell_outcome(s, t, reply);
    if (declined && reply->body == CMP_PKICONF)
        s->state = CMP_SEEN_DECLINED;
}

/* ---- the descriptor's ---- */

static void step(void *state, struct trace_text *t, const struct trace_exchange *x)
{
    struct cmp_state *s = state;
    struct cmp_message *asked = arena_alloc(t->arena, sizeof *asked);
    s->exchanges++;
    if (!asked)
        return;
    if (x->request.omitted && x->request.body.n == 0) {
        trace_say(t, "sends", "(not recorded: %s)", trace_clean(t, x->request.omitted));
        s->unread++;
        return;
    }
    bool read = cmp_tell(asked, t, x->request.body, false);
    if (x->status != 200) /* RFC 9811 3.1: below CMP */
        trace_say(t, "refused", "by HTTP: %s",
                  trace_clean(t, arena_strndup(t->arena, (const char *)x->response.body.p,
                                               x->response.body.n < 200 ? x->response.body.n : 200)));
    if (!read) {
        s->unread++;
        return;
    }
    struct cmp_seen *seen = transaction(s, asked, x->number);
    seen->last = x->number;
    if (x->status == 200)
        tell_answer(seen, t, asked, x);
}

static const char *const states[] = {
    [CMP_SEEN_ASKED] = "got no answer",
    [CMP_SEEN_ANSWERED] = "was answered",
    [CMP_SEEN_CHALLENGED] = "was to decrypt a number first, and did not",
    [CMP_SEEN_WAITING] = "waits: approve it, or let the client ask again",
    [CMP_SEEN_UNCONFIRMED] =
        "has its certificate and did NOT confirm it: it will be revoked unless the endpoint keeps such",
    [CMP_SEEN_GIVEN] = "has its certificate",
    [CMP_SEEN_DECLINED] = "got a certificate and declined it",
    [CMP_SEEN_REVOKED] = "revoked what it wanted to",
    [CMP_SEEN_REFUSED] = "was refused",
};

static void say_transaction(struct trace_text *t, const struct cmp_seen *s)
{
    const char *hex = arena_hex(t->arena, s->id);
    trace_say(t, s->request, "%.16s (#%u to #%u) %s%s%s", hex && hex[0] ? hex : "(none)", s->number, s->last,
              states[s->state], s->serial && s->state != CMP_SEEN_REFUSED ? ": " : "",
              s->serial && s->state != CMP_SEEN_REFUSED ? s->serial : "");
    if (s->broken)
        trace_say(t, "", "%s", s->broken);
    if (s->state != CMP_SEEN_REFUSED)
        return;
    trace_say(t, "", "%s: %s", s->fail[0] ? s->fail : "without failInfo", s->reason);
    if (s->advice)
        trace_say(t, "", "%s", s->advice);
}

static void verdict(void *state, struct trace_text *t)
{
    const struct cmp_state *s = state;
    for (size_t i = 0; i < s->n; i++)
        say_transaction(t, &s->v[i]);
    if (s->more)
        trace_say(t, "", "and more transactions than %d", CMP_SEEN_MAX);
    trace_say(t, "in all", "%zu transaction(s) in %u exchange(s), %u of which can't be read", s->n,
              s->exchanges, s->unread);
}

const struct trace_protocol trace_cmp = {
    .name = "cmp",
    .title = "Certificate Management Protocol (RFC 9810)",
    .door = DOOR_CMP,
    .ours = ours,
    .open = open_state,
    .step = step,
    .verdict = verdict,
};
