/* The embedded store's files: what happens when one is missing, damaged, foreign, newer, locked or cannot be written. */
#include "store/sqlite/internal.h"
#include "suite.h"
#include "torture/vfs_shim.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static tm_err wipe(struct suite_place *p)
{
    suite_directory_remove(p->config.path);
    return TM_OK;
}

static struct suite_place place = {.config = {.driver = "sqlite", .create = true}, .wipe = wipe};

static int group_setup(void **state)
{
    vfs_shim_install(&(struct vfs_shim_plan){0});
    *state = &place;
    return 0;
}

static char *path_of(struct suite *s, const char *file)
{
    return arena_printf(s->arena, "%s/%s", s->place->config.path, file);
}

static void add_certs(struct suite *s, unsigned from, unsigned to)
{
    enum { BATCH = 500 };
    struct arena *mine = s->arena;
    struct effect e[BATCH];
    s->arena = arena_new(64 << 20);
    for (unsigned i = from; i < to;) {
        unsigned n = 0;
        arena_reset(s->arena);
        while (n < BATCH && i < to)
            e[n++] = suite_cert(s, 1, i++, SUITE_NOW + SUITE_YEAR);
        assert_ok(commit(s, e, n));
    }
    arena_free(s->arena);
    s->arena = mine;
}

static tm_err find(struct suite *s, unsigned number, size_t *ret_n)
{
    struct store_read r =
        suite_by_key(1, CERT_KEY_SAN, arena_printf(s->arena, "dns:d%u.example.org", number));
    tm_err err = look(s, &r);
    *ret_n = r.n;
    if (err == TM_OK && r.n == 1)
        assert_string_equal(r.certs[0].subject, arena_printf(s->arena, "CN=Device %u,O=Example", number));
    return err;
}

/* Of 10 ms. The index is made by a thread that leaves the processor to all others: on a busy machine that takes what it takes. */
enum { PATIENCE = 60000 };

/* Every `step`-th certificate is found once; waits for an index that is being rebuilt. */
static void assert_all_found(struct suite *s, unsigned n, unsigned step)
{
    for (unsigned i = 0; i < n; i += step) {
        size_t found = 0;
        tm_err err;
        for (int tries = 0; (err = find(s, i, &found)) == TM_EUNAVAIL && tries < PATIENCE; tries++)
            usleep(10000);
        assert_ok(err);
        assert_int_equal(found, 1);
    }
    size_t none;
    assert_ok(find(s, n + 1, &none));
    assert_int_equal(none, 0);
}

static void wait_for_segments(struct suite *s, uint64_t tail_max)
{
    struct store_stats stats = {0};
    for (int tries = 0; tries < PATIENCE; tries++) {
        s->store->driver->stats(s->store, &stats);
        if (stats.index_tail <= tail_max)
            return;
        usleep(10000);
    }
    fail_msg("the tail stays at %llu", (unsigned long long)stats.index_tail);
}

/* ---- index/ ---- */

enum { MANY = 45000 };

static void test_index__segments_and_merges(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    assert_all_found(s, MANY, 37);
    wait_for_segments(s, 8192);
    assert_all_found(s, MANY, 41);
    suite_reopen(s);
    assert_all_found(s, MANY, 43);
    struct diag diag;
    assert_ok(s->store->driver->check(s->store, &diag));
}

struct asker {
    struct suite suite;
    _Atomic bool stop;
    _Atomic unsigned known; /* numbers below have been committed */
    unsigned asked, bad;
};

static void *asker_main(void *arg)
{
    struct asker *k = arg;
    while (!atomic_load(&k->stop)) {
        arena_reset(k->suite.arena);
        unsigned known = atomic_load(&k->known), number = k->asked++ * 7919u;
        size_t n = 0;
        bool unknown = k->asked % 4 == 0;
        struct store_read r = suite_by_key(1, CERT_KEY_SAN,
                                           arena_printf(k->suite.arena, "dns:d%u.example.org",
                                                        unknown ? 1000000000 + number : number % known));
        tm_err err = look(&k->suite, &r);
        n = r.n;
        k->bad += err != TM_OK || n != !unknown;
        if (k->asked % 1000 == 0) /* as when nobody has asked for a while */
            index_release_memory(&sqlite_store_of(k->suite.store)->index);
    }
    return NULL;
}

/* Segments come and are merged away under look-ups, which miss nothing and see nothing twice. */
static void test_index__look_ups_while_it_grows(void **state)
{
    enum { ASKERS = 3, STEP = 4000, ALL = 36 * STEP };
    struct suite *s = *state;
    static struct asker k[ASKERS];
    pthread_t threads[ASKERS];
    add_certs(s, 0, STEP);
    for (unsigned i = 0; i < ASKERS; i++) {
        k[i] = (struct asker){.suite = {.store = s->store, .arena = arena_new(0)}, .known = STEP, .asked = i};
        assert_int_equal(pthread_create(&threads[i], NULL, asker_main, &k[i]), 0);
    }
    for (unsigned n = STEP; n < ALL; n += STEP) {
        add_certs(s, n, n + STEP);
        for (unsigned i = 0; i < ASKERS; i++)
            atomic_store(&k[i].known, n + STEP);
    }
    struct store_stats stats = {.index_segments = 99};
    for (int tries = 0; tries < PATIENCE && stats.index_segments > 2; tries++) {
        usleep(10000);
        s->store->driver->stats(s->store, &stats);
    }
    for (unsigned i = 0; i < ASKERS; i++) {
        atomic_store(&k[i].stop, true);
        pthread_join(threads[i], NULL);
        arena_free(k[i].suite.arena);
    }
    assert_in_range(stats.index_segments, 1, 2);
    for (unsigned i = 0; i < ASKERS; i++) {
        assert_int_equal(k[i].bad, 0);
        assert_true(k[i].asked > 100);
    }
}

static void close_store(struct suite *s)
{
    store_close(s->store);
    s->store = NULL;
}

static void open_store(struct suite *s)
{
    struct diag diag = {0};
    tm_err err = store_open(&s->store, &s->place->config, &diag);
    if (err != TM_OK)
        print_error("store_open: %s\n", diag.message);
    assert_ok(err);
}

static void test_index__lost(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    close_store(s);
    suite_directory_remove(path_of(s, "index"));
    open_store(s);
    /* New certificates come while the old ones are read again. */
    add_certs(s, MANY, MANY + 1000);
    assert_all_found(s, MANY + 1000, 97);
}

static void overwrite(const char *path, off_t at, size_t n)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* The name of the n-th file of the index, in the order of their rows; how many there are. */
static unsigned index_file(struct suite *s, unsigned n, char **ret)
{
    struct dirent **list;
    int count = scandir(path_of(s, "index"), &list, NULL, alphasort), files = 0;
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        if (list[i]->d_name[0] != '.' && (unsigned)files++ == n)
            *ret = arena_printf(s->arena, "%s/%s", path_of(s, "index"), list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return (unsigned)files;
}

static uint64_t counted(struct suite *s, const struct cert_test *where)
{
    struct store_read r = {.kind = READ_CERTS_COUNTED, .tenant = 1, .where = where};
    for (int i = 0; i < 400; i++) {
        tm_err err = look(s, &r);
        if (err == TM_OK)
            return r.count;
        assert_int_equal(err, TM_EUNAVAIL);
        usleep(25000);
    }
    fail_msg("the columns are not built");
    return 0;
}

/* Two whole blocks and a part of one, through what may happen to their files. */
static void test_columns__lost_damaged_or_of_another(void **state)
{
    struct suite *s = *state;
    const struct cert_test odd = {.kind = CERT_TEST_TEXT, .column = CERT_COLUMN_PROFILE, .text = "odd"};
    add_certs(s, 0, MANY);
    assert_int_equal(counted(s, NULL), MANY);
    assert_int_equal(counted(s, &odd), MANY / 2);
    assert_ok(s->store->driver->check(s->store, NULL));
    const char *file = arena_printf(s->arena, "%s/00000000", path_of(s, "columns"));
    const char *names = arena_printf(s->arena, "%s/names", path_of(s, "columns"));
    suite_reopen(s);
    assert_int_equal(counted(s, &odd), MANY / 2);

    for (off_t at = 0; at < size_of(file); at += size_of(file) / 9) {
        close_store(s);
        overwrite(file, at, 64);
        open_store(s);
        TM_IGNORE(s->store->driver->check(s->store, NULL));
        assert_int_equal(counted(s, &odd), MANY / 2);
        assert_int_equal(counted(s, NULL), MANY);
    }
    close_store(s);
    assert_int_equal(truncate(names, 30), 0);
    open_store(s);
    assert_int_equal(counted(s, &odd), MANY / 2);
    close_store(s);
    assert_int_equal(truncate(file, size_of(file) / 3), 0);
    open_store(s);
    assert_int_equal(counted(s, &odd), MANY / 2);
    close_store(s);
    suite_directory_remove(path_of(s, "columns"));
    open_store(s);
    add_certs(s, MANY, MANY + 1000);
    assert_int_equal(counted(s, NULL), MANY + 1000);
    assert_int_equal(counted(s, &odd), MANY / 2 + 500);
}

/* Damage that a look-up meets: the data and the filters of every segment. */
static void test_index__damaged(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    wait_for_segments(s, 8192);
    close_store(s);
    char *path = NULL;
    unsigned files = index_file(s, 0, &path);
    assert_true(files >= 2);
    for (unsigned i = 0; i < files; i++) {
        index_file(s, i, &path);
        for (off_t at = 4096; at + 4096 <= size_of(path); at += 4096)
            overwrite(path, at + 100 + (off_t)i, 1);
    }
    open_store(s);
    assert_all_found(s, MANY, 97);
    struct diag diag;
    assert_ok(s->store->driver->check(s->store, &diag));
    close_store(s);
    index_file(s, 0, &path);
    overwrite(path, size_of(path) / 4096 / 2 * 4096, 1);
    open_store(s);
    assert_err(TM_ECORRUPT, s->store->driver->check(s->store, &diag));
    assert_non_null(strstr(diag.message, "nothing is lost"));
    assert_all_found(s, MANY, 97);
}

/* One that is gone, cut short or has another's header: it and the newer ones are made again, from the rows. */
static void test_index__torn_or_missing_file(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    wait_for_segments(s, 8192);
    for (int damage = 0; damage < 4; damage++) {
        close_store(s);
        char *path = NULL;
        assert_true(index_file(s, 0, &path) >= 1);
        if (damage == 0)
            assert_int_equal(unlink(path), 0);
        else if (damage == 1)
            assert_int_equal(truncate(path, size_of(path) - 4096), 0);
        else if (damage == 2)
            overwrite(path, 20, 1);
        else
            assert_int_equal(rename(path, arena_printf(s->arena, "%s0", path)), 0);
        open_store(s);
        assert_all_found(s, MANY, 97);
        wait_for_segments(s, 8192);
    }
}

/* What a merge has replaced and a cut has left behind is not counted twice. */
static void test_index__merged_files_left_behind(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    wait_for_segments(s, 8192);
    close_store(s);
    char *path = NULL, *kept[16] = {0};
    unsigned files = index_file(s, 0, &path);
    assert_true(files >= 2 && files < 16);
    for (unsigned i = 0; i < files; i++) {
        index_file(s, i, &path);
        kept[i] = arena_printf(s->arena, "%s.%u", s->place->config.path, i);
        assert_int_equal(link(path, kept[i]), 0);
    }
    char *names[16] = {0};
    for (unsigned i = 0; i < files; i++)
        index_file(s, i, &names[i]);
    open_store(s);
    add_certs(s, MANY, 4 * MANY);
    wait_for_segments(s, 8192);
    struct store_stats stats;
    for (int tries = 0; tries < PATIENCE; tries++) {
        s->store->driver->stats(s->store, &stats);
        if (stats.index_segments < 16)
            break;
        usleep(10000);
    }
    assert_true(stats.index_segments < 16);
    close_store(s);
    for (unsigned i = 0; i < files; i++)
        assert_int_equal(rename(kept[i], names[i]), 0);
    open_store(s);
    assert_all_found(s, 4 * MANY, 331);
    struct diag diag;
    assert_ok(s->store->driver->check(s->store, &diag));
    for (unsigned i = 0; i < files; i++)
        assert_int_equal(access(names[i], F_OK), -1);
}

static void test_index__of_another_store(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 20000);
    wait_for_segments(s, 8192);
    close_store(s);
    char *keep = arena_printf(s->arena, "%s.index", s->place->config.path);
    assert_int_equal(rename(path_of(s, "index"), keep), 0);
    assert_ok(wipe(s->place));
    open_store(s);
    add_certs(s, 100, 200);
    close_store(s);
    suite_directory_remove(path_of(s, "index"));
    assert_int_equal(rename(keep, path_of(s, "index")), 0);
    open_store(s);
    size_t n;
    assert_ok(find(s, 150, &n));
    assert_int_equal(n, 1);
    assert_ok(find(s, 50, &n));
    assert_int_equal(n, 0);
}

/* ---- touchmark.db ---- */

static void test_open__locked(void **state)
{
    struct suite *s = *state;
    struct store *second;
    struct diag diag = {0};
    assert_err(TM_EBUSY, store_open(&second, &s->place->config, &diag));
    assert_non_null(strstr(diag.message, "another process"));
}

static void test_open__read_only_beside_the_writer(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 10);
    struct store_config c = s->place->config;
    c.read_only = true;
    struct suite reader = {.place = s->place, .arena = s->arena};
    assert_ok(store_open(&reader.store, &c, NULL));
    size_t n;
    assert_ok(find(&reader, 5, &n));
    assert_int_equal(n, 1);
    struct effect e = suite_event(1, "t", "s", 1);
    assert_err(TM_EUNAVAIL, commit1(&reader, &e));
    store_close(reader.store);
}

static void test_open__missing(void **state)
{
    struct suite *s = *state;
    close_store(s);
    assert_ok(wipe(s->place));
    struct store_config c = s->place->config;
    c.create = false;
    struct diag diag = {0};
    assert_err(TM_ENOTFOUND, store_open(&s->store, &c, &diag));
    assert_non_null(strstr(diag.message, "touchmark init"));
    c.driver = "none";
    assert_err(TM_EUNSUPPORTED, store_open(&s->store, &c, &diag));
}

static void sql(struct suite *s, const char *text)
{
    sqlite3 *h;
    assert_int_equal(sqlite3_open(path_of(s, "touchmark.db"), &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void test_open__newer_schema(void **state)
{
    struct suite *s = *state;
    close_store(s);
    sql(s, "INSERT INTO migration VALUES (9999, 'later', zeroblob(32), 0)");
    struct diag diag = {0};
    assert_err(TM_EUNSUPPORTED, store_open(&s->store, &s->place->config, &diag));
    assert_non_null(strstr(diag.message, "newer version"));
}

static void test_open__another_migration(void **state)
{
    struct suite *s = *state;
    close_store(s);
    sql(s, "UPDATE migration SET sha256 = zeroblob(32) WHERE number = 1");
    struct diag diag = {0};
    assert_err(TM_ECORRUPT, store_open(&s->store, &s->place->config, &diag));
    assert_non_null(strstr(diag.message, "migration 1"));
}

static void test_check__damaged_page(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, MANY);
    wait_for_segments(s, 8192);
    struct diag diag = {0};
    assert_ok(s->store->driver->check(s->store, &diag));
    close_store(s);
    char *path = path_of(s, "touchmark.db");
    off_t pages = size_of(path) / 8192;
    for (off_t page = pages / 2; page < pages / 2 + 20; page++)
        overwrite(path, page * 8192, 128);
    open_store(s);
    assert_err(TM_ECORRUPT, s->store->driver->check(s->store, &diag));
    assert_non_null(strstr(diag.message, "touchmark.db is damaged"));
    /* What is not on those pages is still answered, what is there fails clearly, and no issue goes on top of it unseen. */
    unsigned good = 0, bad = 0;
    for (unsigned i = 0; i < MANY; i += 10) {
        arena_reset(s->arena);
        struct store_read r = {.kind = READ_CERT, .tenant = 1};
        suite_cert_id(r.id, i, SUITE_NOW + SUITE_YEAR);
        tm_err err = look(s, &r);
        assert_true(err == TM_OK || err == TM_ECORRUPT);
        good += err == TM_OK;
        bad += err == TM_ECORRUPT;
    }
    assert_true(good > 0 && bad > 0);
}

static void test_commit__full_disk_and_room_again(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 10);
    struct effect e[2] = {suite_cert(s, 1, 10, SUITE_NOW + SUITE_YEAR), suite_event(1, "t", "s", 0)};
    static const struct {
        int rc;
        tm_err err;
    } cases[] = {{SQLITE_FULL, TM_EFULL}, {SQLITE_IOERR_WRITE, TM_EIO}, {SQLITE_READONLY, TM_EUNAVAIL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vfs_shim_fail(cases[i].rc);
        struct store_txn t = {.effects = e, .n = 2};
        assert_err(cases[i].err, store_commit(s->store, &t));
        assert_true(t.diag.message[0]);
        size_t n;
        assert_ok(find(s, 5, &n)); /* reads go on */
        assert_int_equal(n, 1);
        assert_ok(find(s, 10, &n));
        assert_int_equal(n, 0);
        vfs_shim_fail(0);
    }
    assert_ok(commit(s, e, 2));
    assert_int_equal(e[1].u.event.pos, 0);
    size_t n;
    assert_ok(find(s, 10, &n));
    assert_int_equal(n, 1);
}

/* ---- backup ---- */

static int last_percent;

static void progress(void *arg, int percent)
{
    assert_true(percent >= last_percent);
    last_percent = percent;
}

static void test_backup__a_store_of_its_own(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 20000);
    struct effect e = suite_event(1, "t", "s", 0);
    assert_ok(commit1(s, &e));
    char *to = arena_printf(s->arena, "%s.backup", s->place->config.path);
    unlink(to);
    last_percent = 0;
    struct diag diag = {0};
    assert_ok(s->store->driver->backup(s->store, to, progress, NULL, &diag));
    assert_int_equal(last_percent, 100);
    assert_err(TM_ECONFLICT, s->store->driver->backup(s->store, to, NULL, NULL, &diag));
    /* Restored over a store that went on: the index of that one is ahead and must not be believed. */
    add_certs(s, 20000, 60000);
    wait_for_segments(s, 8192);
    close_store(s);
    assert_int_equal(rename(to, path_of(s, "touchmark.db")), 0);
    open_store(s);
    add_certs(s, 60000, 90000);
    struct store_read r = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.counts.certs, 50000);
    assert_int_equal(r.counts.events, 1);
    assert_all_found(s, 20000, 501);
    size_t n;
    assert_ok(find(s, 30000, &n));
    assert_int_equal(n, 0);
    assert_ok(find(s, 70000, &n));
    assert_int_equal(n, 1);
}

struct load {
    struct suite suite;
    _Atomic bool stop;
    unsigned n;
    tm_err err;
};

static void *load_main(void *arg)
{
    struct load *l = arg;
    while (!atomic_load(&l->stop) && l->err == TM_OK) {
        arena_reset(l->suite.arena);
        struct effect e[2] = {suite_cert(&l->suite, 1, 100000 + l->n, SUITE_NOW + SUITE_YEAR),
                              suite_event(1, "t", "s", l->n)};
        l->err = commit(&l->suite, e, 2);
        l->n++;
    }
    return NULL;
}

/* Groups are committed between the slices of the copy, which has a whole number of them. */
static void test_backup__under_load(void **state)
{
    struct suite *s = *state;
    add_certs(s, 0, 20000);
    char *to = arena_printf(s->arena, "%s.backup", s->place->config.path);
    unlink(to);
    struct load load = {.suite = {.store = s->store, .arena = arena_new(0)}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, load_main, &load), 0);
    struct diag diag = {0};
    assert_ok(s->store->driver->backup(s->store, to, NULL, NULL, &diag));
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    arena_free(load.suite.arena);
    assert_ok(load.err);
    assert_true(load.n > 0);
    close_store(s);
    assert_ok(wipe(s->place));
    assert_int_equal(mkdir(s->place->config.path, 0700), 0);
    assert_int_equal(rename(to, path_of(s, "touchmark.db")), 0);
    open_store(s);
    struct store_read r = {.kind = READ_COUNTS, .tenant = 1};
    assert_ok(look(s, &r));
    assert_int_equal(r.counts.certs, 20000 + r.counts.events);
    assert_true(r.counts.events <= load.n);
    struct store_read events = {.kind = READ_EVENTS, .tenant = 1, .limit = 10000};
    assert_ok(look(s, &events));
    assert_int_equal(events.n, r.counts.events < 10000 ? r.counts.events : 10000);
}

static void test_files__modes(void **state)
{
    struct suite *s = *state;
    static const char *const files[] = {"touchmark.db", "touchmark.db-wal", "index", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat st;
        assert_int_equal(stat(path_of(s, files[i]), &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUITE_TEST(test_index__segments_and_merges),
        SUITE_TEST(test_index__look_ups_while_it_grows),
        SUITE_TEST(test_columns__lost_damaged_or_of_another),
        SUITE_TEST(test_index__lost),
        SUITE_TEST(test_index__damaged),
        SUITE_TEST(test_index__torn_or_missing_file),
        SUITE_TEST(test_index__merged_files_left_behind),
        SUITE_TEST(test_index__of_another_store),
        SUITE_TEST(test_open__locked),
        SUITE_TEST(test_open__read_only_beside_the_writer),
        SUITE_TEST(test_open__missing),
        SUITE_TEST(test_open__newer_schema),
        SUITE_TEST(test_open__another_migration),
        SUITE_TEST(test_check__damaged_page),
        SUITE_TEST(test_commit__full_disk_and_room_again),
        SUITE_TEST(test_backup__a_store_of_its_own),
        SUITE_TEST(test_backup__under_load),
        SUITE_TEST(test_files__modes),
    };
    char *path = suite_directory();
    place.config.path = path;
    int failed = cmocka_run_group_tests(tests, group_setup, NULL);
    suite_directory_remove(path);
    free(path);
    return failed;
}
