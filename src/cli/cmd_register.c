/* register: what happened, that nothing of it was changed, and proofs to hand out. */
#include "base/arena.h"
#include "base/json.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "issue/house.h"
#include "register/register.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROOF_MAX = 16 << 20, VKEY_MAX = 4096, PERCENT = 100, EVENTS_SHOWN = 50 };

/* ---- verify ---- */

static void on_progress(void *arg, int percent)
{
    cli_progress_step(arg, (uint64_t)percent);
}

/* A key as text, or a file that holds it. */
static bool read_vkey(struct slice *ret, struct cli *c, const char *text)
{
    if (strchr(text, '+') && access(text, R_OK) != 0) {
        *ret = slice_str(text);
        return true;
    }
    if (!cli_read_file(c, text, VKEY_MAX, ret))
        return false;
    *ret = slice_trim(*ret);
    return true;
}

/* The house's own register, or one opened here under a key that somebody noted elsewhere: then the house needs no passphrase and is only
 * read. */
static tm_err open_to_verify(struct reg **ret, struct reg **ret_own, struct cli *c, struct house *h,
                             struct diag *diag)
{
    struct slice vkey;
    char *name;
    uint8_t public_key[32];
    if (!cli_has(c, "key")) {
        *ret = h->reg;
        return h->reg ? TM_OK
                      : diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "give the register's key: --key VKEY");
    }
    if (!read_vkey(&vkey, c, cli_get(c, "key")))
        return diag_fail(diag, TM_EIO, NULL, NULL, "the key could not be read");
    TM_TRY(note_vkey_parse(&name, public_key, c->arena, vkey, diag));
    struct register_config rc = {
        .store = h->store, .key_id = "register", .origin = h->origin, .public_key = public_key};
    TM_TRY(register_open(ret_own, &rc, diag));
    *ret = *ret_own;
    return TM_OK;
}

static json_t *report_json(const struct register_report *r, const char *tenant)
{
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "tenant", tenant, "events", (json_int_t)r->events,
                     "certificates", (json_int_t)r->certificates, "checkpoints", (json_int_t)r->checkpoints,
                     "chain", (json_int_t)r->chain_seq, "gaps", (json_int_t)r->chain_gaps, "erased",
                     (json_int_t)r->erased, "waiting", (json_int_t)r->waiting);
}

static const struct show_column report_columns[] = {
    {"TENANT", "tenant"},           {"EVENTS", "events"},   {"CERTIFICATES", "certificates"},
    {"CHECKPOINTS", "checkpoints"}, {"CHAIN", "chain"},     {"GAPS", "gaps"},
    {"ERASED", "erased"},           {"WAITING", "waiting"}, {0}};

static int tell_verified(struct cli *c, const json_t *rows)
{
    int status = show_items(c, rows, report_columns);
    if (status == 0 && c->output == OUTPUT_TABLE)
        printf(
            "\nThe register is whole: every event's commitment, every root and signature, every certificate's event and the\n"
            "signer's chain were computed again and agree.\n");
    return status;
}

static int verify_house(struct cli *c, struct house *h, struct reg *reg)
{
    struct catalog *cat = house_catalog(h);
    const struct tenant *v;
    size_t n = catalog_tenants(cat, &v);
    bool house_listed = false;
    json_t *rows = json_array();
    int status = rows ? 0 : 1;
    for (size_t i = 0; i <= n && status == 0; i++) {
        if (i == n && house_listed)
            break;
        tenant_id id = i < n ? v[i].id : TENANT_HOUSE;
        const char *name = i < n ? v[i].name : "(house)";
        house_listed = house_listed || id == TENANT_HOUSE;
        struct register_report r = {0};
        struct diag diag = {0};
        struct cli_progress p = {0};
        cli_progress_begin(&p, c, name, PERCENT);
        tm_err e = register_verify(&r, reg, id, on_progress, &p, &diag);
        cli_progress_end(&p);
        if (e != TM_OK)
            status = cli_fail_diag(c, e, &diag, arena_printf(c->arena, "tenant %s does not verify", name));
        else
            json_array_append_new(rows, report_json(&r, name));
    }
    if (status == 0)
        status = tell_verified(c, rows);
    json_decref(rows);
    catalog_unref(cat);
    return status;
}

/* The running server computes it and says what it found: of the tenant, and of the house's log, which anchors it. */
static int verify_by_server(struct cli *c)
{
    if (cli_has(c, "key"))
        return cli_fail(
            c, "with --key the files themselves are read: stop the server first, or verify without --key");
    const char *tenants[] = {c->tenant, "house"};
    size_t n = strcmp(c->tenant, "house") == 0 ? 1 : 2;
    json_t *rows = json_array();
    int status = rows ? 0 : 1;
    for (size_t i = 0; i < n && status == 0; i++) {
        struct cli_reply r;
        c->tenant = tenants[i];
        cli_call_patience(CLI_PATIENCE_DAY);
        if (!cli_call_ok(c, "POST", "/api/v1/register/verify", slice_of(NULL, 0), NULL, &r)) {
            status = 1;
        } else if (!json_is_true(json_object_get(r.json, "ok"))) {
            const char *why = json_string_value(json_object_get(r.json, "detail"));
            status = cli_fail(c, "the register of tenant %s does not verify: %s", tenants[i],
                              why ? why : "no reason was given");
        } else {
            json_object_set_new(r.json, "tenant", json_string(tenants[i]));
            json_object_set(r.json, "chain", json_object_get(r.json, "chain_seq"));
            json_object_set(r.json, "gaps", json_object_get(r.json, "chain_gaps"));
            json_array_append(rows, r.json);
        }
    }
    c->tenant = tenants[0];
    if (status == 0)
        status = tell_verified(c, rows);
    json_decref(rows);
    return status;
}

static int verify(struct cli *c)
{
    if (cli_server_running(c))
        return verify_by_server(c);
    struct house *h = cli_house(c, cli_has(c, "key") ? HOUSE_READ : HOUSE_OFFLINE);
    if (!h)
        return 1;
    struct diag diag = {0};
    struct reg *reg = NULL, *own = NULL;
    tm_err e = open_to_verify(&reg, &own, c, h, &diag);
    int status = e == TM_OK ? verify_house(c, h, reg) : cli_fail_diag(c, e, &diag, NULL);
    register_close(own);
    return status;
}

/* ---- proofs ---- */

static bool is_position(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 15 && s[n] == '\0';
}

static int prove(struct cli *c)
{
    const char *what = c->args[0];
    const char *group = is_position(what) ? "proofs" : "certificate-proofs";
    const char *path = arena_printf(c->arena, "/api/v1/register/%s/%s", group, show_escape(c, what));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (r.status != 200) /* a problem document is no proof */
        return cli_fail(c, "no checkpoint covers this event yet; try again in a second");
    return cli_write_file(c, cli_get(c, "out"), r.body, 0644) ? 0 : 1;
}

static int verify_proof(struct cli *c)
{
    struct slice proof, vkey;
    if (!cli_has(c, "key"))
        return cli_usage(
            c, "--key VKEY is missing: the register's key as you noted it, not as it came with the proof");
    if (!cli_read_file(c, c->args[0], PROOF_MAX, &proof) || !read_vkey(&vkey, c, cli_get(c, "key")))
        return 1;
    struct diag diag = {0};
    struct buf report;
    buf_init(&report, PROOF_MAX);
    tm_err e = register_verify_proof(proof, vkey, &report, &diag);
    int status = e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, c->args[0]);
    if (status == 0) {
        fwrite(report.p, 1, report.n, stdout);
        if (report.n && report.p[report.n - 1] != '\n')
            putchar('\n');
    }
    buf_done(&report);
    return status;
}

/* ---- looking ---- */

struct exporting {
    FILE *f;
    uint64_t octets;
    struct cli_progress progress;
};

static bool write_out(void *arg, struct slice data)
{
    struct exporting *x = arg;
    x->octets += data.n;
    cli_progress_step(&x->progress, x->octets >> 10);
    return fwrite(data.p, 1, data.n, x->f) == data.n;
}

static int export(struct cli *c)
{
    const char *path = cli_get(c, "out");
    bool named = path && strcmp(path, "-") != 0;
    FILE *f = named ? fopen(path, "we") : stdout;
    if (!f)
        return cli_fail(c, "%s: %s", path, strerror(errno));
    struct cli_reply r;
    struct exporting x = {.f = f};
    if (named)
        cli_progress_begin(&x.progress, c, "KiB exported", 0);
    bool ok =
        cli_call_stream(c, "GET", "/api/v1/register/export", slice_of(NULL, 0), NULL, write_out, &x, &r);
    cli_progress_end(&x.progress);
    if (ok && r.status >= 400) {
        const char *detail = json_string_value(json_object_get(r.json, "detail"));
        cli_fail(c, "%s", detail ? detail : "the register could not be read");
        ok = false;
    }
    bool bad = ferror(f) != 0;
    if (named && (fflush(f) != 0 || fsync(fileno(f)) != 0 || fclose(f) != 0))
        bad = true;
    if (ok && bad)
        return cli_fail(c, "%s: %s", named ? path : "standard output", strerror(errno));
    return ok ? 0 : 1;
}

static int show(struct cli *c)
{
    static const struct show_column columns[] = {
        {"POS", "pos"}, {"TIME", "time"}, {"TYPE", "type"}, {"SUBJECT", "subject"}, {0}};
    const char *path = "/api/v1/register/events";
    int64_t limit;
    if (!cli_get_number(c, "limit", EVENTS_SHOWN, 1, INT64_MAX, &limit))
        return 2;
    static const char *const filters[] = {"type", "subject", "from", NULL};
    char sep = '?';
    for (size_t i = 0; filters[i] && path; i++) {
        if (!cli_has(c, filters[i]))
            continue;
        path = arena_printf(c->arena, "%s%c%s=%s", path, sep, filters[i],
                            show_escape(c, cli_get(c, filters[i])));
        sep = '&';
    }
    return path ? show_list(c, path, "from", columns, (size_t)limit) : 1;
}

static int key(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/register/key", slice_of(NULL, 0), NULL, &r))
        return 1;
    const char *text = json_string_value(json_object_get(r.json, "key"));
    if (c->output != OUTPUT_TABLE && r.json)
        return show_value(c, r.json);
    if (text)
        puts(text);
    else
        fwrite(r.body.p, 1, r.body.n, stdout);
    return 0;
}

static int erase(struct cli *c)
{
    const char *reason = cli_get(c, "reason");
    if (!is_position(c->args[0]))
        return cli_usage(c, "\"%s\" is not the position of an event (touchmark register show)", c->args[0]);
    if (!reason || !reason[0])
        return cli_usage(c, "--reason is missing: it is all that stays to be read");
    const char *path = arena_printf(c->arena, "/api/v1/register/events/%s/erase", c->args[0]);
    struct cli_reply r;
    if (!path || !cli_send_json(c, "POST", path, json_pack("{s:s}", "reason", reason), &r))
        return 1;
    if (!c->quiet)
        printf("Event %s is erased. Backups and exports made before still have it.\n", c->args[0]);
    return 0;
}

static const struct cli_option erase_options[] = {
    {"reason", 0, "TEXT", "why; it stays in the register, so no personal data", false},
    {0},
};
static const struct cli_option verify_options[] = {
    {"key", 0, "VKEY",
     "the register's key as noted elsewhere, or a file with it: only reads, needs no passphrase", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase, where neither a server runs nor --key is given",
     false},
    {0},
};
static const struct cli_option prove_options[] = {
    {"out", 'O', "FILE", "where to; standard output else", false},
    {0},
};
static const struct cli_option proof_options[] = {
    {"key", 0, "VKEY", "the register's key, or a file with it", false},
    {0},
};
static const struct cli_option show_options[] = {
    {"type", 0, "TYPE", "only events whose type begins so: certificate, device.changed …", false},
    {"subject", 0, "SUBJECT", "only about this: device/SN-0001, certificate/<serial> …", false},
    {"from", 0, "POS", "from this position on", false},
    {"limit", 0, "N", "at most so many (50)", false},
    {0},
};

const struct command register_commands[] = {
    {.noun = "register",
     .verb = "verify",
     .summary = "compute the whole register again",
     .arguments = "",
     .description =
         "Commitments, roots of every checkpoint, signatures, that every certificate has its event and every issuing event\n"
         "its certificate, and the signer's chain. Fails with the first thing that does not agree.",
     .example = "touchmark register verify\ntouchmark register verify --key register.vkey",
     .options = verify_options,
     .run = verify},
    {.noun = "register",
     .verb = "prove",
     .summary = "write a proof that an event stands in the register",
     .arguments = "POS|SERIAL",
     .description =
         "A document of its own: the event, its way to a signed root. Position of an event, or serial of a certificate for its\n"
         "issuing.",
     .example = "touchmark register prove 42 -O proof.json",
     .options = prove_options,
     .min_args = 1,
     .max_args = 1,
     .run = prove},
    {.noun = "register",
     .verb = "verify-proof",
     .summary = "check such a proof, offline",
     .arguments = "FILE",
     .description = "Needs no house, only the register's key (\"touchmark register key\").",
     .example = "touchmark register verify-proof proof.json --key register.vkey",
     .options = proof_options,
     .min_args = 1,
     .max_args = 1,
     .run = verify_proof},
    {.noun = "register",
     .verb = "export",
     .summary = "write every event, one JSON object a line",
     .arguments = "",
     .description =
         "Position, time, type, subject, salt, body and leaf hash: enough to compute the tree elsewhere.",
     .example = "touchmark register export -O register.ndjson",
     .options = prove_options,
     .run = export},
    {.noun = "register",
     .verb = "show",
     .summary = "show events",
     .arguments = "",
     .description = "What happened, in its order.",
     .example = "touchmark register show --type certificate --limit 20",
     .options = show_options,
     .run = show},
    {.noun = "register",
     .verb = "erase",
     .summary = "take an event's contents out for good",
     .arguments = "POS",
     .description =
         "For personal data that has to go. The event's place, time, type, subject and leaf stay, so every root and proof still\n"
         "verifies; what it said can't be had again. Of what records a signature the numbers stay that the signer's chain is\n"
         "verified by. The erasure is an event itself, with who did it and why. The certificate or device that the event told\n"
         "of is another record and stays.",
     .example = "touchmark register erase 42 --reason \"request of the person concerned, ticket 4711\"",
     .options = erase_options,
     .min_args = 1,
     .max_args = 1,
     .run = erase},
    {.noun = "register",
     .verb = "key",
     .summary = "print the register's public key",
     .arguments = "",
     .description =
         "The text that verify-proof and any C2SP signed-note reader take. Note it where the house can't change it.",
     .example = "touchmark register key > register.vkey",
     .run = key},
    {0},
};
