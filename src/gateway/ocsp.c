/* OCSP relayed (RFC 6960): a question about one certificate is answered from the cache while the signed answer is valid, else asked upstream. An
 * answer is verified before it is kept or given on. What a newer filter or CRL knows better is not given out any more. Answers are
 * parsed and verified by OpenSSL. */
#include "x509/ocsp.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "gateway/impl.h"
#include "http/client.h"
#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_MAX = 4096,
    RESPONSE_MAX = 64 << 10,
    CACHE_FILE_MAX = 256 << 20,
    SKEW_S = 300,
    RELAY_S = 10,
    PAUSE_S = 5, /* after upstream did not answer, the next questions are not sent for so long */
    MAX_AGE = 3600,
    RELAYS_WAITING_MAX = 64, /* further questions are told to come again */
};
#define CACHE_NAME "ocsp.cache"
#define OCSP_TYPE  "application/ocsp-response"

struct metric gateway_ocsp = {
    .name = "proxy_ocsp_total", .help = "OCSP questions, by how they were answered.", .labels = {"how"}};

struct entry {
    uint8_t key[SHA256_LEN];
    int64_t this_update, next_update;
    bool good;
    size_t n, n_request;
    uint8_t *octets; /* the answer, and behind it the request that it was given for */
};

struct ocsp_cache {
    pthread_mutex_t lock;
    struct entry *entries; /* open addressing, a power of two */
    size_t n, size;
    bool changed;
    atomic_uint_fast64_t paused_until_ns;
    X509 *cas[GATEWAY_AUTHORITIES_MAX];
    struct ocsp_issuer issuers[GATEWAY_AUTHORITIES_MAX];
};

/* ---- questions ---- */

struct question {
    struct slice id; /* CertID TLV, borrows the request's octets */
    struct slice serial;
    const struct gateway_authority *authority;
    size_t index;
    uint8_t key[SHA256_LEN]; /* SHA-256 of the CertID: an answer repeats it, so it is kept by it */
    bool fresh;              /* there is a nonce: a kept answer is second best */
};

/* TM_EMALFORMED; TM_ENOTFOUND: of an authority that is not answered for. */
static tm_err question_parse(struct question *q, const struct gateway *g, struct slice der)
{
    struct ocsp_request request;
    memset(q, 0, sizeof *q);
    if (der.n > REQUEST_MAX || ocsp_request_parse(&request, der, NULL) != TM_OK || request.n != 1)
        return TM_EMALFORMED;
    q->id = request.ids[0].der;
    q->serial = request.ids[0].serial;
    q->fresh = request.nonce.n != 0;
    TM_TRY(sha256(q->key, q->id));
    for (size_t i = 0; i < g->n_authorities; i++)
        if (ocsp_issuer_is(&g->ocsp->issuers[i], &request.ids[0])) {
            q->authority = &g->authorities[i];
            q->index = i;
            return TM_OK;
        }
    return TM_ENOTFOUND;
}

/* ---- answers ---- */

static int64_t time_of(const ASN1_GENERALIZEDTIME *t)
{
    struct tm tm;
    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

/* By the CA itself or by a responder that it certified (RFC 6960 4.2.2.2). */
static bool signature_good(OCSP_BASICRESP *basic, X509 *ca)
{
    STACK_OF(X509) *cas = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    bool good = cas && store && sk_X509_push(cas, ca) > 0 && X509_STORE_add_cert(store, ca) == 1 &&
                X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
                OCSP_basic_verify(basic, cas, store, OCSP_TRUSTOTHER) == 1;
    X509_STORE_free(store);
    sk_X509_free(cas);
    return good;
}

/* What the answer says of the question's certificate, if it is good and of now. *ret borrows `der`. TM_EUNAVAIL: upstream answers with an
 * error, which is the caller's to give on. */
static tm_err answer_check(struct entry *ret, struct slice cert_id, X509 *ca, struct slice der)
{
    const unsigned char *at = cert_id.p;
    OCSP_CERTID *id = d2i_OCSP_CERTID(NULL, &at, (long)cert_id.n);
    const unsigned char *p = der.p;
    OCSP_RESPONSE *response = der.n <= RESPONSE_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)der.n) : NULL;
    tm_err e = id && response && p == der.p + der.n ? TM_OK : TM_EMALFORMED;
    if (e == TM_OK && OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        e = TM_EUNAVAIL;
    OCSP_BASICRESP *basic = e == TM_OK ? OCSP_response_get1_basic(response) : NULL;
    int status = 0;
    ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
    if (e == TM_OK && (!basic || !signature_good(basic, ca)))
        e = TM_EBADSIG;
    if (e == TM_OK && OCSP_resp_find_status(basic, id, &status, NULL, NULL, &from, &to) != 1)
        e = TM_EINVAL;
    if (e == TM_OK && OCSP_check_validity(from, to, SKEW_S, -1) != 1)
        e = TM_EEXPIRED;
    if (e == TM_OK)
        *ret = (struct entry){.this_update = time_of(from),
                              .next_update = time_of(to),
                              .good = status == V_OCSP_CERTSTATUS_GOOD,
                              .n = der.n,
                              .octets = (uint8_t *)der.p};
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    OCSP_CERTID_free(id);
    return e;
}

/* ---- the cache; the lock is held ---- */

static size_t place_of(const struct ocsp_cache *c, const uint8_t key[SHA256_LEN])
{
    uint64_t h;
    memcpy(&h, key, sizeof h);
    return (size_t)h & (c->size - 1);
}

/* Each entry has two places, its own and the next: the one that ends first makes room. */
static struct entry *find(struct ocsp_cache *c, const uint8_t key[SHA256_LEN])
{
    for (size_t i = 0; i < 2; i++) {
        struct entry *e = &c->entries[(place_of(c, key) + i) & (c->size - 1)];
        if (e->n && memcmp(e->key, key, SHA256_LEN) == 0)
            return e;
    }
    return NULL;
}

static void drop(struct ocsp_cache *c, struct entry *e)
{
    if (!e->n)
        return;
    free(e->octets);
    memset(e, 0, sizeof *e);
    c->n--;
    c->changed = true;
}

static void keep(struct ocsp_cache *c, const struct question *q, struct slice request,
                 const struct entry *checked)
{
    struct entry *e = find(c, q->key), *a = &c->entries[place_of(c, q->key)],
                 *b = &c->entries[(place_of(c, q->key) + 1) & (c->size - 1)];
    uint8_t *copy = checked->next_update ? malloc(checked->n + request.n) : NULL;
    if (!copy)
        return;
    if (!e)
        e = !a->n ? a : !b->n ? b : a->next_update < b->next_update ? a : b;
    drop(c, e);
    memcpy(copy, checked->octets, checked->n);
    memcpy(copy + checked->n, request.p, request.n);
    *e = *checked;
    e->octets = copy;
    e->n_request = request.n;
    memcpy(e->key, q->key, SHA256_LEN);
    c->n++;
    c->changed = true;
}

/* ---- replies ---- */

static void count(const char *how)
{
    metric_add(&gateway_ocsp, METRIC_LABELS(how), 1);
}

static void reply_status(struct http_request *r, int status, const char *how)
{
    /* OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED } */
    const uint8_t der[] = {0x30, 0x03, 0x0a, 0x01, (uint8_t)status};
    const struct http_header headers[] = {{"Cache-Control", "no-store"}, {0}};
    count(how);
    http_reply(r, 200, OCSP_TYPE, SLICE_ARR(der), headers);
}

static void reply_answer(struct http_request *r, struct slice der, int64_t this_update, int64_t next_update,
                         bool fresh, const char *how)
{
    char cache[64], age[24];
    int64_t now = clock_now(), left = next_update - now;
    /* RFC 5019 6.2, but never longer than an hour: a revocation has to get through. */
    snprintf(cache, sizeof cache, "public, no-transform, max-age=%d",
             left <= 0        ? 0
             : left < MAX_AGE ? (int)left
                              : MAX_AGE);
    snprintf(age, sizeof age, "%lld", (long long)(now > this_update ? now - this_update : 0));
    const struct http_header headers[] = {
        {"Cache-Control", fresh ? "no-store" : cache}, {"X-Touchmark-Age", age}, {0}};
    count(how);
    http_reply(r, 200, OCSP_TYPE, der, headers);
}

/* Does something newer say that a good certificate is not? */
static bool contradicted(struct gateway *g, const struct question *q, const struct entry *e)
{
    struct gateway_answer a = gateway_ask(g, q->authority, q->serial, 0);
    return e->good && a.status == STATUS_REVOKED && a.as_of > e->this_update;
}

/* In `a`, empty where there is none that may be given. */
static struct entry cached(struct gateway *g, const struct question *q, struct arena *a)
{
    struct ocsp_cache *c = g->ocsp;
    struct entry ret = {0};
    pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, q->key);
    if (e && (e->next_update <= clock_now() || clock_now() - e->this_update > g->config.stale_after)) {
        drop(c, e);
        e = NULL;
    }
    struct slice copy;
    if (e && arena_copy(&copy, a, slice_of(e->octets, e->n)) == TM_OK) {
        ret = *e;
        ret.octets = (uint8_t *)copy.p;
    }
    pthread_mutex_unlock(&c->lock);
    if (ret.n && contradicted(g, q, &ret)) {
        pthread_mutex_lock(&c->lock);
        e = find(c, q->key);
        if (e)
            drop(c, e);
        pthread_mutex_unlock(&c->lock);
        ret.n = 0;
    }
    return ret;
}

/* ---- upstream ---- */

struct relay {
    struct task task;
    struct http_request *r;
    struct gateway *g;
    struct question q;
    struct slice der;
    struct http_exchange x;
    struct entry answer; /* borrows x.out */
    tm_err err;
};

static void relay_done(struct task *t)
{
    struct relay *l = TM_CONTAINER(t, struct relay, task);
    struct http_request *r = l->r;
    struct gateway *g = l->g;
    struct buf out = l->x.out; /* the request's arena goes with the reply, and `l` with it */
    tm_err e = l->err;
    if (e == TM_OK && contradicted(g, &l->q, &l->answer))
        e = TM_EBUSY; /* upstream's responder is behind: it will not stay so */
    struct question q = l->q;
    if (e == TM_OK) {
        reply_answer(r, buf_slice(&out), l->answer.this_update, l->answer.next_update, q.fresh, "relayed");
    } else if (e == TM_EUNAVAIL && out.n) {
        int status = out.p[out.n - 1];
        reply_status(r, status, "relayed-error");
    } else {
        struct entry kept = cached(g, &q, r->arena);
        if (kept.n)
            reply_answer(r, slice_of(kept.octets, kept.n), kept.this_update, kept.next_update, false, "kept");
        else
            reply_status(r, OCSP_TRY_LATER, "try-later");
    }
    buf_done(&out);
}

static bool is_paused(struct ocsp_cache *c)
{
    return clock_mono_ns() < atomic_load(&c->paused_until_ns);
}

static void relay_run(struct task *t)
{
    struct relay *l = TM_CONTAINER(t, struct relay, task);
    struct ocsp_cache *c = l->g->ocsp;
    struct diag diag = {0};
    l->x = (struct http_exchange){.method = "POST",
                                  .target = "/ocsp",
                                  .content_type = "application/ocsp-request",
                                  .body = l->der,
                                  .max = RESPONSE_MAX,
                                  .total_s = RELAY_S};
    /* It may have waited behind others that found nobody there. */
    bool paused = is_paused(c);
    l->err = paused ? TM_ETIMEOUT : upstream_exchange(l->g, &l->x, &diag);
    if (l->err != TM_OK && !paused)
        atomic_store(&c->paused_until_ns, clock_mono_ns() + (uint64_t)PAUSE_S * 1000000000);
    if (l->err == TM_OK && l->x.status != 200) {
        l->err = TM_EUNAVAIL;
        buf_reset(&l->x.out);
    }
    if (l->err == TM_OK) {
        l->err = answer_check(&l->answer, l->q.id, c->cas[l->q.index], buf_slice(&l->x.out));
        if (l->err == TM_EUNAVAIL && l->x.out.n != 5)
            l->err = TM_EMALFORMED;
        if (l->err != TM_OK && l->err != TM_EUNAVAIL)
            log_warn(l->r->id, "proxy.ocsp-refused", LOG_S("why", tm_err_name(l->err)));
    }
    if (l->err == TM_OK && !l->q.fresh) {
        pthread_mutex_lock(&c->lock);
        keep(c, &l->q, l->der, &l->answer);
        pthread_mutex_unlock(&c->lock);
    }
    l->task.run = relay_done;
    executor_post(http_request_executor(l->r), &l->task);
}

static void answer(struct http_request *r, struct slice der)
{
    struct gateway *g = r->app;
    struct question q;
    if (!g->config.ocsp) {
        http_reply(r, 404, "text/plain", SLICE_LIT("OCSP is not relayed here\n"), NULL);
        return;
    }
    tm_err e = question_parse(&q, g, der);
    if (e != TM_OK) {
        reply_status(r, e == TM_ENOTFOUND ? OCSP_UNAUTHORIZED : OCSP_MALFORMED_REQUEST,
                     e == TM_ENOTFOUND ? "unauthorized" : "malformed");
        return;
    }
    bool paused = is_paused(g->ocsp) || pool_queued(g->pool) >= RELAYS_WAITING_MAX;
    struct entry kept = q.fresh && !paused ? (struct entry){0} : cached(g, &q, r->arena);
    struct relay *l = kept.n || paused ? NULL : arena_calloc(r->arena, 1, sizeof *l);
    if (kept.n) {
        reply_answer(r, slice_of(kept.octets, kept.n), kept.this_update, kept.next_update, false, "kept");
    } else if (!l) {
        reply_status(r, OCSP_TRY_LATER, "try-later");
    } else {
        *l = (struct relay){.task = {.run = relay_run}, .r = r, .g = g, .q = q, .der = der};
        executor_post(pool_executor(g->pool), &l->task);
    }
}

void ocsp_post(struct http_request *r)
{
    answer(r, r->body);
}

/* RFC 6960 A.1.1: the request in base64, percent-encoded where needed. */
void ocsp_get(struct http_request *r)
{
    struct slice der;
    const char *text = http_request_param(r, "request");
    if (!text || base64_decode(&der, r->arena, slice_str(text), BASE64_STD) != TM_OK)
        der = (struct slice){0};
    answer(r, der);
}

/* ---- open, save, close ---- */

static tm_err authority_add(struct ocsp_cache *c, size_t i, const struct cert *ca)
{
    const unsigned char *p = ca->der.p;
    c->cas[i] = d2i_X509(NULL, &p, (long)ca->der.n);
    return c->cas[i] ? ocsp_issuer_make(&c->issuers[i], ca) : TM_ECRYPTO;
}

/* The file: request and answer in turn, each behind its length in 4 octets, least significant first. All is verified anew. */
static bool next_part(struct slice *ret, struct slice *file, size_t max)
{
    if (file->n < 4)
        return false;
    const uint8_t *p = file->p;
    size_t n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (n == 0 || n > max || n > file->n - 4)
        return false;
    *ret = slice_sub(*file, 4, n);
    *file = slice_sub(*file, 4 + n, file->n);
    return true;
}

static void put_part(struct buf *file, struct slice s)
{
    for (unsigned j = 0; j < 4; j++)
        buf_putc(file, (uint8_t)(s.n >> (8 * j)));
    buf_put_slice(file, s);
}

void ocsp_load(struct gateway *g, struct slice file)
{
    struct ocsp_cache *c = g->ocsp;
    struct slice request, der;
    while (next_part(&request, &file, REQUEST_MAX) && next_part(&der, &file, RESPONSE_MAX)) {
        struct question q;
        struct entry checked;
        if (question_parse(&q, g, request) == TM_OK &&
            answer_check(&checked, q.id, c->cas[q.index], der) == TM_OK)
            keep(c, &q, request, &checked);
    }
}

tm_err ocsp_open(struct gateway *g)
{
    struct ocsp_cache *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    g->ocsp = c;
    pthread_mutex_init(&c->lock, NULL);
    c->size = 16;
    while (c->size < (size_t)g->config.ocsp_entries)
        c->size *= 2;
    c->entries = calloc(c->size, sizeof *c->entries);
    if (!c->entries)
        return TM_ENOMEM;
    for (size_t i = 0; i < g->n_authorities; i++)
        TM_TRY(authority_add(c, i, &g->authorities[i].cert));
    struct arena *a = arena_new(CACHE_FILE_MAX + 4096);
    struct slice file;
    if (a && g->config.ocsp && state_load(&file, a, g, CACHE_NAME, CACHE_FILE_MAX) == TM_OK)
        ocsp_load(g, file);
    arena_free(a);
    c->changed = false;
    return TM_OK;
}

void ocsp_write(struct buf *file, struct gateway *g)
{
    struct ocsp_cache *c = g->ocsp;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->size; i++) {
        const struct entry *e = &c->entries[i];
        if (!e->n)
            continue;
        put_part(file, slice_of(e->octets + e->n, e->n_request));
        put_part(file, slice_of(e->octets, e->n));
    }
    pthread_mutex_unlock(&c->lock);
}

/* Has anything changed since this was asked last? */
static bool take_changed(struct ocsp_cache *c)
{
    pthread_mutex_lock(&c->lock);
    bool changed = c->changed;
    c->changed = false;
    pthread_mutex_unlock(&c->lock);
    return changed;
}

void ocsp_save(struct gateway *g)
{
    struct buf file;
    struct diag diag = {0};
    if (!g->ocsp || !g->config.ocsp || !take_changed(g->ocsp))
        return;
    buf_init(&file, CACHE_FILE_MAX);
    ocsp_write(&file, g);
    if (buf_err(&file) != TM_OK || state_save(g, CACHE_NAME, buf_slice(&file), &diag) != TM_OK)
        log_error(NULL, "proxy.state", LOG_S("why", diag.message));
    buf_done(&file);
}

void ocsp_close(struct gateway *g)
{
    struct ocsp_cache *c = g->ocsp;
    if (!c)
        return;
    for (size_t i = 0; c->entries && i < c->size; i++)
        free(c->entries[i].octets);
    free(c->entries);
    for (size_t i = 0; i < g->n_authorities; i++)
        X509_free(c->cas[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
    g->ocsp = NULL;
}
