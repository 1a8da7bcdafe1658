#include "issue/foreign.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/key_use.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include "register/register.h"
#include <pthread.h>
#include <string.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

void foreign_lock(void)
{
    pthread_mutex_lock(&one_at_a_time);
}

void foreign_unlock(void)
{
    pthread_mutex_unlock(&one_at_a_time);
}

/* An inventory id for a certificate whose serial is not ours: our prefix form with the top bit set (store.h). */
static tm_err foreign_id(uint8_t ret[CERT_SERIAL_LEN], int64_t not_after)
{
    serial_prefix(ret, not_after, clock_now());
    ret[0] |= 0x80;
    return random_bytes(ret + 6, CERT_SERIAL_LEN - 6);
}

/* What any certificate is found by, and its own serial, which is no id here. */
static tm_err foreign_keys(const struct cert_key **ret, size_t *ret_n, struct arena *a, const struct cert *c,
                           struct slice serial)
{
    struct cert_key *collected;
    size_t n;
    TM_TRY(cert_keys_collect(&collected, &n, a, c, ""));
    struct cert_key *keys = arena_calloc(a, n + 1, sizeof *keys);
    if (!keys)
        return TM_ENOMEM;
    keys[0] = (struct cert_key){.kind = CERT_KEY_FOREIGN_SERIAL, .value = serial};
    if (n)
        memcpy(keys + 1, collected, n * sizeof *keys);
    *ret = keys;
    *ret_n = n + 1;
    return TM_OK;
}

/* What people bring stays; what was only met is forgotten in time, and comes in anew where it is met again. */
static int64_t discovered_until(int64_t not_after)
{
    int64_t end = not_after > clock_now() ? not_after : clock_now();
    return end < TM_TIME_NEVER - FOREIGN_KEEP ? end + FOREIGN_KEEP : TM_TIME_NEVER;
}

tm_err foreign_find(uint8_t ret_id[CERT_SERIAL_LEN], struct arena *a, struct house *h, tenant_id tenant,
                    const uint8_t fingerprint[32], struct diag *diag)
{
    struct store_read known = {
        .kind = READ_CERTS_BY_KEY,
        .tenant = tenant,
        .arena = a,
        .key = {.kind = CERT_KEY_FINGERPRINT, .value = slice_of(fingerprint, SHA256_LEN)},
        .limit = 1};
    tm_err e = store_read_now(h->store, &known);
    if (e == TM_OK && known.n == 0)
        e = TM_ENOTFOUND;
    if (e == TM_OK)
        memcpy(ret_id, known.certs[0].id, CERT_SERIAL_LEN);
    else if (e != TM_ENOTFOUND && diag)
        *diag = known.diag;
    return e;
}

tm_err foreign_add(struct effect *ret, struct arena *a, struct house *h, tenant_id tenant,
                   const struct cert *c, enum cert_source source, enum issuer_class issuer, struct diag *diag)
{
    *ret = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = tenant};
    struct cert_row *row = &ret->u.cert.row;
    TM_TRY(cert_row_from_cert(row, a, c));
    TM_TRY(foreign_id(row->id, c->not_after));
    struct buf text;
    buf_init(&text, 16 << 10);
    name_print_der(&text, c->issuer);
    row->authority = arena_strdup(a, buf_str(&text));
    buf_done(&text);
    if (!row->authority)
        return TM_ENOMEM;
    row->source = source;
    row->profile = row->device = row->endpoint = "";
    row->door = issuer;
    row->issued_at = clock_now_ms();
    row->retention = RETAIN_FULL;
    row->keep_until = source == CERT_DISCOVERED ? discovered_until(c->not_after) : TM_TIME_NEVER;
    TM_TRY(foreign_keys(&ret->u.cert.keys, &ret->u.cert.n_keys, a, c, row->serial));
    if (source == CERT_DISCOVERED)
        return TM_OK; /* no use of its key (issue/key_use.h) */
    struct key_use use;
    TM_TRY(key_use_find(&use, a, h, tenant, &c->spki, "", row->subject, diag));
    return use.elsewhere ? key_use_mark(ret, a, &c->spki) : TM_OK;
}

tm_err foreign_event(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row,
                     const char *by, const char *where, const char *run)
{
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "id", .kind = EVENT_HEX, .s = SLICE_ARR(row->id)},
        {.key = "issuer", .kind = EVENT_STR, .s = slice_str(row->authority)},
        {.key = "issuer_class",
         .kind = EVENT_STR,
         .s = slice_str(issuer_class_names[issuer_class_of_row(row)])},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(row->subject)},
        {0}, /* room for these two, where they are said */
        {0},
        {0},
    };
    struct event_field *more = &fields[6];
    if (where && where[0])
        *more++ = (struct event_field){.key = "place", .kind = EVENT_STR, .s = slice_str(where)};
    if (run && run[0])
        *more = (struct event_field){.key = "run", .kind = EVENT_STR, .s = slice_str(run)};
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *hex = arena_hex(a, SLICE_ARR(row->id)),
         *about = hex ? arena_printf(a, "certificate/%s", hex) : NULL;
    if (!about)
        return TM_ENOMEM;
    return register_event_effect(
        ret, a, tenant, row->source == CERT_DISCOVERED ? "certificate.discovered" : "certificate.imported",
        about, body, clock_now_ms());
}

/* ---- one alone ---- */

static tm_err import(struct house *h, struct arena *a, tenant_id tenant, const struct cert *c, const char *by,
                     uint8_t ret_id[CERT_SERIAL_LEN], bool *ret_new, struct diag *diag)
{
    struct effect effects[2] = {0};
    uint8_t fingerprint[SHA256_LEN];
    TM_TRY(sha256(fingerprint, c->der));
    tm_err e = foreign_find(ret_id, a, h, tenant, fingerprint, diag);
    if (e == TM_OK)
        *ret_new = false;
    if (e != TM_ENOTFOUND)
        return e;
    struct catalog *catalog = house_catalog(h);
    enum issuer_class issuer = issuer_class_of(catalog, tenant, c, NULL, 0);
    catalog_unref(catalog);
    TM_TRY(foreign_add(&effects[0], a, h, tenant, c, CERT_IMPORTED, issuer, diag));
    TM_TRY(foreign_event(&effects[1], a, tenant, &effects[0].u.cert.row, by, NULL, NULL));
    TM_TRY(house_commit(h, effects, 2, diag));
    memcpy(ret_id, effects[0].u.cert.row.id, CERT_SERIAL_LEN);
    *ret_new = true;
    return TM_OK;
}

tm_err issue_import(struct house *h, tenant_id tenant, struct slice der, const char *by,
                    uint8_t ret_id[CERT_SERIAL_LEN], bool *ret_new, struct diag *diag)
{
    struct cert c;
    TM_TRY(cert_parse(&c, der, diag));
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    foreign_lock();
    tm_err e = import(h, a, tenant, &c, by, ret_id, ret_new, diag);
    foreign_unlock();
    arena_free(a);
    return e;
}
