/* What the policy tests share: a profile from text, a request and a house that it fits. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include "policy/sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* wants the system headers first */

struct bench {
    struct arena *a;
    struct profile *p;
    struct sample s;
    struct decision *d;
};

static inline const char *ready_json(const char *name)
{
    for (const struct ready_profile *r = ready_profiles; r->name; r++)
        if (strcmp(r->name, name) == 0)
            return r->json;
    fail_msg("no ready profile %s", name);
    return NULL;
}

static inline void bench_open_json(struct bench *b, const char *json)
{
    struct diag diag = {0};
    memset(b, 0, sizeof *b);
    b->a = arena_new(0);
    assert_non_null(b->a);
    if (profile_from_json(&b->p, slice_str(json), 1, &diag) != TM_OK)
        fail_msg("%s: %s", diag.field, diag.message);
    b->d = arena_alloc(b->a, sizeof *b->d);
    assert_int_equal(sample_make(&b->s, b->a, b->p), TM_OK);
}

static inline void bench_open(struct bench *b, const char *ready)
{
    bench_open_json(b, ready_json(ready));
}

static inline void bench_close(struct bench *b)
{
    profile_free(b->p);
    arena_free(b->a);
}

static inline void bench_decide(struct bench *b)
{
    assert_int_equal(policy_decide(b->d, b->a, b->p, &b->s.e, &b->s.f), TM_OK);
}

static inline const char *bench_explain(struct bench *b)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    decision_print(&out, b->d);
    char *text = arena_strdup(b->a, buf_str(&out));
    buf_done(&out);
    return text;
}

/* Decide, and want it issued. */
static inline void expect_issue(struct bench *b)
{
    bench_decide(b);
    if (b->d->verdict != VERDICT_ISSUE)
        fail_msg("not issued:\n%s", bench_explain(b));
}

/* Decide, and want this rule to refuse. */
static inline void expect_deny(struct bench *b, const char *rule)
{
    bench_decide(b);
    if (b->d->verdict != VERDICT_DENY || strcmp(b->d->rule, rule) != 0)
        fail_msg("not refused by %s:\n%s", rule, bench_explain(b));
}

static inline void bench_subject(struct bench *b, const char *text)
{
    assert_int_equal(name_from_text(&b->s.e.subject, b->a, slice_str(text), NULL), TM_OK);
}

/* Ask for these names, NULL-terminated; text that general_name_from_text() refuses is put in raw as a DNS name. */
static inline void bench_names(struct bench *b, const char *const *names)
{
    struct general_name *v = arena_calloc(b->a, 128, sizeof *v);
    size_t n = 0;
    for (; names[n]; n++) {
        if (general_name_from_text(&v[n], b->a, slice_str(names[n]), NULL) == TM_OK)
            continue;
        const char *colon = strchr(names[n], ':');
        enum general_name_type type = strncmp(names[n], "URI:", 4) == 0     ? GN_URI
                                      : strncmp(names[n], "email:", 6) == 0 ? GN_EMAIL
                                                                            : GN_DNS;
        v[n] = (struct general_name){.type = type, .value = slice_str(colon ? colon + 1 : names[n])};
    }
    b->s.e.san = (struct general_names){v, n};
}
#define NAMES(b, ...) bench_names((b), (const char *const[]){__VA_ARGS__, NULL})

/* A whole certificate of the last plan, with a signature of zeroes. */
static inline struct slice bench_certificate(struct bench *b)
{
    struct buf tbs, cert;
    uint8_t serial[CERT_SERIAL_LEN];
    struct slice out;
    buf_init(&tbs, CERT_DER_MAX);
    buf_init(&cert, CERT_DER_MAX);
    serial_prefix(serial, b->d->plan.not_after, b->s.f.now);
    serial[15] = 1;
    assert_int_equal(plan_build_tbs(&tbs, &b->d->plan, serial, NULL), TM_OK);
    static const uint8_t signature[64];
    assert_int_equal(signed_assemble(&cert, buf_slice(&tbs), sig_alg_info(b->d->plan.sig_alg)->algid,
                                     SLICE_ARR(signature)),
                     TM_OK);
    assert_int_equal(arena_copy(&out, b->a, buf_slice(&cert)), TM_OK);
    buf_done(&tbs);
    buf_done(&cert);
    return out;
}

/* A ten-day profile with these further fields, and a request for CN=host.example.org from no known device. */
#define P(rest)                                                                                              \
    "{\"kind\":\"Profile\",\"name\":\"t\",\"lifetime\":{\"default\":\"10d\",\"backdate\":\"1h\"}," rest "}"

static inline void open_subject_any(struct bench *b, const char *rest)
{
    char json[4096];
    snprintf(json, sizeof json, P("%s"), rest);
    bench_open_json(b, json);
    bench_subject(b, "CN=host.example.org");
    b->s.e.san.n = 0;
    b->s.f.device.known = false;
}
#define ANY_DNS "\"san\":{\"allow\":{\"dns\":{}}}"

/* TM_UPDATE_GOLDEN=1 writes what the tests would compare. */
static inline void compare_golden(const char *path, struct slice have)
{
    const char *update = getenv("TM_UPDATE_GOLDEN");
    if (update && *update == '1') {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(have.p, 1, have.n, f), have.n);
        assert_int_equal(fclose(f), 0);
        return;
    }
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing: run the tests with TM_UPDATE_GOLDEN=1", path);
    char *want = calloc(1, (1 << 20) + 1);
    assert_non_null(want);
    size_t n = fread(want, 1, 1 << 20, f);
    fclose(f);
    size_t line = 1, at = 0;
    while (at < n && at < have.n && want[at] == (char)have.p[at])
        line += want[at++] == '\n';
    if (at != n || at != have.n) {
        free(want);
        fail_msg("%s differs from line %zu on; if that is meant, run the tests with TM_UPDATE_GOLDEN=1", path,
                 line);
    }
    free(want);
}
