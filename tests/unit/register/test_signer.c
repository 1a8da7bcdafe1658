/* The register with the real signer behind it, in process: the checkpoints that it takes and refuses, and what it remembers. */
#include "base/secret.h"
#include "house.h"
#include "keys/key.h"
#include "keys/signer.h"

struct guarded {
    struct house h;
    struct signer *signer;
    char keys[64];
    bool lose_next;
};

static tm_err sign_and_maybe_lose(void *ctx, struct sign_op *op)
{
    struct guarded *g = ctx;
    TM_TRY(signer_sign(g->signer, op));
    if (!g->lose_next)
        return TM_OK;
    g->lose_next = false;
    return TM_EUNAVAIL;
}

/* Everything signed so far counts as recorded: there are checkpoints only. */
static void position(void *ctx, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    struct guarded *g = ctx;
    assert_ok(signer_chain(g->signer, ret_seq, ret_hash));
}

static void signer_up(struct guarded *g)
{
    struct secret pass;
    struct diag diag = {0};
    assert_ok(secret_copy(&pass, SLICE_LIT("pass")));
    struct signer_config sc = {.key_dir = g->keys, .passphrase = &pass, .in_process = true};
    if (signer_start(&g->signer, &sc, &diag) != TM_OK)
        fail_msg("signer_start: %s", diag.message);
    secret_done(&pass);
}

static void register_up(struct guarded *g, bool direct)
{
    struct register_config rc = {.store = g->h.store,
                                 .signer = g->signer,
                                 .key_id = "register",
                                 .origin = HOUSE_ORIGIN,
                                 .chain_position = position,
                                 .ctx = g,
                                 .sign = direct ? NULL : sign_and_maybe_lose};
    struct diag diag = {0};
    register_close(g->h.reg);
    if (register_open(&g->h.reg, &rc, &diag) != TM_OK)
        fail_msg("register_open: %s", diag.message);
    memcpy(g->h.signer.public, g->h.reg->public_key, 32);
}

static void make_key(struct guarded *g, const char *id, enum key_alg alg)
{
    struct key *k;
    struct secret pass;
    struct envelope e = {
        .key_id = id, .origin = HOUSE_ORIGIN, .allow = 1u << SIGN_CHECKPOINT, .max_path_len = 0};
    assert_ok(secret_copy(&pass, SLICE_LIT("pass")));
    assert_ok(key_generate(&k, alg, 0, NULL));
    assert_ok(key_store(g->keys, k, &e, &pass, NULL));
    key_free(k);
    secret_done(&pass);
}

static int setup(void **state)
{
    struct guarded *g = calloc(1, sizeof *g);
    void *s;
    if (!g || house_setup(&s) != 0)
        return -1;
    g->h = *(struct house *)s;
    free(s);
    snprintf(g->keys, sizeof g->keys, "/tmp/touchmark-register-XXXXXX");
    if (!mkdtemp(g->keys))
        return -1;
    make_key(g, "register", KEY_ALG_ED25519);
    make_key(g, "other", KEY_ALG_EC_P256);
    signer_up(g);
    register_up(g, true);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct guarded *g = *state;
    struct house *h = malloc(sizeof *h);
    register_close(g->h.reg);
    g->h.reg = NULL;
    signer_free(g->signer);
    file_remove_tree(g->keys, true);
    *h = g->h;
    free(g);
    *state = h;
    return house_teardown(state);
}

static void test_signer__sequences(void **state)
{
    struct guarded *g = *state;
    house_events(&g->h, 1, 300);
    house_sequence(&g->h);
    house_events(&g->h, 1, 300);
    house_events(&g->h, 0, 1);
    house_sequence(&g->h);
    assert_int_equal(house_checkpoint(&g->h, 1).size, 600);
    assert_int_equal(house_checkpoint(&g->h, 0).chain_seq, 2);
    house_verify(&g->h, 0);
    house_verify(&g->h, 1);
}

static void test_signer__remembers_what_the_store_lost(void **state)
{
    struct guarded *g = *state;
    struct diag diag = {0};
    register_up(g, false);
    house_events(&g->h, 0, 5);
    house_sequence(&g->h);
    house_events(&g->h, 0, 700);
    g->lose_next = true;
    assert_err(TM_EUNAVAIL, house_try_sequence(&g->h, &diag));
    signer_free(g->signer);
    signer_up(g);
    register_up(g, true);
    house_events(&g->h, 0, 40);
    house_sequence(&g->h);
    assert_int_equal(house_checkpoint(&g->h, 0).size, 745);
}

/* A fork: events that differ from those that were signed. */
static void test_signer__refuses_a_fork(void **state)
{
    struct guarded *g = *state;
    struct diag diag = {0};
    house_events(&g->h, 0, 5);
    house_sequence(&g->h);
    register_close(g->h.reg);
    g->h.reg = NULL;
    store_close(g->h.store);
    house_wipe(g->h.dir);
    struct store_config sc = {.driver = "sqlite", .path = g->h.dir, .create = true};
    assert_ok(store_open(&g->h.store, &sc, NULL));
    register_up(g, true);
    house_events(&g->h, 0, 3);
    assert_err(TM_ECORRUPT, house_try_sequence(&g->h, &diag));
    assert_non_null(strstr(diag.message, "with 5 events; the 3 of this store"));
    house_events(&g->h, 0, 30);
    assert_err(TM_ECORRUPT, house_try_sequence(&g->h, &diag));

    uint64_t seq;
    uint8_t hash[32];
    const tenant_id tenants[] = {0};
    assert_ok(signer_chain(g->signer, &seq, hash));
    assert_ok(register_new_epoch(g->h.reg, tenants, 1, seq, hash, NULL, &diag));
    house_sequence(&g->h);
    house_events(&g->h, 0, 3);
    house_sequence(&g->h);
    assert_string_equal(house_checkpoint(&g->h, 0).origin, HOUSE_ORIGIN "#epoch-1");
    assert_int_equal(house_verify(&g->h, 0).chain_gaps, 1);
}

static void test_register_open__needs_the_right_key(void **state)
{
    struct guarded *g = *state;
    struct reg *r;
    struct diag diag = {0};
    struct register_config rc = {
        .store = g->h.store, .signer = g->signer, .key_id = "other", .origin = HOUSE_ORIGIN};
    assert_err(TM_EUNSUPPORTED, register_open(&r, &rc, &diag));
    rc.key_id = "none";
    assert_err(TM_ENOTFOUND, register_open(&r, &rc, &diag));
}

#define SIGNER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNER_TEST(test_signer__sequences),
        SIGNER_TEST(test_signer__remembers_what_the_store_lost),
        SIGNER_TEST(test_signer__refuses_a_fork),
        SIGNER_TEST(test_register_open__needs_the_right_key),
    };
    return cmocka_run_group_tests_name("register/signer", tests, NULL, NULL);
}
