#include "base/clock.h"
#include "gateway/impl.h"
#include <string.h>

const char *const gateway_status_names[] = {"good", "revoked", "unknown", "stale"};

struct metric gateway_answers = {
    .name = "proxy_answers_total", .help = "Questions answered, by status.", .labels = {"status"}};

static void consider(struct gateway_answer *best, struct gateway_answer a)
{
    if (best->status == STATUS_UNKNOWN || a.as_of > best->as_of)
        *best = a;
}

static void ask_filter(struct gateway_answer *best, struct gateway *g, struct gateway_source *full_source,
                       struct gateway_source *delta_source, const struct gateway_authority *x,
                       struct slice serial)
{
    /* Both at once, for a full filter may take the place of the delta's base. */
    pthread_mutex_lock(&g->lock);
    struct gateway_object *full = full_source->now, *delta = delta_source->now;
    if (full)
        atomic_fetch_add(&full->refs, 1);
    if (delta && full && tmf_fits(&delta->filter, &full->filter, full->digest))
        atomic_fetch_add(&delta->refs, 1);
    else
        delta = NULL;
    pthread_mutex_unlock(&g->lock);
    if (!full)
        return;
    const struct gateway_object *newest = delta ? delta : full;
    enum tmf_answer a = tmf_query(&full->filter, delta ? &delta->filter : NULL, x->id, serial.p, serial.n);
    if (a == TMF_GOOD || a == TMF_REVOKED)
        consider(best, (struct gateway_answer){.status = a == TMF_GOOD ? STATUS_GOOD : STATUS_REVOKED,
                                               .source = delta ? "delta" : "filter",
                                               .as_of = newest->this_update,
                                               .next_update = newest->next_update,
                                               .number = newest->number});
    object_unref(full);
    object_unref(delta);
}

static int serial_compare(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, CERT_SERIAL_MAX);
}

static bool listed(const struct gateway_object *crl, struct slice serial)
{
    uint8_t wanted[CERT_SERIAL_MAX] = {0};
    size_t from = 0, to = crl->n_serials;
    while (serial.n && serial.p[0] == 0)
        serial = slice_sub(serial, 1, serial.n);
    if (serial.n > sizeof wanted)
        return false;
    if (serial.n)
        memcpy(wanted + sizeof wanted - serial.n, serial.p, serial.n);
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = serial_compare(crl->serials + middle * CERT_SERIAL_MAX, wanted);
        if (order == 0)
            return true;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

static void ask_crl(struct gateway_answer *best, struct gateway *g, const struct gateway_authority *x,
                    struct slice serial)
{
    struct gateway_object *crl = object_now(g, x->crl);
    if (crl && crl->complete)
        consider(best, (struct gateway_answer){.status = listed(crl, serial) ? STATUS_REVOKED : STATUS_GOOD,
                                               .source = "crl",
                                               .as_of = crl->this_update,
                                               .next_update = crl->next_update,
                                               .number = crl->number});
    object_unref(crl);
}

static struct gateway_answer newest(struct gateway *g, const struct gateway_authority *x, struct slice serial)
{
    struct gateway_answer best = {.status = STATUS_UNKNOWN, .source = ""};
    for (size_t i = 0; i < g->n_sources; i++)
        if (g->sources[i].kind == SOURCE_DELTA)
            ask_filter(&best, g, g->sources[i].base, &g->sources[i], x, serial);
    ask_crl(&best, g, x, serial);
    return best;
}

bool gateway_knows_revoked(struct gateway *g, const struct gateway_authority *x, struct slice serial)
{
    return newest(g, x, serial).status == STATUS_REVOKED;
}

struct gateway_answer gateway_ask(struct gateway *g, const struct gateway_authority *x, struct slice serial)
{
    struct gateway_answer best = newest(g, x, serial);
    if (best.status != STATUS_UNKNOWN && clock_now() - best.as_of > g->config.stale_after)
        best.status = STATUS_STALE;
    return best;
}
