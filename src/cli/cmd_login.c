/* Logging in to a house on another machine, through a browser (RFC 8628). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/login.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, SHORT_S = 30, ROOTS_MAX = 1 << 20, FINGERPRINT_TEXT = 96, INTERVAL_MAX = 60 };

/* ---- calls ---- */

/* A JSON call without the token; the answer's document is the caller's. NULL after complaining, or where `ret_status` takes what is not 2xx. */
static json_t *call(struct cli *c, const struct login *r, const char *target, json_t *body, int *ret_status)
{
    struct buf b;
    struct diag diag = {0};
    json_t *doc = NULL;
    buf_init(&b, ANSWER_MAX);
    if (body)
        buf_put_json(&b, body, false);
    json_decref(body);
    struct login_call x = {.method = "POST",
                           .target = target,
                           .content_type = "application/json",
                           .accept = "application/json",
                           .body = buf_slice(&b),
                           .timeout_s = SHORT_S,
                           .anonymous = true};
    tm_err e = target ? login_exchange(c, r, &x, &diag) : TM_ENOMEM;
    buf_done(&b);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, NULL);
        return NULL;
    }
    *ret_status = x.status;
    if (x.status == 204)
        return json_object();
    if (json_parse(&doc, x.answer, ANSWER_MAX, &diag) != TM_OK || !json_is_object(doc)) {
        json_decref(doc);
        cli_fail(c, "%s does not answer as a house does (status %d)", r->url, x.status);
        return NULL;
    }
    return doc;
}

static const char *member(const json_t *doc, const char *name)
{
    const char *s = json_string_value(json_object_get(doc, name));
    return s ? s : "";
}

static const char *path_of(struct cli *c, const char *rest)
{
    return strcmp(c->tenant, "default") == 0
               ? arena_printf(c->arena, "/api/v1%s", rest)
               : arena_printf(c->arena, "/api/v1/tenants/%s%s", c->tenant, rest);
}

/* ---- whose root ---- */

static bool ask_person(const char *fingerprint)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(
        stderr,
        "Its root has the SHA-256 fingerprint\n  %s\nIs that the one that touchmark init printed there? [yes/no] ",
        fingerprint);
    return fgets(answer, sizeof answer, stdin) && strncasecmp(answer, "yes", 3) == 0;
}

static void format_fingerprint(char out[FINGERPRINT_TEXT], const uint8_t hash[SHA256_LEN])
{
    for (size_t i = 0; i < SHA256_LEN; i++)
        snprintf(out + 3 * i, 4, "%02X%s", hash[i], i + 1 < SHA256_LEN ? ":" : "");
}

/* The root among those that it names whose fingerprint was given, or that the person knows. */
static bool choose_root(struct cli *c, struct login *r, struct slice bundle, const char *wanted)
{
    struct slice der, want = {0};
    if (wanted && (hex_decode(&want, c->arena, slice_str(wanted)) != TM_OK || want.n != SHA256_LEN)) {
        cli_usage(c, "--fingerprint takes 32 octets of hex, as touchmark init prints them");
        return false;
    }
    while (pem_next(&der, NULL, c->arena, &bundle, "CERTIFICATE") == TM_OK) {
        uint8_t hash[SHA256_LEN];
        char text[FINGERPRINT_TEXT];
        if (sha256(hash, der) != TM_OK)
            return false;
        format_fingerprint(text, hash);
        if (wanted ? !slice_eq(SLICE_ARR(hash), want) : !ask_person(text))
            continue;
        struct buf b;
        buf_init(&b, ROOTS_MAX);
        buf_put_pem(&b, "CERTIFICATE", der);
        r->ca = arena_strdup(c->arena, buf_str(&b));
        buf_done(&b);
        return r->ca != NULL;
    }
    cli_fail(
        c,
        wanted
            ? "%s has no root with this fingerprint: it is another house, or somebody stands between"
            : "%s is not known: give --fingerprint HEX, as touchmark init printed it there, --ca FILE or --system-ca",
        r->url);
    return false;
}

static bool learn_root(struct cli *c, struct login *r)
{
    struct slice text;
    struct diag diag = {0};
    const char *file = cli_get(c, "ca");
    r->ca = "";
    if (cli_has(c, "system-ca"))
        return true;
    if (file) {
        if (!cli_read_file(c, file, ROOTS_MAX, &text))
            return false;
        r->ca = arena_strndup(c->arena, (const char *)text.p, text.n);
        return r->ca != NULL;
    }
    struct login_call x = {.method = "GET",
                           .target = "/api/v1/trust-bundle",
                           .timeout_s = SHORT_S,
                           .anonymous = true,
                           .unverified = true};
    tm_err e = login_exchange(c, r, &x, &diag);
    if (e != TM_OK || x.status != 200) {
        if (e != TM_OK)
            cli_fail_diag(c, e, &diag, NULL);
        else
            cli_fail(c, "%s does not answer as a house does (status %d)", r->url, x.status);
        return false;
    }
    return choose_root(c, r, x.answer, cli_get(c, "fingerprint"));
}

/* ---- the login ---- */

static json_t *wanted(struct cli *c)
{
    char host[128] = "";
    const char *ttl = cli_get(c, "ttl");
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    json_t *doc =
        json_pack("{s:s+,s:s}", "client", "touchmark on ", host[0] ? host : "?", "ttl", ttl ? ttl : "12h");
    static const struct {
        const char *option, *key;
    } lists[] = {{"role", "roles"}, {"scope", "scopes"}};
    for (size_t i = 0; doc && i < 2; i++) {
        json_t *v = json_array();
        for (int k = 0; cli_get_nth(c, lists[i].option, k); k++)
            json_array_append_new(v, json_string(cli_get_nth(c, lists[i].option, k)));
        json_object_set_new(doc, lists[i].key, v);
    }
    return doc;
}

static void tell(struct cli *c, const struct login *r, const json_t *begun)
{
    const char *uri = member(begun, "verification_uri_complete"), *console = cli_get(c, "console");
    if (c->quiet)
        return;
    fprintf(stderr, "Open %s%s\nand confirm the code  %s\n",
            uri[0] == '/' ? (console ? console : r->url) : "", uri, member(begun, "user_code"));
    fflush(stderr);
}

/* RFC 8628 3.5: until somebody has decided, at the pace that is asked for. */
static json_t *wait_for_token(struct cli *c, const struct login *r, const json_t *begun)
{
    int64_t interval = json_integer_value(json_object_get(begun, "interval"));
    int64_t until = clock_now() + json_integer_value(json_object_get(begun, "expires_in"));
    const char *target = path_of(c, "/device-login/token");
    while (clock_now() < until) {
        int status;
        struct timespec pause = {.tv_sec = interval < 1              ? 1
                                           : interval > INTERVAL_MAX ? INTERVAL_MAX
                                                                     : interval};
        nanosleep(&pause, NULL);
        json_t *doc =
            call(c, r, target, json_pack("{s:s}", "device_code", member(begun, "device_code")), &status);
        if (!doc || status == 200)
            return doc;
        const char *error = member(doc, "error");
        if (strcmp(error, "slow_down") == 0) {
            interval += 5;
        } else if (strcmp(error, "authorization_pending") != 0) {
            cli_fail(c, "%s", member(doc, error[0] ? "error_description" : "detail"));
            json_decref(doc);
            return NULL;
        }
        json_decref(doc);
    }
    cli_fail(c, "nobody has confirmed the login; begin again");
    return NULL;
}

static int finish(struct cli *c, struct login *r, const json_t *got)
{
    if (clock_parse_rfc3339(&r->expires_at, slice_str(member(got, "expires_at"))) != TM_OK ||
        !member(got, "token")[0])
        return cli_fail(c, "%s gave no token", r->url);
    r->token = member(got, "token");
    r->principal = member(got, "principal");
    r->tenant = c->tenant;
    if (!login_store(c, r))
        return 1;
    if (!c->quiet)
        printf("logged in at %s as %s until %s; commands go there from now on\n", r->url, r->principal,
               member(got, "expires_at"));
    return 0;
}

static int login(struct cli *c)
{
    int status = 0;
    size_t n = strlen(c->args[0]);
    while (n && c->args[0][n - 1] == '/')
        n--;
    struct login r = {.url = arena_strndup(c->arena, c->args[0], n), .token = ""};
    if (!r.url || strncmp(r.url, "https://", 8) != 0)
        return cli_usage(c, "\"%s\" is not the https:// address of a house", c->args[0]);
    if (!learn_root(c, &r))
        return 1;
    json_t *begun = call(c, &r, path_of(c, "/device-login"), wanted(c), &status);
    if (!begun)
        return 1;
    int rc = 1;
    if (status != 201) {
        cli_fail(c, "%s", member(begun, "detail"));
    } else {
        tell(c, &r, begun);
        json_t *got = wait_for_token(c, &r, begun);
        rc = got ? finish(c, &r, got) : 1;
        json_decref(got);
    }
    json_decref(begun);
    return rc;
}

static int logout(struct cli *c)
{
    struct login r;
    int status = 0;
    const char *path = login_path(c);
    if (!path || access(path, F_OK) != 0)
        return cli_fail(c, "nobody is logged in anywhere");
    bool open = login_load(c, &r);
    json_t *doc = NULL;
    if (open) {
        c->tenant = r.tenant;
        doc = call(c, &r, path_of(c, "/device-login/logout"), json_pack("{s:s}", "token", r.token), &status);
    }
    json_decref(doc);
    if (unlink(path) != 0)
        return cli_fail(c, "%s could not be removed", path);
    if (open && status != 204)
        return cli_fail(c, "the login is forgotten here, but %s did not revoke its token", r.url);
    if (!c->quiet)
        printf("logged out\n");
    return 0;
}

/* ---- the table ---- */

static const struct cli_option login_options[] = {
    {"fingerprint", 0, "HEX", "SHA-256 of the house's root, as touchmark init printed it there", false},
    {"ca", 0, "FILE", "PEM: the CAs that its certificate may be under", false},
    {"system-ca", 0, NULL, "its certificate is under one of the system's CAs", false},
    {"role", 0, "ROLE", "only this of your roles", true},
    {"scope", 0, "TAG:read|write", "only this part of the API, such as certificates:read", true},
    {"ttl", 0, "DURATION", "how long the login lives (12h)", false},
    {"console", 0, "URL", "where the console is, when it is not at the same address", false},
    {0},
};

const struct command login_commands[] = {
    {
        .noun = "login",
        .verb = "",
        .summary = "log in to a house on another machine, through the browser",
        .arguments = "URL",
        .description =
            "Prints an address and a code, and waits until somebody who is signed in there confirms it. The token that it gets is kept\n"
            "in ~/.config/touchmark/login.json, for you alone. From then on commands go to that house, unless --home or TOUCHMARK_HOME\n"
            "names one here or there is one at the usual place; --remote sends them there in any case.",
        .example = "touchmark login https://pki.example.org:9443 --fingerprint 5B:...:C4 --ttl 8h",
        .options = login_options,
        .min_args = 1,
        .max_args = 1,
        .run = login,
    },
    {
        .noun = "logout",
        .verb = "",
        .summary = "forget the login, and revoke its token",
        .arguments = "",
        .example = "touchmark logout",
        .run = logout,
    },
    {0},
};
