/* EST (RFC 7030) told step by step. Every exchange stands on its own: who comes, with what request, and what is given. */
#include "base/arena.h"
#include "base/text.h"
#include "der/ber.h"
#include "trace/tellers.h"
#include "trace/trace.h"
#include "x509/cms/certs_only.h"
#include <string.h>
#include <strings.h>

enum { CERTS_MAX = 64, REASON_MAX = 300 };

static const char prefix[] = "/.well-known/est/";

static const struct operation {
    const char *name, *what;
    bool enrolls; /* a request goes, a certificate comes */
} operations[] = {
    {"cacerts", "the CA certificates", false},           {"csrattrs", "what a request should hold", false},
    {"simpleenroll", "a first certificate", true},       {"simplereenroll", "the next certificate", true},
    {"serverkeygen", "a key and its certificate", true}, {"fullcmc", "something by full CMC", false},
};

struct est_seen {
    unsigned exchanges, given, waiting, refused;
    const char *last_refusal;
    unsigned last_refused;
};

/* The operation is the last segment; an endpoint's name may stand before it. */
static const struct operation *operation_of(const char *path)
{
    const char *last = strrchr(path, '/');
    for (size_t i = 0; last && i < sizeof operations / sizeof *operations; i++)
        if (strcmp(last + 1, operations[i].name) == 0)
            return &operations[i];
    return NULL;
}

static bool ours(const char *path, const char *label)
{
    size_t n = label ? strlen(label) : 0;
    if (strncmp(path, prefix, sizeof prefix - 1) != 0)
        return false;
    path += sizeof prefix - 1;
    return !label || (strncmp(path, label, n) == 0 && path[n] == '/') ||
           (strcmp(label, "default") == 0 && !strchr(path, '/'));
}

/* RFC 7030 4.4: the private key comes back with the certificate. */
static bool secret(const char *path)
{
    const struct operation *o = operation_of(path);
    return o && strcmp(o->name, "serverkeygen") == 0;
}

static tm_err open_state(void **ret, struct trace_text *t)
{
    *ret = arena_calloc(t->arena, 1, sizeof(struct est_seen));
    return *ret ? TM_OK : TM_ENOMEM;
}

static void say_certificates(struct trace_text *t, const struct trace_exchange *x)
{
    struct slice raw, der, certs[CERTS_MAX];
    struct diag diag = {0};
    size_t n = 0;
    if (base64_decode(&raw, t->arena, x->response.body, BASE64_STD) != TM_OK)
        raw = x->response.body;
    if (ber_normalize(&der, t->arena, raw, TRACE_LINE_MAX, &diag) != TM_OK ||
        certs_only_parse(certs, CERTS_MAX, &n, der, &diag) != TM_OK) {
        trace_say(t, "answers", "what is no certs-only PKCS#7: %s", trace_clean(t, diag.message));
        return;
    }
    for (size_t i = 0; i < n; i++)
        trace_say_certificate(t, certs[i], NULL);
}

/* Errors are text for people (RFC 7030 4.2.3). */
static const char *reason(struct trace_text *t, const struct trace_exchange *x)
{
    size_t n = x->response.body.n < REASON_MAX ? x->response.body.n : REASON_MAX;
    while (n && x->response.body.p[n - 1] == '\n')
        n--;
    const char *s = n ? arena_strndup(t->arena, (const char *)x->response.body.p, n) : "no reason is given";
    return trace_clean(t, s ? s : "");
}

static void say_request(struct trace_text *t, const struct trace_exchange *x, const struct operation *o)
{
    const char *auth = trace_header(&x->request, "Authorization");
    trace_say(t, "asks", "%s", o ? o->what : "something that EST does not have");
    if (auth)
        trace_say(t, "comes with", "Authorization: %s", trace_clean(t, auth));
    if (o && o->enrolls && x->request.body.n)
        trace_say_csr(t, x->request.body, NULL);
}

static void step(void *state, struct trace_text *t, const struct trace_exchange *x)
{
    struct est_seen *s = state;
    const struct operation *o = operation_of(x->path);
    const char *retry = trace_header(&x->response, "Retry-After");
    s->exchanges++;
    say_request(t, x, o);
    if (x->status >= 400 || x->status == 0) {
        s->refused++;
        s->last_refused = x->number;
        s->last_refusal = reason(t, x);
        trace_say(t, "refused", "%s", s->last_refusal);
    } else if (x->status == 202) {
        s->waiting++;
        trace_say(t, "answers", "not yet: to be asked again after %s s",
                  retry ? trace_clean(t, retry) : "some");
    } else if (x->response.omitted) {
        s->given += o && o->enrolls;
        trace_say(t, "answers", "(not recorded: %s)", trace_clean(t, x->response.omitted));
    } else if (o && (o->enrolls || strcmp(o->name, "cacerts") == 0)) {
        s->given += o->enrolls;
        say_certificates(t, x);
    }
}

static void verdict(void *state, struct trace_text *t)
{
    const struct est_seen *s = state;
    trace_say(t, "enrolled", "%u certificate(s) given, %u request(s) wait, %u refused, in %u exchange(s)",
              s->given, s->waiting, s->refused, s->exchanges);
    if (s->refused)
        trace_say(t, "refused", "the last, #%u: %s", s->last_refused, s->last_refusal);
}

const struct trace_protocol trace_est = {
    .name = "est",
    .title = "Enrollment over Secure Transport (RFC 7030)",
    .door = DOOR_EST,
    .ours = ours,
    .secret = secret,
    .open = open_state,
    .step = step,
    .verdict = verdict,
};
