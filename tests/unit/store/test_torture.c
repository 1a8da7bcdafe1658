/* Power cuts under parallel writers: what was acknowledged is there after the restart, once, with its event and its index entries, and the
 * log has no gap. With synchronous=OFF the same test has to lose something: that shows that it can see a loss. */
#include "suite.h"
#include "torture/vfs_shim.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 8, ACKNOWLEDGED_MAX = 2000000 };

struct writer_main_arg {
    struct suite suite;
    unsigned first;
    int out;
};

static void *writer_main(void *p)
{
    struct writer_main_arg *w = p;
    for (unsigned number = w->first;; number += WRITERS) {
        arena_reset(w->suite.arena);
        struct effect e[2] = {suite_cert(&w->suite, 1, number, SUITE_NOW + SUITE_YEAR),
                              suite_event(1, "t", "s", number)};
        /* Writes of 4 octets to a pipe are whole. */
        if (commit(&w->suite, e, 2) != TM_OK || write(w->out, &number, sizeof number) != sizeof number)
            return NULL;
    }
}

/* The process that dies: writes until the power goes. */
static void victim(const struct store_config *c, const struct vfs_shim_plan *plan, unsigned first, int out)
{
    vfs_shim_install(plan);
    struct store *s;
    struct diag diag = {0};
    if (store_open(&s, c, &diag) != TM_OK) {
        fprintf(stderr, "store_open: %s\n", diag.message);
        _exit(3);
    }
    struct writer_main_arg w[WRITERS];
    pthread_t threads[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer_main_arg){
            .suite = {.store = s, .arena = arena_new(0)}, .first = first + i, .out = out};
        if (pthread_create(&threads[i], NULL, writer_main, &w[i]) != 0)
            _exit(4);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    _exit(5); /* a writer was refused before the cut */
}

/* One life and death; the numbers that were acknowledged are added to list. */
static void round_run(const struct store_config *c, const struct vfs_shim_plan *plan, unsigned first,
                      unsigned *list, size_t *n)
{
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fd[0]);
        victim(c, plan, first, fd[1]);
    }
    close(fd[1]);
    unsigned number;
    ssize_t got;
    while ((got = read(fd[0], &number, sizeof number)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        assert_int_equal(got, sizeof number);
        assert_true(*n < ACKNOWLEDGED_MAX);
        list[(*n)++] = number;
    }
    close(fd[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the victim ended by itself: status %x", (unsigned)status);
}

/* The log has no gap and as many events as there are certificates. */
static bool log_whole(struct suite *s)
{
    struct store_read counts = {.kind = READ_COUNTS, .tenant = 1};
    struct store_read r = {.kind = READ_EVENTS, .tenant = 1, .limit = 1000};
    bool whole = look(s, &counts) == TM_OK && counts.counts.certs == counts.counts.events;
    uint64_t next = 0;
    for (bool more = true; more && whole;) {
        arena_reset(s->arena);
        whole = look(s, &r) == TM_OK;
        for (size_t i = 0; i < r.n; i++)
            whole &= r.events[i].pos == next++;
        more = r.more;
        r.pos_from = r.pos_next;
    }
    return whole && next == counts.counts.events;
}

static bool cert_there(struct suite *s, unsigned number)
{
    arena_reset(s->arena);
    struct store_read r = {.kind = READ_CERT, .tenant = 1};
    suite_cert_id(r.id, number, SUITE_NOW + SUITE_YEAR);
    struct store_read k =
        suite_by_key(1, CERT_KEY_SAN, arena_printf(s->arena, "dns:d%u.example.org", number));
    return look(s, &r) == TM_OK && look(s, &k) == TM_OK && k.n == 1 &&
           memcmp(k.certs[0].id, r.id, sizeof r.id) == 0;
}

/* Open after the cut and count what is missing of list[from..n). *ret_opened: false when it does not even open. */
static size_t missing_after(const struct store_config *c, const unsigned *list, size_t from, size_t n,
                            bool *ret_whole)
{
    struct suite s = {.arena = arena_new(0)};
    struct diag diag = {0};
    size_t missing = 0;
    *ret_whole = false;
    if (store_open(&s.store, c, &diag) == TM_OK) {
        *ret_whole = log_whole(&s) && s.store->driver->check(s.store, &diag) == TM_OK;
        for (size_t i = from; i < n; i++)
            missing += !cert_there(&s, list[i]);
        store_close(s.store);
    } else {
        print_message("store_open: %s\n", diag.message);
        missing = n - from;
    }
    arena_free(s.arena);
    return missing;
}

static unsigned rounds_wanted(unsigned n)
{
    const char *text = getenv("TM_TORTURE_ROUNDS");
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : n;
}

static unsigned seed_wanted(void)
{
    const char *text = getenv("TM_TORTURE_SEED");
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : 20261121;
}

/* Short lives and long ones, which see checkpoints (every 4000 operations or so) and the log beginning anew. */
static uint64_t operation_random(void)
{
    return 1 + (uint64_t)rand() % (64u << rand() % 9);
}

static void test_power_cut__nothing_acknowledged_is_lost(void **state)
{
    char *path = suite_directory();
    struct store_config c = {.driver = "sqlite", .path = path, .create = true};
    unsigned *list = malloc(ACKNOWLEDGED_MAX * sizeof *list), seed = seed_wanted(),
             rounds = rounds_wanted(24);
    assert_non_null(list);
    size_t n = 0;
    bool whole;
    srand(seed);
    for (unsigned round = 0; round < rounds; round++) {
        struct vfs_shim_plan plan = {
            .cut_at = operation_random(), .seed = (unsigned)rand(), .torn = round % 2 == 1};
        size_t from = n;
        round_run(&c, &plan, round * 100000, list, &n);
        size_t missing = missing_after(&c, list, from, n, &whole);
        if (missing || !whole)
            fail_msg("seed %u, round %u (cut at %llu, %s): %zu of %zu missing, log %s", seed, round,
                     (unsigned long long)plan.cut_at, plan.torn ? "torn" : "clean", missing, n - from,
                     whole ? "whole" : "broken");
    }
    assert_int_equal(missing_after(&c, list, 0, n, &whole), 0);
    assert_true(whole);
    print_message("%u cuts, %zu acknowledged, none lost\n", rounds, n);
    free(list);
    suite_directory_remove(path);
    free(path);
}

static void test_power_cut__unsynced_store_loses(void **state)
{
    unsigned *list = malloc(ACKNOWLEDGED_MAX * sizeof *list);
    assert_non_null(list);
    size_t lost = 0;
    for (unsigned round = 0; round < 4; round++) {
        char *path = suite_directory();
        struct store_config c = {.driver = "sqlite", .path = path, .create = true};
        struct vfs_shim_plan plan = {.cut_at = 200 + round * 50, .seed = round};
        size_t n = 0;
        bool whole;
        /* Made in good order first: it is the transactions that shall be lost. */
        struct store *s;
        assert_ok(store_open(&s, &c, NULL));
        store_close(s);
        c.unsafe_async = true;
        round_run(&c, &plan, 0, list, &n);
        c.unsafe_async = false;
        lost += missing_after(&c, list, 0, n, &whole);
        suite_directory_remove(path);
        free(path);
    }
    print_message("%zu lost without syncs\n", lost);
    assert_true(lost > 0);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cut__nothing_acknowledged_is_lost),
        cmocka_unit_test(test_power_cut__unsynced_store_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
