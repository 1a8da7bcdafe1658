/* The routes, and the way of a message. */
#include "enroll/cmp/cmp.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/endpoint.h"
#include "enroll/renewal_info.h"
#include "issue/chain.h"
#include "issue/cmp_settings.h"
#include "issue/jobs.h"
#include "issue/message.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NONCE_MIN = 16 };

static const char media_type[] = "application/pkixcmp";

/* ---- refusals ---- */

tm_err cmp_refuse(struct cmp_exchange *x, enum cmp_fail fail, tm_err e, const char *rule, const char *fmt,
                  ...)
{
    char text[sizeof x->diag.message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    x->fail = fail;
    return diag_fail(&x->diag, e, rule, NULL, "%s", text);
}

void cmp_note_refusal(const struct cmp_exchange *x)
{
    if (tm_err_class(x->err) == TM_CLASS_CALLER || tm_err_class(x->err) == TM_CLASS_DENIED)
        refusal_note(x->house, x->endpoint->tenant, DOOR_CMP, x->endpoint->name, x->http->peer, x->diag.rule,
                     x->diag.message);
    else
        log_error(x->http->id, "cmp.failed", LOG_S("error", tm_err_name(x->err)),
                  LOG_S("why", x->diag.message));
}

/* ---- what every message has to be (RFC 9483 3.5) ---- */

static tm_err check_header(struct cmp_exchange *x)
{
    const struct cmp_message *m = &x->m;
    if (m->pvno != 2 && m->pvno != 3)
        return cmp_refuse(x, CMP_UNSUPPORTED_VERSION, TM_EUNSUPPORTED, "RFC 9810 7",
                          "CMP of versions 2 and 3 is spoken here");
    if (m->transaction_id.n == 0)
        return cmp_refuse(x, CMP_BAD_DATA_FORMAT, TM_EMALFORMED, "RFC 9483 3.1", "transactionID is missing");
    if (m->sender_nonce.n < NONCE_MIN)
        return cmp_refuse(x, CMP_BAD_SENDER_NONCE, TM_EINVAL, "RFC 9483 3.1",
                          "senderNonce has to be there with at least %d octets", NONCE_MIN);
    return TM_OK;
}

static tm_err check_time(struct cmp_exchange *x)
{
    int64_t now = clock_now(), skew = x->endpoint->cmp->clock_skew, t = x->m.time;
    if (t == 0 || skew == 0 || (t >= now - skew && t <= now + skew))
        return TM_OK;
    return cmp_refuse(x, CMP_BAD_TIME, TM_EDENIED, "RFC 9810 5.1.1",
                      "messageTime is too far from the time here, %lld seconds", (long long)(t - now));
}

/* Last segments of the path (RFC 9811 3.3): what begins there. What goes on is sent to the same place. */
static const struct {
    const char *operation;
    unsigned body;
} operations[] = {
    {"initialization", CMP_IR},  {"certification", CMP_CR},        {"keyupdate", CMP_KUR},
    {"pkcs10", CMP_P10CR},       {"revocation", CMP_RR},           {"getcacerts", CMP_GENM},
    {"getrootupdate", CMP_GENM}, {"getcertreqtemplate", CMP_GENM}, {"getcrls", CMP_GENM},
    {"nested", CMP_NESTED},
};

static int operation_body(const char *operation)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operations[i].operation, operation) == 0)
            return (int)operations[i].body;
    return -1;
}

static bool begins(unsigned body)
{
    return body == CMP_IR || body == CMP_CR || body == CMP_P10CR || body == CMP_KUR || body == CMP_RR ||
           body == CMP_GENM || body == CMP_NESTED;
}

static bool goes_on(unsigned body)
{
    return body == CMP_CERTCONF || body == CMP_POLLREQ || body == CMP_POPDECR || body == CMP_ERROR;
}

static tm_err check_body(struct cmp_exchange *x)
{
    if (!begins(x->m.body) && !goes_on(x->m.body))
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EUNSUPPORTED, "RFC 9483 3.5",
                          "a message of type %s is not for a server, or not served here",
                          cmp_body_name(x->m.body));
    if (!x->operation[0] || goes_on(x->m.body) || x->depth ||
        operation_body(x->operation) == (int)x->m.body || x->m.body == CMP_NESTED)
        return TM_OK;
    return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9811 3.3",
                      "a message of type %s does not go to \"%s\"", cmp_body_name(x->m.body), x->operation);
}

/* The answer is signed by the authority's RA (docs/adr/0004). */
static tm_err check_authority(struct cmp_exchange *x)
{
    x->authority = endpoint_authority(x->catalog, x->endpoint, NULL);
    if (!x->authority)
        return cmp_refuse(x, CMP_SYSTEM_UNAVAIL, TM_EUNAVAIL, "authority.missing",
                          "the authority of this endpoint is not known");
    const struct signer_key *k =
        x->authority->ra_key[0] ? signer_key_find(x->house->signer, x->authority->ra_key) : NULL;
    if (!k || !(k->env.allow & (1u << SIGN_CMP)))
        return cmp_refuse(
            x, CMP_SYSTEM_UNAVAIL, TM_EUNAVAIL, "authority.ra",
            "the authority has nobody who signs CMP messages for it; touchmark ca ra makes that");
    return TM_OK;
}

/* ---- transactions ---- */

static bool repeated(struct cmp_exchange *x)
{
    uint8_t hash[SHA256_LEN];
    return x->t.state != CMP_T_NEW && x->t.reply.n && strcmp(x->t.credential, x->credential) == 0 &&
           sha256(hash, x->m.der) == TM_OK && slice_eq(x->t.last, SLICE_ARR(hash));
}

static tm_err check_transaction(struct cmp_exchange *x)
{
    const struct cmp_message *m = &x->m;
    if (m->body == CMP_NESTED)
        return TM_OK;
    if (begins(m->body)) {
        if (x->t.state != CMP_T_NEW)
            return cmp_refuse(x, CMP_TRANSACTION_ID_IN_USE, TM_ECONFLICT, "RFC 9483 3.5",
                              "this transactionID is of another transaction");
        if (m->recip_nonce.n)
            return cmp_refuse(x, CMP_BAD_RECIPIENT_NONCE, TM_EINVAL, "RFC 9483 3.5",
                              "recipNonce in the first message of a transaction");
        return TM_OK;
    }
    if (x->t.state == CMP_T_NEW)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "cmp.transaction",
                          "there is no such transaction here, or no more");
    if (strcmp(x->t.credential, x->credential) != 0)
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "cmp.credential",
                          "the transaction was begun by somebody else");
    if (m->recip_nonce.n == 0 || !slice_eq(m->recip_nonce, x->t.nonce))
        return cmp_refuse(x, CMP_BAD_RECIPIENT_NONCE, TM_EINVAL, "RFC 9483 3.5",
                          "recipNonce is not the senderNonce of the latest answer");
    return TM_OK;
}

/* ---- nested messages (RFC 9810 5.1.3.4, RFC 9483 5.2.2) ---- */

static void next_inner(struct cmp_exchange *x)
{
    tm_err e = cmp_begin(x, x, x->inner[x->at_inner]);
    if (e == TM_OK) /* `x` goes on when that is answered, which may be now */
        return;
    x->err = e;
    cmp_send_error(x);
}

static tm_err nested(struct cmp_exchange *x)
{
    if (!x->ra)
        return cmp_refuse(x, CMP_NOT_AUTHORIZED, TM_EFORBIDDEN, "cmp.ra",
                          "only registration authorities that the endpoint lists send nested messages");
    if (x->depth >= CMP_DEPTH_MAX)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_ETOOBIG, "cmp.depth", "messages are nested too deep");
    TM_TRY(cmp_nested_read(x->inner, CMP_NESTED_MAX, &x->n_inner, x->m.content, &x->diag));
    struct cmp_message first;
    struct diag ignored = {0};
    /* A message that the RA has only protected goes by its own transactionID; its answer needs no other. */
    x->wrapped = x->n_inner == 1 && cmp_message_parse(&first, x->inner[0], &ignored) == TM_OK &&
                 slice_eq(first.transaction_id, x->m.transaction_id);
    x->at_inner = 0;
    return TM_OK;
}

/* What opens the certificates in an answer goes to the signer of the message around it, too. */
static tm_err collect_opening(struct cmp_exchange *x, struct slice more)
{
    if (more.n == 0)
        return TM_OK;
    uint8_t *all = arena_alloc(x->a, x->opening.n + more.n);
    if (!all)
        return TM_ENOMEM;
    if (x->opening.n)
        memcpy(all, x->opening.p, x->opening.n);
    memcpy(all + x->opening.n, more.p, more.n);
    x->opening = slice_of(all, x->opening.n + more.n);
    return TM_OK;
}

/* An inner message has been answered. */
static void inner_finished(struct cmp_exchange *x, const struct cmp_exchange *inner)
{
    if (x->wrapped) {
        x->reply = inner->reply;
        cmp_finished(x);
        return;
    }
    x->inner_replies[x->at_inner++] = inner->reply;
    if ((x->err = collect_opening(x, inner->opening)) != TM_OK) {
        cmp_send_error(x);
        return;
    }
    if (x->at_inner < x->n_inner) {
        next_inner(x);
        return;
    }
    struct buf b;
    buf_init(&b, CMP_MESSAGE_MAX);
    cmp_list_build(&b, x->inner_replies, x->n_inner);
    x->err = buf_err(&b) == TM_OK ? arena_copy(&x->content, x->a, buf_slice(&b)) : buf_err(&b);
    buf_done(&b);
    x->body = CMP_NESTED;
    if (x->err == TM_OK)
        cmp_send(x);
    else
        cmp_send_error(x);
}

/* ---- the way ---- */

static tm_err admit(struct cmp_exchange *x)
{
    struct slice der = x->m.der;
    tm_err e = cmp_message_parse(&x->m, der, &x->diag);
    if (e != TM_OK) {
        x->fail = CMP_BAD_DATA_FORMAT;
        return e;
    }
    TM_TRY(check_authority(x));
    TM_TRY(check_header(x));
    TM_TRY(cmp_authenticate(x));
    TM_TRY(check_body(x));
    TM_TRY(check_time(x));
    /* A wrapper has no transaction of its own: it bears the name of the one inside, or a name that nobody goes on with. */
    return x->known && x->m.body != CMP_NESTED ? cmp_transaction_find(x) : TM_OK;
}

/* *ret_later: another step answers, and may have done so already: `x` is not to be touched any more. */
static tm_err serve(struct cmp_exchange *x, bool *ret_later)
{
    tm_err e;
    *ret_later = true;
    switch (x->m.body) {
    case CMP_IR:
    case CMP_CR:
    case CMP_KUR:
    case CMP_P10CR:
        cmp_request(x);
        return TM_OK;
    case CMP_POLLREQ:
        cmp_poll(x);
        return TM_OK;
    case CMP_POPDECR:
        cmp_possession_answered(x);
        return TM_OK;
    case CMP_NESTED:
        e = nested(x);
        *ret_later = e == TM_OK;
        if (e == TM_OK)
            next_inner(x);
        return e;
    case CMP_CERTCONF:
    case CMP_ERROR:
        *ret_later = false;
        return cmp_confirm(x);
    case CMP_RR:
        *ret_later = false;
        return cmp_revoke(x);
    default:
        *ret_later = false;
        return cmp_general(x);
    }
}

static void work(struct task *t)
{
    struct cmp_exchange *x = TM_CONTAINER(t, struct cmp_exchange, work);
    bool later = false;
    x->fail = CMP_FAIL_NONE;
    x->credential = "";
    x->err = admit(x);
    if (x->err == TM_OK && x->known && repeated(x)) {
        x->err = cmp_answer_again(x);
        if (x->err == TM_OK)
            cmp_finished(x);
        else
            cmp_send_error(x);
        return;
    }
    if (x->err == TM_OK && x->known)
        x->err = check_transaction(x);
    if (x->err == TM_OK) {
        tm_err e = serve(x, &later);
        if (later)
            return;
        x->err = e;
    }
    if (x->err != TM_OK)
        cmp_send_error(x);
    else
        cmp_send(x);
}

tm_err cmp_begin(const struct cmp_exchange *x, struct cmp_exchange *parent, struct slice message)
{
    struct cmp_exchange *y = arena_calloc(x->a, 1, sizeof *y);
    if (!y)
        return TM_ENOMEM;
    *y = (struct cmp_exchange){.http = x->http,
                               .a = x->a,
                               .house = x->house,
                               .catalog = x->catalog,
                               .endpoint = x->endpoint,
                               .operation = x->operation,
                               .parent = parent,
                               .depth = parent ? parent->depth + 1 : 0};
    y->m.der = message;
    y->work.run = work;
    executor_post(pool_executor(x->house->blocking), &y->work);
    return TM_OK;
}

static void answered(struct task *t)
{
    struct cmp_exchange *x = TM_CONTAINER(t, struct cmp_exchange, finished);
    struct catalog *c = x->catalog;
    char link[RENEWAL_LINK_MAX];
    bool linked = renewal_info_link(link, c, x->t.cert);
    const struct http_header headers[] = {
        {"Cache-Control", "no-store"}, {linked ? "Link" : NULL, link}, {NULL, NULL}};
    http_reply(x->http, x->reply.n ? 200 : 500, x->reply.n ? media_type : NULL, x->reply, headers);
    catalog_unref(c);
}

void cmp_finished(struct cmp_exchange *x)
{
    if (x->secret)
        explicit_bzero(x->secret, strlen(x->secret));
    if (x->parent) {
        inner_finished(x->parent, x);
        return;
    }
    x->finished.run = answered;
    executor_post(http_request_executor(x->http), &x->finished);
}

/* ---- routes ---- */

static void plain(struct http_request *r, int status, const char *text)
{
    http_reply(r, status, "text/plain; charset=utf-8", slice_str(text), NULL);
}

static void post(struct http_request *r)
{
    const char *label = http_request_param(r, "label"), *operation = http_request_param(r, "operation"),
               *type = http_request_header(r, "Content-Type");
    if (!type || strncasecmp(type, media_type, sizeof media_type - 1) != 0) {
        plain(r, 415, "the content type of CMP is application/pkixcmp (RFC 9811 3.1)\n");
        return;
    }
    if (operation && operation_body(operation) < 0) {
        plain(r, 404, "there is no such operation of CMP (RFC 9811 3.3)\n");
        return;
    }
    struct catalog *c = house_catalog(r->app);
    const struct cmp_exchange x = {.http = r,
                                   .a = r->arena,
                                   .house = r->app,
                                   .catalog = c,
                                   .endpoint = endpoint_open(c, DOOR_CMP, label ? label : "cmp"),
                                   .operation = operation ? operation : ""};
    if (x.endpoint && cmp_begin(&x, NULL, r->body) == TM_OK)
        return;
    plain(r, x.endpoint ? 500 : 404,
          x.endpoint ? "out of memory\n" : "there is no open CMP endpoint of this name\n");
    catalog_unref(c);
}

#define CMP_ROUTE(pattern_, metric_)                                                                         \
    {.methods = HTTP_M_POST,                                                                                 \
     .pattern = "/.well-known/cmp" pattern_,                                                                 \
     .handler = post,                                                                                        \
     .listeners = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_PLAIN,                                            \
     .body_max = CMP_MESSAGE_MAX,                                                                            \
     .metric = "cmp." metric_}

static const struct http_route cmp_routes[] = {
    CMP_ROUTE("", "message"),
    CMP_ROUTE("/{operation}", "message"),
    CMP_ROUTE("/p/{label}", "message"),
    CMP_ROUTE("/p/{label}/{operation}", "message"),
    {0},
};

static const struct job *const cmp_jobs[] = {&cmp_unconfirmed_job, NULL};

const struct door_descriptor cmp_door = {
    .id = DOOR_CMP,
    .name = "cmp",
    .title = "Certificate Management Protocol (RFC 9810)",
    .routes = cmp_routes,
    .jobs = cmp_jobs,
};
