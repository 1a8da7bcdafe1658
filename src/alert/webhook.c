/* A webhook: JSON by POST, signed by HMAC-SHA-256 over time and body, so that the receiver knows whose it is and that it is not old. */
#include "alert/impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/outbound/response.h"
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 2 << 20 };

/* Touchmark-Signature: t=<unix seconds>,v1=<hex of HMAC(key, "<t>.<body>")> */
static tm_err sign(struct buf *b, struct arena *a, const char *key, const char *body)
{
    uint8_t mac[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    char *text = arena_printf(a, "%lld.%s", (long long)clock_now(), body);
    if (!text)
        return TM_ENOMEM;
    TM_TRY(hmac_sha256(mac, slice_str(key), slice_str(text)));
    hex_encode(hex, SLICE_ARR(mac));
    buf_printf(b, "Touchmark-Signature: t=%.*s,v1=%s\r\n", (int)strcspn(text, "."), text, hex);
    return TM_OK;
}

static tm_err put_request(struct buf *b, struct arena *a, const struct target *t, const struct message *m,
                          const char *key)
{
    bool v6 = strchr(t->host, ':') != NULL;
    buf_printf(b, "POST %s HTTP/1.1\r\nHost: %s%s%s", t->path, v6 ? "[" : "", t->host, v6 ? "]" : "");
    if (t->port != (t->tls ? 443 : 80))
        buf_printf(b, ":%d", t->port);
    buf_printf(
        b,
        "\r\nUser-Agent: touchmark/%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n"
        "Touchmark-Delivery: %s\r\n",
        TM_VERSION, strlen(m->json), m->id);
    if (key[0])
        TM_TRY(sign(b, a, key, m->json));
    buf_printf(b, "\r\n%s", m->json);
    return buf_err(b);
}

static tm_err read_answer(struct wire *w, struct response *out, struct diag *diag)
{
    struct response_reader *r = calloc(1, response_reader_size());
    tm_err e = r ? TM_OK : TM_ENOMEM;
    bool over = false;
    if (r)
        response_reader_init(r, out);
    while (e == TM_OK && !out->complete && !over && out->status == 0) {
        struct slice some;
        e = wire_read(w, &some, diag);
        over = some.n == 0;
        if (e == TM_OK)
            e = response_read(r, some);
    }
    free(r);
    return e;
}

tm_err webhook_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                    const char *key, struct diag *diag)
{
    struct target *t = arena_alloc(a, sizeof *t), *base = arena_alloc(a, sizeof *base);
    struct response *r = arena_alloc(a, sizeof *r);
    struct wire w;
    struct buf b;
    if (!t || !base || !r)
        return TM_ENOMEM;
    if (target_resolve(t, base, d->webhook.url) != TM_OK)
        return diag_fail(diag, TM_EINVAL, NULL, "webhook.url", "this is no address to POST to");
    buf_init(&b, REQUEST_MAX);
    tm_err e = put_request(&b, a, t, m, key);
    if (e != TM_OK) {
        buf_done(&b);
        return e;
    }
    e = wire_open(&w, d, t->host, t->port, diag);
    if (e == TM_OK && t->tls)
        e = wire_tls(&w, d, t->host, diag);
    if (e == TM_OK)
        e = wire_write(&w, buf_slice(&b), diag);
    if (e == TM_OK)
        e = read_answer(&w, r, diag);
    wire_close(&w);
    buf_done(&b);
    if (e != TM_OK)
        return diag->message[0]
                   ? e
                   : diag_fail(diag, TM_EUNAVAIL, NULL, t->host, "%s did not answer in HTTP", t->host);
    if (r->status < 200 || r->status > 299)
        return diag_fail(diag, TM_EUNAVAIL, NULL, t->host, "%s answered with status %d", t->host, r->status);
    return TM_OK;
}
