#include "cli/ceremony.h"
#include "base/arena.h"
#include "base/clock.h"
#include "cli/call.h"
#include "cli/show.h"
#include "issue/house.h"
#include <string.h>
#include <unistd.h>

bool cli_ceremony_begin(struct cli_ceremony *x, struct cli *c)
{
    if (cli_server_running(c)) {
        cli_fail(c,
                 "a server runs on %s, and no running server can make authorities: stop it for this ceremony",
                 c->home);
        return false;
    }
    const char *file = NULL;
    x->c.house = cli_house(c, HOUSE_OFFLINE);
    if (!x->c.house || !cli_passphrase(c, &x->passphrase, &file))
        return false;
    x->c.passphrase = &x->passphrase;
    x->c.by = arena_printf(c->arena, "local:%u", (unsigned)getuid());
    struct catalog *cat = house_catalog(x->c.house);
    const struct tenant *t = catalog_tenant(cat, c->tenant);
    x->tenant = t ? t->id : TENANT_DEFAULT;
    catalog_unref(cat);
    if (!t)
        cli_fail(c, "there is no tenant \"%s\"", c->tenant);
    return t && x->c.by;
}

void cli_ceremony_end(struct cli_ceremony *x)
{
    offline_bundle_close(x->bundle);
    secret_done(&x->passphrase);
    secret_done(&x->bundle_passphrase);
}

bool cli_bundle_passphrase(struct secret *ret, struct cli *c, const char *option, bool fresh)
{
    const char *file = cli_get(c, option);
    struct diag diag = {0};
    struct secret again = {0};
    tm_err e =
        file ? secret_read_file(ret, file, &diag) : secret_prompt(ret, "Passphrase of the bundle: ", &diag);
    if (e == TM_EUNAVAIL) {
        cli_fail(c, "the bundle needs a passphrase: give --%s FILE", option);
        return false;
    }
    if (e == TM_OK && fresh && !file) {
        e = secret_prompt(&again, "The same again: ", &diag);
        if (e == TM_OK && !slice_ct_eq(secret_slice(ret), secret_slice(&again)))
            e = diag_fail(&diag, TM_EINVAL, NULL, NULL, "the two passphrases differ");
        secret_done(&again);
    }
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, NULL);
    return e == TM_OK;
}

bool cli_bundle_open(struct offline_bundle **ret, struct secret *passphrase, struct cli *c,
                     const char *option)
{
    const char *path = cli_get(c, "bundle");
    if (!path) {
        cli_usage(c, "--bundle FILE is missing");
        return false;
    }
    if (!cli_bundle_passphrase(passphrase, c, option, false))
        return false;
    struct diag diag = {0};
    tm_err e = offline_bundle_open(ret, path, passphrase, &diag);
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, path);
    return e == TM_OK;
}

const char *cli_authority_name(struct cli *c)
{
    const char *name = c->n_args ? c->args[0] : cli_get(c, "name");
    if (!name)
        cli_usage(c, "the authority's name is missing");
    return name;
}

const json_t *cli_authority_get(struct cli *c, const char *name)
{
    const char *path = arena_printf(c->arena, "/api/v1/resources/authorities/%s", show_escape(c, name));
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return NULL;
    if (!r.json)
        cli_fail(c, "the answer was no JSON");
    return r.json;
}

int cli_authority_made(struct cli *c, const struct ca_result *r)
{
    char from[21], to[21];
    clock_format_rfc3339(from, r->not_before);
    clock_format_rfc3339(to, r->not_after);
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "name", r->name, "subject", r->subject, "fingerprint",
                          r->fingerprint, "key_id", r->key_id_hex, "not_before", from, "not_after",
                          r->not_after == TM_TIME_NEVER ? "never" : to);
    int status = v ? show_value(c, v) : cli_fail(c, "out of memory");
    json_decref(v);
    return status;
}
