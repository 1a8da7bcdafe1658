/* ca: authorities - made, brought in, looked at, carried out. */
#include "authority/anchors.h"
#include "authority/ra.h"
#include "authority/responder.h"
#include "base/arena.h"
#include "cli/call.h"
#include "cli/ceremony.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "issue/house.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CA_FILE_MAX = 1 << 20, CRLS_FILE_MAX = 256 << 20, CA_OUT_MAX = 4 << 20 };

/* ---- making ---- */

/* Values of an option that may repeat, as a list in the arena. */
static size_t values_of(const char *const **ret, struct cli *c, const char *option)
{
    size_t n = 0;
    while (cli_get_nth(c, option, (int)n))
        n++;
    const char **v = arena_calloc(c->arena, n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = cli_get_nth(c, option, (int)i);
    *ret = v;
    return v ? n : 0;
}

/* The options that describe a CA. False after complaining. */
static bool spec_from_options(struct ca_spec *s, struct cli *c)
{
    ca_spec_init(s);
    s->name = cli_authority_name(c);
    s->title = cli_get(c, "title");
    s->subject = cli_get(c, "subject");
    s->key = cli_get(c, "key");
    s->issues_cas = cli_has(c, "issues-cas");
    int64_t path_len;
    if (!s->name || !cli_get_duration(c, "lifetime", 0, &s->lifetime) ||
        !cli_get_number(c, "path-len", s->path_len, 0, 16, &path_len))
        return false;
    s->path_len = (int)path_len;
    s->n_permit_dns = values_of(&s->permit_dns, c, "permit-dns");
    return true;
}

static int create_request(struct cli *c, struct cli_ceremony *x, const struct ca_spec *s)
{
    struct diag diag = {0};
    struct buf csr;
    buf_init(&csr, CA_OUT_MAX);
    tm_err e = ceremony_request_ca(&csr, &x->c, s, &diag);
    int status = e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, s->name);
    if (e == TM_OK && !cli_write_file(c, cli_get(c, "request"), buf_slice(&csr), 0644))
        status = 1;
    buf_done(&csr);
    if (status == 0)
        fprintf(
            stderr,
            "Carry the request to the root's machine: touchmark ca offline sign; then bring the certificate back: "
            "touchmark ca install %s CERT.pem\n",
            s->name);
    return status;
}

static int create_in(struct cli *c, struct cli_ceremony *x, struct ca_spec *s)
{
    s->tenant = x->tenant;
    if (cli_has(c, "request"))
        return create_request(c, x, s);
    struct diag diag = {0};
    struct ca_result r = {0};
    const char *bundle = cli_get(c, "bundle");
    tm_err e;
    if (cli_has(c, "root") && bundle) {
        if (!cli_bundle_passphrase(&x->bundle_passphrase, c, "bundle-passphrase-file", true))
            return 1;
        e = ceremony_create_root(&r, c->arena, &x->c, s, bundle, &x->bundle_passphrase, NULL, NULL, &diag);
    } else {
        if (bundle && !cli_bundle_open(&x->bundle, &x->bundle_passphrase, c, "bundle-passphrase-file"))
            return 1;
        e = ceremony_create_ca(&r, c->arena, &x->c, s, cli_get(c, "parent"), x->bundle, &diag);
    }
    return e == TM_OK ? cli_authority_made(c, &r) : cli_fail_diag(c, e, &diag, s->name);
}

static int create(struct cli *c)
{
    struct ca_spec s;
    if (!spec_from_options(&s, c))
        return 2;
    if (cli_has(c, "root") + cli_has(c, "parent") + cli_has(c, "request") != 1)
        return cli_usage(
            c, "say who signs it: --parent NAME, --root (itself), or --request FILE (another machine)");
    struct cli_ceremony x = {0};
    int status = cli_ceremony_begin(&x, c) ? create_in(c, &x, &s) : 1;
    cli_ceremony_end(&x);
    return status;
}

static int install(struct cli *c)
{
    const char *name = cli_authority_name(c);
    const char *file = cli_get(c, "cert");
    if (!file && c->n_args > 1)
        file = c->args[1];
    if (!name)
        return 2;
    if (!file)
        return cli_usage(c, "the certificate's file is missing");
    struct slice pem;
    if (!cli_read_file(c, file, CA_FILE_MAX, &pem))
        return 1;
    struct cli_ceremony x = {0};
    int status = 1;
    if (cli_ceremony_begin(&x, c)) {
        struct ca_spec s;
        ca_spec_init(&s);
        s.name = name;
        s.tenant = x.tenant;
        s.issues_cas = cli_has(c, "issues-cas");
        struct ca_result r = {0};
        struct diag diag = {0};
        tm_err e = ceremony_install_ca(&r, c->arena, &x.c, &s, pem, &diag);
        status = e == TM_OK ? cli_authority_made(c, &r) : cli_fail_diag(c, e, &diag, file);
    }
    cli_ceremony_end(&x);
    return status;
}

static int make_ra(struct cli *c)
{
    struct cli_ceremony x = {0};
    int status = 1;
    if (cli_ceremony_begin(&x, c)) {
        struct ca_result r = {0};
        struct diag diag = {0};
        tm_err e = ceremony_create_ra(&r, c->arena, &x.c, x.tenant, c->args[0], cli_get(c, "key"), &diag);
        status = e == TM_OK ? cli_authority_made(c, &r) : cli_fail_diag(c, e, &diag, c->args[0]);
    }
    cli_ceremony_end(&x);
    return status;
}

static int anchors(struct cli *c)
{
    struct cli_ceremony x = {0};
    int status = 1;
    if (cli_ceremony_begin(&x, c)) {
        struct ca_result r[ANCHORS_OF_ONE_MAX];
        size_t n = 0;
        struct diag diag = {0};
        bool remove = cli_has(c, "remove");
        tm_err e = ceremony_anchors(r, &n, c->arena, &x.c, x.tenant, c->args[0], remove, &diag);
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(
                list, json_pack("{s:s,s:s}", "subject", r[i].subject, "sha256", r[i].fingerprint));
        json_t *told = json_pack("{s:s,s:o}", "authority", c->args[0], remove ? "removed" : "sealed", list);
        status = e != TM_OK ? cli_fail_diag(c, e, &diag, c->args[0]) : show_value(c, told);
        json_decref(told);
    }
    cli_ceremony_end(&x);
    return status;
}

static int make_responder(struct cli *c)
{
    struct cli_ceremony x = {0};
    int status = 1;
    if (cli_ceremony_begin(&x, c)) {
        const char *key_id = "";
        struct diag diag = {0};
        tm_err e = ceremony_create_responder(&key_id, c->arena, &x.c, x.tenant, c->args[0], cli_get(c, "key"),
                                             &diag);
        json_t *made = json_pack("{s:s,s:s}", "authority", c->args[0], "key", key_id);
        status = e != TM_OK ? cli_fail_diag(c, e, &diag, c->args[0]) : show_value(c, made);
        json_decref(made);
    }
    cli_ceremony_end(&x);
    return status;
}

/* Certificate and chain behind one another, as the importer reads them. */
static bool read_certs(struct slice *ret, struct cli *c)
{
    struct slice cert, chain = {0};
    if (!cli_read_file(c, cli_get(c, "cert"), CA_FILE_MAX, &cert))
        return false;
    *ret = cert;
    if (!cli_has(c, "chain"))
        return true;
    if (!cli_read_file(c, cli_get(c, "chain"), CA_FILE_MAX, &chain))
        return false;
    bool text =
        cert.n && cert.p[cert.n - 1] != '\n' && memchr(cert.p, '-', cert.n) && chain.n && chain.p[0] == '-';
    uint8_t *both = arena_alloc(c->arena, cert.n + chain.n + 1);
    if (!both)
        return false;
    memcpy(both, cert.p, cert.n);
    if (text)
        both[cert.n] = '\n';
    memcpy(both + cert.n + text, chain.p, chain.n);
    *ret = slice_of(both, cert.n + text + chain.n);
    return true;
}

static int import_in(struct cli *c, struct cli_ceremony *x, const struct ca_spec *s, struct slice certs)
{
    struct ca_result r = {0};
    struct diag diag = {0};
    struct slice key;
    struct secret pass = {0};
    const char *file = cli_get(c, "key-passphrase-file");
    if (!cli_read_file(c, cli_get(c, "key"), CA_FILE_MAX, &key))
        return 1;
    tm_err e = file ? secret_read_file(&pass, file, &diag) : TM_OK;
    if (e == TM_OK)
        e = ceremony_import_ca(&r, c->arena, &x->c, s, key, file ? &pass : NULL, certs, &diag);
    secret_done(&pass);
    explicit_bzero((void *)(uintptr_t)key.p, key.n);
    return e == TM_OK ? cli_authority_made(c, &r) : cli_fail_diag(c, e, &diag, s->name);
}

/* Without a key it is no ceremony: a running server takes it too. */
static int import_certificate(struct cli *c, const char *name, struct slice certs)
{
    const char *title = cli_get(c, "title");
    const char *path =
        arena_printf(c->arena, "/api/v1/authorities/%s/import?title=%s%s", show_escape(c, name),
                     show_escape(c, title ? title : ""), cli_has(c, "issues-cas") ? "&issues_cas=1" : "");
    struct cli_reply r;
    if (!path || !cli_call_ok(c, "POST", path, certs, "application/octet-stream", &r))
        return 1;
    json_object_del(r.json, "certificate");
    return show_value(c, r.json);
}

static int import(struct cli *c)
{
    struct ca_spec s;
    struct slice certs;
    if (!cli_has(c, "cert"))
        return cli_usage(c, "--cert FILE is missing");
    ca_spec_init(&s);
    s.name = cli_authority_name(c);
    s.title = cli_get(c, "title");
    s.issues_cas = cli_has(c, "issues-cas");
    if (!s.name)
        return 2;
    if (!read_certs(&certs, c))
        return 1;
    if (!cli_has(c, "key"))
        return import_certificate(c, s.name, certs);
    struct cli_ceremony x = {0};
    int status = 1;
    if (cli_ceremony_begin(&x, c)) {
        s.tenant = x.tenant;
        status = import_in(c, &x, &s, certs);
    }
    cli_ceremony_end(&x);
    return status;
}

static int import_crls(struct cli *c)
{
    const char *name = cli_authority_name(c);
    const char *file = cli_get(c, "in");
    if (!file && c->n_args > 1)
        file = c->args[1];
    if (!name)
        return 2;
    if (!file)
        return cli_usage(c, "the file of CRLs is missing");
    struct slice bytes;
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/crls/%s/series", show_escape(c, name));
    if (!path || !cli_read_file(c, file, CRLS_FILE_MAX, &bytes) ||
        !cli_call_ok(c, "POST", path, bytes, "application/octet-stream", &r))
        return 1;
    return show_value(c, r.json);
}

/* ---- looking ---- */

static int list(struct cli *c)
{
    static const struct show_column columns[] = {
        {"NAME", "name"},     {"KIND", "kind"}, {"SUBJECT", "subject"},   {"ENDS", "not_after"},
        {"PARENT", "parent"}, {"KEY", "key"},   {"DISABLED", "disabled"}, {0}};
    struct cli_reply r;
    if (!cli_call_ok(c, "GET", "/api/v1/authorities", slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_items(c, json_object_get(r.json, "items"), columns);
}

/* What it is, and what can be set of it. */
static int show(struct cli *c)
{
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/authorities/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    json_t *v = json_incref(r.json);
    const json_t *doc = cli_authority_get(c, c->args[0]);
    static const char *const more[] = {"title", "signature", "crl", "metadata", NULL};
    for (size_t i = 0; doc && more[i]; i++) {
        json_t *x = json_object_get(doc, more[i]);
        if (x)
            json_object_set(v, more[i], x);
    }
    int status = doc ? show_value(c, v) : 1;
    json_decref(v);
    return status;
}

static int export(struct cli *c)
{
    static const char *const forms[] = {"pem", "der", "chain", "pkcs7"};
    static const char *const types[] = {NULL, "application/pkix-cert", "application/pem-certificate-chain",
                                        "application/pkcs7-mime"};
    const char *form = cli_get(c, "form");
    size_t i = 0;
    while (form && i < sizeof forms / sizeof *forms && strcmp(forms[i], form) != 0)
        i++;
    if (i == sizeof forms / sizeof *forms)
        return cli_usage(c, "--form takes pem, der, chain or pkcs7, not \"%s\"", form);
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/authorities/%s%s", show_escape(c, c->args[0]),
                                    types[i] ? "/chain" : "");
    if (!path || !cli_get_as(c, path, types[i], &r))
        return 1;
    struct slice out =
        types[i] ? r.body : slice_str(json_string_value(json_object_get(r.json, "certificate")));
    return cli_write_file(c, cli_get(c, "out"), out, 0644) ? 0 : 1;
}

static const struct cli_option create_options[] = {
    {"name", 0, "NAME", "the authority's name, where it is not an argument", false},
    {"subject", 0, "DN", "its name, RFC 4514: \"CN=Plant 2 CA,O=Example\"", false},
    {"title", 0, "TEXT", "a line for people", false},
    {"parent", 0, "NAME", "who signs it; with --bundle when that key is not in this house", false},
    {"root", 0, NULL, "it signs itself: with --bundle into a new bundle, else in this house", false},
    {"bundle", 0, "FILE", "the parent's bundle, or the one to make for --root", false},
    {"bundle-passphrase-file", 0, "FILE", "the bundle's passphrase", false},
    {"request", 0, "FILE", "make the key and write a request for another machine", false},
    {"key", 0, "TYPE", "ec-p256, ec-p384, rsa-3072, ml-dsa-65 … (ec-p384 for a root, ec-p256 else)", false},
    {"lifetime", 0, "TIME", "10y, never … (never for a root, 10y else; not beyond the parent's end)", false},
    {"path-len", 0, "N", "CAs that may stand below it", false},
    {"permit-dns", 0, "SUFFIX", "only names under this suffix", true},
    {"issues-cas", 0, NULL, "a tier: signs CAs and CRLs, no leaves", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

static const struct cli_option install_options[] = {
    {"name", 0, "NAME", "the authority's name, where it is not an argument", false},
    {"cert", 0, "FILE", "the certificate, PEM, its issuers behind it", false},
    {"issues-cas", 0, NULL, "a tier: signs CAs and CRLs, no leaves", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

static const struct cli_option import_options[] = {
    {"name", 0, "NAME", "the authority's name, where it is not an argument", false},
    {"key", 0, "FILE",
     "its private key: PEM or DER, PKCS#8, SEC1 or PKCS#1; without it only the certificate comes in", false},
    {"key-passphrase-file", 0, "FILE", "the passphrase of that key", false},
    {"cert", 0, "FILE", "its certificate: PEM, DER or PKCS#7", false},
    {"chain", 0, "FILE", "the certificates above it", false},
    {"title", 0, "TEXT", "a line for people", false},
    {"issues-cas", 0, NULL, "a tier: signs CAs and CRLs, no leaves", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

static const struct cli_option ra_options[] = {
    {"key", 0, "TYPE", "ec-p256, ec-p384, rsa-3072, ml-dsa-65 … (ec-p256)", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

static const struct cli_option anchors_options[] = {
    {"remove", 0, NULL, "take the authority's own certificate out of every envelope instead", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

static const struct cli_option export_options[] = {
    {"form", 0, "FORM", "pem, der, chain (PEM, up to the root) or pkcs7", false},
    {"out", 'O', "FILE", "where to; standard output else", false},
    {0},
};

static const struct cli_option crls_options[] = {
    {"name", 0, "NAME", "the authority's name, where it is not an argument", false},
    {"in", 0, "FILE", "the CRLs, PEM or DER, where the file is not an argument", false},
    {"passphrase-file", 0, "FILE", "the house's passphrase", false},
    {0},
};

const struct command ca_commands[] = {
    {.noun = "ca",
     .verb = "create",
     .summary = "make an authority",
     .arguments = "NAME",
     .description =
         "A ceremony: it needs the house's passphrase and no server running on this home. The key is made here\n"
         "and never leaves; a root with --bundle keeps it in one file to be carried away.",
     .example =
         "touchmark ca create plant-2 --subject \"CN=Plant 2 CA,O=Example\" --parent root --bundle root-root.bundle\n"
         "touchmark ca create plant-3 --subject \"CN=Plant 3 CA,O=Example\" --request plant-3.csr",
     .options = create_options,
     .max_args = 1,
     .run = create},
    {.noun = "ca",
     .verb = "install",
     .summary = "bring in the certificate that another machine signed",
     .arguments = "NAME CERT.pem",
     .description =
         "The second half of \"ca create --request\": the certificate must fit the key that waits here.",
     .example = "touchmark ca install plant-3 plant-3.pem",
     .options = install_options,
     .max_args = 2,
     .run = install},
    {.noun = "ca",
     .verb = "ra",
     .summary = "make the key that signs messages for an authority",
     .arguments = "NAME",
     .description =
         "EST full CMC and encrypted server-made keys are answered with messages that the authority's RA signs. \"init\"\n"
         "makes one for each CA; a CA that came later, or is to have another, gets it by this ceremony.",
     .example = "touchmark ca ra plant-2",
     .options = ra_options,
     .min_args = 1,
     .max_args = 1,
     .run = make_ra},
    {.noun = "ca",
     .verb = "ocsp",
     .summary = "make the key that answers OCSP for an authority",
     .arguments = "NAME",
     .description =
         "A responder's key may answer for this authority and do nothing else; its certificate is made by the running server and\n"
         "renews itself. \"init\" makes one for each CA; a CA that came later, or is to have another, gets it by this ceremony.",
     .example = "touchmark ca ocsp plant-2",
     .options = ra_options,
     .min_args = 1,
     .max_args = 1,
     .run = make_responder},
    {.noun = "ca",
     .verb = "anchors",
     .summary = "let messages hand out an authority's certificate and chain",
     .arguments = "NAME",
     .description =
         "The signer signs no message that hands out CA certificates (SCEP's GetNextCACert, CMP's caCerts) but those that it signed itself or\n"
         "that a ceremony has sealed. New authorities with their key here are sealed as they are made; this is for those that\n"
         "came without a key, or before. Compare the fingerprints that it prints.",
     .example = "touchmark ca anchors old-root\n"
                "touchmark ca anchors old-root --remove",
     .options = anchors_options,
     .min_args = 1,
     .max_args = 1,
     .run = anchors},
    {.noun = "ca",
     .verb = "import",
     .summary = "bring in an authority that exists",
     .arguments = "NAME",
     .description =
         "With --key the house signs with it from now on: a ceremony, which no running server can perform. Without a key the authority is\n"
         "known by its certificate alone, and a running server takes it too.",
     .example = "touchmark ca import old-ca --key old-ca.key --cert old-ca.pem --chain old-root.pem",
     .options = import_options,
     .max_args = 1,
     .run = import},
    {.noun = "ca",
     .verb = "import-crls",
     .summary = "bring in the CRLs that an offline root signed ahead",
     .arguments = "NAME FILE",
     .description =
         "Replaces the authority's series; each CRL is published when its day comes. A running server takes it too.",
     .example = "touchmark ca import-crls root root-crls.pem",
     .options = crls_options,
     .max_args = 2,
     .run = import_crls},
    {.noun = "ca",
     .verb = "list",
     .summary = "list the authorities",
     .arguments = "",
     .description = "Name, subject, end, parent, and where the key is.",
     .example = "touchmark ca list",
     .run = list},
    {.noun = "ca",
     .verb = "show",
     .summary = "show one authority",
     .arguments = "NAME",
     .description = "Subject, dates, serial, SHA-256 fingerprint, addresses and certificate.",
     .example = "touchmark ca show device-ca -o json",
     .min_args = 1,
     .max_args = 1,
     .run = show},
    {.noun = "ca",
     .verb = "export",
     .summary = "write an authority's certificate or chain",
     .arguments = "NAME",
     .description = "Public things only.",
     .example = "touchmark ca export device-ca --form chain -O device-chain.pem",
     .options = export_options,
     .min_args = 1,
     .max_args = 1,
     .run = export},
    {0},
};
