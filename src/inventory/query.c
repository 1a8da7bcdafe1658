#include "inventory/query.h"
#include "base/arena.h"
#include <string.h>

enum { FIELD_NAME_MAX = 24, VALUES_MAX = 64 };

struct parser {
    struct arena *a;
    const char *text;
    size_t n, at, terms, depth;
    const struct query_env *env;
    struct diag *diag;
};

static tm_err refuse(const struct parser *p, size_t at, const char *what)
{
    if (p->diag)
        p->diag->offset = at;
    return diag_fail(p->diag, TM_EINVAL, NULL, "query", "at character %zu: %s", at + 1, what);
}

/* ---- characters ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->n && is_space(p->text[p->at]))
        p->at++;
}

/* OR, AND and NOT, in capitals and alone. */
static bool keyword(struct parser *p, const char *word, bool take)
{
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0)
        return false;
    char next = p->at + n < p->n ? p->text[p->at + n] : ' ';
    if (!is_space(next) && next != '(' && next != ')')
        return false;
    p->at += take ? n : 0;
    return true;
}

/* ---- words and values ---- */

static bool ends_word(char c, bool lists)
{
    return is_space(c) || c == '(' || c == ')' || c == '"' || (lists && c == ',');
}

/* Where the text in quotes that begins at `at` ends; p->n: nowhere. */
static size_t quote_end(const struct parser *p, size_t at)
{
    for (at++; at < p->n && p->text[at] != '"'; at++)
        at += p->text[at] == '\\' && at + 1 < p->n;
    return at;
}

/* Up to a space, a parenthesis or (with `lists`) a comma; or what is between quotes, where \ takes the next character as it is. */
static tm_err word_read(struct query_word *ret, struct parser *p, bool lists)
{
    bool quoted = p->at < p->n && p->text[p->at] == '"';
    size_t begun = p->at, end = begun, n = 0;
    if (quoted)
        end = quote_end(p, begun);
    else
        while (end < p->n && !ends_word(p->text[end], lists))
            end++;
    if (quoted && end >= p->n)
        return refuse(p, begun, "this quotation mark has no end");
    char *out = arena_alloc(p->a, end - begun + 1);
    if (!out)
        return arena_err(p->a);
    for (size_t i = begun + quoted; i < end; i++) {
        if (quoted && p->text[i] == '\\' && i + 1 < end)
            i++;
        out[n++] = p->text[i];
    }
    out[n] = '\0';
    *ret = (struct query_word){.text = out, .quoted = quoted, .at = begun};
    p->at = end + quoted;
    return TM_OK;
}

static tm_err values_read(struct parser *p, struct query_term *t)
{
    bool lists = query_field_lists(t->field);
    t->values = arena_calloc(p->a, VALUES_MAX, sizeof *t->values);
    if (!t->values)
        return arena_err(p->a);
    bool more;
    do {
        if (t->n == VALUES_MAX)
            return refuse(p, p->at, "too many values in one list");
        size_t at = p->at;
        TM_TRY(word_read(&t->values[t->n], p, lists));
        if (!t->values[t->n].text[0] && !t->values[t->n].quoted)
            return refuse(p, at, "a value is missing; write field:value, without a space");
        t->n++;
        more = lists && p->at < p->n && p->text[p->at] == ',';
        p->at += more;
    } while (more);
    if (p->at < p->n && !is_space(p->text[p->at]) && p->text[p->at] != '(' && p->text[p->at] != ')')
        return refuse(p, p->at, "a space is missing here");
    return TM_OK;
}

/* What has a colon and is no field: an address (fe80::1), a fingerprint (AB:CD:EF), a resource identifier (https://…, urn:…). */
static bool is_identifier(const struct parser *p, const char *name, size_t at)
{
    if (strlen(name) < 2 || strcmp(name, "urn") == 0 || (at < p->n && p->text[at] == '/'))
        return true;
    while (at < p->n && !is_space(p->text[at]) && p->text[at] != ':')
        at++;
    return at < p->n && p->text[at] == ':';
}

/* A field's name and what stands behind it. False: no field begins here. */
static bool field_read(struct parser *p, struct query_term *t, char name[FIELD_NAME_MAX + 1])
{
    size_t n = 0, at = p->at;
    for (; at < p->n && is_letter(p->text[at]) && n < FIELD_NAME_MAX; at++)
        name[n++] = (char)(p->text[at] >= 'A' && p->text[at] <= 'Z' ? p->text[at] + 'a' - 'A' : p->text[at]);
    name[n] = '\0';
    if (n == 0 || at == p->n)
        return false;
    char c = p->text[at], next = at + 1 < p->n ? p->text[at + 1] : ' ';
    if (c != ':' && c != '<' && c != '>')
        return false;
    bool equal = c != ':' && next == '=';
    if (c == ':' && !query_field_known(name) && is_identifier(p, name, at + 1))
        return false;
    t->op = c == ':'   ? QUERY_IS
            : c == '<' ? (equal ? QUERY_AT_MOST : QUERY_LESS)
            : equal    ? QUERY_AT_LEAST
                       : QUERY_MORE;
    t->at = p->at;
    p->at = at + 1 + equal;
    return true;
}

/* ---- grammar ---- */

static tm_err any_read(struct parser *p, struct cert_test *ret);

struct parts {
    struct cert_test *v;
    size_t n, cap;
};

static tm_err parts_add(struct parser *p, struct parts *x, struct cert_test one)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 4;
        struct cert_test *v = arena_calloc(p->a, cap, sizeof *v);
        if (!v)
            return arena_err(p->a);
        if (x->n)
            memcpy(v, x->v, x->n * sizeof *v);
        x->v = v;
        x->cap = cap;
    }
    x->v[x->n++] = one;
    return TM_OK;
}

static struct cert_test joined(const struct parts *x, enum cert_test_kind kind)
{
    return x->n == 1 ? x->v[0] : (struct cert_test){.kind = kind, .parts = x->v, .n = x->n};
}

static bool word_begins(struct parser *p)
{
    char name[FIELD_NAME_MAX + 1];
    struct query_term t;
    size_t at = p->at;
    if (p->at == p->n || p->text[p->at] == '(' || p->text[p->at] == ')' || p->text[p->at] == '-' ||
        keyword(p, "OR", false) || keyword(p, "AND", false) || keyword(p, "NOT", false))
        return false;
    bool field = field_read(p, &t, name);
    p->at = at;
    return !field;
}

/* Words side by side: one, with a space between. */
static tm_err words_read(struct parser *p, struct query_term *t)
{
    struct query_word one = {.text = ""};
    char *whole = arena_alloc(p->a, p->n - p->at + 1);
    size_t n = 0;
    if (!whole)
        return arena_err(p->a);
    t->values = arena_calloc(p->a, 1, sizeof *t->values);
    if (!t->values)
        return arena_err(p->a);
    t->values[0] = (struct query_word){.text = whole, .at = p->at, .quoted = false};
    t->n = 1;
    do {
        TM_TRY(word_read(&one, p, false));
        size_t k = strlen(one.text);
        if (n)
            whole[n++] = ' ';
        memcpy(whole + n, one.text, k);
        n += k;
        t->values[0].quoted |= one.quoted;
        skip_space(p);
    } while (word_begins(p));
    whole[n] = '\0';
    return TM_OK;
}

static tm_err term_read(struct parser *p, struct cert_test *ret)
{
    struct query_term t = {.at = p->at};
    char *name = arena_alloc(p->a, FIELD_NAME_MAX + 1);
    if (!name)
        return arena_err(p->a);
    if (++p->terms > QUERY_TERMS_MAX)
        return refuse(p, p->at, "too many terms");
    if (field_read(p, &t, name)) {
        t.field = name;
        TM_TRY(values_read(p, &t));
    } else {
        TM_TRY(words_read(p, &t));
    }
    return query_term_test(ret, p->a, &t, p->env, p->diag);
}

static tm_err one_read(struct parser *p, struct cert_test *ret)
{
    skip_space(p);
    size_t at = p->at;
    if (p->at == p->n)
        return refuse(p, at, "something is missing behind this");
    if (p->text[p->at] == ')')
        return refuse(p, at, "there is nothing in these parentheses");
    if (p->text[p->at] != '(')
        return term_read(p, ret);
    if (++p->depth > QUERY_DEPTH_MAX)
        return refuse(p, at, "too many parentheses in one another");
    p->at++;
    TM_TRY(any_read(p, ret));
    skip_space(p);
    if (p->at == p->n || p->text[p->at] != ')')
        return refuse(p, at, "this parenthesis has no end");
    p->at++;
    p->depth--;
    return TM_OK;
}

static tm_err negated(struct parser *p, struct cert_test *one)
{
    struct cert_test *inner = arena_calloc(p->a, 1, sizeof *inner);
    if (!inner)
        return arena_err(p->a);
    *inner = *one;
    *one = (struct cert_test){.kind = CERT_TEST_NOT, .parts = inner, .n = 1};
    return TM_OK;
}

static tm_err all_read(struct parser *p, struct cert_test *ret)
{
    struct parts x = {0};
    for (;;) {
        skip_space(p);
        if (x.n && (p->at == p->n || p->text[p->at] == ')' || keyword(p, "OR", false)))
            break;
        if (x.n && keyword(p, "AND", true))
            skip_space(p);
        bool minus = p->at < p->n && p->text[p->at] == '-';
        p->at += minus;
        bool no = minus || keyword(p, "NOT", true);
        struct cert_test one = {0};
        TM_TRY(one_read(p, &one));
        if (no)
            TM_TRY(negated(p, &one));
        TM_TRY(parts_add(p, &x, one));
    }
    *ret = joined(&x, CERT_TEST_ALL);
    return TM_OK;
}

static tm_err any_read(struct parser *p, struct cert_test *ret)
{
    struct parts x = {0};
    do {
        struct cert_test one = {0};
        TM_TRY(all_read(p, &one));
        TM_TRY(parts_add(p, &x, one));
        skip_space(p);
    } while (keyword(p, "OR", true));
    *ret = joined(&x, CERT_TEST_ANY);
    return TM_OK;
}

tm_err query_parse(struct cert_test *ret, struct arena *a, struct slice text, const struct query_env *env,
                   struct diag *diag)
{
    if (text.n > QUERY_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "query", "a query has at most %d characters", QUERY_MAX);
    struct parser p = {.a = a, .text = (const char *)text.p, .n = text.n, .env = env, .diag = diag};
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 && !is_space((char)text.p[i]))
            return refuse(&p, i, "a control character");
    skip_space(&p);
    if (p.at == p.n) {
        *ret = (struct cert_test){.kind = CERT_TEST_ALL};
        return TM_OK;
    }
    struct cert_test test = {0};
    TM_TRY(any_read(&p, &test));
    if (p.at < p.n)
        return refuse(&p, p.at, "this parenthesis has no beginning");
    *ret = test;
    return TM_OK;
}
