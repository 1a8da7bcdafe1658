/* profile: what certificates may be, and trying a request against it. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/csr_in.h"
#include "cli/resource.h"
#include "cli/show.h"
#include "cli/yaml.h"
#include <stdio.h>
#include <string.h>

static int list(struct cli *c)
{
    return resource_get(c, "profiles", NULL);
}

static int show(struct cli *c)
{
    return resource_get(c, "profiles", c->args[0]);
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_trace(const json_t *trace)
{
    size_t i;
    const json_t *x;
    json_array_foreach(trace, i, x)
    {
        const char *result = text(x, "result");
        printf("  %-8s %-32s %s\n", result, text(x, "rule"), text(x, "detail"));
    }
}

/* In a table their names are enough. */
static void name_extensions(json_t *plan)
{
    json_t *names = json_array();
    size_t i;
    const json_t *x;
    json_array_foreach(json_object_get(plan, "extensions"), i, x)
        json_array_append(names, json_object_get(x, "oid"));
    json_object_set_new(plan, "extensions", names);
}

static int print_decision(struct cli *c, const json_t *d)
{
    const char *verdict = text(d, "verdict");
    if (c->output != OUTPUT_TABLE) {
        int bad = show_value(c, d);
        if (bad)
            return bad;
    } else {
        printf("%s", verdict);
        if (text(d, "rule")[0])
            printf(": %s (%s)", text(d, "reason"), text(d, "rule"));
        printf("\n\n");
        print_trace(json_object_get(d, "trace"));
        json_t *plan = json_object_get(d, "plan");
        if (json_is_object(plan)) {
            printf("\nplan\n");
            name_extensions(plan);
            show_value(c, plan);
        }
    }
    return strcmp(verdict, "deny") == 0 || strcmp(verdict, "denied") == 0 ? 1 : 0;
}

/* The profile in a file, as the request's "proposed". Complains. */
static bool propose(struct cli *c, json_t *doc, const char *file)
{
    struct slice text;
    struct yaml_doc *docs;
    size_t n;
    struct diag diag = {0};
    if (!cli_read_file(c, file, YAML_TEXT_MAX, &text))
        return false;
    tm_err e = yaml_load(&docs, &n, c->arena, text, &diag);
    if (e != TM_OK) {
        cli_fail(c, "%s:%s: %s", file, diag.field, diag.message[0] ? diag.message : tm_err_name(e));
        return false;
    }
    bool one = n == 1 && json_is_object(docs[0].value);
    for (size_t i = 0; i < n; i++) {
        if (one)
            json_object_set(doc, "proposed", docs[i].value);
        json_decref(docs[i].value);
    }
    if (!one)
        cli_fail(c, "%s: holds %zu documents, and one profile is wanted", file, n);
    return one;
}

static int test(struct cli *c)
{
    if (!cli_has(c, "csr") || cli_has(c, "profile") == cli_has(c, "file"))
        return cli_usage(c, "needs --csr FILE, and --profile NAME or --file PROFILE.yaml");
    json_t *doc = csr_document(c, cli_get(c, "csr"));
    if (doc && cli_has(c, "file") && !propose(c, doc, cli_get(c, "file"))) {
        json_decref(doc);
        return 1;
    }
    if (!doc)
        return 1;
    json_object_set_new(doc, "dry_run", json_true());
    struct cli_reply r;
    if (!cli_send_json(c, "POST", "/api/v1/enroll", doc, &r))
        return 1;
    return print_decision(c, json_object_get(r.json, "decision"));
}

static const struct cli_option test_options[] = {
    {"profile", 'p', "NAME", "the profile", false},
    {"file", 'f', "FILE", "by the profile in this YAML file instead, as it is now; nothing is kept of it",
     false},
    {"csr", 0, "FILE", "PKCS#10, CRMF or SPKAC, PEM or DER; - is standard input", false},
    {"endpoint", 0, "NAME", "as if it came through this REST endpoint (rest)", false},
    {"device", 0, "ID", "as if for this device", false},
    {0},
};

const struct command profile_commands[] = {
    {
        .noun = "profile",
        .verb = "list",
        .summary = "list the profiles",
        .arguments = "",
        .example = "touchmark profile list",
        .run = list,
    },
    {
        .noun = "profile",
        .verb = "show",
        .summary = "show one profile as YAML",
        .arguments = "NAME",
        .example = "touchmark profile show device-ldevid-1y > profile.yaml",
        .min_args = 1,
        .max_args = 1,
        .run = show,
    },
    {
        .noun = "profile",
        .verb = "test",
        .summary = "decide on a request and say why, without issuing",
        .arguments = "",
        .description =
            "Prints every rule that was looked at and the certificate that would be made. Exit status 1 when it would be refused.",
        .example = "touchmark profile test --profile server-internal-1y --csr server.csr",
        .options = test_options,
        .run = test,
    },
    {0},
};
