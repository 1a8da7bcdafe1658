#include "identity/rows.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "register/register.h"
#include <stdio.h>
#include <string.h>

enum { ID_OCTETS = 14, TIME_OCTETS = 6, SECRET_OCTETS = 32 };

tm_err row_bind(void *out, const struct json_field *schema, struct arena *a, const struct object_row *row,
                struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, ROW_STATE_MAX, diag));
    tm_err e = json_bind(out, schema, doc, "", a, diag);
    json_decref(doc);
    return e == TM_OK || e == TM_ENOMEM ? e : TM_ECORRUPT;
}

tm_err row_read(struct object_row *ret, void *out, const struct json_field *schema, struct arena *a,
                struct house *h, tenant_id tenant, enum object_kind kind, const char *id, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = kind, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        if (diag)
            *diag = q.diag;
        return e;
    }
    *ret = q.objects[0];
    return row_bind(out, schema, a, ret, diag);
}

tm_err row_put(struct effect *ret, struct arena *a, const struct object_row *row, json_t *state)
{
    struct buf b;
    if (!state)
        return TM_ENOMEM;
    buf_init(&b, ROW_STATE_MAX);
    buf_put_json(&b, state, false);
    json_decref(state);
    *ret =
        (struct effect){.kind = EFFECT_OBJECT_PUT, .tenant = row->tenant, .expected_version = row->version};
    ret->u.object.row = *row;
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(&ret->u.object.row.state, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

void row_drop(struct effect *ret, const struct object_row *row)
{
    *ret =
        (struct effect){.kind = EFFECT_OBJECT_DROP, .tenant = row->tenant, .expected_version = row->version};
    ret->u.object.row = *row;
}

tm_err row_id(const char **ret, struct arena *a)
{
    uint8_t octets[ID_OCTETS];
    uint64_t now = (uint64_t)clock_now_ms();
    for (int i = 0; i < TIME_OCTETS; i++)
        octets[i] = (uint8_t)(now >> (40 - 8 * i));
    TM_TRY(random_bytes(octets + TIME_OCTETS, ID_OCTETS - TIME_OCTETS));
    *ret = arena_hex(a, SLICE_ARR(octets));
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err row_secret_hash(char ret[65], struct slice secret)
{
    /* 256 random bits: there is nothing to guess, so that a plain hash is enough. */
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {SLICE_LIT("touchmark-identity-v1\0"), secret};
    TM_TRY(sha256_many(hash, parts, 2));
    hex_encode(ret, SLICE_ARR(hash));
    return TM_OK;
}

tm_err row_secret(char ret[ROW_SECRET_TEXT], char ret_hash[65])
{
    uint8_t octets[SECRET_OCTETS];
    struct buf b;
    TM_TRY(random_bytes(octets, sizeof octets));
    buf_init(&b, 128);
    buf_put_base64(&b, SLICE_ARR(octets), BASE64_URL, 0);
    explicit_bzero(octets, sizeof octets);
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        snprintf(ret, ROW_SECRET_TEXT, "%s", buf_str(&b));
        explicit_bzero(b.p, b.n);
        e = row_secret_hash(ret_hash, slice_str(ret));
    }
    buf_done(&b);
    return e;
}

bool row_secret_fits(struct slice secret, const char *hash)
{
    char found[65];
    return row_secret_hash(found, secret) == TM_OK && slice_ct_eq(slice_str(found), slice_str(hash));
}

tm_err row_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type, const char *subject,
                 const struct event_field *fields)
{
    struct slice body;
    if (!subject)
        return TM_ENOMEM;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(ret, a, tenant, type, subject, body, clock_now_ms());
}
