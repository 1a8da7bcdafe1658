#include "inventory/gaps.h"
#include "base/arena.h"
#include "base/clock.h"
#include "issue/house.h"
#include "policy/enrollment.h"
#include "x509/cert.h"
#include "x509/general_name.h"
#include "x509/name.h"
#include <string.h>

enum { PAGE = 200, NAMES_LOOKED = 8, CERTS_LOOKED = 50 };

const char *const gap_why_names[] = {
    [GAP_NONE] = "", [GAP_NEVER] = "never-had-one", [GAP_EXPIRED] = "expired", [GAP_REVOKED] = "revoked"};

/* ---- devices ---- */

struct held {
    bool live;
    enum gap_why why;
    int64_t ended;
};

static void look_at(struct held *x, const struct cert_row *c, int64_t now)
{
    bool revoked = c->revoked_at != 0 && (c->revoked_at <= now), expired = c->not_after < now;
    int64_t ended = revoked ? c->revoked_at : c->not_after;
    x->live |= !revoked && !expired;
    if (!x->live && (x->why == GAP_NEVER || ended > x->ended)) {
        x->why = revoked ? GAP_REVOKED : GAP_EXPIRED;
        x->ended = ended;
    }
}

static tm_err look_up(struct held *x, struct arena *a, struct house *h, tenant_id tenant,
                      enum cert_key_kind kind, const char *value, int64_t now, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = tenant,
                           .arena = a,
                           .key = {.kind = kind, .value = slice_str(value)},
                           .limit = CERTS_LOOKED};
    if (x->live || !value || !value[0])
        return TM_OK;
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    for (size_t i = 0; e == TM_OK && i < q.n && !x->live; i++)
        look_at(x, &q.certs[i], now);
    return TM_OK;
}

static tm_err device_gap(struct gap *ret, bool *ret_is, struct arena *a, struct house *h, tenant_id tenant,
                         const struct device_row *d, struct diag *diag)
{
    struct held x = {.why = GAP_NEVER};
    int64_t now = clock_now();
    *ret_is = false;
    if (d->state == DEVICE_RETIRED)
        return TM_OK;
    TM_TRY(look_up(&x, a, h, tenant, CERT_KEY_DEVICE, d->id, now, diag));
    TM_TRY(look_up(&x, a, h, tenant, CERT_KEY_CN, d->id, now, diag));
    if (d->serial && strcmp(d->serial, d->id) != 0)
        TM_TRY(look_up(&x, a, h, tenant, CERT_KEY_CN, d->serial, now, diag));
    *ret_is = !x.live;
    *ret = (struct gap){.device = d, .why = x.why, .ended = x.ended};
    return TM_OK;
}

tm_err gaps_devices(struct gaps *ret, struct arena *a, struct house *h, tenant_id tenant, struct slice after,
                    size_t limit, struct diag *diag)
{
    struct gaps out = {.v = arena_calloc(a, limit, sizeof *out.v), .next = after, .more = true};
    struct arena *scratch = arena_new(0);
    tm_err e = out.v && scratch ? TM_OK : TM_ENOMEM;
    for (size_t looked = 0; e == TM_OK && out.more && out.n < limit && looked < GAPS_LOOKED;) {
        struct store_read q = {
            .kind = READ_DEVICES, .tenant = tenant, .arena = a, .text = "", .after = out.next, .limit = PAGE};
        e = store_read_now(h->store, &q);
        if (e != TM_OK)
            *diag = q.diag;
        size_t i = 0;
        for (; e == TM_OK && i < q.n && out.n < limit; i++) {
            bool is = false;
            e = device_gap(&out.v[out.n], &is, scratch, h, tenant, &q.devices[i], diag);
            out.n += is;
            out.next = slice_str(q.devices[i].id);
            arena_reset(scratch);
        }
        looked += i;
        out.more = i < q.n || q.more;
    }
    arena_free(scratch);
    TM_TRY(e);
    *ret = out;
    return TM_OK;
}

/* ---- certificates ---- */

static tm_err is_device(bool *ret, struct arena *a, struct house *h, tenant_id tenant, struct slice id,
                        struct diag *diag)
{
    struct store_read q = {.kind = READ_DEVICE,
                           .tenant = tenant,
                           .arena = a,
                           .name = arena_strndup(a, (const char *)id.p, id.n)};
    if (!q.name)
        return arena_err(a);
    bool whole = id.n && !memchr(id.p, '\0', id.n);
    tm_err e = whole ? store_read_now(h->store, &q) : TM_ENOTFOUND;
    *ret = e == TM_OK;
    if (e != TM_OK && e != TM_ENOTFOUND)
        *diag = q.diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* Does the register know a device by one of its names? What can't be read has none. */
static tm_err has_device(bool *ret, struct arena *a, struct house *h, tenant_id tenant, const struct cert *c,
                         struct diag *diag)
{
    static const enum oid attributes[] = {OID_CN, OID_SERIAL_NUMBER};
    struct general_names san = {0};
    struct name subject;
    struct slice text;
    *ret = false;
    bool named = name_parse(&subject, c->subject, NULL) == TM_OK;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes && named && !*ret; i++)
        if (name_get(&text, a, &subject, attributes[i]) == TM_OK)
            TM_TRY(is_device(ret, a, h, tenant, text, diag));
    if (*ret || cert_san(&san, a, c, NULL) != TM_OK)
        return TM_OK;
    for (size_t i = 0; i < san.n && i < NAMES_LOOKED && !*ret; i++)
        if (san.v[i].type == GN_DNS)
            TM_TRY(is_device(ret, a, h, tenant, san.v[i].value, diag));
    return TM_OK;
}

static tm_err cert_gap(bool *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct cert_row *row, struct diag *diag)
{
    struct cert c;
    bool known = false;
    *ret = false;
    if (row->source == CERT_ISSUED && row->door == DOOR_CEREMONY)
        return TM_OK; /* the house's own: its responders, its RAs, its TLS */
    if (row->device && row->device[0]) {
        TM_TRY(is_device(&known, a, h, tenant, slice_str(row->device), diag));
        *ret = !known;
        return TM_OK;
    }
    if (row->der.n == 0 || cert_parse(&c, row->der, NULL) != TM_OK) {
        *ret = true; /* its names are not kept: it is nobody's that is known */
        return TM_OK;
    }
    if (cert_is_ca(&c))
        return TM_OK;
    TM_TRY(has_device(&known, a, h, tenant, &c, diag));
    *ret = !known;
    return TM_OK;
}

tm_err gaps_certs(struct gaps *ret, struct arena *a, struct house *h, tenant_id tenant, struct slice after,
                  size_t limit, struct diag *diag)
{
    struct gaps out = {.v = arena_calloc(a, limit, sizeof *out.v), .next = after, .more = true};
    struct arena *scratch = arena_new(0);
    tm_err e = out.v && scratch ? TM_OK : TM_ENOMEM;
    for (size_t looked = 0; e == TM_OK && out.more && out.n < limit && looked < GAPS_LOOKED;) {
        struct store_read q = {.kind = READ_CERTS,
                               .tenant = tenant,
                               .arena = a,
                               .with_der = true,
                               .filter = {.revoked = 0, .source = -1, .not_after_from = clock_now()},
                               .after = out.next,
                               .limit = PAGE};
        e = store_read_now(h->store, &q);
        if (e != TM_OK)
            *diag = q.diag;
        size_t i = 0;
        for (; e == TM_OK && i < q.n && out.n < limit; i++) {
            bool is = false;
            e = cert_gap(&is, scratch, h, tenant, &q.certs[i], diag);
            if (is)
                out.v[out.n++] = (struct gap){.cert = &q.certs[i]};
            out.next = SLICE_ARR(q.certs[i].id);
            arena_reset(scratch);
        }
        looked += i ? i : PAGE;
        out.more = i < q.n || q.more;
        if (i == q.n && q.more && q.page_next.n)
            out.next = q.page_next;
    }
    arena_free(scratch);
    TM_TRY(e);
    *ret = out;
    return TM_OK;
}
