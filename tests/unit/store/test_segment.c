/* Segments against a list that is searched from its beginning: even hashes and crowded ones, whole and damaged files. */
#include "store/sqlite/segment.h"
#include "suite.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    uint64_t hash, seq;
};

static const uint8_t identity[16] = "who they are of";
static char *directory;
static int dir;
static uint64_t state = 88172645463325252u;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static struct segment_memory memory_of(size_t most)
{
    struct segment_memory m = {0};
    for (int kind = 0; kind < SEGMENT_KINDS; kind++)
        m.most[kind] = most;
    return m;
}

static size_t memory_used(const struct segment_memory *m)
{
    size_t n = 0;
    for (int kind = 0; kind < SEGMENT_KINDS; kind++)
        n += m->used[kind];
    return n;
}

static struct segment *make(struct entry *v, size_t n, uint64_t first_seq, uint64_t last_seq)
{
    struct segment_header h = {.first_seq = first_seq, .last_seq = last_seq, .entries = n};
    struct segment_writer *w;
    struct segment *g;
    memcpy(h.identity, identity, sizeof identity);
    for (size_t i = 0; i < n; i++)
        h.kind_entries[v[i].hash % SEGMENT_KINDS]++;
    qsort(v, n, sizeof *v, entry_order);
    assert_ok(segment_writer_new(&w, dir, &h));
    for (size_t i = 0; i < n; i++)
        assert_ok(segment_writer_add(w, v[i].hash, v[i].seq));
    assert_ok(segment_writer_end(w, &g));
    segment_writer_free(w);
    assert_ok(segment_check(g));
    return g;
}

static void assert_found(struct segment *g, const struct entry *v, size_t n, uint64_t hash, uint64_t before,
                         size_t max, struct segment_memory *memory)
{
    uint64_t out[64], wanted[64];
    size_t got, k = 0;
    for (size_t i = n; i-- > 0 && k < max;)
        if (v[i].hash == hash && v[i].seq < before)
            wanted[k++] = v[i].seq;
    assert_ok(segment_find(g, hash, before, out, max, &got, memory));
    assert_int_equal(got, k);
    assert_memory_equal(out, wanted, k * sizeof *out);
}

/* How many of n have one hash in `crowd`: 0 spreads them all. */
static void compare(size_t n, unsigned crowd)
{
    struct entry *v = calloc(n + 1, sizeof *v);
    struct segment_memory memory = memory_of(2 * SEGMENT_PAGE);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct entry){.hash = crowd && rnd() % crowd ? 0x7777777777777777u + rnd() % 3 : rnd(),
                              .seq = 1000 + i / 3};
    struct segment *g = make(v, n, 1000, 1000 + n / 3);
    for (unsigned tries = 0; tries < 400; tries++) {
        uint64_t hash = tries % 4 == 0 || n == 0 ? rnd() : v[rnd() % n].hash;
        uint64_t before = tries % 3 ? UINT64_MAX : 995 + rnd() % (n / 3 + 10);
        assert_found(g, v, n, hash, before, 1 + rnd() % 64, &memory);
        assert_found(g, v, n, hash + (rnd() % 3 - 1) * SEGMENT_KINDS, before, 7, &memory);
    }
    static const uint64_t ends[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        assert_found(g, v, n, ends[i], UINT64_MAX, 3, &memory);
    assert_true(n == 0 || memory_used(&memory) > 0);
    assert_true(memory_used(&memory) <= SEGMENT_KINDS * memory.most[0]);
    segment_forget(g, &memory);
    assert_int_equal(memory_used(&memory), 0);
    segment_free(g);
    free(v);
}

static void test_segment_find__like_a_list(void **unused)
{
    static const size_t sizes[] = {0, 1, 2, 339, 340, 341, 680, 5000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (unsigned crowd = 0; crowd <= 100; crowd += crowd ? 49 : 2)
            compare(sizes[i], crowd);
}

/* Every entry is found: a filter never says no to what is there. */
static void test_segment_find__every_entry(void **unused)
{
    enum { N = 50000 };
    struct entry *v = calloc(N, sizeof *v);
    struct segment_memory memory = memory_of(1 << 20);
    size_t foreign = 0;
    assert_non_null(v);
    for (size_t i = 0; i < N; i++)
        v[i] = (struct entry){.hash = rnd(), .seq = 1 + i};
    struct segment *g = make(v, N, 1, N);
    for (size_t i = 0; i < N; i++) {
        uint64_t seq;
        size_t n;
        assert_ok(segment_find(g, v[i].hash, UINT64_MAX, &seq, 1, &n, &memory));
        assert_int_equal(n, 1);
        assert_int_equal(seq, v[i].seq);
        assert_ok(segment_find(g, rnd(), UINT64_MAX, &seq, 1, &n, &memory));
        foreign += n;
    }
    assert_int_equal(foreign, 0);
    segment_free(g);
    free(v);
}

/* The one file that is there. */
static int file_open(char name[SEGMENT_NAME_LEN + 1], uint64_t first, uint64_t last)
{
    segment_name(name, first, last);
    int fd = openat(dir, name, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

/* Whichever octet of a page is changed, the page is not believed. */
static void test_segment_check__any_octet(void **unused)
{
    enum { N = 1000 };
    struct entry v[N];
    char name[SEGMENT_NAME_LEN + 1];
    struct stat st;
    for (size_t i = 0; i < N; i++)
        v[i] = (struct entry){.hash = rnd() & ~(uint64_t)7, .seq = 1 + i};
    segment_free(make(v, N, 1, N));
    int fd = file_open(name, 1, N);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 1 + (off_t)(rnd() % 40)) {
        uint8_t was, is;
        assert_int_equal(pread(fd, &was, 1, at), 1);
        is = was ^ (uint8_t)(1u << rnd() % 8);
        assert_int_equal(pwrite(fd, &is, 1, at), 1);
        struct segment *g = NULL;
        tm_err err = segment_open(&g, dir, name, identity);
        if (err == TM_OK)
            err = segment_check(g);
        assert_err(TM_ECORRUPT, err);
        segment_free(g);
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
    }
    close(fd);
}

static void test_segment_find__damaged(void **unused)
{
    enum { N = 1000 };
    struct entry v[N];
    char name[SEGMENT_NAME_LEN + 1];
    for (size_t i = 0; i < N; i++)
        v[i] = (struct entry){.hash = rnd() & ~(uint64_t)7, .seq = 1 + i};
    struct segment *g = make(v, N, 1, N);
    int fd = file_open(name, 1, N);
    struct segment_memory memory = memory_of(1 << 20);
    uint64_t seq;
    size_t n;
    /* Pages: header, three of data, one of the filter. */
    assert_int_equal(g->at.filter[0].page, 4);
    assert_int_equal(pwrite(fd, "x", 1, 4 * SEGMENT_PAGE + 99), 1);
    assert_err(TM_ECORRUPT, segment_find(g, v[0].hash, UINT64_MAX, &seq, 1, &n, &memory));
    assert_int_equal(ftruncate(fd, 4 * SEGMENT_PAGE), 0);
    assert_err(TM_ECORRUPT, segment_find(g, v[0].hash, UINT64_MAX, &seq, 1, &n, &memory));
    assert_int_equal(memory_used(&memory), 0);
    segment_free(g);
    assert_err(TM_ECORRUPT, segment_open(&g, dir, name, identity));
    close(fd);
}

static void test_segment_open__refuses(void **unused)
{
    static const uint8_t other[16] = "another";
    struct entry v[1] = {{.hash = 8, .seq = 5}};
    char name[SEGMENT_NAME_LEN + 1];
    struct segment *g = make(v, 1, 5, 5);
    segment_free(g);
    segment_name(name, 5, 5);
    assert_err(TM_ECORRUPT, segment_open(&g, dir, name, other));
    assert_err(TM_ENOTFOUND, segment_open(&g, dir, "0000000000000005-0000000000000006", identity));
    /* Under another's name. */
    assert_int_equal(renameat(dir, name, dir, "0000000000000005-0000000000000006"), 0);
    assert_err(TM_ECORRUPT, segment_open(&g, dir, "0000000000000005-0000000000000006", identity));
    assert_int_equal(renameat(dir, "0000000000000005-0000000000000006", dir, "notes"), 0);
    assert_err(TM_ECORRUPT, segment_open(&g, dir, "notes", identity));
}

/* A writer that is not brought to its end, or to another one than it was told, leaves nothing. */
static void test_segment_writer__given_up(void **unused)
{
    struct segment_header h = {.first_seq = 7, .last_seq = 9, .entries = 2, .kind_entries = {2}};
    struct segment_writer *w;
    struct segment *g;
    memcpy(h.identity, identity, sizeof identity);
    assert_ok(segment_writer_new(&w, dir, &h));
    assert_ok(segment_writer_add(w, 8, 7));
    assert_err(TM_EINTERNAL, segment_writer_end(w, &g));
    segment_writer_free(w);
    assert_ok(segment_writer_new(&w, dir, &h));
    assert_err(TM_EINTERNAL, segment_writer_add(w, 1, 7));
    segment_writer_free(w);
    char name[SEGMENT_NAME_LEN + 1];
    segment_name(name, 7, 9);
    assert_int_equal(faccessat(dir, name, F_OK, 0), -1);
    assert_int_equal(faccessat(dir, "0000000000000007-0000000000000009.part", F_OK, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segment_find__like_a_list), cmocka_unit_test(test_segment_find__every_entry),
        cmocka_unit_test(test_segment_check__any_octet),  cmocka_unit_test(test_segment_find__damaged),
        cmocka_unit_test(test_segment_open__refuses),     cmocka_unit_test(test_segment_writer__given_up),
    };
    directory = suite_directory();
    mkdir(directory, 0700);
    dir = open(directory, O_RDONLY | O_DIRECTORY);
    int failed = dir < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    close(dir);
    suite_directory_remove(directory);
    free(directory);
    return failed;
}
