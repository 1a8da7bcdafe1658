/* Proof documents, export, key: what leaves the house, checked with what an outsider has. */
#include "house.h"

static json_t *vectors;

static struct slice vkey_of(struct house *h)
{
    struct buf b;
    struct slice v;
    buf_init(&b, 4096);
    assert_ok(register_vkey(&b, h->reg));
    assert_ok(arena_copy(&v, test_arena, buf_slice(&b)));
    buf_done(&b);
    return v;
}

static struct slice prove(struct house *h, tenant_id tenant, uint64_t pos)
{
    struct buf b;
    struct slice v;
    struct diag diag = {0};
    buf_init(&b, 16 << 20);
    if (register_prove(&b, h->reg, tenant, pos, &diag) != TM_OK)
        fail_msg("register_prove %u/%llu: %s", tenant, (unsigned long long)pos, diag.message);
    assert_ok(arena_copy(&v, test_arena, buf_slice(&b)));
    buf_done(&b);
    return v;
}

static const char *check(struct slice proof, struct slice vkey)
{
    struct buf report;
    struct diag diag = {0};
    buf_init(&report, 1 << 20);
    if (register_verify_proof(proof, vkey, &report, &diag) != TM_OK)
        fail_msg("register_verify_proof: %s: %s", diag.field, diag.message);
    char *text = arena_strdup(test_arena, buf_str(&report));
    buf_done(&report);
    return text;
}

static void test_prove__vector(void **state)
{
    const char *report = check(slice_str(test_str(vectors, "proof")), slice_str(test_str(vectors, "vkey")));
    assert_string_equal(
        report, "event      3 of pki.example.org/touchmark/1\n"
                "           certificate.issued certificate/01410000000000000000000000000003 at"
                " 2026-11-21T00:00:00Z\n"
                "included   in the signed checkpoint of 5 events\n"
                "anchored   by event 1 of pki.example.org/touchmark, in its signed checkpoint of 2 events\n");
}

static void test_prove__every_event(void **state)
{
    struct house *h = *state;
    struct slice vkey = vkey_of(h);
    house_issue(h, 1, 3);
    house_sequence(h);
    house_events(h, 1, 700);
    house_events(h, 0, 3);
    house_events(h, 2, 1);
    house_sequence(h);
    for (uint64_t i = 0; i < 703; i += i < 10 || i > 690 ? 1 : 17)
        check(prove(h, 1, i), vkey);
    for (uint64_t i = 0; i < 6; i++)
        check(prove(h, 0, i), vkey);
    assert_non_null(strstr(check(prove(h, 2, 0), vkey), "test.happened thing/1"));
    house_down(h);
    house_up(h);
    assert_non_null(strstr(check(prove(h, 1, 0), vkey), "anchored"));
}

static void test_prove__not_there_yet(void **state)
{
    struct house *h = *state;
    struct buf b;
    struct diag diag = {0};
    buf_init(&b, 1 << 20);
    assert_err(TM_ENOTFOUND, register_prove(&b, h->reg, 1, 0, &diag));
    house_events(h, 1, 1);
    assert_err(TM_ENOTFOUND, register_prove(&b, h->reg, 1, 0, &diag));
    house_sequence(h);
    house_events(h, 1, 1);
    assert_err(TM_EPENDING, register_prove(&b, h->reg, 1, 1, &diag));
    assert_err(TM_ENOTFOUND, register_prove(&b, h->reg, 1, 2, &diag));
    assert_int_equal(b.n, 0);
    buf_done(&b);
}

/* Another process sequences: a register that was opened before shows it. */
static void test_prove__after_another_process(void **state)
{
    struct house *h = *state;
    house_events(h, 1, 2);
    house_sequence(h);
    prove(h, 1, 1);
    struct reg *mine = h->reg;
    struct register_config rc = {.store = h->store,
                                 .key_id = "register",
                                 .origin = HOUSE_ORIGIN,
                                 .ctx = h,
                                 .chain_position = played_position,
                                 .chain_recorded = played_recorded,
                                 .public_key = h->signer.public,
                                 .sign = played_sign};
    struct reg *other;
    assert_ok(register_open(&other, &rc, NULL));
    h->reg = other;
    house_events(h, 1, 2);
    house_sequence(h);
    h->reg = mine;
    check(prove(h, 1, 3), vkey_of(h));
    register_close(other);
}

static void test_prove__erased(void **state)
{
    struct house *h = *state;
    house_events(h, 1, 3);
    house_sequence(h);
    struct effect e = {.kind = EFFECT_EVENT_ERASE, .tenant = 1, .u.event.pos = 1};
    house_commit(h, &e, 1);
    struct slice proof = prove(h, 1, 1);
    assert_null(memmem(proof.p, proof.n, "test.happened", 13));
    assert_non_null(strstr(check(proof, vkey_of(h)), "erased"));
}

static void test_prove__after_a_new_epoch(void **state)
{
    struct house *h = *state;
    const tenant_id tenants[] = {0, 1};
    house_events(h, 1, 3);
    house_sequence(h);
    assert_ok(
        register_new_epoch(h->reg, tenants, 2, h->signer.seq, h->signer.hash[h->signer.seq], NULL, NULL));
    house_sequence(h);
    assert_non_null(strstr(check(prove(h, 1, 1), vkey_of(h)), "touchmark/1#epoch-1\n"));
}

static void assert_refused(const char *text, const char *vkey, const char *what)
{
    struct buf report;
    struct diag diag = {0};
    buf_init(&report, 1 << 20);
    if (register_verify_proof(slice_str(text), slice_str(vkey), &report, &diag) == TM_OK)
        fail_msg("taken: %s", what);
    assert_int_equal(report.n, 0);
    buf_done(&report);
}

/* No character of a document can change and the document still say something else: what still passes must be white space or escapes
 * that mean the same. The document has neither, so nothing passes. */
static void test_verify_proof__every_character(void **state)
{
    const char *proof = test_str(vectors, "proof"), *vkey = test_str(vectors, "vkey");
    char *copy = arena_strdup(test_arena, proof);
    for (size_t i = 0; copy[i]; i++) {
        char was = copy[i];
        for (int bit = 0; bit < 7; bit += 2) {
            copy[i] = (char)(was ^ (1 << bit));
            if (copy[i])
                assert_refused(copy, vkey, copy + i);
        }
        copy[i] = was;
    }
}

/* Documents put together from true parts that do not belong together. */
static void test_verify_proof__mixed_parts(void **state)
{
    struct house *h = *state;
    const char *vkey = arena_strndup(test_arena, (const char *)vkey_of(h).p, vkey_of(h).n);
    house_events(h, 1, 3);
    house_events(h, 2, 3);
    house_sequence(h);
    json_t *one = json_loads((const char *)prove(h, 1, 1).p, 0, NULL),
           *two = json_loads((const char *)prove(h, 2, 1).p, 0, NULL);
    json_t *house = json_loads((const char *)prove(h, 0, 0).p, 0, NULL);
    house_events(h, 1, 3);
    house_sequence(h);
    json_t *later = json_loads((const char *)prove(h, 1, 1).p, 0, NULL);

    const struct {
        const char *what;
        json_t *document, *from;
        const char *key;
    } mixes[] = {
        {"another tenant's anchor", one, two, "anchor"},
        {"an older anchor", later, one, "anchor"},
        {"another tenant's log", one, two, "checkpoint"},
        {"a later checkpoint", one, later, "checkpoint"},
        {"another event", one, house, "event"},
        {"another salt", one, two, "salt"},
        {"the house's with an anchor", house, one, "anchor"},
    };
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        json_t *copy = json_deep_copy(mixes[i].document);
        json_object_set(copy, mixes[i].key, json_object_get(mixes[i].from, mixes[i].key));
        char *text = json_dumps(copy, JSON_COMPACT);
        assert_refused(text, vkey, mixes[i].what);
        free(text);
        json_decref(copy);
    }
    json_t *copy = json_deep_copy(one);
    json_object_del(copy, "anchor");
    char *text = json_dumps(copy, JSON_COMPACT);
    assert_refused(text, vkey, "a tenant's without an anchor");
    free(text);
    json_decref(copy);
    /* The key of another house of the same name, and another name with this key. */
    text = json_dumps(one, JSON_COMPACT);
    assert_refused(text, test_str(vectors, "vkey"), "another key");
    struct buf b;
    buf_init(&b, 4096);
    note_vkey_build(&b, "pki.example.org/touch", h->signer.public);
    assert_refused(text, buf_str(&b), "a shorter name");
    buf_reset(&b);
    note_vkey_build(&b, HOUSE_ORIGIN "/1", h->signer.public);
    assert_refused(text, buf_str(&b), "the tenant's log as a house");
    buf_done(&b);
    free(text);
    json_decref(one);
    json_decref(two);
    json_decref(house);
    json_decref(later);
}

static void test_verify_proof__malformed(void **state)
{
    const char *vkey = test_str(vectors, "vkey"), *proof = test_str(vectors, "proof");
    assert_refused("", vkey, "empty");
    assert_refused("[]", vkey, "a list");
    assert_refused("{\"format\":\"touchmark-register-proof-v1\"}", vkey, "parts missing");
    assert_refused(proof, "", "no key");
    assert_refused(proof, "x+00000000+AAAA", "no key");
}

static tm_err line_check(void *arg, struct slice line)
{
    uint64_t *n = arg;
    json_t *v = json_loadb((const char *)line.p, line.n, 0, NULL);
    assert_non_null(v);
    assert_int_equal(line.p[line.n - 1], '\n');
    assert_int_equal(test_num(v, "pos"), (*n)++);
    struct slice leaf;
    assert_ok(base64_decode(&leaf, test_arena, slice_str(test_str(v, "leaf")), BASE64_STD));
    if (json_is_true(json_object_get(v, "erased"))) {
        assert_null(json_object_get(v, "body"));
    } else {
        struct slice salt;
        uint8_t expected[32];
        assert_ok(base64_decode(&salt, test_arena, slice_str(test_str(v, "salt")), BASE64_STD));
        assert_ok(event_leaf(expected, salt, slice_str(test_str(v, "body"))));
        assert_bytes(leaf, SLICE_ARR(expected));
    }
    json_decref(v);
    return TM_OK;
}

static tm_err line_refuse(void *arg, struct slice line)
{
    return TM_EIO;
}

static void test_export__all_lines(void **state)
{
    struct house *h = *state;
    uint64_t n = 0;
    assert_ok(register_export(h->reg, 1, line_check, &n, NULL));
    assert_int_equal(n, 0);
    house_events(h, 1, 2500);
    struct effect e = {.kind = EFFECT_EVENT_ERASE, .tenant = 1, .u.event.pos = 1234};
    house_commit(h, &e, 1);
    assert_ok(register_export(h->reg, 1, line_check, &n, NULL));
    assert_int_equal(n, 2500);
    assert_err(TM_EIO, register_export(h->reg, 1, line_refuse, NULL, NULL));
}

/* What docs/register.md shows is what the vectors say. */
static void test_docs__show_the_vectors(void **state)
{
    FILE *f = fopen("docs/register.md", "r");
    assert_non_null(f);
    char *text = arena_alloc(test_arena, 1 << 18);
    assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    json_t *event = json_array_get(json_object_get(vectors, "events"), 3);
    const char *shown[] = {
        test_str(event, "salt"),         test_str(event, "body"),
        test_str(event, "commitment"),   test_str(event, "leaf"),
        test_str(vectors, "root"),       test_str(vectors, "note"),
        test_str(vectors, "house_note"), test_str(vectors, "vkey"),
        test_str(vectors, "public"),     test_str(vectors, "epoch_checkpoint"),
    };
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        if (!strstr(text, shown[i]))
            fail_msg("docs/register.md lacks: %s", shown[i]);
    json_t *step;
    size_t i;
    json_array_foreach(json_object_get(vectors, "chain"), i, step) if (!strstr(text, test_str(step, "hash")))
        fail_msg("docs/register.md lacks: %s", test_str(step, "hash"));
}

static int open_vectors(void **state)
{
    vectors = test_vectors("register");
    return 0;
}

static int close_vectors(void **state)
{
    json_decref(vectors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTER_TEST(test_prove__vector),
        HOUSE_TEST(test_prove__every_event),
        HOUSE_TEST(test_prove__not_there_yet),
        HOUSE_TEST(test_prove__after_another_process),
        HOUSE_TEST(test_prove__erased),
        HOUSE_TEST(test_prove__after_a_new_epoch),
        REGISTER_TEST(test_verify_proof__every_character),
        HOUSE_TEST(test_verify_proof__mixed_parts),
        REGISTER_TEST(test_verify_proof__malformed),
        HOUSE_TEST(test_export__all_lines),
        REGISTER_TEST(test_docs__show_the_vectors),
    };
    return cmocka_run_group_tests_name("register/prove", tests, open_vectors, close_vectors);
}
