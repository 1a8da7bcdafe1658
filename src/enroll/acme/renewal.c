/* Renewal information (RFC 9773): when a certificate should be renewed, as the profile's rule has it. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/acme/acme.h"
#include "policy/profile.h"
#include <stdio.h>
#include <string.h>

enum { RETRY = 6 * 3600, RETRY_SPREAD = 3600, CERT_ID_MAX = 200 };

struct look {
    struct http_request *request;
    struct house *house;
    struct catalog *catalog;
    const struct endpoint *endpoint;
    const char *base;
    struct task work, answer;
    struct store_read read, moved;
    struct {
        int64_t start, end;
        const char *explanation; /* "" */
    } window;
    tm_err err;
    struct diag diag;
};

/* RFC 9773 4.1: base64url(AKI keyIdentifier) "." base64url(serial), where the serial is the INTEGER's contents. */
tm_err acme_cert_id_parse(uint8_t ret[CERT_SERIAL_LEN], struct arena *a, const struct catalog *c,
                          tenant_id tenant, const char *text)
{
    const char *dot = strchr(text, '.');
    struct slice key_id, serial;
    if (!dot || strlen(text) > CERT_ID_MAX)
        return TM_EMALFORMED;
    TM_TRY(base64url_strict(&key_id, a, slice_of(text, (size_t)(dot - text))));
    TM_TRY(base64url_strict(&serial, a, slice_str(dot + 1)));
    /* A zero octet stands in front where the sign bit would be set; ours never is. */
    if (serial.n != CERT_SERIAL_LEN)
        return TM_ENOTFOUND;
    const struct authority *const *all;
    size_t n = catalog_authorities(c, &all);
    for (size_t i = 0; i < n; i++) {
        if (all[i]->tenant != tenant || !slice_eq(all[i]->key_id, key_id))
            continue;
        memcpy(ret, serial.p, CERT_SERIAL_LEN);
        return TM_OK;
    }
    return TM_ENOTFOUND;
}

static uint32_t spread(uint32_t most)
{
    uint32_t v = 0;
    return random_bytes(&v, sizeof v) == TM_OK ? v % most : 0;
}

/* A window that an operator has moved. */
static tm_err read_moved(struct look *k)
{
    static const struct json_field schema[] = {
        {.key = "start", .kind = JSON_K_INT, .offset = offsetof(struct look, window.start), .required = true},
        {.key = "end", .kind = JSON_K_INT, .offset = offsetof(struct look, window.end), .required = true},
        {.key = "explanation",
         .kind = JSON_K_STRING,
         .offset = offsetof(struct look, window.explanation),
         .def = ""},
        {0},
    };
    json_t *doc = NULL;
    k->moved = (struct store_read){.kind = READ_OBJECT,
                                   .tenant = k->endpoint->tenant,
                                   .arena = k->request->arena,
                                   .object_kind = OBJECT_ACME_WINDOW,
                                   .name = arena_hex(k->request->arena, SLICE_ARR(k->read.id))};
    tm_err e = k->moved.name ? store_read_now(k->house->store, &k->moved) : TM_ENOMEM;
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    TM_TRY(json_parse(&doc, k->moved.objects[0].state, 16 << 10, &k->diag));
    e = json_bind(k, schema, doc, "", k->request->arena, &k->diag);
    json_decref(doc);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}

/* From the profile's instant over a third of what is left, or as an operator said; a revoked certificate should have gone already. */
static void window(int64_t *ret_start, int64_t *ret_end, const struct look *k, const struct cert_row *row)
{
    const struct profile *p = catalog_profile(k->catalog, k->endpoint->tenant, row->profile);
    int64_t life = row->not_after - row->not_before;
    int64_t start = p ? profile_renew_before(p, row->not_before, row->not_after) : row->not_after - life / 3;
    if (row->revoked_at) {
        start = row->not_before;
        *ret_end = start + 1 > row->revoked_at ? start + 1 : row->revoked_at;
    } else if (k->window.end) {
        start = k->window.start;
        *ret_end = k->window.end;
    } else {
        *ret_end = start + (row->not_after - start) / 3;
    }
    *ret_start = start;
    if (*ret_end <= start)
        *ret_end = start + 1;
}

static void answer(struct task *t)
{
    struct look *k = TM_CONTAINER(t, struct look, answer);
    struct catalog *c = k->catalog;
    struct buf b;
    buf_init(&b, 4096);
    if (k->err == TM_OK) {
        int64_t start, end;
        char from[21], to[21], retry[16];
        window(&start, &end, k, &k->read.certs[0]);
        clock_format_rfc3339(from, start);
        clock_format_rfc3339(to, end);
        /* RFC 9773 4.3.2: not all at once */
        snprintf(retry, sizeof retry, "%u", RETRY - RETRY_SPREAD / 2 + spread(RETRY_SPREAD));
        const struct http_header headers[] = {
            {"Retry-After", retry}, {"Cache-Control", "no-cache"}, {NULL, NULL}};
        buf_printf(&b, "{\"suggestedWindow\":{\"start\":\"%s\",\"end\":\"%s\"}", from, to);
        if (k->window.explanation && k->window.explanation[0]) {
            buf_puts(&b, ",\"explanationURL\":");
            buf_put_json_string(&b, slice_str(k->window.explanation));
        }
        buf_puts(&b, "}\n");
        http_reply(k->request, 200, "application/json", buf_slice(&b), headers);
    } else {
        bool caller = tm_err_class(k->err) == TM_CLASS_CALLER;
        int status = k->err == TM_ENOTFOUND ? 404 : caller ? 400 : 503;
        buf_printf(&b, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"%s\",\"status\":%d}\n",
                   caller ? "malformed" : "serverInternal",
                   caller ? "this is no identifier of a certificate of this place" : "try again later",
                   status);
        http_reply(k->request, status, "application/problem+json", buf_slice(&b), NULL);
    }
    buf_done(&b);
    catalog_unref(c);
}

static void work(struct task *t)
{
    struct look *k = TM_CONTAINER(t, struct look, work);
    k->read =
        (struct store_read){.kind = READ_CERT, .tenant = k->endpoint->tenant, .arena = k->request->arena};
    k->err = acme_cert_id_parse(k->read.id, k->request->arena, k->catalog, k->endpoint->tenant,
                                http_request_param(k->request, "cert"));
    if (k->err == TM_OK)
        k->err = store_read_now(k->house->store, &k->read);
    if (k->err == TM_OK)
        k->err = read_moved(k);
    executor_post(http_request_executor(k->request), &k->answer);
}

void acme_get_renewal_info(struct http_request *r)
{
    struct house *h = r->app;
    struct catalog *c = house_catalog(h);
    const struct endpoint *ep = acme_endpoint(c, r);
    struct look *k = ep ? arena_calloc(r->arena, 1, sizeof *k) : NULL;
    if (!k) {
        if (ep)
            acme_reply_not_found(r);
        catalog_unref(c);
        return;
    }
    *k = (struct look){.request = r,
                       .house = h,
                       .catalog = c,
                       .endpoint = ep,
                       .work = {.run = work},
                       .answer = {.run = answer}};
    executor_post(pool_executor(h->blocking), &k->work);
}
