/* device: the registry of devices, one at a time and by the hundred thousand. */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_MAX = 2 << 20, LINE_MAX_OCTETS = 64 << 10, HEADER_MAX = 4096, ERRORS_SHOWN = 20 };

static const struct show_column device_columns[] = {{"ID", "id"},
                                                    {"STATE", "state"},
                                                    {"MODEL", "model"},
                                                    {"VENDOR", "vendor"},
                                                    {"OWNER", "owner"},
                                                    {"PLACE", "place"},
                                                    {0}};

static const char *device_path(struct cli *c, const char *id, const char *tail)
{
    return arena_printf(c->arena, "/api/v1/devices/%s%s", show_escape(c, id), tail);
}

static int register_device(struct cli *c)
{
    static const char *const fields[] = {"model", "vendor", "serial", "owner", "place", "batch", NULL};
    json_t *v = json_pack("{s:s}", "id", c->args[0]);
    for (size_t i = 0; v && fields[i]; i++)
        if (cli_has(c, fields[i]))
            json_object_set_new(v, fields[i], json_string(cli_get(c, fields[i])));
    struct cli_reply r;
    if (!cli_send_json(c, "PUT", device_path(c, c->args[0], ""), v, &r))
        return 1;
    return r.json ? show_value(c, r.json) : 0;
}

static int show(struct cli *c)
{
    struct cli_reply r;
    const char *path = device_path(c, c->args[0], "");
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int list(struct cli *c)
{
    const char *path = "/api/v1/devices";
    char sep = '?';
    static const char *const filters[] = {"state", "prefix", NULL};
    for (size_t i = 0; filters[i] && path; i++) {
        if (!cli_has(c, filters[i]))
            continue;
        path = arena_printf(c->arena, "%s%c%s=%s", path, sep, filters[i],
                            show_escape(c, cli_get(c, filters[i])));
        sep = '&';
    }
    int64_t limit;
    if (!cli_get_number(c, "limit", 0, 1, INT64_MAX, &limit))
        return 2;
    return path ? show_list(c, path, "after", device_columns, (size_t)limit) : cli_fail(c, "out of memory");
}

static int gaps(struct cli *c)
{
    static const struct show_column devices[] = {{"DEVICE", "device"},
                                                 {"STATE", "state"},
                                                 {"OWNER", "owner"},
                                                 {"PLACE", "place"},
                                                 {"WHY", "why"},
                                                 {"SINCE", "ended"},
                                                 {0}};
    static const struct show_column certificates[] = {
        {"SERIAL", "certificate.serial"},       {"SUBJECT", "certificate.subject"},
        {"ISSUER", "certificate.authority"},    {"SOURCE", "certificate.source"},
        {"NOT AFTER", "certificate.not_after"}, {0}};
    bool certs = cli_has(c, "certificates");
    int64_t limit;
    if (!cli_get_number(c, "limit", 0, 1, INT64_MAX, &limit))
        return 2;
    return show_list(c,
                     certs ? "/api/v1/inventory/gaps?kind=certificates-without-device"
                           : "/api/v1/inventory/gaps?kind=devices-without-certificate",
                     "after", certs ? certificates : devices, (size_t)limit);
}

static int put_state(struct cli *c, const char *id, const char *state)
{
    json_t *v = json_pack("{s:s}", "state", state);
    if (v && cli_has(c, "why"))
        json_object_set_new(v, "why", json_string(cli_get(c, "why")));
    struct cli_reply r;
    if (!cli_send_json(c, "POST", device_path(c, id, "/state"), v, &r))
        return 1;
    return r.json ? show_value(c, r.json) : 0;
}

static int state(struct cli *c)
{
    return put_state(c, c->args[0], c->args[1]);
}

static int retire(struct cli *c)
{
    return put_state(c, c->args[0], "retired");
}

/* ---- import ---- */

/* A file on its way in. Chunks end at line ends, so that each one is a whole document; a CSV's heading goes before each. What went in twice
 * is the same as once, so whoever was interrupted starts again. */
struct importing {
    struct cli *c;
    FILE *file;
    const char *path;
    bool csv;
    char header[HEADER_MAX];
    uint64_t line;       /* number of the last line read */
    uint64_t chunk_line; /* number of the chunk's first data line */
    uint64_t octets;
    uint64_t rows, created, changed, same, failed, errors_shown;
    struct buf chunk;
    struct cli_progress progress;
};

static uint64_t count_of(const json_t *v, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(v, key));
}

/* Errors of a chunk carry the line within it: say where that is in the file. */
static void tell_errors(struct importing *m, const json_t *answer)
{
    const json_t *errors = json_object_get(answer, "failed"), *e;
    size_t i;
    json_array_foreach(errors, i, e)
    {
        if (m->errors_shown++ >= ERRORS_SHOWN)
            continue;
        uint64_t at = (uint64_t)json_integer_value(json_object_get(e, "line"));
        uint64_t within = at > (uint64_t)m->csv ? at - 1 - (uint64_t)m->csv : 0;
        const char *why = json_string_value(json_object_get(e, "why"));
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", m->path, m->chunk_line + within, why ? why : "refused");
    }
}

static bool send_chunk(struct importing *m)
{
    if (m->rows == 0 || m->chunk.n == 0)
        return true;
    struct cli_reply r;
    if (!cli_call_ok(m->c, "POST", "/api/v1/devices/import", buf_slice(&m->chunk),
                     m->csv ? "text/csv" : "application/x-ndjson", &r)) {
        cli_fail(m->c,
                 "%s: stopped at line %" PRIu64
                 "; what went in stays: mend it and run the same command again",
                 m->path, m->chunk_line);
        return false;
    }
    tell_errors(m, r.json);
    m->created += count_of(r.json, "created");
    m->changed += count_of(r.json, "updated");
    m->same += count_of(r.json, "unchanged");
    m->failed += count_of(r.json, "failures");
    cli_progress_step(&m->progress, m->octets);
    buf_reset(&m->chunk);
    return true;
}

static bool add_line(struct importing *m, const char *line, size_t n)
{
    if (m->chunk.n + n > CHUNK_MAX && !send_chunk(m))
        return false;
    if (m->chunk.n == 0) {
        m->chunk_line = m->line;
        buf_puts(&m->chunk, m->header);
    }
    buf_put(&m->chunk, line, n);
    if (line[n - 1] != '\n')
        buf_putc(&m->chunk, '\n');
    m->rows++;
    return true;
}

/* A quoted CSV field may go on over a line end: an odd number of quotes says so. */
static size_t quotes_in(const char *line)
{
    size_t n = 0;
    for (; *line; line++)
        n += *line == '"';
    return n;
}

static bool read_lines(struct importing *m)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ok = true, inside = false;
    while (ok && (n = getline(&line, &cap, m->file)) > 0) {
        m->line++;
        m->octets += (uint64_t)n;
        if (n > LINE_MAX_OCTETS) {
            cli_fail(m->c, "%s:%" PRIu64 ": a line of more than %d octets", m->path, m->line,
                     LINE_MAX_OCTETS);
            ok = false;
        } else if (inside) {
            buf_put(&m->chunk, line, (size_t)n);
            inside = inside != (quotes_in(line) % 2 == 1);
        } else if (m->csv && !m->header[0]) {
            if ((size_t)n + 2 > sizeof m->header) {
                cli_fail(m->c, "%s: the heading is too long", m->path);
                ok = false;
            }
            snprintf(m->header, sizeof m->header, "%s%s", line, line[n - 1] == '\n' ? "" : "\n");
        } else if (line[strspn(line, " \t\r\n")]) {
            ok = add_line(m, line, (size_t)n);
            inside = m->csv && quotes_in(line) % 2 == 1;
        } else if (m->chunk.n) {
            buf_putc(&m->chunk, '\n'); /* so that the lines after it keep their numbers */
        }
    }
    if (ok && ferror(m->file)) {
        cli_fail(m->c, "%s: %s", m->path, strerror(errno));
        ok = false;
    }
    free(line);
    return ok && send_chunk(m);
}

static int tell_result(struct importing *m)
{
    json_t *v = json_pack("{s:I,s:I,s:I,s:I,s:I}", "rows", (json_int_t)m->rows, "created",
                          (json_int_t)m->created, "updated", (json_int_t)m->changed, "unchanged",
                          (json_int_t)m->same, "failed", (json_int_t)m->failed);
    int status = v ? show_value(m->c, v) : 1;
    json_decref(v);
    if (m->errors_shown > ERRORS_SHOWN)
        fprintf(stderr, "… and %" PRIu64 " more\n", m->errors_shown - ERRORS_SHOWN);
    if (m->failed)
        return cli_fail(
            m->c, "%" PRIu64 " of %" PRIu64 " rows were refused; mend them and run the same command again",
            m->failed, m->rows);
    return status;
}

static int import(struct cli *c)
{
    struct importing m = {.c = c, .path = c->args[0]};
    const char *form = cli_get(c, "format");
    size_t n = strlen(m.path);
    if (form && strcasecmp(form, "csv") != 0 && strcasecmp(form, "ndjson") != 0)
        return cli_usage(c, "--format takes csv or ndjson, not \"%s\"", form);
    m.csv = form ? strcasecmp(form, "csv") == 0 : n > 4 && strcasecmp(m.path + n - 4, ".csv") == 0;
    m.file = strcmp(m.path, "-") == 0 ? stdin : fopen(m.path, "re");
    if (!m.file)
        return cli_fail(c, "%s: %s", m.path, strerror(errno));
    uint64_t total = 0;
    if (m.file != stdin && fseeko(m.file, 0, SEEK_END) == 0) {
        total = (uint64_t)ftello(m.file);
        if (fseeko(m.file, 0, SEEK_SET) != 0) {
            fclose(m.file);
            return cli_fail(c, "%s: %s", m.path, strerror(errno));
        }
    }
    buf_init(&m.chunk, CHUNK_MAX + 2 * LINE_MAX_OCTETS + HEADER_MAX + (4 << 20));
    cli_progress_begin(&m.progress, c, "importing", total);
    bool ok = read_lines(&m);
    cli_progress_end(&m.progress);
    int status = ok ? tell_result(&m) : 1;
    buf_done(&m.chunk);
    if (m.file != stdin)
        fclose(m.file);
    return status;
}

static const struct cli_option register_options[] = {
    {"model", 0, "TEXT", "its model", false},
    {"vendor", 0, "TEXT", "who made it", false},
    {"serial", 0, "TEXT", "its serial number, where that is not the id", false},
    {"owner", 0, "TEXT", "whose it is", false},
    {"place", 0, "TEXT", "where it is", false},
    {"batch", 0, "TEXT", "the batch it came from", false},
    {0},
};
static const struct cli_option import_options[] = {
    {"format", 0, "FORM", "csv or ndjson; by the file's name else", false},
    {0},
};
static const struct cli_option gaps_options[] = {
    {"certificates", 0, NULL, "valid certificates that no device of the register has", false},
    {"limit", 0, "N", "at most so many", false},
    {0},
};
static const struct cli_option list_options[] = {
    {"state", 0, "STATE", "only these", false},
    {"prefix", 0, "TEXT", "only ids that begin so", false},
    {"limit", 0, "N", "at most so many", false},
    {0},
};
static const struct cli_option state_options[] = {
    {"why", 0, "TEXT", "the reason, for the register", false},
    {0},
};

const struct command device_commands[] = {
    {.noun = "device",
     .verb = "register",
     .summary = "enter a device, or change what is known of it",
     .arguments = "ID",
     .description = "The id is what its certificates name: by default the serial number.",
     .example = "touchmark device register SN-0001 --model TX-9 --vendor Example --place \"Plant 2\"",
     .options = register_options,
     .min_args = 1,
     .max_args = 1,
     .run = register_device},
    {.noun = "device",
     .verb = "import",
     .summary = "enter devices from a file",
     .arguments = "FILE",
     .description =
         "CSV with a heading line (id, serial, model, vendor, owner, place, batch, criticality, tag.NAME, identifier.NAME) or one\n"
         "JSON object a line; - reads standard input. Running it twice does no harm, so after an interruption run it again.",
     .example = "touchmark device import devices.csv",
     .options = import_options,
     .min_args = 1,
     .max_args = 1,
     .run = import},
    {.noun = "device",
     .verb = "list",
     .summary = "list devices",
     .arguments = "",
     .description = "Ordered by id.",
     .example = "touchmark device list --state operating --prefix SN- --limit 50",
     .options = list_options,
     .run = list},
    {.noun = "device",
     .verb = "gaps",
     .summary = "devices without a certificate, or certificates without a device",
     .arguments = "",
     .description =
         "Compares the device register, which a CMDB's list fills (\"device import\"), with the inventory. A device has a certificate that was made\n"
         "for it, or whose common name is its id or serial number; only valid ones count, and retired devices need none. The other way a\n"
         "certificate has a device also by its subject's serialNumber or a DNS name; CAs' are left out.",
     .example = "touchmark device gaps\n"
                "touchmark device gaps --certificates -o json",
     .options = gaps_options,
     .run = gaps},
    {.noun = "device",
     .verb = "show",
     .summary = "show one device",
     .arguments = "ID",
     .description = "Everything known of it.",
     .example = "touchmark device show SN-0001 -o json",
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "device",
     .verb = "state",
     .summary = "move a device on in its life",
     .arguments = "ID STATE",
     .description = "made, shipped, onboarded, operating, transferred, retired.",
     .example = "touchmark device state SN-0001 operating --why \"commissioned\"",
     .options = state_options,
     .min_args = 2,
     .max_args = 2,
     .run = state},
    {.noun = "device",
     .verb = "retire",
     .summary = "end a device's life",
     .arguments = "ID",
     .description = "It gets no certificates any more.",
     .example = "touchmark device retire SN-0001 --why \"scrapped\"",
     .options = state_options,
     .min_args = 1,
     .max_args = 1,
     .run = retire},
    {0},
};
