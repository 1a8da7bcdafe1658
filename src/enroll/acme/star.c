#include "enroll/acme/star.h"
#include "base/arena.h"
#include "base/clock.h"
#include "policy/profile.h"
#include "register/register.h"
#include <string.h>

bool star_is(const struct acme_order *o)
{
    return o->star.end != 0;
}

/* ---- asked for ---- */

static tm_err refuse(struct acme_exchange *x, const char *rule, const char *why)
{
    return acme_refuse(x, ACME_P_MALFORMED, TM_EDENIED, rule, "%s", why);
}

static tm_err read_date(int64_t *ret, struct acme_exchange *x, const json_t *from, const char *name)
{
    const json_t *v = json_object_get(from, name);
    const char *s = json_string_value(v);
    if (!v || (s && clock_parse_rfc3339(ret, slice_str(s)) == TM_OK))
        return TM_OK;
    return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8739 3.1.1",
                       "\"%s\" of \"auto-renewal\" is not a time of RFC 3339", name);
}

static tm_err read_seconds(int64_t *ret, struct acme_exchange *x, const json_t *from, const char *name)
{
    const json_t *v = json_object_get(from, name);
    *ret = json_integer_value(v);
    if (!v || (json_is_integer(v) && *ret >= 0 && *ret <= ACME_STAR_SECONDS_MAX))
        return TM_OK;
    return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8739 3.1.1",
                       "\"%s\" of \"auto-renewal\" is not a number of seconds", name);
}

/* What the endpoint and the profile let an order ask for. */
static tm_err check(const struct acme_star *s, struct acme_exchange *x, const struct profile *p)
{
    int64_t now = clock_now(), begin = s->start > now ? s->start : now;
    if (!profile_honours_times(p))
        return refuse(x, "lifetime.requested",
                      "the profile sets the times itself: it can't be renewed by itself");
    if (profile_needs_approval(p))
        return refuse(x, "approval.required", "the profile needs approval: it can't be renewed by itself");
    if (s->end <= begin)
        return refuse(x, "RFC 8739 3.1.1", "\"end-date\" of \"auto-renewal\" comes too early");
    if (s->lifetime < x->settings->star.min_lifetime)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EDENIED, "acme.auto-renewal.min-lifetime",
                           "the least \"lifetime\" here is %lld seconds",
                           (long long)x->settings->star.min_lifetime);
    if (s->end - begin > x->settings->star.max_duration)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EDENIED, "acme.auto-renewal.max-duration",
                           "\"end-date\" is more than %lld seconds after the start",
                           (long long)x->settings->star.max_duration);
    return TM_OK;
}

tm_err star_read(struct acme_order *o, struct acme_exchange *x, const struct profile *p,
                 const json_t *payload)
{
    const json_t *v = json_object_get(payload, "auto-renewal");
    struct acme_star s = {0};
    if (!v)
        return TM_OK;
    if (x->settings->star.max_duration == 0)
        return refuse(x, "acme.auto-renewal", "orders that renew themselves are not offered here");
    /* RFC 8739 3.1.1 */
    if (json_object_get(payload, "notBefore") || json_object_get(payload, "notAfter"))
        return refuse(x, "RFC 8739 3.1.1", "\"auto-renewal\" goes without \"notBefore\" and \"notAfter\"");
    if (!json_is_object(v) || !json_object_get(v, "end-date") || !json_object_get(v, "lifetime"))
        return refuse(x, "RFC 8739 3.1.1", "\"auto-renewal\" has \"end-date\" and \"lifetime\"");
    TM_TRY(read_date(&s.start, x, v, "start-date"));
    TM_TRY(read_date(&s.end, x, v, "end-date"));
    TM_TRY(read_seconds(&s.lifetime, x, v, "lifetime"));
    TM_TRY(read_seconds(&s.adjust, x, v, "lifetime-adjust"));
    s.get = json_is_true(json_object_get(v, "allow-certificate-get")) && x->settings->star.get;
    TM_TRY(check(&s, x, p));
    o->star = s;
    return TM_OK;
}

/* ---- shown ---- */

void star_put(struct buf *out, struct acme_exchange *x, const struct acme_order *o, enum acme_status status)
{
    char text[21];
    if (!star_is(o))
        return;
    clock_format_rfc3339(text, o->star.end);
    buf_printf(out, ",\"auto-renewal\":{\"end-date\":\"%s\",\"lifetime\":%lld", text,
               (long long)o->star.lifetime);
    if (o->star.start) {
        clock_format_rfc3339(text, o->star.start);
        buf_printf(out, ",\"start-date\":\"%s\"", text);
    }
    if (o->star.adjust)
        buf_printf(out, ",\"lifetime-adjust\":%lld", (long long)o->star.adjust);
    if (o->star.get)
        buf_puts(out, ",\"allow-certificate-get\":true");
    buf_putc(out, '}');
    if (status == ACME_VALID) {
        buf_puts(out, ",\"star-certificate\":");
        buf_put_json_string(out, slice_str(acme_url(x, "star/%s", o->id)));
    }
}

/* ---- ended ---- */

static tm_err cancel_with(struct acme_exchange *x, struct acme_order *o, enum acme_status status,
                          const json_t *p)
{
    const char *wanted = json_string_value(json_object_get(p, "status"));
    int64_t now = clock_now();
    if (!wanted || strcmp(wanted, "canceled") != 0)
        return refuse(x, "RFC 8739 3.1.2", "the status of an order can be set to \"canceled\" only");
    if (!star_is(o) || status != ACME_VALID)
        return acme_refuse(x, ACME_P_AUTO_RENEWAL_CANCELLATION_INVALID, TM_ECONFLICT, "RFC 8739 3.1.2",
                           "only an order that renews itself and is valid can be canceled");
    o->row.status = ACME_CANCELED;
    o->row.due_at = 0;
    o->expires = now;
    struct event_field fields[] = {
        {.key = "account", .kind = EVENT_STR, .s = slice_str(o->row.owner)},
        {.key = "order", .kind = EVENT_STR, .s = slice_str(o->id)},
        {.key = "why", .kind = EVENT_STR, .s = SLICE_LIT("the account ended it")},
        {0},
    };
    TM_TRY(acme_order_write(o, x->arena));
    TM_TRY(acme_put_row(x, &o->row, false));
    return acme_put_event(x, "acme.order-canceled", arena_printf(x->arena, "acme-account/%s", o->row.owner),
                          fields);
}

tm_err star_cancel(struct acme_exchange *x, struct acme_order *o, enum acme_status status, struct diag *diag)
{
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    tm_err e = cancel_with(x, o, status, p);
    json_decref(p);
    return e;
}

/* ---- issued ---- */

void star_begin(struct acme_order *o, struct enrollment *e, struct slice csr)
{
    int64_t now = clock_now();
    o->csr = csr;
    o->star.first = o->star.start > now ? o->star.start : now;
    o->star.next = 0;
    /* RFC 8739 3.5: the first one does not begin before the start that was asked for. */
    e->not_before = o->star.start ? o->star.first : 0;
    e->not_after = star_not_after(&o->star, 0);
}

void star_issued(struct acme_order *o, int64_t index, const struct plan *plan, int64_t retention)
{
    o->star.next = index + 1;
    o->star.failures = 0;
    o->row.due_at = star_due(&o->star, o->star.next) * 1000;
    o->cert_not_before = plan->not_before;
    o->cert_not_after = plan->not_after;
    o->expires = o->star.end;
    o->error = "";
    o->row.keep_until = o->star.end + retention;
}

void star_mark(struct effect *ret, const struct acme_order *o, const struct issue_request *i)
{
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = i->tenant, .expected_version = 0};
    ret->u.object.row = (struct object_row){.kind = OBJECT_ACME_STAR_CERT,
                                            .id = o->serial,
                                            .owner = "",
                                            .key = "",
                                            .ref = "",
                                            .created_at = clock_now(),
                                            .keep_until = i->decision.plan.not_after,
                                            .state = SLICE_LIT("{}")};
}

tm_err star_marked(bool *ret, struct acme_exchange *x, const char *serial, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_STAR_CERT,
                           .name = serial};
    tm_err e = store_read_now(x->house->store, &q);
    *ret = e == TM_OK;
    if (e == TM_OK || e == TM_ENOTFOUND)
        return TM_OK;
    *diag = q.diag;
    return e;
}
