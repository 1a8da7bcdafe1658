#include "issue/renewal.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/catalog.h"
#include "keys/jwk.h"
#include "policy/profile.h"
#include "x509/ext.h"
#include <inttypes.h>
#include <string.h>

enum { STATE_MAX = 16 << 10 };

/* ---- windows ---- */

tm_err renewal_window_put(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row,
                          const char *owner, const struct renewal_window *w)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_printf(&b, "{\"start\":%" PRId64 ",\"end\":%" PRId64, w->start,
               w->end > w->start ? w->end : w->start + 1);
    if (w->explanation && w->explanation[0]) {
        buf_puts(&b, ",\"explanation\":");
        buf_put_json_string(&b, slice_str(w->explanation));
    }
    buf_putc(&b, '}');
    *ret = (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = tenant, .expected_version = -1};
    struct object_row *r = &ret->u.object.row;
    *r = (struct object_row){.kind = OBJECT_RENEWAL_WINDOW,
                             .id = arena_hex(a, SLICE_ARR(row->id)),
                             .owner = owner,
                             .key = "",
                             .ref = "",
                             .created_at = clock_now(),
                             .keep_until = row->not_after < TM_TIME_NEVER ? row->not_after : 0};
    tm_err e = r->id ? buf_err(&b) : TM_ENOMEM;
    if (e == TM_OK)
        e = arena_copy(&r->state, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

tm_err renewal_window_read(struct renewal_window *ret, struct arena *a, struct store *s, tenant_id tenant,
                           const uint8_t id[CERT_SERIAL_LEN], struct diag *diag)
{
    static const struct json_field schema[] = {
        JSON_FIELD(struct renewal_window, start, JSON_K_INT, .required = true),
        JSON_FIELD(struct renewal_window, end, JSON_K_INT, .required = true),
        JSON_FIELD(struct renewal_window, explanation, JSON_K_STRING, .def = ""),
        {0},
    };
    json_t *doc = NULL;
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_RENEWAL_WINDOW,
                           .name = arena_hex(a, slice_of(id, CERT_SERIAL_LEN))};
    *ret = (struct renewal_window){.explanation = ""};
    tm_err e = q.name ? store_read_now(s, &q) : TM_ENOMEM;
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(json_parse(&doc, q.objects[0].state, STATE_MAX, diag));
    e = json_bind(ret, schema, doc, "", a, diag);
    json_decref(doc);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}

struct renewal_window renewal_window_of(const struct profile *p, const struct cert_row *row,
                                        const struct renewal_window *moved)
{
    int64_t life = row->not_after - row->not_before;
    struct renewal_window w = {.start = p ? profile_renew_before(p, row->not_before, row->not_after)
                                          : row->not_after - life / 3,
                               .explanation = ""};
    if (row->revoked_at) {
        /* It should have gone already. */
        w.start = row->not_before;
        w.end = row->revoked_at;
    } else if (moved && moved->end) {
        w = *moved;
    } else {
        w.end = w.start + (row->not_after - w.start) / 3;
    }
    if (w.end <= w.start)
        w.end = w.start + 1;
    return w;
}

/* ---- names of certificates ---- */

tm_err renewal_id_read(struct slice *ret_key_id, uint8_t id[CERT_SERIAL_LEN], struct arena *a,
                       const char *text)
{
    const char *dot = strchr(text, '.');
    struct slice serial;
    if (!dot || strlen(text) >= RENEWAL_ID_MAX)
        return TM_EMALFORMED;
    TM_TRY(base64url_strict(ret_key_id, a, slice_of(text, (size_t)(dot - text))));
    TM_TRY(base64url_strict(&serial, a, slice_str(dot + 1)));
    /* The INTEGER's contents: a zero octet stands in front where the sign bit would be set; ours never is. */
    if (serial.n != CERT_SERIAL_LEN)
        return TM_ENOTFOUND;
    memcpy(id, serial.p, CERT_SERIAL_LEN);
    return TM_OK;
}

tm_err renewal_id_parse(const struct authority **ret, uint8_t id[CERT_SERIAL_LEN], struct arena *a,
                        const struct catalog *c, const char *text)
{
    struct slice key_id;
    TM_TRY(renewal_id_read(&key_id, id, a, text));
    *ret = catalog_authority_by_key_id(c, key_id);
    return *ret ? TM_OK : TM_ENOTFOUND;
}

tm_err renewal_id_write(char out[RENEWAL_ID_MAX], struct slice key_id, struct slice serial)
{
    struct buf b;
    buf_init(&b, RENEWAL_ID_MAX - 1);
    buf_put_base64(&b, key_id, BASE64_URL, 0);
    buf_putc(&b, '.');
    buf_put_base64(&b, serial, BASE64_URL, 0);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        memccpy(out, buf_str(&b), 0, RENEWAL_ID_MAX);
    buf_done(&b);
    return e;
}

tm_err renewal_id_of(char out[RENEWAL_ID_MAX], const struct catalog *c, const struct cert *cert)
{
    const struct ext *akid = exts_find(&cert->exts, OID_EXT_AKID);
    struct slice key_id = {0};
    if (!akid || cert->serial.n != CERT_SERIAL_LEN || ext_decode_akid(&key_id, akid->value, NULL) != TM_OK ||
        !catalog_authority_by_key_id(c, key_id))
        return TM_ENOTFOUND;
    return renewal_id_write(out, key_id, cert->serial);
}
