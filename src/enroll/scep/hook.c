/* A service that judges challenges, as vendors of device management have it: it is asked with the request and the challenge as they came, and
 * told afterwards what became of them.
 *
 *   POST, application/json; Touchmark-Signature: sha256=HEX of the HMAC over the body, or Authorization: Bearer
 *   {"event":"validate","request":…,"endpoint":…,"transaction":…,"peer":…,"challenge":…,"csr":base64}
 *   -> 200 {"allow":true,"names":["CN=…"]} or {"allow":false,"reason":…}; 4xx refuses too
 *   {"event":"outcome","request":…,…,"outcome":"issued|pending|refused","certificate":base64,"rule":…}   -> not looked at
 *
 * Outcomes are told by threads of their own, so that a service that hangs keeps nobody waiting; what is not told when the server stops is
 * left out. */
#include "enroll/scep/hook.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/outbound/response.h"
#include "enroll/scep/scep.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 512 << 10, AT_ONCE_MAX = 6, TELL_MAX = 256, TELLERS = 2, NAMES_MAX = 100 };

static atomic_int asking, telling;

/* ---- asking ---- */

static void put_text(struct buf *b, const char *key, struct slice value)
{
    buf_puts(b, b->n > 1 ? "," : "");
    buf_put_json_string(b, slice_str(key));
    buf_putc(b, ':');
    buf_put_json_string(b, value);
}

static void put_base64(struct buf *b, const char *key, struct slice value)
{
    buf_printf(b, ",\"%s\":\"", key);
    buf_put_base64(b, value, BASE64_STD, 0);
    buf_putc(b, '"');
}

static void put_about(struct buf *b, struct scep_exchange *x, const char *event)
{
    buf_putc(b, '{');
    put_text(b, "event", slice_str(event));
    put_text(b, "request", slice_str(x->request->id));
    put_text(b, "endpoint", slice_str(x->endpoint->name));
    put_text(b, "transaction", x->m->transaction_id);
    put_text(b, "peer", slice_str(x->request->peer));
    put_text(b, "challenge", slice_str(x->challenge));
    put_base64(b, "csr", x->csr.der);
}

static tm_err no_verdict(struct diag *diag, const char *why)
{
    return diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                     "the service that judges challenges answers with \"names\" %s", why);
}

/* What was meant as a bound must not be read as none, and a list without a name bounds to nothing. */
static tm_err take_names(struct caller *c, struct arena *a, const json_t *names, struct diag *diag)
{
    size_t n = json_array_size(names);
    if (!json_is_array(names))
        return no_verdict(diag, "that are no list");
    if (n == 0)
        return diag_fail(diag, TM_EAUTH, "scep.webhook", "challengePassword",
                         "the service that judges challenges allows no name");
    if (n > NAMES_MAX)
        return no_verdict(diag, "that are too many");
    const char **v = arena_calloc(a, n, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(names, i));
        if (!s || !s[0])
            return no_verdict(diag, "of which one is no text");
        v[i] = arena_strdup(a, s);
        if (!v[i])
            return TM_ENOMEM;
    }
    c->names = v;
    c->n_names = n;
    return TM_OK;
}

tm_err scep_hook_judge(struct caller *ret, struct arena *a, int status, struct slice body, struct diag *diag)
{
    json_t *doc = NULL;
    if (status >= 500 || status < 200 || (status >= 300 && status < 400))
        return diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                         "the service that judges challenges answers with status %d", status);
    bool parsed = status < 300 && json_parse(&doc, body, SCEP_HOOK_ANSWER_MAX, NULL) == TM_OK;
    bool allow = parsed && json_is_true(json_object_get(doc, "allow"));
    const char *reason = json_string_value(json_object_get(doc, "reason"));
    const json_t *names = json_object_get(doc, "names");
    tm_err e = TM_OK;
    if (!allow)
        e = diag_fail(diag, TM_EAUTH, "scep.webhook", "challengePassword",
                      "the challenge was refused%s%.100s", reason ? ": " : "", reason ? reason : "");
    else if (names)
        e = take_names(ret, a, names, diag);
    json_decref(doc);
    return e;
}

tm_err scep_hook_ask(struct scep_exchange *x, struct diag *diag)
{
    struct buf body;
    struct response *r = arena_calloc(x->request->arena, 1, sizeof *r);
    if (!r)
        return TM_ENOMEM;
    /* So that a service that hangs leaves threads for those who don't need it. */
    if (atomic_fetch_add(&asking, 1) >= AT_ONCE_MAX) {
        atomic_fetch_sub(&asking, 1);
        return diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                         "too many wait for the service that judges challenges");
    }
    buf_init(&body, BODY_MAX);
    put_about(&body, x, "validate");
    buf_putc(&body, '}');
    tm_err e = buf_err(&body);
    if (e == TM_OK)
        e = scep_hook_post(r, x->request->arena, x->endpoint->scep, buf_slice(&body), diag);
    atomic_fetch_sub(&asking, 1);
    if (body.p)
        explicit_bzero(body.p, body.n);
    buf_done(&body);
    if (e == TM_OK)
        e = scep_hook_judge(&x->issue.e.caller, x->request->arena, r->status, slice_of(r->body, r->body_n),
                            diag);
    x->hooked = e == TM_OK;
    return e;
}

/* ---- telling ---- */

struct news {
    struct task task;
    struct catalog *catalog; /* holds the settings */
    const struct scep_settings *settings;
    struct buf body;
};

static pthread_mutex_t tellers_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pool *tellers; /* NULL: nothing is told any more */
static atomic_bool dropping;

static void news_free(struct news *n)
{
    if (n->body.p)
        explicit_bzero(n->body.p, n->body.n);
    buf_done(&n->body);
    catalog_unref(n->catalog);
    free(n);
    atomic_fetch_sub(&telling, 1);
}

static void tell(struct task *t)
{
    struct news *n = TM_CONTAINER(t, struct news, task);
    struct arena *a = atomic_load(&dropping) ? NULL : arena_new(0);
    struct diag diag = {0};
    struct response *r = a ? arena_calloc(a, 1, sizeof *r) : NULL;
    if (r && scep_hook_post(r, a, n->settings, buf_slice(&n->body), &diag) != TM_OK)
        log_warn(NULL, "scep.webhook", LOG_S("why", diag.message));
    arena_free(a);
    news_free(n);
}

static bool post_news(struct news *n)
{
    pthread_mutex_lock(&tellers_mutex);
    bool open = tellers != NULL;
    if (open)
        executor_post(pool_executor(tellers), &n->task);
    pthread_mutex_unlock(&tellers_mutex);
    return open;
}

static void put_outcome(struct buf *b, struct scep_exchange *x)
{
    const struct issue_request *i = &x->issue;
    put_about(b, x, "outcome");
    put_text(b, "outcome",
             slice_str(x->err == TM_OK         ? "issued"
                       : x->err == TM_EPENDING ? "pending"
                                               : "refused"));
    if (i->outcome == ISSUE_ISSUED)
        put_base64(b, "certificate", i->cert);
    if (x->err != TM_OK && x->err != TM_EPENDING)
        put_text(b, "rule", slice_str(x->diag.rule));
    buf_putc(b, '}');
}

void scep_hook_tell(struct scep_exchange *x)
{
    if (!x->endpoint->scep->webhook.notify)
        return;
    struct news *n = atomic_fetch_add(&telling, 1) < TELL_MAX ? calloc(1, sizeof *n) : NULL;
    if (!n) {
        atomic_fetch_sub(&telling, 1);
        log_warn(x->request->id, "scep.webhook", LOG_S("why", "too much to tell; an outcome was left out"));
        return;
    }
    n->task.run = tell;
    n->settings = x->endpoint->scep;
    n->catalog = catalog_ref(x->catalog);
    buf_init(&n->body, BODY_MAX);
    put_outcome(&n->body, x);
    if (buf_err(&n->body) != TM_OK || !post_news(n))
        news_free(n);
}

tm_err scep_hook_open(void)
{
    scep_hook_reachable(true);
    atomic_store(&dropping, false);
    return pool_new(&tellers, "scep-tell", TELLERS);
}

void scep_hook_stop(void)
{
    pthread_mutex_lock(&tellers_mutex);
    struct pool *p = tellers;
    tellers = NULL;
    pthread_mutex_unlock(&tellers_mutex);
    int left = atomic_load(&telling);
    if (left > 0)
        log_warn(NULL, "scep.webhook", LOG_S("why", "the server stops; outcomes are left out"),
                 LOG_I("outcomes", left));
    atomic_store(&dropping, true);
    scep_hook_reachable(false);
    pool_free(p);
}
