/* Writing a segment: pages go out in order through a small buffer, and to the disk as they come, so that no sync at the end keeps the
 * disk from the committer's log. */
#include "store/sqlite/segment_format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BUFFER_PAGES = 32,
    PACE = 1 << 20, /* octets on their way to the disk at once */
};

struct segment_writer {
    struct segment_header h;
    struct segment_layout at;
    int dir_fd, fd;
    char name[SEGMENT_NAME_LEN + 1], part[SEGMENT_NAME_LEN + 8];
    uint64_t added, kind_added[SEGMENT_KINDS];
    uint64_t pages;                      /* of data, whole */
    size_t buffered;                     /* of them in `buffer`, not yet in the file */
    uint64_t paced;                      /* octets that are on the disk or on their way */
    uint64_t filter_page[SEGMENT_KINDS]; /* which one is in `filter` */
    struct filter_page filter[SEGMENT_KINDS];
    struct segment_page buffer[BUFFER_PAGES];
};

static tm_err pages_write(struct segment_writer *w, uint64_t number, const void *pages, size_t n)
{
    const uint8_t *p = pages;
    size_t want = n * SEGMENT_PAGE, done = 0;
    while (done < want) {
        ssize_t put = pwrite(w->fd, p + done, want - done, (off_t)(number * SEGMENT_PAGE + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
        done += (size_t)put;
    }
    return TM_OK;
}

/* Start the writing of what is behind, wait for what was started before: the disk never has more than two portions to do. */
static void pace(struct segment_writer *w)
{
    uint64_t end = (1 + w->pages) * SEGMENT_PAGE;
    if (end - w->paced < PACE)
        return;
    sync_file_range(w->fd, (off_t)w->paced, (off_t)(end - w->paced), SYNC_FILE_RANGE_WRITE);
    if (w->paced > PACE)
        sync_file_range(w->fd, (off_t)(w->paced - PACE), PACE,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    w->paced = end;
}

static tm_err data_flush(struct segment_writer *w)
{
    uint64_t first = 1 + w->pages - w->buffered;
    for (size_t i = 0; i < w->buffered; i++)
        w->buffer[i].sum = segment_page_sum(&w->buffer[i], w->h.first_seq, first + i);
    TM_TRY(pages_write(w, first, w->buffer, w->buffered));
    w->buffered = 0;
    pace(w);
    return TM_OK;
}

static tm_err filter_flush(struct segment_writer *w, int kind)
{
    struct filter_page *p = &w->filter[kind];
    uint64_t number = w->at.filter[kind].page + w->filter_page[kind];
    p->sum = segment_page_sum(p, w->h.first_seq, number);
    TM_TRY(pages_write(w, number, p, 1));
    memset(p, 0, sizeof *p);
    w->filter_page[kind]++;
    return TM_OK;
}

static tm_err filter_add(struct segment_writer *w, uint64_t hash)
{
    int kind = (int)(hash % SEGMENT_KINDS);
    if (++w->kind_added[kind] > w->h.kind_entries[kind])
        return TM_EINTERNAL;
    uint64_t block = hash_share(hash, w->at.filter[kind].blocks);
    while (w->filter_page[kind] < block / PAGE_BLOCKS)
        TM_TRY(filter_flush(w, kind));
    uint32_t bits[BLOCK_WORDS], *in = w->filter[kind].block[block % PAGE_BLOCKS];
    filter_bits(bits, hash);
    for (int i = 0; i < BLOCK_WORDS; i++)
        in[i] |= bits[i];
    return TM_OK;
}

tm_err segment_writer_new(struct segment_writer **ret, int dir_fd, const struct segment_header *h)
{
    struct segment_writer *w = calloc(1, sizeof *w);
    if (!w)
        return TM_ENOMEM;
    w->h = *h;
    memcpy(w->h.magic, segment_magic, sizeof w->h.magic);
    segment_layout_make(&w->at, &w->h);
    w->dir_fd = dir_fd;
    segment_name(w->name, h->first_seq, h->last_seq);
    snprintf(w->part, sizeof w->part, "%s.part", w->name);
    w->fd = openat(dir_fd, w->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        tm_err err = errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
        free(w);
        return err;
    }
    *ret = w;
    return TM_OK;
}

tm_err segment_writer_add(struct segment_writer *w, uint64_t hash, uint64_t seq)
{
    size_t slot = w->added % SEGMENT_PAGE_ENTRIES;
    TM_TRY(filter_add(w, hash));
    struct segment_page *p = &w->buffer[w->buffered];
    p->hash[slot] = hash;
    p->row[slot] = (uint32_t)(seq - w->h.first_seq);
    w->added++;
    if (slot + 1 < SEGMENT_PAGE_ENTRIES)
        return TM_OK;
    w->pages++;
    return ++w->buffered == BUFFER_PAGES ? data_flush(w) : TM_OK;
}

uint64_t segment_writer_pages(const struct segment_writer *w)
{
    return w->pages;
}

static tm_err writer_complete(struct segment_writer *w)
{
    if (w->added != w->h.entries)
        return TM_EINTERNAL;
    size_t slot = w->added % SEGMENT_PAGE_ENTRIES;
    if (slot) {
        struct segment_page *p = &w->buffer[w->buffered];
        memset(&p->hash[slot], 0, (SEGMENT_PAGE_ENTRIES - slot) * sizeof p->hash[0]);
        memset(&p->row[slot], 0, (SEGMENT_PAGE_ENTRIES - slot) * sizeof p->row[0]);
        w->pages++;
        w->buffered++;
    }
    TM_TRY(data_flush(w));
    for (int kind = 0; kind < SEGMENT_KINDS; kind++)
        while (w->filter_page[kind] * PAGE_BLOCKS < w->at.filter[kind].blocks)
            TM_TRY(filter_flush(w, kind));
    uint64_t page[SEGMENT_PAGE / sizeof(uint64_t)] = {0};
    memcpy(page, &w->h, sizeof w->h);
    page[SEGMENT_PAGE / sizeof(uint64_t) - 1] = segment_page_sum(page, w->h.first_seq, 0);
    return pages_write(w, 0, page, 1);
}

tm_err segment_writer_end(struct segment_writer *w, struct segment **ret)
{
    TM_TRY(writer_complete(w));
    if (fdatasync(w->fd) != 0)
        return errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
    if (renameat(w->dir_fd, w->part, w->dir_fd, w->name) != 0)
        return TM_EIO;
    close(w->fd);
    w->fd = -1;
    return segment_open(ret, w->dir_fd, w->name, w->h.identity);
}

void segment_writer_free(struct segment_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0) {
        close(w->fd);
        unlinkat(w->dir_fd, w->part, 0);
    }
    free(w);
}
