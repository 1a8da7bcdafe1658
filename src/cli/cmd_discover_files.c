/* discover files: certificates and keystores in the files of this machine. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cert_import.h"
#include "cli/commands.h"
#include "cli/discover_report.h"
#include "cli/show.h"
#include "discover/walk.h"
#include "inventory/formats/container.h"
#include "inventory/place.h"
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXCLUDE_MAX = 64, ROOTS_MAX = 256, SKIPPED_MAX = 10000, HOST_MAX = 253, TOLD_MAX = 100 };

struct files {
    struct cli *c;
    struct discover_report report;
    const char *host;
    const char *exclude[EXCLUDE_MAX + 1];
    const char *roots[ROOTS_MAX];
    size_t n_roots;
    /* What could not be looked at, and so is not gone: directories, files */
    const char **skipped;
    size_t n_skipped;
    bool too_many;
    struct secret password;
    size_t told;
};

/* ---- names ---- */

/* A path as a place has it: what would not print, and what has a meaning there, as %XX. */
static const char *place_of(struct arena *a, const char *host, const char *path, const char *alias)
{
    struct buf b;
    struct slice s = slice_str(path);
    buf_init(&b, 4 * WALK_PATH_MAX);
    buf_printf(&b, "file:%s", host);
    while (s.n) {
        size_t n = utf8_step(s);
        unsigned char c = s.p[0];
        bool odd =
            n == 0 || c < 0x20 || c == 0x7f || c == '#' || c == '%' || (n == 2 && c == 0xc2 && s.p[1] < 0xa0);
        if (!odd)
            buf_put(&b, s.p, n);
        for (size_t i = 0; odd && i < (n ? n : 1); i++)
            buf_printf(&b, "%%%02X", s.p[i]);
        s = slice_sub(s, n ? n : 1, s.n);
    }
    if (alias[0])
        buf_printf(&b, "#%s", alias);
    const char *text = b.n < PLACE_NAME_MAX ? arena_strdup(a, buf_str(&b)) : NULL;
    buf_done(&b);
    return text;
}

/* ---- looking ---- */

static void skip(struct files *f, const char *path)
{
    if (f->n_skipped == SKIPPED_MAX) {
        f->too_many = true;
        return;
    }
    const char *name = place_of(f->c->arena, "", path, "");
    if (name)
        f->skipped[f->n_skipped++] = name + sizeof "file:" - 1;
    else
        f->too_many = true;
}

static void tell(struct files *f, const char *path, const char *where, const char *why)
{
    if (f->told++ < TOLD_MAX)
        cli_fail(f->c, "%s: %s%s%s", path, where, where[0] ? ": " : "", why);
    else if (f->told == TOLD_MAX + 1)
        cli_fail(f->c, "more of these are not shown");
}

static void trouble(void *arg, const char *path, const char *why)
{
    struct files *f = arg;
    f->report.failed++;
    skip(f, path);
    tell(f, path, "", why);
}

static bool report_items(struct files *f, const char *path, const struct container *found)
{
    struct arena *a = arena_new(64 << 10);
    bool go_on = a != NULL;
    for (size_t i = 0; i < found->n_items && go_on; i++) {
        const struct container_item *it = &found->items[i];
        const char *place = place_of(a, f->host, path, it->alias);
        const char *details =
            arena_printf(a, "{\"format\":\"%s\",\"has_key\":%s}", found->format,
                         it->has_key || (found->keys && found->n_items == 1) ? "true" : "false");
        if (!place) {
            tell(f, path, it->alias, "its name is too long for a place");
            continue;
        }
        go_on = discover_add(&f->report, place, 0, details, it->chain, it->n_chain);
        arena_reset(a);
    }
    arena_free(a);
    return go_on;
}

static bool look_at(void *arg, const char *path, struct slice bytes)
{
    struct files *f = arg;
    struct container found;
    struct diag diag = {0};
    struct container_input in = {
        .bytes = bytes, .has_password = f->password.p != NULL, .password = secret_slice(&f->password)};
    tm_err e = container_read(&found, &in, &diag);
    if (e == TM_ELOCKED &&
        in.has_password) { /* of another, perhaps: Java's have their certificates in the open */
        in.has_password = false;
        in.password = (struct slice){0};
        e = container_read(&found, &in, &diag);
    }
    if (e == TM_ENOTFOUND || e == TM_EMALFORMED)
        return true; /* a file like others, or one that only looked like it */
    if (e != TM_OK) {
        trouble(f, path, diag.message[0] ? diag.message : tm_err_name(e));
        return e != TM_ENOMEM;
    }
    for (size_t i = 0; i < found.refused && i < CONTAINER_REFUSALS_MAX && found.n_items; i++)
        tell(f, path, found.refusals[i].where, found.refusals[i].why);
    f->report.answered += found.n_items > 0;
    bool go_on = report_items(f, path, &found);
    container_done(&found);
    return go_on;
}

/* ---- what is gone ---- */

static bool below(const char *path, const char *root)
{
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/' || path[n] == '#' || n == 1);
}

/* Was it looked for where it was? */
static bool was_looked_for(struct files *f, const char *path)
{
    bool covered = false;
    for (size_t i = 0; i < f->n_roots && !covered; i++)
        covered = below(path, f->roots[i]);
    for (size_t i = 0; i < f->n_skipped && covered; i++)
        covered = !below(path, f->skipped[i]);
    /* The file itself, without its alias: patterns are for those. */
    const char *file = arena_strndup(f->c->arena, path, strcspn(path, "#"));
    for (const char *const *p = f->exclude; file && *p && covered; p++)
        covered = fnmatch(*p, file, 0) != 0;
    return covered && file;
}

static bool report_page(struct files *f, const char *after, const char **ret_next)
{
    struct cli *c = f->c;
    struct cli_reply reply;
    size_t i, n = 0;
    const json_t *x;
    const char *host = arena_printf(c->arena, "file:%s", f->host), *gone[1000];
    const char *path =
        host ? arena_printf(c->arena, "/api/v1/places?limit=1000&host=%s%s%s", show_escape(c, host),
                            after ? "&after=" : "", after ? show_escape(c, after) : "")
             : NULL;
    if (!path || !remote_call(c, &f->report.remote, "GET", path, (struct slice){0}, NULL, &reply))
        return false;
    size_t prefix = strlen(host);
    json_array_foreach(json_object_get(reply.json, "items"), i, x)
    {
        const char *place = json_string_value(json_object_get(x, "place")),
                   *status = json_string_value(json_object_get(x, "status"));
        if (place && status && strcmp(status, "present") == 0 && strlen(place) > prefix &&
            n < sizeof gone / sizeof *gone && !discover_seen(&f->report, place) &&
            was_looked_for(f, place + prefix))
            gone[n++] = arena_strdup(c->arena, place);
    }
    const char *next = json_string_value(json_object_get(reply.json, "next"));
    *ret_next = next ? arena_strdup(c->arena, next) : NULL;
    for (i = 0; i < n; i++)
        if (!gone[i] ||
            !discover_add(&f->report, gone[i], 0, "{\"error\":\"it is no longer there\"}", NULL, 0))
            return false;
    return true;
}

/* Places of this host below what was walked that were not met again. */
static bool report_gone(struct files *f)
{
    const char *next = NULL;
    if (f->report.dry || f->too_many)
        return true;
    if (!discover_flush(&f->report))
        return false;
    do
        if (!report_page(f, next, &next))
            return false;
    while (next);
    return true;
}

/* ---- the command ---- */

static bool host_name(struct cli *c, const char **ret)
{
    char name[HOST_MAX + 1] = "";
    const char *given = cli_get(c, "host");
    if (!given && gethostname(name, sizeof name - 1) != 0)
        return cli_fail(c, "this machine has no name; give --host") == 0;
    *ret = given ? given : arena_strdup(c->arena, name);
    for (const char *s = *ret; s && *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '/')
            *ret = NULL;
    if (!*ret || !(*ret)[0] || strlen(*ret) > HOST_MAX)
        return cli_usage(c, "--host takes a name of plain characters, without '/'") == 0;
    return true;
}

static bool prepare(struct files *f, json_t *spec)
{
    struct cli *c = f->c;
    json_t *dirs = json_array(), *excluded = json_array();
    json_object_set_new(spec, "directories", dirs);
    json_object_set_new(spec, "exclude", excluded);
    if (!host_name(c, &f->host))
        return false;
    json_object_set_new(spec, "host", json_string(f->host));
    for (int i = 0; i < EXCLUDE_MAX && cli_get_nth(c, "exclude", i); i++) {
        f->exclude[i] = cli_get_nth(c, "exclude", i);
        json_array_append_new(excluded, json_string(f->exclude[i]));
    }
    for (int i = 0; i < c->n_args; i++) {
        char real[PATH_MAX];
        if (!realpath(c->args[i], real))
            return cli_fail(c, "%s: there is no such directory or file, or it can't be entered",
                            c->args[i]) == 0;
        const char *root = place_of(c->arena, "", real, "");
        f->roots[f->n_roots] = root ? root + sizeof "file:" - 1 : real;
        c->args[i] = arena_strdup(c->arena, real);
        json_array_append_new(dirs, json_string(f->roots[f->n_roots++]));
        if (!root || !c->args[i])
            return cli_fail(c, "%s: its name is too long", real) == 0;
    }
    f->skipped = calloc(SKIPPED_MAX, sizeof *f->skipped);
    if (!f->skipped)
        return cli_fail(c, "out of memory") == 0;
    return !cli_has(c, "password-file") || cert_import_password(c, &f->password, "keystores");
}

static int files(struct cli *c)
{
    struct files *f = calloc(1, sizeof *f);
    json_t *spec = json_object();
    if (!f || !spec || c->n_args > ROOTS_MAX) {
        free(f);
        json_decref(spec);
        return cli_fail(c, "out of memory, or more than %d directories", ROOTS_MAX);
    }
    f->c = c;
    int status = 1;
    bool ready = prepare(f, spec);
    if (!ready)
        json_decref(spec);
    if (ready && discover_begin(&f->report, c, "files", spec)) {
        bool go_on = true;
        for (int i = 0; i < c->n_args && go_on; i++) {
            struct walk w = {.exclude = f->exclude,
                             .cross = cli_has(c, "cross"),
                             .file = look_at,
                             .trouble = trouble,
                             .arg = f};
            go_on = walk_tree(&w, c->args[i]) && !w.ended;
            f->report.total += (json_int_t)w.files;
            f->report.done += (json_int_t)w.files;
        }
        go_on = go_on && report_gone(f);
        status = discover_end(&f->report, go_on ? NULL : "it ended early");
    }
    secret_done(&f->password);
    free(f->skipped);
    free(f);
    return status;
}

static const struct cli_option files_options[] = {
    {"host", 0, "NAME", "what this machine is called; its own name when left out", false},
    {"exclude", 0, "PATTERN", "not these paths: '/var/lib/docker/*'", true},
    {"cross", 0, NULL, "into other file systems too", false},
    {"password-file", 0, "FILE", "tried on keystores that need a password", false},
    {"dry-run", 0, NULL, "show what is there and report nothing", false},
    REMOTE_OPTIONS,
    {0},
};

const struct command discover_files_commands[] = {
    {
        .noun = "discover",
        .verb = "files",
        .summary = "find certificates and keystores in files of this machine",
        .arguments = "DIRECTORY...",
        .description =
            "Goes through the files below, told by content, and reports what it finds as places file:HOST/PATH: new ones, others than before,\n"
            "and what is no longer there. Links are not followed, other file systems not entered, private keys not read. With --server it\n"
            "reports to a house elsewhere, which makes it that house's agent here: run it from a timer.",
        .example =
            "touchmark discover files /etc /opt --exclude '/opt/build/*'\n"
            "touchmark discover files / --server https://house.example:9443 --token-file /etc/touchmark/agent.token",
        .options = files_options,
        .min_args = 1,
        .max_args = ROOTS_MAX,
        .run = files,
    },
    {0},
};
