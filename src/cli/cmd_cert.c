/* cert: certificates in files and in the inventory. */
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/cert_import.h"
#include "cli/commands.h"
#include "cli/csr_in.h"
#include "cli/inventory.h"
#include "cli/pkcs12_out.h"
#include "cli/revoke_many.h"
#include "cli/show.h"
#include "cli/yaml.h"
#include "x509/print.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20, TEXT_MAX = 256 << 20 };

static const struct show_column cert_columns[] = {{"SERIAL", "serial"},
                                                  {"STATUS", "status"},
                                                  {"SUBJECT", "subject", "names"},
                                                  {"PROFILE", "profile"},
                                                  {"AUTHORITY", "authority"},
                                                  {"NOT AFTER", "not_after"},
                                                  {0}};

/* ---- show: files, without a house ---- */

static bool show_json(struct cli *c, json_t *all, const char *file, struct slice bytes)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    struct diag diag = {0};
    json_t *v = NULL;
    tm_err e = x509_print_any_json(&b, bytes, &diag);
    if (e == TM_OK)
        e = json_parse(&v, buf_slice(&b), TEXT_MAX, &diag);
    buf_done(&b);
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, file);
    else
        json_array_extend(all, v);
    json_decref(v);
    return e == TM_OK;
}

static bool show_text(struct cli *c, const char *file, struct slice bytes)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    struct diag diag = {0};
    tm_err e = x509_print_any(&b, bytes, &diag);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, file);
    } else {
        if (c->n_args > 1)
            printf("%s:\n", file);
        fwrite(b.p, 1, b.n, stdout);
    }
    buf_done(&b);
    return e == TM_OK;
}

static int show(struct cli *c)
{
    json_t *all = json_array();
    bool ok = all != NULL;
    for (int i = 0; i < c->n_args && all; i++) {
        struct slice bytes;
        if (!cli_read_file(c, c->args[i], FILE_MAX, &bytes))
            ok = false;
        else if (c->output == OUTPUT_TABLE)
            ok = show_text(c, c->args[i], bytes) && ok;
        else
            ok = show_json(c, all, c->args[i], bytes) && ok;
    }
    if (c->output != OUTPUT_TABLE && json_array_size(all) && show_value(c, all) != 0)
        ok = false;
    json_decref(all);
    return ok ? 0 : 1;
}

/* ---- the inventory ---- */

int inventory_list(struct cli *c, const char *query, const char *sort, size_t max)
{
    const char *path = arena_printf(c->arena, "/api/v1/certificates?sort=%s&query=%s", show_escape(c, sort),
                                    show_escape(c, query));
    return path ? show_list(c, path, "after", cert_columns, max) : cli_fail(c, "out of memory");
}

static int list(struct cli *c)
{
    static const struct {
        const char *option, *query;
    } filters[] = {{"authority", "authority"},
                   {"profile", "profile"},
                   {"device", "device"},
                   {"subject", "subject"},
                   {"cn", "cn"},
                   {"san", "san"},
                   {"serial", "serial"},
                   {"fingerprint", "fingerprint"},
                   {"expires-before", "expires_before"},
                   {"source", "source"},
                   {NULL, NULL}};
    const char *path = "/api/v1/certificates", *sort = cli_get(c, "sort");
    int64_t most;
    if (c->n_args || sort) {
        for (size_t i = 0; filters[i].option; i++)
            if (cli_has(c, filters[i].option))
                return cli_usage(c, "say --%s in the query instead", filters[i].option);
        if (cli_has(c, "revoked"))
            return cli_usage(c, "say status:revoked in the query instead of --revoked");
        if (!cli_get_number(c, "limit", 0, 1, INT64_MAX, &most))
            return 2;
        return inventory_list(c, inventory_query_text(c, 0), sort ? sort : "newest", (size_t)most);
    }
    for (size_t i = 0; path && filters[i].option; i++)
        if (cli_has(c, filters[i].option))
            path = arena_printf(c->arena, "%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', filters[i].query,
                                show_escape(c, cli_get(c, filters[i].option)));
    if (path && cli_has(c, "revoked"))
        path = arena_printf(c->arena, "%s%crevoked=true", path, strchr(path, '?') ? '&' : '?');
    int64_t limit;
    if (!cli_get_number(c, "limit", 0, 1, INT64_MAX, &limit))
        return 2;
    return path ? show_list(c, path, "after", cert_columns, (size_t)limit) : cli_fail(c, "out of memory");
}

static const char *cert_path(struct cli *c, const char *serial, const char *tail)
{
    /* As openssl and browsers show it: with colons, upper case. */
    char *plain = arena_strdup(c->arena, serial);
    if (!plain)
        return NULL;
    size_t n = 0;
    for (const char *s = serial; *s; s++)
        if (*s != ':' && *s != ' ')
            plain[n++] = (char)(*s >= 'A' && *s <= 'F' ? *s + 'a' - 'A' : *s);
    plain[n] = '\0';
    return arena_printf(c->arena, "/api/v1/certificates/%s%s", show_escape(c, plain), tail);
}

static int get(struct cli *c)
{
    static const struct {
        const char *form, *type;
    } forms[] = {{"der", "application/pkix-cert"},
                 {"chain", "application/pem-certificate-chain"},
                 {"pkcs7", "application/pkcs7-mime"},
                 {"pkcs12", "application/pem-certificate-chain"}};
    const char *form = cli_get(c, "form"), *accept = NULL;
    for (size_t i = 0; form && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].form, form) == 0)
            accept = forms[i].type;
    if (form && !accept && strcmp(form, "pem") != 0)
        return cli_usage(c, "--form takes pem, der, chain, pkcs7 or pkcs12, not \"%s\"", form);
    bool pkcs12 = form && strcmp(form, "pkcs12") == 0;
    if (pkcs12 && (!cli_has(c, "key") || !cli_has(c, "out")))
        return cli_usage(c, "--form pkcs12 needs --key FILE, the private key, and --out FILE");
    struct cli_reply r;
    const char *path = cert_path(c, c->args[0], form || cli_has(c, "out") ? "" : "?succession=1");
    if (!path || !cli_get_as(c, path, accept, &r))
        return 1;
    if (pkcs12)
        return pkcs12_write(c, r.body, c->args[0]) ? 0 : 1;
    if (accept)
        return cli_write_file(c, cli_get(c, "out"), r.body, 0644) ? 0 : 1;
    const char *pem = json_string_value(json_object_get(r.json, "certificate"));
    if (!form && !cli_has(c, "out"))
        return show_value(c, r.json);
    if (!pem || !pem[0])
        return cli_fail(c, "the certificate itself is not kept, by its profile's retention");
    return cli_write_file(c, cli_get(c, "out"), slice_str(pem), 0644) ? 0 : 1;
}

static int find(struct cli *c)
{
    struct cli_reply r;
    const char *path =
        arena_printf(c->arena, "/api/v1/certificates?limit=1000&q=%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    const json_t *items = json_object_get(r.json, "items");
    if (json_array_size(items) == 0)
        return cli_fail(c, "there is no certificate with this serial, fingerprint, name, subject or device");
    return show_items(c, items, cert_columns);
}

static int revoke(struct cli *c)
{
    if (revoke_is_many(c))
        return cli_has(c, "invalid-since")
                   ? cli_usage(c, "--invalid-since goes with one certificate, whose date it is")
                   : revoke_many(c);
    if (c->n_args == 0)
        return cli_usage(c, "say which: serials, --file, --query, or --authority, --profile, --device");
    json_t *doc = json_pack("{s:s}", "reason", cli_has(c, "reason") ? cli_get(c, "reason") : "unspecified");
    if (doc && cli_has(c, "comment"))
        json_object_set_new(doc, "comment", json_string(cli_get(c, "comment")));
    if (doc && cli_has(c, "invalid-since"))
        json_object_set_new(doc, "invalid-since", json_string(cli_get(c, "invalid-since")));
    struct cli_reply r;
    if (!cli_send_json(c, "POST", cert_path(c, c->args[0], "/revoke"), doc, &r))
        return 1;
    return show_value(c, r.json);
}

/* Serials on the command line, or a set by its options. */
static int renew_now(struct cli *c)
{
    static const char *const texts[] = {"authority", "profile",     "device",  "spread",
                                        "start",     "explanation", "comment", NULL};
    json_t *doc = json_object(), *serials = json_array();
    for (size_t i = 0; texts[i]; i++)
        if (cli_has(c, texts[i]))
            json_object_set_new(doc, texts[i], json_string(cli_get(c, texts[i])));
    for (int i = 0; i < c->n_args; i++)
        json_array_append_new(serials, json_string(c->args[i]));
    if (json_array_size(serials))
        json_object_set(doc, "serials", serials);
    json_decref(serials);
    struct cli_reply r;
    if (!cli_send_json(c, "POST", "/api/v1/renewals", doc, &r))
        return 1;
    return show_value(c, r.json);
}

static int hold(struct cli *c)
{
    json_t *doc = json_pack("{s:s,s:s}", "reason", "certificateHold", "comment",
                            cli_has(c, "comment") ? cli_get(c, "comment") : "");
    struct cli_reply r;
    if (!cli_send_json(c, "POST", cert_path(c, c->args[0], "/revoke"), doc, &r))
        return 1;
    return show_value(c, r.json);
}

static int release(struct cli *c)
{
    struct cli_reply r;
    if (!cli_send_json(c, "POST", cert_path(c, c->args[0], "/release"), json_object(), &r))
        return 1;
    return show_value(c, r.json);
}

static int issue(struct cli *c)
{
    if (!cli_has(c, "csr"))
        return cli_usage(c, "needs --csr FILE");
    json_t *doc = csr_document(c, cli_get(c, "csr"));
    if (!doc)
        return 1;
    struct cli_reply r;
    if (!cli_send_json(c, "POST", "/api/v1/enroll", doc, &r))
        return 1;
    const char *pem = json_string_value(json_object_get(r.json, "certificate"));
    const char *chain = json_string_value(json_object_get(r.json, "chain"));
    const char *request = json_string_value(json_object_get(r.json, "request"));
    if (c->output != OUTPUT_TABLE && !cli_has(c, "out"))
        return show_value(c, r.json);
    if (!pem && request) {
        printf("waits for approval: touchmark request approve %s\n", request);
        return 0;
    }
    if (!pem)
        return cli_fail(c, "the answer holds no certificate");
    const char *whole = arena_printf(c->arena, "%s%s", pem, cli_has(c, "no-chain") || !chain ? "" : chain);
    return whole && cli_write_file(c, cli_get(c, "out"), slice_str(whole), 0644) ? 0 : 1;
}

/* ---- the table ---- */

static const struct cli_option list_options[] = {
    {"sort", 0, "ORDER", "with a query: newest, oldest or expires (newest)", false},
    {"authority", 0, "NAME", "issued by", false},
    {"profile", 0, "NAME", "made under", false},
    {"device", 0, "ID", "of a device", false},
    {"subject", 0, "DN", "with this subject", false},
    {"cn", 0, "TEXT", "with this common name", false},
    {"san", 0, "NAME", "with this alternative name: DNS and IP as they are, URI:..., email:...", false},
    {"serial", 0, "HEX", "imported, with its own serial", false},
    {"fingerprint", 0, "HEX", "with this SHA-256 fingerprint", false},
    {"expires-before", 0, "TIME", "that end before", false},
    {"source", 0, "WORD", "issued, imported or discovered", false},
    {"revoked", 0, NULL, "only revoked ones", false},
    {"limit", 0, "N", "at most so many", false},
    {0},
};
static const struct cli_option get_options[] = {
    {"form", 0, "FORM", "pem, der, chain (PEM with issuers), pkcs7 or pkcs12", false},
    {"out", 0, "FILE", "write there", false},
    {"key", 0, "FILE", "pkcs12: the certificate's private key, PEM or DER", false},
    {"key-password-file", 0, "FILE", "pkcs12: what that key is encrypted with; else it is asked for", false},
    {"password-file", 0, "FILE", "pkcs12: the password of the new file; else it is asked for", false},
    {0},
};
static const struct cli_option renew_now_options[] = {
    {"authority", 0, "NAME", "issued by it", false},
    {"profile", 0, "NAME", "of this profile", false},
    {"device", 0, "ID", "of this device", false},
    {"start", 0, "TIME", "when the window opens (now)", false},
    {"spread", 0, "DURATION", "how long it is (1h)", false},
    {"explanation", 0, "URL", "page for people, shown to clients", false},
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};
static const struct cli_option hold_options[] = {
    {"comment", 0, "TEXT", "why, for the register", false},
    {0},
};
static const struct cli_option issue_options[] = {
    {"csr", 0, "FILE", "PKCS#10, CRMF or SPKAC, PEM or DER; - is standard input", false},
    {"profile", 'p', "NAME", "the profile; the endpoint's first when left out", false},
    {"endpoint", 0, "NAME", "REST endpoint (rest)", false},
    {"device", 0, "ID", "for this device", false},
    {"renews", 0, "SERIAL", "replaces this certificate", false},
    {"out", 0, "FILE", "write there", false},
    {"no-chain", 0, NULL, "without the issuers", false},
    {0},
};

const struct command cert_commands[] = {
    {
        .noun = "cert",
        .verb = "show",
        .summary = "print certificates, requests and CRLs from files",
        .arguments = "FILE...",
        .description = "Works without a house. PEM or DER; every extension is decoded.",
        .example = "touchmark cert show server.pem -o json",
        .min_args = 1,
        .max_args = -1,
        .run = show,
    },
    {
        .noun = "cert",
        .verb = "list",
        .summary = "list the inventory",
        .arguments = "[QUERY...]",
        .description =
            "A query is made of terms, all of which have to hold: issuer: profile: subject: cn: dns: ip: email: uri: serial: fingerprint:\n"
            "spki: device: owner: technical: place: service: criticality: tag: source: status: class: key: signature: with a value, where\n"
            "* stands for anything; expires issued added lifetime with <, > or :; a minus before a term for what must not be; OR and\n"
            "parentheses. A word alone is a name, serial or device. Put it in quotes, for the shell. docs/inventory.md has all of it. Without a\n"
            "query, the options choose.",
        .example = "touchmark cert list 'issuer:issuing-ca expires<30d -status:revoked' --sort expires\n"
                   "touchmark cert list 'key:rsa status:valid (dns:*.example.org OR place:vienna)'\n"
                   "touchmark cert list --profile server-internal-1y --expires-before 2027-01-31",
        .options = list_options,
        .max_args = -1,
        .run = list,
    },
    {
        .noun = "cert",
        .verb = "get",
        .summary = "one certificate of the inventory",
        .arguments = "SERIAL",
        .example = "touchmark cert get 014e6b013abacc77221c86a61bd3114c --form chain --out server.pem",
        .options = get_options,
        .min_args = 1,
        .max_args = 1,
        .run = get,
    },
    {
        .noun = "cert",
        .verb = "find",
        .summary = "find by serial, fingerprint, name or device",
        .arguments = "QUERY",
        .example = "touchmark cert find server.example.org",
        .min_args = 1,
        .max_args = 1,
        .run = find,
    },
    {
        .noun = "cert",
        .verb = "issue",
        .summary = "issue a certificate for a request",
        .arguments = "",
        .description = "Prints the certificate and its issuers, or says which approval it waits for.",
        .example = "touchmark cert issue --csr server.csr --profile server-internal-1y --out server.pem",
        .options = issue_options,
        .run = issue,
    },
    {
        .noun = "cert",
        .verb = "revoke",
        .summary = "revoke a certificate, or many",
        .arguments = "[SERIAL...]",
        .description =
            "Many: serials here or in a file, or all that a query chooses: authority=, profile=, device=, owner= (of the device),\n"
            "issued-after=, issued-before=, expires-after=, expires-before=, of which each given has to hold. Those need --expect with the\n"
            "number that --dry-run counted. The server does it page by page and goes on after a restart; \"revocation show\" says how far it\n"
            "is. What is revoked already is passed over. Above a number that the tenant's document says somebody else has to approve it.\n"
            "With --after or --replace-first holders are asked to renew first (RFC 9773); who has by then is revoked as superseded.",
        .example =
            "touchmark cert revoke 014e6b013abacc77221c86a61bd3114c --reason keyCompromise\n"
            "touchmark cert revoke --query profile=server-internal-1y --reason superseded --dry-run\n"
            "touchmark cert revoke --query profile=server-internal-1y --reason superseded --expect 17 --wait\n"
            "touchmark cert revoke --query issued-before=2026-11-01 --replace-first --after 24h --expect 17",
        .options = revoke_options,
        .max_args = 1000,
        .run = revoke,
    },
    {
        .noun = "cert",
        .verb = "renew-now",
        .summary = "ask the holders of certificates to renew early",
        .arguments = "[SERIAL...]",
        .description =
            "Moves the window in which their holders are told to renew (RFC 9773), by ACME or at /renewal-info: of the certificates\n"
            "named, or of all that --authority, --profile and --device choose together.",
        .example = "touchmark cert renew-now --profile enterprise-tls-47d --spread 6h",
        .options = renew_now_options,
        .max_args = 100,
        .run = renew_now,
    },
    {
        .noun = "cert",
        .verb = "hold",
        .summary = "take a certificate out of use for a while",
        .arguments = "SERIAL",
        .description = "It counts as revoked until \"cert release\"; \"cert revoke\" makes it final.",
        .example = "touchmark cert hold 014e6b013abacc77221c86a61bd3114c --comment \"lost, perhaps found\"",
        .options = hold_options,
        .min_args = 1,
        .max_args = 1,
        .run = hold,
    },
    {
        .noun = "cert",
        .verb = "release",
        .summary = "take a certificate off hold",
        .arguments = "SERIAL",
        .example = "touchmark cert release 014e6b013abacc77221c86a61bd3114c",
        .min_args = 1,
        .max_args = 1,
        .run = release,
    },
    {
        .noun = "cert",
        .verb = "import",
        .summary = "take certificates of other CAs into the inventory",
        .arguments = "FILE|DIRECTORY...",
        .description =
            "PEM, DER, PKCS#7, PKCS#12, Java keystores (JKS, JCEKS), kubeconfig and Kubernetes secrets (YAML, JSON), CSV with a column\n"
            "\"certificate\", NDJSON with such a member. Directories are gone through; what holds no certificate there is passed over. Private keys\n"
            "are never read. Each certificate gets one row, however often it is imported.",
        .example = "touchmark cert import old-servers.pem\n"
                   "touchmark cert import /etc/ssl keystore.jks --label inventory-2026",
        .options = cert_import_options,
        .min_args = 1,
        .max_args = -1,
        .run = cert_import,
    },
    {0},
};
