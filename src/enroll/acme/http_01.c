/* http-01 (RFC 8555 8.3): a file on the name's web server, perhaps behind redirects. */
#include "base/arena.h"
#include "enroll/acme/link.h"
#include "enroll/outbound/response.h"
#include <stdio.h>
#include <string.h>

enum { REDIRECTS_MAX = 5, HTTP_PORT = 80, HTTPS_PORT = 443 };

static int port_of(const struct attempt *t, const struct target *to)
{
    if (to->port)
        return to->port;
    return (int)(to->tls ? t->settings->validation.tls_port : t->settings->validation.http_port);
}

/* ---- one request ---- */

static tm_err send_request(struct attempt *t, struct link *l, const struct target *to)
{
    char port[8] = "";
    int usual = to->tls ? HTTPS_PORT : HTTP_PORT, used = port_of(t, to);
    bool v6 = strchr(to->host, ':') != NULL;
    if (used != usual)
        snprintf(port, sizeof port, ":%d", used);
    const char *text =
        arena_printf(t->arena,
                     "GET %s HTTP/1.1\r\nHost: %s%s%s%s\r\nUser-Agent: touchmark\r\nAccept: */*\r\n"
                     "Connection: close\r\n\r\n",
                     to->path, v6 ? "[" : "", to->host, v6 ? "]" : "", port);
    return text ? link_write(l, slice_str(text)) : TM_ENOMEM;
}

static tm_err read_response(struct response *ret, struct attempt *t, struct link *l)
{
    uint8_t octets[4096];
    struct response_reader *r = arena_alloc(t->arena, response_reader_size());
    if (!r)
        return TM_ENOMEM;
    response_reader_init(r, ret);
    for (size_t n = 1; n > 0 && !ret->complete;) {
        TM_TRY(link_read(l, octets, sizeof octets, &n));
        if (response_read(r, slice_of(octets, n)) != TM_OK)
            return attempt_failed(t, ACME_P_CONNECTION, "the answer of the server is not HTTP, or too long");
    }
    return ret->status ? TM_OK : attempt_failed(t, ACME_P_CONNECTION, "the server ended without an answer");
}

static tm_err exchange(struct response *ret, struct attempt *t, const struct target *to)
{
    struct address a;
    int fd;
    struct link l;
    TM_TRY(attempt_connect(&fd, t, to->host, port_of(t, to)));
    link_init(&l, t, fd);
    bool literal = reach_literal(&a, to->host);
    /* RFC 8555 8.3: whose certificate that is does not matter, it may be the one that is being asked for. */
    tm_err e = to->tls ? link_tls(&l, literal ? NULL : to->host, (struct slice){0}) : TM_OK;
    if (e == TM_OK)
        e = send_request(t, &l, to);
    if (e == TM_OK)
        e = read_response(ret, t, &l);
    link_done(&l);
    return e;
}

/* ---- redirects ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A redirect stays with HTTP on the usual ports, or those that were configured for them. */
static tm_err follow(struct target *to, struct attempt *t, const struct response *r)
{
    struct target next;
    tm_err e = target_resolve(&next, to, r->location);
    if (e != TM_OK || !r->location[0]) {
        t->final = true;
        return attempt_failed(t, ACME_P_CONNECTION, "%s redirects to an address that can't be followed",
                              to->host);
    }
    int port = port_of(t, &next);
    if (port != HTTP_PORT && port != HTTPS_PORT && port != t->settings->validation.http_port &&
        port != t->settings->validation.tls_port) {
        t->final = true;
        return attempt_failed(t, ACME_P_CONNECTION, "%s redirects to port %d, where validations do not go",
                              to->host, port);
    }
    *to = next;
    return TM_OK;
}

/* The key authorization, perhaps with white space behind it. */
static tm_err check_body(struct attempt *t, const struct response *r, const struct target *to)
{
    struct slice body = slice_of(r->body, r->body_n);
    while (body.n > 0 &&
           (body.p[body.n - 1] == ' ' || (body.p[body.n - 1] >= '\t' && body.p[body.n - 1] <= '\r')))
        body.n--;
    if (slice_eq_str(body, t->key_authorization))
        return TM_OK;
    return attempt_failed(t, ACME_P_INCORRECT_RESPONSE, "the file at %s%s is not the right one", to->host,
                          to->path);
}

static tm_err run(struct attempt *t)
{
    enum { BODY_MAX = 1024 }; /* a key authorization is much shorter */
    struct target to = {.tls = false};
    struct response *r = arena_alloc(t->arena, sizeof *r);
    uint8_t *body = arena_alloc(t->arena, BODY_MAX);
    if (!r || !body)
        return TM_ENOMEM;
    *r = (struct response){.body = body, .body_max = BODY_MAX};
    snprintf(to.host, sizeof to.host, "%s", t->identifier->value);
    snprintf(to.path, sizeof to.path, "/.well-known/acme-challenge/%s", t->token);
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        TM_TRY(exchange(r, t, &to));
        if (r->status == 200)
            return check_body(t, r, &to);
        if (!is_redirect(r->status))
            return attempt_failed(t, ACME_P_UNAUTHORIZED, "%s answers with status %d for %s", to.host,
                                  r->status, to.path);
        TM_TRY(follow(&to, t, r));
    }
    return attempt_failed(t, ACME_P_CONNECTION, "%s redirects more than %d times", t->identifier->value,
                          REDIRECTS_MAX);
}

const struct challenge challenge_http_01 = {
    .type = ACME_HTTP_01, .name = "http-01", .wildcard = false, .addresses = true, .run = run};
