#include "suite.h"
#include "base/digest.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *suite_directory(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/touchmark-store-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0 || !mkdtemp(path))
        abort();
    return path;
}

void suite_directory_remove(const char *path)
{
    file_remove_tree(path, true);
}

int suite_setup(void **state)
{
    struct suite *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->place = *state;
    s->arena = arena_new(0);
    assert_non_null(s->arena);
    clock_fix(SUITE_NOW);
    assert_ok(s->place->wipe(s->place));
    struct diag diag = {0};
    tm_err err = store_open(&s->store, &s->place->config, &diag);
    if (err != TM_OK)
        print_error("store_open: %s\n", diag.message);
    assert_ok(err);
    *state = s;
    return 0;
}

int suite_teardown(void **state)
{
    struct suite *s = *state;
    *state = s->place;
    store_close(s->store);
    arena_free(s->arena);
    clock_fix(0);
    free(s);
    return 0;
}

void suite_reopen(struct suite *s)
{
    store_close(s->store);
    s->store = NULL;
    struct diag diag = {0};
    assert_ok(store_open(&s->store, &s->place->config, &diag));
}

tm_err commit(struct suite *s, struct effect *effects, size_t n)
{
    struct store_txn t = {.effects = effects, .n = n};
    return store_commit(s->store, &t);
}

tm_err commit1(struct suite *s, struct effect *e)
{
    return commit(s, e, 1);
}

tm_err look(struct suite *s, struct store_read *r)
{
    r->arena = s->arena;
    return store_read_now(s->store, r);
}

void suite_cert_id(uint8_t id[CERT_SERIAL_LEN], unsigned number, int64_t not_after)
{
    uint16_t month = cert_id_month(not_after);
    memset(id, 0, CERT_SERIAL_LEN);
    id[0] = (uint8_t)(month >> 8);
    id[1] = (uint8_t)month;
    id[2] = 1; /* the first octet of a serial must not be zero in real life either */
    for (int i = 0; i < 4; i++)
        id[12 + i] = (uint8_t)(number >> (24 - 8 * i));
}

struct effect suite_cert(struct suite *s, tenant_id tenant, unsigned number, int64_t not_after)
{
    struct effect e = {.kind = EFFECT_CERT_ADD, .tenant = tenant};
    struct cert_row *row = &e.u.cert.row;
    suite_cert_id(row->id, number, not_after);
    row->source = CERT_ISSUED;
    assert_ok(arena_copy(&row->serial, s->arena, SLICE_ARR(row->id)));
    row->authority = "issuing";
    row->profile = number % 2 ? "odd" : "even";
    row->profile_version = 3;
    row->subject = arena_printf(s->arena, "CN=Device %u,O=Example", number);
    row->device = arena_printf(s->arena, "dev-%u", number / 10);
    row->endpoint = "factory";
    row->door = 1;
    row->issued_at = SUITE_NOW * 1000;
    row->not_before = SUITE_NOW;
    row->not_after = not_after;
    row->keep_until = not_after + 86400;
    row->der = slice_str(arena_printf(s->arena, "the DER of certificate %u", number));
    assert_ok(sha256(row->fingerprint, row->der));
    assert_ok(sha256(row->spki_hash, slice_str(row->subject)));
    struct cert_key *keys = arena_calloc(s->arena, 6, sizeof *keys);
    struct slice fingerprint, spki;
    assert_ok(arena_copy(&fingerprint, s->arena, SLICE_ARR(row->fingerprint)));
    assert_ok(arena_copy(&spki, s->arena, SLICE_ARR(row->spki_hash)));
    keys[0] = (struct cert_key){CERT_KEY_SUBJECT, slice_str(row->subject)};
    keys[1] = (struct cert_key){CERT_KEY_CN, slice_str(arena_printf(s->arena, "Device %u", number))};
    keys[2] =
        (struct cert_key){CERT_KEY_SAN, slice_str(arena_printf(s->arena, "dns:d%u.example.org", number))};
    keys[3] = (struct cert_key){CERT_KEY_FINGERPRINT, fingerprint};
    keys[4] = (struct cert_key){CERT_KEY_SPKI, spki};
    keys[5] = (struct cert_key){CERT_KEY_DEVICE, slice_str(row->device)};
    e.u.cert.keys = keys;
    e.u.cert.n_keys = 6;
    return e;
}

struct effect suite_event(tenant_id tenant, const char *type, const char *subject, unsigned number)
{
    struct effect e = {.kind = EFFECT_EVENT, .tenant = tenant};
    e.u.event.time = SUITE_NOW * 1000;
    e.u.event.type = type;
    e.u.event.subject = subject;
    e.u.event.salt = SLICE_LIT("0123456789abcdef");
    e.u.event.body = SLICE_LIT("{\"a\":1}");
    memset(e.u.event.leaf, (int)number, sizeof e.u.event.leaf);
    return e;
}

struct store_read suite_by_key(tenant_id tenant, enum cert_key_kind kind, const char *text)
{
    return (struct store_read){.kind = READ_CERTS_BY_KEY, .tenant = tenant, .key = {kind, slice_str(text)}};
}
