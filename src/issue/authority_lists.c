#include "issue/authority_lists.h"
#include "base/arena.h"
#include "base/buf.h"
#include "policy/profile.h"
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 128, CHANGE_LEN = 12 };

/* ---- which list a certificate names ---- */

static unsigned shard_at(unsigned *ret_count, const struct authority_shards *v, size_t n, int64_t issued)
{
    *ret_count = 0;
    for (size_t i = 0; i < n && v[i].from <= issued; i++)
        *ret_count = v[i].count;
    return *ret_count ? (unsigned)((uint64_t)issued % *ret_count) : 0;
}

unsigned authority_shard(unsigned *ret_count, const struct authority *x, int64_t issued)
{
    return shard_at(ret_count, x->shards, x->n_shards, issued);
}

static struct authority_list *find(const struct authority *x, const char *profile)
{
    for (size_t i = 0; i < x->n_lists; i++)
        if (strcmp(x->lists[i].profile, profile) == 0)
            return &x->lists[i];
    return NULL;
}

const struct authority_list *authority_own_list(unsigned *ret_count, unsigned *ret_k,
                                                const struct authority *x, const char *profile,
                                                int64_t issued)
{
    const struct authority_list *l = find(x, profile);
    if (!l)
        return NULL;
    *ret_k = shard_at(ret_count, l->shards, l->n_shards, issued);
    return *ret_count ? l : NULL;
}

void authority_list_name(char out[CRL_LIST_NAME_MAX], const struct authority *x, const char *profile,
                         int64_t issued)
{
    unsigned count, k;
    const struct authority_list *l = authority_own_list(&count, &k, x, profile, issued);
    if (l && count == 1) {
        snprintf(out, CRL_LIST_NAME_MAX, "profile-%.63s", profile);
    } else if (l) {
        snprintf(out, CRL_LIST_NAME_MAX, "profile-%.63s.%u-%u", profile, count, k);
    } else {
        k = authority_shard(&count, x, issued);
        if (count)
            snprintf(out, CRL_LIST_NAME_MAX, "%u-%u", count, k);
        else
            snprintf(out, CRL_LIST_NAME_MAX, "full");
    }
}

/* ---- what is kept ---- */

static uint64_t number_at(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

tm_err authority_shards_read(struct authority *x, struct store *s, struct arena *a)
{
    struct store_read q = {.kind = READ_META,
                           .tenant = x->tenant,
                           .arena = a,
                           .name = arena_printf(a, "crl-shards/%s", x->name)};
    tm_err e = q.name ? store_read_now(s, &q) : TM_ENOMEM;
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    size_t n = q.value.n / CHANGE_LEN;
    x->shards = arena_calloc(a, n + 1, sizeof *x->shards);
    if (!x->shards)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = q.value.p + CHANGE_LEN * i;
        x->shards[i] = (struct authority_shards){.from = (int64_t)number_at(p, 8),
                                                 .count = (unsigned)number_at(p + 8, 4)};
    }
    x->n_shards = n;
    return TM_OK;
}

static tm_err read_lines(struct slice *ret, const struct authority *x, struct store *s, struct arena *a)
{
    struct store_read q = {
        .kind = READ_META, .tenant = x->tenant, .arena = a, .name = arena_printf(a, "crl-lists/%s", x->name)};
    tm_err e = q.name ? store_read_now(s, &q) : TM_ENOMEM;
    *ret = e == TM_OK ? q.value : (struct slice){0};
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static size_t count_lines(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

/* Every list has room for all changes: they are few. */
static struct authority_list *add(struct authority *x, struct arena *a, const char *profile, size_t changes)
{
    struct authority_list *l = &x->lists[x->n_lists];
    *l = (struct authority_list){.profile = arena_strdup(a, profile),
                                 .shards = arena_calloc(a, changes + 1, sizeof *l->shards),
                                 .lifetime = x->crl_lifetime,
                                 .every = x->crl_every,
                                 .on_revocation = x->crl_on_revocation};
    if (!l->profile || !l->shards)
        return NULL;
    x->n_lists++;
    return l;
}

static tm_err take_line(struct authority *x, struct arena *a, const char *line, size_t changes)
{
    long long from;
    unsigned count;
    char profile[64];
    int end = 0;
    if (sscanf(line, "%19lld %3u %63[a-z0-9-]%n", &from, &count, profile, &end) != 3 || line[end] ||
        count > AUTHORITY_SHARDS_MAX)
        return TM_ECORRUPT;
    struct authority_list *l = find(x, profile);
    if (!l)
        l = add(x, a, profile, changes);
    if (!l)
        return TM_ENOMEM;
    l->shards[l->n_shards++] = (struct authority_shards){.from = from, .count = count};
    return TM_OK;
}

tm_err authority_lists_read(struct authority *x, struct store *s, struct arena *a, size_t more)
{
    struct slice text;
    TM_TRY(read_lines(&text, x, s, a));
    size_t n = count_lines(text);
    if (n + more == 0)
        return TM_OK;
    x->lists = arena_calloc(a, n + more, sizeof *x->lists);
    if (!x->lists)
        return TM_ENOMEM;
    for (size_t at = 0; at < text.n;) {
        char line[LINE_MAX_LEN];
        size_t length = 0;
        while (at + length < text.n && text.p[at + length] != '\n')
            length++;
        if (length >= sizeof line)
            return TM_ECORRUPT;
        memcpy(line, text.p + at, length);
        line[length] = '\0';
        TM_TRY(take_line(x, a, line, n));
        at += length + 1;
    }
    return TM_OK;
}

void authority_list_want(struct authority *x, const char *profile, const struct profile_crl *own)
{
    struct authority_list *l = find(x, profile);
    if (!l) {
        l = &x->lists[x->n_lists++];
        *l = (struct authority_list){.profile = profile};
    }
    /* Where certificates name another authority's list they name no list of their profile's. */
    l->wanted = x->crl_issuer[0] || x->offline ? 0 : own->shards;
    l->lifetime = own->lifetime ? own->lifetime : x->crl_lifetime;
    l->every = own->every ? own->every : x->crl_every;
    l->delta = own->delta;
    l->on_revocation = own->on_revocation;
}

tm_err authority_lists_line(struct buf *out, const struct authority *x, struct store *s, struct arena *a,
                            const struct authority_list *list, int64_t from, struct diag *diag)
{
    struct slice text;
    TM_TRY(read_lines(&text, x, s, a));
    if (count_lines(text) >= AUTHORITY_LIST_CHANGES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/revocation/crl",
                         "lists of profiles were changed more than %d times at \"%s\"",
                         AUTHORITY_LIST_CHANGES_MAX, x->name);
    buf_put_slice(out, text);
    buf_printf(out, "%lld %u %s\n", (long long)from, list->wanted, list->profile);
    return buf_err(out);
}
