/* Texts by number: a file of entries in the order in which they were met. An entry is on the disk before a block that uses it. */
#include "store/sqlite/columns.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_HEAD = 16, FILE_MAX = NAME_LISTS * NAMES_MAX * (ENTRY_HEAD + NAME_OCTETS_MAX) };

struct file_head {
    char magic[8];
    uint8_t identity[16];
};
static const char magic[8] = "TMNAMES1";

struct entry_head {
    uint32_t list, n;
    uint64_t sum; /* of list, n and the text */
};

static uint32_t name_hash(struct slice text)
{
    uint32_t h = 2166136261u; /* FNV-1a; names are few, and bounded */
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ text.p[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool list_grow(struct name_list *l)
{
    if (l->n < l->cap && l->n_heads)
        return true;
    size_t cap = l->cap ? l->cap * 2 : 16, n_heads = cap * 2;
    char **v = realloc(l->v, cap * sizeof *v);
    if (!v)
        return false;
    l->v = v;
    uint16_t *heads = calloc(n_heads, sizeof *heads);
    if (!heads)
        return false;
    for (size_t i = 0; i < l->n; i++) {
        size_t at = name_hash(slice_str(l->v[i])) % n_heads;
        while (heads[at])
            at = (at + 1) % n_heads;
        heads[at] = (uint16_t)(i + 1);
    }
    free(l->heads);
    l->heads = heads;
    l->n_heads = n_heads;
    l->cap = cap;
    return true;
}

static uint16_t list_add(struct name_list *l, struct slice text)
{
    if (text.n > NAME_OCTETS_MAX || l->n == NAMES_MAX ||
        memchr(text.p ? text.p : (const uint8_t *)"", 0, text.n) || !list_grow(l))
        return NAME_OTHER;
    char *copy = malloc(text.n + 1);
    if (!copy)
        return NAME_OTHER;
    if (text.n)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    size_t at = name_hash(text) % l->n_heads;
    while (l->heads[at])
        at = (at + 1) % l->n_heads;
    l->v[l->n++] = copy;
    l->heads[at] = (uint16_t)l->n;
    return (uint16_t)(l->n - 1);
}

uint16_t names_number(struct names *n, int list, struct slice text)
{
    struct name_list *l = &n->lists[list];
    if (l->n_heads)
        for (size_t at = name_hash(text) % l->n_heads; l->heads[at]; at = (at + 1) % l->n_heads)
            if (slice_eq_str(text, l->v[l->heads[at] - 1]))
                return (uint16_t)(l->heads[at] - 1);
    return list_add(l, text);
}

void names_done(struct names *n)
{
    for (int i = 0; i < NAME_LISTS; i++) {
        for (size_t k = 0; k < n->lists[i].n; k++)
            free(n->lists[i].v[k]);
        free(n->lists[i].v);
        free(n->lists[i].heads);
    }
    *n = (struct names){0};
}

/* ---- the file ---- */

static uint64_t entry_sum(const struct entry_head *e, const char *text)
{
    uint8_t whole[8 + NAME_OCTETS_MAX + 8] = {0};
    memcpy(whole, e, 8);
    memcpy(whole + 8, text, e->n);
    return column_sum(whole, (8 + (size_t)e->n + 7) / 8 * 8);
}

static bool put_all(int fd, const void *p, size_t n, int64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const uint8_t *)p + done, n - done, (off_t)at + (off_t)done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

static tm_err write_error(void)
{
    return errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
}

static tm_err file_begin(struct columns *c, const uint8_t identity[16])
{
    struct file_head head;
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.identity, identity, sizeof head.identity);
    if (ftruncate(c->names_fd, 0) != 0 || !put_all(c->names_fd, &head, sizeof head, 0))
        return write_error();
    c->names.end = sizeof head;
    return TM_OK;
}

tm_err names_save(struct columns *c, const uint8_t identity[16])
{
    struct names *n = &c->names;
    size_t before = 0, now = 0;
    for (int i = 0; i < NAME_LISTS; i++) {
        before += n->written[i];
        now += n->lists[i].n;
    }
    if (before == now && n->end)
        return TM_OK;
    if (n->end == 0)
        TM_TRY(file_begin(c, identity));
    int64_t at = n->end;
    for (uint32_t i = 0; i < NAME_LISTS; i++)
        for (size_t k = n->written[i]; k < n->lists[i].n; k++) {
            const char *text = n->lists[i].v[k];
            struct entry_head e = {.list = i, .n = (uint32_t)strlen(text)};
            e.sum = entry_sum(&e, text);
            if (!put_all(c->names_fd, &e, sizeof e, at) || !put_all(c->names_fd, text, e.n, at + ENTRY_HEAD))
                return write_error();
            at += ENTRY_HEAD + e.n;
        }
    if (fdatasync(c->names_fd) != 0)
        return write_error();
    n->end = at;
    for (int i = 0; i < NAME_LISTS; i++)
        n->written[i] = n->lists[i].n;
    return TM_OK;
}

/* What is behind the first entry that is not whole was never used, or columns_file.c misses it. */
static void entries_take(struct names *n, const uint8_t *p, size_t size)
{
    size_t at = sizeof(struct file_head);
    while (at + ENTRY_HEAD <= size) {
        struct entry_head e;
        memcpy(&e, p + at, sizeof e);
        if (e.list >= NAME_LISTS || e.n > NAME_OCTETS_MAX || e.n > size - at - ENTRY_HEAD ||
            entry_sum(&e, (const char *)p + at + ENTRY_HEAD) != e.sum)
            break;
        size_t had = n->lists[e.list].n;
        if (names_number(n, (int)e.list, slice_of(p + at + ENTRY_HEAD, e.n)) != had)
            break;
        at += ENTRY_HEAD + e.n;
    }
    n->end = (int64_t)at;
    for (int i = 0; i < NAME_LISTS; i++)
        n->written[i] = n->lists[i].n;
}

tm_err names_load(struct columns *c, const uint8_t identity[16])
{
    _Static_assert(sizeof(struct entry_head) == ENTRY_HEAD, "the file's layout");
    struct stat st;
    struct file_head head;
    names_done(&c->names);
    if (fstat(c->names_fd, &st) != 0)
        return TM_EIO;
    if (st.st_size < (off_t)sizeof head || st.st_size > FILE_MAX)
        return TM_OK;
    size_t size = (size_t)st.st_size, got = 0;
    uint8_t *p = malloc(size);
    if (!p)
        return TM_ENOMEM;
    while (got < size) {
        ssize_t k = pread(c->names_fd, p + got, size - got, (off_t)got);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        got += (size_t)k;
    }
    if (got >= sizeof head) {
        memcpy(&head, p, sizeof head);
        if (memcmp(head.magic, magic, sizeof magic) == 0 &&
            memcmp(head.identity, identity, sizeof head.identity) == 0)
            entries_take(&c->names, p, got);
    }
    free(p);
    return TM_OK;
}
