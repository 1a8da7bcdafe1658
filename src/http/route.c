#include "http/route.h"
#include "base/arena.h"
#include "http/target.h"
#include <stdlib.h>

struct leaf {
    const struct http_route *route;
    struct leaf *next;
};

struct node {
    char *literal; /* NULL at the root and for parameters */
    struct node *children, *next;
    struct node *param;
    struct leaf *here; /* routes that end at this segment */
    struct leaf *rest; /* routes that take this node's remainder */
};

struct route_table {
    struct node root;
};

static void node_done(struct node *n)
{
    for (struct node *c = n->children, *next; c; c = next) {
        next = c->next;
        node_done(c);
        free(c);
    }
    if (n->param)
        node_done(n->param);
    free(n->param);
    for (struct leaf *l = n->here, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    for (struct leaf *l = n->rest, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    free(n->literal);
}

void route_table_free(struct route_table *t)
{
    if (!t)
        return;
    node_done(&t->root);
    free(t);
}

/* ---- building ---- */

static tm_err child_literal(struct node **ret, struct node *n, const char *text, size_t len)
{
    for (struct node *c = n->children; c; c = c->next) {
        if (strlen(c->literal) == len && memcmp(c->literal, text, len) == 0) {
            *ret = c;
            return TM_OK;
        }
    }
    struct node *c = calloc(1, sizeof *c);
    char *literal = strndup(text, len);
    if (!c || !literal) {
        free(c);
        free(literal);
        return TM_ENOMEM;
    }
    c->literal = literal;
    c->next = n->children;
    n->children = c;
    *ret = c;
    return TM_OK;
}

static tm_err leaf_add(struct leaf **list, const struct http_route *r, struct diag *diag)
{
    for (struct leaf *l = *list; l; l = l->next)
        if ((l->route->methods & r->methods) && (l->route->listeners & r->listeners))
            return diag_fail(diag, TM_ECONFLICT, NULL, r->pattern, "the route %s is there already as %s",
                             r->pattern, l->route->pattern);
    struct leaf *l = calloc(1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    l->route = r;
    l->next = *list;
    *list = l;
    return TM_OK;
}

static tm_err route_add(struct route_table *t, const struct http_route *r, struct diag *diag)
{
    struct node *n = &t->root;
    const char *p = r->pattern;
    if (*p != '/' || !r->handler || !r->methods)
        return diag_fail(diag, TM_EINVAL, NULL, r->pattern, "a route needs a path, a method and a handler");
    while (*p) {
        p++;
        size_t len = strcspn(p, "/");
        bool last = p[len] == '\0';
        if (len > 5 && p[0] == '{' && memcmp(p + len - 4, "...}", 4) == 0) {
            if (!last)
                return diag_fail(diag, TM_EINVAL, NULL, r->pattern,
                                 "only the last segment can take the rest");
            return leaf_add(&n->rest, r, diag);
        }
        if (len > 2 && p[0] == '{' && p[len - 1] == '}') {
            if (!n->param && !(n->param = calloc(1, sizeof *n->param)))
                return TM_ENOMEM;
            n = n->param;
        } else {
            TM_TRY(child_literal(&n, n, p, len));
        }
        p += len;
    }
    return leaf_add(&n->here, r, diag);
}

tm_err route_table_new(struct route_table **ret, const struct http_route *const *routes, struct diag *diag)
{
    struct route_table *t = calloc(1, sizeof *t);
    if (!t)
        return TM_ENOMEM;
    for (; routes && *routes; routes++) {
        for (const struct http_route *r = *routes; r->pattern; r++) {
            tm_err err = route_add(t, r, diag);
            if (err != TM_OK) {
                route_table_free(t);
                return err;
            }
        }
    }
    *ret = t;
    return TM_OK;
}

/* ---- looking up ---- */

struct search {
    const struct target *target;
    unsigned method, kind;
    unsigned methods; /* that other routes of matching patterns serve */
};

static unsigned methods_served(const struct http_route *r)
{
    return r->methods | (r->methods & HTTP_M_GET ? HTTP_M_HEAD : 0);
}

static const struct http_route *leaf_find(struct search *s, const struct leaf *l)
{
    for (; l; l = l->next) {
        if (!(l->route->listeners & s->kind))
            continue;
        unsigned methods = methods_served(l->route);
        if (methods & s->method)
            return l->route;
        s->methods |= methods;
    }
    return NULL;
}

/* Depth is bounded by the patterns, not by the path: nothing is looked for below a node without children. */
static const struct http_route *node_find(struct search *s, const struct node *n, size_t i)
{
    const struct http_route *found = NULL;
    if (i == s->target->n_segments)
        return leaf_find(s, n->here);
    const char *segment = s->target->segment[i];
    for (const struct node *c = n->children; c && !found; c = c->next)
        if (strcmp(c->literal, segment) == 0)
            found = node_find(s, c, i + 1);
    if (!found && n->param && *segment)
        found = node_find(s, n->param, i + 1);
    return found ? found : leaf_find(s, n->rest);
}

/* Segment i of the pattern belongs to segment i of the path, so that values need no notes taken on the way. */
static const struct http_param *bind_params(struct arena *a, const char *pattern, const struct target *t)
{
    static const struct http_param none = {0};
    size_t n = 0, k = 0;
    for (const char *p = pattern; *p; p++)
        n += *p == '{';
    if (n == 0)
        return &none;
    struct http_param *params = arena_calloc(a, n + 1, sizeof *params);
    if (!params)
        return NULL;
    for (size_t i = 0; *pattern; i++) {
        pattern++;
        size_t len = strcspn(pattern, "/");
        if (pattern[0] == '{') {
            bool rest = len > 5 && memcmp(pattern + len - 4, "...}", 4) == 0;
            params[k].name = arena_strndup(a, pattern + 1, len - (rest ? 5 : 2));
            params[k].value = rest ? t->tail[i] : t->segment[i];
            if (!params[k++].name)
                return NULL;
        }
        pattern += len;
    }
    return params;
}

tm_err route_find(struct route_match *ret, unsigned *ret_methods, const struct route_table *t,
                  struct arena *a, const struct target *target, enum http_method method,
                  unsigned listener_kind)
{
    struct search s = {.target = target, .method = method, .kind = listener_kind};
    const struct http_route *r = node_find(&s, &t->root, 0);
    if (!r) {
        *ret_methods = s.methods;
        return s.methods ? TM_EUNSUPPORTED : TM_ENOTFOUND;
    }
    const struct http_param *params = bind_params(a, r->pattern, target);
    if (!params)
        return TM_ENOMEM;
    ret->route = r;
    ret->params = params;
    return TM_OK;
}
