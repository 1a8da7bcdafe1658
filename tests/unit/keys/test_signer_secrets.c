/* Secrets sealed by the signer (docs/adr/0009): for one record, under a key that seals and does nothing else; opened so fast and counted. */
#include "der/builder.h"
#include "keys/sealed_secret.h"
#include "keys/signer_secret.h"
#include "signer_test.h"

static struct signer *signer;

static int setup(void **state)
{
    if (test_setup(state) != 0)
        return -1;
    struct envelope e = {.key_id = SECRETS_KEY, .origin = "", .allow = 1u << SIGN_SECRET, .max_path_len = -1};
    test_store_key(&e, KEY_ALG_ED25519, 0);
    e.key_id = "another";
    test_store_key(&e, KEY_ALG_ED25519, 0);
    e.key_id = "ecdsa";
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    e.key_id = "register";
    e.allow = 1u << SIGN_CHECKPOINT;
    test_store_key(&e, KEY_ALG_ED25519, 0);
    signer = test_signer_start(false);
    return 0;
}

static int teardown(void **state)
{
    signer_free(signer);
    return test_teardown(state);
}

static struct sign_op *ask(const char *key_id, const char *record, bool open, struct slice secret)
{
    struct buf b;
    struct slice request;
    buf_init(&b, SECRET_REQUEST_MAX + 1024);
    assert_ok(sealed_secret_request(&b, slice_str(record), open, secret));
    assert_ok(arena_copy(&request, test_arena, buf_slice(&b)));
    buf_done(&b);
    return test_ask(signer, SIGN_SECRET, key_id, request);
}

static struct slice answer(const struct sign_op *op)
{
    assert_ok(op->err);
    return slice_of(op->signature, op->signature_n);
}

#define SECRET SLICE_LIT("0123456789abcdef0123456789abcdef")

static void test_signer__seals_and_opens(void **state)
{
    (void)state;
    struct slice once = answer(ask(SECRETS_KEY, "token/1/a", false, SECRET));
    struct slice twice = answer(ask(SECRETS_KEY, "token/1/a", false, SECRET));
    assert_int_equal(once.n, SECRET.n + 29);
    assert_false(slice_eq(once, twice));
    assert_null(memmem(once.p, once.n, SECRET.p, 8));
    assert_true(slice_eq(answer(ask(SECRETS_KEY, "token/1/a", true, once)), SECRET));
    assert_true(slice_eq(answer(ask(SECRETS_KEY, "token/1/a", true, twice)), SECRET));
    /* By a signer that was started anew. */
    signer_free(signer);
    signer = test_signer_start(false);
    assert_true(slice_eq(answer(ask(SECRETS_KEY, "token/1/a", true, once)), SECRET));
}

static void test_signer__opens_nothing_else(void **state)
{
    (void)state;
    struct slice sealed = answer(ask(SECRETS_KEY, "token/1/a", false, SECRET));
    assert_int_equal(ask(SECRETS_KEY, "token/1/b", true, sealed)->err, TM_EDENIED);
    assert_int_equal(ask(SECRETS_KEY, "token/2/a", true, sealed)->err, TM_EDENIED);
    assert_int_equal(ask("another", "token/1/a", true, sealed)->err, TM_EDENIED);
    assert_int_equal(ask("ecdsa", "token/1/a", true, sealed)->err, TM_EINVAL);
    struct sign_op *op = ask("register", "token/1/a", true, sealed);
    assert_int_equal(op->err, TM_EDENIED);
    assert_string_equal(op->diag.rule, "envelope.allow");
    /* It signs nothing with that key. */
    assert_int_equal(test_ask(signer, SIGN_CHECKPOINT, SECRETS_KEY, SLICE_LIT("log.example/house\n0\n"))->err,
                     TM_EDENIED);
    for (size_t i = 0; i < sealed.n; i++) {
        uint8_t copy[SEALED_MAX];
        memcpy(copy, sealed.p, sealed.n);
        copy[i] ^= 1;
        assert_int_equal(ask(SECRETS_KEY, "token/1/a", true, slice_of(copy, sealed.n))->err, TM_EDENIED);
        assert_int_not_equal(ask(SECRETS_KEY, "token/1/a", true, slice_sub(sealed, 0, i))->err, TM_OK);
    }
}

static void test_signer__secret_requests(void **state)
{
    (void)state;
    static const uint8_t large[SECRET_REQUEST_MAX + 1];
    static char name[SECRET_RECORD_MAX + 2];
    memset(name, 'x', sizeof name - 1);
    const struct sign_op *bad[] = {
        ask(SECRETS_KEY, "", false, SECRET),
        ask(SECRETS_KEY, name, false, SECRET),
        ask(SECRETS_KEY, "a", false, (struct slice){0}),
        ask(SECRETS_KEY, "a", false, slice_of(large, SECRET_MAX + 1)),
        test_ask(signer, SIGN_SECRET, SECRETS_KEY, (struct slice){0}),
        test_ask(signer, SIGN_SECRET, SECRETS_KEY, SLICE_LIT("\x30\x00")),
        test_ask(signer, SIGN_SECRET, SECRETS_KEY, SLICE_LIT("\x30\x06\x04\x01\x61\x82\x01\x61")),
        test_ask(signer, SIGN_SECRET, SECRETS_KEY, SLICE_ARR(large)),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(bad[i]->err == TM_EMALFORMED || bad[i]->err == TM_ETOOBIG);
    assert_int_equal(answer(ask(SECRETS_KEY, "a", false, slice_of(large, SECRET_MAX))).n, SEALED_MAX);
}

/* The chain says how many were opened; more than so many at once are refused. */
static void test_signer__openings_are_counted(void **state)
{
    (void)state;
    signer_free(signer);
    signer = test_signer_start(false);
    struct slice sealed = answer(ask(SECRETS_KEY, "token/1/a", false, SECRET));
    uint64_t before, after, count = 0, seen = 0;
    uint8_t hash[32];
    assert_ok(signer_chain(signer, &before, hash));
    const struct sign_op *op = ask(SECRETS_KEY, "token/1/a", true, sealed);
    assert_ok(op->err);
    assert_int_equal(op->chain_seq, before + 1); /* the first one since the start */
    assert_int_equal(signer_decrypted(op), 1);
    while ((op = ask(SECRETS_KEY, "token/1/a", true, sealed))->err == TM_OK) {
        count++;
        if (op->chain_seq) {
            seen++;
            assert_int_equal(signer_decrypted(op), count + 1);
        }
        if (count == 4 * SECRET_OPEN_BURST)
            break; /* a machine so slow that the limit does not come */
        arena_reset(test_arena);
        sealed = answer(ask(SECRETS_KEY, "token/1/a", false, SECRET));
    }
    if (op->err != TM_OK)
        assert_int_equal(op->err, TM_EBUSY);
    assert_true(count >= SECRET_OPEN_BURST - 1);
    assert_ok(signer_chain(signer, &after, hash));
    assert_int_equal(after, before + 1 + seen);
    assert_true(seen >= count / DECRYPT_ENTRY_COUNT);
    /* Sealing goes on. */
    assert_ok(ask(SECRETS_KEY, "token/1/a", false, SECRET)->err);
}

int main(int argc, char **argv)
{
    test_signer_program(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signer__seals_and_opens),
        cmocka_unit_test(test_signer__opens_nothing_else),
        cmocka_unit_test(test_signer__secret_requests),
        cmocka_unit_test(test_signer__openings_are_counted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
