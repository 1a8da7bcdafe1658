/* Identity providers: their secret, and whether they answer. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_MAX_OCTETS = 600 };

static const char *path_of(struct cli *c, const char *rest)
{
    return arena_printf(c->arena, "/api/v1/identity-providers/%s/%s%s", show_escape(c, c->args[0]), rest,
                        cli_has(c, "house") ? "?house=1" : "");
}

static int list(struct cli *c)
{
    static const struct show_column columns[] = {
        {"NAME", "name"}, {"TITLE", "title"}, {"ISSUER", "issuer"}, {"DISABLED", "disabled"}, {0}};
    return show_list(c,
                     cli_has(c, "house") ? "/api/v1/resources/identity-providers?house=1"
                                         : "/api/v1/resources/identity-providers",
                     "after", columns, 0);
}

static int secret(struct cli *c)
{
    struct cli_reply r;
    struct slice text;
    const char *file = cli_get(c, "file");
    if (cli_has(c, "remove")) {
        if (!cli_call_ok(c, "DELETE", path_of(c, "secret"), slice_of(NULL, 0), NULL, &r))
            return 1;
        if (!c->quiet)
            printf("the secret for %s is forgotten\n", c->args[0]);
        return 0;
    }
    if (!cli_read_file(c, file ? file : "-", SECRET_MAX_OCTETS, &text))
        return 1;
    text = slice_trim(text);
    json_t *doc = json_pack("{s:s#}", "secret", (const char *)text.p, (int)text.n);
    if (!doc)
        return cli_fail(c, "the secret is not a text");
    if (!cli_send_json(c, "PUT", path_of(c, "secret"), doc, &r))
        return 1;
    if (!c->quiet)
        printf("the secret for %s is kept, sealed\n", c->args[0]);
    return 0;
}

static int test(struct cli *c)
{
    struct cli_reply r;
    if (!cli_call_ok(c, "POST", path_of(c, "test"), slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static const struct cli_option house_options[] = {
    {"house", 0, NULL, "one of the house's, for users of all tenants", false},
    {0},
};
static const struct cli_option secret_options[] = {
    {"house", 0, NULL, "one of the house's, for users of all tenants", false},
    {"file", 0, "FILE", "where the secret stands; standard input without", false},
    {"remove", 0, NULL, "forget it", false},
    {0},
};

const struct command provider_commands[] = {
    {
        .noun = "provider",
        .verb = "list",
        .summary = "list the identity providers that people sign in by",
        .arguments = "",
        .example = "touchmark provider list",
        .options = house_options,
        .run = list,
    },
    {
        .noun = "provider",
        .verb = "secret",
        .summary = "keep the client secret of an identity provider, sealed by the signer",
        .arguments = "NAME",
        .description = "Reads it from standard input or a file, so that it stands in no list of processes.",
        .example = "touchmark provider secret corp --file secret.txt",
        .options = secret_options,
        .min_args = 1,
        .max_args = 1,
        .run = secret,
    },
    {
        .noun = "provider",
        .verb = "test",
        .summary = "ask an identity provider what it says of itself",
        .arguments = "NAME",
        .example = "touchmark provider test corp",
        .options = house_options,
        .min_args = 1,
        .max_args = 1,
        .run = test,
    },
    {0},
};
