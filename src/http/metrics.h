/* http/metrics.h - counters, gauges and histograms, and their Prometheus text form (exposition format 0.0.4).
 *
 * Layer 2 (over base only), thread-safe. A room keeps its metrics as static structs and registers a table of pointers once:
 *
 *   static struct metric issued = {.name = "certificates_issued_total", .help = "Certificates issued.", .labels = {"profile"}};
 *   struct metric *const issue_metrics[] = {&issued, NULL};
 *   ...
 *   metrics_register(issue_metrics);
 *   metric_add(&issued, METRIC_LABELS(profile->name), 1);
 *
 * Recording takes no lock: a walk over the metric's series and one relaxed atomic addition; hot paths keep the series. Label
 * values must come from small sets (routes, profiles, outcomes), never from a client: a metric has METRIC_SERIES_MAX series,
 * further ones are counted together as "other". */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>
#include <stdbool.h>

enum { METRIC_LABELS_MAX = 3, METRIC_SERIES_MAX = 200, METRIC_BOUNDS_MAX = 24 };

struct metric_series;

struct metric {
    const char *name; /* without "touchmark_"; counters end with "_total", times with "_seconds" */
    const char *help; /* one sentence */
    enum { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } kind;
    const char *labels[METRIC_LABELS_MAX + 1]; /* names, ended by NULL */
    const uint64_t *
        bounds; /* histograms: upper bounds in recorded units, ascending, ended by 0; METRIC_BOUNDS_MAX at most */
    /* Recorded units in one that is shown, a power of ten: 1000000 for microseconds shown as seconds. 0: 1. */
    uint64_t per_unit;
    /* Counters and gauges without labels may be asked instead of told. Called while metrics_render() runs, on its thread. */
    int64_t (*read)(void *arg);
    void *arg;
    /* Private. */
    _Atomic(struct metric_series *) series;
    atomic_uint n_series;
    struct metric *next;
    bool registered;
};

/* Microseconds from 100 µs to 10 s. */
extern const uint64_t metric_bounds_micros[];

/* The values of a metric's labels in order; NULL for a metric without labels. */
#define METRIC_LABELS(...) ((const char *const[]){__VA_ARGS__})

/* A table that ends with NULL. Metrics stay where they are for as long as the process runs; registering again does nothing. */
void metrics_register(struct metric *const *table);

/* The series with these label values, made on first use and kept for ever. NULL when out of memory, which all functions below
 * take and ignore. */
struct metric_series *metric_series(struct metric *m, const char *const *values);

void metric_series_add(struct metric_series *s, int64_t n);
void metric_series_set(struct metric_series *s, int64_t v);
void metric_series_observe(const struct metric *m, struct metric_series *s, uint64_t v);

/* The same by label values. Counters only go up; gauges may be added to and set; histograms observe. */
static inline void metric_add(struct metric *m, const char *const *values, int64_t n)
{
    metric_series_add(metric_series(m, values), n);
}
static inline void metric_set(struct metric *m, const char *const *values, int64_t v)
{
    metric_series_set(metric_series(m, values), v);
}
static inline void metric_observe(struct metric *m, const char *const *values, uint64_t v)
{
    metric_series_observe(m, metric_series(m, values), v);
}

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
/* Append everything registered, in the order of registration. */
void metrics_render(struct buf *b);
