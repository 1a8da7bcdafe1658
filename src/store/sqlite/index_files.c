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

enum { FILES_MAX = 4096 };

tm_err index_file_fail(tm_err err, struct diag *diag)
{
    switch (err) {
    case TM_EFULL:
        return diag_fail(diag, err, "store.index", index_dir,
                         "the disk is full; free some space, the index is written again");
    case TM_EIO:
        return diag_fail(diag, err, "store.index", index_dir, "%s cannot be read or written: %s", index_dir,
                         strerror(errno));
    case TM_ECORRUPT:
        return diag_fail(diag, err, "store.index", index_dir, "%s is damaged", index_dir);
    default:
        return err;
    }
}

/* ---- the directory ---- */

tm_err index_files_open(struct sqlite_store *s, struct diag *diag)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", s->dir, index_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return diag_fail(diag, TM_EINVAL, "store", "path", "the path of the store is too long");
    if (!s->config.read_only && mkdir(path, 0700) != 0 && errno != EEXIST)
        return diag_fail(diag, errno == ENOSPC ? TM_EFULL : TM_EUNAVAIL, "store.index", index_dir, "%s: %s",
                         path, strerror(errno));
    s->index.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->index.dir < 0 && !s->config.read_only)
        return diag_fail(diag, TM_EUNAVAIL, "store.index", index_dir, "%s: %s", path, strerror(errno));
    return TM_OK;
}

void index_file_remove(struct index *ix, uint64_t first_seq, uint64_t last_seq)
{
    char name[SEGMENT_NAME_LEN + 1];
    segment_name(name, first_seq, last_seq);
    unlinkat(ix->dir, name, 0);
}

/* By first row; of two that begin with the same one the larger first. */
static int segment_order(const void *a, const void *b)
{
    const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;
    if (x->h.first_seq != y->h.first_seq)
        return x->h.first_seq < y->h.first_seq ? -1 : 1;
    return x->h.last_seq > y->h.last_seq ? -1 : x->h.last_seq < y->h.last_seq;
}

static void file_discard(struct sqlite_store *s, const char *name)
{
    if (!s->config.read_only)
        unlinkat(s->index.dir, name, 0);
}

static void segment_discard(struct sqlite_store *s, struct segment *g)
{
    if (!s->config.read_only)
        index_file_remove(&s->index, g->h.first_seq, g->h.last_seq);
    segment_free(g);
}

/* Every whole segment of this store; other files are removed. */
static tm_err files_list(struct sqlite_store *s, struct segment **list, size_t *n)
{
    int fd = s->index.dir < 0 ? -1 : openat(s->index.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return s->config.read_only ? TM_OK : TM_EIO;
    }
    tm_err err = TM_OK;
    for (struct dirent *e; err == TM_OK && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        err = *n == FILES_MAX ? TM_ECORRUPT : segment_open(&list[*n], s->index.dir, e->d_name, s->identity);
        if (err == TM_OK) {
            ++*n;
        } else if (err == TM_ECORRUPT || err == TM_EIO) {
            file_discard(s, e->d_name);
            err = TM_OK;
        } else if (err == TM_ENOTFOUND) {
            err = TM_OK; /* a read-only store beside a writer, which has just merged it away */
        }
    }
    closedir(d);
    return err;
}

tm_err index_files_load(struct sqlite_store *s, uint64_t first_row, uint64_t last_seq, struct diag *diag)
{
    struct index *ix = &s->index;
    struct segment **list = calloc(FILES_MAX, sizeof *list);
    if (!list)
        return TM_ENOMEM;
    size_t n = 0;
    tm_err err = files_list(s, list, &n);
    if (n)
        qsort(list, n, sizeof *list, segment_order);
    uint64_t reach = 0;
    /* Ahead of the rows: the database is an older copy than its index, which may hold rows of a future that never was. */
    bool good = err == TM_OK;
    for (size_t i = 0; i < n; i++)
        good &= list[i]->h.last_seq <= last_seq;
    ix->n_segments = 0;
    for (size_t i = 0; i < n; i++) {
        struct segment *g = list[i];
        bool next = ix->n_segments == 0 ? g->h.first_seq <= first_row : g->h.first_seq == reach + 1;
        if (good && next && ix->n_segments < INDEX_SEGMENTS_MAX) {
            ix->segments[ix->n_segments++] = g;
            reach = g->h.last_seq;
        } else {
            segment_discard(s, g);
        }
    }
    free(list);
    ix->covered = reach;
    return index_file_fail(err, diag);
}

void index_files_drop(struct index *ix)
{
    for (size_t i = 0; i < ix->n_segments; i++) {
        index_file_remove(ix, ix->segments[i]->h.first_seq, ix->segments[i]->h.last_seq);
        segment_forget(ix->segments[i], &ix->memory);
        segment_free(ix->segments[i]);
    }
    ix->n_segments = 0;
}

/* ---- sorting ---- */

static int entry_order(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Few entries, those with equal hashes in order already. */
static void sort_few(struct index_entry *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct index_entry e = v[i];
        size_t k = i;
        for (; k > 0 && entry_order(&v[k - 1], &e) > 0; k--)
            v[k] = v[k - 1];
        v[k] = e;
    }
}

/* Hashes spread evenly: dealt out by their first bits, each heap has a few. Names that many share make a large heap. */
static void entries_sort(struct index_entry *v, struct index_entry *room, size_t n)
{
    enum { BITS = 12, HEAPS = 1 << BITS, FEW = 96 };
    uint32_t end[HEAPS + 1] = {0};
    for (size_t i = 0; i < n; i++)
        end[(v[i].hash >> (64 - BITS)) + 1]++;
    for (size_t h = 1; h <= HEAPS; h++)
        end[h] += end[h - 1];
    memcpy(room, v, n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[end[room[i].hash >> (64 - BITS)]++] = room[i];
    for (size_t h = 0, from = 0; h < HEAPS; from = end[h++]) {
        size_t k = end[h] - from;
        if (k > FEW)
            qsort(v + from, k, sizeof *v, entry_order);
        else
            sort_few(v + from, k);
    }
}

tm_err index_file_write(struct segment **ret, struct sqlite_store *s, struct index_entry *entries,
                        struct index_entry *room, size_t n, uint64_t first_seq, uint64_t last_seq,
                        struct diag *diag)
{
    struct segment_header h = {.first_seq = first_seq, .last_seq = last_seq, .entries = n};
    struct segment_writer *w;
    memcpy(h.identity, s->identity, sizeof h.identity);
    for (size_t i = 0; i < n; i++)
        h.kind_entries[entries[i].hash % SEGMENT_KINDS]++;
    if (n)
        entries_sort(entries, room, n);
    tm_err err = segment_writer_new(&w, s->index.dir, &h);
    if (err != TM_OK)
        return index_file_fail(err, diag);
    for (size_t i = 0; i < n && err == TM_OK; i++)
        err = segment_writer_add(w, entries[i].hash, entries[i].seq);
    if (err == TM_OK)
        err = segment_writer_end(w, ret);
    segment_writer_free(w);
    return index_file_fail(err, diag);
}
