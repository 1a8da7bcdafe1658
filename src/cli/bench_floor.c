/* What the machine's own primitives allow, and the library path beside them: one thread, nothing stored. */
#include "base/arena.h"
#include "base/clock.h"
#include "cli/bench.h"
#include "issue/issue.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOPS = 1500 };

/* ---- numbers ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_add(struct bench_sample *s, double v)
{
    if (s->n < BENCH_ROUNDS_MAX)
        s->v[s->n++] = v;
}

double bench_quantile(double *v, size_t n, double q)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, by_value);
    size_t i = (size_t)(q * (double)n);
    return v[i < n ? i : n - 1];
}

double bench_median(const struct bench_sample *s)
{
    struct bench_sample copy = *s;
    return bench_quantile(copy.v, copy.n, 0.5);
}

double bench_thread_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void bench_line(const char *what, double value, const char *unit, const char *goal, int met)
{
    printf("  %-72s %9.1f %-4s %-9s %s\n", what, value, unit, goal, met < 0 ? "" : met ? "met" : "NOT MET");
}

/* ---- requests ---- */

static tm_err csr_make(struct bench_csr *ret, const char *dns_name, struct arena *a, struct diag *diag)
{
    struct key *k = NULL;
    struct buf info, sig, der;
    buf_init(&info, 4096);
    buf_init(&sig, 4096);
    buf_init(&der, sizeof ret->der);
    tm_err e = key_generate(&k, KEY_ALG_EC_P256, 0, diag);
    struct slice name = {0};
    struct general_name dns = {.type = GN_DNS};
    struct ext san = {.id = OID_EXT_SAN, .oid = oid_contents(OID_EXT_SAN)};
    if (e == TM_OK) {
        char *cn = arena_printf(a, "CN=%s", dns_name);
        e = cn ? name_from_text(&name, a, slice_str(cn), diag) : TM_ENOMEM;
        if (e == TM_OK)
            dns.value = slice_str(cn + 3);
    }
    if (e == TM_OK)
        e = ext_encode_san(&san.value, a, &dns, 1);
    if (e == TM_OK)
        e = csr_build_info(&info, name, key_spki(k), &san, 1);
    if (e == TM_OK)
        e = key_sign(&sig, k, SIG_ECDSA_SHA256, buf_slice(&info), diag);
    if (e == TM_OK)
        e = signed_assemble(&der, buf_slice(&info), sig_alg_info(SIG_ECDSA_SHA256)->algid, buf_slice(&sig));
    if (e == TM_OK) {
        memcpy(ret->der, der.p, der.n);
        ret->n = (uint16_t)der.n;
    }
    buf_done(&info);
    buf_done(&sig);
    buf_done(&der);
    key_free(k);
    return e;
}

tm_err bench_csrs_reserve(struct bench_csrs *c, size_t n, struct diag *diag)
{
    size_t wanted = c->next + n;
    if (wanted <= c->n)
        return TM_OK;
    struct bench_csr *v = realloc(c->v, wanted * sizeof *v);
    struct arena *a = arena_new(0);
    if (v)
        c->v = v;
    tm_err e = v && a ? TM_OK : TM_ENOMEM;
    while (e == TM_OK && c->n < wanted) {
        char name[64];
        snprintf(name, sizeof name, "bench-%zu.example.net", c->n);
        e = csr_make(&c->v[c->n], name, a, diag);
        arena_reset(a);
        c->n += e == TM_OK;
    }
    arena_free(a);
    return e;
}

tm_err bench_csrs_named(struct bench_csrs *c, const char *name, struct diag *diag)
{
    struct arena *a = arena_new(0);
    *c = (struct bench_csrs){.v = calloc(1, sizeof *c->v), .n = 1};
    tm_err e = a && c->v ? csr_make(c->v, name, a, diag) : TM_ENOMEM;
    arena_free(a);
    return e;
}

void bench_csrs_done(struct bench_csrs *c)
{
    free(c->v);
    *c = (struct bench_csrs){0};
}

/* ---- the library path ---- */

struct path {
    struct arena *a;
    struct buf tbs, sig, cert;
    struct profile *profile;
    struct facts facts;
    uint8_t key_id[20];
};

static const char *ready_source(const char *name)
{
    for (const struct ready_profile *p = ready_profiles; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->json;
    return "";
}

static void path_facts(struct path *p, const struct key *ca, struct slice issuer)
{
    int64_t now = clock_now();
    struct facts *f = &p->facts;
    f->now = now;
    f->authority.name = "issuing-ca";
    f->authority.key_ref = "issuing-ca";
    f->authority.subject = issuer;
    f->authority.key_id = SLICE_ARR(p->key_id);
    f->authority.key_alg = key_alg(ca);
    f->authority.sig_alg = sig_alg_default(key_alg(ca));
    f->authority.not_before = now - 86400;
    f->authority.not_after = now + 3650LL * 86400;
    f->authority.crl_url = "http://pki.example.net/crl/full.crl";
    f->authority.ca_url = "http://pki.example.net/ca.cer";
    f->authority.ocsp_url = "";
}

static tm_err issue_once(struct path *p, struct key *ca, const struct bench_csr *q, struct diag *diag)
{
    struct csr csr;
    struct issue_request r = {.arena = p->a};
    TM_TRY(csr_parse_pkcs10(&csr, slice_of(q->der, q->n), diag));
    TM_TRY(csr_verify_pop(&csr, diag));
    TM_TRY(issue_from_csr(&r, &csr, diag));
    r.e.tenant = "default";
    r.e.endpoint = "rest";
    r.e.profile = "server-internal-1y";
    r.e.caller.kind = CALLER_PRINCIPAL;
    r.e.caller.roles = "operator";
    r.e.pop_verified = true;
    TM_TRY(policy_decide(&r.decision, p->a, p->profile, &r.e, &p->facts));
    if (r.decision.verdict != VERDICT_ISSUE)
        return diag_fail(diag, TM_EDENIED, r.decision.rule, NULL, "%s", r.decision.reason);
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, r.decision.plan.not_after, p->facts.now);
    buf_reset(&p->tbs);
    buf_reset(&p->sig);
    buf_reset(&p->cert);
    TM_TRY(plan_build_tbs(&p->tbs, &r.decision.plan, serial, NULL));
    TM_TRY(key_sign(&p->sig, ca, p->facts.authority.sig_alg, buf_slice(&p->tbs), diag));
    return signed_assemble(&p->cert, buf_slice(&p->tbs), sig_alg_info(p->facts.authority.sig_alg)->algid,
                           buf_slice(&p->sig));
}

static tm_err path_rounds(struct bench_floor *f, struct path *p, const struct bench_csrs *c,
                          struct diag *diag)
{
    tm_err e = TM_OK;
    double begun = bench_thread_us();
    for (size_t i = 0; i < LOOPS && e == TM_OK; i++) {
        e = issue_once(p, f->ca, &c->v[i % c->n], diag);
        arena_reset(p->a);
    }
    bench_add(&f->library, (bench_thread_us() - begun) / LOOPS);
    return e;
}

tm_err bench_library_round(struct bench_floor *f, const struct bench_csrs *c, int core, struct diag *diag)
{
    TM_TRY(bench_floor_round(f, c, core, diag));
    struct path p = {.a = arena_new(0)};
    struct arena *names = arena_new(0);
    struct slice issuer;
    struct spki spki;
    buf_init(&p.tbs, 64 << 10);
    buf_init(&p.sig, 8192);
    buf_init(&p.cert, 64 << 10);
    tm_err e = p.a && names ? TM_OK : TM_ENOMEM;
    if (e == TM_OK)
        e = profile_from_json(&p.profile, slice_str(ready_source("server-internal-1y")), 1, diag);
    if (e == TM_OK)
        e = name_from_text(&issuer, names, SLICE_LIT("CN=Bench CA"), diag);
    if (e == TM_OK)
        e = spki_parse(&spki, key_spki(f->ca), diag);
    if (e == TM_OK)
        e = spki_key_id(p.key_id, &spki);
    if (e == TM_OK) {
        path_facts(&p, f->ca, issuer);
        e = path_rounds(f, &p, c, diag);
    }
    buf_done(&p.tbs);
    buf_done(&p.sig);
    buf_done(&p.cert);
    profile_free(p.profile);
    arena_free(names);
    arena_free(p.a);
    return e;
}

/* ---- the floor ---- */

tm_err bench_floor_open(struct bench_floor *f, struct diag *diag)
{
    return key_generate(&f->ca, KEY_ALG_EC_P256, 0, diag);
}

void bench_floor_close(struct bench_floor *f)
{
    key_free(f->ca);
    f->ca = NULL;
}

tm_err bench_floor_round(struct bench_floor *f, const struct bench_csrs *c, int core, struct diag *diag)
{
    struct csr csr;
    struct buf sig;
    buf_init(&sig, 8192);
    bench_pin(core);
    tm_err e = csr_parse_pkcs10(&csr, slice_of(c->v[0].der, c->v[0].n), diag);
    double t0 = bench_thread_us();
    for (unsigned i = 0; i < LOOPS && e == TM_OK; i++) {
        buf_reset(&sig);
        e = key_sign(&sig, f->ca, SIG_ECDSA_SHA256, csr.signed_part, diag);
    }
    double t1 = bench_thread_us();
    for (unsigned i = 0; i < LOOPS && e == TM_OK; i++)
        e = csr_verify_pop(&csr, diag);
    double t2 = bench_thread_us();
    buf_done(&sig);
    if (e != TM_OK)
        return e;
    bench_add(&f->sign, (t1 - t0) / LOOPS);
    bench_add(&f->verify, (t2 - t1) / LOOPS);
    return TM_OK;
}

double bench_floor_us(const struct bench_floor *f)
{
    return bench_median(&f->sign) + bench_median(&f->verify);
}
