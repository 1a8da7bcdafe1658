/* Blocks in files: block b is the (b mod 64)th of file b / 64, a header page and then its columns one behind the other. */
#include "base/err.h"
#include "store/sqlite/internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const uint8_t column_width[COLUMNS] = {
    [COLUMN_EXPIRES] = 8,   [COLUMN_ISSUED] = 8,    [COLUMN_ADDED] = 4,   [COLUMN_LIFETIME] = 4,
    [COLUMN_TENANT] = 4,    [COLUMN_AUTHORITY] = 2, [COLUMN_PROFILE] = 2, [COLUMN_KEY] = 2,
    [COLUMN_SIGNATURE] = 2, [COLUMN_SOURCE] = 1,    [COLUMN_FLAGS] = 1,
};

static const char block_magic[8] = "TMCOLS01";
static const char columns_dir[] = "columns", names_file[] = "names", status_file[] = "status";

enum { FILE_NAME_LEN = 16, FILES_MAX = 1 << 16 };

/* ---- sums: of whole words, four lanes so that a processor does them at once ---- */

uint64_t column_sum(const void *p, size_t n)
{
    static const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t lane[4] = {1, 2, 3, 4};
    const uint8_t *at = p;
    size_t words = n / 8;
    for (size_t i = 0; i < words; i++, at += 8) {
        uint64_t w;
        memcpy(&w, at, 8);
        lane[i & 3] = (lane[i & 3] ^ w) * odd;
        lane[i & 3] ^= lane[i & 3] >> 29;
    }
    uint64_t sum = n;
    for (int i = 0; i < 4; i++)
        sum = (sum ^ lane[i]) * odd ^ sum >> 31;
    return sum;
}

/* ---- where things are ---- */

static uint64_t column_offset(enum column column)
{
    uint64_t at = COLUMN_HEADER;
    for (int i = 0; i < (int)column; i++)
        at += (uint64_t)column_width[i] * COLUMN_ROWS;
    return at;
}

static uint64_t block_offset(uint64_t number)
{
    return number % COLUMN_FILE_BLOCKS * column_offset(COLUMNS);
}

static void file_name(char out[FILE_NAME_LEN + 1], uint64_t file)
{
    snprintf(out, FILE_NAME_LEN + 1, "%08llx", (unsigned long long)file);
}

static tm_err file_fail(tm_err err, struct diag *diag)
{
    return err == TM_EFULL ? diag_fail(diag, err, "store.columns", columns_dir,
                                       "the disk is full; free some space, the columns are written again")
                           : diag_fail(diag, err, "store.columns", columns_dir,
                                       "the directory columns/ of the store can't be read or written: %s",
                                       strerror(errno));
}

static tm_err io_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
}

static bool put_all(int fd, const void *p, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const uint8_t *)p + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

/* TM_ECORRUPT where the file ends before. */
static tm_err get_all(int fd, void *p, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, (uint8_t *)p + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return TM_EIO;
        if (k == 0)
            return TM_ECORRUPT;
        done += (size_t)k;
    }
    return TM_OK;
}

/* The descriptor of a block's file; -1. */
static int file_of(struct columns *c, uint64_t number, bool make)
{
    uint64_t file = number / COLUMN_FILE_BLOCKS;
    if (file >= FILES_MAX)
        return -1;
    if (file >= c->n_files) {
        size_t n = c->n_files ? c->n_files : 4;
        while (n <= file)
            n *= 2;
        int *p = realloc(c->files, n * sizeof *p);
        if (!p)
            return -1;
        for (size_t i = c->n_files; i < n; i++)
            p[i] = -1;
        c->files = p;
        c->n_files = n;
    }
    if (c->files[file] < 0) {
        char name[FILE_NAME_LEN + 1];
        file_name(name, file);
        c->files[file] = openat(c->dir, name, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    }
    return c->files[file];
}

tm_err column_file_prepare(struct columns *c, uint64_t number, struct diag *diag)
{
    return file_of(c, number, true) < 0 ? file_fail(io_error(), diag) : TM_OK;
}

/* ---- reading and writing ---- */

tm_err column_read(struct columns *c, size_t block, enum column column, void *out)
{
    struct block *b = &c->blocks[block];
    uint64_t file = block / COLUMN_FILE_BLOCKS;
    int fd = file < c->n_files ? c->files[file] : -1;
    size_t size = (size_t)column_width[column] * COLUMN_ROWS;
    if (fd < 0)
        return TM_EIO;
    TM_TRY(get_all(fd, out, size, block_offset(block) + column_offset(column)));
    unsigned bit = 1u << column;
    if (atomic_load_explicit(&b->verified, memory_order_relaxed) & bit)
        return TM_OK;
    if (column_sum(out, size) != b->sum[column])
        return TM_ECORRUPT;
    atomic_fetch_or_explicit(&b->verified, bit, memory_order_relaxed);
    return TM_OK;
}

static uint64_t header_sum(const struct block_header *h)
{
    return column_sum(h, offsetof(struct block_header, header_sum));
}

tm_err column_block_write(struct sqlite_store *s, const struct tail *t, struct block *ret, struct diag *diag)
{
    struct columns *c = &s->columns;
    struct block_header h = {.number = t->number, .rows = t->rows, .keep_min = t->keep_min};
    memcpy(h.magic, block_magic, sizeof h.magic);
    memcpy(h.identity, s->identity, sizeof h.identity);
    memcpy(h.zone, t->zone, sizeof h.zone);
    for (int i = 0; i < NAME_LISTS; i++)
        h.names[i] = c->names.lists[i].n;
    int fd = file_of(c, t->number, true);
    if (fd < 0)
        return file_fail(io_error(), diag);
    uint64_t at = block_offset(t->number);
    for (int i = 0; t->rows && i < COLUMNS; i++) {
        size_t size = (size_t)column_width[i] * COLUMN_ROWS;
        h.sum[i] = column_sum(t->v[i], size);
        if (!put_all(fd, t->v[i], size, at + column_offset((enum column)i)))
            return file_fail(io_error(), diag);
    }
    /* The columns are there before the header says so. */
    h.header_sum = header_sum(&h);
    if ((t->rows && fdatasync(fd) != 0) || !put_all(fd, &h, sizeof h, at) || fdatasync(fd) != 0)
        return file_fail(io_error(), diag);
    *ret = (struct block){.there = true, .rows = h.rows, .keep_min = h.keep_min};
    memcpy(ret->zone, h.zone, sizeof h.zone);
    memcpy(ret->sum, h.sum, sizeof h.sum);
    atomic_store(&ret->verified, (1u << COLUMNS) - 1);
    return TM_OK;
}

/* ---- the directory ---- */

static int file_open(struct sqlite_store *s, const char *name)
{
    return openat(s->columns.dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

tm_err column_files_open(struct sqlite_store *s, struct diag *diag)
{
    struct columns *c = &s->columns;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", s->dir, columns_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return diag_fail(diag, TM_EINVAL, "store", "path", "the path of the store is too long");
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return file_fail(io_error(), diag);
    c->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->dir < 0)
        return file_fail(TM_EIO, diag);
    c->names_fd = file_open(s, names_file);
    if (c->names_fd < 0)
        return file_fail(io_error(), diag);
    c->status_fd = file_open(s, status_file);
    return c->status_fd < 0 ? file_fail(io_error(), diag) : TM_OK;
}

void column_files_close(struct columns *c)
{
    for (size_t i = 0; i < c->n_files; i++)
        if (c->files[i] >= 0)
            close(c->files[i]);
    free(c->files);
    c->files = NULL;
    c->n_files = 0;
    int *const fds[] = {&c->names_fd, &c->status_fd, &c->dir};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static void file_remove(struct columns *c, uint64_t file)
{
    char name[FILE_NAME_LEN + 1];
    file_name(name, file);
    unlinkat(c->dir, name, 0);
    if (file < c->n_files && c->files[file] >= 0) {
        close(c->files[file]);
        c->files[file] = -1;
    }
}

/* Files of blocks that have no descriptor yet, too. */
void column_files_drop(struct columns *c)
{
    int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char *end;
        unsigned long long file = strtoull(e->d_name, &end, 16);
        if (e->d_name[0] != '.' && *end == '\0' && end - e->d_name == 8)
            file_remove(c, file);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    c->n_blocks = 0;
}

void column_files_trim(struct columns *c, uint64_t first_row)
{
    uint64_t first_block = first_row ? (first_row - 1) / COLUMN_ROWS : 0;
    for (uint64_t i = 0; i < c->n_blocks && i < first_block; i++)
        c->blocks[i].there = false;
    for (uint64_t file = 0; (file + 1) * COLUMN_FILE_BLOCKS <= first_block && file < c->n_files; file++)
        if (c->files[file] >= 0)
            file_remove(c, file);
}

static bool header_good(const struct block_header *h, const struct sqlite_store *s, uint64_t number)
{
    if (memcmp(h->magic, block_magic, sizeof h->magic) != 0 ||
        memcmp(h->identity, s->identity, sizeof h->identity) != 0 || h->number != number ||
        h->header_sum != header_sum(h))
        return false;
    for (int i = 0; i < NAME_LISTS; i++)
        if (h->names[i] > s->columns.names.lists[i].n)
            return false;
    return true;
}

static tm_err blocks_grow(struct columns *c, size_t n)
{
    if (n <= c->cap_blocks)
        return TM_OK;
    size_t cap = c->cap_blocks ? c->cap_blocks : 16;
    while (cap < n)
        cap *= 2;
    struct block *p = realloc(c->blocks, cap * sizeof *p);
    if (!p)
        return TM_ENOMEM;
    c->blocks = p;
    c->cap_blocks = cap;
    return TM_OK;
}

tm_err column_block_add(struct columns *c, uint64_t number, const struct block *b)
{
    TM_TRY(blocks_grow(c, (size_t)number + 1));
    while (c->n_blocks < number)
        c->blocks[c->n_blocks++] = (struct block){0};
    c->blocks[number] = *b;
    c->n_blocks = (size_t)number + 1;
    return TM_OK;
}

tm_err column_files_load(struct sqlite_store *s, uint64_t first_row, uint64_t last_seq, struct diag *diag)
{
    struct columns *c = &s->columns;
    tm_err err = names_load(c, s->identity);
    if (err != TM_OK)
        return err == TM_ENOMEM ? err : file_fail(err, diag);
    uint64_t number = (first_row - 1) / COLUMN_ROWS;
    for (;; number++) {
        struct block_header h;
        int fd = file_of(c, number, false);
        if (fd < 0 || get_all(fd, &h, sizeof h, block_offset(number)) != TM_OK || !header_good(&h, s, number))
            break;
        /* Ahead of the rows: the database is an older copy than its columns, which have rows of a future that never was. */
        if ((number + 1) * COLUMN_ROWS > last_seq) {
            column_files_drop(c);
            names_done(&c->names);
            number = (first_row - 1) / COLUMN_ROWS;
            break;
        }
        struct block b = {.there = true, .rows = h.rows, .keep_min = h.keep_min};
        memcpy(b.zone, h.zone, sizeof b.zone);
        memcpy(b.sum, h.sum, sizeof b.sum);
        TM_TRY(column_block_add(c, number, &b));
    }
    c->tail.number = number;
    atomic_store(&c->covered, number * COLUMN_ROWS < last_seq ? number * COLUMN_ROWS : last_seq);
    return TM_OK;
}
