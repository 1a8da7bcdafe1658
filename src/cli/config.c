#include "cli/config.h"
#include "base/arena.h"
#include "base/buf.h"
#include "cli/yaml.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"auto", "json", "text", NULL};

static const struct json_field listener_schema[] = {
    JSON_FIELD(struct config_listener, address, JSON_K_STRING, .max = 64, .def = "",
               .doc = "IP address to listen on"),
    JSON_FIELD(struct config_listener, port, JSON_K_INT, .min = 0, .max = 65535),
    {.key = "proxy-protocol",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct config_listener, proxy_protocol),
     .doc = "a PROXY v2 header comes first, from trusted-proxies only"},
    JSON_FIELD(struct config_listener, disabled, JSON_K_BOOL),
    {0},
};
#define IN(group, member) (offsetof(struct config, group.member) - offsetof(struct config, group))
static const struct json_field store_schema[] = {
    {.key = "driver", .kind = JSON_K_STRING, .offset = IN(store, driver), .max = 32, .def = "sqlite"},
    {.key = "path",
     .kind = JSON_K_STRING,
     .offset = IN(store, path),
     .max = 4000,
     .def = "",
     .doc = "directory; <home>/store when left out"},
    {0},
};
static const struct json_field signer_schema[] = {
    {.key = "user",
     .kind = JSON_K_STRING,
     .offset = IN(signer, user),
     .max = 64,
     .def = "",
     .doc = "own uid of the signer when started as root; touchmark-signer where that user exists"},
    {.key = "passphrase-file",
     .kind = JSON_K_STRING,
     .offset = IN(signer, passphrase_file),
     .max = 4000,
     .def = "",
     .doc =
         "read at start, and again when the signer has to be brought back; without a leading /, in the home"},
    {.key = "credential",
     .kind = JSON_K_STRING,
     .offset = IN(signer, credential),
     .max = 200,
     .def = "",
     .doc = "name of a systemd credential that holds the passphrase"},
    {0},
};
static const struct json_field listen_schema[] = {
    {.key = "enrollment",
     .kind = JSON_K_OBJECT,
     .offset = IN(listen, enrollment),
     .sub = listener_schema,
     .doc = "TLS: EST, REST; asks for a client certificate"},
    {.key = "plain",
     .kind = JSON_K_OBJECT,
     .offset = IN(listen, plain),
     .sub = listener_schema,
     .doc = "plain HTTP: CRLs, CA certificates, register"},
    {.key = "console",
     .kind = JSON_K_OBJECT,
     .offset = IN(listen, console),
     .sub = listener_schema,
     .doc = "TLS: console and REST, no client certificate prompt"},
    {.key = "admin",
     .kind = JSON_K_OBJECT,
     .offset = IN(listen, admin),
     .sub = listener_schema,
     .doc = "plain HTTP on loopback: health and metrics"},
    {0},
};
static const struct json_field tls_schema[] = {
    {.key = "certificate",
     .kind = JSON_K_STRING,
     .offset = IN(tls, certificate),
     .max = 4000,
     .def = "",
     .doc =
         "PEM, the chain behind it; the house's own, renewed by itself, when left out. Read again on SIGHUP"},
    {.key = "key",
     .kind = JSON_K_STRING,
     .offset = IN(tls, key),
     .max = 4000,
     .def = "",
     .doc = "its key, PEM without a passphrase; in the certificate's file when left out"},
    {0},
};
static const struct json_field limits_schema[] = {
    {.key = "connections",
     .kind = JSON_K_INT,
     .offset = IN(limits, connections),
     .min = 16,
     .max = 1000000,
     .def = "20000"},
    {.key = "connections-per-peer",
     .kind = JSON_K_INT,
     .offset = IN(limits, connections_per_peer),
     .min = 1,
     .max = 1000000,
     .def = "1024"},
    {.key = "requests-per-peer",
     .kind = JSON_K_INT,
     .offset = IN(limits, requests_per_peer),
     .min = 0,
     .max = 1000000,
     .def = "200",
     .doc = "a second, with bursts of four times as many; 0: no limit. Trusted proxies are not limited"},
    {.key = "ocsp-cache",
     .kind = JSON_K_INT,
     .offset = IN(limits, ocsp_cache),
     .min = 1,
     .max = 65536,
     .def = "64",
     .doc = "MiB of signed OCSP answers in memory; some 900 answers each"},
    {0},
};
static const struct json_field log_schema[] = {
    {.key = "level", .kind = JSON_K_ENUM, .offset = IN(log, level), .names = log_levels, .def = "info"},
    {.key = "format", .kind = JSON_K_ENUM, .offset = IN(log, format), .names = log_formats, .def = "auto"},
    {0},
};
const struct json_field config_schema[] = {
    {.key = "public-base",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct config, public_base),
     .max = 200,
     .def = "",
     .doc =
         "address under which CRLs and CA certificates are found for decades: a plain http:// name on port 80"},
    JSON_FIELD(struct config, origin, JSON_K_STRING, .max = 200, .required = true,
               .doc = "name of the register; never changes"),
    {.key = "console-origin",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct config, console_origin),
     .max = 260,
     .def = "",
     .doc =
         "https:// address that people open the console by, and their passkeys are for; as each request names it "
         "when left out"},
    JSON_FIELD(struct config, store, JSON_K_OBJECT, .sub = store_schema),
    JSON_FIELD(struct config, signer, JSON_K_OBJECT, .sub = signer_schema),
    JSON_FIELD(struct config, listen, JSON_K_OBJECT, .sub = listen_schema),
    {.key = "trusted-proxies",
     .kind = JSON_K_STRINGS,
     .offset = offsetof(struct config, trusted_proxies),
     .max = 64,
     .doc = "CIDRs whose PROXY v2, Client-Cert (RFC 9440) and X-Request-Id are believed"},
    JSON_FIELD(struct config, tls, JSON_K_OBJECT, .sub = tls_schema),
    JSON_FIELD(struct config, limits, JSON_K_OBJECT, .sub = limits_schema),
    JSON_FIELD(struct config, log, JSON_K_OBJECT, .sub = log_schema),
    JSON_FIELD(struct config, loops, JSON_K_INT, .min = 0, .max = 256, .doc = "event loops; 0: one a core"),
    {.key = "free-ports",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct config, free_ports),
     .doc = "a listener without a port takes a free one, written to run/ports.json"},
    {.key = "weak-keys",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct config, weak_keys),
     .max = 4000,
     .def = "",
     .doc =
         "lists of keys known to be bad, a file or a directory of files; <home>/weak-keys, if there, when left out"},
    {.key = "crypto-threads",
     .kind = JSON_K_INT,
     .offset = offsetof(struct config, crypto_threads),
     .min = 0,
     .max = 256},
    {0},
};

static tm_err read_text(struct slice *ret, struct arena *a, const char *path, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return diag_fail(diag, TM_ENOTFOUND, NULL, NULL,
                         "%s: %s; make a home with \"touchmark init\", or name one with --home", path,
                         strerror(errno));
    char *text = arena_alloc(a, YAML_TEXT_MAX / 16);
    ssize_t n = text ? read(fd, text, YAML_TEXT_MAX / 16) : -1;
    close(fd);
    if (!text)
        return TM_ENOMEM;
    if (n < 0)
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s: %s", path, strerror(errno));
    *ret = slice_of(text, (size_t)n);
    return TM_OK;
}

/* As a browser says it in Origin: scheme, name and port alone. */
static tm_err check_console_origin(const char *s, struct diag *diag)
{
    if (!s[0] || (strncmp(s, "https://", 8) == 0 && s[8] && !strpbrk(s + 8, "/?#@ ")))
        return TM_OK;
    return diag_fail(diag, TM_EINVAL, NULL, "/console-origin",
                     "write https://console.example.org or https://console.example.org:9443");
}

tm_err config_load(struct config *ret, struct arena *a, const char *home, struct diag *diag)
{
    const char *path = arena_printf(a, "%s/touchmark.yaml", home);
    if (!path)
        return TM_ENOMEM;
    struct slice text;
    TM_TRY(read_text(&text, a, path, diag));
    struct yaml_doc *docs;
    size_t n;
    struct diag why = {0};
    tm_err e = yaml_load(&docs, &n, a, text, &why);
    if (e != TM_OK)
        return diag_fail(diag, e, NULL, NULL, "%s:%s: %s", path, why.field, why.message);
    if (n != 1) {
        for (size_t i = 0; i < n; i++)
            json_decref(docs[i].value);
        return diag_fail(diag, TM_EINVAL, NULL, NULL, "%s: must hold exactly one document", path);
    }
    e = json_bind(ret, config_schema, docs[0].value, "", a, &why);
    if (e == TM_OK)
        e = check_console_origin(ret->console_origin, &why);
    if (e != TM_OK) {
        struct yaml_mark m = yaml_mark_find(&docs[0], why.field);
        e = diag_fail(diag, e, NULL, NULL, "%s:%u:%u: %s: %s", path, m.line, m.column, why.field,
                      why.message);
    }
    json_decref(docs[0].value);
    return e;
}
