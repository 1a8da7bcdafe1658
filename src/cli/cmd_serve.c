#include "alert/alert.h"
#include "api/api.h"
#include "api/live.h"
#include "authority/responder.h"
#include "authority/tls.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "cli/admin.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "discover/scans.h"
#include "enroll/door.h"
#include "enroll/renewal_info.h"
#include "finding/pass.h"
#include "http/server.h"
#include "issue/house.h"
#include "issue/jobs.h"
#include "keys/signer.h"
#include "register/register.h"
#include "status/crl.h"
#include "status/filter.h"
#include "status/ocsp.h"
#include "status/publish.h"
#include "status/reach.h"
#include "status/revocation.h"
#include "trace/record.h"
#include "web/console.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTENERS_MAX = 5, ROUTE_TABLES_MAX = 16, STOP_GRACE_MS = 20000 };

/* What one run of the server holds, in the order in which it is opened. */
struct serving {
    struct cli *cli;
    struct config config;
    struct secret passphrase;
    const char *passphrase_file;
    struct house *house;
    SSL_CTX *tls;
    const char *tls_certificate, *tls_key; /* files of touchmark.yaml; NULL: the house's own */
    struct http_listener listeners[LISTENERS_MAX];
    size_t n_listeners;
    const struct http_route *routes[ROUTE_TABLES_MAX];
    const char *socket_path;
    struct http_server *server;
    _Atomic(const char *) lost; /* why the server has to end by itself; NULL: a signal ends it */
};

static struct http_server *running; /* for the renewal callback, which comes from the job thread */
static const struct serving *running_serving;

static const char *in_home(const struct serving *s, const char *path)
{
    return path[0] == '/' ? path : arena_printf(s->cli->arena, "%s/%s", s->cli->home, path);
}

/* Files of one's own where touchmark.yaml names some, else the house's. A certificate's file may hold its key as well. */
static tm_err choose_tls_files(struct serving *s, struct diag *diag)
{
    const char *certificate = s->config.tls.certificate, *key = s->config.tls.key;
    if (key[0] && !certificate[0])
        return diag_fail(diag, TM_EINVAL, NULL, "tls.key",
                         "touchmark.yaml names a key without its certificate: set tls.certificate too");
    if (!certificate[0])
        return TM_OK;
    s->tls_certificate = in_home(s, certificate);
    s->tls_key = in_home(s, key[0] ? key : certificate);
    return s->tls_certificate && s->tls_key ? TM_OK : TM_ENOMEM;
}

static tm_err tls_context(SSL_CTX **ret, const struct serving *s, struct diag *diag)
{
    return s->tls_certificate ? tls_context_load(ret, s->tls_certificate, s->tls_key, diag)
                              : tls_server_context(ret, s->house, diag);
}

/* What can't be loaded changes nothing: the listeners go on with what they have. */
static void reload_tls(void *arg)
{
    (void)arg;
    SSL_CTX *fresh = NULL;
    struct diag diag = {0};
    if (tls_context(&fresh, running_serving, &diag) != TM_OK) {
        log_error(NULL, "tls.reload", LOG_S("why", diag.message));
        return;
    }
    http_server_set_tls(running, fresh);
    SSL_CTX_free(fresh);
    log_info(NULL, "tls.reloaded");
}

static void add_listener(struct serving *s, const struct config_listener *c, const char *address, int port,
                         unsigned kind, bool tls, bool ask)
{
    if (c->disabled)
        return;
    s->listeners[s->n_listeners++] = (struct http_listener){
        .address = c->address[0] ? c->address : address,
        .port = c->port || port < 0 ? (int)c->port : port,
        .kind = kind,
        .tls = tls,
        .ask_client_cert = ask,
        .proxy_protocol = c->proxy_protocol,
    };
}

static bool choose_listeners(struct serving *s)
{
    const struct config *c = &s->config;
    add_listener(s, &c->listen.enrollment, "::", c->free_ports ? -1 : 8443, HTTP_LISTENER_PUBLIC_TLS, true,
                 true);
    add_listener(s, &c->listen.plain, "::", c->free_ports ? -1 : 8080, HTTP_LISTENER_PLAIN, false, false);
    add_listener(s, &c->listen.console, "127.0.0.1", c->free_ports ? -1 : 9443, HTTP_LISTENER_CONSOLE, true,
                 false);
    add_listener(s, &c->listen.admin, "127.0.0.1", c->free_ports ? -1 : 9090, HTTP_LISTENER_ADMIN, false,
                 false);
    const char *dir = arena_printf(s->cli->arena, "%s/run", s->cli->home);
    s->socket_path = arena_printf(s->cli->arena, "%s/run/admin.sock", s->cli->home);
    if (!dir || !s->socket_path)
        return false;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        cli_fail(s->cli, "%s: %s", dir, strerror(errno));
        return false;
    }
    unlink(s->socket_path); /* left by a server that was killed; the store's lock says that none runs */
    s->listeners[s->n_listeners++] =
        (struct http_listener){.address = s->socket_path, .kind = HTTP_LISTENER_UNIX, .unix_mode = 0600};
    return true;
}

static void collect_routes(struct serving *s)
{
    size_t n = 0;
    for (size_t i = 0; doors[i]; i++)
        s->routes[n++] = doors[i]->routes;
    s->routes[n++] = api_http_routes;
    s->routes[n++] = status_routes;
    s->routes[n++] = filter_routes;
    s->routes[n++] = ocsp_routes;
    s->routes[n++] = renewal_info_routes;
    s->routes[n++] = admin_routes;
    s->routes[n++] = console_routes;
    s->routes[n] = NULL;
}

static void on_error(void *app, struct http_request *r, int status, const char *detail)
{
    if (!doors_error(r, status, detail))
        api_http_error(app, r, status, detail);
}

static void on_reply(void *app, const struct http_request *r, int status, uint64_t micros,
                     uint64_t octets_out, const char *metric)
{
    (void)app;
    admin_count(metric, status, micros);
    log_debug(r->id, "http", LOG_S("path", r->path), LOG_I("status", status), LOG_I("us", (int64_t)micros),
              LOG_I("octets", (int64_t)octets_out), LOG_S("peer", r->peer), LOG_S("route", metric));
}

/* Ports that were chosen freely stand in <home>/run/ports.json, for those who wait for them: {"enrollment": …, …}. */
static bool write_ports(struct serving *s)
{
    static const struct {
        unsigned kind;
        const char *name;
    } names[] = {{HTTP_LISTENER_PUBLIC_TLS, "enrollment"},
                 {HTTP_LISTENER_PLAIN, "plain"},
                 {HTTP_LISTENER_CONSOLE, "console"},
                 {HTTP_LISTENER_ADMIN, "admin"}};
    struct buf b;
    buf_init(&b, 1024);
    buf_puts(&b, "{");
    for (size_t i = 0; i < s->n_listeners; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (s->listeners[i].kind == names[k].kind)
                buf_printf(&b, "%s\"%s\": %d", b.n > 1 ? ", " : "", names[k].name,
                           http_server_port(s->server, i));
    buf_puts(&b, "}\n");
    char *path = arena_printf(s->cli->arena, "%s/run/ports.json", s->cli->home);
    bool ok = path && cli_write_file(s->cli, path, buf_slice(&b), 0644);
    buf_done(&b);
    return ok;
}

static void raise_limits(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        TM_IGNORE((tm_err)(setrlimit(RLIMIT_NOFILE, &l) == 0 ? TM_OK : TM_EIO));
    }
}

/* From the job runner: the main thread is woken by the signal that ends it anyway. */
static void house_lost(void *arg, const char *why)
{
    struct serving *s = arg;
    atomic_store(&s->lost, why);
    kill(getpid(), SIGTERM);
}

static tm_err open_house(struct serving *s, struct diag *diag)
{
    struct house_config hc = {
        .home = s->cli->home,
        .mode = HOUSE_SERVE,
        .store_driver = s->config.store.driver,
        .store_path = s->config.store.path[0] ? s->config.store.path : NULL,
        .signer_user = s->config.signer.user[0] ? s->config.signer.user : NULL,
        .signer_program = "/proc/self/exe",
        .passphrase = &s->passphrase,
        .passphrase_file = s->passphrase_file,
        .public_base = s->config.public_base,
        .origin = s->config.origin,
        .console_origin = s->config.console_origin,
        .crypto_threads = (unsigned)s->config.crypto_threads,
        .weak_keys = s->config.weak_keys[0] ? s->config.weak_keys : NULL,
        .on_lost = house_lost,
        .on_lost_arg = s,
        .store_unsafe_async =
            getenv("TOUCHMARK_UNSAFE_ASYNC") != NULL, /* the torture's counter-proof; logged below */
    };
    if (hc.store_unsafe_async)
        log_error(NULL, "store.unsafe",
                  LOG_S("why", "TOUCHMARK_UNSAFE_ASYNC is set: a power cut loses acknowledged certificates"));
    TM_TRY(house_open(&s->house, &hc, diag));
    TM_TRY(status_open(s->house));
    TM_TRY(ocsp_start(s->house, (size_t)s->config.limits.ocsp_cache << 20));
    TM_TRY(reach_open(s->house));
    TM_TRY(revocation_open(s->house));
    TM_TRY(finding_open(s->house));
    TM_TRY(alert_open(s->house));
    TM_TRY(doors_open(s->house));
    TM_TRY(live_start(s->house));
    TM_TRY(scans_start(s->house));
    TM_TRY(jobs_add(s->house->jobs, &scans_job));
    for (size_t i = 0; status_jobs[i]; i++)
        TM_TRY(jobs_add(s->house->jobs, status_jobs[i]));
    for (size_t i = 0; filter_jobs[i]; i++)
        TM_TRY(jobs_add(s->house->jobs, filter_jobs[i]));
    for (size_t i = 0; authority_jobs[i]; i++)
        TM_TRY(jobs_add(s->house->jobs, authority_jobs[i]));
    for (size_t i = 0; ocsp_jobs[i]; i++)
        TM_TRY(jobs_add(s->house->jobs, ocsp_jobs[i]));
    jobs_kick(s->house->jobs, responder_job.name);
    jobs_kick(s->house->jobs, scans_job.name); /* those whose time came while no server ran */
    return TM_OK;
}

static tm_err start_server(struct serving *s, struct diag *diag)
{
    TM_TRY(choose_tls_files(s, diag));
    TM_TRY(tls_context(&s->tls, s, diag));
    collect_routes(s);
    const char **proxies = arena_calloc(s->cli->arena, s->config.trusted_proxies.n + 1, sizeof *proxies);
    if (!proxies)
        return TM_ENOMEM;
    for (size_t i = 0; i < s->config.trusted_proxies.n; i++)
        proxies[i] = s->config.trusted_proxies.v[i];
    struct http_server_config hc = {
        .listeners = s->listeners,
        .n_listeners = s->n_listeners,
        .routes = s->routes,
        .limits = {.max_connections = (size_t)s->config.limits.connections,
                   .max_connections_peer = (size_t)s->config.limits.connections_per_peer,
                   .rate_per_peer = (unsigned)s->config.limits.requests_per_peer},
        .loops = (unsigned)s->config.loops,
        .tls = s->tls,
        .trusted_proxies = proxies,
        .app = s->house,
        .on_reply = on_reply,
        .on_exchange = trace_record_exchange,
        .on_error = on_error,
    };
    TM_TRY(http_server_start(&s->server, &hc, diag));
    running = s->server;
    running_serving = s;
    for (size_t i = 0; i < s->n_listeners; i++) {
        int port = http_server_port(s->server, i);
        if (s->listeners[i].kind == HTTP_LISTENER_PUBLIC_TLS)
            s->house->ports.enrollment = port;
        else if (s->listeners[i].kind == HTTP_LISTENER_PLAIN)
            s->house->ports.plain = port;
        else if (s->listeners[i].kind == HTTP_LISTENER_CONSOLE)
            s->house->ports.console = port;
    }
    admin_watch(s->server);
    tls_server_on_renewal(reload_tls, NULL);
    return TM_OK;
}

static void reload(struct serving *s)
{
    struct diag diag = {0};
    if (house_reload(s->house, &diag) != TM_OK || signer_reload(s->house->signer, &diag) != TM_OK)
        log_error(NULL, "reload", LOG_S("why", diag.message));
    else
        log_info(NULL, "reloaded");
    reload_tls(NULL);
}

/* The main thread only waits for signals: TERM and INT stop, HUP reads keys, TLS files and resources again. */
static void wait_for_end(struct serving *s, const sigset_t *set)
{
    for (;;) {
        int sig = sigwaitinfo(set, NULL);
        if (sig == SIGHUP)
            reload(s);
        else if (sig == SIGTERM || sig == SIGINT)
            return;
    }
}

static bool is_everywhere(const char *address)
{
    return strcmp(address, "::") == 0 || strcmp(address, "0.0.0.0") == 0;
}

static void announce(struct serving *s)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        char port[16];
        snprintf(port, sizeof port, "%d", http_server_port(s->server, i));
        log_info(NULL, "listening", LOG_S("address", s->listeners[i].address),
                 LOG_S("port", s->listeners[i].kind == HTTP_LISTENER_UNIX ? "" : port),
                 LOG_S("tls", s->listeners[i].tls ? "yes" : "no"),
                 LOG_S("reach", is_everywhere(s->listeners[i].address) ? "every address of this machine"
                                                                       : "this address alone"));
    }
    struct event_field fields[] = {{.key = "version", .kind = EVENT_STR, .s = slice_str(TM_VERSION)}, {0}};
    struct diag diag = {0};
    if (house_event(s->house, TENANT_HOUSE, "house.started", "house", fields, &diag) != TM_OK)
        log_error(NULL, "house.started", LOG_S("why", diag.message));
    const char *notify = getenv("NOTIFY_SOCKET");
    if (notify && notify[0])
        cli_notify_ready(notify);
}

static void stop(struct serving *s)
{
    if (s->server) {
        const char *lost = atomic_load(&s->lost), *why = lost ? lost : "signal";
        log_info(NULL, "stopping", LOG_S("why", why));
        tls_server_on_renewal(NULL, NULL);
        live_stop(s->house); /* streams never end by themselves */
        http_server_stop(s->server, STOP_GRACE_MS);
        struct event_field fields[] = {{.key = "why", .kind = EVENT_STR, .s = slice_str(why)}, {0}};
        struct diag diag = {0};
        TM_IGNORE(house_event(s->house, TENANT_HOUSE, "house.stopped", "house", fields, &diag));
    }
    if (s->socket_path)
        unlink(s->socket_path);
    filter_stop();
    scans_stop(s->house);
    struct reach *reach = s->house ? s->house->reach : NULL;
    struct revocations *revocations = s->house ? s->house->revocations : NULL;
    struct findings *findings = s->house ? s->house->findings : NULL;
    struct alerts *alerts = s->house ? s->house->alerts : NULL;
    if (s->house)
        alert_stop(s->house);
    if (s->house)
        finding_stop(s->house);
    if (s->house)
        revocation_stop(s->house);
    struct status *status = s->house ? status_stop(s->house) : NULL;
    struct ocsp *ocsp = s->house ? ocsp_stop(s->house) : NULL;
    struct live *live = s->house ? s->house->live : NULL;
    if (s->house)
        live_stop(s->house);
    if (s->house)
        doors_stop(s->house);
    house_close(s->house);
    ocsp_free(ocsp);
    status_free(status);
    findings_free(findings);
    alerts_free(alerts);
    revocation_free(revocations);
    reach_free(reach);
    live_free(live);
    doors_close();
    trace_record_close();
    /* Requests refer to the server until the house's pools have ended. */
    http_server_free(s->server);
    SSL_CTX_free(s->tls);
    secret_done(&s->passphrase);
}

static int serve(struct cli *c)
{
    struct serving s = {.cli = c};
    struct diag diag = {0};
    tm_err e = config_load(&s.config, c->arena, c->home, &diag);
    if (e != TM_OK)
        return cli_fail_diag(c, e, &diag, NULL);
    log_configure((enum log_level)s.config.log.level, (enum log_format)s.config.log.format);
    if (!cli_passphrase(c, &s.passphrase, &s.passphrase_file))
        return 1;
    raise_limits();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* Set, it does not grow with what was freed once: a pass over everything would leave its size behind as what each arena may keep. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    signal(SIGPIPE, SIG_IGN);

    e = open_house(&s, &diag);
    if (e == TM_OK && !choose_listeners(&s))
        e = TM_EIO;
    if (e == TM_OK)
        e = start_server(&s, &diag);
    int status = 0;
    if (e != TM_OK) {
        status = cli_fail_diag(c, e, &diag, "the server did not start");
    } else if (!write_ports(&s)) {
        status = 1;
    } else {
        announce(&s);
        wait_for_end(&s, &set);
        const char *lost = atomic_load(&s.lost);
        if (lost)
            status = cli_fail(c, "%s: start the server again", lost);
    }
    stop(&s);
    return status;
}

static const struct cli_option serve_options[] = {
    {"passphrase-file", 0, "FILE", "read the keys' passphrase from here instead of where touchmark.yaml says",
     false},
    {0},
};

const struct command serve_commands[] = {
    {
        .noun = "serve",
        .verb = "",
        .summary = "run the server in the foreground",
        .arguments = "",
        .description =
            "Starts the signer in a process of its own, then the server with the listeners of touchmark.yaml.\n"
            "SIGTERM or SIGINT stop it gracefully; SIGHUP reads keys, TLS files and resources again.",
        .example = "touchmark serve --home /var/lib/touchmark",
        .options = serve_options,
        .run = serve,
    },
    {0},
};
