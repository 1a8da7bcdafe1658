#include "http/metrics.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static const uint64_t bounds[] = {1000, 20000, 1500000, 0};

static int64_t read_depth(void *arg)
{
    return *(const int *)arg;
}

static int depth = -3;
static struct metric plain = {.name = "plain_total", .help = "Plain \\ thing\nover lines."};
static struct metric labelled = {.name = "labelled_total", .help = "L.", .labels = {"door", "outcome"}};
static struct metric gauge = {.name = "open", .help = "G.", .kind = METRIC_GAUGE};
static struct metric asked = {
    .name = "depth", .help = "D.", .kind = METRIC_GAUGE, .read = read_depth, .arg = &depth};
static struct metric took = {.name = "took_seconds",
                             .help = "T.",
                             .kind = METRIC_HISTOGRAM,
                             .labels = {"what"},
                             .bounds = bounds,
                             .per_unit = 1000000};
static struct metric busy = {.name = "busy_total", .help = "B.", .labels = {"n"}};
static struct metric *const table[] = {&plain, &labelled, &gauge, &asked, &took, &busy, NULL};

static void test_metrics_render__text(void **state)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_register(table);
    metrics_register(table);
    metric_add(&labelled, METRIC_LABELS("est", "ok"), 2);
    metric_add(&labelled, METRIC_LABELS("a\"b\\c\nd", "ok"), 1);
    metric_add(&labelled, METRIC_LABELS("est", "ok"), 1);
    metric_set(&gauge, NULL, 5);
    metric_add(&gauge, NULL, -7);
    metric_observe(&took, METRIC_LABELS("sign"), 1000);
    metric_observe(&took, METRIC_LABELS("sign"), 1001);
    metric_observe(&took, METRIC_LABELS("sign"), 99000000);
    metrics_render(&b);
    assert_string_equal(buf_str(&b), "# HELP touchmark_plain_total Plain \\\\ thing\\nover lines.\n"
                                     "# TYPE touchmark_plain_total counter\n"
                                     "touchmark_plain_total 0\n"
                                     "# HELP touchmark_labelled_total L.\n"
                                     "# TYPE touchmark_labelled_total counter\n"
                                     "touchmark_labelled_total{door=\"a\\\"b\\\\c\\nd\",outcome=\"ok\"} 1\n"
                                     "touchmark_labelled_total{door=\"est\",outcome=\"ok\"} 3\n"
                                     "# HELP touchmark_open G.\n"
                                     "# TYPE touchmark_open gauge\n"
                                     "touchmark_open -2\n"
                                     "# HELP touchmark_depth D.\n"
                                     "# TYPE touchmark_depth gauge\n"
                                     "touchmark_depth -3\n"
                                     "# HELP touchmark_took_seconds T.\n"
                                     "# TYPE touchmark_took_seconds histogram\n"
                                     "touchmark_took_seconds_bucket{what=\"sign\",le=\"0.001\"} 1\n"
                                     "touchmark_took_seconds_bucket{what=\"sign\",le=\"0.02\"} 2\n"
                                     "touchmark_took_seconds_bucket{what=\"sign\",le=\"1.5\"} 2\n"
                                     "touchmark_took_seconds_bucket{what=\"sign\",le=\"+Inf\"} 3\n"
                                     "touchmark_took_seconds_sum{what=\"sign\"} 99.002001\n"
                                     "touchmark_took_seconds_count{what=\"sign\"} 3\n"
                                     "# HELP touchmark_busy_total B.\n"
                                     "# TYPE touchmark_busy_total counter\n");
    buf_done(&b);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *hammer(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        char n[16];
        snprintf(n, sizeof n, "%d", i % 300);
        metric_add(&busy, METRIC_LABELS(n), 1);
        metric_observe(&took, METRIC_LABELS("hammer"), (uint64_t)i);
    }
    return NULL;
}

/* Nothing is lost, no series is there twice, and there is an end to them. */
static void test_metric_add__threads(void **state)
{
    pthread_t t[THREADS];
    struct buf b;
    long long sum = 0, value;
    int series = 0, twice = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    buf_init(&b, 1 << 20);
    metrics_render(&b);
    for (const char *at = buf_str(&b); (at = strstr(at, "\ntouchmark_busy_total{")); at++) {
        assert_int_equal(sscanf(strchr(at, '}'), "} %lld", &value), 1);
        sum += value;
        series++;
        twice += strncmp(at, "\ntouchmark_busy_total{n=\"7\"}", 28) == 0;
    }
    assert_int_equal(sum, THREADS * ROUNDS);
    assert_true(series > METRIC_SERIES_MAX && series <= METRIC_SERIES_MAX + THREADS + 1);
    assert_int_equal(twice, 1);
    assert_non_null(strstr(buf_str(&b), "touchmark_busy_total{n=\"other\"}"));
    assert_non_null(strstr(buf_str(&b), "touchmark_took_seconds_count{what=\"hammer\"} 80000\n"));
    buf_done(&b);
}

static void test_metric_series__null(void **state)
{
    metric_series_add(NULL, 1);
    metric_series_set(NULL, 1);
    metric_series_observe(&took, NULL, 1);
    assert_ptr_equal(metric_series(&gauge, NULL), metric_series(&gauge, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_render__text),
        cmocka_unit_test(test_metric_add__threads),
        cmocka_unit_test(test_metric_series__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
