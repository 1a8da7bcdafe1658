/* Targets, ports and names of a scan, a line each: every number below the total stands for something that may be scanned and was asked for.
 * Lines begin with t, p, n, x, a for targets, ports, names, exclusions and allowances, the rest says which protocol.
 * Parser: issue/scan_plan.c */
#include "base/arena.h"
#include "issue/scan_plan.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 16 };

static void look(const struct scan_plan *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].first != sum || p->items[i].count == 0)
            abort();
        sum += p->items[i].count;
    }
    if (sum != p->total || p->total == 0 || p->total > SCAN_TOTAL_MAX)
        abort();
    for (unsigned i = 0; i < 16; i++) {
        struct scan_spot s = scan_plan_at(p, p->total ? (p->total - 1) / 15 * i % p->total : 0);
        if (s.port.port == 0 || s.port.protocol >= SCAN_PROTOCOLS ||
            (s.item->host && s.slot >= SCAN_HOST_ADDRESSES))
            abort();
        if (!s.item->host && !scan_plan_allows(p, &s.address) && !scan_plan_excludes(p, &s.address) &&
            s.item->span.octets == 4)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *v[5][LINES_MAX];
    struct scan_settings s = {.starttls = ""};
    struct json_strings *lists[] = {&s.targets, &s.ports, &s.names, &s.exclude, &s.allow};
    struct arena *a = arena_new(0);
    struct slice text = slice_of(data, size);
    struct scan_plan p;
    struct diag diag = {0};
    bool room = a != NULL && size < 4096;
    for (size_t i = 0; i < 5; i++)
        lists[i]->v = v[i];
    while (room && text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        const char *kinds = "tpnxa", *kind = n ? strchr(kinds, text.p[0]) : NULL;
        const char *line = arena_strndup(a, (const char *)text.p + (n > 0), n ? n - 1 : 0);
        struct json_strings *list = kind && *kind ? lists[kind - kinds] : NULL;
        if (!line)
            room = false;
        else if (!list)
            s.starttls = line;
        else if (list->n < LINES_MAX)
            list->v[list->n++] = line;
        text = slice_sub(text, n + 1, SIZE_MAX);
    }
    if (room && scan_plan_make(&p, a, &s, &diag) == TM_OK)
        look(&p);
    arena_free(a);
    return 0;
}
