/* Where the device register and the inventory don't know of each other. */
#include "inventory/gaps.h"
#include "api/groups.h"
#include "base/arena.h"
#include "base/text.h"
#include "policy/enrollment.h"
#include "x509/cert.h"
#include <string.h>

static void put_device_gap(struct buf *out, const struct gap *g)
{
    const struct device_row *d = g->device;
    buf_puts(out, "{\"device\":");
    buf_put_json_string(out, slice_str(d->id));
    api_put_text(out, "model", d->model);
    api_put_text(out, "owner", d->owner);
    api_put_text(out, "place", d->place);
    api_put_text(out, "state", (unsigned)d->state < DEVICE_STATE_COUNT ? device_state_names[d->state] : "");
    api_put_text(out, "why", gap_why_names[g->why]);
    api_put_time(out, "ended", g->ended);
    buf_putc(out, '}');
}

static void put_cert_gap(struct buf *out, const struct gap *g)
{
    buf_puts(out, "{\"certificate\":");
    api_put_cert(out, g->cert, false);
    buf_putc(out, '}');
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *kind = api_query(c, "kind"), *after = api_query(c, "after");
    struct gaps g;
    struct slice from = slice_str(after ? after : "");
    size_t limit;
    bool devices = kind && strcmp(kind, "devices-without-certificate") == 0;
    if (!devices && (!kind || strcmp(kind, "certificates-without-device") != 0))
        return diag_fail(diag, TM_EINVAL, NULL, "kind",
                         "must be devices-without-certificate or certificates-without-device");
    TM_TRY(api_limit(&limit, c, 100, 1000, diag));
    if (!devices && from.n && (hex_decode(&from, c->arena, from) != TM_OK || from.n != CERT_SERIAL_LEN))
        return diag_fail(diag, TM_EINVAL, NULL, "after", "must be what \"next\" of the page before said");
    struct arena *a = arena_new(256 << 20);
    tm_err e = !a        ? TM_ENOMEM
               : devices ? gaps_devices(&g, a, c->house, c->tenant->id, from, limit, diag)
                         : gaps_certs(&g, a, c->house, c->tenant->id, from, limit, diag);
    if (e == TM_OK) {
        buf_puts(&c->out, "{\"items\":[");
        for (size_t i = 0; i < g.n; i++) {
            buf_puts(&c->out, i ? "," : "");
            devices ? put_device_gap(&c->out, &g.v[i]) : put_cert_gap(&c->out, &g.v[i]);
        }
        api_put_next(&c->out, &(struct store_read){.more = g.more, .page_next = g.next}, !devices);
    }
    arena_free(a);
    return e;
}

static const struct api_field gap_fields[] = {
    {"device?", "string", "a device without a valid certificate", "SN-0001"},
    {"model?", "string", NULL, "TX-9"},
    {"owner?", "string", NULL, "plant-2"},
    {"place?", "string", NULL, "Hall 4"},
    {"state?", "made|shipped|onboarded|operating|transferred", NULL, "operating"},
    {"why?", "never-had-one|expired|revoked", NULL, "expired"},
    {"ended?", "time?", "when its last one did; null: it never had one", NULL},
    {"certificate?", "Certificate", "a valid certificate that no device in the register has", NULL},
    {0},
};
static const struct api_field gap_list_fields[] = {
    {"items", "[]Gap", NULL, NULL},
    {"next?", "string", "what `after` is for the next page; a page may be short or empty while there is more",
     "SN-0001"},
    {0},
};
const struct api_schema gap_api_schemas[] = {
    {"Gap", "what one register knows and the other does not", gap_fields, NULL, NULL},
    {"GapList", NULL, gap_list_fields, NULL, NULL},
    {0},
};
static const struct api_field gap_query[] = {
    {"kind", "devices-without-certificate|certificates-without-device", "which; it must be said",
     "devices-without-certificate"},
    {0},
};
const struct api_route gap_api_routes[] = {
    {HTTP_M_GET, "/api/v1/inventory/gaps", API_READERS, list, 0, "listGaps",
     "Devices without a valid certificate, or valid certificates that no registered device has", "devices",
     NULL, "GapList", API_PAGED, gap_query},
    {0},
};
