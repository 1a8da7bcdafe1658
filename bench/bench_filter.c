/* bench_filter - sizes of revocation filters beside the information bound, and what making and asking them takes.
 *
 *   bench_filter [MEMBERS [PERCENT...]]
 *
 * One issuer with that many certificates (10,000,000), so much of them revoked (1 and 5), serials in the form that Touchmark gives. For each:
 * the full filter (size, bound, time on one core), a delta for 1,000 newly revoked and 10,000 newly issued, and the time of one question for
 * members in random order. Every member is asked once and has to get its right answer, before and with the delta. Signatures, some
 * 1.3 KB a file, are left out. The limits are printed with the figures; exit status 1 when one is broken. */
#include "base/buf.h"
#include "base/digest.h"
#include "filter/writer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NEW_REVOKED = 1000, NEW_ISSUED = 10000, T0 = 1700000000, A_SECOND = 10, QUESTIONS = 2000000 };

static const uint8_t issuer[TMF_ISSUER_LEN] = {1};
static int broken;

static uint64_t mix(uint64_t n)
{
    n = (n + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

/* Serial of the certificate with that number: ten a second. */
static void serial_of(uint8_t s[TMF_SERIAL_LEN], uint64_t i)
{
    uint32_t at = (uint32_t)(T0 + i / A_SECOND);
    uint64_t a = mix(2 * i), b = mix(2 * i + 1);
    s[0] = 0x7f;
    s[1] = 0xff;
    for (int j = 0; j < 4; j++)
        s[2 + j] = (uint8_t)(at >> (24 - 8 * j));
    s[6] = (uint8_t)(i % A_SECOND); /* ascending */
    memcpy(s + 7, &a, 8);
    s[15] = (uint8_t)b;
}

struct set {
    uint64_t n, n_base; /* now, and when the base was made */
    uint64_t threshold; /* revoked in the base */
};
static bool in_base(const struct set *s, uint64_t i)
{
    return i < s->n_base && mix(i ^ 0x5555) < s->threshold;
}
static bool now_revoked(const struct set *s, uint64_t i)
{
    return in_base(s, i) || mix(i ^ 0x3333) % (s->n / NEW_REVOKED) == 0;
}

/* This thread's processor time: others may be busy on the machine. */
static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(tm_err e, const char *what)
{
    if (e != TM_OK) {
        fprintf(stderr, "bench_filter: %s: %s\n", what, tm_err_name(e));
        exit(1);
    }
}

static void limit(const char *what, double value, double most)
{
    bool ok = value <= most;
    printf("    %-34s %8.3f  limit %g%s\n", what, value, most, ok ? "" : "  BROKEN");
    broken |= !ok;
}

static void make(struct buf *out, const struct set *s, const struct tmf_filter *base)
{
    struct filter_head head = {.kind = base ? TMF_DELTA : TMF_FULL,
                               .name = "bench",
                               .number = base ? 2 : 1,
                               .base_number = base ? 1 : 0,
                               .this_update = T0,
                               .next_update = T0 + 86400};
    struct filter_writer *w;
    uint64_t n = base ? s->n : s->n_base;
    check(filter_writer_new(&w, &head), "writer");
    check(filter_writer_issuer(w, issuer, (int64_t)(T0 + n / A_SECOND + 1)), "issuer");
    for (uint64_t i = 0; i < n; i++) {
        uint8_t serial[TMF_SERIAL_LEN];
        serial_of(serial, i);
        if (!base)
            check(filter_writer_add(w, FILTER_REVOKED, serial, in_base(s, i)), "add");
        else if (tmf_query(base, NULL, issuer, serial, sizeof serial) == TMF_REVOKED)
            check(filter_writer_add(w, FILTER_RELEASED, serial, !now_revoked(s, i)), "add");
        else
            check(filter_writer_add(w, FILTER_REVOKED, serial, now_revoked(s, i)), "add");
    }
    check(filter_writer_end(w, out), "end");
    filter_writer_free(w);
}

static void verify(const struct tmf_filter *f, const struct tmf_filter *delta, const struct set *s)
{
    uint64_t n = delta ? s->n : s->n_base, wrong = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t serial[TMF_SERIAL_LEN];
        serial_of(serial, i);
        bool is = delta ? now_revoked(s, i) : in_base(s, i);
        wrong += tmf_query(f, delta, issuer, serial, sizeof serial) != (is ? TMF_REVOKED : TMF_GOOD);
    }
    printf("    %-34s %8" PRIu64 "  of %" PRIu64 "\n",
           delta ? "wrong answers with the delta" : "wrong answers", wrong, n);
    broken |= wrong != 0;
}

static double question_us(const struct tmf_filter *f, const struct tmf_filter *delta, const struct set *s)
{
    uint8_t(*serials)[TMF_SERIAL_LEN] = calloc(QUESTIONS, sizeof *serials);
    uint64_t revoked = 0;
    if (!serials)
        exit(1);
    for (uint64_t i = 0; i < QUESTIONS; i++)
        serial_of(serials[i], mix(i ^ 0x7777) % s->n_base);
    double begun = cpu_s();
    for (uint64_t i = 0; i < QUESTIONS; i++)
        revoked += tmf_query(f, delta, issuer, serials[i], TMF_SERIAL_LEN) == TMF_REVOKED;
    double us = (cpu_s() - begun) * 1e6 / QUESTIONS;
    free(serials);
    return revoked ? us : 1e9;
}

static void run(uint64_t members, double percent)
{
    struct set s = {.n = members + NEW_ISSUED, .n_base = members};
    struct buf full, delta;
    struct tmf_filter f, d;
    s.threshold = (uint64_t)(percent / 100 * 0x1p64);
    buf_init(&full, FILTER_BODY_MAX);
    buf_init(&delta, FILTER_BODY_MAX);
    double begun = cpu_s();
    make(&full, &s, NULL);
    double seconds = cpu_s() - begun;
    if (tmf_open(&f, full.p, full.n) != 0)
        exit(1);
    struct tmf_issuer x;
    tmf_issuer_at(&f, 0, &x);
    double bound = filter_bound(&f) / 8;
    printf("%" PRIu64 " certificates, %" PRIu64 " revoked (%g%%): %zu octets, bound %.0f\n", x.members,
           x.revoked, percent, full.n, bound);
    limit("size / bound", (double)full.n / bound, 1.12);
    limit("built in, s", seconds, 60);
    limit("question, us", question_us(&f, NULL, &s), 1);
    verify(&f, NULL, &s);
    begun = cpu_s();
    make(&delta, &s, &f);
    seconds = cpu_s() - begun;
    if (tmf_open(&d, delta.p, delta.n) != 0)
        exit(1);
    tmf_issuer_at(&d, 0, &x);
    printf("  delta, %" PRIu64 " newly revoked, %d newly issued: %zu octets, bound %.0f, in %.1f s\n",
           x.revoked, NEW_ISSUED, delta.n, filter_bound(&d) / 8, seconds);
    limit("delta / full", (double)delta.n / (double)full.n, 0.05);
    limit("question with the delta, us", question_us(&f, &d, &s), 1);
    verify(&f, &d, &s);
    buf_done(&full);
    buf_done(&delta);
}

int main(int argc, char **argv)
{
    uint64_t members = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    if (members < NEW_REVOKED * 10) {
        fprintf(stderr, "usage: bench_filter [MEMBERS [PERCENT...]] (10,000 members at least)\n");
        return 2;
    }
    if (argc > 2)
        for (int i = 2; i < argc; i++)
            run(members, strtod(argv[i], NULL));
    else {
        run(members, 1);
        run(members, 5);
    }
    return broken;
}
