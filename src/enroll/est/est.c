/* The routes, and what is answered from the catalog alone. */
#include "enroll/est/est.h"
#include "base/arena.h"
#include "enroll/ca_bundle.h"
#include "enroll/endpoint.h"
#include "enroll/renewal_info.h"
#include "policy/profile.h"
#include "x509/cms/certs_only.h"
#include <string.h>

enum { BODY_MAX = 128 << 10, CMC_BODY_MAX = 512 << 10, ANSWER_MAX = 1 << 20 };

/* ---- which endpoint ---- */

static const struct endpoint *find_endpoint(const struct catalog *c, const struct http_request *r)
{
    const char *label = http_request_param(r, "label");
    return endpoint_open(c, DOOR_EST, label ? label : "default");
}

static void no_endpoint(struct http_request *r)
{
    est_reply_error(r, TM_ENOTFOUND, "endpoint.unknown", "there is no open EST endpoint of this name");
}

/* A device that shows its certificate whenever it looks for new CA certificates learns where to ask for its own; NULL: it has none of ours. */
static const char *link_of_shown(char out[RENEWAL_LINK_MAX], const struct catalog *c,
                                 const struct http_request *r)
{
    return renewal_info_link(out, c, r->client_cert) ? out : NULL;
}

/* ---- CA certificates ---- */

static void get_cacerts(struct http_request *r)
{
    struct house *h = r->app;
    struct catalog *c = house_catalog(h);
    const struct endpoint *e = find_endpoint(c, r);
    struct slice v[CA_BUNDLE_MAX];
    char text[RENEWAL_LINK_MAX];
    size_t n = e ? ca_bundle(v, c, e) : 0;
    struct buf der;
    buf_init(&der, ANSWER_MAX);
    if (!e)
        no_endpoint(r);
    else if (n == 0)
        est_reply_error(r, TM_EUNAVAIL, "authority.missing", "the authority of this endpoint is not known");
    else if (certs_only_build(&der, v, n, NULL, 0) != TM_OK)
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
    else
        est_reply_base64(r, "application/pkcs7-mime", buf_slice(&der), link_of_shown(text, c, r));
    buf_done(&der);
    catalog_unref(c);
}

/* ---- what a request should contain (RFC 9908) ---- */

static void get_csrattrs(struct http_request *r)
{
    struct house *h = r->app;
    struct catalog *c = house_catalog(h);
    const struct endpoint *e = find_endpoint(c, r);
    const struct profile *p = e && e->n_profiles > 0 ? catalog_profile(c, e->tenant, e->profiles[0]) : NULL;
    char text[RENEWAL_LINK_MAX];
    struct buf der;
    buf_init(&der, ANSWER_MAX);
    if (!e)
        no_endpoint(r);
    else if (!p)
        http_reply(r, 204, NULL, (struct slice){0}, NULL);
    else if (profile_csrattrs(&der, p, e->require_channel_binding) != TM_OK)
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
    else
        est_reply_base64(r, "application/csrattrs", buf_slice(&der), link_of_shown(text, c, r));
    buf_done(&der);
    catalog_unref(c);
}

/* ---- enrollments ---- */

static void begin(struct http_request *r, enum est_op op)
{
    struct house *h = r->app;
    struct est_exchange *x = arena_calloc(r->arena, 1, sizeof *x);
    if (!x) {
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
        return;
    }
    x->request = r;
    x->house = h;
    x->op = op;
    x->work.run = op == EST_FULLCMC ? est_cmc_work : est_enroll_work;
    x->refused.run = est_answer_refused;
    x->issue.done.run = est_answer;
    x->issue.reply_to = http_request_executor(r);
    x->catalog = house_catalog(h);
    x->endpoint = find_endpoint(x->catalog, r);
    x->who = (struct identity){.house = h,
                               .catalog = x->catalog,
                               .endpoint = x->endpoint,
                               .arena = r->arena,
                               .shown = r->client_cert,
                               .chain = r->client_chain,
                               .n_chain = r->n_client_chain};
    if (!x->endpoint || (op == EST_KEYGEN && !x->endpoint->server_keygen)) {
        no_endpoint(r);
        catalog_unref(x->catalog);
        return;
    }
    /* The TLS connection belongs to the loop: the other threads get the binding only. */
    const char *type;
    if (http_request_channel_binding(r, &x->binding, &type) != TM_OK)
        x->binding = (struct slice){0};
    executor_post(pool_executor(h->blocking), &x->work);
}

static void post_enroll(struct http_request *r)
{
    begin(r, EST_ENROLL);
}

static void post_reenroll(struct http_request *r)
{
    begin(r, EST_REENROLL);
}

static void post_keygen(struct http_request *r)
{
    begin(r, EST_KEYGEN);
}

static void post_fullcmc(struct http_request *r)
{
    begin(r, EST_FULLCMC);
}

#define EST_ROUTE(method_, prefix_, name_, handler_, max_)                                                   \
    {.methods = (method_),                                                                                   \
     .pattern = "/.well-known/est/" prefix_ name_,                                                           \
     .handler = (handler_),                                                                                  \
     .listeners = HTTP_LISTENER_PUBLIC_TLS,                                                                  \
     .body_max = (max_),                                                                                     \
     .metric = "est." name_}
#define EST_ROUTES(prefix_)                                                                                  \
    EST_ROUTE(HTTP_M_GET, prefix_, "cacerts", get_cacerts, 0),                                               \
        EST_ROUTE(HTTP_M_GET, prefix_, "csrattrs", get_csrattrs, 0),                                         \
        EST_ROUTE(HTTP_M_POST, prefix_, "simpleenroll", post_enroll, BODY_MAX),                              \
        EST_ROUTE(HTTP_M_POST, prefix_, "simplereenroll", post_reenroll, BODY_MAX),                          \
        EST_ROUTE(HTTP_M_POST, prefix_, "serverkeygen", post_keygen, BODY_MAX),                              \
        EST_ROUTE(HTTP_M_POST, prefix_, "fullcmc", post_fullcmc, CMC_BODY_MAX)

static const struct http_route est_routes[] = {EST_ROUTES(""), EST_ROUTES("{label}/"), {0}};

const struct door_descriptor est_door = {
    .id = DOOR_EST,
    .name = "est",
    .title = "Enrollment over Secure Transport (RFC 7030)",
    .routes = est_routes,
};
