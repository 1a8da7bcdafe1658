#include "gateway/gateway.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "gateway/impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 256 << 10, RELAYS = 8, HTTP_PORT = 80 };

#define IN_LISTEN(m) (offsetof(struct gateway_config, listen.m) - offsetof(struct gateway_config, listen))
static const struct json_field listen_schema[] = {
    {.key = "address",
     .kind = JSON_K_STRING,
     .offset = IN_LISTEN(address),
     .max = 64,
     .def = "127.0.0.1",
     .doc = "where it answers, plain HTTP"},
    {.key = "port", .kind = JSON_K_INT, .offset = IN_LISTEN(port), .max = 65535, .def = "8088"},
    {0},
};
const struct json_field gateway_schema[] = {
    JSON_FIELD(struct gateway_config, upstream, JSON_K_STRING, .required = true, .max = 200,
               .doc = "the house's plain listener, http://host[:port]"),
    JSON_FIELD(struct gateway_config, state, JSON_K_STRING, .required = true, .max = 3000,
               .doc = "directory for what was fetched"),
    JSON_FIELD(struct gateway_config, authorities, JSON_K_STRINGS, .required = true,
               .max = GATEWAY_AUTHORITIES_MAX, .doc = "files with CA certificates, PEM"),
    JSON_FIELD(struct gateway_config, filters, JSON_K_STRINGS, .max = GATEWAY_FILTERS_MAX,
               .doc = "names of the filters to be fetched"),
    JSON_FIELD(struct gateway_config, crls, JSON_K_BOOL, .def = "true", .doc = "fetch the authorities' CRLs"),
    JSON_FIELD(struct gateway_config, ocsp, JSON_K_BOOL, .def = "true", .doc = "relay OCSP"),
    JSON_FIELD(struct gateway_config, refresh, JSON_K_DURATION, .def = "5m", .min = 1, .max = 86400,
               .doc = "how often upstream is asked for something newer"),
    {.key = "stale-after",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct gateway_config, stale_after),
     .def = "7d",
     .min = 1,
     .max = 400 * 86400ll,
     .doc = "older knowledge is not given out"},
    {.key = "deny-unknown",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct gateway_config, deny_unknown),
     .def = "true",
     .doc = "/v1/check refuses what is not known"},
    {.key = "allow-new",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct gateway_config, allow_new),
     .min = 0,
     .max = 30 * 86400,
     .def = "0s",
     .doc = "/v1/check lets in what is younger than that and newer than all that is known"},
    {.key = "ocsp-entries",
     .kind = JSON_K_INT,
     .offset = offsetof(struct gateway_config, ocsp_entries),
     .def = "10000",
     .min = 16,
     .max = 1000000,
     .doc = "OCSP answers that are kept"},
    JSON_FIELD(struct gateway_config, listen, JSON_K_OBJECT, .sub = listen_schema),
    {0},
};

/* ---- configuration ---- */

static tm_err parse_upstream(struct gateway *g, struct diag *diag)
{
    const char *url = g->config.upstream, *host = url + 7, *end, *colon;
    if (strncmp(url, "http://", 7) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/upstream",
                         "upstream is http://host[:port]: what is fetched is signed itself");
    bool v6 = *host == '[';
    end = v6 ? strchr(host, ']') : host + strcspn(host, ":/");
    if (!end || end == host + v6)
        return diag_fail(diag, TM_EINVAL, NULL, "/upstream", "upstream has no host");
    g->upstream_host = arena_printf(g->arena, "%.*s", (int)(end - host - v6), host + v6);
    if (!g->upstream_host)
        return TM_ENOMEM;
    colon = end + v6;
    g->upstream_port = HTTP_PORT;
    if (*colon == ':') {
        char *rest;
        long port = strtol(colon + 1, &rest, 10);
        if (port < 1 || port > 65535 || rest == colon + 1)
            return diag_fail(diag, TM_EINVAL, NULL, "/upstream", "upstream's port is no port");
        g->upstream_port = (int)port;
        colon = rest;
    }
    return *colon == '\0' || strcmp(colon, "/") == 0
               ? TM_OK
               : diag_fail(diag, TM_EINVAL, NULL, "/upstream", "upstream has no path");
}

static tm_err read_pem(struct slice *ret, struct gateway *g, const char *path, struct diag *diag)
{
    char *text = arena_alloc(g->arena, PEM_MAX);
    int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (!text)
        return TM_ENOMEM;
    if (fd < 0)
        return diag_fail(diag, TM_EIO, NULL, "/authorities", "%s: %s", path, strerror(errno));
    ssize_t n = read(fd, text, PEM_MAX);
    close(fd);
    if (n < 0 || n == PEM_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/authorities", "%s can't be read or is too long", path);
    *ret = slice_of(text, (size_t)n);
    return TM_OK;
}

static tm_err add_authorities(struct gateway *g, const char *path, struct diag *diag)
{
    struct slice text, der;
    size_t before = g->n_authorities;
    TM_TRY(read_pem(&text, g, path, diag));
    while (pem_next(&der, NULL, g->arena, &text, "CERTIFICATE") == TM_OK) {
        struct gateway_authority *x = &g->authorities[g->n_authorities];
        if (g->n_authorities == GATEWAY_AUTHORITIES_MAX)
            return diag_fail(diag, TM_ETOOBIG, NULL, "/authorities", "more than %d certificates",
                             GATEWAY_AUTHORITIES_MAX);
        struct diag why = {0};
        tm_err e = cert_parse(&x->cert, der, &why);
        if (e != TM_OK || !cert_is_ca(&x->cert) || cert_ski(&x->cert).n == 0 || cert_ski(&x->cert).n > 31)
            return diag_fail(diag, TM_EINVAL, why.rule, "/authorities", "%s holds what is no CA certificate",
                             path);
        hex_encode(x->ski, cert_ski(&x->cert));
        TM_TRY(sha256(x->id, x->cert.spki.der));
        g->cas[g->n_authorities++] = x->cert;
    }
    return g->n_authorities > before
               ? TM_OK
               : diag_fail(diag, TM_EINVAL, NULL, "/authorities", "%s holds no PEM certificate", path);
}

/* ---- sources ---- */

static bool filter_name_good(const char *name)
{
    size_t n = strlen(name);
    return n && n <= 2 * TMF_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n &&
           name[0] != '.';
}

/* `name` and `target` are printed to the arena. */
static struct gateway_source *add_source(struct gateway *g, enum gateway_kind kind, const char *name,
                                         const char *target)
{
    struct gateway_source *s = &g->sources[g->n_sources];
    if (!name || !target)
        return NULL;
    g->n_sources++;
    s->kind = kind;
    s->name = name;
    s->target = target;
    return s;
}

static tm_err add_filter(struct gateway *g, const char *name, struct diag *diag)
{
    struct arena *a = g->arena;
    if (!filter_name_good(name))
        return diag_fail(diag, TM_EINVAL, NULL, "/filters", "\"%s\" is no filter's name", name);
    struct gateway_source *full = add_source(g, SOURCE_FILTER, arena_printf(a, "%s.tmf", name),
                                             arena_printf(a, "/filter/%s.tmf", name));
    struct gateway_source *delta = add_source(g, SOURCE_DELTA, arena_printf(a, "%s.delta.tmf", name),
                                              arena_printf(a, "/filter/%s.delta.tmf", name));
    if (!full || !delta)
        return TM_ENOMEM;
    full->filter = delta->filter = name;
    delta->base = full;
    return TM_OK;
}

static tm_err add_sources(struct gateway *g, struct diag *diag)
{
    for (size_t i = 0; i < g->config.filters.n; i++)
        TM_TRY(add_filter(g, g->config.filters.v[i], diag));
    for (size_t i = 0; g->config.crls && i < g->n_authorities; i++) {
        struct gateway_authority *x = &g->authorities[i];
        x->crl = add_source(g, SOURCE_CRL, arena_printf(g->arena, "%s.crl", x->ski),
                            arena_printf(g->arena, "/crl/%s/full.crl", x->ski));
        if (!x->crl)
            return TM_ENOMEM;
        x->crl->authority = x;
    }
    return g->n_sources || g->config.ocsp
               ? TM_OK
               : diag_fail(diag, TM_EINVAL, NULL, "/filters",
                           "there is nothing to answer: name filters, or crls: true, or ocsp: true");
}

/* What the last run left, verified like what is fetched; bad files are passed over, for they will be fetched again. */
static void load_state(struct gateway *g)
{
    for (size_t i = 0; i < g->n_sources; i++) {
        struct gateway_source *s = &g->sources[i];
        struct gateway_object *o;
        struct diag diag = {0};
        struct slice octets;
        size_t max = s->kind == SOURCE_CRL ? GATEWAY_CRL_MAX : GATEWAY_FILTER_MAX;
        struct arena *a = arena_new(max + 4096);
        tm_err e = a ? state_load(&octets, a, g, s->name, max) : TM_ENOMEM;
        if (e == TM_OK)
            e = object_make(&o, g, s, octets, &diag);
        if (e == TM_OK)
            e = source_take(g, s, o, &diag);
        if (e != TM_OK && e != TM_ENOTFOUND)
            log_warn(NULL, "proxy.state", LOG_S("file", s->name),
                     LOG_S("why", diag.message[0] ? diag.message : tm_err_name(e)));
        arena_free(a);
    }
}

/* ---- open and close ---- */

static tm_err open_in(struct gateway *g, const char *dir, struct diag *diag)
{
    TM_TRY(parse_upstream(g, diag));
    if (g->config.state[0] != '/')
        g->config.state = arena_printf(g->arena, "%s/%s", dir, g->config.state);
    if (!g->config.state)
        return TM_ENOMEM;
    if (mkdir(g->config.state, 0755) != 0 && errno != EEXIST)
        return diag_fail(diag, TM_EIO, NULL, "/state", "%s: %s", g->config.state, strerror(errno));
    for (size_t i = 0; i < g->config.authorities.n; i++) {
        const char *file = g->config.authorities.v[i];
        const char *path = file[0] == '/' ? file : arena_printf(g->arena, "%s/%s", dir, file);
        if (!path)
            return TM_ENOMEM;
        TM_TRY(add_authorities(g, path, diag));
    }
    TM_TRY(add_sources(g, diag));
    load_state(g);
    TM_TRY(pool_new(&g->pool, "relay", RELAYS));
    return ocsp_open(g);
}

tm_err gateway_open(struct gateway **ret, const struct gateway_config *c, const char *dir, struct diag *diag)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (!g)
        return TM_ENOMEM;
    g->config = *c;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->wake, NULL);
    g->arena = arena_new(0);
    tm_err e = g->arena ? open_in(g, dir, diag) : TM_ENOMEM;
    if (e != TM_OK) {
        gateway_free(g);
        return e;
    }
    *ret = g;
    return TM_OK;
}

tm_err gateway_start(struct gateway *g)
{
    return fetch_start(g);
}

void gateway_stop(struct gateway *g)
{
    fetch_stop(g);
    pool_free(g->pool);
    g->pool = NULL;
    ocsp_save(g);
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    if (g->pool)
        pool_free(g->pool);
    ocsp_close(g);
    for (size_t i = 0; i < g->n_sources; i++)
        object_unref(g->sources[i].now);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    arena_free(g->arena);
    free(g);
}
