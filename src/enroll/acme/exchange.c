/* The way of one signed request: read, who asks, what, durable, answered. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/metrics.h"
#include "enroll/acme/nonce.h"
#include "enroll/acme/validate.h"
#include "enroll/endpoint.h"
#include "register/register.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TRIES_MAX = 4, HEADERS_MAX = 20, HOST_MAX = 300, RETRY_SECONDS = 30 };

/* ---- what operations use ---- */

tm_err acme_refuse(struct acme_exchange *x, enum acme_problem p, tm_err e, const char *rule, const char *fmt,
                   ...)
{
    char text[sizeof x->diag.message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    x->problem = p;
    return diag_fail(&x->diag, e, rule, NULL, "%s", text);
}

void acme_subproblem(struct acme_exchange *x, enum acme_problem p, const struct acme_identifier *identifier,
                     const char *detail)
{
    struct buf more;
    buf_init(&more, 4096);
    if (identifier) {
        buf_printf(&more, ",\"identifier\":{\"type\":\"%s\",\"value\":", identifier->ip ? "ip" : "dns");
        buf_put_json_string(&more, slice_str(identifier->value));
        buf_putc(&more, '}');
    }
    buf_puts(&x->subproblems, x->subproblems.n ? "," : "");
    acme_put_problem(&x->subproblems, p, 0, detail, buf_slice(&more));
    buf_done(&more);
}

struct effect *acme_effect(struct acme_exchange *x)
{
    if (x->n_effects == x->cap_effects) {
        size_t cap = x->cap_effects ? 4 * x->cap_effects : 8;
        struct effect *v = cap <= ACME_EFFECTS_MAX ? arena_calloc(x->arena, cap, sizeof *v) : NULL;
        if (!v)
            return NULL;
        if (x->n_effects)
            memcpy(v, x->effects, x->n_effects * sizeof *v);
        x->effects = v;
        x->cap_effects = cap;
    }
    struct effect *e = &x->effects[x->n_effects++];
    *e = (struct effect){.tenant = x->endpoint->tenant};
    return e;
}

tm_err acme_take_quota(struct acme_exchange *x, const char *name, int64_t max)
{
    if (max == 0)
        return TM_OK;
    struct effect *e = name ? acme_effect(x) : NULL;
    if (!e)
        return TM_ENOMEM;
    int64_t now = clock_now();
    e->kind = EFFECT_QUOTA_TAKE;
    e->u.quota.name = name;
    e->u.quota.window_start = now - now % ACME_QUOTA_WINDOW;
    e->u.quota.window_end = e->u.quota.window_start + ACME_QUOTA_WINDOW;
    e->u.quota.max = (uint64_t)max;
    e->u.quota.take = 1;
    return TM_OK;
}

tm_err acme_put_row(struct acme_exchange *x, const struct object_row *row, bool unique)
{
    struct effect *e = acme_effect(x);
    if (!e)
        return TM_ENOMEM;
    e->kind = EFFECT_OBJECT_PUT;
    e->expected_version = row->version;
    e->u.object.row = *row;
    e->u.object.unique = unique;
    return TM_OK;
}

tm_err acme_put_event(struct acme_exchange *x, const char *type, const char *subject,
                      const struct event_field *fields)
{
    struct slice body;
    struct effect *e = acme_effect(x);
    if (!e || !subject)
        return TM_ENOMEM;
    TM_TRY(register_event_body(&body, x->arena, fields));
    return register_event_effect(e, x->arena, x->endpoint->tenant, type, subject, body, clock_now_ms());
}

const char *acme_url(struct acme_exchange *x, const char *fmt, ...)
{
    char rest[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(rest, sizeof rest, fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < sizeof rest ? arena_printf(x->arena, "%s/%s", x->base, rest) : NULL;
}

const char *acme_url_id(const struct acme_exchange *x, const char *url, const char *what)
{
    const char *label = http_request_param(x->request, "endpoint");
    const char *path = strncmp(url, "https://", 8) == 0 ? strchr(url + 8, '/') : NULL;
    size_t n = strlen(label), m = strlen(what);
    if (!path || strncmp(path, "/acme/", 6) != 0 || strncmp(path + 6, label, n) != 0 || path[6 + n] != '/' ||
        strncmp(path + 7 + n, what, m) != 0 || path[7 + n + m] != '/')
        return NULL;
    const char *id = path + 8 + n + m;
    size_t length = strlen(id);
    return length > 0 && length <= ACME_ID_MAX && strspn(id, "0123456789abcdef") == length ? id : NULL;
}

bool acme_is_get(const struct acme_exchange *x)
{
    return x->jws.payload_text.n == 0;
}

tm_err acme_payload(json_t **ret, struct acme_exchange *x, struct diag *diag)
{
    TM_TRY(json_parse(ret, x->jws.payload, ACME_BODY_MAX, diag));
    if (json_is_object(*ret))
        return TM_OK;
    json_decref(*ret);
    *ret = NULL;
    return diag_fail(diag, TM_EMALFORMED, "RFC 8555 6.2", "payload", "the payload is not an object");
}

tm_err acme_own_row(struct object_row *ret, struct acme_exchange *x, enum object_kind kind, const char *id,
                    struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = kind,
                           .name = id};
    tm_err e = id && strlen(id) <= ACME_ID_MAX ? store_read_now(x->house->store, &q) : TM_ENOTFOUND;
    /* Somebody else's is as good as none: who asks learns nothing. */
    if (e == TM_ENOTFOUND || (e == TM_OK && strcmp(q.objects[0].owner, x->account->id) != 0)) {
        x->status = 404;
        return diag_fail(diag, TM_ENOTFOUND, "acme.unknown", NULL, "there is nothing of this account here");
    }
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    *ret = q.objects[0];
    return TM_OK;
}

/* ---- which endpoint ---- */

const struct endpoint *acme_endpoint(struct catalog *c, struct http_request *r)
{
    struct house *h = r->app;
    const char *label = http_request_param(r, "endpoint");
    const struct endpoint *e = endpoint_open(c, DOOR_ACME, label);
    if (h->acme && e)
        return e;
    acme_reply_not_found(r);
    return NULL;
}

void acme_reply_not_found(struct http_request *r)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_puts(&b, "{\"type\":\"urn:ietf:params:acme:error:malformed\",\"detail\":\"there is nothing here\","
                 "\"status\":404}");
    http_reply(r, 404, "application/problem+json", buf_slice(&b), NULL);
    buf_done(&b);
}

static bool host_valid(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    return s && s[0] && strlen(s) < HOST_MAX && strspn(s, good) == strlen(s);
}

const char *acme_base(struct http_request *r, const struct endpoint *ep, const char *label)
{
    if (ep->acme->url[0])
        return arena_printf(r->arena, "%s/acme/%s", ep->acme->url, label);
    const char *host = http_request_header(r, "Host");
    return host_valid(host) ? arena_printf(r->arena, "https://%s/acme/%s", host, label) : NULL;
}

/* ---- the answer ---- */

void acme_reply(struct http_request *r, int status, const char *type, struct slice body,
                const struct http_header *more, const char *base)
{
    const struct house *h = r->app;
    char nonce[NONCE_TEXT + 1], index[HOST_MAX + 200];
    struct http_header headers[HEADERS_MAX + 4];
    size_t n = 0;
    headers[n++] = (struct http_header){"Cache-Control", "no-store"};
    if (nonce_issue(h->acme->nonces, nonce) == TM_OK)
        headers[n++] = (struct http_header){"Replay-Nonce", nonce};
    if (base) {
        snprintf(index, sizeof index, "<%s/directory>;rel=\"index\"", base);
        headers[n++] = (struct http_header){"Link", index};
    }
    for (size_t i = 0; more && more[i].name && n < HEADERS_MAX + 3; i++)
        headers[n++] = more[i];
    headers[n] = (struct http_header){NULL, NULL};
    http_reply(r, status, type, body, headers);
}

static void put_error(struct acme_exchange *x)
{
    enum acme_problem p = x->problem ? x->problem : acme_problem_of(x->err);
    bool internal = p == ACME_P_SERVER_INTERNAL && tm_err_class(x->err) != TM_CLASS_UNAVAILABLE;
    struct buf more;
    buf_init(&more, ACME_BODY_MAX);
    if (x->subproblems.n) {
        buf_puts(&more, ",\"subproblems\":[");
        buf_put_slice(&more, buf_slice(&x->subproblems));
        buf_putc(&more, ']');
    }
    /* RFC 8555 6.2: the algorithms that would do */
    if (p == ACME_P_BAD_SIGNATURE_ALGORITHM) {
        buf_puts(&more, ",\"algorithms\":[");
        for (size_t i = 0; jws_alg_names[i]; i++)
            buf_printf(&more, "%s\"%s\"", i ? "," : "", jws_alg_names[i]);
        buf_putc(&more, ']');
    }
    if (x->status < 400)
        x->status = acme_problem_status(p);
    if (p == ACME_P_SERVER_INTERNAL && !internal)
        x->status = 503;
    buf_reset(&x->body);
    acme_put_problem(&x->body, p, x->status,
                     internal ? "something went wrong here; the log has the reason" : x->diag.message,
                     buf_slice(&more));
    buf_done(&more);
    x->type = "application/problem+json";
    if (!x->retry_after && (x->status == 503 || x->status == 429))
        x->retry_after = RETRY_SECONDS;
}

/* Refusals are events (DESIGN 2.3): counted in windows, so that nobody fills the disk by being refused. A stale nonce is no refusal,
 * and neither is a look at something that is not there. */
static void note_refusal(struct acme_exchange *x, enum acme_problem p)
{
    unsigned class = tm_err_class(x->err);
    if (class == TM_CLASS_INTERNAL || class == TM_CLASS_UNAVAILABLE) {
        log_error(x->request->id, "acme.failed", LOG_S("endpoint", x->endpoint->name),
                  LOG_S("error", tm_err_name(x->err)), LOG_S("why", x->diag.message));
        return;
    }
    log_info(x->request->id, "acme.refused", LOG_S("endpoint", x->endpoint->name),
             LOG_S("problem", acme_problem_name(p)), LOG_S("rule", x->diag.rule),
             LOG_S("why", x->diag.message));
    if (p == ACME_P_BAD_NONCE || p == ACME_P_ORDER_NOT_READY || x->err == TM_ENOTFOUND)
        return;
    refusal_note(x->house, x->endpoint->tenant, DOOR_ACME, x->endpoint->name, x->request->peer, x->diag.rule,
                 x->diag.message);
}

static void answer_run(struct task *t)
{
    struct acme_exchange *x = TM_CONTAINER(t, struct acme_exchange, answer);
    struct catalog *c = x->catalog;
    enum acme_problem p = x->err == TM_OK ? ACME_P_NONE : x->problem ? x->problem : acme_problem_of(x->err);
    if (x->err == TM_OK && buf_err(&x->body) != TM_OK)
        x->err = TM_ENOMEM;
    if (x->err != TM_OK) {
        note_refusal(x, p);
        put_error(x);
    }
    acme_count_request(x->endpoint->name, x->err == TM_OK ? "ok" : acme_problem_name(p));
    struct http_header more[HEADERS_MAX];
    size_t n = 0;
    char retry[16];
    if (x->location && (x->err == TM_OK || x->problem == ACME_P_NONE || x->status == 409))
        more[n++] = (struct http_header){"Location", x->location};
    for (size_t i = 0; i < sizeof x->links / sizeof *x->links && x->links[i]; i++)
        more[n++] = (struct http_header){"Link", x->links[i]};
    if (x->cert_not_before && x->err == TM_OK) {
        more[n++] = (struct http_header){"Cert-Not-Before", x->cert_not_before};
        more[n++] = (struct http_header){"Cert-Not-After", x->cert_not_after};
    }
    if (x->retry_after) {
        snprintf(retry, sizeof retry, "%u", x->retry_after);
        more[n++] = (struct http_header){"Retry-After", retry};
    }
    more[n] = (struct http_header){NULL, NULL};
    struct buf body = x->body, subproblems = x->subproblems; /* the exchange goes with its request */
    const char *type = body.n ? x->type ? x->type : "application/json" : NULL;
    acme_reply(x->request, x->status ? x->status : 200, type, buf_slice(&body), more, x->base);
    buf_done(&body);
    buf_done(&subproblems);
    catalog_unref(c);
}

void acme_answer(struct acme_exchange *x)
{
    executor_post(http_request_executor(x->request), &x->answer);
}

void acme_answer_here(struct acme_exchange *x)
{
    x->answer.run(&x->answer);
}

/* ---- who asks ---- */

static tm_err check_type(struct acme_exchange *x)
{
    const char *type = http_request_header(x->request, "Content-Type");
    size_t n = type ? strcspn(type, "; ") : 0;
    static const char wanted[] = "application/jose+json";
    if (n == sizeof wanted - 1 && strncasecmp(type, wanted, n) == 0)
        return TM_OK;
    x->status = 415;
    return acme_refuse(x, ACME_P_MALFORMED, TM_EUNSUPPORTED, "RFC 8555 6.2",
                       "requests are sent as application/jose+json");
}

static tm_err parse(struct acme_exchange *x)
{
    tm_err e = jws_parse(&x->jws, x->arena, x->request->body, JWS_OUTER, &x->diag);
    /* Of what the form is right: the algorithm is not taken, or the key is not good. */
    if (e == TM_EUNSUPPORTED && strcmp(x->diag.field, "alg") == 0)
        x->problem = ACME_P_BAD_SIGNATURE_ALGORITHM;
    else if (e == TM_EUNSUPPORTED || e == TM_EINVAL)
        x->problem = ACME_P_BAD_PUBLIC_KEY;
    return e;
}

/* RFC 8555 6.4: what was signed is for this very address. Where that is configured Host says nothing about it: somebody in between, to
 * whom the client believes to speak, writes there what the client has signed. */
static tm_err check_url(struct acme_exchange *x)
{
    const char *host = http_request_header(x->request, "Host"), *target = x->request->raw_target;
    const char *here = x->settings->url[0] ? arena_printf(x->arena, "%s%s", x->settings->url, target)
                       : host_valid(host)  ? arena_printf(x->arena, "https://%s%s", host, target)
                                           : NULL;
    if (here && strcmp(x->jws.url, here) == 0)
        return TM_OK;
    return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EAUTH, "RFC 8555 6.4",
                       "the \"url\" that was signed is not the address of this request");
}

static tm_err find_account(struct acme_exchange *x, struct diag *diag)
{
    const char *id = acme_url_id(x, x->jws.kid, "account");
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ACCOUNT,
                           .name = id};
    tm_err e = id ? store_read_now(x->house->store, &q) : TM_ENOTFOUND;
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    /* An account belongs to the endpoint where it was made: its key begins with the endpoint's name. */
    size_t n = strlen(x->endpoint->name);
    if (e == TM_ENOTFOUND || strncmp(q.objects[0].key, x->endpoint->name, n) != 0 ||
        q.objects[0].key[n] != '/')
        return acme_refuse(x, ACME_P_ACCOUNT_DOES_NOT_EXIST, TM_EAUTH, "RFC 8555 6.2",
                           "there is no account of this \"kid\" here");
    x->account = arena_calloc(x->arena, 1, sizeof *x->account);
    if (!x->account)
        return TM_ENOMEM;
    return acme_account_read(x->account, x->arena, &q.objects[0]);
}

static tm_err check_signature(struct acme_exchange *x, const struct spki *key)
{
    tm_err e = jws_verify(&x->jws, x->arena, key, &x->diag);
    if (e == TM_EUNSUPPORTED || e == TM_EINVAL)
        x->problem = ACME_P_BAD_SIGNATURE_ALGORITHM;
    else if (e == TM_EBADSIG)
        return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EAUTH, "RFC 8555 6.2",
                           "the signature of the request does not verify");
    return e;
}

static tm_err authenticate(struct acme_exchange *x)
{
    const struct acme_operation *op = x->operation;
    if (op->auth == ACME_BY_KID && !x->jws.kid)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 6.2",
                           "this request is signed by an account, which \"kid\" names");
    if (op->auth == ACME_BY_JWK && !x->jws.has_jwk)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 6.2",
                           "this request carries its key as \"jwk\"");
    if (x->jws.has_jwk)
        return check_signature(x, &x->jws.jwk.spki);
    TM_TRY(find_account(x, &x->diag));
    struct spki key;
    TM_TRY(spki_parse(&key, x->account->spki, &x->diag));
    TM_TRY(check_signature(x, &key));
    if (x->account->row.status != ACME_VALID && !op->anyone)
        return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 8555 7.3.6", "the account is %s",
                           acme_status_names[x->account->row.status]);
    return TM_OK;
}

/* ---- the way ---- */

/* Each request has one signature at least to be verified, and reads some rows: that is work for a core, not for a thread that waits. */
static void judge_soon(struct acme_exchange *x)
{
    executor_post(pool_executor(x->may_wait ? x->house->blocking : x->house->crypto), &x->work);
}

static tm_err judge(struct acme_exchange *x)
{
    if (x->operation->auth == ACME_BY_ANYONE)
        return x->operation->run(x, &x->diag);
    if (!x->admitted) {
        TM_TRY(check_type(x));
        TM_TRY(parse(x));
        TM_TRY(check_url(x));
        if (!nonce_redeem(x->acme->nonces, x->arena, slice_str(x->jws.nonce)))
            return acme_refuse(x, ACME_P_BAD_NONCE, TM_EAUTH, "RFC 8555 6.5",
                               "the nonce was used, is too old or is from elsewhere; here is a new one");
        x->admitted = true;
    }
    TM_TRY(authenticate(x));
    return x->operation->run(x, &x->diag);
}

static void work_run(struct task *t)
{
    struct acme_exchange *x = TM_CONTAINER(t, struct acme_exchange, work);
    x->n_effects = 0;
    x->status = 0;
    x->problem = ACME_P_NONE;
    x->location = NULL;
    x->cert_not_before = x->cert_not_after = NULL;
    x->retry_after = 0;
    x->validate = NULL;
    memset(x->links, 0, sizeof x->links);
    buf_reset(&x->body);
    buf_reset(&x->subproblems);
    diag_clear(&x->diag);
    x->err = judge(x);
    if (x->must_wait && !x->may_wait) {
        x->may_wait = true;
        judge_soon(x);
    } else if (x->err == TM_OK && x->issue) {
        acme_finalize_go(x);
    } else if (x->err == TM_OK && x->n_effects) {
        x->txn = (struct store_txn){.done = x->written,
                                    .reply_to = http_request_executor(x->request),
                                    .effects = x->effects,
                                    .n = x->n_effects};
        store_submit(x->house->store, &x->txn);
    } else {
        acme_answer(x);
    }
}

static void written_run(struct task *t)
{
    struct acme_exchange *x = TM_CONTAINER(t, struct acme_exchange, txn.done);
    if (x->txn.err == TM_ECONFLICT && ++x->tries < TRIES_MAX) {
        judge_soon(x);
        return;
    }
    x->err = x->txn.err;
    if (x->err == TM_OK && x->validate)
        validator_look(x->acme->validator, x->endpoint->tenant, x->validate, x->account->id);
    if (x->err != TM_OK)
        x->diag = x->txn.diag;
    bool token =
        x->err != TM_OK && x->txn.failed < x->n_effects && x->effects[x->txn.failed].kind == EFFECT_TOKEN_USE;
    if (token && tm_err_class(x->err) == TM_CLASS_DENIED) {
        x->problem = ACME_P_UNAUTHORIZED; /* an external key that is used up */
    } else if (x->err == TM_EQUOTA) {
        x->problem = ACME_P_RATE_LIMITED;
        x->retry_after = (unsigned)(ACME_QUOTA_WINDOW - clock_now() % ACME_QUOTA_WINDOW);
    }
    acme_answer_here(x);
}

void acme_serve(struct http_request *r, const struct acme_operation *op)
{
    struct house *h = r->app;
    struct acme_exchange *x = arena_calloc(r->arena, 1, sizeof *x);
    struct catalog *c = house_catalog(h);
    const struct endpoint *ep = acme_endpoint(c, r);
    if (!ep || !x) {
        if (ep)
            acme_reply_not_found(r);
        catalog_unref(c);
        return;
    }
    *x = (struct acme_exchange){.request = r,
                                .acme = h->acme,
                                .house = h,
                                .catalog = c,
                                .endpoint = ep,
                                .settings = ep->acme,
                                .arena = r->arena,
                                .operation = op,
                                .may_wait = op->waits,
                                .work = {.run = work_run},
                                .written = {.run = written_run},
                                .answer = {.run = answer_run}};
    buf_init(&x->body, ACME_BODY_MAX);
    buf_init(&x->subproblems, ACME_BODY_MAX / 2);
    x->base = acme_base(r, ep, http_request_param(r, "endpoint"));
    if (!x->base) {
        x->err = acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 9112 3.2", "the request names no host");
        acme_answer_here(x);
        return;
    }
    judge_soon(x);
}
