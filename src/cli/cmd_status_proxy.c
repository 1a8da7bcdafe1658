/* status-proxy: revocation answered near the devices. */
#include "base/arena.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/yaml.h"
#include "gateway/gateway.h"
#include "http/server.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOP_GRACE_MS = 5000, CONFIG_MAX = 1 << 20 };

/* The configuration's file and directory, in the arena. */
static bool load_config(struct gateway_config *ret, const char **ret_dir, struct cli *c)
{
    const char *path = cli_get(c, "config");
    struct slice text;
    struct yaml_doc *docs = NULL;
    size_t n = 0;
    struct diag diag = {0};
    if (!path)
        return cli_usage(c, "--config FILE says what to fetch and where to answer") == 0;
    if (!cli_read_file(c, path, CONFIG_MAX, &text))
        return false;
    const char *slash = strrchr(path, '/');
    *ret_dir = slash ? arena_printf(c->arena, "%.*s", (int)(slash - path + (slash == path)), path) : ".";
    tm_err e = yaml_load(&docs, &n, c->arena, text, &diag);
    if (e != TM_OK)
        return cli_fail(c, "%s:%s: %s", path, diag.field, diag.message) == 0;
    if (n != 1)
        return cli_fail(c, "%s holds %zu documents instead of one", path, n) == 0;
    e = json_bind(ret, gateway_schema, docs[0].value, "", c->arena, &diag);
    if (e != TM_OK) {
        struct yaml_mark mark = yaml_mark_find(&docs[0], diag.field);
        cli_fail(c, "%s:%u:%u: %s: %s", path, mark.line, mark.column, diag.field, diag.message);
    }
    json_decref(docs[0].value);
    return e == TM_OK;
}

static int run_until_signal(struct cli *c, struct gateway *g, const struct gateway_config *config)
{
    struct http_listener listener = {
        .address = config->listen.address, .port = (int)config->listen.port, .kind = HTTP_LISTENER_PLAIN};
    const struct http_route *const routes[] = {gateway_routes, NULL};
    struct http_server_config hc = {
        .listeners = &listener, .n_listeners = 1, .routes = routes, .loops = 1, .app = g};
    struct http_server *server;
    struct diag diag = {0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    tm_err e = http_server_start(&server, &hc, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, NULL);
    e = gateway_start(g);
    if (e == TM_OK) {
        log_info(NULL, "listening", LOG_S("address", config->listen.address),
                 LOG_I("port", http_server_port(server, 0)));
        const char *notify = getenv("NOTIFY_SOCKET");
        if (notify && notify[0])
            cli_notify_ready(notify);
        int sig;
        do
            sig = sigwaitinfo(&set, NULL);
        while (sig == SIGHUP || sig < 0);
        log_info(NULL, "stopping");
    }
    http_server_stop(server, STOP_GRACE_MS);
    gateway_stop(g);
    http_server_free(server);
    return e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, "no thread for fetching");
}

static int status_proxy(struct cli *c)
{
    struct gateway_config config = {0};
    const char *dir = ".";
    struct gateway *g;
    struct diag diag = {0};
    if (!load_config(&config, &dir, c))
        return cli_get(c, "config") ? 1 : 2;
    tm_err e = gateway_open(&g, &config, dir, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, cli_get(c, "config"));
    int status = run_until_signal(c, g, &config);
    gateway_free(g);
    return status;
}

static const struct cli_option options[] = {
    {"config", 'c', "FILE", "YAML: upstream, authorities, filters, state, listen …", false},
    {0},
};

const struct command status_proxy_commands[] = {
    {.noun = "status-proxy",
     .verb = "",
     .summary = "answer near the devices whether certificates are revoked",
     .arguments = "",
     .description =
         "Needs no house. Fetches filters, deltas and CRLs from one, verifies and keeps them, and answers for days while the house\n"
         "is not to be reached: GET /v1/status?serial=HEX[&issuer=SKI] (JSON), /v1/check (204 or 403, for reverse proxies),\n"
         "/ocsp, /crl/, /filter/, /v1/sources, /metrics. How old an answer is stands in it; older than stale-after it is\n"
         "refused with 503. The file:\n"
         "  upstream: http://pki.example.org\n"
         "  authorities: [issuing-ca.pem]\n"
         "  filters: [issuing-ca]\n"
         "  state: /var/lib/touchmark-proxy\n"
         "  refresh: 5m\n"
         "  stale-after: 7d\n"
         "  listen: {address: 127.0.0.1, port: 8088}\n"
         "and crls, ocsp, deny-unknown (true), ocsp-entries (10000).",
     .example = "touchmark status-proxy --config /etc/touchmark/proxy.yaml",
     .options = options,
     .run = status_proxy},
    {0},
};
