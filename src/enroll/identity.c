#include "enroll/identity.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/catalog.h"
#include "issue/house.h"
#include "issue/trust.h"
#include "register/register.h"
#include <string.h>

/* ---- the certificate ---- */

tm_err identity_subject(const char **ret, struct arena *a, const struct cert *c)
{
    struct buf b;
    buf_init(&b, 16 << 10);
    name_print_der(&b, c->subject);
    *ret = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static void vouched(struct identity *x, enum caller_kind kind)
{
    struct caller *c = &x->caller;
    c->kind = kind;
    c->cert = x->peer.der;
    x->predecessor = x->peer.der;
}

/* One that we issued: still in the inventory, and not revoked. Its time is policy's matter: a profile may have a grace. */
static tm_err own_certificate(struct identity *x, struct diag *diag)
{
    struct arena *a = x->arena;
    struct store_read q = {.kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = a};
    if (x->peer.serial.n != CERT_SERIAL_LEN)
        return diag_fail(diag, TM_EAUTH, "certificate.unknown", "certificate",
                         "the client certificate is not in the inventory");
    memcpy(q.id, x->peer.serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(x->house->store, &q);
    uint8_t fp[SHA256_LEN];
    TM_TRY(sha256(fp, x->peer.der));
    if (e == TM_ENOTFOUND || (e == TM_OK && memcmp(fp, q.certs[0].fingerprint, sizeof fp) != 0))
        return diag_fail(diag, TM_EAUTH, "certificate.unknown", "certificate",
                         "the client certificate is not in the inventory");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    if (q.certs[0].revoked_at != 0)
        return diag_fail(diag, TM_EAUTH, "certificate.revoked", "certificate",
                         "the client certificate is revoked");
    if (x->peer.not_before > clock_now())
        return diag_fail(diag, TM_EAUTH, "RFC 5280 4.1.2.5", "certificate",
                         "the client certificate is not valid yet");
    vouched(x, CALLER_CERTIFICATE);
    x->caller.cert_expired = x->peer.not_after < clock_now();
    x->caller.device_id = q.certs[0].device ? q.certs[0].device : "";
    x->predecessor_profile = q.certs[0].profile;
    return identity_subject(&x->caller.id, a, &x->peer);
}

tm_err identity_not_revoked(struct house *h, struct arena *a, tenant_id tenant, const struct cert *c,
                            struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = tenant, .arena = a};
    uint8_t fp[SHA256_LEN];
    if (c->serial.n != CERT_SERIAL_LEN)
        return TM_OK;
    memcpy(q.id, c->serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(sha256(fp, c->der));
    if (q.certs[0].revoked_at != 0 && memcmp(fp, q.certs[0].fingerprint, sizeof fp) == 0)
        return diag_fail(diag, TM_EAUTH, "certificate.revoked", "certificate",
                         "the client certificate is revoked");
    return TM_OK;
}

static tm_err birth_certificate(struct identity *x, struct diag *diag)
{
    const struct endpoint *ep = x->endpoint;
    tm_err e = diag_fail(diag, TM_EAUTH, "certificate.trust", "certificate",
                         "the client certificate is not one that this endpoint accepts");
    for (size_t i = 0; i < ep->n_trust_sets; i++) {
        const struct trust_set *t = catalog_trust_set(x->catalog, ep->tenant, ep->trust_sets[i]);
        if (!t)
            continue;
        e = trust_set_verify(t, &x->peer, x->chain, x->n_chain, clock_now(), diag);
        if (e != TM_OK)
            continue;
        TM_TRY(identity_not_revoked(x->house, x->arena, ep->tenant, &x->peer, diag));
        const char *id;
        e = trust_set_device_id(&id, x->arena, t, &x->peer);
        if (e == TM_ENOTFOUND || (e == TM_OK && !utf8_valid(slice_str(id))))
            return diag_fail(diag, TM_EAUTH, "certificate.device-id", "certificate",
                             "the client certificate carries no device identifier");
        if (e != TM_OK)
            return e;
        vouched(x, CALLER_DEVICE);
        struct caller *c = &x->caller;
        c->device_id = id;
        c->trust_set = t->name;
        c->cert_expired = false; /* the set has judged its time */
        x->birth = t;
        return identity_subject(&c->id, x->arena, &x->peer);
    }
    return e;
}

tm_err identity_certificate(struct identity *x, struct diag *diag)
{
    if (cert_parse(&x->peer, x->shown, diag) != TM_OK)
        return diag_fail(diag, TM_EAUTH, "certificate.form", "certificate",
                         "the client certificate could not be read");
    if (x->endpoint->allow_certificate && trust_own_issuer(x->catalog, x->endpoint->tenant, &x->peer))
        return own_certificate(x, diag);
    return birth_certificate(x, diag);
}

/* ---- devices that prove themselves ---- */

static tm_err name_text(const char **ret, struct arena *a, const struct cert *c, enum oid type)
{
    struct name n;
    struct slice text;
    *ret = "";
    if (name_parse(&n, c->subject, NULL) != TM_OK || name_get(&text, a, &n, type) != TM_OK || text.n == 0)
        return TM_OK;
    *ret = arena_strndup(a, (const char *)text.p, text.n);
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err identity_register_device(const struct identity *x, struct diag *diag)
{
    struct arena *a = x->arena;
    const char *id = x->caller.device_id;
    if (!x->birth || !x->birth->auto_register)
        return TM_OK;
    struct store_read q = {.kind = READ_DEVICE, .tenant = x->endpoint->tenant, .arena = a, .name = id};
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_ENOTFOUND) {
        if (e != TM_OK)
            *diag = q.diag;
        return e;
    }
    int64_t now_ms = clock_now_ms();
    struct effect effects[2] = {{.kind = EFFECT_DEVICE_PUT, .tenant = x->endpoint->tenant}};
    struct device_row *d = &effects[0].u.device;
    *d = (struct device_row){.id = id,
                             .owner = "",
                             .place = "",
                             .batch = "",
                             .state = DEVICE_MADE,
                             .identifiers = "{}",
                             .tags = "{}",
                             .created_at = now_ms,
                             .updated_at = now_ms};
    TM_TRY(name_text(&d->serial, a, &x->peer, OID_SERIAL_NUMBER));
    TM_TRY(name_text(&d->model, a, &x->peer, OID_CN));
    TM_TRY(name_text(&d->vendor, a, &x->peer, OID_O));
    if (!d->serial[0])
        d->serial = id;
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(door_names[x->endpoint->protocol])},
        {.key = "device", .kind = EVENT_STR, .s = slice_str(id)},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(x->endpoint->name)},
        {.key = "state", .kind = EVENT_STR, .s = slice_str(device_state_names[DEVICE_MADE])},
        {.key = "trust_set", .kind = EVENT_STR, .s = slice_str(x->birth->name)},
        {0},
    };
    struct slice body;
    const char *about = arena_printf(a, "device/%s", id);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    TM_TRY(
        register_event_effect(&effects[1], a, x->endpoint->tenant, "device.registered", about, body, now_ms));
    e = house_commit(x->house, effects, 2, diag);
    return e == TM_ECONFLICT ? TM_OK : e; /* somebody registered it at the same moment */
}
