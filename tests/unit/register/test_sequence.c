/* The sequencer over the embedded store: checkpoints, anchors, tiles, crashes, restores. */
#include "house.h"

static void test_sequence__nothing_to_do(void **state)
{
    struct house *h = *state;
    struct slice note;
    house_sequence(h);
    assert_int_equal(h->signer.signed_checkpoints, 0);
    assert_err(TM_ENOTFOUND, register_checkpoint(&note, test_arena, h->reg, 0));
    house_events(h, 1, 3);
    house_sequence(h);
    assert_int_equal(h->signer.signed_checkpoints, 2); /* the tenant's, and the house's for the anchor */
    house_sequence(h);
    assert_int_equal(h->signer.signed_checkpoints, 2);
}

static void test_sequence__anchors_in_one_pass(void **state)
{
    struct house *h = *state;
    house_events(h, 1, 3);
    house_events(h, 2, 1);
    house_events(h, 0, 2);
    house_sequence(h);
    struct checkpoint one = house_checkpoint(h, 1), two = house_checkpoint(h, 2),
                      house = house_checkpoint(h, 0);
    assert_string_equal(one.origin, HOUSE_ORIGIN "/1");
    assert_string_equal(two.origin, HOUSE_ORIGIN "/2");
    assert_string_equal(house.origin, HOUSE_ORIGIN);
    assert_int_equal(one.size, 3);
    assert_int_equal(two.size, 1);
    assert_int_equal(house.size, 4); /* two of its own, two anchors */
    assert_false(one.has_chain);
    assert_true(house.has_chain);

    struct store_read r = {
        .arena = test_arena, .kind = READ_EVENTS, .tenant = 0, .name = "register.anchored"};
    assert_ok(store_read_now(h->store, &r));
    assert_int_equal(r.n, 2);
    uint8_t root[32];
    assert_true(event_find_hash(root, r.events[0].body, "root"));
    assert_memory_equal(root, one.root, 32);
}

/* The chain line names what was recorded before the pass began, and goes on with later passes. */
static void test_sequence__chain_line(void **state)
{
    struct house *h = *state;
    house_issue(h, 1, 3);
    house_sequence(h);
    struct checkpoint c = house_checkpoint(h, 0);
    assert_int_equal(c.chain_seq, 3);
    assert_memory_equal(c.chain_hash, h->signer.hash[3], 32);
    house_issue(h, 1, 1);
    house_sequence(h);
    c = house_checkpoint(h, 0);
    assert_int_equal(c.chain_seq, 6); /* three, two checkpoints, one */
}

static void test_sequence__tiles(void **state)
{
    struct house *h = *state;
    struct slice tile, part;
    /* More tiles than one transaction takes, in passes of odd sizes, with a restart between. */
    house_events(h, 1, 1000);
    house_sequence(h);
    house_events(h, 1, 30000);
    house_down(h);
    house_up(h);
    house_sequence(h);
    house_events(h, 1, 36001);
    house_sequence(h);
    struct checkpoint c = house_checkpoint(h, 1);
    assert_int_equal(c.size, 67001);
    assert_int_equal(house_verify(h, 1).events, 67001);
    house_verify(h, 0);

    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 0, 0, 0));
    assert_int_equal(tile.n, 256 * 32);
    assert_ok(register_tile(&part, test_arena, h->reg, 1, 0, 0, 7));
    assert_bytes(part, slice_sub(tile, 0, 7 * 32));
    /* 67001 = 261 * 256 + 185 = 65536 + 1465 */
    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 0, 261, 185));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 0, 261, 186));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 0, 261, 0));
    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 1, 0, 0));
    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 1, 1, 5));
    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 2, 0, 1));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 2, 0, 2));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 3, 0, 1));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 99, 0, 1));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 1, 0, UINT64_MAX, 1));
    assert_err(TM_ENOTFOUND, register_tile(&tile, test_arena, h->reg, 9, 0, 0, 1));

    /* An upper hash is the root of the tile below it. */
    uint8_t root[32];
    struct slice upper;
    assert_ok(register_tile(&upper, test_arena, h->reg, 1, 1, 1, 5));
    assert_ok(register_tile(&tile, test_arena, h->reg, 1, 0, 260, 0));
    assert_ok(tree_fold(root, tile.p, 8));
    assert_bytes(slice_sub(upper, 4 * 32, 32), SLICE_ARR(root));
}

/* Killed between the signature and the store: the signer remembers a size that the store does not show. */
static void test_sequence__signed_but_not_stored(void **state)
{
    struct house *h = *state;
    struct diag diag = {0};
    house_events(h, 0, 5);
    house_sequence(h);
    house_events(h, 0, 400);
    h->signer.lose_next = true;
    assert_err(TM_EUNAVAIL, house_try_sequence(h, &diag));
    assert_int_equal(house_checkpoint(h, 0).size, 5);
    house_down(h);
    house_up(h);
    house_sequence(h); /* the same size again */
    assert_int_equal(house_checkpoint(h, 0).size, 405);

    house_events(h, 0, 300);
    h->signer.lose_next = true;
    assert_err(TM_EUNAVAIL, house_try_sequence(h, &diag));
    house_events(h, 0, 7); /* and a larger one */
    house_sequence(h);
    assert_int_equal(house_checkpoint(h, 0).size, 712);

    /* The first checkpoint of all. */
    house_events(h, 1, 4);
    h->signer.lose_next = true;
    assert_err(TM_EUNAVAIL, house_try_sequence(h, &diag));
    house_events(h, 1, 4);
    house_sequence(h);
    assert_int_equal(house_checkpoint(h, 1).size, 8);
}

static void test_sequence__signer_refuses(void **state)
{
    struct house *h = *state;
    struct diag diag = {0};
    house_events(h, 1, 4);
    h->signer.refuse = true;
    assert_err(TM_EUNAVAIL, house_try_sequence(h, &diag));
    h->signer.refuse = false;
    house_sequence(h);
    house_verify(h, 0);
}

/* The signature is there, the disk is full: the pass fails, the next one records what was signed and goes on. */
static struct store_driver full_driver;
static const struct store_driver *real_driver;
static int full_commits;

static void full_submit(struct store *s, struct store_txn *t)
{
    if (full_commits-- > 0) {
        t->err = diag_fail(&t->diag, TM_EFULL, "store", NULL, "the disk is full");
        executor_post(t->reply_to, &t->done);
        return;
    }
    real_driver->submit(s, t);
}

static void test_sequence__disk_full(void **state)
{
    struct house *h = *state;
    struct diag diag = {0};
    house_issue(h, 1, 3);
    real_driver = h->store->driver;
    full_driver = *real_driver;
    full_driver.submit = full_submit;
    h->store->driver = &full_driver;
    full_commits = 1;
    assert_err(TM_EFULL, house_try_sequence(h, &diag));
    assert_string_equal(diag.message, "the disk is full");
    full_commits = 1;
    assert_err(TM_EFULL, house_try_sequence(h, &diag)); /* the orphan's own record */
    house_sequence(h);
    house_sequence(h);
    h->store->driver = real_driver;
    house_issue(h, 1, 1);
    house_sequence(h);
    assert_int_equal(house_checkpoint(h, 1).size, 4);
    assert_int_equal(h->signer.watermark, h->signer.seq);
    house_verify(h, 1);
    assert_true(house_verify(h, 0).chain_seq > 3);
}

static void keep(struct house *h, const char *name, bool restore)
{
    const char *db = arena_printf(test_arena, "%s/touchmark.db", h->dir);
    const char *copy = arena_printf(test_arena, "/tmp/%s-%d", name, (int)getpid());
    if (!restore) {
        assert_ok(h->store->driver->backup(h->store, copy, NULL, NULL, NULL));
        return;
    }
    house_down(h);
    house_wipe(h->dir);
    assert_int_equal(rename(copy, db), 0);
    house_up(h);
}

static void test_sequence__older_copy_is_refused(void **state)
{
    struct house *h = *state;
    struct diag diag = {0};
    house_issue(h, 1, 3);
    house_sequence(h);
    house_sequence(h);
    keep(h, "touchmark-register-backup", false);
    house_issue(h, 1, 20);
    house_sequence(h);
    keep(h, "touchmark-register-backup", true);

    /* Nothing new: nothing is signed. Something new, but less than was signed: refused. */
    house_events(h, 1, 1);
    assert_err(TM_ECORRUPT, house_try_sequence(h, &diag));
    assert_non_null(strstr(diag.message, "older copy"));

    /* More than was signed, but another log. */
    house_events(h, 1, 40);
    assert_err(TM_ECORRUPT, house_try_sequence(h, &diag));

    const tenant_id tenants[] = {0, 1};
    uint64_t epoch;
    assert_ok(
        register_new_epoch(h->reg, tenants, 2, h->signer.seq, h->signer.hash[h->signer.seq], &epoch, &diag));
    assert_int_equal(epoch, 1);
    h->signer.watermark = h->signer.seq;
    house_sequence(h);
    house_issue(h, 1, 2);
    house_issue(h, 2, 2); /* a log that began after the restore */
    house_sequence(h);
    struct checkpoint c = house_checkpoint(h, 1);
    assert_string_equal(c.origin, HOUSE_ORIGIN "/1#epoch-1");
    assert_int_equal(c.epoch, 1);
    struct register_report report = house_verify(h, 0);
    assert_int_equal(report.chain_gaps, 22); /* twenty certificates and two checkpoints */
    assert_true(report.chain_seq > 0);
    house_verify(h, 1);
    house_verify(h, 2);

    /* The epoch is remembered. */
    house_down(h);
    house_up(h);
    house_events(h, 1, 1);
    house_sequence(h);
    assert_string_equal(house_checkpoint(h, 1).origin, HOUSE_ORIGIN "/1#epoch-1");
    assert_ok(
        register_new_epoch(h->reg, tenants, 2, h->signer.seq, h->signer.hash[h->signer.seq], &epoch, &diag));
    assert_int_equal(epoch, 2);
    h->signer.watermark = h->signer.seq;
    house_sequence(h);
    house_events(h, 2, 1);
    house_sequence(h);
    house_verify(h, 0);
    house_verify(h, 1);
    house_verify(h, 2);
}

/* Two passes and readers at once: nothing is signed twice, proofs are whole. */
struct worker {
    struct house *h;
    pthread_t thread;
    int kind;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct house *h = w->h;
    for (int i = 0; i < 30; i++) {
        struct diag diag = {0};
        if (w->kind == 0) {
            if (house_try_sequence(h, &diag) != TM_OK)
                abort();
        } else {
            struct buf b, key;
            buf_init(&b, 1 << 20);
            buf_init(&key, 4096);
            tm_err err = register_prove(&b, h->reg, 1, 0, &diag);
            if (err == TM_OK && (register_vkey(&key, h->reg) != TM_OK ||
                                 register_verify_proof(buf_slice(&b), buf_slice(&key), NULL, &diag) != TM_OK))
                abort();
            if (err != TM_OK && err != TM_EPENDING)
                abort();
            buf_done(&b);
            buf_done(&key);
        }
    }
    return NULL;
}

static void test_sequence__threads(void **state)
{
    struct house *h = *state;
    house_events(h, 1, 10);
    house_sequence(h);
    struct worker w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct worker){.h = h, .kind = i % 2};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        house_events(h, 1, 5);
    for (int i = 0; i < 4; i++)
        pthread_join(w[i].thread, NULL);
    house_sequence(h);
    assert_int_equal(house_verify(h, 1).events, 110);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOUSE_TEST(test_sequence__nothing_to_do),
        HOUSE_TEST(test_sequence__anchors_in_one_pass),
        HOUSE_TEST(test_sequence__chain_line),
        HOUSE_TEST(test_sequence__tiles),
        HOUSE_TEST(test_sequence__signed_but_not_stored),
        HOUSE_TEST(test_sequence__signer_refuses),
        HOUSE_TEST(test_sequence__disk_full),
        HOUSE_TEST(test_sequence__older_copy_is_refused),
        HOUSE_TEST(test_sequence__threads),
    };
    return cmocka_run_group_tests_name("register/sequence", tests, NULL, NULL);
}
