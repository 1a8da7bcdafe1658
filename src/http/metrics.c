#include "http/metrics.h"
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Series are pushed in front and never removed, so that readers need no lock. Each has cache lines of its own: threads that
 * count different things do not disturb each other. */
struct metric_series {
    alignas(64) _Atomic int64_t value; /* of histograms: the sum */
    struct metric_series *next;
    char *values[METRIC_LABELS_MAX];
    size_t n_buckets; /* the last is +Inf */
    _Atomic uint64_t buckets[];
};

const uint64_t metric_bounds_micros[] = {100,   250,    500,    1000,   2500,    5000,    10000,    25000,
                                         50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, 0};

/* Guards the list of metrics; recording does not come near it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct metric *first, **last = &first;

void metrics_register(struct metric *const *table)
{
    pthread_mutex_lock(&mutex);
    for (; *table; table++) {
        struct metric *m = *table;
        if (m->registered)
            continue;
        m->registered = true;
        *last = m;
        last = &m->next;
    }
    pthread_mutex_unlock(&mutex);
}

/* ---- series ---- */

static bool same(const struct metric *m, const struct metric_series *s, const char *const *values)
{
    for (size_t i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++)
        if (strcmp(s->values[i], values[i]) != 0)
            return false;
    return true;
}

/* From `from` up to but not with `until`. */
static struct metric_series *find(const struct metric *m, struct metric_series *from,
                                  const struct metric_series *until, const char *const *values)
{
    for (; from != until; from = from->next)
        if (same(m, from, values))
            return from;
    return NULL;
}

static void series_free(struct metric_series *s)
{
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
        free(s->values[i]);
    free(s);
}

static struct metric_series *series_new(const struct metric *m, const char *const *values)
{
    size_t n_buckets = 0;
    if (m->kind == METRIC_HISTOGRAM) {
        while (m->bounds[n_buckets] && n_buckets < METRIC_BOUNDS_MAX)
            n_buckets++;
        n_buckets++;
    }
    size_t size = sizeof(struct metric_series) + n_buckets * sizeof(uint64_t);
    size = (size + 63) / 64 * 64;
    struct metric_series *s = aligned_alloc(64, size);
    if (!s)
        return NULL;
    memset(s, 0, size);
    s->n_buckets = n_buckets;
    for (size_t i = 0; i < METRIC_LABELS_MAX && m->labels[i]; i++) {
        if (!(s->values[i] = strdup(values[i]))) {
            series_free(s);
            return NULL;
        }
    }
    return s;
}

static struct metric_series *series_add(struct metric *m, struct metric_series *seen,
                                        const char *const *values)
{
    struct metric_series *s = series_new(m, values),
                         *head = atomic_load_explicit(&m->series, memory_order_acquire);
    if (!s)
        return NULL;
    for (;;) {
        /* What others have pushed since we looked may be the same. */
        struct metric_series *other = find(m, head, seen, values);
        if (other) {
            series_free(s);
            return other;
        }
        s->next = seen = head;
        if (atomic_compare_exchange_weak_explicit(&m->series, &head, s, memory_order_acq_rel,
                                                  memory_order_acquire))
            break;
    }
    atomic_fetch_add_explicit(&m->n_series, 1, memory_order_relaxed);
    return s;
}

struct metric_series *metric_series(struct metric *m, const char *const *values)
{
    static const char *const others[METRIC_LABELS_MAX] = {"other", "other", "other"};
    static const char *const none[METRIC_LABELS_MAX] = {"", "", ""};
    if (!values)
        values = none;
    struct metric_series *head = atomic_load_explicit(&m->series, memory_order_acquire);
    struct metric_series *s = find(m, head, NULL, values);
    if (s)
        return s;
    if (atomic_load_explicit(&m->n_series, memory_order_relaxed) >= METRIC_SERIES_MAX) {
        s = find(m, head, NULL, others);
        if (s)
            return s;
        values = others;
    }
    return series_add(m, head, values);
}

void metric_series_add(struct metric_series *s, int64_t n)
{
    if (s)
        atomic_fetch_add_explicit(&s->value, n, memory_order_relaxed);
}

void metric_series_set(struct metric_series *s, int64_t v)
{
    if (s)
        atomic_store_explicit(&s->value, v, memory_order_relaxed);
}

void metric_series_observe(const struct metric *m, struct metric_series *s, uint64_t v)
{
    if (!s)
        return;
    size_t i = 0;
    while (i + 1 < s->n_buckets && v > m->bounds[i])
        i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->value, (int64_t)v, memory_order_relaxed);
}

/* ---- text ---- */

static void put_escaped(struct buf *b, const char *s, bool quotes)
{
    for (; *s; s++) {
        if (*s == '\\' || (*s == '"' && quotes))
            buf_putc(b, '\\');
        if (*s == '\n')
            buf_puts(b, "\\n");
        else
            buf_putc(b, (uint8_t)*s);
    }
}

/* v / per_unit as an exact decimal, without the help of a locale. */
static void put_value(struct buf *b, int64_t v, uint64_t per_unit)
{
    uint64_t n = v < 0 ? -(uint64_t)v : (uint64_t)v;
    if (per_unit == 0)
        per_unit = 1;
    buf_printf(b, "%s%llu", v < 0 ? "-" : "", (unsigned long long)(n / per_unit));
    uint64_t rest = n % per_unit;
    if (rest)
        buf_putc(b, '.');
    for (uint64_t digit = per_unit / 10; rest && digit; digit /= 10) {
        buf_putc(b, (uint8_t)('0' + rest / digit));
        rest %= digit;
    }
}

static void put_labels(struct buf *b, const struct metric *m, const struct metric_series *s, const char *le)
{
    char between = '{';
    for (size_t i = 0; s && i < METRIC_LABELS_MAX && m->labels[i]; i++, between = ',') {
        buf_putc(b, (uint8_t)between);
        buf_puts(b, m->labels[i]);
        buf_puts(b, "=\"");
        put_escaped(b, s->values[i], true);
        buf_putc(b, '"');
    }
    if (le) {
        buf_putc(b, (uint8_t)between);
        buf_printf(b, "le=\"%s\"", le);
        between = ',';
    }
    if (between == ',')
        buf_putc(b, '}');
}

static void put_line(struct buf *b, const struct metric *m, const char *suffix, const struct metric_series *s,
                     const char *le, int64_t v, uint64_t per_unit)
{
    buf_printf(b, "touchmark_%s%s", m->name, suffix);
    put_labels(b, m, s, le);
    buf_putc(b, ' ');
    put_value(b, v, per_unit);
    buf_putc(b, '\n');
}

static void put_histogram(struct buf *b, const struct metric *m, struct metric_series *s)
{
    uint64_t total = 0;
    for (size_t i = 0; i < s->n_buckets; i++) {
        struct buf le;
        buf_init(&le, 64);
        if (i + 1 < s->n_buckets)
            put_value(&le, (int64_t)m->bounds[i], m->per_unit);
        else
            buf_puts(&le, "+Inf");
        total += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        put_line(b, m, "_bucket", s, buf_str(&le), (int64_t)total, 1);
        buf_done(&le);
    }
    put_line(b, m, "_sum", s, NULL, atomic_load_explicit(&s->value, memory_order_relaxed), m->per_unit);
    /* From the same reading as the buckets, so that it equals the last of them. */
    put_line(b, m, "_count", s, NULL, (int64_t)total, 1);
}

static void put_metric(struct buf *b, struct metric *m)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(b, "# HELP touchmark_%s ", m->name);
    put_escaped(b, m->help, false);
    buf_printf(b, "\n# TYPE touchmark_%s %s\n", m->name, kinds[m->kind]);
    if (m->read) {
        put_line(b, m, "", NULL, NULL, m->read(m->arg), m->per_unit);
        return;
    }
    if (!m->labels[0]) /* shown as 0 before anything has happened */
        (void)metric_series(m, NULL);
    for (struct metric_series *s = atomic_load_explicit(&m->series, memory_order_acquire); s; s = s->next) {
        if (m->kind == METRIC_HISTOGRAM)
            put_histogram(b, m, s);
        else
            put_line(b, m, "", s, NULL, atomic_load_explicit(&s->value, memory_order_relaxed), m->per_unit);
    }
}

void metrics_render(struct buf *b)
{
    pthread_mutex_lock(&mutex);
    for (struct metric *m = first; m; m = m->next)
        put_metric(b, m);
    pthread_mutex_unlock(&mutex);
}
