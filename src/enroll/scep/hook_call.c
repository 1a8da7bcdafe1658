/* The way to the service that judges challenges: an HTTPS client for one exchange, with one deadline for all of it.
 *
 * The address is the operator's, so its name is resolved as the machine resolves names (hosts, search domains, DNS); it is connected to under
 * the same rules as validations are (enroll/outbound/reach.h), private networks only where named. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/outbound/lookup.h"
#include "enroll/outbound/reach.h"
#include "enroll/outbound/response.h"
#include "enroll/scep/hook.h"
#include "issue/scep_settings.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_bool ending;

struct exchange {
    struct arena *a;
    const struct scep_settings *settings;
    struct reach reach;
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
    size_t n = 0, allowed = 0;
    switch (lookup_addresses(v, REACH_ADDRESSES_MAX, &n, x->to.host, &x->reach)) {
    case TM_OK:
        break;
    case TM_ENOMEM:
        return TM_ENOMEM;
    case TM_ETIMEOUT:
        return unavailable(x, "its name does not resolve in time");
    case TM_EUNAVAIL:
        return unavailable(x, "names are not resolved here any more; the machine's resolver hangs");
    default:
        return unavailable(x, "its name does not resolve");
    }
    for (size_t i = 0; i < n; i++)
        if (reach_allowed(x->reach.networks, &v[i]))
            v[allowed++] = v[i];
    *ret_n = allowed;
    return allowed ? TM_OK
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
        return reach_wait(&x->reach, x->fd, POLLIN);
    if (why == SSL_ERROR_WANT_WRITE)
        return reach_wait(&x->reach, x->fd, POLLOUT);
    return false;
}

static tm_err connect_tls(struct exchange *x)
{
    struct address v[REACH_ADDRESSES_MAX];
    size_t n = 0;
    int rc;
    TM_TRY(addresses(x, v, &n));
    if (reach_connect(&x->fd, &x->reach, v, n, x->to.port) != TM_OK)
        return unavailable(x, "it can't be connected to");
    x->ctx = SSL_CTX_new(TLS_client_method());
    if (!x->ctx || SSL_CTX_set_min_proto_version(x->ctx, TLS1_2_VERSION) != 1 || !trust(x))
        return unavailable(x, "its CA can't be read");
    SSL_CTX_set_verify(x->ctx, SSL_VERIFY_PEER, NULL);
    x->ssl = SSL_new(x->ctx);
    struct address a;
    bool literal = reach_literal(&a, x->to.host);
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
    *ret =
        (struct response){.body = arena_alloc(x->a, SCEP_HOOK_ANSWER_MAX), .body_max = SCEP_HOOK_ANSWER_MAX};
    if (!r || !ret->body)
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
        tm_err e = response_read(r, slice_of(octets, n));
        if (e == TM_ETOOBIG || ret->cut)
            return unavailable(x, "its answer is longer than 32 KiB");
        if (e != TM_OK)
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

tm_err scep_hook_post(struct response *ret, struct arena *a, const struct scep_settings *s, struct slice body,
                      struct diag *diag)
{
    struct exchange x = {.a = a, .settings = s, .fd = -1, .diag = diag};
    struct target none = {0};
    struct buf head;
    x.reach = (struct reach){.networks = &s->webhook.networks,
                             .over = &ending,
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

void scep_hook_reachable(bool is)
{
    atomic_store(&ending, !is);
}
