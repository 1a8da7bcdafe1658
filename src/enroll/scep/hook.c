/* A service that judges challenges, as vendors of device management have it: it is asked with the request and the challenge as they came, and
 * told afterwards what became of them.
 *
 *   POST, application/json; Touchmark-Signature: sha256=HEX of the HMAC over the body, or Authorization: Bearer
 *   {"event":"validate","request":…,"endpoint":…,"transaction":…,"peer":…,"challenge":…,"csr":base64}
 *   -> 200 {"allow":true,"names":["CN=…"]} or {"allow":false,"reason":…}; 4xx refuses too
 *   {"event":"outcome","request":…,…,"outcome":"issued|pending|refused","certificate":base64,"rule":…}   -> not looked at
 *
 * The address is the operator's; it is connected to under the same rules as ACME's validations, private networks only where named. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "enroll/acme/response.h"
#include "enroll/acme/validate.h"
#include "enroll/scep/scep.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BODY_MAX = 512 << 10, AT_ONCE_MAX = 6, TELL_MAX = 256, NAMES_MAX = 100 };

static atomic_int asking, telling;

struct exchange {
    struct arena *a;
    const struct scep_settings *settings;
    struct acme_settings reach; /* networks only: what reach.c looks at */
    struct attempt attempt;
    struct target to;
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    struct diag *diag;
};

static tm_err unavailable(struct exchange *x, const char *why)
{
    ERR_clear_error();
    return diag_fail(x->diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                     "the service that judges challenges: %s", why);
}

/* ---- getting there ---- */

static tm_err addresses(struct exchange *x, struct address *v, size_t *ret_n)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    size_t n = 0;
    if (getaddrinfo(x->to.host, NULL, &hints, &list) != 0)
        return unavailable(x, "its name does not resolve");
    for (const struct addrinfo *i = list; i && n < REACH_ADDRESSES_MAX; i = i->ai_next) {
        struct address one = {0};
        if (i->ai_family == AF_INET)
            one = address_from_v4(
                (const uint8_t *)&((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr);
        else if (i->ai_family == AF_INET6)
            one = address_from_v6(
                (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)i->ai_addr)->sin6_addr);
        else
            continue;
        if (reach_allowed(&x->reach, &one))
            v[n++] = one;
    }
    freeaddrinfo(list);
    *ret_n = n;
    return n ? TM_OK
             : unavailable(x, "it is at an address that is not public and in no network that is named");
}

static bool trust(struct exchange *x)
{
    if (!x->settings->webhook.ca[0])
        return SSL_CTX_set_default_verify_paths(x->ctx) == 1;
    BIO *in = BIO_new_mem_buf(x->settings->webhook.ca, -1);
    X509_STORE *store = SSL_CTX_get_cert_store(x->ctx);
    size_t n = 0;
    for (X509 *c; in && (c = PEM_read_bio_X509(in, NULL, NULL, NULL)); n++) {
        X509_STORE_add_cert(store, c);
        X509_free(c);
    }
    BIO_free(in);
    ERR_clear_error();
    return n > 0;
}

/* True: try again, the descriptor is ready. */
static bool wait_for(struct exchange *x, int rc)
{
    int why = SSL_get_error(x->ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        return reach_wait(&x->attempt, x->fd, POLLIN);
    if (why == SSL_ERROR_WANT_WRITE)
        return reach_wait(&x->attempt, x->fd, POLLOUT);
    return false;
}

static bool is_address(const char *host)
{
    uint8_t octets[16];
    return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

static tm_err connect_tls(struct exchange *x)
{
    struct address v[REACH_ADDRESSES_MAX];
    size_t n;
    int rc;
    TM_TRY(addresses(x, v, &n));
    if (reach_connect(&x->fd, &x->attempt, v, n, x->to.port) != TM_OK)
        return unavailable(x, "it can't be connected to");
    x->ctx = SSL_CTX_new(TLS_client_method());
    if (!x->ctx || SSL_CTX_set_min_proto_version(x->ctx, TLS1_2_VERSION) != 1 || !trust(x))
        return unavailable(x, "its CA can't be read");
    SSL_CTX_set_verify(x->ctx, SSL_VERIFY_PEER, NULL);
    x->ssl = SSL_new(x->ctx);
    bool literal = is_address(x->to.host);
    bool named = x->ssl && SSL_set_fd(x->ssl, x->fd) == 1 &&
                 (literal ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(x->ssl), x->to.host) == 1
                          : SSL_set1_host(x->ssl, x->to.host) == 1 &&
                                SSL_set_tlsext_host_name(x->ssl, x->to.host) == 1);
    if (!named)
        return TM_ENOMEM;
    while ((rc = SSL_connect(x->ssl)) != 1)
        if (!wait_for(x, rc))
            return unavailable(x, SSL_get_verify_result(x->ssl) != X509_V_OK
                                      ? "its certificate is not trusted"
                                      : "TLS was not agreed on in time");
    return TM_OK;
}

static tm_err write_all(struct exchange *x, struct slice s)
{
    while (s.n) {
        size_t n = 0;
        int rc = SSL_write_ex(x->ssl, s.p, s.n, &n);
        if (rc != 1 && !wait_for(x, rc))
            return unavailable(x, "it does not take the request");
        s = slice_of(s.p + n, s.n - n);
    }
    return TM_OK;
}

static tm_err read_answer(struct exchange *x, struct response *ret)
{
    uint8_t octets[4096];
    struct response_reader *r = arena_alloc(x->a, response_reader_size());
    if (!r)
        return TM_ENOMEM;
    response_reader_init(r, ret);
    while (!ret->complete) {
        size_t n = 0;
        int rc = SSL_read_ex(x->ssl, octets, sizeof octets, &n);
        bool ended = rc != 1 && SSL_get_error(x->ssl, rc) == SSL_ERROR_ZERO_RETURN;
        if (rc != 1 && !ended && !wait_for(x, rc))
            return unavailable(x, "it does not answer in time");
        if (rc != 1 && !ended)
            continue;
        if (response_read(r, slice_of(octets, n)) != TM_OK)
            return unavailable(x, "its answer is not HTTP");
        if (ended)
            break;
    }
    return ret->status && ret->complete ? TM_OK : unavailable(x, "it ends without a whole answer");
}

static tm_err put_head(struct buf *out, struct exchange *x, struct slice body)
{
    const struct scep_settings *s = x->settings;
    bool v6 = strchr(x->to.host, ':') != NULL;
    buf_printf(
        out, "POST %s HTTP/1.1\r\nHost: %s%s%s:%d\r\nConnection: close\r\nContent-Type: application/json\r\n",
        x->to.path, v6 ? "[" : "", x->to.host, v6 ? "]" : "", x->to.port);
    buf_printf(out, "Content-Length: %zu\r\n", body.n);
    if (s->webhook.bearer[0])
        buf_printf(out, "Authorization: Bearer %s\r\n", s->webhook.bearer);
    if (s->webhook.secret[0]) {
        uint8_t mac[SHA256_LEN];
        TM_TRY(hmac_sha256(mac, slice_str(s->webhook.secret), body));
        char *hex = arena_hex(x->a, SLICE_ARR(mac));
        if (!hex)
            return TM_ENOMEM;
        buf_printf(out, "Touchmark-Signature: sha256=%s\r\n", hex);
    }
    buf_puts(out, "\r\n");
    return buf_err(out);
}

static tm_err post(struct response *ret, struct arena *a, const struct scep_settings *s, struct slice body,
                   struct diag *diag)
{
    struct exchange x = {.a = a, .settings = s, .fd = -1, .diag = diag};
    struct target none = {0};
    struct buf head;
    x.reach.validation.networks = s->webhook.networks;
    x.attempt = (struct attempt){.settings = &x.reach,
                                 .arena = a,
                                 .deadline_ns = clock_mono_ns() + (uint64_t)s->webhook.timeout * 1000000000u};
    buf_init(&head, 16 << 10);
    tm_err e = target_resolve(&x.to, &none, s->webhook.url);
    if (e != TM_OK)
        e = unavailable(&x, "its address can't be read");
    if (e == TM_OK)
        e = connect_tls(&x);
    if (e == TM_OK)
        e = put_head(&head, &x, body);
    if (e == TM_OK)
        e = write_all(&x, buf_slice(&head));
    if (e == TM_OK)
        e = write_all(&x, body);
    if (e == TM_OK)
        e = read_answer(&x, ret);
    if (head.p)
        explicit_bzero(head.p, head.n); /* the bearer token */
    buf_done(&head);
    SSL_free(x.ssl);
    SSL_CTX_free(x.ctx);
    if (x.fd >= 0)
        close(x.fd);
    return e;
}

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

static tm_err take_names(struct scep_exchange *x, const json_t *names)
{
    struct caller *c = &x->issue.e.caller;
    return json_array_size(names) > NAMES_MAX
               ? TM_ENOMEM
               : json_texts(&c->names, &c->n_names, x->request->arena, names);
}

static tm_err judge(struct scep_exchange *x, const struct response *r, struct diag *diag)
{
    json_t *doc = NULL;
    if (r->status >= 500 || r->status < 200 || (r->status >= 300 && r->status < 400))
        return diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                         "the service that judges challenges answers with status %d", r->status);
    bool parsed =
        r->status < 300 && json_parse(&doc, slice_of(r->body, r->body_n), sizeof r->body, NULL) == TM_OK;
    bool allow = parsed && json_is_true(json_object_get(doc, "allow"));
    const char *reason = json_string_value(json_object_get(doc, "reason"));
    const json_t *names = json_object_get(doc, "names");
    tm_err e = TM_OK;
    if (!allow)
        e = diag_fail(diag, TM_EAUTH, "scep.webhook", "challengePassword",
                      "the challenge was refused%s%.100s", reason ? ": " : "", reason ? reason : "");
    else if (!names || json_is_array(names))
        e = take_names(x, names);
    else /* what was meant as a bound must not be read as none */
        e = diag_fail(diag, TM_EUNAVAIL, "scep.webhook", "webhook",
                      "the service that judges challenges answers with \"names\" that are no list");
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
        e = post(r, x->request->arena, x->endpoint->scep, buf_slice(&body), diag);
    atomic_fetch_sub(&asking, 1);
    if (body.p)
        explicit_bzero(body.p, body.n);
    buf_done(&body);
    if (e == TM_OK)
        e = judge(x, r, diag);
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

static void tell(struct task *t)
{
    struct news *n = TM_CONTAINER(t, struct news, task);
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct response *r = a ? arena_calloc(a, 1, sizeof *r) : NULL;
    if (r && post(r, a, n->settings, buf_slice(&n->body), &diag) != TM_OK)
        log_warn(NULL, "scep.webhook", LOG_S("why", diag.message));
    explicit_bzero(n->body.p, n->body.n);
    buf_done(&n->body);
    catalog_unref(n->catalog);
    arena_free(a);
    free(n);
    atomic_fetch_sub(&telling, 1);
}

void scep_hook_tell(struct scep_exchange *x)
{
    const struct issue_request *i = &x->issue;
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
    put_about(&n->body, x, "outcome");
    put_text(&n->body, "outcome",
             slice_str(x->err == TM_OK         ? "issued"
                       : x->err == TM_EPENDING ? "pending"
                                               : "refused"));
    if (i->outcome == ISSUE_ISSUED)
        put_base64(&n->body, "certificate", i->cert);
    if (x->err != TM_OK && x->err != TM_EPENDING)
        put_text(&n->body, "rule", slice_str(x->diag.rule));
    buf_putc(&n->body, '}');
    if (buf_err(&n->body) == TM_OK) {
        scep_post(x->house, &n->task);
        return;
    }
    buf_done(&n->body);
    catalog_unref(n->catalog);
    free(n);
    atomic_fetch_sub(&telling, 1);
}
