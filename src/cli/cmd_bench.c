/* touchmark bench: this machine's issuing paths against the floor that its own signature primitives set (DESIGN 10). */
#include "authority/init.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/task.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 9, LIBRARY_LOOPS = 1500, REQUESTS = 512, WINDOW = 1024, DURABLE_DEFAULT = 20000 };

struct request {
    uint8_t der[1024];
    size_t n;
};

struct bench {
    struct cli *c;
    struct key *ca;
    struct request *requests; /* a key of its own each: a key met again costs look-ups */
    uint64_t n_requests;
    double sign_us, verify_us, library_us; /* medians over the rounds */
    double durable_per_s, durable_cpu_us;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e6 + (double)u.ru_utime.tv_usec +
           (double)u.ru_stime.tv_usec;
}

/* A PKCS#10 request for "CN=bench-<i>" with a key of its own. */
static tm_err make_request(struct request *ret, unsigned i, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct key *k = NULL;
    struct buf info, sig, der;
    buf_init(&info, 4096);
    buf_init(&sig, 4096);
    buf_init(&der, sizeof ret->der);
    tm_err e = a ? key_generate(&k, KEY_ALG_EC_P256, 0, diag) : TM_ENOMEM;
    struct slice name = {0};
    struct general_name dns = {.type = GN_DNS};
    struct ext san = {.id = OID_EXT_SAN, .oid = oid_contents(OID_EXT_SAN)};
    if (e == TM_OK) {
        char *cn = arena_printf(a, "CN=bench-%u.example.net", i);
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
        ret->n = der.n;
    }
    buf_done(&info);
    buf_done(&sig);
    buf_done(&der);
    key_free(k);
    arena_free(a);
    return e;
}

/* ---- the library path: one thread, nothing stored ---- */

static const struct facts *bench_facts(struct facts *f, struct key *ca, struct slice issuer,
                                       const uint8_t key_id[20])
{
    int64_t now = clock_now();
    *f = (struct facts){.now = now};
    f->authority.name = "issuing-ca";
    f->authority.key_ref = "issuing-ca";
    f->authority.subject = issuer;
    f->authority.key_id = slice_of(key_id, 20);
    f->authority.key_alg = key_alg(ca);
    f->authority.sig_alg = sig_alg_default(key_alg(ca));
    f->authority.not_before = now - 86400;
    f->authority.not_after = now + 3650LL * 86400;
    f->authority.crl_url = "http://pki.example.net/crl/full.crl";
    f->authority.ca_url = "http://pki.example.net/ca.cer";
    f->authority.ocsp_url = "";
    return f;
}

static tm_err issue_once(struct arena *a, struct buf *tbs, struct buf *sig, struct buf *cert,
                         const struct profile *p, const struct facts *f, struct key *ca,
                         const struct request *q, struct diag *diag)
{
    struct csr csr;
    struct issue_request r = {.arena = a};
    TM_TRY(csr_parse_pkcs10(&csr, slice_of(q->der, q->n), diag));
    TM_TRY(csr_verify_pop(&csr, diag));
    TM_TRY(issue_from_csr(&r, &csr, diag));
    r.e.tenant = "default";
    r.e.endpoint = "rest";
    r.e.profile = "server-internal-1y";
    r.e.caller.kind = CALLER_PRINCIPAL;
    r.e.caller.roles = "operator";
    r.e.pop_verified = true;
    TM_TRY(policy_decide(&r.decision, a, p, &r.e, f));
    if (r.decision.verdict != VERDICT_ISSUE)
        return diag_fail(diag, TM_EDENIED, r.decision.rule, NULL, "%s", r.decision.reason);
    uint8_t serial[CERT_SERIAL_LEN];
    serial_prefix(serial, r.decision.plan.not_after, f->now);
    buf_reset(tbs);
    buf_reset(sig);
    buf_reset(cert);
    TM_TRY(plan_build_tbs(tbs, &r.decision.plan, serial, NULL));
    TM_TRY(key_sign(sig, ca, f->authority.sig_alg, buf_slice(tbs), diag));
    return signed_assemble(cert, buf_slice(tbs), sig_alg_info(f->authority.sig_alg)->algid, buf_slice(sig));
}

static const char *ready_source(const char *name)
{
    for (const struct ready_profile *p = ready_profiles; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->json;
    return "";
}

/* Floor and path take turns in each round, so that a noisy neighbour hits both. */
static tm_err library_rounds(struct bench *b, const struct profile *p, const struct facts *f, struct arena *a,
                             struct diag *diag)
{
    struct buf tbs, sig, cert;
    buf_init(&tbs, 64 << 10);
    buf_init(&sig, 8192);
    buf_init(&cert, 64 << 10);
    double sign[ROUNDS], verify[ROUNDS], path[ROUNDS];
    struct csr csr;
    tm_err e = csr_parse_pkcs10(&csr, slice_of(b->requests[0].der, b->requests[0].n), diag);
    for (unsigned round = 0; round < ROUNDS && e == TM_OK; round++) {
        double t0 = cpu_us();
        for (unsigned i = 0; i < LIBRARY_LOOPS && e == TM_OK; i++) {
            buf_reset(&sig);
            e = key_sign(&sig, b->ca, SIG_ECDSA_SHA256, csr.signed_part, diag);
        }
        double t1 = cpu_us();
        for (unsigned i = 0; i < LIBRARY_LOOPS && e == TM_OK; i++)
            e = csr_verify_pop(&csr, diag);
        double t2 = cpu_us();
        for (unsigned i = 0; i < LIBRARY_LOOPS && e == TM_OK; i++) {
            e = issue_once(a, &tbs, &sig, &cert, p, f, b->ca, &b->requests[i % REQUESTS], diag);
            arena_reset(a);
        }
        double t3 = cpu_us();
        sign[round] = (t1 - t0) / LIBRARY_LOOPS;
        verify[round] = (t2 - t1) / LIBRARY_LOOPS;
        path[round] = (t3 - t2) / LIBRARY_LOOPS;
    }
    buf_done(&tbs);
    buf_done(&sig);
    buf_done(&cert);
    if (e != TM_OK)
        return e;
    b->sign_us = median(sign, ROUNDS);
    b->verify_us = median(verify, ROUNDS);
    b->library_us = median(path, ROUNDS);
    return TM_OK;
}

static tm_err library(struct bench *b, struct diag *diag)
{
    struct arena *a = arena_new(0), *names = arena_new(0);
    struct profile *p = NULL;
    struct facts f;
    struct slice issuer;
    struct spki spki;
    uint8_t key_id[20];
    tm_err e = a && names ? key_generate(&b->ca, KEY_ALG_EC_P256, 0, diag) : TM_ENOMEM;
    for (uint64_t i = 0; i < b->n_requests && e == TM_OK; i++)
        e = make_request(&b->requests[i], (unsigned)i, diag);
    if (e == TM_OK)
        e = profile_from_json(&p, slice_str(ready_source("server-internal-1y")), 1, diag);
    if (e == TM_OK)
        e = name_from_text(&issuer, names, SLICE_LIT("CN=Bench CA"), diag);
    if (e == TM_OK)
        e = spki_parse(&spki, key_spki(b->ca), diag);
    if (e == TM_OK)
        e = spki_key_id(key_id, &spki);
    if (e == TM_OK)
        e = library_rounds(b, p, bench_facts(&f, b->ca, issuer, key_id), a, diag);
    profile_unref(p);
    arena_free(names);
    arena_free(a);
    return e;
}

/* ---- the durable path: policy, lint, signer, store and register, on a house of its own ---- */

struct flow {
    struct bench *b;
    struct house *house;
    struct waiter *waiter;
    uint64_t sent, done, failed, total;
    bool over;
    struct diag why;
};

struct flying {
    struct issue_request r;
    struct csr csr;
    struct flow *flow;
};

static void send_next(struct flow *f);

static void one_done(struct task *t)
{
    struct flying *x = TM_CONTAINER(TM_CONTAINER(t, struct issue_request, done), struct flying, r);
    struct flow *f = x->flow;
    if (x->r.outcome != ISSUE_ISSUED) {
        f->failed++;
        f->why = x->r.diag;
    }
    arena_free(x->r.arena);
    f->done++;
    if (f->sent < f->total)
        send_next(f);
    f->over = f->done == f->sent && f->sent >= f->total;
}

static void send_next(struct flow *f)
{
    struct arena *a = arena_new(0);
    struct flying *x = a ? arena_calloc(a, 1, sizeof *x) : NULL;
    struct diag diag = {0};
    const struct request *q = &f->b->requests[f->sent % f->b->n_requests];
    f->sent++;
    if (!x || csr_parse_pkcs10(&x->csr, slice_of(q->der, q->n), &diag) != TM_OK) {
        arena_free(a);
        f->done++;
        f->failed++;
        return;
    }
    x->flow = f;
    x->r = (struct issue_request){.house = f->house, .arena = a, .tenant = TENANT_DEFAULT};
    x->r.e = (struct enrollment){.tenant = "default",
                                 .endpoint = "rest",
                                 .profile = "server-internal-1y",
                                 .request_id = "bench",
                                 .door = DOOR_REST,
                                 .caller = {.kind = CALLER_PRINCIPAL, .id = "bench", .roles = "operator"}};
    TM_IGNORE(issue_from_csr(&x->r, &x->csr, &diag));
    x->r.reply_to = waiter_executor(f->waiter);
    x->r.done.run = one_done;
    issue_submit(&x->r);
}

static tm_err durable_on(struct bench *b, struct house *h, uint64_t total, struct diag *diag)
{
    struct flow f = {.b = b, .house = h, .total = total, .waiter = waiter_new()};
    if (!f.waiter)
        return TM_ENOMEM;
    double cpu = cpu_us();
    uint64_t begun = clock_mono_ns();
    for (uint64_t i = 0; i < WINDOW && f.sent < f.total; i++)
        send_next(&f);
    waiter_run(f.waiter, &f.over);
    double seconds = (double)(clock_mono_ns() - begun) / 1e9;
    waiter_free(f.waiter);
    if (f.failed)
        return diag_fail(diag, TM_EINTERNAL, f.why.rule, NULL, "%llu of %llu requests failed: %s",
                         (unsigned long long)f.failed, (unsigned long long)total, f.why.message);
    b->durable_per_s = (double)total / seconds;
    b->durable_cpu_us = (cpu_us() - cpu) / (double)total;
    return TM_OK;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static tm_err durable(struct bench *b, const char *dir, uint64_t total, struct diag *diag)
{
    struct arena *a = arena_new(0);
    char *home = a ? arena_printf(a, "%s/house", dir) : NULL;
    struct secret pass = {0};
    struct house *h = NULL;
    struct init_result made;
    tm_err e = home ? secret_copy(&pass, SLICE_LIT("a passphrase for the bench")) : TM_ENOMEM;
    if (e == TM_OK) {
        struct init_config ic = {.home = home,
                                 .passphrase = &pass,
                                 .root_passphrase = &pass,
                                 .public_base = "http://127.0.0.1",
                                 .demo_ports = true};
        e = house_init(&made, a, &ic, NULL, NULL, diag);
    }
    if (e == TM_OK) {
        struct house_config hc = {.home = home,
                                  .mode = HOUSE_OFFLINE,
                                  .passphrase = &pass,
                                  .public_base = made.public_base,
                                  .origin = made.origin};
        e = house_open(&h, &hc, diag);
    }
    if (e == TM_OK)
        e = durable_on(b, h, total, diag);
    house_close(h);
    secret_done(&pass);
    arena_free(a);
    return e;
}

/* ---- the table ---- */

static void show(const struct bench *b, uint64_t total)
{
    double floor = b->sign_us + b->verify_us;
    if (b->c->output == OUTPUT_JSON) {
        printf(
            "{\"sign_us\":%.2f,\"verify_us\":%.2f,\"library_us\":%.2f,\"library_ratio\":%.3f,\"durable_per_s\":%.0f,"
            "\"durable_cpu_us\":%.2f,\"durable_cpu_ratio\":%.3f}\n",
            b->sign_us, b->verify_us, b->library_us, floor / b->library_us, b->durable_per_s,
            b->durable_cpu_us, floor / b->durable_cpu_us);
        return;
    }
    printf("P-256 on this machine, CPU time, median of %d rounds:\n", ROUNDS);
    printf("  sign %.1f us, verify %.1f us: the floor of a certificate is %.1f us\n\n", b->sign_us,
           b->verify_us, floor);
    printf("  %-58s %8s %8s %s\n", "path", "us", "ratio", "goal");
    printf("  %-58s %8.1f %7.0f%% %s\n", "library: parse, possession, decision, TBS, sign", b->library_us,
           100 * floor / b->library_us, ">= 85%");
    printf("  %-58s %8.1f %7.0f%% %s\n", "durable: the same, lint, signer, store, register (CPU)",
           b->durable_cpu_us, 100 * floor / b->durable_cpu_us, ">= 70%");
    printf("\n  durable, in process, %llu certificates: %.0f/s over all cores\n", (unsigned long long)total,
           b->durable_per_s);
}

static int bench(struct cli *c)
{
    struct bench b = {.c = c};
    struct diag diag = {0};
    uint64_t total = DURABLE_DEFAULT;
    const char *n = cli_get(c, "certificates");
    if (n) {
        char *end;
        total = strtoull(n, &end, 10);
        if (*end || total == 0 || total > 1000000)
            return cli_usage(c, "--certificates takes a number from 1 to 1000000");
    }
    const char *parent = cli_get(c, "dir");
    char *dir = arena_printf(c->arena, "%s/touchmark-bench-XXXXXX", parent ? parent : "/tmp");
    if (!dir || !mkdtemp(dir))
        return cli_fail(c, "can't make a directory under %s", parent ? parent : "/tmp");
    log_configure(LOG_ERROR, LOG_AUTO);
    b.n_requests = total > REQUESTS ? total : REQUESTS;
    b.requests = calloc(b.n_requests, sizeof *b.requests);
    tm_err e = b.requests ? library(&b, &diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = durable(&b, dir, total, &diag);
    nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    key_free(b.ca);
    free(b.requests);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, NULL);
    show(&b, total);
    return 0;
}

static const struct cli_option bench_options[] = {
    {"certificates", 'n', "N", "how many to issue durably (20000)", false},
    {"dir", 0, "DIR", "where the store is made and removed again (/tmp)", false},
    {0},
};

const struct command bench_commands[] = {
    {
        .noun = "bench",
        .verb = "",
        .summary = "measure issuing on this machine against its own floor",
        .arguments = "",
        .description =
            "Measures P-256 signing and verifying, then the library path from request to certificate, then the durable path on a\n"
            "house made for it and removed again. Ratios are the floor (sign + verify) divided by the path's CPU time.",
        .example = "touchmark bench --certificates 100000 --dir /var/tmp",
        .options = bench_options,
        .run = bench,
    },
    {0},
};
