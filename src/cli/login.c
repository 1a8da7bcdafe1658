#include "cli/login.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "enroll/outbound/https.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOGIN_MAX = 256 << 10, ANSWER_MAX = 256 << 20, TIMEOUT_S = 600 };

static const struct json_field login_schema[] = {
    JSON_FIELD(struct login, url, JSON_K_STRING, .required = true, .max = 500),
    JSON_FIELD(struct login, ca, JSON_K_STRING, .max = LOGIN_MAX, .def = ""),
    JSON_FIELD(struct login, tenant, JSON_K_STRING, .max = 63, .def = "default"),
    JSON_FIELD(struct login, principal, JSON_K_STRING, .max = 200, .def = ""),
    JSON_FIELD(struct login, token, JSON_K_STRING, .required = true, .max = 200),
    JSON_FIELD(struct login, expires_at, JSON_K_INT, .required = true),
    {0},
};

static const char *config_dir(struct cli *c)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return arena_printf(c->arena, "%s/touchmark", xdg);
    return arena_printf(c->arena, "%s/.config/touchmark", home && home[0] ? home : "");
}

const char *login_path(struct cli *c)
{
    const char *dir = config_dir(c);
    return dir ? arena_printf(c->arena, "%s/login.json", dir) : NULL;
}

bool login_wanted(const struct cli *c)
{
    struct cli scratch = *c;
    const char *env = getenv("TOUCHMARK_HOME");
    if (cli_has(c, "remote"))
        return true;
    if (cli_has(c, "home") || (env && env[0]))
        return false;
    const char *path = login_path(&scratch), *config = arena_printf(c->arena, "%s/touchmark.yaml", c->home);
    return path && config && access(config, F_OK) != 0 && access(path, F_OK) == 0;
}

bool login_load(struct cli *c, struct login *ret)
{
    struct slice text;
    struct diag diag = {0};
    json_t *doc = NULL;
    const char *path = login_path(c);
    if (!path || access(path, F_OK) != 0) {
        cli_fail(c, "nobody is logged in anywhere; begin with: touchmark login https://HOUSE:9443");
        return false;
    }
    if (!cli_read_file(c, path, LOGIN_MAX, &text))
        return false;
    tm_err e = json_parse(&doc, text, LOGIN_MAX, &diag);
    if (e == TM_OK)
        e = json_bind(ret, login_schema, doc, "", c->arena, &diag);
    json_decref(doc);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, path);
        return false;
    }
    if (ret->expires_at <= clock_now()) {
        cli_fail(c, "the login at %s has ended; log in again: touchmark login %s", ret->url, ret->url);
        return false;
    }
    return true;
}

/* Each directory on the way, for its owner alone where it is new. */
static bool make_dirs(struct cli *c, const char *dir)
{
    char *path = arena_strdup(c->arena, dir);
    for (char *slash = path; slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            cli_fail(c, "%s: %s", path, strerror(errno));
            return false;
        }
        if (slash)
            *slash = '/';
    }
    return path != NULL;
}

bool login_store(struct cli *c, const struct login *r)
{
    struct buf b;
    const char *dir = config_dir(c), *path = login_path(c);
    json_t *doc =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "url", r->url, "ca", r->ca, "tenant", r->tenant, "principal",
                  r->principal, "token", r->token, "expires_at", (json_int_t)r->expires_at);
    buf_init(&b, LOGIN_MAX);
    if (doc)
        buf_put_json(&b, doc, true);
    bool ok = doc && dir && path && buf_err(&b) == TM_OK && make_dirs(c, dir) &&
              cli_write_file(c, path, buf_slice(&b), 0600);
    if (b.p)
        explicit_bzero(b.p, b.n);
    buf_done(&b);
    json_decref(doc);
    return ok;
}

tm_err login_exchange(struct cli *c, const struct login *r, struct login_call *x, struct diag *diag)
{
    struct https_answer answer;
    const char *url = arena_printf(c->arena, "%s%s", r->url, x->target),
               *headers =
                   x->anonymous ? "" : arena_printf(c->arena, "Authorization: Bearer %s\r\n", r->token);
    if (!url || !headers)
        return TM_ENOMEM;
    const struct https_request q = {.method = x->method,
                                    .url = url,
                                    .content_type = x->body.n ? x->content_type : NULL,
                                    .accept = x->accept,
                                    .headers = headers,
                                    .body = x->body,
                                    .ca = r->ca,
                                    .anywhere = true,
                                    .unverified = x->unverified,
                                    .timeout_s = x->timeout_s ? x->timeout_s : TIMEOUT_S,
                                    .max = ANSWER_MAX};
    tm_err e = https_exchange(&answer, c->arena, &q, diag);
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK) {
        const struct diag why = *diag;
        return diag_fail(diag, e, NULL, NULL, "%s: %s", r->url, why.message);
    }
    x->status = answer.status;
    x->type = arena_strdup(c->arena, answer.type);
    x->answer = answer.body;
    return x->type ? TM_OK : TM_ENOMEM;
}
