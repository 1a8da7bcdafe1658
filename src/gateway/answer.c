#include "base/clock.h"
#include "gateway/impl.h"
#include "store/store.h"
#include <string.h>

/* No house has given out a serial before; clocks of gateways may be behind a house's. */
enum { SERIALS_SINCE = 1577836800, SKEW = 86400 };

const char *const gateway_status_names[] = {"good", "revoked", "unknown", "stale"};

struct metric gateway_answers = {
    .name = "proxy_answers_total", .help = "Questions answered, by status.", .labels = {"status"}};

static void consider(struct gateway_answer *best, struct gateway_answer a)
{
    if (best->status == STATUS_UNKNOWN || a.as_of > best->as_of)
        *best = a;
}

/* When it was issued, as a serial of Touchmark's says (two octets of expiry month since 2000, four of unix time), else as its notBefore has
 * it, which may be earlier. 0: nobody knows. */
static int64_t issued_at(struct slice serial, int64_t not_before)
{
    serial = serial_magnitude(serial);
    if (serial.n != CERT_SERIAL_LEN)
        return not_before;
    const uint8_t *p = serial.p;
    unsigned month = (unsigned)p[0] << 8 | p[1];
    int64_t t = (int64_t)((uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 8 | p[5]);
    bool ours = t >= SERIALS_SINCE && t <= clock_now() + SKEW && month >= cert_id_month(t);
    return ours ? t : not_before;
}

/* Nothing here is as new as the certificate: said with what is newest. */
static void too_old(struct gateway_answer *best, const struct gateway_object *o, const char *source,
                    int64_t issued)
{
    if (best->status == STATUS_UNKNOWN && o->this_update > best->as_of)
        *best = (struct gateway_answer){.status = STATUS_UNKNOWN,
                                        .source = source,
                                        .as_of = o->this_update,
                                        .next_update = o->next_update,
                                        .number = o->number,
                                        .issued = issued};
}

static void ask_filter(struct gateway_answer *best, struct gateway *g, struct gateway_source *full_source,
                       struct gateway_source *delta_source, const struct gateway_authority *x,
                       struct slice serial, int64_t issued)
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
    else if (a == TMF_NOT_COVERED && issued)
        too_old(best, newest, delta ? "delta" : "filter", issued);
    object_unref(full);
    object_unref(delta);
}

static int serial_compare(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, CERT_SERIAL_MAX);
}

static bool listed(const struct gateway_object *crl, struct slice serial)
{
    uint8_t wanted[CERT_SERIAL_MAX];
    size_t from = 0, to = crl->n_serials;
    if (!serial_pad(wanted, sizeof wanted, serial))
        return false;
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
                    struct slice serial, int64_t issued)
{
    struct gateway_object *crl = object_now(g, x->crl);
    if (crl && crl->complete && issued >= crl->this_update && issued && !listed(crl, serial))
        too_old(best, crl, "crl", issued);
    else if (crl && crl->complete)
        consider(best, (struct gateway_answer){.status = listed(crl, serial) ? STATUS_REVOKED : STATUS_GOOD,
                                               .source = "crl",
                                               .as_of = crl->this_update,
                                               .next_update = crl->next_update,
                                               .number = crl->number});
    object_unref(crl);
}

static struct gateway_answer newest(struct gateway *g, const struct gateway_authority *x, struct slice serial,
                                    int64_t not_before)
{
    struct gateway_answer best = {.status = STATUS_UNKNOWN, .source = ""};
    int64_t issued = issued_at(serial, not_before);
    for (size_t i = 0; i < g->n_sources; i++)
        if (g->sources[i].kind == SOURCE_DELTA)
            ask_filter(&best, g, g->sources[i].base, &g->sources[i], x, serial, issued);
    ask_crl(&best, g, x, serial, issued);
    return best;
}

bool gateway_knows_revoked(struct gateway *g, const struct gateway_authority *x, struct slice serial)
{
    return newest(g, x, serial, 0).status == STATUS_REVOKED;
}

struct gateway_answer gateway_ask(struct gateway *g, const struct gateway_authority *x, struct slice serial,
                                  int64_t not_before)
{
    struct gateway_answer best = newest(g, x, serial, not_before);
    if (best.status != STATUS_UNKNOWN && clock_now() - best.as_of > g->config.stale_after)
        best.status = STATUS_STALE;
    return best;
}
