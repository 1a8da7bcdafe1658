/* One account on one keep-alive connection, which does nothing but get certificates for its name (RFC 8555 7.4). */
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "cli/bench.h"
#include "keys/key.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { URL_MAX = 512, BODY_MAX = 256 << 10, COORDINATE = 32, POLLS = 2000 };

struct bench_acme_client {
    struct bench_conn *conn;
    struct key *key;
    char jwk[256], nonce[256], kid[URL_MAX];
    char new_account[URL_MAX], new_order[URL_MAX], new_nonce[URL_MAX];
    struct buf body, out;
};

static void copy(char *ret, size_t size, const char *s)
{
    snprintf(ret, size, "%s", s ? s : "");
}

/* https://localhost/x → /x */
static const char *path_of(const char *url)
{
    const char *s = strstr(url, "://");
    s = s ? strchr(s + 3, '/') : url;
    return s ? s : "/";
}

static tm_err unexpected(const struct bench_acme_client *k, const char *what, int status, struct diag *diag)
{
    return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s: status %d: %.160s", what, status, buf_str(&k->out));
}

/* ---- signing ---- */

/* SEQUENCE { INTEGER r, INTEGER s } to r and s of 32 octets each (RFC 7518 3.4); ours are short enough for one length octet. */
static bool raw_signature(uint8_t ret[2 * COORDINATE], struct slice der)
{
    size_t at = 2;
    memset(ret, 0, 2 * COORDINATE);
    for (int i = 0; i < 2; i++) {
        if (at + 2 > der.n || der.p[at] != 0x02 || at + 2 + der.p[at + 1] > der.n)
            return false;
        struct slice v = slice_of(der.p + at + 2, der.p[at + 1]);
        at += 2 + v.n;
        while (v.n > COORDINATE && v.p[0] == 0)
            v = slice_of(v.p + 1, v.n - 1);
        if (v.n > COORDINATE)
            return false;
        memcpy(ret + i * COORDINATE + COORDINATE - v.n, v.p, v.n);
    }
    return true;
}

/* {"protected":…,"payload":…,"signature":…} into `out`; signed by the account's key, or by `mac`. */
static tm_err flatten(struct buf *out, struct bench_acme_client *k, const char *header, const char *payload,
                      const struct slice *mac, struct diag *diag)
{
    struct buf input, sig;
    uint8_t raw[2 * COORDINATE];
    size_t n = sizeof raw;
    buf_init(&input, BODY_MAX);
    buf_init(&sig, 4096);
    buf_put_base64(&input, slice_str(header), BASE64_URL, 0);
    size_t dot = input.n;
    buf_putc(&input, '.');
    buf_put_base64(&input, slice_str(payload), BASE64_URL, 0);
    tm_err e = buf_err(&input);
    if (e == TM_OK && mac) {
        n = SHA256_LEN;
        e = hmac_sha256(raw, *mac, buf_slice(&input));
    } else if (e == TM_OK) {
        e = key_sign(&sig, k->key, SIG_ECDSA_SHA256, buf_slice(&input), diag);
        if (e == TM_OK && !raw_signature(raw, buf_slice(&sig)))
            e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "a signature of another form than ECDSA's");
    }
    if (e == TM_OK) {
        buf_puts(out, "{\"protected\":\"");
        buf_put(out, input.p, dot);
        buf_puts(out, "\",\"payload\":\"");
        buf_put(out, input.p + dot + 1, input.n - dot - 1);
        buf_puts(out, "\",\"signature\":\"");
        buf_put_base64(out, slice_of(raw, n), BASE64_URL, 0);
        buf_puts(out, "\"}");
        e = buf_err(out);
    }
    buf_done(&input);
    buf_done(&sig);
    return e;
}

/* ---- requests ---- */

/* The nonce of an answer is for the next request. */
static void take_nonce(struct bench_acme_client *k)
{
    const char *nonce = bench_field(k->conn, "Replay-Nonce");
    if (nonce)
        copy(k->nonce, sizeof k->nonce, nonce);
}

static tm_err post(struct bench_acme_client *k, const char *url, const char *payload, int *ret_status,
                   struct diag *diag)
{
    char header[1024];
    if (k->kid[0])
        snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"nonce\":\"%s\",\"url\":\"%s\"}",
                 k->kid, k->nonce, url);
    else
        snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"jwk\":%s,\"nonce\":\"%s\",\"url\":\"%s\"}",
                 k->jwk, k->nonce, url);
    buf_reset(&k->body);
    buf_reset(&k->out);
    TM_TRY(flatten(&k->body, k, header, payload, NULL, diag));
    TM_TRY(bench_exchange(k->conn, "POST", path_of(url), "Content-Type: application/jose+json\r\n",
                          buf_slice(&k->body), ret_status, &k->out, diag));
    take_nonce(k);
    return TM_OK;
}

/* A member of the last answer, a text. */
static bool member(const struct bench_acme_client *k, const char *name, char *ret, size_t size)
{
    json_t *doc = json_loadb((const char *)k->out.p, k->out.n, 0, NULL);
    const char *s = json_string_value(json_object_get(doc, name));
    copy(ret, size, s);
    json_decref(doc);
    return s != NULL;
}

static tm_err directory(struct bench_acme_client *k, const struct bench_acme_server *s, struct diag *diag)
{
    int status;
    TM_TRY(bench_exchange(k->conn, "GET", s->directory, "", (struct slice){0}, &status, &k->out, diag));
    if (status != 200 || !member(k, "newNonce", k->new_nonce, sizeof k->new_nonce) ||
        !member(k, "newAccount", k->new_account, sizeof k->new_account) ||
        !member(k, "newOrder", k->new_order, sizeof k->new_order))
        return unexpected(k, "directory", status, diag);
    TM_TRY(bench_exchange(k->conn, "GET", path_of(k->new_nonce), "", (struct slice){0}, &status, NULL, diag));
    take_nonce(k);
    return TM_OK;
}

static tm_err account(struct bench_acme_client *k, const char *external_id, const char *external_key,
                      struct diag *diag)
{
    struct buf payload;
    struct slice key = {0};
    char header[1024];
    int status;
    struct arena *a = arena_new(0);
    tm_err e = a ? TM_OK : TM_ENOMEM;
    buf_init(&payload, 8192);
    buf_puts(&payload, "{\"termsOfServiceAgreed\":true");
    if (e == TM_OK && external_id) {
        snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"url\":\"%s\"}", external_id,
                 k->new_account);
        e = base64_decode(&key, a, slice_str(external_key), BASE64_URL);
        buf_puts(&payload, ",\"externalAccountBinding\":");
        if (e == TM_OK)
            e = flatten(&payload, k, header, k->jwk, &key, diag);
    }
    buf_puts(&payload, "}");
    if (e == TM_OK)
        e = post(k, k->new_account, buf_str(&payload), &status, diag);
    const char *kid = e == TM_OK ? bench_field(k->conn, "Location") : NULL;
    if (e == TM_OK && (status != 201 || !kid))
        e = unexpected(k, "new account", status, diag);
    if (e == TM_OK)
        copy(k->kid, sizeof k->kid, kid);
    buf_done(&payload);
    arena_free(a);
    return e;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

/* ---- a name that is not granted: one http-01 for it, which the peer lets pass unseen ---- */

static tm_err prove(struct bench_acme_client *k, const char *name, struct diag *diag)
{
    char text[512], url[URL_MAX] = "", challenge[URL_MAX] = "", state[32] = "pending";
    int status;
    snprintf(text, sizeof text, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}]}", name);
    TM_TRY(post(k, k->new_order, text, &status, diag));
    json_t *doc = json_loadb((const char *)k->out.p, k->out.n, 0, NULL);
    copy(url, sizeof url, json_string_value(json_array_get(json_object_get(doc, "authorizations"), 0)));
    json_decref(doc);
    if (status != 201 || !url[0])
        return unexpected(k, "new order", status, diag);
    for (int i = 0; i < POLLS && strcmp(state, "pending") == 0; i++) {
        TM_TRY(post(k, url, "", &status, diag));
        if (status != 200 || !member(k, "status", state, sizeof state))
            return unexpected(k, "authorization", status, diag);
        if (!challenge[0] && strcmp(state, "pending") == 0) {
            doc = json_loadb((const char *)k->out.p, k->out.n, 0, NULL);
            size_t n;
            const json_t *c;
            json_array_foreach(json_object_get(doc, "challenges"), n,
                               c) if (strcmp(json_string_value(json_object_get(c, "type")), "http-01") == 0)
                copy(challenge, sizeof challenge, json_string_value(json_object_get(c, "url")));
            json_decref(doc);
            TM_TRY(post(k, challenge, "{}", &status, diag));
        }
        wait_a_little();
    }
    return strcmp(state, "valid") == 0 ? TM_OK : unexpected(k, "authorization", status, diag);
}

/* ---- what is exported ---- */

tm_err bench_acme_open(struct bench_acme_client **ret, const struct bench_acme_server *s, const char *name,
                       const char *external_id, const char *external_key, struct diag *diag)
{
    struct bench_acme_client *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    buf_init(&k->body, BODY_MAX);
    buf_init(&k->out, BODY_MAX);
    tm_err e = key_generate(&k->key, KEY_ALG_EC_P256, 0, diag);
    if (e == TM_OK) {
        /* The point stands at the end of the SPKI: 04, x, y. */
        struct slice spki = key_spki(k->key);
        struct buf b;
        buf_init(&b, sizeof k->jwk);
        buf_puts(&b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
        buf_put_base64(&b, slice_of(spki.p + spki.n - 2 * COORDINATE, COORDINATE), BASE64_URL, 0);
        buf_puts(&b, "\",\"y\":\"");
        buf_put_base64(&b, slice_of(spki.p + spki.n - COORDINATE, COORDINATE), BASE64_URL, 0);
        buf_puts(&b, "\"}");
        copy(k->jwk, sizeof k->jwk, buf_str(&b));
        buf_done(&b);
        e = bench_connect(&k->conn, s->port, true, diag);
    }
    if (e == TM_OK)
        e = directory(k, s, diag);
    if (e == TM_OK)
        e = account(k, external_id, external_key, diag);
    if (e == TM_OK && !external_id)
        e = prove(k, name, diag);
    if (e != TM_OK) {
        bench_acme_free(k);
        return e;
    }
    *ret = k;
    return TM_OK;
}

tm_err bench_acme_certificate(struct bench_acme_client *k, const struct bench_csr *csr, const char *name,
                              struct diag *diag)
{
    char order[URL_MAX], finalize[URL_MAX], url[URL_MAX], state[32], text[512];
    struct buf payload;
    int status;
    snprintf(text, sizeof text, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}]}", name);
    TM_TRY(post(k, k->new_order, text, &status, diag));
    copy(order, sizeof order, bench_field(k->conn, "Location"));
    if (status != 201 || !member(k, "finalize", finalize, sizeof finalize))
        return unexpected(k, "new order", status, diag);
    buf_init(&payload, 8192);
    buf_puts(&payload, "{\"csr\":\"");
    buf_put_base64(&payload, slice_of(csr->der, csr->n), BASE64_URL, 0);
    buf_puts(&payload, "\"}");
    tm_err e = post(k, finalize, buf_str(&payload), &status, diag);
    buf_done(&payload);
    TM_TRY(e);
    for (int i = 0; i < POLLS; i++) {
        if (status != 200 || !member(k, "status", state, sizeof state))
            return unexpected(k, "finalize", status, diag);
        if (strcmp(state, "processing") != 0)
            break;
        wait_a_little();
        TM_TRY(post(k, order, "", &status, diag));
    }
    if (strcmp(state, "valid") != 0 || !member(k, "certificate", url, sizeof url))
        return unexpected(k, "order", status, diag);
    TM_TRY(post(k, url, "", &status, diag));
    return status == 200 ? TM_OK : unexpected(k, "certificate", status, diag);
}

void bench_acme_free(struct bench_acme_client *k)
{
    if (!k)
        return;
    bench_conn_free(k->conn);
    key_free(k->key);
    buf_done(&k->body);
    buf_done(&k->out);
    free(k);
}
