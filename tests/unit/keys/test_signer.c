#include "base/digest.h"
#include "register/merkle.h"
#include "register/note.h"
#include "signer_test.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static int setup(void **state)
{
    if (test_setup(state) != 0)
        return -1;
    struct envelope e = test_envelope("issuing");
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    e.key_id = "register";
    e.allow = 1u << SIGN_CHECKPOINT;
    test_store_key(&e, KEY_ALG_ED25519, 0);
    test_write_passphrase("pass\n");
    return 0;
}

static int teardown(void **state)
{
    unlink(test_passphrase_file);
    return test_teardown(state);
}

/* ---- leaves ---- */

static struct sign_op leaf_op(struct signer *s, const char *key_id, enum sig_alg alg)
{
    const struct signer_key *k = signer_key_find(s, key_id);
    assert_non_null(k);
    struct test_cert t = {.alg = alg, .dns = "device-1.example.org"};
    struct sign_op op = {.kind = SIGN_LEAF, .key_id = key_id};
    op.tbs = test_tbs(&t, k->spki, &op.serial_offset);
    return op;
}

/* What was signed is the request with the signer's serial in it. */
static void assert_signed(struct signer *s, const struct sign_op *op, enum sig_alg alg)
{
    struct slice tbs;
    uint8_t hash[32];
    assert_ok(op->err);
    assert_ok(arena_copy(&tbs, test_arena, op->tbs));
    if (op->kind == SIGN_LEAF)
        memcpy((uint8_t *)(uintptr_t)tbs.p + op->serial_offset, op->serial, sizeof op->serial);
    test_verify(signer_key_find(s, op->key_id)->spki, alg, tbs, slice_of(op->signature, op->signature_n));
    assert_ok(sha256(hash, tbs));
    assert_memory_equal(hash, op->tbs_hash, 32);
}

static void sign_leaves(bool in_process)
{
    struct signer *s = test_signer_start(in_process);
    uint8_t chain[32] = {0}, last[16] = {0}, text[65];
    assert_true(signer_alive(s));
    assert_true(in_process ? signer_pid(s) == getpid() : signer_pid(s) != getpid());
    uint64_t first;
    assert_ok(signer_chain(s, &first, chain));
    for (uint64_t i = 1; i <= 20; i++) {
        struct sign_op op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
        assert_ok(signer_sign(s, &op));
        assert_signed(s, &op, SIG_ECDSA_SHA256);
        assert_memory_equal(op.serial, op.tbs.p + op.serial_offset, 6);
        assert_memory_not_equal(op.serial + 6, last + 6, 10);
        memcpy(last, op.serial, 16);
        assert_int_equal(op.chain_seq, first + i);
        memcpy(text, chain, 32);
        text[32] = SIGN_LEAF;
        memcpy(text + 33, op.tbs_hash, 32);
        assert_ok(sha256(chain, SLICE_ARR(text)));
        assert_memory_equal(chain, op.chain_hash, 32);
    }
    uint64_t seq;
    uint8_t now[32];
    assert_ok(signer_chain(s, &seq, now));
    assert_int_equal(seq, first + 20);
    assert_memory_equal(now, chain, 32);
    struct signer_entry *entries;
    size_t n;
    assert_ok(signer_journal(s, test_arena, &entries, &n, NULL));
    assert_int_equal(entries[n - 1].seq, seq);
    assert_memory_equal(entries[n - 1].serial, last, 16);
    assert_string_equal(entries[n - 1].key_id, "issuing");
    signer_free(s);
}

static void test_signer_sign__leaves(void **state)
{
    (void)state;
    sign_leaves(false);
}

static void test_signer_sign__leaves_in_process(void **state)
{
    (void)state;
    sign_leaves(true);
}

static void test_signer_sign__refusals_name_their_rule(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    struct sign_op op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    op.key_id = "nobody";
    assert_int_equal(signer_sign(s, &op), TM_ENOTFOUND);
    op.key_id = "a-name-that-is-far-too-long-for-any-key-there-can-be-in-a-directory-of-keys";
    assert_int_equal(signer_sign(s, &op), TM_ENOTFOUND);
    op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    op.kind = SIGN_CA;
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    assert_string_equal(op.diag.rule, "RFC 5280 4.2.1.9");
    op = leaf_op(s, "issuing", SIG_ECDSA_SHA384); /* named inside, another asked for */
    op.alg = SIG_ECDSA_SHA256;
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    op.alg = SIG_RSA_SHA256;
    assert_int_equal(signer_sign(s, &op), TM_EUNSUPPORTED);
    op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    op.serial_offset++;
    assert_int_equal(signer_sign(s, &op), TM_EINVAL);
    op.adopt_serial = true;
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    op.kind = SIGN_DECRYPT;
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    static const uint8_t big[300 << 10];
    op.kind = SIGN_LEAF;
    op.tbs = SLICE_ARR(big);
    assert_int_equal(signer_sign(s, &op), TM_ETOOBIG);
    /* nothing of that stands in the journal */
    op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    assert_ok(signer_sign(s, &op));
    struct signer_entry *entries;
    size_t n;
    assert_ok(signer_journal(s, test_arena, &entries, &n, NULL));
    assert_int_equal(entries[n - 1].seq, op.chain_seq);
    signer_free(s);
}

/* ---- many at once ---- */

struct gather {
    struct executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    size_t n, failed;
};

static void gather_post(struct executor *e, struct task *t)
{
    struct gather *g = TM_CONTAINER(e, struct gather, executor);
    const struct sign_op *op = TM_CONTAINER(t, struct sign_op, done);
    pthread_mutex_lock(&g->mutex);
    g->n++;
    g->failed += op->err != TM_OK;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->mutex);
}

static void gather_wait(struct gather *g, size_t n)
{
    pthread_mutex_lock(&g->mutex);
    while (g->n < n)
        pthread_cond_wait(&g->wake, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}
#define GATHER                                                                                               \
    {.executor.post = gather_post, .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER}

enum { THREADS = 4, EACH = 300 };

struct submitter {
    struct signer *s;
    struct gather *g;
    struct sign_op *ops;
    const struct sign_op *like;
};

static void *submit_many(void *arg)
{
    struct submitter *m = arg;
    for (int i = 0; i < EACH; i++) {
        m->ops[i] = *m->like;
        m->ops[i].reply_to = &m->g->executor;
        signer_submit(m->s, &m->ops[i]);
    }
    return NULL;
}

static int cmp_seq(const void *a, const void *b)
{
    const struct sign_op *x = *(const struct sign_op *const *)a, *y = *(const struct sign_op *const *)b;
    return x->chain_seq < y->chain_seq ? -1 : x->chain_seq > y->chain_seq;
}

static void test_signer_submit__many_threads_one_chain(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    struct gather g = GATHER;
    struct sign_op like = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    struct sign_op *ops = calloc(THREADS * EACH, sizeof *ops);
    const struct sign_op **sorted = calloc(THREADS * EACH, sizeof *sorted);
    pthread_t threads[THREADS];
    struct submitter m[THREADS];
    uint64_t first;
    uint8_t h[32], text[65];
    assert_ok(signer_chain(s, &first, h));
    for (int i = 0; i < THREADS; i++) {
        m[i] = (struct submitter){s, &g, ops + i * EACH, &like};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &m[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    gather_wait(&g, THREADS * EACH);
    assert_int_equal(g.failed, 0);
    for (int i = 0; i < THREADS * EACH; i++)
        sorted[i] = &ops[i];
    qsort(sorted, THREADS * EACH, sizeof *sorted, cmp_seq);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_int_equal(sorted[i]->chain_seq, first + 1 + (uint64_t)i);
        memcpy(text, h, 32);
        text[32] = SIGN_LEAF;
        memcpy(text + 33, sorted[i]->tbs_hash, 32);
        assert_ok(sha256(h, SLICE_ARR(text)));
        assert_memory_equal(h, sorted[i]->chain_hash, 32);
    }
    free(sorted);
    free(ops);
    signer_free(s);
}

static void test_signer_submit__a_slow_key_holds_up_nobody(void **state)
{
    (void)state;
    struct envelope e = test_envelope("slow");
    test_store_key(&e, KEY_ALG_RSA, 4096);
    struct signer *s = test_signer_start(false);
    struct gather slow = GATHER, fast = GATHER;
    enum { N = 300 };
    struct sign_op *a = calloc(N, sizeof *a), *b = calloc(10, sizeof *b);
    struct sign_op like_slow = leaf_op(s, "slow", SIG_RSA_SHA256),
                   like_fast = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    for (int i = 0; i < N; i++) {
        a[i] = like_slow;
        a[i].reply_to = &slow.executor;
        signer_submit(s, &a[i]);
    }
    for (int i = 0; i < 10; i++) {
        b[i] = like_fast;
        b[i].reply_to = &fast.executor;
        signer_submit(s, &b[i]);
    }
    gather_wait(&fast, 10);
    pthread_mutex_lock(&slow.mutex);
    size_t slow_done = slow.n;
    pthread_mutex_unlock(&slow.mutex);
    assert_true(slow_done < N); /* some 1.5 ms each */
    gather_wait(&slow, N);
    assert_int_equal(slow.failed + fast.failed, 0);
    assert_signed(s, &a[N - 1], SIG_RSA_SHA256);
    free(a);
    free(b);
    signer_free(s);
}

/* ---- CRLs ---- */

static void test_signer_sign__crls_small_and_large(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    static const size_t sizes[] = {0, 10, 8000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf crl;
        test_crl(&crl, "CN=Test CA,O=Example", SIG_ECDSA_SHA256, sizes[i]);
        struct sign_op op = {.kind = SIGN_CRL, .key_id = "issuing", .tbs = buf_slice(&crl)};
        assert_ok(signer_sign(s, &op));
        uint8_t hash[32];
        assert_ok(sha256(hash, buf_slice(&crl)));
        assert_memory_equal(hash, op.tbs_hash, 32);
        test_verify(signer_key_find(s, "issuing")->spki, SIG_ECDSA_SHA256, buf_slice(&crl),
                    slice_of(op.signature, op.signature_n));
        crl.p[crl.n - 3] ^= 0xff; /* in the last extension */
        crl.p[10] ^= 0xff;
        assert_int_equal(signer_sign(s, &op), TM_EDENIED);
        buf_done(&crl);
    }
    signer_free(s);
}

/* ---- checkpoints ---- */

/* A log of `n` equal leaves, whose subtrees are therefore equal level by level. */
static tm_err equal_subtree(void *ctx, unsigned level, uint64_t index, uint8_t out[32])
{
    (void)index;
    TM_TRY(merkle_leaf(out, slice_str(ctx)));
    for (unsigned i = 0; i < level; i++)
        TM_TRY(merkle_node(out, out, out));
    return TM_OK;
}

static struct sign_op checkpoint_op(const char *origin, const char *leaf, uint64_t old_size, uint64_t size,
                                    const uint64_t *seq, const uint8_t *hash)
{
    struct merkle_source source = {equal_subtree, (void *)(uintptr_t)leaf};
    struct checkpoint c = {.origin = origin, .size = size};
    struct sign_op op = {.kind = SIGN_CHECKPOINT, .key_id = "register"};
    struct buf text;
    assert_ok(merkle_root(c.root, &source, size));
    if (old_size <= size)
        assert_ok(merkle_prove_consistency(&op.proof, test_arena, &source, old_size, size));
    if (seq) {
        c.has_chain = true;
        c.chain_seq = *seq;
        memcpy(c.chain_hash, hash, 32);
    }
    buf_init(&text, NOTE_MAX);
    checkpoint_body_build(&text, &c);
    assert_ok(arena_copy(&op.tbs, test_arena, buf_slice(&text)));
    buf_done(&text);
    return op;
}

static void test_signer_sign__checkpoints_only_grow(void **state)
{
    (void)state;
    const char *house = "log.example/house", *tenant = "log.example/house/17";
    struct signer *s = test_signer_start(false);
    struct sign_op op = checkpoint_op(house, "a", 0, 5, NULL, NULL);
    assert_ok(signer_sign(s, &op));
    test_verify(signer_key_find(s, "register")->spki, SIG_ED25519, op.tbs,
                slice_of(op.signature, op.signature_n));
    op = checkpoint_op(house, "a", 5, 9, NULL, NULL);
    assert_ok(signer_sign(s, &op));
    assert_ok(signer_sign(s, &op)); /* the same again, with a proof that is not needed */
    op = checkpoint_op(house, "a", 9, 9, NULL, NULL);
    assert_ok(signer_sign(s, &op));

    static const struct {
        const char *leaf;
        uint64_t from, size;
    } forks[] = {{"b", 9, 9}, {"b", 9, 12}, {"a", 5, 12}, {"a", 9, 8}, {"a", 0, 12}, {"a", 9, 0}};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof forks / sizeof forks[0]; i++) {
            op = checkpoint_op(house, forks[i].leaf, forks[i].from, forks[i].size, NULL, NULL);
            assert_int_equal(signer_sign(s, &op), TM_EDENIED);
        }
        signer_free(s); /* the state outlives the process */
        s = test_signer_start(round == 0);
    }
    op = checkpoint_op(tenant, "t", 0, 3, NULL, NULL);
    assert_ok(signer_sign(s, &op));
    op = checkpoint_op("log.example/house#epoch-1", "b", 0, 2, NULL, NULL);
    assert_ok(signer_sign(s, &op));
    static const char *const others[] = {"log.example",
                                         "log.example/house2",
                                         "log.example/house/",
                                         "log.example/house/x",
                                         "log.example/house/1/2",
                                         "log.example/house#epoch-",
                                         "log.example/house#epoch-1x",
                                         "else.example"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        op = checkpoint_op(others[i], "a", 0, 1, NULL, NULL);
        assert_int_equal(signer_sign(s, &op), TM_EDENIED);
        assert_string_equal(op.diag.rule, "envelope.origin");
    }
    op = checkpoint_op(house, "a", 9, 12, NULL, NULL);
    op.tbs.n--; /* no final newline */
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    op.tbs = SLICE_LIT("log.example/house\n12\nnot base64!\n");
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    signer_free(s);
}

static void test_signer_sign__checkpoints_cover_the_chain(void **state)
{
    (void)state;
    const char *origin = "log.example/house/99";
    struct signer *s = test_signer_start(false);
    struct sign_op op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    assert_ok(signer_sign(s, &op));
    uint64_t seq, later, none = 0;
    uint8_t hash[32], zero[32] = {0};
    assert_ok(signer_chain(s, &seq, hash));
    assert_ok(signer_sign(s, &op));
    op = checkpoint_op(origin, "a", 0, 1, &seq, hash);
    assert_ok(signer_sign(s, &op));
    struct signer_entry *entries;
    size_t n;
    assert_ok(signer_journal(s, test_arena, &entries, &n, NULL));
    assert_int_equal(n, 2); /* the second leaf and the checkpoint itself */
    assert_int_equal(entries[0].seq, seq + 1);
    assert_int_equal(entries[1].kind, SIGN_CHECKPOINT);

    hash[0] ^= 1;
    op = checkpoint_op(origin, "a", 1, 2, &seq, hash); /* another history */
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    assert_string_equal(op.diag.rule, "signer.chain");
    op = checkpoint_op(origin, "a", 1, 2, &none, zero); /* backwards */
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    assert_ok(signer_chain(s, &later, hash));
    later++;
    op = checkpoint_op(origin, "a", 1, 2, &later, hash); /* the future */
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    op = checkpoint_op(origin, "a", 1, 2, NULL, NULL);
    assert_ok(signer_sign(s, &op)); /* none of the refused ones moved the log */
    signer_free(s);
}

/* ---- ends ---- */

static void test_signer_start__wrong_passphrase_and_broken_seals(void **state)
{
    (void)state;
    for (int in_process = 0; in_process < 2; in_process++) {
        struct signer *s = NULL;
        struct diag diag = {0};
        struct secret pass = test_passphrase("wrong");
        struct signer_config c = {.key_dir = test_dir, .passphrase = &pass, .in_process = in_process};
        assert_int_equal(signer_start(&s, &c, &diag), TM_ELOCKED);
        assert_true(diag.message[0] != '\0');
        c.key_dir = "/nonexistent/keys";
        assert_int_equal(signer_start(&s, &c, &diag), TM_ENOTFOUND);
        c.passphrase = NULL;
        assert_int_equal(signer_start(&s, &c, &diag), TM_ELOCKED);
        secret_done(&pass);
        assert_null(s);
    }
    struct envelope e = test_envelope("tampered");
    test_store_key(&e, KEY_ALG_ED25519, 0);
    char path[128];
    snprintf(path, sizeof path, "%s/tampered.env", test_dir);
    chmod(path, 0600);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fputs("{\"allow\":[\"leaf\",\"ca\" ", f);
    fclose(f);
    struct signer *s = NULL;
    struct diag diag = {0};
    struct secret pass = test_passphrase("pass");
    struct signer_config c = {.key_dir = test_dir, .passphrase = &pass};
    assert_int_equal(signer_start(&s, &c, &diag), TM_ECORRUPT);
    assert_non_null(strstr(diag.message, "tampered"));
    unlink(path);
    secret_done(&pass);
    signer_free(test_signer_start(false)); /* a key without an envelope is not a key */
}

static void test_signer_start__second_signer_is_kept_out(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false), *second = NULL;
    struct secret pass = test_passphrase("pass");
    struct signer_config c = {.key_dir = test_dir, .passphrase = &pass, .in_process = true};
    assert_int_equal(signer_start(&second, &c, NULL), TM_EBUSY);
    secret_done(&pass);
    signer_free(s);
}

static void test_signer_reload__new_keys_and_new_envelopes(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    assert_null(signer_key_find(s, "later"));
    struct envelope e = test_envelope("later"), back;
    test_store_key(&e, KEY_ALG_EC_P384, 0);
    const struct signer_key *old = signer_key_find(s, "issuing");
    assert_ok(signer_reload(s, NULL));
    const struct signer_key *k = signer_key_find(s, "later");
    assert_non_null(k);
    assert_int_equal(k->alg, KEY_ALG_EC_P384);
    assert_string_equal(old->id, "issuing"); /* an old table may still be looked into */
    struct sign_op op = leaf_op(s, "later", SIG_ECDSA_SHA384);
    assert_ok(signer_sign(s, &op));
    assert_signed(s, &op, SIG_ECDSA_SHA384);

    struct key *key;
    struct secret pass = test_passphrase("pass");
    assert_ok(key_load(&key, &back, test_arena, test_dir, "later", &pass, NULL));
    e.allow = 1u << SIGN_CRL;
    assert_ok(key_reseal(test_dir, key, &e, NULL));
    assert_ok(signer_sign(s, &op));
    assert_ok(signer_reload(s, NULL));
    assert_int_equal(signer_key_find(s, "later")->env.allow, 1u << SIGN_CRL);
    assert_int_equal(signer_sign(s, &op), TM_EDENIED);
    char path[128];
    snprintf(path, sizeof path, "%s/later.key", test_dir);
    unlink(path);
    assert_ok(signer_reload(s, NULL));
    assert_null(signer_key_find(s, "later"));
    assert_int_equal(signer_sign(s, &op), TM_ENOTFOUND);
    key_free(key);
    secret_done(&pass);
    signer_free(s);
}

static void note_death(struct task *t)
{
    (void)t;
}

struct death {
    struct executor executor;
    struct task task;
    atomic_int posted;
};

static void death_post(struct executor *e, struct task *t)
{
    (void)t;
    struct death *d = TM_CONTAINER(e, struct death, executor);
    atomic_fetch_add(&d->posted, 1);
}

static void wait_for(atomic_int *v)
{
    for (int i = 0; i < 5000 && !atomic_load(v); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(v), 1);
}

static void test_signer_restart__after_a_kill(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    uint64_t acknowledged = 0;
    assert_int_equal(signer_restart(s, NULL), TM_ECONFLICT);
    for (int round = 0; round < 5; round++) {
        struct gather g = GATHER;
        struct death d = {.executor.post = death_post, .task.run = note_death};
        enum { N = 400 };
        struct sign_op *ops = calloc(N, sizeof *ops), like = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
        signer_on_death(s, &d.executor, &d.task);
        for (int i = 0; i < N; i++) {
            ops[i] = like;
            ops[i].reply_to = &g.executor;
            signer_submit(s, &ops[i]);
            if (i == N / 2 + round * 10)
                kill(signer_pid(s), SIGKILL);
        }
        gather_wait(&g, N); /* every one is answered */
        wait_for(&d.posted);
        assert_false(signer_alive(s));
        assert_int_equal(signer_sign(s, &like), TM_EUNAVAIL);
        uint64_t seq;
        uint8_t hash[32];
        assert_int_equal(signer_chain(s, &seq, hash), TM_EUNAVAIL);
        assert_int_equal(signer_reload(s, NULL), TM_EUNAVAIL);
        for (int i = 0; i < N; i++) {
            if (ops[i].err == TM_OK && ops[i].chain_seq > acknowledged)
                acknowledged = ops[i].chain_seq;
            assert_true(ops[i].err == TM_OK || ops[i].err == TM_EUNAVAIL);
        }
        struct diag diag = {0};
        tm_err err = signer_restart(s, &diag);
        if (err != TM_OK)
            print_error("%s\n", diag.message);
        assert_ok(err);
        assert_true(signer_alive(s));
        /* No acknowledged signature is missing from the journal. */
        assert_ok(signer_chain(s, &seq, hash));
        assert_true(seq >= acknowledged);
        assert_ok(signer_sign(s, &like));
        acknowledged = like.chain_seq;
        free(ops);
    }
    signer_free(s);
}

static void test_signer_restart__without_its_passphrase(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    unlink(test_passphrase_file);
    struct death d = {.executor.post = death_post, .task.run = note_death};
    signer_on_death(s, &d.executor, &d.task);
    kill(signer_pid(s), SIGKILL);
    wait_for(&d.posted);
    assert_int_equal(signer_restart(s, NULL), TM_ELOCKED);
    assert_false(signer_alive(s));
    test_write_passphrase("wrong");
    assert_int_equal(signer_restart(s, NULL), TM_ELOCKED);
    test_write_passphrase("pass");
    assert_ok(signer_restart(s, NULL));
    struct sign_op op = leaf_op(s, "issuing", SIG_ECDSA_SHA256);
    assert_ok(signer_sign(s, &op));
    signer_free(s);
}

/* The parent of a process, as /proc tells it. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[256];
    pid_t parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "PPid:", 5) == 0)
            parent = (pid_t)strtol(line + 5, NULL, 10);
    fclose(f);
    assert_true(parent > 1);
    return parent;
}

static void test_signer_restartable__not_without_its_nursery(void **state)
{
    (void)state;
    struct signer *s = test_signer_start(false);
    assert_true(signer_restartable(s));
    struct death d = {.executor.post = death_post, .task.run = note_death};
    signer_on_death(s, &d.executor, &d.task);
    pid_t nursery = parent_of(signer_pid(s));
    assert_int_not_equal(nursery, getpid());
    kill(nursery, SIGKILL);
    wait_for(&d.posted);
    assert_int_equal(signer_restart(s, NULL), TM_EUNAVAIL);
    assert_false(signer_restartable(s));
    signer_free(s);
}

static void test_signer_free__answers_what_is_queued(void **state)
{
    (void)state;
    struct envelope e = test_envelope("slow2");
    test_store_key(&e, KEY_ALG_RSA, 4096);
    struct signer *s = test_signer_start(false);
    struct gather g = GATHER;
    enum { N = 500 };
    struct sign_op *ops = calloc(N, sizeof *ops), like = leaf_op(s, "slow2", SIG_RSA_SHA256);
    for (int i = 0; i < N; i++) {
        ops[i] = like;
        ops[i].reply_to = &g.executor;
        signer_submit(s, &ops[i]);
    }
    pid_t pid = signer_pid(s);
    signer_free(s);
    assert_int_equal(g.n, N);
    assert_true(g.failed > 0);
    assert_int_equal(kill(pid, 0), -1); /* gone, and waited for */
    free(ops);
}

/* A server that is killed takes its signer with it. */
static void test_signer_start__ends_with_its_parent(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t server = fork();
    if (server == 0) {
        struct signer *s = NULL;
        struct secret pass = test_passphrase("pass");
        struct signer_config c = {.key_dir = test_dir, .passphrase = &pass};
        pid_t pid = signer_start(&s, &c, NULL) == TM_OK ? signer_pid(s) : 0;
        ssize_t n = write(pipe_fds[1], &pid, sizeof pid);
        (void)n;
        pause();
        _exit(0);
    }
    pid_t signer = 0;
    assert_int_equal(read(pipe_fds[0], &signer, sizeof signer), sizeof signer);
    assert_true(signer > 0);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    int gone = 0;
    for (int i = 0; i < 3000 && !gone; i++) {
        char path[64], line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)signer);
        FILE *f = fopen(path, "r");
        if (f) {
            gone = !fgets(line, sizeof line, f) ||
                   strstr(line, ") Z") != NULL; /* nobody may be there to reap it */
            fclose(f);
        } else {
            gone = 1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(gone);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    signer_free(test_signer_start(false)); /* and the lock is free */
}

/* ---- ceremonies ---- */

static void test_signer_sign__adopts_serials_in_process_only(void **state)
{
    (void)state;
    struct envelope e = test_envelope("root");
    e.allow = 1u << SIGN_CA;
    e.issuer = (struct slice){0};
    e.max_path_len = -1;
    test_store_key(&e, KEY_ALG_EC_P384, 0);
    static const uint8_t serial[] = {0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct test_cert t = {.ca = true,
                          .alg = SIG_ECDSA_SHA384,
                          .issuer = "CN=Root",
                          .subject = "CN=Root",
                          .serial = serial,
                          .serial_n = sizeof serial};
    for (int in_process = 0; in_process < 2; in_process++) {
        struct signer *s = test_signer_start(in_process);
        struct sign_op op = {.kind = SIGN_CA, .key_id = "root", .adopt_serial = true};
        op.tbs = test_tbs(&t, signer_key_find(s, "root")->spki, &op.serial_offset);
        assert_int_equal(signer_sign(s, &op), in_process ? TM_OK : TM_EDENIED);
        if (in_process) {
            assert_memory_equal(op.serial, serial, 16);
            assert_signed(s, &op, SIG_ECDSA_SHA384);
        }
        signer_free(s);
    }
}

int main(int argc, char **argv)
{
    test_signer_program(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signer_sign__leaves),
        cmocka_unit_test(test_signer_sign__leaves_in_process),
        cmocka_unit_test(test_signer_sign__refusals_name_their_rule),
        cmocka_unit_test(test_signer_submit__many_threads_one_chain),
        cmocka_unit_test(test_signer_submit__a_slow_key_holds_up_nobody),
        cmocka_unit_test(test_signer_sign__crls_small_and_large),
        cmocka_unit_test(test_signer_sign__checkpoints_only_grow),
        cmocka_unit_test(test_signer_sign__checkpoints_cover_the_chain),
        cmocka_unit_test(test_signer_start__wrong_passphrase_and_broken_seals),
        cmocka_unit_test(test_signer_start__second_signer_is_kept_out),
        cmocka_unit_test(test_signer_reload__new_keys_and_new_envelopes),
        cmocka_unit_test(test_signer_restart__after_a_kill),
        cmocka_unit_test(test_signer_restart__without_its_passphrase),
        cmocka_unit_test(test_signer_restartable__not_without_its_nursery),
        cmocka_unit_test(test_signer_free__answers_what_is_queued),
        cmocka_unit_test(test_signer_start__ends_with_its_parent),
        cmocka_unit_test(test_signer_sign__adopts_serials_in_process_only),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
