#include "cli/discover_report.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/show.h"
#include "inventory/place.h"
#include "inventory/sighting_line.h"
#include "x509/cert.h"
#include "x509/name.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_OCTETS = 4 << 20, PIECE_LINES = 500, LINES_MAX = 48 << 20 };

/* POST with a document of our own; false after complaining. */
static bool post(struct discover_report *r, const char *path, json_t *doc, struct cli_reply *reply)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_json(&b, doc, false);
    json_decref(doc);
    bool ok = buf_err(&b) == TM_OK &&
              remote_call(r->c, &r->remote, "POST", path, buf_slice(&b), "application/json", reply);
    buf_done(&b);
    return ok;
}

bool discover_begin(struct discover_report *r, struct cli *c, const char *via, json_t *spec)
{
    struct cli_reply reply;
    *r = (struct discover_report){.c = c, .via = via, .run = "", .dry = cli_has(c, "dry-run")};
    buf_init(&r->lines, LINES_MAX);
    if (r->dry) {
        json_decref(spec);
        r->found = json_array();
        return r->found != NULL;
    }
    if (!remote_open(c, &r->remote)) {
        json_decref(spec);
        r->lost = true;
        return false;
    }
    json_t *doc = json_pack("{s:s,s:o}", "via", via, "spec", spec);
    if (!doc || !post(r, "/api/v1/discovery/runs", doc, &reply)) {
        r->lost = true;
        return false;
    }
    const char *id = json_string_value(json_object_get(reply.json, "id"));
    r->run = arena_strdup(c->arena, id ? id : "");
    return r->run != NULL;
}

bool discover_flush(struct discover_report *r)
{
    struct cli_reply reply;
    size_t i;
    const json_t *x;
    if (r->n_lines == 0 || r->dry || r->lost)
        return !r->lost;
    const char *path = arena_printf(r->c->arena, "/api/v1/sightings?via=%s&run=%s", r->via, r->run);
    if (!path || buf_err(&r->lines) != TM_OK ||
        !remote_call(r->c, &r->remote, "POST", path, buf_slice(&r->lines), "application/x-ndjson", &reply)) {
        r->lost = true;
        return false;
    }
    json_array_foreach(json_object_get(reply.json, "why"), i, x)
    {
        const char *why = json_string_value(json_object_get(x, "why"));
        cli_fail(r->c, "not taken: %s", why ? why : "");
    }
    buf_reset(&r->lines);
    r->n_lines = 0;
    return true;
}

static bool remember(struct discover_report *r, const char *place)
{
    char hex[PLACE_ID_LEN + 1];
    struct slice id;
    if (r->n_seen == r->seen_cap) {
        size_t cap = r->seen_cap ? 2 * r->seen_cap : 1024;
        void *v = realloc(r->seen, cap * sizeof *r->seen);
        if (!v)
            return false;
        r->seen = v;
        r->seen_cap = cap;
    }
    struct arena *a = arena_new(4096);
    bool ok = a && place_id(hex, place) == TM_OK && hex_decode(&id, a, slice_str(hex)) == TM_OK;
    if (ok)
        memcpy(r->seen[r->n_seen++], id.p, sizeof *r->seen);
    arena_free(a);
    return ok;
}

static int by_octets(const void *x, const void *y)
{
    return memcmp(x, y, 16);
}

bool discover_seen(struct discover_report *r, const char *place)
{
    char hex[PLACE_ID_LEN + 1];
    struct slice id;
    struct arena *a = arena_new(4096);
    if (r->n_sorted != r->n_seen) /* asked once all were added */
        qsort(r->seen, r->n_seen, sizeof *r->seen, by_octets);
    r->n_sorted = r->n_seen;
    bool found = a && place_id(hex, place) == TM_OK && hex_decode(&id, a, slice_str(hex)) == TM_OK &&
                 r->n_seen && bsearch(id.p, r->seen, r->n_seen, sizeof *r->seen, by_octets);
    arena_free(a);
    return found;
}

static void note_found(struct discover_report *r, const char *place, const struct slice *chain,
                       size_t n_chain)
{
    struct cert c;
    struct buf name;
    char until[21] = "";
    buf_init(&name, 16 << 10);
    if (n_chain && cert_parse(&c, chain[0], NULL) == TM_OK) {
        name_print_der(&name, c.subject);
        clock_format_rfc3339(until, c.not_after);
    } else if (n_chain) {
        buf_puts(&name, "(it can't be read)");
    }
    json_array_append_new(r->found,
                          json_pack("{s:s,s:s,s:s,s:i}", "place", place, "subject", buf_str(&name),
                                    "not_after", until, "issuers", (int)(n_chain ? n_chain - 1 : 0)));
    buf_done(&name);
}

static int show_found(struct discover_report *r)
{
    static const struct show_column columns[] = {
        {"PLACE", "place"}, {"SUBJECT", "subject"}, {"NOT AFTER", "not_after"}, {"ISSUERS", "issuers"}, {0}};
    return show_items(r->c, r->found, columns);
}

bool discover_add(struct discover_report *r, const char *place, int64_t at, const char *details,
                  const struct slice *chain, size_t n_chain)
{
    if (r->lost)
        return false;
    if (!remember(r, place)) {
        cli_fail(r->c, "out of memory");
        r->lost = true;
        return false;
    }
    if (r->dry) {
        note_found(r, place, chain, n_chain);
        return true;
    }
    sighting_line_put(&r->lines, place, at, details, chain, n_chain);
    r->n_lines++;
    return r->n_lines < PIECE_LINES && r->lines.n < PIECE_OCTETS ? true : discover_flush(r);
}

static int end_run(struct discover_report *r, const char *why)
{
    struct cli_reply reply;
    const char *path = arena_printf(r->c->arena, "/api/v1/discovery/runs/%s/end", r->run);
    json_t *doc =
        json_pack("{s:s,s:s,s:I,s:I,s:I,s:I}", "status", why ? "failed" : "done", "why", why ? why : "",
                  "total", r->total, "done", r->done, "answered", r->answered, "failed", r->failed);
    if (doc && r->spec)
        json_object_set(doc, "spec", r->spec);
    if (!path || !doc || !post(r, path, doc, &reply))
        return 1;
    json_t *shown = json_deep_copy(reply.json);
    if (r->c->output == OUTPUT_TABLE)
        json_object_del(shown, "spec");
    int status = show_value(r->c, shown);
    json_decref(shown);
    return why ? cli_fail(r->c, "%s", why) : status;
}

int discover_end(struct discover_report *r, const char *why)
{
    int status = !discover_flush(r) ? 1 : r->found ? show_found(r) : 0;
    if (!r->dry && r->run[0] && !r->lost)
        status = end_run(r, why);
    else if (why)
        status = cli_fail(r->c, "%s", why);
    buf_done(&r->lines);
    free(r->seen);
    json_decref(r->found);
    json_decref(r->spec);
    remote_close(&r->remote);
    return status;
}
