/* Answers, on the loop. The one table from errors to HTTP statuses is here. */
#include "base/arena.h"
#include "base/text.h"
#include "enroll/est/est.h"
#include "enroll/renewal_info.h"
#include "keys/key.h"
#include "x509/cms/certs_only.h"
#include <openssl/crypto.h>
#include <stdio.h>

enum { ANSWER_MAX = 1 << 20, RETRY_SECONDS = 30 };

/* The first row that fits: exact errors first, then classes. */
static const struct {
    unsigned err; /* an error, or a class alone */
    int status;
} statuses[] = {
    {TM_EAUTH, 401},          {TM_EQUOTA, 429},       {TM_ENOTFOUND, 404},    {TM_ETOOBIG, 413},
    {TM_EPENDING, 202},       {TM_CLASS_CALLER, 400}, {TM_CLASS_DENIED, 403}, {TM_CLASS_UNAVAILABLE, 503},
    {TM_CLASS_INTERNAL, 500},
};

static const struct http_header challenge = {"WWW-Authenticate",
                                             "Basic realm=\"touchmark\", charset=\"UTF-8\""};

int est_status_of(tm_err e)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].err == (unsigned)e || statuses[i].err == tm_err_class(e))
            return statuses[i].status;
    return 500;
}

void est_reply_error(struct http_request *r, tm_err e, const char *rule, const char *reason)
{
    int status = est_status_of(e);
    char retry[16];
    struct http_header headers[4] = {{"Cache-Control", "no-store"}};
    size_t n = 1;
    if (status == 401)
        headers[n++] = challenge;
    if (status == 503 || status == 429) {
        snprintf(retry, sizeof retry, "%d", RETRY_SECONDS);
        headers[n++] = (struct http_header){"Retry-After", retry};
    }
    bool internal = tm_err_class(e) == TM_CLASS_INTERNAL || !reason || !reason[0];
    struct buf b;
    buf_init(&b, 4096);
    if (!internal && rule && rule[0])
        buf_printf(&b, "%s: ", rule);
    buf_printf(&b, "%s\n", internal ? "something went wrong here; the log has the reason" : reason);
    http_reply(r, status, "text/plain; charset=utf-8", buf_slice(&b), headers);
    buf_done(&b);
}

void est_reply_base64(struct http_request *r, const char *type, struct slice der, const char *link)
{
    const struct http_header headers[] = {
        {"Content-Transfer-Encoding", "base64"}, {link ? "Link" : NULL, link}, {NULL, NULL}};
    struct buf b;
    buf_init(&b, 2 * ANSWER_MAX);
    buf_put_base64(&b, der, BASE64_STD,
                   0); /* RFC 8951 3 by RFC 4648 3.1: no line feeds; some clients choke on them */
    if (buf_err(&b) == TM_OK)
        http_reply(r, 200, type, buf_slice(&b), headers);
    else
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
    buf_done(&b);
}

void est_reply_cmc(struct http_request *r, int status, unsigned retry_after, struct slice der)
{
    char retry[16];
    struct http_header headers[5] = {{"Content-Transfer-Encoding", "base64"}, {"Cache-Control", "no-store"}};
    size_t n = 2;
    if (status == 401)
        headers[n++] = challenge;
    if (status == 202 || status == 429 || status == 503) {
        snprintf(retry, sizeof retry, "%u", retry_after ? retry_after : RETRY_SECONDS);
        headers[n++] = (struct http_header){"Retry-After", retry};
    }
    struct buf b;
    buf_init(&b, 2 * ANSWER_MAX);
    buf_put_base64(&b, der, BASE64_STD, 0);
    if (buf_err(&b) == TM_OK)
        http_reply(r, status, "application/pkcs7-mime; smime-type=CMC-response", buf_slice(&b), headers);
    else
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
    buf_done(&b);
}

static void put_part(struct buf *b, const char *boundary, const char *type, struct slice der)
{
    buf_printf(b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary, type);
    buf_put_base64(b, der, BASE64_STD, 0);
    buf_puts(b, "\r\n");
}

/* RFC 7030 4.4.2: the key, then its certificate. */
static void reply_parts(struct http_request *r, const char *type, struct slice key, struct slice certs,
                        const char *link)
{
    static const char boundary[] = "touchmark-est-serverkeygen"; /* '-' is not of base64's alphabet */
    const struct http_header headers[] = {
        {"Cache-Control", "no-store"}, {link ? "Link" : NULL, link}, {NULL, NULL}};
    struct buf b;
    buf_init(&b, ANSWER_MAX);
    /* Whole from the beginning: growing would leave copies of the key behind. */
    bool ok = buf_extend(&b, 1024 + 2 * (key.n + certs.n)) != NULL;
    if (ok) {
        buf_reset(&b);
        put_part(&b, boundary, type, key);
        put_part(&b, boundary, "application/pkcs7-mime; smime-type=certs-only", certs);
        buf_printf(&b, "--%s--\r\n", boundary);
        ok = buf_err(&b) == TM_OK;
    }
    if (ok)
        http_reply(r, 200, "multipart/mixed; boundary=touchmark-est-serverkeygen", buf_slice(&b), headers);
    else
        est_reply_error(r, TM_ENOMEM, NULL, NULL);
    if (b.p)
        OPENSSL_cleanse(b.p, b.cap);
    buf_done(&b);
}

static void reply_key(struct est_exchange *x, struct slice certs, const char *link)
{
    if (x->seal.wanted) {
        reply_parts(x->request, "application/pkcs7-mime; smime-type=server-generated-key", x->seal.message,
                    certs, link);
        return;
    }
    struct secret pkcs8 = {0};
    if (key_export_pkcs8(&pkcs8, x->key) == TM_OK)
        reply_parts(x->request, "application/pkcs8", secret_slice(&pkcs8), certs, link);
    else
        est_reply_error(x->request, TM_ENOMEM, NULL, NULL);
    secret_done(&pkcs8);
}

/* RFC 7030 4.2.3: certs-only with the issued certificate alone; the chain is what /cacerts gives. */
static void reply_issued(struct est_exchange *x)
{
    char text[RENEWAL_LINK_MAX];
    const char *link = renewal_info_link(text, x->catalog, x->issue.cert) ? text : NULL;
    struct buf der;
    buf_init(&der, ANSWER_MAX);
    if (certs_only_build(&der, &x->issue.cert, 1, NULL, 0) != TM_OK)
        est_reply_error(x->request, TM_ENOMEM, NULL, NULL);
    else if (x->op == EST_KEYGEN)
        reply_key(x, buf_slice(&der), link);
    else
        est_reply_base64(x->request, "application/pkcs7-mime; smime-type=certs-only", buf_slice(&der), link);
    buf_done(&der);
}

static void reply_pending(struct est_exchange *x)
{
    char retry[16];
    snprintf(retry, sizeof retry, "%u", x->issue.retry_after ? x->issue.retry_after : RETRY_SECONDS);
    const struct http_header headers[] = {
        {"Retry-After", retry}, {"Cache-Control", "no-store"}, {NULL, NULL}};
    http_reply(x->request, 202, "text/plain; charset=utf-8",
               SLICE_LIT("approval: the request waits for approval; send it again later\n"), headers);
}

void est_answer(struct task *t)
{
    struct issue_request *i = TM_CONTAINER(t, struct issue_request, done);
    struct est_exchange *x = TM_CONTAINER(i, struct est_exchange, issue);
    struct catalog *c = x->catalog;
    struct key *key = x->key;
    switch (i->outcome) {
    case ISSUE_ISSUED:
        reply_issued(x);
        break;
    case ISSUE_PENDING:
        reply_pending(x);
        break;
    default:
        est_reply_error(x->request, i->err == TM_OK ? TM_EINTERNAL : i->err, i->diag.rule, i->diag.message);
    }
    key_free(key); /* the exchange went with its request */
    catalog_unref(c);
}

void est_answer_refused(struct task *t)
{
    struct est_exchange *x = TM_CONTAINER(t, struct est_exchange, refused);
    struct catalog *c = x->catalog;
    struct key *key = x->key;
    est_reply_error(x->request, x->err, x->diag.rule, x->diag.message);
    key_free(key);
    catalog_unref(c);
}
