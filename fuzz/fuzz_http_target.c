/* Request targets and routing: what parses is text without dot segments, its parts agree with the whole, and a route that is
 * found has all its parameters.
 * Parser: http/target.c http/route.c:route_find,leaf_find,node_find,bind_params,methods_served */
#include "base/arena.h"
#include "base/text.h"
#include "http/route.h"
#include "http/target.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void handler(struct http_request *r) {}

static const struct http_route routes[] = {
    {HTTP_M_GET, "/", handler, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/a/{x}/c", handler, HTTP_LISTENER_ANY},
    {HTTP_M_POST, "/a/b/{y}", handler, HTTP_LISTENER_PLAIN},
    {HTTP_M_GET, "/{p}/{q}/{r}/{rest...}", handler, HTTP_LISTENER_ANY},
    {HTTP_M_GET, "/ocsp/{rest...}", handler, HTTP_LISTENER_PLAIN},
    {0},
};
static const struct http_route *const all[] = {routes, NULL};

static void check_text(const char *text)
{
    struct slice s = slice_str(text);
    check(utf8_valid(s));
    for (size_t i = 0; i < s.n; i++)
        check(s.p[i] >= 0x20 && s.p[i] != 0x7f);
}

static void check_path(const struct target *t)
{
    check(t->path[0] == '/' && t->n_segments >= 1 && t->n_segments <= TARGET_SEGMENTS_MAX);
    check(!strstr(t->path, "/../") && !strstr(t->path, "/./"));
    check_text(t->path);
    const char *at = t->path;
    for (size_t i = 0; i < t->n_segments; i++) {
        size_t n = strlen(t->segment[i]);
        check(*at == '/' && t->tail[i] == at + 1 && strncmp(t->tail[i], t->segment[i], n) == 0);
        check(strcmp(t->segment[i], ".") != 0 && strcmp(t->segment[i], "..") != 0);
        at += n + 1;
    }
    check(*at == '\0');
}

static void check_route(const struct route_table *table, struct arena *a, const struct target *t,
                        unsigned method)
{
    struct route_match m;
    unsigned methods;
    tm_err err = route_find(&m, &methods, table, a, t, (enum http_method)method, HTTP_LISTENER_PLAIN);
    check(err == TM_OK || err == TM_ENOTFOUND || err == TM_ENOMEM || (err == TM_EUNSUPPORTED && methods));
    if (err != TM_OK)
        return;
    for (const struct http_param *p = m.params; p->name; p++)
        check_text(p->value);
}

static void parse_with_room(const struct route_table *table, struct slice raw, size_t room)
{
    struct arena *a = arena_new(room);
    struct target t;
    const char *detail = NULL;
    if (!a)
        return;
    tm_err err = target_parse(&t, a, raw, &detail);
    check(err == TM_OK || err == TM_EMALFORMED || err == TM_ETOOBIG || err == TM_ENOMEM);
    check(detail != NULL);
    if (err == TM_OK) {
        check_path(&t);
        for (const struct http_param *q = t.query; q->name; q++) {
            check_text(q->name);
            check_text(q->value);
        }
        check_route(table, a, &t, HTTP_M_GET);
        check_route(table, a, &t, HTTP_M_HEAD);
        check_route(table, a, &t, HTTP_M_POST);
    }
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route_table *table;
    if (size > 16 << 10 || route_table_new(&table, all, NULL) != TM_OK)
        return 0;
    parse_with_room(table, slice_of(data, size), 0);
    parse_with_room(table, slice_of(data, size), 64);
    route_table_free(table);
    return 0;
}
