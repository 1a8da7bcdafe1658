/* Where a pass is, as a meta value of the tenant. */
#include "finding/progress.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "issue/house.h"
#include <inttypes.h>

enum { STATE_MAX = 4096 };

const char *const finding_phase_names[] = {"none", "places", "certificates", "gone", "moduli", NULL};

#define P(m, k, ...) JSON_FIELD(struct finding_progress, m, k, __VA_ARGS__)
static const struct json_field schema[] = {
    P(arrived, JSON_K_INT),
    P(events, JSON_K_INT),
    P(timed_ms, JSON_K_INT),
    P(begun, JSON_K_BOOL),
    P(deep, JSON_K_BOOL),
    P(rules, JSON_K_STRING, .def = ""),
    P(phase, JSON_K_INT, .min = 0, .max = PHASE_SHARED),
    P(after, JSON_K_STRING, .def = ""),
    P(full_begun_ms, JSON_K_INT),
    P(looked, JSON_K_INT),
    P(last_begun_ms, JSON_K_INT),
    P(last_ended_ms, JSON_K_INT),
    P(last_looked, JSON_K_INT),
    P(moduli, JSON_K_INT),
    P(moduli_left, JSON_K_INT),
    {0},
};

const char *progress_name(struct arena *a, const char *what, tenant_id tenant)
{
    return arena_printf(a, "finding.%s/%u", what, (unsigned)tenant);
}

tm_err finding_progress_read(struct finding_progress *ret, struct arena *a, struct house *h, tenant_id tenant,
                             struct diag *diag)
{
    struct store_read q = {
        .kind = READ_META, .tenant = tenant, .arena = a, .name = progress_name(a, "pass", tenant)};
    json_t *doc = NULL;
    *ret = (struct finding_progress){.rules = "", .after = ""};
    if (!q.name)
        return TM_ENOMEM;
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && q.value.n == 0))
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    e = json_parse(&doc, q.value, STATE_MAX, diag);
    if (e == TM_OK)
        e = json_bind(ret, schema, doc, "", a, diag);
    json_decref(doc);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}

tm_err progress_write(struct arena *a, struct house *h, tenant_id tenant, const struct finding_progress *p,
                      struct diag *diag)
{
    struct buf b;
    struct effect e = {.kind = EFFECT_META_PUT, .tenant = tenant};
    buf_init(&b, STATE_MAX);
    buf_printf(
        &b,
        "{\"arrived\":%" PRIu64 ",\"events\":%" PRIu64 ",\"timed_ms\":%" PRId64
        ",\"begun\":%s,\"deep\":%s,\"rules\":\"%s\",\"phase\":%d,\"after\":\"%s\",\"full_begun_ms\":%" PRId64
        ",\"looked\":%" PRIu64 ",\"last_begun_ms\":%" PRId64 ",\"last_ended_ms\":%" PRId64
        ",\"last_looked\":%" PRIu64 ",\"moduli\":%" PRIu64 ",\"moduli_left\":%" PRIu64 "}",
        p->arrived, p->events, p->timed_ms, p->begun ? "true" : "false", p->deep ? "true" : "false", p->rules,
        p->phase, p->after, p->full_begun_ms, p->looked, p->last_begun_ms, p->last_ended_ms, p->last_looked,
        p->moduli, p->moduli_left);
    e.u.meta.name = progress_name(a, "pass", tenant);
    e.u.meta.value = buf_slice(&b);
    tm_err err = !e.u.meta.name         ? TM_ENOMEM
                 : buf_err(&b) != TM_OK ? buf_err(&b)
                                        : house_commit(h, &e, 1, diag);
    buf_done(&b);
    return err;
}
