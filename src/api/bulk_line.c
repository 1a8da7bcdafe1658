#include "api/bulk_line.h"
#include <string.h>

enum { MEMBERS = 6 };

/* Names and longest values, as api/enroll.c has them. */
static const struct {
    const char *name;
    size_t name_n, max;
} members[MEMBERS] = {
    {"id", 2, 200},       {"csr", 3, 128 << 10}, {"profile", 7, 63},
    {"endpoint", 8, 127}, {"device", 6, 200},    {"idempotency_key", 15, 200},
};

struct cursor {
    char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
        c->p++;
}

static bool take(struct cursor *c, char what)
{
    skip_space(c);
    if (c->p == c->end || *c->p != what)
        return false;
    c->p++;
    return true;
}

/* Octets that end a plain string, or that it may not have: controls, the quote, the backslash, all beyond ASCII. */
static bool plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* A string without escapes: *ret to *ret_end, which is its closing quote. */
static bool string(struct cursor *c, char **ret, char **ret_end)
{
    if (!take(c, '"'))
        return false;
    *ret = c->p;
    while (c->p < c->end && plain((unsigned char)*c->p))
        c->p++;
    if (c->p == c->end || *c->p != '"')
        return false;
    *ret_end = c->p++;
    return true;
}

static size_t member_of(const char *name, size_t n)
{
    size_t i = 0;
    while (i < MEMBERS && (members[i].name_n != n || memcmp(members[i].name, name, n) != 0))
        i++;
    return i;
}

bool bulk_line_read(struct bulk_line *ret, char *text, size_t n)
{
    struct cursor c = {text, text + n};
    char *value[MEMBERS] = {0}, *value_end[MEMBERS] = {0};
    if (!take(&c, '{'))
        return false;
    do {
        char *name, *name_end;
        if (!string(&c, &name, &name_end) || !take(&c, ':'))
            return false;
        size_t m = member_of(name, (size_t)(name_end - name));
        if (m == MEMBERS || value[m] || !string(&c, &value[m], &value_end[m]) ||
            (size_t)(value_end[m] - value[m]) > members[m].max)
            return false;
    } while (take(&c, ','));
    if (!take(&c, '}'))
        return false;
    skip_space(&c);
    if (c.p != c.end || !value[1])
        return false;
    for (size_t i = 0; i < MEMBERS; i++)
        if (value[i])
            *value_end[i] = '\0';
    *ret = (struct bulk_line){
        .id = value[0] ? value[0] : "",
        .csr = value[1],
        .profile = value[2] ? value[2] : "",
        .endpoint = value[3] ? value[3] : "",
        .device = value[4] ? value[4] : "",
        .idempotency_key = value[5] ? value[5] : "",
    };
    return true;
}
