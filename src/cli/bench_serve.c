/* What one client at a time sees of the server: a lone enrollment over EST, and the searches. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/bench.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The pause keeps to the default limit of requests that one address may make a second. */
enum { PAUSE_MS = 6, SEARCHES = 200 };

static void pause_between(void)
{
    struct timespec t = {.tv_nsec = PAUSE_MS * 1000000};
    nanosleep(&t, NULL);
}

static tm_err expect(int status, int wanted, const char *what, const struct buf *out, struct diag *diag)
{
    return status == wanted ? TM_OK
                            : diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s: status %d: %.160s", what, status,
                                        out->n ? (const char *)out->p : "");
}

/* ---- EST ---- */

static tm_err enrollment_token(char ret[256], const struct bench_server *s, struct diag *diag)
{
    struct bench_conn *c;
    struct buf out;
    char headers[512];
    int status = 0;
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: application/json\r\n",
             s->token);
    buf_init(&out, 64 << 10);
    TM_TRY(bench_connect(&c, s->enrollment, true, diag));
    tm_err e = bench_exchange(c, "POST", "/api/v1/tokens", headers,
                              SLICE_LIT("{\"endpoint\":\"servers\",\"uses\":100000}"), &status, &out, diag);
    bench_conn_free(c);
    if (e == TM_OK)
        e = expect(status, 201, "a token", &out, diag);
    json_t *doc = e == TM_OK ? json_loadb((const char *)out.p, out.n, 0, NULL) : NULL;
    const char *token = json_string_value(json_object_get(doc, "token"));
    if (e == TM_OK && (!token || strlen(token) > 255))
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the answer has no token");
    if (e == TM_OK)
        memcpy(ret, token, strlen(token) + 1);
    json_decref(doc);
    buf_done(&out);
    return e;
}

tm_err bench_lone(const struct bench_server *s, const struct bench_csr *v, size_t n, double *ret_median_ms,
                  double *ret_p99_ms, struct diag *diag)
{
    char token[256], headers[512];
    struct bench_conn *c = NULL;
    double *ms = calloc(n, sizeof *ms);
    struct buf body, out;
    buf_init(&body, 4096);
    buf_init(&out, 64 << 10);
    tm_err e = ms ? enrollment_token(token, s, diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = bench_connect(&c, s->enrollment, true, diag);
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        int status = 0;
        buf_reset(&body);
        buf_reset(&out);
        buf_put_base64(&body, slice_of(v[i].der, v[i].n), BASE64_STD, 64);
        snprintf(headers, sizeof headers,
                 "Authorization: Bearer %s\r\nContent-Type: application/pkcs10\r\n"
                 "Content-Transfer-Encoding: base64\r\n",
                 token);
        pause_between();
        uint64_t begun = clock_mono_ns();
        e = bench_exchange(c, "POST", "/.well-known/est/servers/simpleenroll", headers, buf_slice(&body),
                           &status, &out, diag);
        ms[i] = (double)(clock_mono_ns() - begun) / 1e6;
        if (e == TM_OK)
            e = expect(status, 200, "EST", &out, diag);
    }
    bench_conn_free(c);
    if (e == TM_OK) {
        *ret_p99_ms = bench_quantile(ms, n, 0.99);
        *ret_median_ms = bench_quantile(ms, n, 0.5);
    }
    free(ms);
    buf_done(&body);
    buf_done(&out);
    return e;
}

/* ---- searches ---- */

struct searching {
    struct bench_conn *c;
    struct buf out;
    char headers[512];
};

/* One GET; the answer has to name the certificate that is looked for. */
static tm_err search(struct searching *s, const char *target, const char *must_hold, double *ret_ms,
                     struct diag *diag)
{
    int status = 0;
    buf_reset(&s->out);
    pause_between();
    uint64_t begun = clock_mono_ns();
    TM_TRY(bench_exchange(s->c, "GET", target, s->headers, (struct slice){0}, &status, &s->out, diag));
    *ret_ms = (double)(clock_mono_ns() - begun) / 1e6;
    TM_TRY(expect(status, 200, target, &s->out, diag));
    return memmem(s->out.p, s->out.n, must_hold, strlen(must_hold))
               ? TM_OK
               : diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s: not found", target);
}

static const char *const how[BENCH_SEARCHES] = {"san", "subject", "device", "serial", "fingerprint"};

static bool text_after(char *ret, size_t room, const struct buf *out, const char *key)
{
    const char *p = memmem(out->p, out->n, key, strlen(key));
    const char *end =
        p ? memchr(p + strlen(key), '"', out->n - (size_t)(p + strlen(key) - (char *)out->p)) : NULL;
    if (!end || (size_t)(end - p) - strlen(key) >= room)
        return false;
    memcpy(ret, p + strlen(key), (size_t)(end - p) - strlen(key));
    ret[(size_t)(end - p) - strlen(key)] = '\0';
    return true;
}

static tm_err search_one(struct searching *s, uint64_t number, double ms[BENCH_SEARCHES], struct diag *diag)
{
    char name[64], target[256], serial[64], fingerprint[80];
    snprintf(name, sizeof name, "fill-%010" PRIu64 ".example.net", number);
    snprintf(target, sizeof target, "/api/v1/certificates?san=dns%%3A%s", name);
    TM_TRY(search(s, target, name, &ms[0], diag));
    if (!text_after(serial, sizeof serial, &s->out, "\"serial\":\"") ||
        !text_after(fingerprint, sizeof fingerprint, &s->out, "\"fingerprint\":\""))
        return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "a search's answer has no serial");
    snprintf(target, sizeof target, "/api/v1/certificates?subject=CN%%3D%s", name);
    TM_TRY(search(s, target, serial, &ms[1], diag));
    snprintf(target, sizeof target, "/api/v1/certificates?device=FILL-%010" PRIu64, number);
    TM_TRY(search(s, target, serial, &ms[2], diag));
    snprintf(target, sizeof target, "/api/v1/certificates/%s", serial);
    TM_TRY(search(s, target, name, &ms[3], diag));
    snprintf(target, sizeof target, "/api/v1/certificates?fingerprint=%s", fingerprint);
    return search(s, target, serial, &ms[4], diag);
}

tm_err bench_searches(const struct bench_server *s, uint64_t rows, struct bench_search ret[BENCH_SEARCHES],
                      struct diag *diag)
{
    struct searching w = {0};
    double *ms = calloc(SEARCHES * (size_t)BENCH_SEARCHES, sizeof *ms);
    uint64_t state = 0x9e3779b97f4a7c15u;
    buf_init(&w.out, 1 << 20);
    snprintf(w.headers, sizeof w.headers, "Authorization: Bearer %s\r\n", s->token);
    tm_err e = ms ? bench_connect(&w.c, s->enrollment, true, diag) : TM_ENOMEM;
    for (size_t i = 0; i < SEARCHES && e == TM_OK; i++) {
        double one[BENCH_SEARCHES];
        state = state * 6364136223846793005u + 1442695040888963407u;
        e = search_one(&w, (state >> 20) % rows, one, diag);
        for (size_t k = 0; k < BENCH_SEARCHES && e == TM_OK; k++)
            ms[k * SEARCHES + i] = one[k];
    }
    for (size_t k = 0; k < BENCH_SEARCHES && e == TM_OK; k++) {
        ret[k].by = how[k];
        ret[k].longest_ms = bench_quantile(ms + k * SEARCHES, SEARCHES, 1);
        ret[k].p99_ms = bench_quantile(ms + k * SEARCHES, SEARCHES, 0.99);
        ret[k].median_ms = bench_quantile(ms + k * SEARCHES, SEARCHES, 0.5);
    }
    bench_conn_free(w.c);
    buf_done(&w.out);
    free(ms);
    return e;
}

/* ---- numbers of its own ---- */

tm_err bench_metric(const struct bench_server *s, const char *name, double *ret, struct diag *diag)
{
    struct bench_conn *c;
    struct buf out;
    int status = 0;
    buf_init(&out, 8 << 20);
    TM_TRY(bench_connect(&c, s->admin, false, diag));
    tm_err e = bench_exchange(c, "GET", "/metrics", "", (struct slice){0}, &status, &out, diag);
    bench_conn_free(c);
    const char *at = e == TM_OK ? buf_str(&out) : NULL;
    size_t n = strlen(name);
    while (at && (strncmp(at, name, n) != 0 || at[n] != ' ')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (e == TM_OK && !at)
        e = diag_fail(diag, TM_EINTERNAL, NULL, NULL, "the metrics do not have %s", name);
    else if (e == TM_OK)
        *ret = strtod(at + n, NULL);
    buf_done(&out);
    return e;
}
