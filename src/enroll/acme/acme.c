/* The door: its routes, what it keeps while the server runs, and what it does by the clock. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "enroll/acme/authz_hint.h"
#include "enroll/acme/metrics.h"
#include "enroll/acme/nonce.h"
#include "enroll/acme/star.h"
#include "enroll/acme/validate.h"
#include "issue/jobs.h"
#include <stdlib.h>

/* ---- routes ---- */

#define SERVE(name, operation)                                                                               \
    static void name(struct http_request *r)                                                                 \
    {                                                                                                        \
        acme_serve(r, &(operation));                                                                         \
    }
SERVE(post_new_account, acme_new_account)
SERVE(post_account, acme_account)
SERVE(post_orders, acme_orders)
SERVE(post_key_change, acme_key_change)
SERVE(post_new_order, acme_new_order)
SERVE(post_order, acme_get_order)
SERVE(post_finalize, acme_finalize)
SERVE(post_new_authz, acme_new_authz)
SERVE(post_authz, acme_get_authz)
SERVE(post_challenge, acme_challenge)
SERVE(post_certificate, acme_certificate)
SERVE(post_star, acme_star_certificate)
SERVE(get_star, acme_star_certificate_get)
SERVE(post_revoke, acme_revoke)

#define ROUTE(method_, path_, handler_, max_, metric_)                                                       \
    {.methods = (method_),                                                                                   \
     .pattern = "/acme/{endpoint}/" path_,                                                                   \
     .handler = (handler_),                                                                                  \
     .listeners = HTTP_LISTENER_PUBLIC_TLS,                                                                  \
     .body_max = (max_),                                                                                     \
     .metric = "acme." metric_}

static const struct http_route acme_routes[] = {
    ROUTE(HTTP_M_GET, "directory", acme_get_directory, 0, "directory"),
    ROUTE(HTTP_M_GET, "new-nonce", acme_get_nonce, 0, "new-nonce"),
    ROUTE(HTTP_M_GET, "renewal-info/{cert}", acme_get_renewal_info, 0, "renewal-info"),
    ROUTE(HTTP_M_POST, "new-account", post_new_account, JWS_MAX, "new-account"),
    ROUTE(HTTP_M_POST, "new-order", post_new_order, JWS_MAX, "new-order"),
    ROUTE(HTTP_M_POST, "new-authz", post_new_authz, JWS_MAX, "new-authz"),
    ROUTE(HTTP_M_POST, "revoke-cert", post_revoke, JWS_MAX, "revoke-cert"),
    ROUTE(HTTP_M_POST, "key-change", post_key_change, JWS_MAX, "key-change"),
    ROUTE(HTTP_M_POST, "account/{id}", post_account, JWS_MAX, "account"),
    ROUTE(HTTP_M_POST, "account/{id}/orders", post_orders, JWS_MAX, "orders"),
    ROUTE(HTTP_M_POST, "order/{id}", post_order, JWS_MAX, "order"),
    ROUTE(HTTP_M_POST, "order/{id}/finalize", post_finalize, JWS_MAX, "finalize"),
    ROUTE(HTTP_M_POST, "authz/{id}", post_authz, JWS_MAX, "authz"),
    ROUTE(HTTP_M_POST, "challenge/{id}/{type}", post_challenge, JWS_MAX, "challenge"),
    ROUTE(HTTP_M_POST, "cert/{id}", post_certificate, JWS_MAX, "cert"),
    ROUTE(HTTP_M_POST, "cert/{id}/{chain}", post_certificate, JWS_MAX, "cert"),
    ROUTE(HTTP_M_POST, "star/{id}", post_star, JWS_MAX, "star"),
    ROUTE(HTTP_M_GET, "star/{id}", get_star, 0, "star"),
    {0},
};

/* What the server refuses by itself: too many requests, too large, no such route. A nonce goes with it, for the next try. */
static void on_error(struct http_request *r, int status, const char *detail)
{
    const struct house *h = r->app;
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"status\":%d,\"detail\":",
               status == 429   ? "rateLimited"
               : status >= 500 ? "serverInternal"
                               : "malformed",
               status);
    buf_put_json_string(&b, slice_str(detail && detail[0] ? detail : http_status_text(status)));
    buf_puts(&b, "}\n");
    if (h->acme)
        acme_reply(r, status, "application/problem+json", buf_slice(&b), NULL, NULL);
    else
        http_reply(r, status, "application/problem+json", buf_slice(&b), NULL);
    buf_done(&b);
}

/* ---- by the clock ---- */

static tm_err sweep(struct house *h, struct diag *diag)
{
    return h->acme ? validator_sweep(h->acme->validator, diag) : TM_OK;
}

static const struct job sweep_job = {.name = "acme.validate", .period_ms = 500, .run = sweep};
static const struct job star_job = {.name = "acme.renew", .period_ms = 1000, .run = star_sweep};
static const struct job *const acme_jobs[] = {&sweep_job, &star_job, NULL};

/* ---- while the server runs ---- */

static struct acme *serving; /* a process serves one house */

static void acme_free(struct acme *a)
{
    if (!a)
        return;
    validator_free(a->validator);
    authz_hints_free(a->hints);
    nonces_free(a->nonces);
    free(a);
}

static tm_err acme_open(struct house *h)
{
    struct acme *a = calloc(1, sizeof *a);
    if (!a)
        return TM_ENOMEM;
    a->house = h;
    tm_err e = nonces_new(&a->nonces, 0);
    if (e == TM_OK)
        e = authz_hints_new(&a->hints);
    if (e == TM_OK)
        e = validator_new(&a->validator, h);
    if (e != TM_OK) {
        acme_free(a);
        return e;
    }
    acme_metrics_register();
    serving = h->acme = a;
    h->resume[DOOR_ACME] = acme_resume;
    return TM_OK;
}

static void acme_stop(struct house *h)
{
    if (h->acme)
        validator_stop(h->acme->validator);
}

static void acme_close(void)
{
    acme_free(serving);
    serving = NULL;
}

const struct door_descriptor acme_door = {
    .id = DOOR_ACME,
    .name = "acme",
    .title = "Automatic Certificate Management Environment (RFC 8555)",
    .routes = acme_routes,
    .open = acme_open,
    .stop = acme_stop,
    .close = acme_close,
    .jobs = acme_jobs,
    .prefix = "/acme/",
    .on_error = on_error,
};
