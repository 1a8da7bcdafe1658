#include "store/sqlite/segment.h"
#include "store/sqlite/segment_format.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LEAPS_MAX =
        4, /* proportional guesses before a search halves: equal hashes in great numbers are not even */
};

const char segment_magic[8] = "tmindex1";

void segment_name(char out[SEGMENT_NAME_LEN + 1], uint64_t first_seq, uint64_t last_seq)
{
    snprintf(out, SEGMENT_NAME_LEN + 1, "%016llx-%016llx", (unsigned long long)first_seq,
             (unsigned long long)last_seq);
}

void segment_layout_make(struct segment_layout *ret, const struct segment_header *h)
{
    uint64_t at = 1;
    ret->pages = (h->entries + SEGMENT_PAGE_ENTRIES - 1) / SEGMENT_PAGE_ENTRIES;
    at += ret->pages;
    for (int kind = 0; kind < SEGMENT_KINDS; kind++) {
        uint64_t n = h->kind_entries[kind], blocks = n ? n * BITS_PER_KEY / (BLOCK_WORDS * 32) + 1 : 0;
        ret->filter[kind].page = at;
        ret->filter[kind].blocks = blocks;
        at += (blocks + PAGE_BLOCKS - 1) / PAGE_BLOCKS;
    }
    ret->end = at;
}

/* `n` pages from `number` on, verified. */
static tm_err pages_read(int fd, uint64_t first_seq, uint64_t number, size_t n, void *out)
{
    uint8_t *p = out;
    size_t want = n * SEGMENT_PAGE, have = 0;
    while (have < want) {
        ssize_t got = pread(fd, p + have, want - have, (off_t)(number * SEGMENT_PAGE + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return TM_EIO;
        if (got == 0)
            return TM_ECORRUPT;
        have += (size_t)got;
    }
    for (size_t i = 0; i < n; i++, p += SEGMENT_PAGE) {
        uint64_t sum;
        memcpy(&sum, p + SEGMENT_PAGE - sizeof sum, sizeof sum);
        if (sum != segment_page_sum(p, first_seq, number + i))
            return TM_ECORRUPT;
    }
    return TM_OK;
}

tm_err segment_read(const struct segment *g, uint64_t page, size_t n, struct segment_page *out)
{
    return pages_read(g->fd, g->h.first_seq, 1 + page, n, out);
}

void segment_ahead(const struct segment *g, uint64_t page, size_t n)
{
    if (page < g->at.pages)
        posix_fadvise(g->fd, (off_t)((1 + page) * SEGMENT_PAGE), (off_t)(n * SEGMENT_PAGE),
                      POSIX_FADV_WILLNEED);
}

/* ---- open and close ---- */

static tm_err header_read(struct segment *g, const char *name, const uint8_t identity[16])
{
    uint8_t page[SEGMENT_PAGE];
    char right[SEGMENT_NAME_LEN + 1];
    unsigned long long first;
    struct stat st;
    if (sscanf(name, "%16llx-", &first) != 1)
        return TM_ECORRUPT;
    TM_TRY(pages_read(g->fd, first, 0, 1, page));
    memcpy(&g->h, page, sizeof g->h);
    segment_name(right, g->h.first_seq, g->h.last_seq);
    if (memcmp(g->h.magic, segment_magic, sizeof segment_magic) != 0 ||
        memcmp(g->h.identity, identity, sizeof g->h.identity) != 0 || strcmp(name, right) != 0)
        return TM_ECORRUPT;
    segment_layout_make(&g->at, &g->h);
    if (fstat(g->fd, &st) != 0)
        return TM_EIO;
    return (uint64_t)st.st_size == g->at.end * SEGMENT_PAGE ? TM_OK : TM_ECORRUPT;
}

tm_err segment_open(struct segment **ret, int dir_fd, const char *name, const uint8_t identity[16])
{
    struct segment *g = calloc(1, sizeof *g);
    if (!g)
        return TM_ENOMEM;
    g->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    tm_err err = g->fd >= 0 ? header_read(g, name, identity) : errno == ENOENT ? TM_ENOTFOUND : TM_EIO;
    if (err != TM_OK) {
        segment_free(g);
        return err;
    }
    /* Look-ups leap: what the kernel would read along, which may be megabytes, is only in their way. */
    posix_fadvise(g->fd, 0, 0, POSIX_FADV_RANDOM);
    *ret = g;
    return TM_OK;
}

static uint64_t filter_pages(const struct segment *g, int kind)
{
    return (g->at.filter[kind].blocks + PAGE_BLOCKS - 1) / PAGE_BLOCKS;
}

void segment_forget(struct segment *g, struct segment_memory *memory)
{
    for (int kind = 0; kind < SEGMENT_KINDS; kind++) {
        _Atomic(uint8_t *) *pages = atomic_load(&g->cache[kind]);
        if (!pages)
            continue;
        for (uint64_t i = 0; i < filter_pages(g, kind); i++) {
            uint8_t *page = atomic_load_explicit(&pages[i], memory_order_relaxed);
            if (page)
                atomic_fetch_sub_explicit(&memory->used[kind], SEGMENT_PAGE, memory_order_relaxed);
            free(page);
        }
        free(pages);
        atomic_store(&g->cache[kind], NULL);
    }
}

void segment_free(struct segment *g)
{
    if (!g)
        return;
    struct segment_memory uncounted = {0};
    segment_forget(g, &uncounted);
    if (g->fd >= 0)
        close(g->fd);
    free(g);
}

tm_err segment_check(const struct segment *g)
{
    enum { AT_ONCE = 16 };
    uint8_t pages[AT_ONCE * SEGMENT_PAGE];
    for (uint64_t at = 0; at < g->at.end;) {
        size_t n = g->at.end - at < AT_ONCE ? (size_t)(g->at.end - at) : AT_ONCE;
        TM_TRY(pages_read(g->fd, g->h.first_seq, at, n, pages));
        at += n;
    }
    return TM_OK;
}

/* ---- the filter ---- */

/* The place of a kind's pages in memory; NULL without memory. */
static _Atomic(uint8_t *) *cache_of(struct segment *g, int kind)
{
    _Atomic(uint8_t *) *pages = atomic_load_explicit(&g->cache[kind], memory_order_acquire), *none = NULL;
    if (pages)
        return pages;
    pages = calloc(filter_pages(g, kind), sizeof *pages);
    if (!pages || atomic_compare_exchange_strong(&g->cache[kind], &none, pages))
        return pages;
    free(pages);
    return none;
}

/* A page of a filter: from memory, else read, and kept while there is room. `copy` is used when it is not. */
static tm_err filter_page(const struct filter_page **ret, struct segment *g, int kind, uint64_t i, void *copy,
                          struct segment_memory *memory)
{
    _Atomic(uint8_t *) *pages = cache_of(g, kind);
    uint8_t *page = pages ? atomic_load_explicit(&pages[i], memory_order_acquire) : NULL;
    if (!page) {
        if (pages && atomic_load_explicit(&memory->used[kind], memory_order_relaxed) < memory->most[kind])
            page = malloc(SEGMENT_PAGE);
        uint8_t *into = page ? page : copy, *none = NULL;
        tm_err err = pages_read(g->fd, g->h.first_seq, g->at.filter[kind].page + i, 1, into);
        if (err != TM_OK) {
            free(page);
            return err;
        }
        if (page && atomic_compare_exchange_strong(&pages[i], &none, page)) {
            atomic_fetch_add_explicit(&memory->used[kind], SEGMENT_PAGE, memory_order_relaxed);
        } else if (page) {
            free(page);
            into = none;
        }
        page = into;
    }
    *ret = (const struct filter_page *)(const void *)page;
    return TM_OK;
}

void segment_expect(struct segment *g, uint64_t hash)
{
    int kind = (int)(hash % SEGMENT_KINDS);
    uint64_t blocks = g->at.filter[kind].blocks, page = hash_share(hash, blocks) / PAGE_BLOCKS;
    _Atomic(uint8_t *) *pages = atomic_load_explicit(&g->cache[kind], memory_order_acquire);
    if (blocks == 0 || (pages && atomic_load_explicit(&pages[page], memory_order_relaxed)))
        return;
    posix_fadvise(g->fd, (off_t)((g->at.filter[kind].page + page) * SEGMENT_PAGE), SEGMENT_PAGE,
                  POSIX_FADV_WILLNEED);
}

static tm_err filter_passes(bool *ret, struct segment *g, uint64_t hash, struct segment_memory *memory)
{
    int kind = (int)(hash % SEGMENT_KINDS);
    *ret = false;
    if (g->at.filter[kind].blocks == 0)
        return TM_OK;
    uint64_t block = hash_share(hash, g->at.filter[kind].blocks), copy[SEGMENT_PAGE / sizeof(uint64_t)];
    const struct filter_page *page;
    TM_TRY(filter_page(&page, g, kind, block / PAGE_BLOCKS, copy, memory));
    uint32_t bits[BLOCK_WORDS], missing = 0;
    filter_bits(bits, hash);
    for (int i = 0; i < BLOCK_WORDS; i++)
        missing |= bits[i] & ~page->block[block % PAGE_BLOCKS][i];
    *ret = missing == 0;
    return TM_OK;
}

/* ---- search ---- */

/* What is looked for: the first entry that is not below (hash, row). */
struct target {
    uint64_t hash, row;
};

static bool below(const struct segment_page *p, size_t i, const struct target *t)
{
    return p->hash[i] < t->hash || (p->hash[i] == t->hash && p->row[i] < t->row);
}

static size_t lower_bound(const struct segment_page *p, size_t n, const struct target *t)
{
    size_t low = 0;
    while (low < n) {
        size_t mid = (low + n) / 2;
        if (below(p, mid, t))
            low = mid + 1;
        else
            n = mid;
    }
    return low;
}

/* How many entries of the segment are below the target. *at, if set, is the page that is in `p` then. */
static tm_err position(const struct segment *g, const struct target *t, struct segment_page *p, uint64_t *at,
                       uint64_t *ret)
{
    uint64_t low = 0, high = g->at.pages; /* it is on a page from low to high, or at the beginning of high */
    uint64_t guess = hash_share(t->hash, high);
    for (int leaps = 0; low < high; leaps++) {
        size_t n = segment_page_entries(g, guess);
        TM_TRY(segment_read(g, guess, 1, p));
        *at = guess;
        if (!below(p, 0, t)) {
            high = guess;
            guess -= hash_share(p->hash[0] - t->hash, g->at.pages) + 1;
        } else if (below(p, n - 1, t)) {
            low = guess + 1;
            guess += hash_share(t->hash - p->hash[n - 1], g->at.pages) + 1;
        } else {
            *ret = guess * SEGMENT_PAGE_ENTRIES + lower_bound(p, n, t);
            return TM_OK;
        }
        /* Also when it went below zero. */
        if (leaps >= LEAPS_MAX)
            guess = (low + high) / 2;
        else if (guess - low >= high - low)
            guess = guess >= high && guess <= g->at.pages * 2 ? high - 1 : low;
    }
    uint64_t all = g->h.entries, begin = low * SEGMENT_PAGE_ENTRIES;
    *ret = begin < all ? begin : all;
    return TM_OK;
}

tm_err segment_find(struct segment *g, uint64_t hash, uint64_t before_seq, uint64_t *out, size_t max,
                    size_t *ret_n, struct segment_memory *memory)
{
    *ret_n = 0;
    if (g->h.entries == 0 || g->h.first_seq >= before_seq || max == 0)
        return TM_OK;
    bool passes;
    TM_TRY(filter_passes(&passes, g, hash, memory));
    if (!passes)
        return TM_OK;
    struct segment_page p;
    struct target t = {.hash = hash, .row = before_seq - g->h.first_seq};
    uint64_t at = UINT64_MAX, end;
    TM_TRY(position(g, &t, &p, &at, &end));
    while (end > 0 && *ret_n < max) {
        end--;
        if (at != end / SEGMENT_PAGE_ENTRIES) {
            at = end / SEGMENT_PAGE_ENTRIES;
            TM_TRY(segment_read(g, at, 1, &p));
        }
        if (p.hash[end % SEGMENT_PAGE_ENTRIES] != hash)
            break;
        out[(*ret_n)++] = g->h.first_seq + p.row[end % SEGMENT_PAGE_ENTRIES];
    }
    return TM_OK;
}
