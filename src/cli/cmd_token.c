/* token and request: what lets enrollments in, and those that wait for a person. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY_MAX = 64 };

static void add_many(struct cli *c, json_t *doc, const char *option, const char *key)
{
    json_t *list = json_array();
    const char *s;
    for (int i = 0; list && i < MANY_MAX && (s = cli_get_nth(c, option, i)); i++) {
        while (*s) { /* "admin,operator" is two */
            size_t n = strcspn(s, ",");
            if (n)
                json_array_append_new(list, json_stringn(s, n));
            s += n + (s[n] == ',');
        }
    }
    if (json_array_size(list))
        json_object_set(doc, key, list);
    json_decref(list);
}

/* What an ACME client is given beforehand is the key of an external account, and nothing else. */
static bool is_external(const struct cli *c)
{
    return cli_has(c, "external") || (cli_has(c, "for") && strcmp(cli_get(c, "for"), "acme") == 0);
}

/* What is asked for; NULL after complaining. */
static json_t *request(struct cli *c)
{
    const char *type = cli_has(c, "principal") ? "api" : is_external(c) ? "external" : "enrollment";
    json_t *doc = json_pack("{s:s}", "type", type);
    if (!doc) {
        cli_fail(c, "out of memory");
        return NULL;
    }
    static const char *const texts[] = {"for", "endpoint", "profile", "device", "principal", "ttl", NULL};
    for (size_t i = 0; texts[i]; i++)
        if (cli_has(c, texts[i]))
            json_object_set_new(doc, texts[i], json_string(cli_get(c, texts[i])));
    add_many(c, doc, "name", "names");
    add_many(c, doc, "roles", "roles");
    add_many(c, doc, "scope", "scopes");
    if (cli_has(c, "only-tenant"))
        json_object_set_new(doc, "tenant", json_string(cli_get(c, "only-tenant")));
    int64_t uses;
    if (!cli_get_number(c, "uses", 1, 1, 1000000, &uses)) {
        json_decref(doc);
        return NULL;
    }
    if (cli_has(c, "uses"))
        json_object_set_new(doc, "uses", json_integer(uses));
    return doc;
}

static int create_one(struct cli *c, json_t *doc)
{
    struct cli_reply r;
    bool cmp = cli_has(c, "for") && strcmp(cli_get(c, "for"), "cmp") == 0;
    if (!cli_send_json(c, "POST", "/api/v1/tokens", doc, &r))
        return 1;
    if (c->output != OUTPUT_TABLE)
        return show_value(c, r.json);
    /* The token alone on standard output, for $(...); where clients ask for two things, both. */
    const char *token = json_string_value(json_object_get(r.json, "token")),
               *id = json_string_value(json_object_get(r.json, "id")),
               *secret = json_string_value(json_object_get(r.json, "secret")),
               *expires = json_string_value(json_object_get(r.json, "expires_at"));
    if (is_external(c))
        printf("key id:   %s\nHMAC key: %s\n", id ? id : "", secret ? secret : "");
    else if (cmp)
        printf("reference: %s\nsecret:    %s\n", id ? id : "", secret ? secret : "");
    else
        printf("%s\n", token ? token : "");
    if (!c->quiet)
        fprintf(stderr, "The %s is shown this once. It ends %s.\n",
                is_external(c) ? "key"
                : cmp          ? "secret"
                               : "token",
                expires ? expires : "");
    return 0;
}

/* ---- many ---- */

static void put_row(FILE *f, const json_t *item, bool csv)
{
    if (!csv) {
        json_dumpf(item, f, JSON_COMPACT);
        fputc('\n', f);
        return;
    }
    static const char *const columns[] = {"id", "secret", "token", "device", NULL};
    for (size_t i = 0; columns[i]; i++) {
        const char *s = json_string_value(json_object_get(item, columns[i]));
        fprintf(f, "%s,", s ? s : "");
    }
    const json_t *names = json_object_get(item, "names");
    for (size_t i = 0; i < json_array_size(names); i++)
        fprintf(f, "%s%s", i ? " " : "", json_string_value(json_array_get(names, i)));
    fputc('\n', f);
}

static bool csv_safe(const json_t *doc)
{
    const char *device = json_string_value(json_object_get(doc, "device"));
    if (device && strpbrk(device, ",\"\r\n"))
        return false;
    const json_t *names = json_object_get(doc, "names");
    for (size_t i = 0; i < json_array_size(names); i++)
        if (strpbrk(json_string_value(json_array_get(names, i)), ",\" \r\n"))
            return false;
    return true;
}

enum { BATCH = 10000, BATCHES_MAX = 1000 };

/* Batch by batch, each a transaction, each on the disk before the next: what the file has is valid, whatever comes. */
static int64_t fill(struct cli *c, FILE *f, bool csv, const json_t *doc, int64_t count, int64_t first)
{
    int64_t done = 0;
    while (done < count) {
        int64_t n = count - done < BATCH ? count - done : BATCH;
        json_t *batch = json_copy((json_t *)(uintptr_t)doc);
        json_object_set_new(batch, "count", json_integer(n));
        json_object_set_new(batch, "first", json_integer(first + done));
        struct cli_reply r;
        if (!batch || !cli_send_json(c, "POST", "/api/v1/tokens/batch", batch, &r))
            return done;
        const json_t *items = json_object_get(r.json, "items");
        for (size_t i = 0; i < json_array_size(items); i++)
            put_row(f, json_array_get(items, i), csv);
        if (fflush(f) != 0 || fsync(fileno(f)) != 0) {
            cli_fail(c, "the file could not be written: %s", strerror(errno));
            return done;
        }
        done += n;
    }
    return done;
}

static int create_many(struct cli *c, json_t *doc, int64_t count, int64_t first)
{
    const char *path = cli_get(c, "out");
    size_t n = strlen(path);
    bool csv = n > 4 && strcmp(path + n - 4, ".csv") == 0;
    if (csv && !csv_safe(doc))
        return cli_fail(
            c, "names with commas, quotes or spaces do not go into CSV; take a file that ends in .ndjson");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f)
        return cli_fail(c, "%s: %s; the secrets go into a new file", path, strerror(errno));
    if (csv)
        fputs("id,secret,token,device,names\n", f);
    int64_t done = fill(c, f, csv, doc, count, first);
    fclose(f);
    if (done == 0)
        unlink(path);
    else if (!c->quiet)
        fprintf(stderr, "%" PRId64 " of %" PRId64 " secrets are in %s, and nowhere else.\n", done, count,
                path);
    return done == count ? 0 : 1;
}

static int create(struct cli *c)
{
    bool api = cli_has(c, "principal"), many = cli_has(c, "count");
    int64_t count, first;
    if (api && cli_has(c, "external"))
        return cli_usage(c, "--external and --principal exclude each other");
    if (!api && !cli_has(c, "endpoint") && !cli_has(c, "for"))
        return cli_usage(c, "needs --endpoint NAME or --for PROTOCOL for an enrollment token, or --principal "
                            "NAME for an API token");
    if (many && (api || !cli_has(c, "out")))
        return cli_usage(c, "--count is for enrollment tokens and needs --out FILE");
    if (!many && (cli_has(c, "out") || cli_has(c, "first")))
        return cli_usage(c, "--out and --first go with --count");
    if (!cli_get_number(c, "count", 1, 1, (int64_t)BATCH * BATCHES_MAX, &count) ||
        !cli_get_number(c, "first", 1, 0, INT32_MAX - (int64_t)BATCH * BATCHES_MAX, &first))
        return 2;
    json_t *doc = request(c);
    if (!doc)
        return 2;
    if (!many)
        return create_one(c, doc);
    int rc = create_many(c, doc, count, first);
    json_decref(doc);
    return rc;
}

static int list(struct cli *c)
{
    static const struct show_column columns[] = {
        {"ID", "id"},         {"STATUS", "status"}, {"EXPIRES", "expires_at"},
        {"USES", "uses"},     {"OF", "max_uses"},   {"USED", "used_at"},
        {"BY", "created_by"}, {"CLAIMS", "claims"}, {0}};
    return show_list(c, "/api/v1/tokens", "after", columns, 0);
}

static int show(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/tokens/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int revoke_token(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/tokens/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "DELETE", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!c->quiet)
        printf("token %s revoked\n", c->args[0]);
    return 0;
}

/* ---- requests ---- */

static int list_requests(struct cli *c)
{
    static const struct show_column columns[] = {{"ID", "id"},
                                                 {"STATUS", "status"},
                                                 {"ASKED BY", "asked_by"},
                                                 {"SINCE", "created_at"},
                                                 {"UNTIL", "expires_at"},
                                                 {0}};
    const char *status = cli_get(c, "status");
    const char *path =
        arena_printf(c->arena, "/api/v1/requests?status=%s%s%s", status ? show_escape(c, status) : "",
                     cli_has(c, "mine") ? "&mine=1" : "", cli_has(c, "to-decide") ? "&to_decide=1" : "");
    return path ? show_list(c, path, "after", columns, 0) : cli_fail(c, "out of memory");
}

static int show_request(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/requests/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int decide(struct cli *c, const char *verb)
{
    json_t *doc = json_pack("{s:s}", "comment", cli_has(c, "comment") ? cli_get(c, "comment") : "");
    struct cli_reply r;
    if (!cli_send_json(c, "POST",
                       arena_printf(c->arena, "/api/v1/requests/%s/%s", show_escape(c, c->args[0]), verb),
                       doc, &r))
        return 1;
    return r.json ? show_value(c, r.json) : 0;
}

static int comment(struct cli *c)
{
    json_t *doc = json_pack("{s:s}", "comment", c->args[1]);
    struct cli_reply r;
    if (!cli_send_json(c, "POST",
                       arena_printf(c->arena, "/api/v1/requests/%s/comments", show_escape(c, c->args[0])),
                       doc, &r))
        return 1;
    return show_value(c, r.json);
}

static int approve(struct cli *c)
{
    return decide(c, "approve");
}

static int reject(struct cli *c)
{
    return decide(c, "reject");
}

/* ---- the tables ---- */

static const struct cli_option create_options[] = {
    {"for", 0, "PROTOCOL", "what it is for: scep, cmp, est, acme; its only endpoint then needs no --endpoint",
     false},
    {"endpoint", 0, "NAME", "enrollment: where it may be used", false},
    {"profile", 0, "NAME", "enrollment: what it may get", false},
    {"device", 0, "ID", "enrollment: the device it is for", false},
    {"external", 0, NULL, "the key of an external account for ACME: names that it is for need no challenge",
     false},
    {"name", 0, "NAME", "enrollment: a name it may ask for: DNS:..., IP:..., CN=...", true},
    {"principal", 0, "NAME", "API: who it acts as", false},
    {"roles", 0, "ROLE,...", "API: only these of the principal's roles", true},
    {"scope", 0, "TAG:read|write",
     "API: only this part, by the tags of the API's document, such as certificates:read", true},
    {"only-tenant", 0, "NAME", "API: only in this tenant", false},
    {"ttl", 0, "DURATION", "how long it lives (1d)", false},
    {"uses", 0, "N", "how often it may be used (1)", false},
    {"count", 0, "N", "make so many, into the file of --out; {n} in --name and --device is the number",
     false},
    {"first", 0, "N", "with --count: the first number (1)", false},
    {"out", 0, "FILE", "with --count: where the secrets go: lines of JSON, or CSV where it ends in .csv",
     false},
    {0},
};
static const struct cli_option request_options[] = {
    {"status", 0, "WORD", "only those: pending, done, rejected, expired", false},
    {"mine", 0, NULL, "only what you asked for", false},
    {"to-decide", 0, NULL, "only what waits for your word", false},
    {0},
};
static const struct cli_option decide_options[] = {
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};

const struct command token_commands[] = {
    {
        .noun = "token",
        .verb = "create",
        .summary = "make an enrollment token or an API token",
        .arguments = "",
        .description =
            "Prints the token on standard output; it is not kept and can't be shown again. For SCEP the token is the "
            "challenge password; --for cmp prints a reference and a secret.",
        .example = "touchmark token create --endpoint servers --name DNS:server.example.org --ttl 1h",
        .options = create_options,
        .run = create,
    },
    {
        .noun = "token",
        .verb = "list",
        .summary = "list the tokens",
        .arguments = "",
        .example = "touchmark token list",
        .run = list,
    },
    {
        .noun = "token",
        .verb = "show",
        .summary = "show one token, without its secret",
        .arguments = "ID",
        .example = "touchmark token show 3f1c9a",
        .min_args = 1,
        .max_args = 1,
        .run = show,
    },
    {
        .noun = "token",
        .verb = "revoke",
        .summary = "revoke a token",
        .arguments = "ID",
        .example = "touchmark token revoke 3f1c9a",
        .min_args = 1,
        .max_args = 1,
        .run = revoke_token,
    },
    {0},
};

const struct command request_commands[] = {
    {
        .noun = "request",
        .verb = "list",
        .summary = "list the requests that wait for a person",
        .arguments = "",
        .example = "touchmark request list --status pending",
        .options = request_options,
        .run = list_requests,
    },
    {
        .noun = "request",
        .verb = "show",
        .summary = "show one request",
        .arguments = "ID",
        .example = "touchmark request show 7b2e",
        .min_args = 1,
        .max_args = 1,
        .run = show_request,
    },
    {
        .noun = "request",
        .verb = "comment",
        .summary = "say something about a request",
        .arguments = "ID TEXT",
        .description = "Who asked and those who may decide read it; it stands in the register, too.",
        .example = "touchmark request comment 7b2e \"which building is it in?\"",
        .min_args = 2,
        .max_args = 2,
        .run = comment,
    },
    {
        .noun = "request",
        .verb = "approve",
        .summary = "approve a request and issue",
        .arguments = "ID",
        .example = "touchmark request approve 7b2e --comment \"ticket 4711\"",
        .options = decide_options,
        .min_args = 1,
        .max_args = 1,
        .run = approve,
    },
    {
        .noun = "request",
        .verb = "reject",
        .summary = "reject a request",
        .arguments = "ID",
        .example = "touchmark request reject 7b2e --comment \"unknown device\"",
        .options = decide_options,
        .min_args = 1,
        .max_args = 1,
        .run = reject,
    },
    {0},
};
