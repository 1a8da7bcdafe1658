/* An order becomes a certificate (RFC 8555 7.4). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json_plain.h"
#include "base/text.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/caa_order.h"
#include "enroll/acme/grounds.h"
#include "enroll/acme/metrics.h"
#include "enroll/acme/star.h"
#include "enroll/acme/validate.h"
#include "enroll/endpoint.h"
#include "policy/profile.h"
#include "x509/name.h"
#include <stdlib.h>
#include <string.h>

enum { PENDING_RETRY_MIN = 5, BUSY_RETRY = 5 };

/* ---- names of the request ---- */

static bool name_listed(const struct json_strings *names, const char *text)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcasecmp(names->v[i], text) == 0)
            return true;
    return false;
}

static tm_err text_of(const char **ret, struct arena *a, const struct general_name *gn)
{
    struct buf b;
    buf_init(&b, 4096);
    general_name_print(&b, gn);
    *ret = buf_err(&b) == TM_OK ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* The common name as a name of the order; NULL when there is none. */
static tm_err common_name(const char **ret, struct acme_exchange *x, struct slice subject, struct diag *diag)
{
    struct name n;
    struct slice text;
    *ret = NULL;
    if (subject.n == 0)
        return TM_OK;
    TM_TRY(name_parse(&n, subject, diag));
    tm_err e = name_get(&text, x->arena, &n, OID_CN);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    struct general_name gn;
    char *copy = arena_strndup(x->arena, (const char *)text.p, text.n);
    if (!copy)
        return TM_ENOMEM;
    if (general_name_from_text(&gn, x->arena, text, diag) != TM_OK) {
        *ret = copy;
        return TM_OK;
    }
    return text_of(ret, x->arena, &gn);
}

/* RFC 8555 7.4: the request has exactly the names of the order, in any order and any mix of CN and subjectAltName. */
static tm_err check_names(struct acme_exchange *x, const struct issue_request *i, const struct acme_order *o,
                          struct diag *diag)
{
    const char *cn;
    bool seen[ACME_IDENTIFIERS_MAX] = {false};
    tm_err e = common_name(&cn, x, i->e.subject, diag);
    if (e != TM_OK)
        return e == TM_ENOMEM
                   ? e
                   : acme_refuse(x, ACME_P_BAD_CSR, e, "RFC 8555 7.4", "the subject can't be read");
    for (size_t k = 0; k <= i->e.san.n; k++) {
        const char *text = cn;
        if (k < i->e.san.n)
            TM_TRY(text_of(&text, x->arena, &i->e.san.v[k]));
        if (!text)
            continue;
        if (!name_listed(&o->names, text))
            return acme_refuse(x, ACME_P_BAD_CSR, TM_EINVAL, "RFC 8555 7.4",
                               "%.200s is not a name of the order", text);
        for (size_t n = 0; n < o->names.n; n++)
            seen[n] = seen[n] || strcasecmp(o->names.v[n], text) == 0;
    }
    for (size_t n = 0; n < o->names.n; n++)
        if (!seen[n])
            return acme_refuse(x, ACME_P_BAD_CSR, TM_EINVAL, "RFC 8555 7.4",
                               "%s is a name of the order and not of the request", o->names.v[n]);
    return TM_OK;
}

/* ---- what came of it ---- */

/* The order is valid, and keeps the certificate where the inventory will not. */
tm_err acme_order_issued(struct issue_request *i, struct effect *ret, size_t *ret_n)
{
    struct acme_issuing *k = i->priv_door;
    /* A copy: what can't be committed leaves no marks in the order. */
    struct acme_order *o = arena_alloc(i->arena, sizeof *o);
    if (!o)
        return TM_ENOMEM;
    *o = *k->order;
    o->serial = arena_hex(i->arena, SLICE_ARR(i->serial));
    if (!o->serial)
        return TM_ENOMEM;
    k->issued = o;
    if (k->keep)
        o->cert = i->cert;
    o->row.status = ACME_VALID;
    o->row.keep_until = i->decision.plan.not_after < TM_TIME_NEVER - k->retention
                            ? i->decision.plan.not_after + k->retention
                            : 0;
    o->pending = "";
    if (star_is(o))
        star_issued(o, k->star_index, &i->decision.plan, k->retention);
    TM_TRY(acme_order_write(o, i->arena));
    ret[0] = (struct effect){.kind = EFFECT_OBJECT_PUT,
                             .tenant = i->tenant,
                             .expected_version = o->row.version,
                             .u.object.row = o->row};
    *ret_n = 1;
    if (star_is(o))
        star_mark(&ret[(*ret_n)++], o, i);
    return TM_OK;
}

/* Which problem a decision of policy is: about the key, the names or the caller. */
static enum acme_problem problem_of_rule(tm_err e, const char *rule)
{
    if (e == TM_EQUOTA)
        return ACME_P_RATE_LIMITED;
    if (strncmp(rule, "key.", 4) == 0)
        return ACME_P_BAD_PUBLIC_KEY;
    if (strncmp(rule, "san.", 4) == 0)
        return ACME_P_REJECTED_IDENTIFIER;
    return tm_err_class(e) == TM_CLASS_UNAVAILABLE ? ACME_P_SERVER_INTERNAL : ACME_P_BAD_CSR;
}

/* The owners of names said no, or could not be asked: each name with its own problem (RFC 8555 6.7.1). */
static enum acme_problem problem_of_caa(struct acme_exchange *x)
{
    enum acme_problem all = ACME_P_NONE;
    for (size_t i = 0; x->caa && i < x->caa->n; i++) {
        const struct caa_name *n = &x->caa->v[i];
        struct acme_identifier id = {.value = n->text + 4};
        if (n->problem == ACME_P_NONE)
            continue;
        if (x->issuing.order->names.n > 1)
            acme_subproblem(x, n->problem, &id, n->detail);
        all = all == ACME_P_NONE || all == n->problem ? n->problem : ACME_P_COMPOUND;
    }
    return all == ACME_P_NONE ? ACME_P_CAA : all;
}

static void reply_order(struct acme_exchange *x, enum acme_status status)
{
    x->location = acme_url(x, "order/%s", x->issuing.order->id);
    acme_put_order(&x->body, x, x->issuing.order, status);
}

/* The order waits for approval: that becomes durable, then it is said. */
static void processing(struct acme_exchange *x)
{
    struct acme_order *o = x->issuing.order;
    o->pending = arena_strdup(x->arena, x->issue->pending_id);
    o->row.status = ACME_PROCESSING;
    x->retry_after = x->issue->retry_after > PENDING_RETRY_MIN ? x->issue->retry_after : PENDING_RETRY_MIN;
    x->err = o->pending ? acme_order_write(o, x->arena) : TM_ENOMEM;
    if (x->err == TM_OK)
        x->err = acme_put_row(x, &o->row, false);
    if (x->err != TM_OK) {
        acme_answer_here(x);
        return;
    }
    reply_order(x, ACME_PROCESSING);
    x->txn = (struct store_txn){.done = x->written,
                                .reply_to = http_request_executor(x->request),
                                .effects = x->effects,
                                .n = x->n_effects};
    store_submit(x->house->store, &x->txn);
}

static void issued(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct acme_exchange *x = TM_CONTAINER(i->priv_door, struct acme_exchange, issuing);
    x->err = i->err;
    x->diag = i->diag;
    switch (i->outcome) {
    case ISSUE_ISSUED:
        acme_count_issued(x->endpoint->name);
        x->issuing.order = x->issuing.issued;
        reply_order(x, ACME_VALID);
        break;
    case ISSUE_PENDING:
        processing(x);
        return;
    case ISSUE_DENIED:
        x->problem =
            strcmp(i->diag.rule, "caa") == 0 ? problem_of_caa(x) : problem_of_rule(i->err, i->diag.rule);
        break;
    default:
        /* Another finalization of the same order was quicker. */
        if (i->err == TM_ECONFLICT)
            x->problem = ACME_P_ORDER_NOT_READY;
        if (x->err == TM_OK)
            x->err = TM_EINTERNAL;
    }
    acme_answer_here(x);
}

/* ---- finalize ---- */

/* The payload has one member that counts: its text; NULL where it is missing. */
static tm_err read_payload(const char **ret, struct acme_exchange *x, struct diag *diag)
{
    struct payload {
        const char *csr;
    } plain = {0};
    static const struct json_field schema[] = {
        JSON_FIELD(struct payload, csr, JSON_K_STRING, .max = ACME_BODY_MAX),
        {0},
    };
    *ret = NULL;
    if (json_bind_plain(&plain, schema, x->jws.payload, x->arena)) {
        *ret = plain.csr;
        return TM_OK;
    }
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    const char *text = json_string_value(json_object_get(p, "csr"));
    *ret = text ? arena_strdup(x->arena, text) : NULL;
    json_decref(p);
    return text && !*ret ? TM_ENOMEM : TM_OK;
}

static tm_err read_request(struct acme_exchange *x, struct issue_request *i, const char *text,
                           struct diag *diag)
{
    struct slice der;
    struct csr *csr = arena_calloc(x->arena, 1, sizeof *csr);
    if (!csr)
        return TM_ENOMEM;
    if (!text || base64url_strict(&der, x->arena, slice_str(text)) != TM_OK)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.4",
                           "\"csr\" is not a request in base64url");
    tm_err e = csr_parse_pkcs10(csr, der, diag);
    if (e == TM_OK)
        e = issue_from_csr(i, csr, diag);
    if (tm_err_class(e) == TM_CLASS_CALLER)
        x->problem = ACME_P_BAD_CSR;
    TM_TRY(e);
    /* RFC 8555 11.1: the account's key is for the account alone. */
    if (slice_eq(csr->spki.der, x->account->spki))
        return acme_refuse(x, ACME_P_BAD_CSR, TM_EINVAL, "RFC 8555 11.1",
                           "the key of the request is the account's own");
    return TM_OK;
}

/* RFC 8555 7.4: a certificate has the times that the order asked for, or there is none. Policy would cut them. */
static tm_err check_times(struct acme_exchange *x, const struct issue_request *i)
{
    const struct acme_order *o = x->issuing.order;
    int64_t not_after = star_is(o) ? i->e.not_after : o->not_after;
    if (!o->not_before && !not_after)
        return TM_OK;
    if (!x->may_wait) {
        x->must_wait = true;
        return TM_OK;
    }
    struct issue_request *probe = arena_alloc(x->arena, sizeof *probe);
    if (!probe)
        return TM_ENOMEM;
    *probe = *i;
    probe->dry_run = true;
    if (x->caa)
        TM_TRY(caa_order_assume(&probe->e.caa, x->caa, x->arena));
    issue_run(probe);
    const struct plan *plan = &probe->decision.plan;
    if (probe->outcome == ISSUE_DENIED || probe->outcome == ISSUE_FAILED)
        return TM_OK; /* the same again will say why, and be recorded */
    if ((!o->not_before || plan->not_before == o->not_before) && (!not_after || plan->not_after == not_after))
        return TM_OK;
    char from[21], to[21];
    clock_format_rfc3339(from, plan->not_before);
    clock_format_rfc3339(to, plan->not_after);
    return acme_refuse(x, ACME_P_MALFORMED, TM_EDENIED, "lifetime.requested",
                       "the profile does not allow the times asked for; the nearest are %s to %s", from, to);
}

void acme_issue_fill(struct issue_request *i, const struct catalog *c, const struct endpoint *ep,
                     struct acme_issuing *issuing, const struct acme_account *account)
{
    const struct tenant *tenant = catalog_tenant_by_id(c, ep->tenant);
    const struct acme_order *o = issuing->order;
    i->tenant = ep->tenant;
    i->authority = ep->authority[0] ? ep->authority : NULL;
    i->also = acme_order_issued;
    i->priv_door = issuing;
    i->order = o->id;
    i->e.tenant = tenant ? tenant->name : "";
    i->e.endpoint = ep->name;
    i->e.door = DOOR_ACME;
    i->e.profile = o->profile;
    i->e.kind = ENROLL_NEW;
    i->e.caller = (struct caller){.kind = CALLER_ACCOUNT,
                                  .id = account->id,
                                  .names = (const char *const *)o->names.v,
                                  .n_names = o->names.n,
                                  .peer = ""};
}

/* What the order has to know, and what has to be looked at before its issue. */
static tm_err prepare_order(struct acme_exchange *x, struct diag *diag)
{
    struct acme_order *o = x->issuing.order;
    const struct profile *p = catalog_profile(x->catalog, x->endpoint->tenant, o->profile);
    o->account_url = x->jws.kid;
    if (star_is(o) || (p && profile_needs_approval(p)))
        TM_TRY(grounds_keep(o, x->arena, x->house, x->endpoint->tenant, diag));
    x->issuing.retention = x->settings->retention;
    x->issuing.keep = p && profile_retention(p) != RETAIN_FULL;
    if (!p || !profile_needs_caa(p))
        return TM_OK;
    x->caa = arena_calloc(x->arena, 1, sizeof *x->caa);
    return x->caa ? caa_order_begin(x->caa, x->arena, x->house, x->endpoint->tenant, o, diag) : TM_ENOMEM;
}

static void caa_looked(struct errand *e, tm_err err)
{
    struct acme_exchange *x = TM_CONTAINER(e, struct acme_exchange, errand);
    x->err = err == TM_OK ? caa_order_look(&x->issue->e.caa, x->caa, x->arena,
                                           validator_resolvers(x->acme->validator), x->settings, &x->diag)
                          : diag_fail(&x->diag, err, NULL, NULL, "the server is going down: try again");
    if (x->err == TM_OK)
        issue_submit(x->issue);
    else
        acme_answer(x);
}

void acme_finalize_go(struct acme_exchange *x)
{
    if (!x->caa) {
        if (x->may_wait)
            issue_submit(x->issue);
        else
            issue_submit_here(x->issue);
        return;
    }
    x->errand.run = caa_looked;
    tm_err e = validator_errand(x->acme->validator, x->endpoint->tenant, x->issuing.order->id, x->account->id,
                                &x->errand);
    if (e == TM_OK)
        return; /* the exchange belongs to the errand's thread now, and may have been answered */
    x->err = e;
    if (e == TM_ECONFLICT) {
        x->err = acme_refuse(x, ACME_P_ORDER_NOT_READY, TM_ECONFLICT, "RFC 8555 7.4",
                             "the order is being finalized already");
    } else if (e == TM_EQUOTA) {
        x->retry_after = BUSY_RETRY;
        x->err = acme_refuse(x, ACME_P_RATE_LIMITED, TM_EQUOTA, "acme.validations",
                             "the account has too much to be looked up already");
    } else if (e == TM_EBUSY) {
        x->retry_after = BUSY_RETRY;
        x->err = acme_refuse(x, ACME_P_RATE_LIMITED, TM_EBUSY, "acme.validations",
                             "too much is being looked up here already: try again");
    }
    acme_answer(x);
}

static tm_err prepare(struct acme_exchange *x, const char *csr, struct diag *diag)
{
    struct issue_request *i = arena_calloc(x->arena, 1, sizeof *i);
    const struct endpoint *ep = x->endpoint;
    const struct acme_order *o = x->issuing.order;
    if (!i)
        return TM_ENOMEM;
    /* The order may be older than what the endpoint offers now. */
    if (!endpoint_offers(ep, slice_str(o->profile)))
        return acme_refuse(x, ACME_P_INVALID_PROFILE, TM_EDENIED, "endpoint.profiles",
                           "the profile of this order is not offered any more");
    i->house = x->house;
    i->arena = x->arena;
    TM_TRY(read_request(x, i, csr, diag));
    TM_TRY(check_names(x, i, o, diag));
    acme_issue_fill(i, x->catalog, ep, &x->issuing, x->account);
    i->done.run = issued;
    i->reply_to = http_request_executor(x->request);
    i->e.request_id = x->request->id;
    i->e.not_before = o->not_before;
    i->e.not_after = o->not_after;
    i->e.caller.peer = x->request->peer;
    if (star_is(o))
        star_begin(x->issuing.order, &i->e, i->csr->der);
    TM_TRY(prepare_order(x, diag));
    TM_TRY(check_times(x, i));
    x->issue = i;
    return TM_OK;
}

static tm_err finalize(struct acme_exchange *x, struct diag *diag)
{
    enum acme_status status;
    const char *csr;
    struct acme_order *o = arena_calloc(x->arena, 1, sizeof *o);
    x->issue = NULL;
    x->caa = NULL;
    x->issuing = (struct acme_issuing){.order = o};
    if (!o)
        return TM_ENOMEM;
    TM_TRY(acme_own_order(o, x, diag));
    TM_TRY(acme_order_status(&status, x, o, diag));
    if (status != ACME_READY)
        return acme_refuse(x, ACME_P_ORDER_NOT_READY, TM_ECONFLICT, "RFC 8555 7.4", "the order is %s",
                           acme_status_names[status]);
    TM_TRY(read_payload(&csr, x, diag));
    return prepare(x, csr, diag);
}

const struct acme_operation acme_finalize = {.auth = ACME_BY_KID, .run = finalize};
