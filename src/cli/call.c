#include "cli/call.h"
#include "api/api.h"
#include "api/principal.h"
#include "api/problem.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/login.h"
#include "discover/scans.h"
#include "http/client.h"
#include "issue/house.h"
#include "keys/envelope.h"
#include "keys/key.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 << 20, QUERY_MAX = 32 };

/* What the calls of this process have opened: one command a process. */
static struct {
    struct house *house;
    json_t *json;
    struct secret passphrase;
    const char *accept;  /* of the call under way; NULL: any */
    unsigned patience_s; /* for the next answer; 0: as usual */
} opened;

/* ---- the passphrase ---- */

static bool from_file(struct cli *c, struct secret *ret, const char **ret_file, const char *path)
{
    struct diag diag = {0};
    if (path[0] != '/') {
        /* Whoever reads it again may stand elsewhere. */
        char *real = realpath(path, NULL);
        if (real) {
            path = arena_strdup(c->arena, real);
            free(real);
            if (!path)
                return false;
        }
    }
    tm_err e = secret_read_file(ret, path, &diag);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, "the passphrase");
        return false;
    }
    *ret_file = path;
    return true;
}

const char *cli_passphrase_configured(struct cli *c)
{
    struct config config = {0};
    struct diag diag = {0};
    if (config_load(&config, c->arena, c->home, &diag) != TM_OK)
        return NULL; /* whoever opens the house says why */
    const char *file = config.signer.passphrase_file;
    if (file && file[0])
        return file[0] == '/' ? file : arena_printf(c->arena, "%s/%s", c->home, file);
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (config.signer.credential && config.signer.credential[0] && dir)
        return arena_printf(c->arena, "%s/%s", dir, config.signer.credential);
    return NULL;
}

/* `usual`: the file where neither an option nor the environment names a source; NULL: none, so it is asked for. */
static bool passphrase_or(struct cli *c, const char *usual, struct secret *ret, const char **ret_file)
{
    *ret_file = NULL;
    const char *path = cli_get(c, "passphrase-file");
    if (!path)
        path = getenv("TOUCHMARK_PASSPHRASE_FILE");
    if (path && path[0])
        return from_file(c, ret, ret_file, path);
    struct diag diag = {0};
    const char *fd = getenv("TOUCHMARK_PASSPHRASE_FD");
    tm_err e;
    if (fd && fd[0]) {
        char *end;
        long n = strtol(fd, &end, 10);
        if (*end || n < 0 || n > 65535) {
            cli_fail(c, "TOUCHMARK_PASSPHRASE_FD: \"%s\" is not a descriptor", fd);
            return false;
        }
        e = secret_read_fd(ret, (int)n, &diag);
        if (e != TM_OK)
            cli_fail_diag(c, e, &diag, "TOUCHMARK_PASSPHRASE_FD");
        return e == TM_OK;
    }
    if (usual)
        return from_file(c, ret, ret_file, usual);
    diag_clear(&diag);
    e = secret_prompt(ret, "Passphrase of the house's keys: ", &diag);
    if (e == TM_EUNAVAIL)
        cli_fail(
            c,
            "no passphrase and no terminal to ask; set TOUCHMARK_PASSPHRASE_FILE, or signer.passphrase-file in touchmark.yaml");
    else if (e != TM_OK)
        cli_fail_diag(c, e, &diag, "the passphrase");
    return e == TM_OK;
}

bool cli_passphrase(struct cli *c, struct secret *ret, const char **ret_file)
{
    const char *unused;
    return passphrase_or(c, cli_passphrase_configured(c), ret, ret_file ? ret_file : &unused);
}

bool cli_unlock(struct cli *c, const char *usual, const char *key_dir, const char *key_id)
{
    const char *unused;
    struct key *key = NULL;
    struct envelope env;
    struct diag diag = {0};
    if (!opened.passphrase.p && !passphrase_or(c, usual, &opened.passphrase, &unused))
        return false;
    tm_err e = key_load(&key, &env, c->arena, key_dir, key_id, &opened.passphrase, &diag);
    key_free(key);
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, key_dir);
    return e == TM_OK;
}

/* ---- the house in this process ---- */

static const char *socket_path(const struct cli *c)
{
    return arena_printf(c->arena, "%s/run/admin.sock", c->home);
}

bool cli_server_running(const struct cli *c)
{
    const char *path = socket_path(c);
    return path && http_unix_listens(path);
}

/* A scan that a command has begun and not waited for ends with it. */
static void close_house(void)
{
    scans_stop(opened.house);
    house_close(opened.house);
    opened.house = NULL;
}

static struct house *open_house(struct cli *c, int mode)
{
    if (opened.house && (int)opened.house->mode == mode)
        return opened.house;
    close_house();
    struct config config = {0};
    struct diag diag = {0};
    tm_err e = config_load(&config, c->arena, c->home, &diag);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, NULL);
        return NULL;
    }
    log_configure(LOG_ERROR, LOG_TEXT);
    const char *file = NULL;
    if (mode != HOUSE_READ && !opened.passphrase.p && !cli_passphrase(c, &opened.passphrase, &file))
        return NULL;
    struct house_config hc = {
        .home = c->home,
        .mode = (enum house_mode)mode,
        .store_driver = config.store.driver,
        .store_path = config.store.path && config.store.path[0] ? config.store.path : NULL,
        .passphrase = mode == HOUSE_READ ? NULL : &opened.passphrase,
        .passphrase_file = file,
        .public_base = config.public_base,
        .origin = config.origin,
        .console_origin = config.console_origin,
        .crypto_threads = (unsigned)config.crypto_threads,
        .weak_keys = config.weak_keys && config.weak_keys[0] ? config.weak_keys : NULL,
    };
    e = house_open(&opened.house, &hc, &diag);
    if (e == TM_OK)
        return opened.house;
    opened.house = NULL;
    cli_fail_diag(c, e, &diag, "the house can't be opened");
    return NULL;
}

struct house *cli_house(struct cli *c, int mode)
{
    if (cli_server_running(c)) {
        cli_fail(c, "a server runs on %s; stop it first", c->home);
        return NULL;
    }
    return open_house(c, mode);
}

void cli_call_close(struct cli *c)
{
    (void)c;
    json_decref(opened.json);
    opened.json = NULL;
    close_house();
    secret_done(&opened.passphrase);
}

/* ---- calls ---- */

struct writer {
    bool (*write)(void *arg, struct slice data);
    void *arg;
    bool wrote;
};

static tm_err write_piece(struct api_call *call, struct slice data)
{
    struct writer *w = call->write_arg;
    w->wrote = true;
    return w->write(w->arg, data) ? TM_OK : TM_EIO;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *unescape(struct arena *a, const char *s, size_t n, bool plus)
{
    char *out = arena_alloc(a, n + 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n; i++) {
        if (s[i] == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
            out[k++] = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        } else {
            out[k++] = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    if (out)
        out[k] = '\0';
    return out;
}

static const struct http_param *query_params(struct arena *a, const char *q)
{
    struct http_param *params = arena_calloc(a, QUERY_MAX + 1, sizeof *params);
    for (size_t n = 0; params && *q && n < QUERY_MAX; n++) {
        size_t len = strcspn(q, "&"), name = strcspn(q, "=&");
        params[n].name = unescape(a, q, name, true);
        params[n].value = name < len ? unescape(a, q + name + 1, len - name - 1, true) : "";
        if (!params[n].name || !params[n].value)
            return NULL;
        q += len + (q[len] == '&');
    }
    return params;
}

static enum http_method method_of(const char *m)
{
    if (strcmp(m, "POST") == 0)
        return HTTP_M_POST;
    if (strcmp(m, "PUT") == 0)
        return HTTP_M_PUT;
    return strcmp(m, "DELETE") == 0 ? HTTP_M_DELETE : HTTP_M_GET;
}

static bool keep(struct cli *c, struct cli_reply *ret, int status, const char *type, const struct buf *body)
{
    ret->status = status;
    ret->type = arena_strdup(c->arena, type ? type : "");
    if (!ret->type || arena_copy(&ret->body, c->arena, buf_slice(body)) != TM_OK) {
        cli_fail(c, "out of memory");
        return false;
    }
    struct diag diag = {0};
    if (strstr(ret->type, "json") && !strstr(ret->type, "ndjson") && ret->body.n &&
        json_parse(&opened.json, ret->body, ANSWER_MAX, &diag) == TM_OK)
        ret->json = opened.json;
    return true;
}

static bool call_inside(struct cli *c, struct api_call *call, const char *target, struct writer *w,
                        struct cli_reply *ret)
{
    struct house *h = open_house(c, HOUSE_OFFLINE);
    if (!h)
        return false;
    const char *q = strchr(target, '?');
    const char *path = unescape(c->arena, target, q ? (size_t)(q - target) : strlen(target), false);
    call->house = h;
    call->catalog = house_catalog(h);
    call->arena = c->arena;
    call->request_id = "cli";
    call->peer = "local";
    call->accept = opened.accept;
    call->query = query_params(c->arena, q ? q + 1 : "");
    if (w->write) {
        call->write = write_piece;
        call->write_arg = w;
    }
    buf_init(&call->out, ANSWER_MAX);
    struct diag diag = {0};
    struct api_credentials who = {.local = arena_printf(c->arena, "local:%u", (unsigned)getuid())};
    tm_err e = path && call->query && who.local ? api_tenant_from_path(call, path, &diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = api_authenticate(call, &who, &diag);
    if (e == TM_OK) {
        api_dispatch(call);
    } else {
        call->status = api_status_of(e);
        call->answer_type = "application/problem+json";
        api_problem(&call->out, e, &diag, call->request_id);
    }
    bool ok = true;
    struct buf none = {0};
    if (w->write && call->status < 400) {
        ok = call->out.n == 0 || w->write(w->arg, buf_slice(&call->out));
        ok = keep(c, ret, call->status, call->answer_type, &none) && ok;
    } else {
        ok = keep(c, ret, call->status, call->answer_type, &call->out);
    }
    buf_done(&call->out);
    catalog_unref(call->catalog);
    return ok;
}

static bool call_server(struct cli *c, const char *sock, const char *method, const char *target,
                        struct slice body, const char *type, struct writer *w, struct cli_reply *ret)
{
    struct http_exchange x = {.method = method,
                              .target = target,
                              .accept = opened.accept,
                              .content_type = body.n ? type : NULL,
                              .body = body,
                              .write = w->write,
                              .write_arg = w->arg,
                              .max = ANSWER_MAX,
                              .answer_s = opened.patience_s};
    opened.patience_s = 0;
    struct diag diag = {0};
    tm_err e = http_unix_exchange(&x, sock, &diag);
    bool ok = e == TM_OK;
    if (ok)
        ok = keep(c, ret, x.status, x.type, &x.out);
    else
        cli_fail_diag(c, e, &diag, "the server");
    buf_done(&x.out);
    return ok;
}

/* The house that this machine's user has logged in to. */
static bool call_remote(struct cli *c, const struct login *r, const char *method, const char *target,
                        struct slice body, const char *type, struct writer *w, struct cli_reply *ret)
{
    struct login_call x = {.method = method,
                           .target = target,
                           .content_type = type,
                           .accept = opened.accept,
                           .body = body,
                           .timeout_s = opened.patience_s};
    struct diag diag = {0};
    struct buf out = {0};
    opened.patience_s = 0;
    tm_err e = login_exchange(c, r, &x, &diag);
    if (e != TM_OK) {
        cli_fail_diag(c, e, &diag, NULL);
        return false;
    }
    bool streams = w->write && x.status < 400;
    if (streams && x.answer.n && !w->write(w->arg, x.answer))
        return false;
    buf_init(&out, ANSWER_MAX);
    if (!streams)
        buf_put_slice(&out, x.answer);
    bool ok = keep(c, ret, x.status, x.type, &out);
    buf_done(&out);
    return ok;
}

static bool call_any(struct cli *c, const char *method, const char *path, struct slice body, const char *type,
                     struct writer *w, struct cli_reply *ret)
{
    *ret = (struct cli_reply){0};
    json_decref(opened.json);
    opened.json = NULL;
    struct login r;
    bool remote = login_wanted(c);
    if (remote && !login_load(c, &r))
        return false;
    const char *target = path;
    if (remote && !cli_has(c, "tenant"))
        c->tenant = r.tenant;
    if (strcmp(c->tenant, "default") != 0)
        target = arena_printf(c->arena, "/api/v1/tenants/%s%s", c->tenant, path + strlen("/api/v1"));
    const char *sock = socket_path(c);
    if (!target || !sock) {
        cli_fail(c, "out of memory");
        return false;
    }
    if (remote)
        return call_remote(c, &r, method, target, body, type, w, ret);
    if (!opened.house && http_unix_listens(sock))
        return call_server(c, sock, method, target, body, type, w, ret);
    struct api_call call = {.method = method_of(method), .body = body, .content_type = type};
    return call_inside(c, &call, target, w, ret);
}

void cli_call_patience(unsigned seconds)
{
    opened.patience_s = seconds;
}

bool cli_call(struct cli *c, const char *method, const char *path, struct slice body,
              const char *content_type, struct cli_reply *ret)
{
    struct writer w = {0};
    return call_any(c, method, path, body, content_type, &w, ret);
}

bool cli_call_stream(struct cli *c, const char *method, const char *path, struct slice body,
                     const char *content_type, bool (*write)(void *arg, struct slice data), void *arg,
                     struct cli_reply *ret)
{
    struct writer w = {.write = write, .arg = arg};
    return call_any(c, method, path, body, content_type, &w, ret);
}

static const char *member(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

bool cli_call_ok(struct cli *c, const char *method, const char *path, struct slice body,
                 const char *content_type, struct cli_reply *ret)
{
    if (!cli_call(c, method, path, body, content_type, ret))
        return false;
    if (ret->status < 400)
        return true;
    const char *detail = member(ret->json, "detail"), *rule = member(ret->json, "rule"),
               *field = member(ret->json, "field");
    const char *next = "";
    if (ret->status == 404 && strcmp(method, "POST") != 0)
        next = "; the matching list command shows what there is";
    else if (ret->status == 403 && strcmp(rule, "role") == 0)
        next = "; ask an administrator for the role";
    else if (strcmp(rule, "endpoint.profiles") == 0)
        next =
            "; \"touchmark get endpoints -o yaml\" shows what each one offers: name another with --endpoint, or apply this one with the profile";
    else if (ret->status == 503)
        next = "; see \"touchmark status\", then try again";
    else if (ret->status >= 500)
        next = "; the server's log has more";
    const char *words = detail[0] ? detail : member(ret->json, "title");
    const char *request = ret->status >= 500 ? member(ret->json, "request_id") : "";
    bool logged = request[0] && strcmp(request, "cli") != 0; /* this process's own are on the screen */
    cli_fail(c, "%s%s%s%s%s%s%s%s%s%s", words[0] ? words : "the request was refused",
             rule[0] || field[0] ? " (" : "", rule, rule[0] && field[0] ? ", " : "", field,
             rule[0] || field[0] ? ")" : "", next, logged ? " (request " : "", logged ? request : "",
             logged ? ")" : "");
    return false;
}

bool cli_send_json(struct cli *c, const char *method, const char *path, json_t *v, struct cli_reply *ret)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    if (v)
        buf_put_json(&b, v, false);
    bool ok = v && path && buf_err(&b) == TM_OK;
    if (!ok)
        cli_fail(c, "out of memory");
    else
        ok = cli_call_ok(c, method, path, buf_slice(&b), "application/json", ret);
    buf_done(&b);
    json_decref(v);
    return ok;
}

bool cli_get_as(struct cli *c, const char *path, const char *accept, struct cli_reply *ret)
{
    opened.accept = accept;
    bool ok = cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, ret);
    opened.accept = NULL;
    return ok;
}
