#include "base/digest.h"
#include "keys/signer_journal.h"
#include "keys_test.h"
#include "register/merkle.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int dir_fd(void)
{
    int fd = open(test_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int fresh(void **state)
{
    return test_setup(state);
}

static struct journal *opened(int dir)
{
    struct journal *j = NULL;
    struct diag diag = {0};
    tm_err err = journal_open(&j, dir, &diag);
    if (err != TM_OK)
        print_error("%s\n", diag.message);
    assert_ok(err);
    return j;
}

static struct signer_entry entry(unsigned n)
{
    struct signer_entry e = {.kind = n % 2 ? SIGN_CRL : SIGN_LEAF, .time = 1000 + n, .key_id = "issuing"};
    memset(e.serial, (int)n, sizeof e.serial);
    memset(e.tbs_hash, (int)(n + 1), sizeof e.tbs_hash);
    return e;
}

static void append(struct journal *j, unsigned from, unsigned n)
{
    while (n) {
        struct signer_entry e[200];
        uint8_t chain[200][32];
        unsigned now = n < 200 ? n : 200;
        for (unsigned i = 0; i < now; i++)
            e[i] = entry(from + i);
        assert_ok(journal_append(j, e, now, chain, NULL));
        from += now;
        n -= now;
    }
}

/* A checkpoint of `size` leaves is faked: the journal keeps what it is told, checking is signer_checkpoint.c's. */
static tm_err checkpoint(struct journal *j, const char *origin, uint64_t size, uint64_t covered)
{
    struct journal_log log = {0};
    struct signer_entry e = {.kind = SIGN_CHECKPOINT, .key_id = "register"};
    uint8_t chain[32];
    assert_ok(sha256(log.origin, slice_str(origin)));
    tm_err err = journal_checkpoint_begin(j, &log);
    if (err == TM_OK) {
        log.size = size;
        memset(log.root, (int)size, sizeof log.root);
        err = journal_checkpoint_commit(j, &log, covered, &e, chain, NULL);
    }
    journal_checkpoint_end(j);
    if (err == TM_OK)
        err = journal_sync(j, NULL);
    journal_compact(j);
    return err;
}

static uint64_t log_size(struct journal *j, const char *origin)
{
    struct journal_log log = {0};
    assert_ok(sha256(log.origin, slice_str(origin)));
    assert_ok(journal_checkpoint_begin(j, &log));
    journal_checkpoint_end(j);
    return log.size;
}

static off_t file_size(void)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/signer.journal", test_dir);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void test_journal_append__chain_is_as_documented(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    uint8_t h[32] = {0}, got[32], chain[3][32], text[65];
    uint64_t seq;
    struct signer_entry e[3] = {entry(0), entry(1), entry(2)};
    journal_position(j, &seq, got);
    assert_int_equal(seq, 0);
    assert_memory_equal(got, h, 32);
    assert_ok(journal_append(j, e, 3, chain, NULL));
    for (unsigned i = 0; i < 3; i++) {
        memcpy(text, h, 32);
        text[32] = (uint8_t)e[i].kind;
        memcpy(text + 33, e[i].tbs_hash, 32);
        assert_ok(sha256(h, SLICE_ARR(text)));
        assert_memory_equal(h, chain[i], 32);
        assert_int_equal(e[i].seq, i + 1);
    }
    journal_close(j);
    j = opened(dir);
    journal_position(j, &seq, got);
    assert_int_equal(seq, 3);
    assert_memory_equal(got, h, 32);
    struct signer_entry back[4];
    size_t n;
    assert_ok(journal_read(j, 1, back, 4, &n, NULL));
    assert_int_equal(n, 2);
    assert_int_equal(back[0].seq, 2);
    assert_int_equal(back[0].kind, SIGN_CRL);
    assert_int_equal(back[0].time, 1001);
    assert_string_equal(back[1].key_id, "issuing");
    assert_memory_equal(back[1].serial, e[2].serial, 16);
    assert_memory_equal(back[1].tbs_hash, e[2].tbs_hash, 32);
    journal_close(j);
    close(dir);
}

static void test_journal_open__cuts_a_torn_tail(void **state)
{
    (void)state;
    int dir = dir_fd();
    for (off_t cut = 1; cut <= 2 * JOURNAL_RECORD; cut += 37) {
        struct journal *j = opened(dir);
        uint64_t before, seq;
        uint8_t h[32];
        journal_position(j, &before, h);
        append(j, 7, 2);
        journal_close(j);
        int fd = openat(dir, "signer.journal", O_RDWR);
        assert_int_equal(ftruncate(fd, file_size() - cut), 0);
        close(fd);
        j = opened(dir);
        journal_position(j, &seq, h);
        assert_int_equal(seq, before + (uint64_t)(2 * JOURNAL_RECORD - cut) / JOURNAL_RECORD);
        append(j, 9, 1);
        journal_close(j);
    }
    close(dir);
}

static void test_journal_open__garbage(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    append(j, 0, 10);
    journal_close(j);
    int fd = openat(dir, "signer.journal", O_RDWR);
    uint8_t junk[32];
    memset(junk, 0xa5, sizeof junk);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 6 * JOURNAL_RECORD + 50), sizeof junk); /* in the sixth */
    j = opened(dir);
    uint64_t seq;
    uint8_t h[32];
    journal_position(j, &seq, h);
    assert_int_equal(seq, 5);
    journal_close(j);
    uint8_t header[32];
    assert_int_equal(pread(fd, header, sizeof header, 10), sizeof header);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 10), sizeof junk); /* in the header */
    off_t size = file_size();
    j = NULL;
    assert_int_equal(journal_open(&j, dir, NULL), TM_ECORRUPT);
    assert_null(j);
    /* What could not be read is left as it is: whoever mends the header has all signatures again. */
    assert_int_equal(file_size(), size);
    assert_int_equal(pwrite(fd, header, sizeof header, 10), sizeof header);
    close(fd);
    j = opened(dir);
    journal_position(j, &seq, h);
    assert_int_equal(seq, 5);
    journal_close(j);
    close(dir);
}

static void test_journal_open__one_at_a_time(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir), *second = NULL;
    assert_int_equal(journal_open(&second, dir, NULL), TM_EBUSY);
    journal_close(j);
    journal_close(opened(dir));
    close(dir);
}

static void test_journal_covers__positions(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    append(j, 0, 50);
    uint64_t seq;
    uint8_t at_50[32], at_60[32], wrong[32] = {1};
    journal_position(j, &seq, at_50);
    assert_ok(checkpoint(j, "log", 1, 0)); /* 51 */
    append(j, 50, 9);
    journal_position(j, &seq, at_60);
    assert_int_equal(seq, 60);
    assert_ok(journal_covers(j, 50, at_50, NULL));
    assert_ok(journal_covers(j, 60, at_60, NULL));
    assert_int_equal(journal_covers(j, 50, at_60, NULL), TM_EDENIED);
    assert_int_equal(journal_covers(j, 20, wrong, NULL), TM_EDENIED);
    assert_int_equal(journal_covers(j, 61, at_60, NULL), TM_EDENIED);
    assert_int_equal(journal_covers(j, UINT64_MAX, at_60, NULL), TM_EDENIED);
    assert_ok(checkpoint(j, "log", 2, 50));
    assert_ok(journal_covers(j, 50, at_50, NULL));
    assert_int_equal(journal_covers(j, 49, at_50, NULL), TM_EDENIED); /* backwards */
    struct signer_entry e[20];
    size_t n;
    assert_ok(journal_read(j, 0, e, 20, &n, NULL));
    assert_int_equal(n, 11); /* 51..61: what is covered is forgotten */
    assert_int_equal(e[0].seq, 51);
    assert_int_equal(e[0].kind, SIGN_CHECKPOINT);
    journal_close(j);
    j = opened(dir);
    assert_ok(journal_covers(j, 60, at_60, NULL));
    assert_int_equal(journal_covers(j, 49, at_50, NULL), TM_EDENIED);
    assert_int_equal(log_size(j, "log"), 2);
    assert_int_equal(log_size(j, "other"), 0);
    journal_close(j);
    close(dir);
}

static void test_journal_compact__drops_what_is_covered(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    for (unsigned i = 0; i < 20; i++) {
        char origin[16];
        snprintf(origin, sizeof origin, "log/%u", i);
        assert_ok(checkpoint(j, origin, 100 + i, 0));
    }
    append(j, 0, 70000);
    uint64_t seq, end;
    uint8_t h[32], h_end[32];
    journal_position(j, &seq, h);
    append(j, 0, 10);
    journal_position(j, &end, h_end);
    off_t before = file_size();
    assert_ok(checkpoint(j, "log/3", 200, seq));
    assert_true(file_size() < before / 100);
    for (int round = 0; round < 2; round++) {
        uint64_t now;
        uint8_t h_now[32];
        struct signer_entry e[20];
        size_t n;
        journal_position(j, &now, h_now);
        assert_int_equal(now, end + 1);
        assert_ok(journal_read(j, 0, e, 20, &n, NULL));
        assert_int_equal(n, 11);
        assert_int_equal(e[0].seq, seq + 1);
        assert_int_equal(log_size(j, "log/3"), 200);
        assert_int_equal(log_size(j, "log/19"), 119);
        assert_ok(journal_covers(j, seq, h, NULL));
        assert_ok(journal_covers(j, end, h_end, NULL));
        journal_close(j);
        j = opened(dir);
    }
    append(j, 1, 5);
    journal_close(j);
    close(dir);
}

static void test_journal_append__a_full_disk_leaves_nothing_half(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    append(j, 0, 3);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = (rlim_t)file_size() + JOURNAL_RECORD + 50;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct signer_entry e[2] = {entry(3), entry(4)};
    uint8_t chain[2][32], h[32];
    struct diag diag = {0};
    tm_err err = journal_append(j, e, 2, chain, &diag);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_not_equal(err, TM_OK);
    uint64_t seq;
    journal_position(j, &seq, h);
    assert_int_equal(seq, 3);
    assert_int_equal(file_size(), 4 * JOURNAL_RECORD);
    append(j, 3, 2);
    journal_close(j);
    j = opened(dir);
    journal_position(j, &seq, h);
    assert_int_equal(seq, 5);
    journal_close(j);
    close(dir);
}

/* What a power cut leaves: the file as it was synced. */
static void test_journal_sync__room_is_made_and_found_again(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    append(j, 0, 3);
    assert_ok(journal_sync(j, NULL));
    off_t room = file_size();
    assert_true(room > 1000 * JOURNAL_RECORD);
    append(j, 3, 600);
    assert_ok(journal_sync(j, NULL));
    assert_int_equal(file_size(), room); /* the end has not moved */
    append(j, 603, 6000);
    assert_ok(journal_sync(j, NULL));
    assert_true(file_size() > room);
    /* The same octets as a process that was killed leaves them: zeros behind the records. */
    uint8_t *all = malloc((size_t)file_size());
    off_t n = file_size();
    int fd = openat(dir, "signer.journal", O_RDWR);
    assert_non_null(all);
    assert_int_equal(pread(fd, all, (size_t)n, 0), n);
    journal_close(j);
    assert_int_equal(file_size(), 6604 * JOURNAL_RECORD); /* a good end gives the room back */
    assert_int_equal(pwrite(fd, all, (size_t)n, 0), n);
    close(fd);
    free(all);
    j = opened(dir);
    assert_int_equal(file_size(), n);
    uint64_t seq;
    uint8_t h[32];
    journal_position(j, &seq, h);
    assert_int_equal(seq, 6603);
    append(j, 6603, 2);
    journal_close(j);
    close(dir);
}

/* Of records that were not synced any may have arrived: behind the first that is missing nothing counts. */
static void test_journal_open__a_hole_in_the_tail(void **state)
{
    (void)state;
    int dir = dir_fd();
    struct journal *j = opened(dir);
    append(j, 0, 4);
    assert_ok(journal_sync(j, NULL));
    append(j, 4, 4);
    static const uint8_t zeros[JOURNAL_RECORD];
    int fd = openat(dir, "signer.journal", O_RDWR);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 6 * JOURNAL_RECORD), sizeof zeros); /* the sixth */
    close(fd);
    journal_close(j);
    j = opened(dir);
    assert_int_equal(file_size(), 6 * JOURNAL_RECORD);
    uint64_t seq;
    uint8_t h[32];
    journal_position(j, &seq, h);
    assert_int_equal(seq, 5);
    append(j, 9, 3);
    journal_close(j);
    j = opened(dir);
    journal_position(j, &seq, h);
    assert_int_equal(seq, 8);
    journal_close(j);
    close(dir);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, fresh, test_teardown)
    const struct CMUnitTest tests[] = {
        FRESH(test_journal_append__chain_is_as_documented),
        FRESH(test_journal_open__cuts_a_torn_tail),
        FRESH(test_journal_open__garbage),
        FRESH(test_journal_open__one_at_a_time),
        FRESH(test_journal_covers__positions),
        FRESH(test_journal_compact__drops_what_is_covered),
        FRESH(test_journal_sync__room_is_made_and_found_again),
        FRESH(test_journal_open__a_hole_in_the_tail),
        FRESH(test_journal_append__a_full_disk_leaves_nothing_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
