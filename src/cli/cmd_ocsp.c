/* ocsp: who answers for an authority, and answers in files. */
#include "base/arena.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include <string.h>

static int show(struct cli *c)
{
    bool pem = cli_has(c, "pem");
    const char *path =
        arena_printf(c->arena, "/api/v1/ocsp/%s%s", show_escape(c, c->args[0]), pem ? "?pem=1" : "");
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    if (!pem)
        return show_value(c, r.json);
    const char *text = json_string_value(json_object_get(r.json, "certificate"));
    if (!text) {
        cli_fail(c, "the responder of %s has no certificate yet: the running server makes it", c->args[0]);
        return 1;
    }
    return cli_write_file(c, cli_get(c, "out"), slice_str(text), 0644) ? 0 : 1;
}

static int answer(struct cli *c)
{
    const char *path = arena_printf(c->arena, "/api/v1/certificates/%s/ocsp%s", show_escape(c, c->args[0]),
                                    cli_has(c, "sha1") ? "?hash=sha1" : "");
    struct cli_reply r;
    if (!path || !cli_get_as(c, path, "application/ocsp-response", &r))
        return 1;
    return cli_write_file(c, cli_get(c, "out"), r.body, 0644) ? 0 : 1;
}

static const struct cli_option show_options[] = {
    {"pem", 0, NULL, "the responder's certificate", false},
    {"out", 'O', "FILE", "with --pem: where to; standard output else", false},
    {0},
};
static const struct cli_option answer_options[] = {
    {"sha1", 0, NULL, "name the issuer by SHA-1 hashes, as old clients ask; SHA-256 else", false},
    {"out", 'O', "FILE", "where to; standard output else", false},
    {0},
};

const struct command ocsp_commands[] = {
    {.noun = "ocsp",
     .verb = "show",
     .summary = "show who answers OCSP for an authority",
     .arguments = "AUTHORITY",
     .description =
         "The responder's key, when its certificate ends, how it answers, and how many answers there were.",
     .example = "touchmark ocsp show issuing-ca",
     .options = show_options,
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "ocsp",
     .verb = "answer",
     .summary = "write a signed answer about one certificate",
     .arguments = "SERIAL",
     .description =
         "DER, as servers take it for stapling (nginx ssl_stapling_file, HAProxy .ocsp). It holds until its nextUpdate: see\n"
         "\"ocsp.lifetime\" of the authority.",
     .example = "touchmark ocsp answer 014e6b013abacc77221c86a61bd3114c -O server.ocsp",
     .options = answer_options,
     .min_args = 1,
     .max_args = 1,
     .run = answer},
    {0},
};
