#include "cli/remote.h"
#include "base/arena.h"
#include "base/json.h"
#include "http/client.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 20 };

static const char *setting(const struct cli *c, const char *option, const char *variable)
{
    const char *s = cli_get(c, option);
    if (!s)
        s = getenv(variable);
    return s && s[0] ? s : NULL;
}

bool remote_open(struct cli *c, struct remote *ret)
{
    struct diag diag = {0};
    const char *server = setting(c, "server", "TOUCHMARK_SERVER"),
               *token = setting(c, "token-file", "TOUCHMARK_TOKEN_FILE");
    *ret = (struct remote){.ca = setting(c, "ca", "TOUCHMARK_CA")};
    if (!server)
        return true;
    if (http_url_parse(&ret->url, server, &diag) != TM_OK || !ret->url.tls) {
        cli_usage(c, "--server takes an address such as https://house.example:9443, not \"%s\"", server);
        return false;
    }
    if (!token) {
        cli_usage(c, "--server needs --token-file, with an API token that may write discovery");
        return false;
    }
    tm_err e = secret_read_file(&ret->token, token, &diag);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, token);
        return false;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's writes raise it */
    ret->on = true;
    return true;
}

void remote_close(struct remote *r)
{
    json_decref(r->json);
    secret_done(&r->token);
    *r = (struct remote){0};
}

static bool complain(struct cli *c, const struct remote *r, const struct cli_reply *reply)
{
    const char *detail = json_string_value(json_object_get(reply->json, "detail"));
    cli_fail(c, "%s answers %d: %s%s", r->url.host, reply->status, detail ? detail : "no reason was given",
             reply->status == 401   ? "; see --token-file"
             : reply->status == 403 ? "; the token's principal needs the role operator"
                                    : "");
    return false;
}

bool remote_call(struct cli *c, struct remote *r, const char *method, const char *path, struct slice body,
                 const char *content_type, struct cli_reply *ret)
{
    if (!r->on)
        return cli_call_ok(c, method, path, body, content_type, ret);
    bool other = strcmp(c->tenant, "default") != 0;
    const char *target = arena_printf(c->arena, "%s/api/v1%s%s%s", r->url.path, other ? "/tenants/" : "",
                                      other ? c->tenant : "", path + sizeof "/api/v1" - 1);
    struct http_exchange x = {.method = method,
                              .target = target,
                              .content_type = body.n ? content_type : NULL,
                              .body = body,
                              .bearer = (const char *)r->token.p,
                              .max = ANSWER_MAX};
    struct diag diag = {0};
    *ret = (struct cli_reply){0};
    json_decref(r->json);
    r->json = NULL;
    if (!target) {
        cli_fail(c, "out of memory");
        return false;
    }
    tm_err e = http_tls_exchange(&x, r->url.host, r->url.port, r->ca, &diag);
    if (e == TM_OK) {
        ret->status = x.status;
        ret->type = arena_strdup(c->arena, x.type);
        TM_IGNORE(json_parse(&r->json, buf_slice(&x.out), ANSWER_MAX, NULL));
        ret->json = r->json;
    } else {
        cli_fail(c, "%s: %s%s", r->url.host, diag.message[0] ? diag.message : tm_err_name(e),
                 e == TM_EAUTH ? "; --ca names the CA that its certificate comes from" : "");
    }
    buf_done(&x.out);
    return e == TM_OK && (ret->status < 400 || complain(c, r, ret));
}
