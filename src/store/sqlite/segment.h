/* store/sqlite/segment.h - one run of index entries in a file of its own: written once, sorted, never changed.
 *
 * Layer 3. A file is pages of 4096 octets, each ending in a checksum over its contents and its place, so that a page that is torn, rotten
 * or another's is never believed; a writer's file gets its name when it is whole and on the disk. Numbers are in the machine's own order:
 * the files are derived and do not travel.
 *
 *   header page                  struct segment_header
 *   data pages                   340 hashes, then their 340 rows (seq - first_seq, 4 octets each); ascending by hash, then row
 *   filter pages of each kind    127 blocks of 32 octets
 *
 * Hashes spread evenly (cert_keys.h), so a search reads the page where the hash has to be by proportion, and mostly finds it there or
 * beside it. Before that it asks the filter of the hash's kind: a Bloom filter with one block a key, in each of whose eight words the key
 * sets one bit; with 12 bits a key it lets one foreign hash in some 200 pass. The block is told by the hash's upper bits, so that a
 * writer, to whom entries come sorted, makes all filters in order and needs one page of memory for each.
 * Filter pages are read when first asked and stay in memory until segment_forget. */
#pragma once
#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_PAGE = 4096,
    SEGMENT_PAGE_ENTRIES = 340,
    SEGMENT_KINDS = 8, /* of a hash: its lowest three bits */
    SEGMENT_NAME_LEN = 33,
};

struct segment_header {
    char magic[8];
    uint8_t identity[16]; /* of the touchmark.db whose rows these are */
    uint64_t first_seq, last_seq;
    uint64_t entries, kind_entries[SEGMENT_KINDS];
};

/* Where things are, from the counts alone. */
struct segment_layout {
    uint64_t pages; /* of data, after the header */
    struct {
        uint64_t page, blocks;
    } filter[SEGMENT_KINDS];
    uint64_t end; /* pages of the whole file */
};

struct segment {
    struct segment_header h;
    struct segment_layout at;
    int fd;
    _Atomic(_Atomic(uint8_t *) *) cache[SEGMENT_KINDS]; /* filter pages that were read, by kind */
};

/* Octets of filter pages that all segments together keep, and may keep, of each kind; beyond it they are read each time. */
struct segment_memory {
    _Atomic size_t used[SEGMENT_KINDS];
    size_t most[SEGMENT_KINDS];
};

/* Hex of the first and the last row: how a segment's file is called. */
void segment_name(char out[SEGMENT_NAME_LEN + 1], uint64_t first_seq, uint64_t last_seq);

/* TM_ECORRUPT: not a whole segment of this identity; TM_ENOTFOUND; TM_EIO. */
tm_err segment_open(struct segment **ret, int dir_fd, const char *name, const uint8_t identity[16]);
/* The file stays. */
void segment_free(struct segment *g);

/* A search for the hash comes: what it reads first is fetched meanwhile, without waiting, unless it is in memory. Who asks many segments says
 * so to all of them before, and waits for the disk once. */
void segment_expect(struct segment *g, uint64_t hash);
/* The newest rows below before_seq that have the hash, descending, at most `max`. Several threads at once.
 * TM_ECORRUPT: the file is damaged; TM_EIO. */
tm_err segment_find(struct segment *g, uint64_t hash, uint64_t before_seq, uint64_t *out, size_t max,
                    size_t *ret_n, struct segment_memory *memory);
/* Give the filter pages back; nobody else is inside. */
void segment_forget(struct segment *g, struct segment_memory *memory);
/* Read everything. */
tm_err segment_check(const struct segment *g);

/* One data page, verified: hashes and rows of its entries, whose number is returned (0: `page` is behind the last). */
struct segment_page {
    uint64_t hash[SEGMENT_PAGE_ENTRIES];
    uint32_t row[SEGMENT_PAGE_ENTRIES];
    uint64_t unused;
    uint64_t sum;
};
tm_err segment_read(const struct segment *g, uint64_t page, size_t n, struct segment_page *out);
/* So many data pages from `page` on will be read soon. */
void segment_ahead(const struct segment *g, uint64_t page, size_t n);
static inline size_t segment_page_entries(const struct segment *g, uint64_t page)
{
    uint64_t left = g->h.entries - page * SEGMENT_PAGE_ENTRIES;
    return left < SEGMENT_PAGE_ENTRIES ? (size_t)left : SEGMENT_PAGE_ENTRIES;
}

/* ---- writing ---- */

struct segment_writer;

/* The counts of `h` are what will be added. The file is called `name` with ".part" until its end. */
tm_err segment_writer_new(struct segment_writer **ret, int dir_fd, const struct segment_header *h);
/* Ascending by hash, then seq. */
tm_err segment_writer_add(struct segment_writer *w, uint64_t hash, uint64_t seq);
uint64_t segment_writer_pages(const struct segment_writer *w);
/* On the disk under its name, opened for reading. */
tm_err segment_writer_end(struct segment_writer *w, struct segment **ret);
/* With what has been written, unless it was ended. */
void segment_writer_free(struct segment_writer *w);
