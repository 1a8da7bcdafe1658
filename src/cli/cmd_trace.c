/* trace: record what goes through an endpoint, and tell a recording in plain words. */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "trace/record.h"
#include "trace/trace.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_MS = 300, SHOW_ARENA = 192 << 20 };

/* ---- record ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* The exchanges of one answer, a line each. */
static bool append(FILE *f, const json_t *items)
{
    size_t i;
    const json_t *one;
    struct buf b;
    buf_init(&b, TRACE_RECORDING_OCTETS);
    json_array_foreach(items, i, one)
    {
        buf_put_json(&b, one, false);
        buf_putc(&b, '\n');
    }
    bool ok = buf_err(&b) == TM_OK && fwrite(b.p, 1, b.n, f) == b.n && fflush(f) == 0;
    buf_done(&b);
    return ok;
}

/* Fetch until it has ended or somebody wants it to end; *ret_n is how many exchanges came. */
static bool follow(struct cli *c, const char *id, FILE *f, int64_t *ret_n)
{
    json_int_t from = 0;
    for (bool more = true; more;) {
        struct cli_reply r;
        bool last = interrupted;
        const char *path = arena_printf(c->arena, "/api/v1/recordings/%s?from=%lld", id, (long long)from);
        if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
            return false;
        const json_t *items = json_object_get(r.json, "items");
        if (!append(f, items)) {
            cli_fail(c, "can't write the recording: %s", strerror(errno));
            return false;
        }
        from = json_integer_value(json_object_get(r.json, "next"));
        *ret_n = json_integer_value(json_object_get(r.json, "exchanges"));
        more = json_array_size(items) > 0 || (json_is_true(json_object_get(r.json, "running")) && !last);
        if (more && json_array_size(items) == 0)
            pause_ms(LOOK_MS);
    }
    return true;
}

static void end(struct cli *c, const char *id)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/recordings/%s", id);
    if (path)
        cli_call(c, "DELETE", path, slice_of(NULL, 0), NULL, &r);
}

static int record(struct cli *c)
{
    const char *endpoint = cli_get(c, "endpoint"), *out = cli_get(c, "out");
    struct cli_reply r;
    int64_t seconds, n = 0;
    if (!endpoint || !out)
        return cli_usage(c, "say --endpoint NAME and --out FILE");
    if (!cli_get_duration(c, "for", 60, &seconds))
        return 2;
    if (!cli_server_running(c))
        return cli_fail(c, "no server runs on %s: there is nothing to record", c->home);
    if (!cli_send_json(c, "POST", "/api/v1/recordings",
                       json_pack("{s:s, s:s}", "endpoint", endpoint, "for",
                                 cli_has(c, "for") ? cli_get(c, "for") : "60s"),
                       &r))
        return 1;
    const char *id = arena_strdup(c->arena, json_string_value(json_object_get(r.json, "id")));
    FILE *f = id ? fopen(out, "wx") : NULL;
    if (!f) {
        int why = errno;
        if (id)
            end(c, id);
        return cli_fail(c, "can't make %s: %s", out, strerror(why));
    }
    struct sigaction ours = {.sa_handler = on_interrupt}, before;
    sigaction(SIGINT, &ours, &before);
    if (!c->quiet)
        fprintf(stderr, "recording endpoint %s for %lld s; Ctrl-C ends it earlier\n", endpoint,
                (long long)seconds);
    bool ok = fprintf(f, "{\"touchmark\":\"trace\",\"version\":1}\n") > 0 && follow(c, id, f, &n);
    end(c, id);
    sigaction(SIGINT, &before, NULL);
    if (fclose(f) != 0 && ok)
        return cli_fail(c, "can't write %s: %s", out, strerror(errno));
    if (ok)
        printf("%lld exchange(s) in %s; touchmark trace show %s\n", (long long)n, out, out);
    return ok ? 0 : 1;
}

/* ---- show ---- */

static int show(struct cli *c)
{
    struct slice file;
    struct trace t;
    struct diag diag = {0};
    struct buf out;
    const struct trace_protocol *only = NULL;
    const char *name = cli_get(c, "protocol");
    if (name && !(only = trace_protocol_by_name(name)))
        return cli_usage(c, "--protocol is one of those that --help names");
    if (!cli_read_file(c, c->args[0], TRACE_FILE_MAX, &file))
        return 1;
    struct arena *a = arena_new(SHOW_ARENA);
    if (!a)
        return cli_fail(c, "out of memory");
    buf_init(&out, TRACE_TEXT_MAX);
    tm_err e = trace_read(&t, a, file, &diag);
    if (e == TM_OK)
        e = trace_tell(&out, &t, only, cli_has(c, "full"), &diag);
    if (e == TM_OK)
        fwrite(out.p, 1, out.n, stdout);
    buf_done(&out);
    arena_free(a);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, c->args[0]);
}

static const struct cli_option record_options[] = {
    {"endpoint", 'e', "NAME", "whose exchanges are recorded", false},
    {"out", 'O', "FILE", "where to; must not be there yet", false},
    {"for", 0, "DURATION", "how long, an hour at most (60s)", false},
    {0},
};
static const struct cli_option show_options[] = {
    {"protocol", 0, "NAME", "only this one: acme, cmp, est, scep", false},
    {"full", 0, NULL, "requests and certificates field by field", false},
    {0},
};

const struct command trace_commands[] = {
    {.noun = "trace",
     .verb = "record",
     .summary = "record what goes through an endpoint",
     .arguments = "",
     .description =
         "While it runs, requests to the endpoint and their answers are written to a file, a line each (8 MiB at most). Credentials in\n"
         "headers and answers that may hold private keys are left out. For administrators, and noted in the register.",
     .example = "touchmark trace record --endpoint acme --out client.trace --for 5m",
     .options = record_options,
     .run = record},
    {.noun = "trace",
     .verb = "show",
     .summary = "tell a recording in plain words",
     .arguments = "FILE",
     .description =
         "Decodes each exchange of a recording, or of a HAR file: who signed it and whether that verifies, nonces, what was asked for and\n"
         "answered; then says what became of it and what to do about what was refused. Needs no house.",
     .example = "touchmark trace show client.trace",
     .options = show_options,
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {0},
};
