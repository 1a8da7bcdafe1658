/* What the status-proxy answers: JSON questions, yes or no for a reverse proxy, the signed files themselves, its own state. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "gateway/impl.h"
#include "status/conditional.h"
#include <stdio.h>
#include <string.h>

enum { CERT_BODY_MAX = 64 << 10, OCSP_BODY_MAX = 4096, SERIAL_HEX_MAX = 64 };

static void reply_json(struct http_request *r, int status, struct buf *out, const struct http_header *headers)
{
    if (buf_err(out) != TM_OK)
        http_reply(r, 500, "text/plain", SLICE_LIT("out of memory\n"), NULL);
    else
        http_reply(r, status, "application/json", buf_slice(out), headers);
    buf_done(out);
}

static void reply_problem(struct http_request *r, int status, const char *what)
{
    struct buf out;
    buf_init(&out, 4096);
    buf_puts(&out, "{\"error\":");
    buf_put_json_string(&out, slice_str(what));
    buf_puts(&out, "}\n");
    reply_json(r, status, &out, NULL);
}

static void put_time(struct buf *out, const char *key, int64_t t)
{
    char text[21] = "";
    if (t)
        clock_format_rfc3339(text, t);
    buf_printf(out, t ? ",\"%s\":\"%s\"" : ",\"%s\":null", key, text);
}

/* ---- which certificate ---- */

struct subject {
    const struct gateway_authority *authority;
    struct slice serial;
    int64_t not_before; /* 0: the certificate itself was not shown */
};

/* By key identifier or by the SHA-256 of the public key, in hex; without one, if there is only one authority. */
static const struct gateway_authority *authority_named(const struct gateway *g, const char *text)
{
    if (!text || !text[0])
        return g->n_authorities == 1 ? &g->authorities[0] : NULL;
    for (size_t i = 0; i < g->n_authorities; i++) {
        char id[2 * TMF_ISSUER_LEN + 1];
        hex_encode(id, SLICE_ARR(g->authorities[i].id));
        if (strcasecmp(text, g->authorities[i].ski) == 0 || strcasecmp(text, id) == 0)
            return &g->authorities[i];
    }
    return NULL;
}

static tm_err subject_from_cert(struct subject *ret, const struct gateway *g, struct arena *a,
                                struct slice octets)
{
    struct slice der = octets;
    struct cert c;
    if (octets.n && octets.p[0] != 0x30)
        TM_TRY(pem_next(&der, NULL, a, &octets, "CERTIFICATE"));
    TM_TRY(cert_parse(&c, der, NULL));
    ret->serial = c.serial;
    ret->not_before = c.not_before;
    struct slice akid = cert_akid(&c);
    for (size_t i = 0; i < g->n_authorities; i++) {
        const struct gateway_authority *x = &g->authorities[i];
        if (slice_eq(c.issuer, x->cert.subject) && (akid.n == 0 || slice_eq(akid, cert_ski(&x->cert)))) {
            ret->authority = x;
            return TM_OK;
        }
    }
    return TM_ENOTFOUND;
}

/* nginx's $ssl_client_escaped_cert: PEM, percent-encoded. */
static tm_err unescape(struct slice *ret, struct arena *a, const char *text)
{
    size_t n = strlen(text), k = 0;
    char *out = arena_alloc(a, n + 1);
    if (!out)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct slice octet;
        if (text[i] != '%') {
            out[k++] = text[i];
            continue;
        }
        if (i + 2 >= n)
            return TM_EMALFORMED;
        TM_TRY(hex_decode(&octet, a, slice_of(text + i + 1, 2)));
        out[k++] = (char)octet.p[0];
        i += 2;
    }
    *ret = slice_of(out, k);
    return TM_OK;
}

/* A certificate in the header X-Client-Cert or the body, or ?serial and ?issuer, or the headers X-Client-Serial and X-Client-Issuer. */
static tm_err subject_of(struct subject *ret, struct http_request *r, const char **ret_why)
{
    struct gateway *g = r->app;
    const char *cert = http_request_header(r, "X-Client-Cert"), *serial = http_request_query(r, "serial"),
               *issuer = http_request_query(r, "issuer");
    const char *number = http_request_header(r, "X-Client-Serial");
    struct slice octets = r->body;
    /* A server in front that sets one of them passes the others on as its client sent them. */
    *ret_why = "it names more than one certificate";
    if ((octets.n > 0) + (serial != NULL) + (cert && cert[0]) + (number && number[0]) > 1)
        return TM_EDENIED;
    *ret_why = "not a certificate";
    if (cert && cert[0])
        TM_TRY(unescape(&octets, r->arena, cert));
    if (octets.n) {
        tm_err e = subject_from_cert(ret, g, r->arena, octets);
        if (e == TM_ENOTFOUND)
            *ret_why = "issued by an authority that is not known here";
        return e;
    }
    if (!serial) {
        serial = number;
        issuer = http_request_header(r, "X-Client-Issuer");
    }
    *ret_why = "give a certificate, or its serial number in hex";
    if (!serial || !serial[0] || strlen(serial) > SERIAL_HEX_MAX ||
        hex_decode(&ret->serial, r->arena, slice_str(serial)) != TM_OK)
        return TM_EINVAL;
    ret->authority = authority_named(g, issuer);
    *ret_why = "no such authority here: issuer is its key identifier in hex";
    return ret->authority ? TM_OK : TM_ENOTFOUND;
}

/* ---- answers about certificates ---- */

struct freshness {
    char age[24], as_of[21], uplink[8];
    struct http_header headers[6];
};

static void freshness_of(struct freshness *f, const struct gateway *g, const struct gateway_answer *a)
{
    int64_t now = clock_now();
    size_t n = 0;
    snprintf(f->uplink, sizeof f->uplink, "%s", atomic_load(&g->uplink) ? "up" : "down");
    f->headers[n++] = (struct http_header){"Cache-Control", "no-store"};
    f->headers[n++] = (struct http_header){"X-Touchmark-Status", gateway_status_names[a->status]};
    f->headers[n++] = (struct http_header){"X-Touchmark-Uplink", f->uplink};
    if (a->as_of) {
        clock_format_rfc3339(f->as_of, a->as_of);
        snprintf(f->age, sizeof f->age, "%lld", (long long)(now > a->as_of ? now - a->as_of : 0));
        f->headers[n++] = (struct http_header){"X-Touchmark-As-Of", f->as_of};
        f->headers[n++] = (struct http_header){"X-Touchmark-Age", f->age};
    }
    f->headers[n] = (struct http_header){0};
}

static void put_answer(struct buf *out, struct http_request *r, const struct subject *s,
                       const struct gateway_answer *a)
{
    struct gateway *g = r->app;
    int64_t now = clock_now();
    const char *serial = arena_hex(r->arena, s->serial);
    buf_printf(out, "{\"status\":\"%s\",\"serial\":\"%s\",\"issuer\":\"%s\",\"source\":\"%s\"",
               gateway_status_names[a->status], serial ? serial : "", s->authority->ski, a->source);
    buf_printf(out, ",\"covered\":%s", a->status == STATUS_UNKNOWN ? "false" : "true");
    if (a->issued)
        put_time(out, "issued", a->issued);
    put_time(out, "as_of", a->as_of);
    put_time(out, "next_update", a->next_update);
    if (a->as_of)
        buf_printf(out, ",\"age\":%lld", (long long)(now > a->as_of ? now - a->as_of : 0));
    buf_printf(out, ",\"number\":%llu,\"overdue\":%s,\"uplink\":\"%s\"", (unsigned long long)a->number,
               a->next_update && now > a->next_update ? "true" : "false",
               atomic_load(&g->uplink) ? "up" : "down");
    put_time(out, "last_contact", atomic_load(&g->last_contact));
    buf_puts(out, "}\n");
}

static void get_status(struct http_request *r)
{
    struct gateway *g = r->app;
    struct subject s = {0};
    struct freshness f;
    struct buf out;
    const char *why;
    tm_err e = subject_of(&s, r, &why);
    if (e != TM_OK) {
        reply_problem(r, e == TM_ENOTFOUND ? 404 : 400, why);
        return;
    }
    struct gateway_answer a = gateway_ask(g, s.authority, s.serial, s.not_before);
    metric_add(&gateway_answers, METRIC_LABELS(gateway_status_names[a.status]), 1);
    freshness_of(&f, g, &a);
    buf_init(&out, 16384);
    put_answer(&out, r, &s, &a);
    reply_json(r, a.status == STATUS_STALE ? 503 : 200, &out, f.headers);
}

/* For nginx's auth_request and its like: 204 or 403, and 503 where the knowledge is too old. */
static void get_check(struct http_request *r)
{
    struct gateway *g = r->app;
    struct subject s = {0};
    struct freshness f;
    const char *why;
    struct gateway_answer a = {.status = STATUS_UNKNOWN, .source = ""};
    tm_err e = subject_of(&s, r, &why);
    if (e == TM_OK)
        a = gateway_ask(g, s.authority, s.serial, s.not_before);
    bool fresh = a.issued && clock_now() - a.issued < g->config.allow_new;
    bool refused = a.status == STATUS_REVOKED || e == TM_EDENIED ||
                   (a.status == STATUS_UNKNOWN && g->config.deny_unknown && !fresh);
    metric_add(&gateway_answers, METRIC_LABELS(gateway_status_names[a.status]), 1);
    freshness_of(&f, g, &a);
    http_reply(r, a.status == STATUS_STALE ? 503 : refused ? 403 : 204, NULL, (struct slice){0}, f.headers);
}

/* ---- the signed files ---- */

static void reply_source(struct http_request *r, struct gateway_source *s, const char *type)
{
    struct gateway *g = r->app;
    struct gateway_object *o = object_now(g, s);
    int64_t now = clock_now();
    if (!o) {
        http_reply(r, s ? 503 : 404, "text/plain",
                   slice_str(s ? "upstream was not reached yet\n" : "not found\n"), NULL);
        return;
    }
    if (now - o->this_update > g->config.stale_after) {
        http_reply(r, 503, "text/plain", SLICE_LIT("older than stale-after allows\n"), NULL);
    } else {
        struct representation v = {.type = type,
                                   .body = slice_of(o->octets, o->n),
                                   .etag = o->etag,
                                   .modified = o->this_update,
                                   .cache_control = "public, max-age=60"};
        representation_reply(r, &v);
    }
    object_unref(o);
}

static void get_crl(struct http_request *r)
{
    struct gateway *g = r->app;
    const char *ski = http_request_param(r, "ski"), *file = http_request_param(r, "file");
    const struct gateway_authority *x = NULL;
    for (size_t i = 0; i < g->n_authorities; i++)
        if (strcasecmp(g->authorities[i].ski, ski) == 0)
            x = &g->authorities[i];
    reply_source(r, x && strcmp(file, "full.crl") == 0 ? x->crl : NULL, "application/pkix-crl");
}

static void get_filter(struct http_request *r)
{
    struct gateway *g = r->app;
    const char *file = http_request_param(r, "file");
    struct gateway_source *found = NULL;
    for (size_t i = 0; i < g->n_sources; i++)
        if (g->sources[i].kind != SOURCE_CRL && strcmp(g->sources[i].name, file) == 0)
            found = &g->sources[i];
    reply_source(r, found, "application/vnd.touchmark.filter");
}

/* ---- its own state ---- */

static bool put_sources(struct buf *out, struct gateway *g)
{
    int64_t now = clock_now();
    bool ready = g->n_sources > 0;
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n_sources; i++) {
        const struct gateway_source *s = &g->sources[i];
        const struct gateway_object *o = s->now;
        bool stale = o && now - o->this_update > g->config.stale_after;
        buf_printf(out, "%s{\"name\":\"%s\",\"octets\":%zu", i ? "," : "", s->name, o ? o->n : 0);
        put_time(out, "as_of", o ? o->this_update : 0);
        put_time(out, "next_update", o ? o->next_update : 0);
        put_time(out, "confirmed", s->confirmed);
        buf_printf(out, ",\"number\":%llu,\"stale\":%s,\"failures\":%u,\"why\":",
                   (unsigned long long)(o ? o->number : 0), stale ? "true" : "false", s->failures);
        buf_put_json_string(out, slice_str(s->why));
        buf_putc(out, '}');
        if (s->kind != SOURCE_DELTA && !o)
            ready = false;
        if (s->kind == SOURCE_CRL && stale)
            ready = false;
    }
    pthread_mutex_unlock(&g->lock);
    return ready;
}

static void reply_state(struct http_request *r, bool as_readiness)
{
    struct gateway *g = r->app;
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_printf(&out, "{\"uplink\":\"%s\",\"upstream\":", atomic_load(&g->uplink) ? "up" : "down");
    buf_put_json_string(&out, slice_str(g->config.upstream));
    put_time(&out, "last_contact", atomic_load(&g->last_contact));
    buf_puts(&out, ",\"sources\":[");
    bool ready = put_sources(&out, g);
    buf_puts(&out, "]}\n");
    reply_json(r, ready || !as_readiness ? 200 : 503, &out, NULL);
}

static void get_sources(struct http_request *r)
{
    reply_state(r, false);
}

static void get_ready(struct http_request *r)
{
    reply_state(r, true);
}

static void get_health(struct http_request *r)
{
    http_reply(r, 200, "text/plain", SLICE_LIT("ok\n"), NULL);
}

static struct metric ages = {.name = "proxy_age_seconds",
                             .help = "How old what was fetched is, by source.",
                             .kind = METRIC_GAUGE,
                             .labels = {"source"}};
static struct metric uplink = {.name = "proxy_uplink_up",
                               .help = "1 if the last exchange with upstream went through.",
                               .kind = METRIC_GAUGE};
static struct metric *const gateway_metrics[] = {&ages,         &uplink, &gateway_fetches, &gateway_answers,
                                                 &gateway_ocsp, NULL};

static void get_metrics(struct http_request *r)
{
    struct gateway *g = r->app;
    struct buf out;
    int64_t now = clock_now();
    metrics_register(gateway_metrics);
    metric_set(&uplink, NULL, atomic_load(&g->uplink));
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n_sources; i++)
        if (g->sources[i].now)
            metric_set(&ages, METRIC_LABELS(g->sources[i].name), now - g->sources[i].now->this_update);
    pthread_mutex_unlock(&g->lock);
    buf_init(&out, 4 << 20);
    metrics_render(&out);
    http_reply(r, 200, METRICS_CONTENT_TYPE, buf_slice(&out), NULL);
    buf_done(&out);
}

const struct http_route gateway_routes[] = {
    {HTTP_M_GET, "/v1/status", get_status, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.status"},
    {HTTP_M_POST, "/v1/status", get_status, HTTP_LISTENER_PLAIN, CERT_BODY_MAX, .metric = "proxy.status"},
    {HTTP_M_GET, "/v1/check", get_check, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.check"},
    {HTTP_M_GET, "/v1/sources", get_sources, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.sources"},
    {HTTP_M_GET, "/crl/{ski}/{file}", get_crl, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.crl"},
    {HTTP_M_GET, "/filter/{file}", get_filter, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.filter"},
    {HTTP_M_POST, "/ocsp", ocsp_post, HTTP_LISTENER_PLAIN, OCSP_BODY_MAX, .metric = "proxy.ocsp"},
    {HTTP_M_GET, "/ocsp/{request...}", ocsp_get, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.ocsp"},
    {HTTP_M_GET, "/healthz", get_health, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.health"},
    {HTTP_M_GET, "/readyz", get_ready, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.health"},
    {HTTP_M_GET, "/metrics", get_metrics, HTTP_LISTENER_PLAIN, 0, .metric = "proxy.metrics"},
    {0},
};
