/* discover ct: certificates that Certificate Transparency logs have. */
#include "base/arena.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/discover_report.h"
#include "cli/show.h"
#include "discover/ct.h"
#include "http/client.h"
#include "http/url.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 << 20,
    ISSUER_MAX = 64 << 10, /* many are kept: no larger than certificates are */
    ASK_ENTRIES = 256,
    TRIES = 5,
    FETCH_S = 60,
    MAX_DEFAULT = 10000,
    ISSUERS_MAX = 512,
    RUNS_PAGE = 500
};

/* An issuer that tiles name by its hash, fetched once. */
struct issuer {
    uint8_t fingerprint[CT_FINGERPRINT];
    struct slice der;
};

struct log {
    struct cli *c;
    struct discover_report report;
    struct http_url url;
    const char *name; /* as places have it */
    const char *ca;
    const char *domains[CT_DOMAINS_MAX];
    size_t n_domains;
    bool tiles;
    uint64_t size, next, until; /* entries it has; where to go on; where to stop */
    struct arena *a;            /* of the answer under way */
    struct issuer *issuers;
    size_t n_issuers;
};

/* ---- fetching ---- */

/* *ret_status and the body in `l->a`, at most `max` octets; what passes is tried again. False after complaining. */
static bool fetch(struct log *l, const char *path, size_t max, int *ret_status, struct slice *ret)
{
    struct diag diag = {0};
    const char *target = arena_printf(l->a, "%s%s", l->url.path, path);
    tm_err e = target ? TM_EUNAVAIL : TM_ENOMEM;
    for (unsigned i = 0; i < TRIES && target; i++) {
        struct http_exchange x = {.method = "GET", .target = target, .max = max, .total_s = FETCH_S};
        if (i)
            sleep(1u << i); /* logs answer 429 to those who ask too much */
        e = l->url.tls ? http_tls_exchange(&x, l->url.host, l->url.port, l->ca, &diag)
                       : http_tcp_exchange(&x, l->url.host, l->url.port, &diag);
        *ret_status = x.status;
        bool again = e != TM_OK ? e != TM_EAUTH && e != TM_ETOOBIG : x.status == 429 || x.status >= 500;
        if (e == TM_OK && !again)
            e = arena_copy(ret, l->a, buf_slice(&x.out));
        else if (e == TM_OK)
            e = diag_fail(&diag, TM_EUNAVAIL, NULL, NULL, "it answers %d", x.status);
        buf_done(&x.out);
        if (!again)
            break;
    }
    if (e != TM_OK)
        cli_fail(l->c, "%s%s: %s", l->url.host, target ? target : "",
                 diag.message[0] ? diag.message : tm_err_name(e));
    return e == TM_OK;
}

/* Which kind of log it is, and how long. */
static bool ask_size(struct log *l)
{
    struct slice body;
    struct diag diag = {0};
    json_t *doc = NULL;
    int status = 0;
    if (!fetch(l, "/ct/v1/get-sth", ANSWER_MAX, &status, &body))
        return false;
    if (status == 200 && json_parse(&doc, body, 1 << 20, &diag) == TM_OK) {
        json_int_t n = json_integer_value(json_object_get(doc, "tree_size"));
        l->size = n > 0 ? (uint64_t)n : 0;
        json_decref(doc);
        return true;
    }
    if (!fetch(l, "/checkpoint", ANSWER_MAX, &status, &body))
        return false;
    if (status == 200 && ct_checkpoint_size(&l->size, body, &diag) == TM_OK) {
        l->tiles = true;
        return true;
    }
    return cli_fail(l->c, "%s: no log of RFC 6962 (ct/v1/get-sth) nor of tiles (checkpoint) answers there",
                    l->url.host) == 0;
}

/* ---- taking ---- */

static bool issuer_of(struct log *l, struct slice fingerprint, struct slice *ret)
{
    char hex[2 * CT_FINGERPRINT + 1];
    uint8_t hash[SHA256_LEN];
    int status = 0;
    for (size_t i = 0; i < l->n_issuers; i++)
        if (memcmp(l->issuers[i].fingerprint, fingerprint.p, CT_FINGERPRINT) == 0) {
            *ret = l->issuers[i].der;
            return true;
        }
    hex_encode(hex, fingerprint);
    const char *path = arena_printf(l->a, "/issuer/%s", hex);
    if (!path || !fetch(l, path, ISSUER_MAX, &status, ret))
        return false;
    /* It is called by its hash: another one is not the one that the entry names. */
    if (status != 200 || sha256(hash, *ret) != TM_OK || memcmp(hash, fingerprint.p, CT_FINGERPRINT) != 0)
        *ret = (struct slice){0};
    if (l->n_issuers < ISSUERS_MAX) {
        struct issuer *i = &l->issuers[l->n_issuers];
        memcpy(i->fingerprint, fingerprint.p, CT_FINGERPRINT);
        if (arena_copy(&i->der, l->c->arena, *ret) == TM_OK)
            l->n_issuers++;
    }
    return true;
}

/* One entry; false: it makes no sense to go on. */
static bool take(struct log *l, uint64_t index, const struct ct_entry *e)
{
    struct slice chain[CT_CHAIN_MAX + 1] = {e->cert};
    struct cert cert;
    size_t n = 1;
    l->report.done++;
    if (cert_parse(&cert, e->cert, NULL) != TM_OK) {
        l->report.failed++; /* whose it is can't be told; only a whole log wants it */
        if (l->n_domains)
            return true;
    } else if (!ct_in_domains(l->a, &cert, l->domains, l->n_domains)) {
        return true;
    }
    for (size_t i = 0; i < e->n_chain; i++) {
        chain[n] = e->chain[i];
        if (l->tiles && !issuer_of(l, e->chain[i], &chain[n]))
            return false;
        n += chain[n].n > 0;
    }
    const char *place = arena_printf(l->a, "ct:%s/%llu", l->name, (unsigned long long)index);
    if (!place)
        return cli_fail(l->c, "out of memory") == 0;
    l->report.answered++;
    return discover_add(&l->report, place, e->at,
                        e->precertificate ? "{\"precertificate\":true}" : "{\"precertificate\":false}", chain,
                        n);
}

static void unreadable(struct log *l, uint64_t index, const struct diag *why)
{
    l->report.done++;
    if (l->report.failed++ < 20)
        cli_fail(l->c, "entry %llu: %s", (unsigned long long)index, why->message);
}

/* The members of "entries" from `index` on; *ret_n: how many there were. */
static bool take_entries(struct log *l, uint64_t index, struct slice body, size_t *ret_n)
{
    struct diag diag = {0};
    json_t *doc = NULL;
    size_t i;
    const json_t *x;
    *ret_n = 0;
    if (json_parse(&doc, body, ANSWER_MAX, &diag) != TM_OK)
        return cli_fail(l->c, "%s: the entries are not JSON: %s", l->name, diag.message) == 0;
    bool go_on = true;
    json_array_foreach(json_object_get(doc, "entries"), i, x)
    {
        struct ct_entry e;
        struct diag why = {0};
        if (!go_on)
            break;
        if (ct_entry_read(&e, l->a, x, &why) == TM_OK)
            go_on = take(l, index + i, &e);
        else
            unreadable(l, index + i, &why);
        *ret_n += go_on;
    }
    json_decref(doc);
    return go_on;
}

/* Entries of a tile from the `skip`th on, up to `most` of them. */
static bool take_tile(struct log *l, uint64_t first, size_t skip, size_t most, struct slice tile,
                      size_t *ret_n)
{
    bool go_on = true;
    *ret_n = 0;
    for (size_t i = 0; i < skip + most && go_on; i++) {
        struct ct_entry e;
        struct diag why = {0};
        tm_err err = ct_tile_next(&e, &tile, &why);
        if (err == TM_ENOTFOUND)
            break;
        if (err != TM_OK) {
            unreadable(l, first + i, &why); /* lengths are wrong: the rest of this tile can't be found */
            *ret_n = skip < CT_TILE_ENTRIES && most > CT_TILE_ENTRIES - skip ? CT_TILE_ENTRIES - skip : most;
            return true;
        }
        if (i < skip)
            continue;
        go_on = take(l, first + i, &e);
        *ret_n += go_on;
    }
    return go_on;
}

/* ---- a log that answers ---- */

static bool next_piece(struct log *l)
{
    struct slice body;
    int status = 0;
    size_t n = 0;
    uint64_t left = l->until - l->next, tile = l->next / CT_TILE_ENTRIES;
    const char *path;
    char tile_path[CT_PATH_MAX];
    size_t skip = (size_t)(l->next % CT_TILE_ENTRIES);
    if (l->tiles) {
        uint64_t in_tile = l->size - tile * CT_TILE_ENTRIES;
        ct_tile_path(tile_path, tile, in_tile < CT_TILE_ENTRIES ? (unsigned)in_tile : 0);
        path = tile_path;
    } else {
        uint64_t last = l->next + (left < ASK_ENTRIES ? left : ASK_ENTRIES) - 1;
        path = arena_printf(l->a, "/ct/v1/get-entries?start=%llu&end=%llu", (unsigned long long)l->next,
                            (unsigned long long)last);
    }
    if (!path || !fetch(l, path, ANSWER_MAX, &status, &body))
        return false;
    /* A log that has grown since may have the whole tile alone (C2SP static-ct-api, partial tiles). */
    if (status == 404 && l->tiles) {
        ct_tile_path(tile_path, tile, 0);
        if (!fetch(l, path, ANSWER_MAX, &status, &body))
            return false;
    }
    if (status != 200)
        return cli_fail(l->c, "%s%s: it answers %d", l->name, path, status) == 0;
    bool go_on = l->tiles ? take_tile(l, tile * CT_TILE_ENTRIES, skip,
                                      (size_t)(left < CT_TILE_ENTRIES ? left : CT_TILE_ENTRIES), body, &n)
                          : take_entries(l, l->next, body, &n);
    if (n > left)
        n = (size_t)left;
    /* What was not sent yet is not behind us. */
    if (!discover_flush(&l->report))
        return false;
    l->next += n;
    if (go_on && n == 0)
        return cli_fail(l->c, "%s: it gives no entries from %llu on", l->name, (unsigned long long)l->next) ==
               0;
    return go_on;
}

/* Was that run over this log, for the same domains? What another one passed over may be what this one is for. */
static bool is_same_search(const struct log *l, const json_t *spec, const char *url)
{
    const char *log = json_string_value(json_object_get(spec, "log"));
    const json_t *domains = json_object_get(spec, "domains");
    bool same = log && strcmp(log, url) == 0 && json_array_size(domains) == l->n_domains;
    for (size_t i = 0; same && i < l->n_domains; i++) {
        const char *d = json_string_value(json_array_get(domains, i));
        same = d && strcasecmp(d, l->domains[i]) == 0;
    }
    return same;
}

/* One page of runs, newest first; *ret_after: of the next, NULL where there is none. */
static bool stopped_in_page(struct log *l, const char *url, const char *after, uint64_t *ret,
                            const char **ret_after)
{
    struct cli_reply reply;
    size_t i;
    const json_t *x;
    const char *path = arena_printf(l->c->arena, "/api/v1/discovery/runs?limit=%d%s%s", RUNS_PAGE,
                                    after ? "&after=" : "", after ? show_escape(l->c, after) : "");
    *ret_after = NULL;
    if (!path || !remote_call(l->c, &l->report.remote, "GET", path, (struct slice){0}, NULL, &reply)) {
        l->report.lost = true;
        return false;
    }
    json_array_foreach(json_object_get(reply.json, "items"), i, x)
    {
        const json_t *spec = json_object_get(x, "spec"), *next = json_object_get(spec, "next");
        if (is_same_search(l, spec, url) && json_is_integer(next) && json_integer_value(next) >= 0) {
            *ret = (uint64_t)json_integer_value(next);
            return true;
        }
    }
    const char *next = json_string_value(json_object_get(reply.json, "next"));
    *ret_after = next ? arena_strdup(l->c->arena, next) : NULL;
    return false;
}

/* Where the newest run of this search stopped; false: there was none. */
static bool stopped_at(struct log *l, const char *url, uint64_t *ret)
{
    const char *after = NULL;
    bool found = false;
    if (l->report.dry)
        return false;
    do
        found = stopped_in_page(l, url, after, ret, &after);
    while (!found && after);
    return found;
}

/* False after complaining. */
static bool choose_range(struct log *l, const char *url)
{
    int64_t most, from;
    const char *given = cli_get(l->c, "from");
    if (!cli_get_number(l->c, "max", MAX_DEFAULT, 1, INT64_MAX, &most))
        return false;
    if (given) {
        if (!cli_get_number(l->c, "from", 0, 0, INT64_MAX, &from))
            return false;
        l->next = (uint64_t)from;
    } else if (!stopped_at(l, url, &l->next)) {
        l->next = l->size > (uint64_t)most ? l->size - (uint64_t)most : 0;
    }
    if (l->report.lost)
        return false;
    if (l->next > l->size)
        l->next = l->size;
    l->until = l->size - l->next > (uint64_t)most ? l->next + (uint64_t)most : l->size;
    l->report.total = (json_int_t)(l->until - l->next);
    return true;
}

static bool read_log(struct log *l, const char *url)
{
    struct cli_progress p;
    if (!ask_size(l) || !choose_range(l, url))
        return false;
    uint64_t first = l->next;
    bool go_on = true;
    cli_progress_begin(&p, l->c, "entries", l->until - first);
    while (go_on && l->next < l->until) {
        arena_reset(l->a);
        go_on = next_piece(l);
        cli_progress_step(&p, l->next - first);
    }
    cli_progress_end(&p);
    return go_on;
}

/* ---- a file ---- */

static bool read_saved(struct log *l, const char *path)
{
    struct slice bytes;
    int64_t from;
    size_t n = 0;
    if (!cli_get_number(l->c, "from", 0, 0, INT64_MAX, &from) ||
        !cli_read_file(l->c, path, ANSWER_MAX, &bytes))
        return false;
    struct slice head = slice_trim(slice_sub(bytes, 0, 64));
    bool json = head.n && head.p[0] == '{';
    bool go_on = json ? take_entries(l, (uint64_t)from, bytes, &n)
                      : take_tile(l, (uint64_t)from, 0, SIZE_MAX / 2, bytes, &n);
    l->next = (uint64_t)from + n;
    l->report.total = l->report.done;
    return go_on;
}

/* ---- the command ---- */

/* As a place has it: host, port where it is not the usual one, and path, its slashes made plain. */
static const char *log_name(struct arena *a, const struct http_url *u, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    bool usual = u->port == (u->tls ? 443 : 80);
    char *name = file    ? arena_strdup(a, slash ? slash + 1 : file)
                 : usual ? arena_printf(a, "%s%s", u->host, u->path)
                         : arena_printf(a, "%s:%d%s", u->host, u->port, u->path);
    for (char *s = name; s && *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '/' || *s == '#')
            *s = '_';
    return name;
}

static bool read_domains(struct log *l)
{
    for (int i = 0; cli_get_nth(l->c, "domain", i); i++) {
        char *d = arena_strdup(l->c->arena, cli_get_nth(l->c, "domain", i));
        if (!d || i == CT_DOMAINS_MAX)
            return cli_fail(l->c, "at most %d domains", CT_DOMAINS_MAX) == 0;
        if (strncmp(d, "*.", 2) == 0)
            d += 2;
        d += *d == '.';
        if (!*d)
            return cli_usage(l->c, "--domain takes a domain such as example.org") == 0;
        l->domains[l->n_domains++] = d;
    }
    return true;
}

static json_t *spec_of(const struct log *l, const char *source, bool ended)
{
    json_t *spec = json_pack("{s:s}", "log", source), *domains = json_array();
    for (size_t i = 0; i < l->n_domains; i++)
        json_array_append_new(domains, json_string(l->domains[i]));
    json_object_set_new(spec, "domains", domains);
    if (ended)
        json_object_set_new(spec, "next", json_integer((json_int_t)l->next));
    return spec;
}

static int ct(struct cli *c)
{
    struct log *l = calloc(1, sizeof *l);
    struct diag diag = {0};
    const char *source = c->args[0];
    struct arena *a = arena_new(512 << 20);
    struct issuer *issuers = calloc(ISSUERS_MAX, sizeof *issuers);
    if (!l || !a || !issuers) {
        arena_free(a);
        free(issuers);
        free(l);
        return cli_fail(c, "out of memory");
    }
    l->c = c;
    l->a = a;
    l->issuers = issuers;
    l->ca = cli_get(c, "log-ca");
    signal(SIGPIPE, SIG_IGN);
    bool url = strstr(source, "://") != NULL;
    int status = 2;
    if (url && http_url_parse(&l->url, source, &diag) != TM_OK)
        status = cli_usage(c, "%s: %s", source, diag.message);
    else if (read_domains(l) && (l->name = log_name(c->arena, &l->url, url ? NULL : source))) {
        status = 1;
        if (discover_begin(&l->report, c, "ct", spec_of(l, source, false))) {
            bool ok = url ? read_log(l, source) : read_saved(l, source);
            /* Nothing was looked through: the next run begins where this one wanted to. */
            if (l->size || !url)
                l->report.spec = spec_of(l, source, ok || l->report.done > 0);
            status =
                discover_end(&l->report, ok ? NULL : "it ended early; the next run goes on where it stopped");
        }
    }
    free(issuers);
    arena_free(a);
    free(l);
    return status;
}

static const struct cli_option ct_options[] = {
    {"domain", 0, "NAME", "only certificates for this domain and those below it", true},
    {"from", 0, "INDEX",
     "begin there; else where the run before stopped, at first so that --max reaches the newest", false},
    {"max", 0, "N", "at most so many entries (10000)", false},
    {"log-ca", 0, "FILE",
     "PEM of the CA that the log's own certificate comes from; else whom the system trusts", false},
    {"dry-run", 0, NULL, "show what is there and report nothing", false},
    REMOTE_OPTIONS,
    {0},
};

const struct command discover_ct_commands[] = {
    {
        .noun = "discover",
        .verb = "ct",
        .summary = "find certificates in a Certificate Transparency log",
        .arguments = "URL|FILE",
        .description =
            "Logs of RFC 6962 (get-entries) and static ones (tiles), or what was saved of them: an answer to get-entries, a data tile.\n"
            "With --domain only what is about those names. The next run for the same names goes on where this one stopped: run it from a timer. The log's\n"
            "promises are not verified: it is a source, and each certificate's issuer is told by signatures.",
        .example =
            "touchmark discover ct https://log.example/2026h2 --domain example.org\n"
            "touchmark discover ct https://mon.static.example/2026h2 --domain example.org --max 100000",
        .options = ct_options,
        .min_args = 1,
        .max_args = 1,
        .run = ct,
    },
    {0},
};
