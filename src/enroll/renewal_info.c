#include "enroll/renewal_info.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "x509/cert.h"
#include <stdio.h>

enum { RETRY = 6 * 3600, RETRY_SPREAD = 3600 };

struct look {
    struct http_request *request;
    struct house *house;
    struct catalog *catalog;
    tenant_id tenant;
    void (*refuse)(struct http_request *r, tm_err e);
    struct task work, answer;
    struct renewal_window window;
    tm_err err;
    struct diag diag;
};

static uint32_t spread(uint32_t most)
{
    uint32_t v = 0;
    return random_bytes(&v, sizeof v) == TM_OK ? v % most : 0;
}

static void reply(struct http_request *r, const struct renewal_window *w)
{
    char from[21], to[21], retry[16];
    struct buf b;
    clock_format_rfc3339(from, w->start);
    clock_format_rfc3339(to, w->end);
    /* RFC 9773 4.3.2: not all at once */
    snprintf(retry, sizeof retry, "%u", RETRY - RETRY_SPREAD / 2 + spread(RETRY_SPREAD));
    const struct http_header headers[] = {
        {"Retry-After", retry}, {"Cache-Control", "no-cache"}, {NULL, NULL}};
    buf_init(&b, 4096);
    buf_printf(&b, "{\"suggestedWindow\":{\"start\":\"%s\",\"end\":\"%s\"}", from, to);
    if (w->explanation && w->explanation[0]) {
        buf_puts(&b, ",\"explanationURL\":");
        buf_put_json_string(&b, slice_str(w->explanation));
    }
    buf_puts(&b, "}\n");
    http_reply(r, 200, "application/json", buf_slice(&b), headers);
    buf_done(&b);
}

static void answer(struct task *t)
{
    struct look *k = TM_CONTAINER(t, struct look, answer);
    struct catalog *c = k->catalog;
    if (k->err == TM_OK)
        reply(k->request, &k->window);
    else
        k->refuse(k->request, k->err);
    catalog_unref(c);
}

static tm_err look(struct look *k)
{
    struct arena *a = k->request->arena;
    const struct authority *x;
    struct store_read q = {.kind = READ_CERT, .arena = a};
    struct renewal_window moved;
    TM_TRY(renewal_id_parse(&x, q.id, a, k->catalog, http_request_param(k->request, "cert")));
    q.tenant = x->tenant;
    if (k->tenant != TENANT_HOUSE && x->tenant != k->tenant)
        return TM_ENOTFOUND;
    TM_TRY(store_read_now(k->house->store, &q));
    TM_TRY(renewal_window_read(&moved, a, k->house->store, x->tenant, q.id, &k->diag));
    k->window =
        renewal_window_of(catalog_profile(k->catalog, x->tenant, q.certs[0].profile), &q.certs[0], &moved);
    return TM_OK;
}

static void work(struct task *t)
{
    struct look *k = TM_CONTAINER(t, struct look, work);
    k->err = look(k);
    executor_post(http_request_executor(k->request), &k->answer);
}

void renewal_info_answer(struct http_request *r, struct catalog *c, tenant_id tenant,
                         void (*refuse)(struct http_request *r, tm_err e))
{
    struct house *h = r->app;
    struct look *k = arena_calloc(r->arena, 1, sizeof *k);
    if (!k) {
        refuse(r, TM_ENOMEM);
        catalog_unref(c);
        return;
    }
    *k = (struct look){.request = r,
                       .house = h,
                       .catalog = c,
                       .tenant = tenant,
                       .refuse = refuse,
                       .work = {.run = work},
                       .answer = {.run = answer}};
    executor_post(pool_executor(h->blocking), &k->work);
}

bool renewal_info_link(char out[RENEWAL_LINK_MAX], const struct catalog *c, struct slice der)
{
    char id[RENEWAL_ID_MAX];
    struct cert cert;
    if (der.n == 0 || cert_parse(&cert, der, NULL) != TM_OK || renewal_id_of(id, c, &cert) != TM_OK)
        return false;
    snprintf(out, RENEWAL_LINK_MAX, "</renewal-info/%s>; rel=\"renewal-info\"", id);
    return true;
}

/* ---- without a protocol ---- */

/* RFC 9457 */
static void refuse(struct http_request *r, tm_err e)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    int status = e == TM_ENOTFOUND ? 404 : tm_err_class(e) == TM_CLASS_CALLER ? 400 : 503;
    struct buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "{\"title\":\"%s\",\"detail\":\"%s\",\"status\":%d}\n",
               status == 503 ? "not now" : "no such certificate",
               status == 503   ? "try again later"
               : status == 404 ? "this certificate was not issued here, or is not known any more"
                               : "not an identifier as RFC 9773 4.1 has them: "
                                 "base64url(authority key identifier).base64url(serial number)",
               status);
    http_reply(r, status, "application/problem+json", buf_slice(&b), headers);
    buf_done(&b);
}

static void get_renewal_info(struct http_request *r)
{
    renewal_info_answer(r, house_catalog(r->app), TENANT_HOUSE, refuse);
}

const struct http_route renewal_info_routes[] = {
    {.methods = HTTP_M_GET,
     .pattern = "/renewal-info/{cert}",
     .handler = get_renewal_info,
     .listeners = HTTP_LISTENER_PUBLIC_TLS | HTTP_LISTENER_PLAIN | HTTP_LISTENER_CONSOLE,
     .metric = "renewal-info"},
    {0},
};
