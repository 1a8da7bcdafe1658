#include "enroll/acme/issue_value.h"
#include <string.h>

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
    while (s.n > 0 && blank(s.p[0]))
        s = slice_sub(s, 1, s.n);
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* What stands before the next ";"; the rest moves behind it. */
static struct slice part(struct issue_value *v)
{
    const uint8_t *at = v->rest.n ? memchr(v->rest.p, ';', v->rest.n) : NULL;
    struct slice s = at ? slice_of(v->rest.p, (size_t)(at - v->rest.p)) : v->rest;
    v->rest = at ? slice_sub(v->rest, s.n + 1, v->rest.n) : (struct slice){0};
    return trim(s);
}

static bool printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    return true;
}

void issue_value_begin(struct issue_value *v, struct slice text)
{
    *v = (struct issue_value){.rest = text};
    v->issuer = part(v);
    v->bad = !printable(v->issuer);
}

bool issue_value_next(struct issue_value *v, struct slice *ret_tag, struct slice *ret_value)
{
    if (v->bad || v->rest.n == 0)
        return false;
    struct slice s = part(v);
    if (s.n == 0 && v->rest.n == 0)
        return false; /* a ";" at the end */
    const uint8_t *at = s.n ? memchr(s.p, '=', s.n) : NULL;
    struct slice tag = at ? trim(slice_of(s.p, (size_t)(at - s.p))) : (struct slice){0};
    struct slice value = at ? trim(slice_sub(s, (size_t)(at - s.p) + 1, s.n)) : (struct slice){0};
    v->bad = tag.n == 0 || !printable(tag) || !printable(value);
    *ret_tag = tag;
    *ret_value = value;
    return !v->bad;
}

bool issue_value_is_for(const struct issue_value *v, const struct json_strings *issuers)
{
    for (size_t i = 0; i < issuers->n; i++)
        if (slice_caseeq(v->issuer, slice_str(issuers->v[i])))
            return true;
    return false;
}
