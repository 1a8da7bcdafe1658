/* discover scan: look for TLS servers and their certificates. */
#include "base/arena.h"
#include "base/digest.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/discover_scan.h"
#include "cli/show.h"
#include "discover/scan.h"
#include "issue/scan_settings.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PRINT_ARENA = 64 << 20, RESULT_MAX = 64 << 10, LOOK_MS = 200 };

static const struct show_column columns[] = {
    {"PLACE", "place"},         {"STATUS", "status"},   {"PROTOCOL", "protocol"}, {"KEY", "key"},
    {"NOT AFTER", "not_after"}, {"SUBJECT", "subject"}, {"ERROR", "alert", ""},   {0}};

static atomic_bool interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    atomic_store(&interrupted, true);
}

/* ---- what would be done ---- */

static bool read_plan(struct cli *c, struct arena *a, const json_t *request, struct scan_request *q,
                      struct scan_plan *p)
{
    struct diag diag = {0};
    *q = (struct scan_request){0};
    tm_err e = json_bind(q, scan_request_schema, request, "", a, &diag);
    if (e == TM_OK)
        e = scan_plan_make(p, a, &q->s, &diag);
    return e == TM_OK || cli_fail_diag(c, e, &diag, NULL) == 0;
}

static json_t *item_json(struct cli *c, const struct scan_item *x)
{
    char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];
    const char *what = x->host;
    json_t *ports = json_array(), *names = json_array();
    if (!what) {
        struct address from = x->span.octets == 4 ? address_from_v4(x->span.first)
                                                  : address_from_v6(x->span.first),
                       to = x->span.octets == 4 ? address_from_v4(x->span.last)
                                                : address_from_v6(x->span.last);
        address_format(first, &from);
        address_format(last, &to);
        what = strcmp(first, last) == 0 ? arena_strdup(c->arena, first)
                                        : arena_printf(c->arena, "%s-%s", first, last);
    }
    for (size_t i = 0; i < x->n_ports && i < 100; i++)
        json_array_append_new(
            ports, json_sprintf("%s:%u", scan_protocol_names[x->ports[i].protocol], x->ports[i].port));
    for (size_t i = 0; i < x->n_names; i++)
        if (x->names[i])
            json_array_append_new(names, json_string(x->names[i]));
    return json_pack("{s:s,s:o,s:o,s:I}", "targets", what ? what : "", "ports", ports, "names", names,
                     "count", (json_int_t)x->count);
}

static int dry_run(struct cli *c, const struct scan_request *q, const struct scan_plan *p)
{
    json_t *items = json_array();
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(items, item_json(c, &p->items[i]));
    json_t *v = json_pack("{s:I,s:I,s:o}", "total", (json_int_t)p->total, "seconds_at_least",
                          (json_int_t)(p->total / (uint64_t)q->s.rate), "items", items);
    int status = show_value(c, v);
    json_decref(v);
    return status;
}

/* ---- from here ---- */

struct printing {
    struct cli *c;
    const struct scan_plan *plan;
    struct cli_progress progress;
    json_t *items;
    uint64_t certificates, failures, silent;
};

static void take_result(void *arg, const struct scan_result *r)
{
    struct printing *p = arg;
    struct buf b;
    bool certificate = r->facts->n_chain > 0, failure = scan_is_failure(r);
    p->certificates += certificate;
    p->failures += failure;
    p->silent += !certificate && !failure;
    if (!certificate && !failure && !cli_has(p->c, "all"))
        return;
    buf_init(&b, RESULT_MAX);
    scan_put_result(&b, r);
    json_t *o = json_loadb((const char *)b.p, b.n, 0, NULL);
    if (o)
        json_array_append_new(p->items, o);
    buf_done(&b);
}

static void take_turn(void *arg, uint64_t place)
{
    struct printing *p = arg;
    cli_progress_step(&p->progress, place);
}

static int print_here(struct cli *c, const struct scan_request *q, const struct scan_plan *plan)
{
    struct printing p = {.c = c, .plan = plan, .items = json_array()};
    struct scan s = {.settings = &q->s,
                     .plan = plan,
                     .over = &interrupted,
                     .result = take_result,
                     .turn = take_turn,
                     .arg = &p};
    struct sigaction ours = {.sa_handler = on_interrupt}, before;
    struct diag diag = {0};
    struct engine_stats stats = {0};
    uint64_t place;
    if (!p.items || random_bytes(&s.seed, sizeof s.seed) != TM_OK)
        return cli_fail(c, "out of memory");
    sigaction(SIGINT, &ours, &before);
    cli_progress_begin(&p.progress, c, "scanning", plan->total);
    tm_err e = scan_run(&s, &place, &stats, &diag);
    cli_progress_end(&p.progress);
    sigaction(SIGINT, &before, NULL);
    int status = e == TM_OK ? show_items(c, p.items, columns) : cli_fail_diag(c, e, &diag, NULL);
    if (status == 0 && !c->quiet)
        fprintf(stderr,
                "%" PRIu64 " of %" PRIu64 " targets; certificates at %" PRIu64 ", none to be had at %" PRIu64
                ", no answer from %" PRIu64 "%s\n",
                place, plan->total, p.certificates, p.failures, p.silent,
                atomic_load(&interrupted) ? "; interrupted" : "");
    json_decref(p.items);
    return status ? status : atomic_load(&interrupted);
}

/* ---- by the house: its server, or this process where none runs ---- */

struct following {
    const char *id;
    json_t *items, *run;
    json_int_t next;
    bool cut;
};

static const char *run_path(struct cli *c, const char *id, const char *rest)
{
    const char *path = arena_printf(c->arena, "/api/v1/discovery/runs/%s%s", show_escape(c, id), rest);
    return path ? path : "";
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* What is worth a line. */
static bool is_shown(struct cli *c, const json_t *item)
{
    const char *status = text_of(item, "status");
    return cli_has(c, "all") || (strcmp(status, "silent") != 0 && strcmp(status, "refused") != 0 &&
                                 strcmp(status, "unreachable") != 0);
}

static bool fetch(struct cli *c, struct following *f)
{
    struct cli_reply r;
    for (bool more = true; more;) {
        const char *path =
            arena_printf(c->arena, "%s?from=%lld", run_path(c, f->id, "/results"), (long long)f->next);
        if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
            return false;
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(r.json, "items"), i, item) if (is_shown(c, item))
            json_array_append(f->items, item);
        more = json_array_size(json_object_get(r.json, "items")) > 0;
        f->next = json_integer_value(json_object_get(r.json, "next"));
        f->cut = json_is_true(json_object_get(r.json, "cut"));
    }
    return true;
}

static bool look(struct cli *c, struct following *f)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", run_path(c, f->id, ""), slice_of(NULL, 0), NULL, &r))
        return false;
    json_decref(f->run);
    f->run = json_incref(r.json);
    return true;
}

static bool has_ended(const json_t *run)
{
    const char *status = text_of(run, "status");
    return strcmp(status, "waiting") != 0 && strcmp(status, "running") != 0;
}

/* Until it has ended, or somebody wants it to. */
static bool follow(struct cli *c, struct following *f)
{
    struct cli_progress progress;
    struct cli_reply r;
    struct sigaction ours = {.sa_handler = on_interrupt}, before;
    bool told = false, ok = true;
    sigaction(SIGINT, &ours, &before);
    cli_progress_begin(&progress, c, "scanning",
                       (uint64_t)json_integer_value(json_object_get(f->run, "total")));
    while (ok && !has_ended(f->run)) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        if (atomic_load(&interrupted) && !told)
            told = cli_call(c, "POST", run_path(c, f->id, "/cancel"), slice_of(NULL, 0), NULL, &r);
        ok = look(c, f);
        progress.total = (uint64_t)json_integer_value(json_object_get(f->run, "total"));
        cli_progress_step(&progress, (uint64_t)json_integer_value(json_object_get(f->run, "done")));
    }
    cli_progress_end(&progress);
    sigaction(SIGINT, &before, NULL);
    return ok && fetch(c, f);
}

static long long number_of(const json_t *run, const char *key)
{
    return (long long)json_integer_value(json_object_get(run, key));
}

static int tell(struct cli *c, struct following *f)
{
    const json_t *r = f->run;
    const char *status = text_of(r, "status");
    int bad = show_items(c, f->items, columns);
    if (!c->quiet)
        fprintf(
            stderr,
            "run %s is %s%s%s: %lld of %lld targets, certificates at %lld, none to be had at %lld; %lld new to the "
            "inventory, %lld new places, %lld changed, %lld gone%s\n",
            f->id, status, text_of(r, "why")[0] ? ": " : "", text_of(r, "why"), number_of(r, "done"),
            number_of(r, "total"), number_of(r, "answered"), number_of(r, "failed"), number_of(r, "added"),
            number_of(r, "new_places"), number_of(r, "changed"), number_of(r, "gone"),
            f->cut ? "; not all of it is shown" : "");
    return bad ? bad : strcmp(status, "done") != 0;
}

static int through_house(struct cli *c, json_t *request)
{
    struct following f = {.items = json_array()};
    struct cli_reply r;
    if (cli_has(c, "detach") && !cli_server_running(c)) {
        json_decref(request);
        return cli_fail(c, "no server runs on %s: leave --detach out, or start it", c->home);
    }
    if (!cli_send_json(c, "POST", "/api/v1/discovery/scans", request, &r))
        return 1;
    if (cli_has(c, "detach"))
        return show_value(c, r.json);
    f.run = json_incref(r.json);
    f.id = arena_strdup(c->arena, text_of(r.json, "id"));
    int status = f.id && f.items && follow(c, &f) ? tell(c, &f) : 1;
    json_decref(f.run);
    json_decref(f.items);
    return status;
}

static int cancel(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "POST", run_path(c, c->args[0], "/cancel"), slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int scan(struct cli *c)
{
    struct scan_request q;
    struct scan_plan plan = {0};
    bool named = cli_has(c, "scan"), here = cli_has(c, "print") || cli_has(c, "dry-run");
    if (named == (c->n_args > 0))
        return cli_usage(c, "name targets, or a resource with --scan NAME");
    if (named && here)
        return cli_usage(c, "--print and --dry-run go with targets");
    if (here && cli_has(c, "detach"))
        return cli_usage(c, "--detach is for what the server does");
    json_t *request = discover_scan_request(c);
    if (request && !here)
        return through_house(c, request);
    struct arena *a = arena_new(PRINT_ARENA);
    int status = 1;
    if (request && a && read_plan(c, a, request, &q, &plan))
        status = cli_has(c, "dry-run") ? dry_run(c, &q, &plan) : print_here(c, &q, &plan);
    arena_free(a);
    json_decref(request);
    return status;
}

const struct command discover_scan_commands[] = {
    {.noun = "discover",
     .verb = "scan",
     .summary = "look for TLS servers and their certificates",
     .arguments = "[TARGET...]",
     .description =
         "Targets are addresses, ranges (10.0.0.0/24, 10.0.0.1-10.0.0.9), host names, each with a port and a protocol\n"
         "(smtp://mail.example.org:25) or without, and @FILE, which lists some. Private networks and this machine may be scanned\n"
         "without further words, others have to be named with --allow: scan what is yours. What is found goes into the inventory;\n"
         "chain, version, suite, key exchange, ALPN, and where there is no certificate why.",
     .example = "touchmark discover scan 10.0.0.0/24 --ports 443,8443,smtp:25 --rate 50\n"
                "touchmark discover scan www.example.org --versions --print -o json\n"
                "touchmark discover scan 10.0.0.0/8 --dry-run",
     .options = discover_scan_options,
     .min_args = 0,
     .max_args = -1,
     .run = scan},
    {.noun = "discover",
     .verb = "cancel",
     .summary = "end a scan that is under way or waits for its turn",
     .arguments = "RUN",
     .description = "What it has found by then stays in the inventory.",
     .example = "touchmark discover cancel fe5e4d1b8a2c03f1a9c7d2",
     .min_args = 1,
     .max_args = 1,
     .run = cancel},
    {0},
};
