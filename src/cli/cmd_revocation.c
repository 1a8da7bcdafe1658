/* revocation: mass revocations as jobs, and starting one ("cert revoke" with a query, a file or several serials). */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/revoke_many.h"
#include "cli/show.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILE_MAX = 16 << 20, POLL_MS = 200 };

static const struct show_column job_columns[] = {
    {"ID", "id"},         {"STATUS", "status"},      {"WHICH", "which"},
    {"REASON", "reason"}, {"MATCHED", "matched"},    {"REVOKED", "revoked"},
    {"BY", "by"},         {"CREATED", "created_at"}, {0}};

/* ---- starting one ---- */

/* The serials of a file, one a line; what follows one, behind white space or a comma, is nobody's business here. */
static bool add_file(struct cli *c, json_t *serials, const char *file)
{
    struct slice text;
    if (!cli_read_file(c, file, FILE_MAX, &text))
        return false;
    for (const char *p = (const char *)text.p, *end = p + text.n; p < end;) {
        size_t line = 0, n = 0;
        while (p + line < end && p[line] != '\n')
            line++;
        while (n < line && !strchr(" \t\r,;", p[n]))
            n++;
        if (n && p[0] != '#')
            json_array_append_new(serials, json_stringn(p, n));
        p += line + 1;
    }
    return true;
}

static const char *const query_words[] = {"authority",     "profile",        "device",
                                          "owner",         "issued-after",   "issued-before",
                                          "expires-after", "expires-before", NULL};

/* "profile=tls issued-before=2026-11-01": words of the API's document. False after complaining. */
static bool add_query(struct cli *c, json_t *doc, const char *query)
{
    char *text = arena_strdup(c->arena, query), *rest = NULL;
    if (!text)
        return cli_fail(c, "out of memory") == 0;
    for (char *term = strtok_r(text, " ,\t\n", &rest); term; term = strtok_r(NULL, " ,\t\n", &rest)) {
        char *equals = strchr(term, '=');
        bool known = false;
        if (equals)
            *equals = '\0';
        for (size_t i = 0; equals && query_words[i]; i++)
            known |= strcmp(query_words[i], term) == 0;
        if (!known || !equals[1]) {
            cli_usage(
                c,
                "--query takes authority=, profile=, device=, owner=, issued-after=, issued-before=, expires-after= and "
                "expires-before= with a value each, not \"%s\"",
                term);
            return false;
        }
        if (json_object_get(doc, term)) {
            cli_usage(c, "--query names %s twice", term);
            return false;
        }
        json_object_set_new(doc, term, json_string(equals + 1));
    }
    return true;
}

static bool add_which(struct cli *c, json_t *doc)
{
    static const char *const texts[] = {"authority", "profile",     "device", "reason", "comment",
                                        "after",     "explanation", "key",    NULL};
    json_t *serials = json_array();
    for (size_t i = 0; texts[i]; i++)
        if (cli_has(c, texts[i]))
            json_object_set_new(doc, texts[i], json_string(cli_get(c, texts[i])));
    bool good = (!cli_has(c, "query") || add_query(c, doc, cli_get(c, "query"))) &&
                (!cli_has(c, "file") || add_file(c, serials, cli_get(c, "file")));
    for (int i = 0; i < c->n_args; i++)
        json_array_append_new(serials, json_string(c->args[i]));
    if (good && cli_has(c, "file") && json_array_size(serials) == 0) {
        cli_fail(c, "%s: there is no serial in it", cli_get(c, "file"));
        good = false;
    }
    if (json_array_size(serials))
        json_object_set(doc, "serials", serials);
    json_decref(serials);
    return good;
}

static bool status_is(const json_t *job, const char *status)
{
    const char *s = json_string_value(json_object_get(job, "status"));
    return s && strcmp(s, status) == 0;
}

/* It goes on by itself, and not all are revoked yet. */
static bool goes_on(const json_t *job)
{
    return status_is(job, "running") || status_is(job, "asks-for-renewal") || status_is(job, "planned");
}

/* Until all are revoked or somebody has to decide; the reply is the job's. */
static bool wait_for(struct cli *c, const char *id, struct cli_reply *r)
{
    const char *path = arena_printf(c->arena, "/api/v1/revocations/%s", show_escape(c, id));
    struct cli_progress p = {0};
    bool begun = false;
    while (path && cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, r)) {
        if (!begun)
            cli_progress_begin(&p, c, "revoked",
                               (uint64_t)json_integer_value(json_object_get(r->json, "matched")));
        begun = true;
        cli_progress_step(&p, (uint64_t)json_integer_value(json_object_get(r->json, "revoked")));
        if (!goes_on(r->json)) {
            cli_progress_end(&p);
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000l}, NULL);
    }
    return false;
}

/* For people: the sums, whom it touches, and of the first what tells them apart. */
static int show_dry(struct cli *c, const json_t *all)
{
    static const char *const columns[] = {"serial", "subject", "profile", "device", "not_after", NULL};
    const json_t *touched = json_object_get(all, "touched"), *row;
    json_t *out = json_object(), *first = json_array();
    size_t k;
    json_object_set(out, "matched", json_object_get(all, "matched"));
    json_object_set(out, "revoked_before", json_object_get(all, "revoked_before"));
    json_object_set(out, "devices", json_object_get(touched, "devices"));
    if (json_is_true(json_object_get(touched, "more")))
        json_object_set(out, "more", json_object_get(touched, "more"));
    json_object_set(out, "profiles", json_object_get(touched, "profiles"));
    if (json_array_size(json_object_get(touched, "owners")))
        json_object_set(out, "owners", json_object_get(touched, "owners"));
    json_array_foreach(json_object_get(all, "first"), k, row)
    {
        json_t *x = json_object();
        for (size_t i = 0; columns[i]; i++)
            json_object_set(x, columns[i], json_object_get(row, columns[i]));
        json_array_append_new(first, x);
    }
    json_object_set_new(out, "first", first);
    int status = show_value(c, out);
    json_decref(out);
    return status;
}

/* The answer with the job as it is after waiting, and its sums. */
static int show_started(struct cli *c, const struct cli_reply *started)
{
    json_t *all = json_incref(started->json);
    const char *id = json_string_value(json_object_get(json_object_get(all, "job"), "id"));
    struct cli_reply r;
    bool ok = true;
    if (id && cli_has(c, "wait")) {
        ok = wait_for(c, id, &r);
        if (ok) {
            static const char *const sums[] = {"matched", "revoked", "revoked_before", NULL};
            for (size_t i = 0; sums[i]; i++)
                json_object_set(all, sums[i], json_object_get(r.json, sums[i]));
            json_object_set(all, "job", r.json);
        }
    }
    const json_t *job = json_object_get(all, "job");
    int status = !ok                         ? 1
                 : c->output != OUTPUT_TABLE ? show_value(c, all)
                 : job                       ? show_value(c, job)
                                             : show_dry(c, all);
    if (ok && status_is(job, "waits-for-approval"))
        fprintf(
            stderr,
            "touchmark: nothing is revoked yet: somebody else has to say touchmark revocation approve %s\n",
            json_string_value(json_object_get(job, "id")));
    else if (ok && job && goes_on(job))
        fprintf(stderr, "touchmark: it goes on: touchmark revocation show %s\n",
                json_string_value(json_object_get(job, "id")));
    json_decref(all);
    return status;
}

bool revoke_is_many(const struct cli *c)
{
    static const char *const many[] = {"file",   "query", "authority",     "profile", "device", "dry-run",
                                       "expect", "after", "replace-first", "key",     "wait",   NULL};
    for (size_t i = 0; many[i]; i++)
        if (cli_has(c, many[i]))
            return true;
    return c->n_args > 1;
}

int revoke_many(struct cli *c)
{
    int64_t expect;
    if (!cli_get_number(c, "expect", 0, 0, INT64_MAX, &expect))
        return 2;
    json_t *doc = json_object();
    if (!add_which(c, doc)) {
        json_decref(doc);
        return 1;
    }
    json_object_set_new(doc, "dry-run", json_boolean(cli_has(c, "dry-run")));
    if (cli_has(c, "replace-first"))
        json_object_set_new(doc, "replace-first", json_true());
    if (cli_has(c, "expect"))
        json_object_set_new(doc, "expect", json_integer(expect));
    struct cli_reply r;
    if (!cli_send_json(c, "POST", "/api/v1/revocations", doc, &r))
        return 1;
    return show_started(c, &r);
}

const struct cli_option revoke_options[] = {
    {"reason", 0, "REASON",
     "keyCompromise, superseded, cessationOfOperation, certificateHold, ... (unspecified)", false},
    {"comment", 0, "TEXT", "for the register", false},
    {"invalid-since", 0, "DATE",
     "one: since when it is known or suspected to be bad, 2026-11-21 or with a time; the CRL says it", false},
    {"query", 0, "QUERY", "many: \"profile=tls owner=ops issued-before=2026-11-01\"; see below", false},
    {"file", 0, "FILE", "many: their serials, one a line", false},
    {"authority", 0, "NAME", "many: all that it issued, but for the house's own", false},
    {"profile", 0, "NAME", "many: all of this profile", false},
    {"device", 0, "ID", "many: all of this device", false},
    {"dry-run", 0, NULL, "count them, and show the first and whom it touches; nothing is revoked", false},
    {"expect", 0, "N", "how many the dry run counted; where there are others, nothing is revoked", false},
    {"after", 0, "DURATION", "many: ask their holders to renew, and revoke after so long", false},
    {"replace-first", 0, NULL,
     "many: revoke each as superseded once its holder has renewed, the rest after --after (7d)", false},
    {"explanation", 0, "URL", "page for people, shown to clients that are asked to renew", false},
    {"key", 0, "TEXT", "many: asked again with the same one it is done once", false},
    {"wait", 0, NULL, "many: until all are revoked", false},
    {0},
};

/* ---- the jobs ---- */

static int list(struct cli *c)
{
    const char *path = cli_has(c, "status") ? arena_printf(c->arena, "/api/v1/revocations?status=%s",
                                                           show_escape(c, cli_get(c, "status")))
                                            : "/api/v1/revocations";
    return path ? show_list(c, path, "after", job_columns, 0) : cli_fail(c, "out of memory");
}

static int show(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/revocations/%s", show_escape(c, c->args[0]));
    struct cli_reply r;
    if (!path || !(cli_has(c, "wait") ? wait_for(c, c->args[0], &r)
                                      : cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r)))
        return 1;
    return show_value(c, r.json);
}

static int decide(struct cli *c, const char *verb)
{
    const char *path = arena_printf(c->arena, "/api/v1/revocations/%s/%s", show_escape(c, c->args[0]), verb);
    json_t *doc = json_pack("{s:s}", "comment", cli_has(c, "comment") ? cli_get(c, "comment") : "");
    struct cli_reply r;
    if (!path || !cli_send_json(c, "POST", path, doc, &r))
        return 1;
    return show_value(c, r.json);
}

static int approve(struct cli *c)
{
    return decide(c, "approve");
}

static int cancel(struct cli *c)
{
    return decide(c, "cancel");
}

static const struct cli_option list_options[] = {
    {"status", 0, "WORD",
     "only those: waits-for-approval, asks-for-renewal, planned, running, taking-effect, done, canceled",
     false},
    {0},
};
static const struct cli_option show_options[] = {
    {"wait", 0, NULL, "until all are revoked", false},
    {0},
};
static const struct cli_option decide_options[] = {
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};

const struct command revocation_commands[] = {
    {.noun = "revocation",
     .verb = "list",
     .summary = "mass revocations, old and under way",
     .arguments = "",
     .description =
         "\"cert revoke\" starts them. They are kept for 90 days after their end, the register's record for ever.",
     .example = "touchmark revocation list --status waits-for-approval",
     .options = list_options,
     .run = list},
    {.noun = "revocation",
     .verb = "show",
     .summary = "how far one is, and how long each model took to say so",
     .arguments = "ID",
     .description =
         "Effects: from the last revocation until the CRL, the shard that certificates name, the delta, an OCSP answer or a filter\n"
         "said so; \"expiry\" is the time that a certificate has left of which nobody is told.",
     .example = "touchmark revocation show 019a9fd1c0de5f3a09b1c2",
     .options = show_options,
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "revocation",
     .verb = "approve",
     .summary = "approve one that somebody else has asked for",
     .arguments = "ID",
     .description =
         "Where the tenant's document says revocation.approve-above, more certificates than that at once want a second person.",
     .example = "touchmark revocation approve 019a9fd1c0de5f3a09b1c2 --comment \"ticket 4711\"",
     .options = decide_options,
     .min_args = 1,
     .max_args = 1,
     .run = approve},
    {.noun = "revocation",
     .verb = "cancel",
     .summary = "stop one; what is revoked stays revoked",
     .arguments = "ID",
     .description = "Also turns down one that waits for approval. Renewal windows that it moved go back.",
     .example = "touchmark revocation cancel 019a9fd1c0de5f3a09b1c2",
     .options = decide_options,
     .min_args = 1,
     .max_args = 1,
     .run = cancel},
    {0},
};
