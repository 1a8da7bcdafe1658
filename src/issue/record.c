#include "issue/record.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "keys/signer.h"
#include "policy/profile.h"
#include "register/register.h"
#include <string.h>

static struct slice text_of(const char *s)
{
    return slice_str(s ? s : "");
}

tm_err record_issued(struct effect ret[2], struct issue_request *r, const struct cert *cert,
                     const struct sign_op *sign, int retention, int64_t keep_expired)
{
    struct arena *a = r->arena;
    const struct plan *p = &r->decision.plan;
    int64_t now_ms = clock_now_ms();
    ret[0] = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = r->tenant};
    struct cert_row *row = &ret[0].u.cert.row;
    TM_TRY(cert_row_from_cert(row, a, cert));
    memcpy(row->id, sign->serial, sizeof row->id);
    row->source = CERT_ISSUED;
    row->authority = p->authority;
    row->profile = p->profile;
    row->profile_version = p->profile_version;
    row->device = p->device_id ? p->device_id : "";
    row->endpoint = r->e.endpoint ? r->e.endpoint : "";
    row->door = (int)r->e.door;
    row->issued_at = now_ms;
    row->retention = retention;
    row->keep_until =
        cert->not_after >= TM_TIME_NEVER - keep_expired ? TM_TIME_NEVER : cert->not_after + keep_expired;
    struct cert_key *keys;
    TM_TRY(cert_keys_of_row(&keys, &ret[0].u.cert.n_keys, a, cert, row));
    ret[0].u.cert.keys = keys;
    /* The DER stays in the arena for the answer; only the row forgets it. */
    if (retention != RETAIN_FULL)
        row->der = (struct slice){0};

    char *subject = arena_alloc(a, sizeof "certificate/" + 2 * CERT_SERIAL_LEN);
    if (!subject)
        return TM_ENOMEM;
    memcpy(subject, "certificate/", sizeof "certificate/" - 1);
    hex_encode(subject + sizeof "certificate/" - 1, SLICE_ARR(sign->serial));
    bool replaces = r->predecessor.n != 0;
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = text_of(p->authority)},
        {.key = "caller", .kind = EVENT_STR, .s = text_of(r->e.caller.id)},
        {.key = "caller_kind", .kind = EVENT_STR, .s = slice_str(caller_kind_names[r->e.caller.kind])},
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)sign->chain_seq},
        {.key = "device", .kind = EVENT_STR, .s = text_of(row->device)},
        {.key = "door", .kind = EVENT_STR, .s = slice_str(door_names[r->e.door])},
        {.key = "endpoint", .kind = EVENT_STR, .s = text_of(r->e.endpoint)},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(sign_kind_names[sign->kind])},
        {.key = "not_after", .kind = EVENT_INT, .i = cert->not_after},
        {.key = "not_before", .kind = EVENT_INT, .i = cert->not_before},
        {.key = "profile", .kind = EVENT_STR, .s = text_of(p->profile)},
        {.key = "profile_version", .kind = EVENT_INT, .i = p->profile_version},
        {.key = "renewal", .kind = EVENT_RAW, .s = slice_str(replaces ? "true" : "false")},
        {.key = "request", .kind = EVENT_STR, .s = text_of(r->e.request_id)},
        {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(sign->serial)},
        {.key = "subject", .kind = EVENT_STR, .s = text_of(row->subject)},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(sign->tbs_hash)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(&ret[1], a, r->tenant, "certificate.issued", subject, body, now_ms);
}

/* Who asked for what, and which rule said what. */
static tm_err record_verdict(struct effect *ret, struct issue_request *r, const char *type)
{
    struct buf subject;
    buf_init(&subject, 16 << 10);
    name_print_der(&subject, r->e.subject);
    const struct decision *d = &r->decision;
    struct event_field fields[] = {
        {.key = "caller", .kind = EVENT_STR, .s = text_of(r->e.caller.id)},
        {.key = "caller_kind", .kind = EVENT_STR, .s = slice_str(caller_kind_names[r->e.caller.kind])},
        {.key = "door", .kind = EVENT_STR, .s = slice_str(door_names[r->e.door])},
        {.key = "endpoint", .kind = EVENT_STR, .s = text_of(r->e.endpoint)},
        {.key = "peer", .kind = EVENT_STR, .s = text_of(r->e.caller.peer)},
        {.key = "profile", .kind = EVENT_STR, .s = text_of(r->e.profile)},
        {.key = "reason", .kind = EVENT_STR, .s = text_of(d->reason)},
        {.key = "request", .kind = EVENT_STR, .s = text_of(r->e.request_id)},
        {.key = "rule", .kind = EVENT_STR, .s = text_of(d->rule)},
        {.key = "subject", .kind = EVENT_STR, .s = buf_slice(&subject)},
        {0},
    };
    struct slice body;
    tm_err e = register_event_body(&body, r->arena, fields);
    buf_done(&subject);
    if (e != TM_OK)
        return e;
    char *about = arena_printf(r->arena, "endpoint/%s", r->e.endpoint ? r->e.endpoint : "");
    if (!about)
        return TM_ENOMEM;
    return register_event_effect(ret, r->arena, r->tenant, type, about, body, clock_now_ms());
}

tm_err record_denied(struct effect *ret, struct issue_request *r)
{
    return record_verdict(ret, r, "enrollment.denied");
}

tm_err record_pending(struct effect *ret, struct issue_request *r)
{
    return record_verdict(ret, r, "enrollment.pending");
}

tm_err record_orphaned(struct effect *ret, struct arena *a, const struct sign_op *sign, const char *why)
{
    char *about = arena_printf(a, "key/%s", sign->key_id);
    if (!about)
        return TM_ENOMEM;
    bool certificate = sign->kind == SIGN_LEAF || sign->kind == SIGN_CA;
    struct event_field fields[] = {
        {.key = "chain", .kind = EVENT_INT, .i = (int64_t)sign->chain_seq},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(sign->key_id)},
        {.key = "kind", .kind = EVENT_STR, .s = slice_str(sign_kind_names[sign->kind])},
        {.key = certificate ? "serial" : "signed_at",
         .kind = certificate ? EVENT_HEX : EVENT_INT,
         .s = SLICE_ARR(sign->serial),
         .i = clock_now()},
        {.key = "tbs", .kind = EVENT_HEX, .s = SLICE_ARR(sign->tbs_hash)},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(why)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(ret, a, TENANT_HOUSE, "signature.orphaned", about, body, clock_now_ms());
}

tm_err record_device_state(struct effect *ret, struct arena *a, tenant_id tenant, const char *device,
                           int from, int to, const char *why)
{
    char *about = arena_printf(a, "device/%s", device);
    if (!about)
        return TM_ENOMEM;
    struct event_field fields[] = {
        {.key = "device", .kind = EVENT_STR, .s = slice_str(device)},
        {.key = "from", .kind = EVENT_STR, .s = slice_str(device_state_names[from])},
        {.key = "to", .kind = EVENT_STR, .s = slice_str(device_state_names[to])},
        {.key = "why", .kind = EVENT_STR, .s = slice_str(why)},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(ret, a, tenant, "device.changed", about, body, clock_now_ms());
}
