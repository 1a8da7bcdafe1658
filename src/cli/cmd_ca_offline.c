/* ca offline: what is done with a root's bundle, on a machine that has nothing but this binary. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "cli/ceremony.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "x509/name.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OFFLINE_OUT_MAX = 64 << 20, OFFLINE_CSR_MAX = 1 << 20 };

static int show_bundle(struct cli *c, struct cli_ceremony *x)
{
    struct buf out;
    buf_init(&out, OFFLINE_OUT_MAX);
    tm_err e = offline_bundle_print(&out, x->bundle);
    int status = e == TM_OK ? 0 : cli_fail_diag(c, e, NULL, NULL);
    if (status == 0)
        fwrite(out.p, 1, out.n, stdout);
    buf_done(&out);
    return status;
}

/* What was signed, on stderr for whoever carries it back: the file itself may go to standard output. */
static void tell_signed(struct cli *c, struct slice der)
{
    struct cert cert;
    uint8_t hash[SHA256_LEN];
    if (cert_parse(&cert, der, NULL) != TM_OK || sha256(hash, der) != TM_OK)
        return;
    struct buf b;
    buf_init(&b, 64 << 10);
    char to[21];
    clock_format_rfc3339(to, cert.not_after);
    buf_puts(&b, "subject      ");
    name_print_der(&b, cert.subject);
    buf_puts(&b, "\nserial       ");
    buf_put_hex(&b, cert.serial);
    buf_printf(&b, "\nnot after    %s\nfingerprint  ", cert.not_after == TM_TIME_NEVER ? "never" : to);
    for (size_t i = 0; i < sizeof hash; i++)
        buf_printf(&b, "%s%02X", i ? ":" : "", hash[i]);
    fprintf(stderr, "%s\n", buf_str(&b));
    buf_done(&b);
}

static int sign(struct cli *c, struct cli_ceremony *x)
{
    struct offline_sign o = {.issues_cas = cli_has(c, "issues-cas")};
    struct slice csr;
    if (!cli_has(c, "csr"))
        return cli_usage(c, "--csr FILE is missing");
    if (!cli_get_duration(c, "lifetime", 0, &o.lifetime))
        return 2;
    const char *len = cli_get(c, "path-len");
    if (len)
        o.path_len = atoi(len);
    else if (o.issues_cas)
        o.path_len = -1;
    while (cli_get_nth(c, "permit-dns", (int)o.n_permit_dns))
        o.n_permit_dns++;
    const char **permit = arena_calloc(c->arena, o.n_permit_dns + 1, sizeof *permit);
    if (!permit || !cli_read_file(c, cli_get(c, "csr"), OFFLINE_CSR_MAX, &csr))
        return 1;
    for (size_t i = 0; i < o.n_permit_dns; i++)
        permit[i] = cli_get_nth(c, "permit-dns", (int)i);
    o.permit_dns = permit;
    struct ca_signed s = {0};
    struct diag diag = {0};
    tm_err e = offline_bundle_sign_csr(&s, c->arena, x->bundle, csr, &o, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, cli_get(c, "csr"));
    struct buf out;
    buf_init(&out, OFFLINE_OUT_MAX);
    buf_put_pem(&out, "CERTIFICATE", s.der);
    buf_put_pem(&out, "CERTIFICATE", offline_bundle_cert(x->bundle)->der);
    bool ok = buf_err(&out) == TM_OK && cli_write_file(c, cli_get(c, "out"), buf_slice(&out), 0644);
    buf_done(&out);
    if (ok)
        tell_signed(c, s.der);
    return ok ? 0 : 1;
}

static int link_roots(struct cli *c, struct cli_ceremony *x)
{
    struct slice text, der;
    struct ca_signed s = {0};
    struct diag diag = {0};
    const char *path = cli_get(c, "root");
    if (!path)
        return cli_usage(c, "--root FILE is missing: the other root's certificate");
    if (!cli_read_file(c, path, OFFLINE_CSR_MAX, &text))
        return 1;
    tm_err e = pem_next(&der, NULL, c->arena, &text, "CERTIFICATE");
    if (e == TM_ENOTFOUND)
        return cli_fail(c, "%s: there is no certificate in it", path);
    if (e == TM_OK)
        e = offline_bundle_link(&s, c->arena, x->bundle, der, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, path);
    struct buf out;
    buf_init(&out, OFFLINE_OUT_MAX);
    buf_put_pem(&out, "CERTIFICATE", s.der);
    bool ok = buf_err(&out) == TM_OK && cli_write_file(c, cli_get(c, "out"), buf_slice(&out), 0644);
    buf_done(&out);
    if (ok)
        tell_signed(c, s.der);
    return ok ? 0 : 1;
}

static int crls(struct cli *c, struct cli_ceremony *x)
{
    struct offline_crls o = {0};
    int64_t count;
    if (!cli_get_number(c, "count", 0, 1, OFFLINE_CRLS_MAX, &count) ||
        !cli_get_duration(c, "every", 0, &o.every) || !cli_get_duration(c, "lifetime", 0, &o.lifetime))
        return 2;
    o.count = (unsigned)count;
    struct diag diag = {0};
    struct buf out;
    buf_init(&out, OFFLINE_OUT_MAX);
    tm_err e = offline_bundle_crls(&out, x->bundle, &o, &diag);
    int status = e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
    if (status == 0 && !cli_write_file(c, cli_get(c, "out"), buf_slice(&out), 0644))
        status = 1;
    buf_done(&out);
    return status;
}

static int reason_of(const char *text)
{
    for (int i = 0; i <= CRL_AA_COMPROMISE; i++)
        if (crl_reason_names[i] && strcasecmp(crl_reason_names[i], text) == 0)
            return i;
    return -1;
}

static int revoke(struct cli *c, struct cli_ceremony *x)
{
    const char *hex = cli_get(c, "serial"), *reason = cli_get(c, "reason"), *when = cli_get(c, "when");
    struct slice serial;
    int64_t at = 0;
    if (!hex)
        return cli_usage(c, "--serial HEX is missing; \"ca show\" has it");
    if (hex_decode(&serial, c->arena, slice_str(hex)) != TM_OK || serial.n == 0)
        return cli_usage(c, "--serial: \"%s\" is not hexadecimal", hex);
    int r = reason ? reason_of(reason) : CRL_UNSPECIFIED;
    if (r < 0)
        return cli_usage(c, "--reason: there is no \"%s\"; cACompromise, superseded, cessationOfOperation …",
                         reason);
    if (when && clock_parse_rfc3339(&at, slice_str(when)) != TM_OK)
        return cli_usage(c, "--when takes a date such as 2026-11-21, not \"%s\"", when);
    struct diag diag = {0};
    tm_err e = offline_bundle_revoke(x->bundle, serial, r, at, cli_has(c, "anyway"), &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, hex);
    fprintf(
        stderr,
        "%s is on every CRL that this bundle signs from now on: sign a new series with \"ca offline crls\".\n",
        hex);
    return 0;
}

static int rekey(struct cli *c, struct cli_ceremony *x)
{
    struct secret fresh = {0};
    struct diag diag = {0};
    int status = 1;
    if (cli_bundle_passphrase(&fresh, c, "new-passphrase-file", true)) {
        tm_err e = offline_bundle_rekey(x->bundle, &x->bundle_passphrase, &fresh, &diag);
        status = e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, cli_get(c, "bundle"));
    }
    secret_done(&fresh);
    if (status == 0)
        fprintf(stderr,
                "The bundle is under its new passphrase; older copies still open with the old one.\n");
    return status;
}

static int offline(struct cli *c)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *c, struct cli_ceremony *x);
    } acts[] = {{"show", show_bundle},
                {"sign", sign},
                {"link", link_roots},
                {"crls", crls},
                {"revoke", revoke},
                {"rekey", rekey},
                {0}};
    size_t i = 0;
    while (acts[i].name && strcmp(acts[i].name, c->args[0]) != 0)
        i++;
    if (!acts[i].name)
        return cli_usage(c, "there is no \"%s\": show, sign, link, crls, revoke or rekey", c->args[0]);
    struct cli_ceremony x = {0};
    int status = 2;
    if (!cli_has(c, "bundle"))
        cli_usage(c, "--bundle FILE is missing");
    else
        status =
            cli_bundle_open(&x.bundle, &x.bundle_passphrase, c, "passphrase-file") ? acts[i].run(c, &x) : 1;
    cli_ceremony_end(&x);
    return status;
}

static const struct cli_option offline_options[] = {
    {"bundle", 0, "FILE", "the root's bundle", false},
    {"passphrase-file", 0, "FILE", "its passphrase; asked for else", false},
    {"csr", 0, "FILE", "sign: the request of the CA to be", false},
    {"lifetime", 0, "TIME", "sign: how long the CA lives (10y); crls: how long each CRL is valid (90d)",
     false},
    {"path-len", 0, "N", "sign: CAs that may stand below it (0)", false},
    {"issues-cas", 0, NULL, "sign: it is a tier that signs CAs", false},
    {"permit-dns", 0, "SUFFIX", "sign: only names under this suffix", true},
    {"root", 0, "FILE", "link: certificate of the root that this one leads to", false},
    {"out", 'O', "FILE", "sign, link, crls: where to; standard output else", false},
    {"count", 0, "N", "crls: how many (24)", false},
    {"every", 0, "TIME", "crls: how far apart (30d)", false},
    {"serial", 0, "HEX", "revoke: whose", false},
    {"reason", 0, "REASON", "revoke: cACompromise, superseded, cessationOfOperation …", false},
    {"when", 0, "DATE", "revoke: since when; now else", false},
    {"anyway", 0, NULL, "revoke: although this copy of the bundle did not sign it", false},
    {"new-passphrase-file", 0, "FILE", "rekey: the new passphrase; asked for else", false},
    {0},
};

const struct command ca_offline_commands[] = {
    {.noun = "ca",
     .verb = "offline",
     .summary = "work with an offline root's bundle: show, sign, link, crls, revoke, rekey",
     .arguments = "show|sign|link|crls|revoke|rekey",
     .description =
         "Needs no house, no network and no server: only the bundle and its passphrase. Every signature is written into\n"
         "the bundle before it is handed out, so keep the newest copy.",
     .example =
         "touchmark ca offline show --bundle root-root.bundle --passphrase-file root.passphrase\n"
         "touchmark ca offline sign --bundle root-root.bundle --csr plant-3.csr --lifetime 10y --out plant-3.pem\n"
         "touchmark ca offline link --bundle root-root.bundle --root new-root.pem --out new-with-old.pem\n"
         "touchmark ca offline crls --bundle root-root.bundle --count 24 --every 30d --lifetime 90d --out crls.pem\n"
         "touchmark ca offline revoke --bundle root-root.bundle --serial 0123ab --reason cACompromise",
     .options = offline_options,
     .min_args = 1,
     .max_args = 1,
     .run = offline},
    {0},
};
