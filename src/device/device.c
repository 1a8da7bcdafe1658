#include "device/device.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/issue.h"
#include "policy/names.h"
#include "register/register.h"
#include "x509/crl.h"
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

bool device_id_valid(struct slice id)
{
    return id.n >= 1 && id.n <= DEVICE_ID_MAX && text_check(id) == NULL && !memchr(id.p, '/', id.n);
}

tm_err device_fields_check(const struct device_fields *f, struct diag *diag)
{
    if (!f->id || !device_id_valid(slice_str(f->id)))
        return diag_fail(diag, TM_EINVAL, NULL, "/id",
                         "a device id has 1 to %d octets of printable text without \"/\"", DEVICE_ID_MAX);
    const struct {
        const char *name, *value;
    } texts[] = {{"/serial", f->serial}, {"/model", f->model}, {"/vendor", f->vendor},
                 {"/owner", f->owner},   {"/place", f->place}, {"/batch", f->batch}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice s = slice_str(texts[i].value);
        if (s.n == 0)
            continue;
        if (s.n > DEVICE_FIELD_MAX)
            return diag_fail(diag, TM_ETOOBIG, NULL, texts[i].name, "at most %d octets", DEVICE_FIELD_MAX);
        const char *wrong = text_check(s);
        if (wrong)
            return diag_fail(diag, TM_EINVAL, NULL, texts[i].name, "%s", wrong);
    }
    return TM_OK;
}

tm_err device_object(const char **ret, struct arena *a, const json_t *object, const char *field,
                     struct diag *diag)
{
    *ret = NULL;
    if (!object)
        return TM_OK;
    if (!json_is_object(object))
        return diag_fail(diag, TM_EINVAL, NULL, field, "must be an object of texts");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) if (!json_is_string(value)) return diag_fail(
        diag, TM_EINVAL, NULL, field, "\"%s\" must be a text", key);
    struct buf b;
    buf_init(&b, DEVICE_OBJECT_MAX);
    buf_put_json(&b, object, false);
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        *ret = arena_strdup(a, buf_str(&b));
        e = *ret ? TM_OK : TM_ENOMEM;
    } else if (e == TM_ETOOBIG) {
        e = diag_fail(diag, e, NULL, field, "at most %d octets", DEVICE_OBJECT_MAX);
    }
    buf_done(&b);
    return e;
}

/* ---- register and update ---- */

static tm_err read_device(struct device_row *ret, struct house *h, tenant_id tenant, struct arena *a,
                          const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_DEVICE, .tenant = tenant, .arena = a, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        *ret = q.devices[0];
    else if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "id", "there is no device \"%s\"", id);
    else
        *diag = q.diag;
    return e;
}

static tm_err device_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                           const struct device_row *d, const char *by)
{
    char *about = arena_printf(a, "device/%s", d->id);
    if (!about)
        return TM_ENOMEM;
    struct event_field fields[] = {
        {.key = "batch", .kind = EVENT_STR, .s = slice_str(d->batch)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "device", .kind = EVENT_STR, .s = slice_str(d->id)},
        {.key = "identifiers", .kind = EVENT_RAW, .s = slice_str(d->identifiers)},
        {.key = "model", .kind = EVENT_STR, .s = slice_str(d->model)},
        {.key = "owner", .kind = EVENT_STR, .s = slice_str(d->owner)},
        {.key = "place", .kind = EVENT_STR, .s = slice_str(d->place)},
        {.key = "serial", .kind = EVENT_STR, .s = slice_str(d->serial)},
        {.key = "state", .kind = EVENT_STR, .s = slice_str(device_state_names[d->state])},
        {.key = "tags", .kind = EVENT_RAW, .s = slice_str(d->tags)},
        {.key = "vendor", .kind = EVENT_STR, .s = slice_str(d->vendor)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(ret, a, tenant, type, about, body, clock_now_ms());
}

/* Take a field over; true when that changes it. */
static bool set(const char **to, const char *from)
{
    if (!from || (*to && strcmp(*to, from) == 0))
        return false;
    *to = from;
    return true;
}

static enum device_put_result merge(struct device_row *d, bool known, const struct device_fields *f)
{
    bool changed = false;
    changed |= set(&d->serial, f->serial);
    changed |= set(&d->model, f->model);
    changed |= set(&d->vendor, f->vendor);
    changed |= set(&d->owner, f->owner);
    changed |= set(&d->place, f->place);
    changed |= set(&d->batch, f->batch);
    changed |= set(&d->identifiers, f->identifiers);
    changed |= set(&d->tags, f->tags);
    if (!known)
        return DEVICE_CREATED;
    return changed ? DEVICE_UPDATED : DEVICE_UNCHANGED;
}

/* The row as it will be, and whether it has to be written. */
static tm_err plan_put(struct effect *put, enum device_put_result *result, struct house *h, tenant_id tenant,
                       struct arena *a, const struct device_fields *f, int64_t expected, struct diag *diag)
{
    int64_t now = clock_now_ms();
    struct device_row row;
    tm_err e = read_device(&row, h, tenant, a, f->id, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    bool known = e == TM_OK;
    if (!known)
        row = (struct device_row){.id = f->id,
                                  .serial = f->serial && f->serial[0] ? f->serial : f->id,
                                  .model = "",
                                  .vendor = "",
                                  .owner = "",
                                  .place = "",
                                  .batch = "",
                                  .state = DEVICE_MADE,
                                  .identifiers = "{}",
                                  .tags = "{}",
                                  .created_at = now};
    *result = merge(&row, known, f);
    row.updated_at = now;
    /* Between this read and the commit nobody else's change gets lost. */
    *put = (struct effect){.kind = EFFECT_DEVICE_PUT,
                           .tenant = tenant,
                           .expected_version = expected >= 0 ? expected
                                               : known       ? row.version
                                                             : 0,
                           .u.device = row};
    if (expected >= 0 && expected != (known ? row.version : 0))
        return diag_fail(diag, TM_ECONFLICT, NULL, "If-Match", "the device has changed since it was read");
    return TM_OK;
}

tm_err device_put_many(enum device_put_result *results, struct house *h, tenant_id tenant, struct arena *a,
                       const struct device_fields *v, size_t n, int64_t expected_version, const char *by,
                       struct diag *diag)
{
    struct effect *effects = calloc(2 * n + 1, sizeof *effects);
    if (!effects)
        return TM_ENOMEM;
    size_t n_effects = 0;
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        struct effect *put = &effects[n_effects];
        e = device_fields_check(&v[i], diag);
        if (e == TM_OK)
            e = plan_put(put, &results[i], h, tenant, a, &v[i], expected_version, diag);
        if (e != TM_OK || results[i] == DEVICE_UNCHANGED)
            continue;
        e = device_event(put + 1, a, tenant,
                         results[i] == DEVICE_CREATED ? "device.registered" : "device.changed",
                         &put->u.device, by);
        n_effects += 2;
    }
    if (e == TM_OK && n_effects)
        e = house_commit(h, effects, n_effects, diag);
    free(effects);
    return e;
}

/* ---- states ---- */

/* A row: from; the bits: to. A returned device starts again as made; a transferred one is onboarded by its new owner. */
static const unsigned legal_steps[DEVICE_STATE_COUNT] = {
    [DEVICE_MADE] =
        1u << DEVICE_SHIPPED | 1u << DEVICE_ONBOARDED | 1u << DEVICE_OPERATING | 1u << DEVICE_RETIRED,
    [DEVICE_SHIPPED] = 1u << DEVICE_MADE | 1u << DEVICE_ONBOARDED | 1u << DEVICE_OPERATING |
                       1u << DEVICE_TRANSFERRED | 1u << DEVICE_RETIRED,
    [DEVICE_ONBOARDED] = 1u << DEVICE_OPERATING | 1u << DEVICE_TRANSFERRED | 1u << DEVICE_RETIRED,
    [DEVICE_OPERATING] = 1u << DEVICE_TRANSFERRED | 1u << DEVICE_RETIRED,
    [DEVICE_TRANSFERRED] =
        1u << DEVICE_SHIPPED | 1u << DEVICE_ONBOARDED | 1u << DEVICE_OPERATING | 1u << DEVICE_RETIRED,
};

bool device_step_legal(enum device_state from, enum device_state to)
{
    return (unsigned)from < DEVICE_STATE_COUNT && (unsigned)to < DEVICE_STATE_COUNT &&
           (legal_steps[from] & 1u << to);
}

/* Revoke what is live; each has its own transaction and event. What somebody else revoked meanwhile is as good. */
static tm_err revoke_all(struct house *h, tenant_id tenant, const char *id, const char *by, const char *why,
                         size_t *ret_n, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    int64_t now = clock_now();
    struct store_read q;
    struct slice after = {0};
    tm_err e = TM_OK;
    do {
        q = (struct store_read){.kind = READ_CERTS_BY_KEY,
                                .tenant = tenant,
                                .arena = a,
                                .key = {.kind = CERT_KEY_DEVICE, .value = slice_str(id)},
                                .after = after};
        e = store_read_now(h->store, &q);
        if (e == TM_ENOTFOUND) {
            e = TM_OK;
            break;
        }
        if (e != TM_OK)
            *diag = q.diag;
        for (size_t i = 0; i < q.n && e == TM_OK; i++) {
            const struct cert_row *x = &q.certs[i];
            bool live = x->source == CERT_ISSUED && x->not_after >= now &&
                        (!x->revoked_at || x->reason == CRL_CERTIFICATE_HOLD);
            if (!live)
                continue;
            e = issue_revoke(h, tenant, x->id, CRL_CESSATION_OF_OPERATION, by, why, NULL, diag);
            if (e == TM_OK)
                ++*ret_n;
            else if (e == TM_ECONFLICT)
                e = TM_OK;
        }
        after = q.page_next;
    } while (e == TM_OK && q.more);
    arena_free(a);
    return e;
}

static tm_err step_event(struct effect *ret, struct arena *a, tenant_id tenant, const struct device_row *d,
                         int from, const char *by, const char *why)
{
    char *about = arena_printf(a, "device/%s", d->id);
    if (!about)
        return TM_ENOMEM;
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "device", .kind = EVENT_STR, .s = slice_str(d->id)},
        {.key = "from", .kind = EVENT_STR, .s = slice_str(device_state_names[from])},
        {.key = "to", .kind = EVENT_STR, .s = slice_str(device_state_names[d->state])},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(why ? why : "")},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(ret, a, tenant, "device.changed", about, body, clock_now_ms());
}

tm_err device_step(struct house *h, tenant_id tenant, struct arena *a, const char *id, enum device_state to,
                   const char *by, const char *why, size_t *ret_revoked, struct diag *diag)
{
    *ret_revoked = 0;
    struct device_row row;
    TM_TRY(read_device(&row, h, tenant, a, id, diag));
    int from = row.state;
    if (from == DEVICE_RETIRED && to == DEVICE_RETIRED)
        return revoke_all(h, tenant, id, by, why, ret_revoked, diag);
    if (!device_step_legal((enum device_state)from, to))
        return diag_fail(diag, TM_ECONFLICT, "device.state", "/state", "a device cannot go from %s to %s",
                         device_state_names[from], device_state_names[to]);
    row.state = (int)to;
    row.updated_at = clock_now_ms();
    struct effect effects[2] = {
        {.kind = EFFECT_DEVICE_PUT, .tenant = tenant, .expected_version = row.version, .u.device = row},
    };
    TM_TRY(step_event(&effects[1], a, tenant, &row, from, by, why));
    TM_TRY(house_commit(h, effects, 2, diag));
    /* After the state is durable nothing new is issued to it, so that the sweep misses nothing. */
    return to == DEVICE_RETIRED ? revoke_all(h, tenant, id, by, why, ret_revoked, diag) : TM_OK;
}
