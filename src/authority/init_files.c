#include "authority/init_files.h"
#include "authority/file.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_OCTETS = 24, NAME_LEN = 256 };

static const char *const directories[] = {"keys", "store", "tls", "admin", "root", "run", "profiles"};

/* ---- the place ---- */

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return false;
    struct dirent *x;
    bool empty = true;
    while (empty && (x = readdir(d)))
        empty = strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0;
    closedir(d);
    return empty;
}

static tm_err make_directory(const char *path, struct diag *diag)
{
    if (mkdir(path, 0700) == 0)
        return TM_OK;
    return diag_fail(diag, errno == ENOSPC ? TM_EFULL : TM_EIO, NULL, NULL, "cannot make %s: %s", path,
                     strerror(errno));
}

static tm_err make_home(struct new_home *n, const char *home, struct diag *diag)
{
    if (access(home, F_OK) == 0) {
        if (!is_empty(home))
            return diag_fail(diag, TM_ECONFLICT, NULL, NULL,
                             "%s is not empty: a home is made once and never made over", home);
        if (chmod(home, 0700) != 0)
            return diag_fail(diag, TM_EIO, NULL, NULL, "cannot set the mode of %s: %s", home,
                             strerror(errno));
    } else {
        TM_TRY(make_directory(home, diag));
        n->made_home = true;
    }
    char *absolute = realpath(home, NULL);
    if (!absolute)
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s: %s", home, strerror(errno));
    n->home = arena_strdup(n->a, absolute);
    free(absolute);
    if (!n->home)
        return TM_ENOMEM;
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", n->home, directories[i]);
        TM_TRY(make_directory(path, diag));
    }
    return TM_OK;
}

void new_home_end(struct new_home *n, bool failed)
{
    secret_done(&n->passphrase);
    secret_done(&n->root_passphrase);
    if (!failed || !n->home)
        return;
    file_remove_tree(n->home, n->made_home); /* a directory that was there before stays */
}

/* ---- names ---- */

static tm_err choose_names(struct new_home *n, struct diag *diag)
{
    const struct init_config *c = n->c;
    char host[NAME_LEN] = "localhost";
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        strcpy(host, "localhost");
    n->organization = c->organization && c->organization[0] ? c->organization : "Touchmark";
    n->by = c->by && c->by[0] ? c->by : arena_printf(n->a, "local:%u", (unsigned)getuid());
    n->public_base = c->public_base && c->public_base[0] ? arena_strdup(n->a, c->public_base)
                                                         : arena_printf(n->a, "http://%s:8080", host);
    if (!n->by || !n->public_base)
        return TM_ENOMEM;
    /* Plain HTTP: a client that checks a certificate must not need another certificate for that (RFC 5280 8). */
    if (strncmp(n->public_base, "http://", 7) != 0 || n->public_base[7] == '\0')
        return diag_fail(
            diag, TM_EINVAL, "RFC 5280 4.2.1.13", "/public-base",
            "must begin with http:// and name a host: CRLs and CA certificates are fetched without TLS");
    for (const char *p = n->public_base; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '?' || *p == '#')
            return diag_fail(diag, TM_EINVAL, "RFC 3986", "/public-base",
                             "holds a character that an address can't have there");
    size_t len = strlen(n->public_base);
    char *base = arena_strndup(n->a, n->public_base, n->public_base[len - 1] == '/' ? len - 1 : len);
    n->public_base = base;
    n->origin = c->origin && c->origin[0]
                    ? c->origin
                    : arena_printf(n->a, "%.*s/touchmark", (int)strcspn(base + 7, ":/"), base + 7);
    if (!base || !n->origin)
        return TM_ENOMEM;
    if (strlen(n->origin) > 200 || strpbrk(n->origin, " +\t\r\n\"\\#"))
        return diag_fail(diag, TM_EINVAL, NULL, "/origin",
                         "a register's name has no spaces, '+', '#' or quotes");
    return TM_OK;
}

/* ---- passphrases ---- */

static tm_err generate(struct secret *ret, struct arena *a, const char **ret_file, const char *path,
                       struct diag *diag)
{
    uint8_t raw[PASSPHRASE_OCTETS];
    TM_TRY(random_bytes(raw, sizeof raw));
    struct buf text;
    buf_init(&text, 256);
    buf_put_base64(&text, SLICE_ARR(raw), BASE64_URL, 0);
    explicit_bzero(raw, sizeof raw);
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = secret_copy(ret, buf_slice(&text));
    buf_putc(&text, '\n');
    if (e == TM_OK)
        e = file_write(path, buf_slice(&text), 0400, false, diag);
    if (text.p)
        explicit_bzero(text.p, text.n);
    buf_done(&text);
    *ret_file = arena_strdup(a, path);
    return e == TM_OK && !*ret_file ? TM_ENOMEM : e;
}

static tm_err choose_passphrases(struct new_home *n, struct diag *diag)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/passphrase", n->home);
    if (n->c->passphrase) {
        TM_TRY(secret_copy(&n->passphrase, secret_slice(n->c->passphrase)));
        n->passphrase_file = n->c->passphrase_file;
    } else {
        TM_TRY(generate(&n->passphrase, n->a, &n->passphrase_file, path, diag));
    }
    if (n->passphrase.n < 8)
        return diag_fail(diag, TM_EINVAL, NULL, "/passphrase", "a passphrase has at least 8 characters");
    snprintf(path, sizeof path, "%s/root/root.passphrase", n->home);
    if (n->c->root_passphrase)
        return secret_copy(&n->root_passphrase, secret_slice(n->c->root_passphrase));
    return generate(&n->root_passphrase, n->a, &n->root_passphrase_file, path, diag);
}

tm_err new_home_begin(struct new_home *n, struct arena *a, const struct init_config *c, struct diag *diag)
{
    *n = (struct new_home){.a = a, .c = c};
    if (!c->home || !c->home[0])
        return diag_fail(diag, TM_EUSAGE, NULL, "/home", "say where: --home or TOUCHMARK_HOME");
    TM_TRY(choose_names(n, diag));
    TM_TRY(make_home(n, c->home, diag));
    return choose_passphrases(n, diag);
}

/* ---- touchmark.yaml ---- */

static void put_key(struct buf *b, const char *indent, const char *key, const char *value)
{
    buf_printf(b, "%s%s: ", indent, key);
    buf_put_json_string(b, slice_str(value));
    buf_putc(b, '\n');
}

/* A file of the home by its name there, so that the home can be moved. */
static const char *in_home(const struct new_home *n, const char *path)
{
    size_t len = strlen(n->home);
    return strncmp(path, n->home, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

static void put_config(struct buf *b, const struct new_home *n)
{
    buf_puts(
        b,
        "# What `touchmark serve` needs to start. Everything else is a resource: touchmark get, touchmark apply.\n\n"
        "# Where devices find CRLs and CA certificates. It stands in every certificate and can't be changed there any more:\n"
        "# better a plain name on port 80 than this machine's.\n");
    put_key(b, "", "public-base", n->public_base);
    buf_puts(b, "\n# The register's name in its signed checkpoints. Never changes.\n");
    put_key(b, "", "origin", n->origin);
    buf_puts(b, "\nstore:\n  driver: sqlite\n  # path: /elsewhere/store\n");
    buf_puts(
        b,
        "\n# The passphrase is read at start, and again when the signer process has to be brought back. Without a file it is asked for.\n"
        "# A path without a leading / is one in this directory.\n"
        "# Better than a file: `credential: NAME`, a systemd credential. user: own uid for the keys when started as root.\n");
    buf_puts(b, n->passphrase_file ? "signer:\n" : "# signer:\n#   passphrase-file: /path/to/passphrase\n");
    if (n->passphrase_file)
        put_key(b, "  ", "passphrase-file", in_home(n, n->passphrase_file));
    if (n->c->demo_ports)
        buf_puts(
            b,
            "\n# Every listener takes a free port and writes it to run/ports.json.\nfree-ports: true\n\nlisten:\n"
            "  enrollment: { address: 127.0.0.1 }\n  plain: { address: 127.0.0.1 }\n"
            "  console: { address: 127.0.0.1 }\n  admin: { address: 127.0.0.1 }\n");
    else
        buf_puts(b, "\nlisten:\n"
                    "  # TLS: EST and REST; a client certificate is asked for, not demanded\n"
                    "  enrollment: { address: \"::\", port: 8443 }\n"
                    "  # plain HTTP: CRLs, CA certificates, register\n"
                    "  plain: { address: \"::\", port: 8080 }\n"
                    "  # TLS: console and API; opened to the world by its address\n"
                    "  console: { address: 127.0.0.1, port: 9443 }\n"
                    "  # plain HTTP: /healthz, /readyz, /metrics\n"
                    "  admin: { address: 127.0.0.1, port: 9090 }\n");
    buf_puts(
        b,
        "\n# Proxies whose PROXY v2 header and Client-Cert header (RFC 9440) count.\n# trusted-proxies: [10.0.0.0/8]\n"
        "\nlimits:\n  connections: 20000\n  connections-per-peer: 1024\n  requests-per-peer: 200   # a second; 0: no limit\n"
        "\n# Lists of keys known to be bad (Debian's of 2008, compromised ones): a file or a directory. Without this line: weak-keys/ here.\n"
        "# weak-keys: /path/to/lists\n"
        "\nlog:\n  level: info      # debug, info, warn, error\n  format: auto     # json, text\n");
}

tm_err new_home_write_config(const struct new_home *n, struct diag *diag)
{
    char path[PATH_MAX];
    struct buf b;
    buf_init(&b, 64 << 10);
    put_config(&b, n);
    snprintf(path, sizeof path, "%s/touchmark.yaml", n->home);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = file_write(path, buf_slice(&b), 0600, false, diag);
    buf_done(&b);
    return e;
}
