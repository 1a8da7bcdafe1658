/* Listening sockets: one a loop for TCP, shared by SO_REUSEPORT; one in all for unix sockets. */
#include "http/internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static tm_err fail_bind(const struct server_listener *ln, struct diag *diag)
{
    int e = errno;
    if (ln->unix_path)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "listeners", "cannot listen on %s: %s", ln->config.address,
                         strerror(e));
    return diag_fail(diag, TM_EUNAVAIL, NULL, "listeners", "cannot listen on %s port %d: %s",
                     ln->config.address, ln->port, strerror(e));
}

/* ---- TCP ---- */

static tm_err address_parse(struct sockaddr_storage *ret, socklen_t *ret_n, const char *text, int port,
                            struct diag *diag)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (port < 0 || port > 65535)
        return diag_fail(diag, TM_EINVAL, NULL, "listeners", "%d is not a port", port);
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(ret, &in, sizeof in);
        *ret_n = sizeof in;
    } else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
        memcpy(ret, &in6, sizeof in6);
        *ret_n = sizeof in6;
    } else {
        return diag_fail(diag, TM_EINVAL, NULL, "listeners", "%s is not an IP address or a path", text);
    }
    return TM_OK;
}

static int tcp_socket(const struct sockaddr_storage *sa, socklen_t n, bool share)
{
    int one = 1, zero = 0;
    int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (sa->ss_family == AF_INET6) /* "::" takes IPv4 as well, whatever the system's default */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, (const struct sockaddr *)sa, n) != 0 || listen(fd, BACKLOG) != 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
        return 0;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, &sa, sizeof in);
    memcpy(&in6, &sa, sizeof in6);
    return ntohs(sa.ss_family == AF_INET ? in.sin_port : in6.sin6_port);
}

/* With SO_REUSEPORT a second server of the same user would share the port unseen: a socket without it goes first and finds
 * out whether the address is free. */
static tm_err open_tcp(struct server_listener *ln, int *fds, unsigned n_loops, struct diag *diag)
{
    struct sockaddr_storage sa = {0};
    socklen_t n;
    TM_TRY(address_parse(&sa, &n, ln->config.address, ln->config.port, diag));
    ln->port = ln->config.port;
    int probe = tcp_socket(&sa, n, false);
    if (probe < 0)
        return fail_bind(ln, diag);
    ln->port = port_of(probe);
    if (n_loops == 1) {
        fds[0] = probe;
        return TM_OK;
    }
    close(probe);
    TM_TRY(address_parse(&sa, &n, ln->config.address, ln->port, diag));
    for (unsigned i = 0; i < n_loops; i++)
        if ((fds[i] = tcp_socket(&sa, n, true)) < 0)
            return fail_bind(ln, diag);
    return TM_OK;
}

/* ---- unix sockets ---- */

static bool somebody_listens(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool yes = connect(fd, (const struct sockaddr *)un, sizeof *un) == 0;
    close(fd);
    return yes;
}

static tm_err open_unix(struct server_listener *ln, int *fds, struct diag *diag)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct stat st;
    size_t n = strlen(ln->config.address);
    if (n >= sizeof un.sun_path)
        return diag_fail(diag, TM_EINVAL, NULL, "listeners", "the path of a unix socket is too long: %s",
                         ln->config.address);
    memcpy(un.sun_path, ln->config.address, n + 1);
    /* What a killed server left behind is in the way; a socket that answers, or another kind of file, is not ours to remove. */
    if (lstat(un.sun_path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode) || somebody_listens(&un)) {
            errno = EADDRINUSE;
            return fail_bind(ln, diag);
        }
        unlink(un.sun_path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_bind(ln, diag);
    fds[0] = fd;
    mode_t mode = ln->config.unix_mode ? ln->config.unix_mode : 0600;
    /* Linux makes the file with the mode of the unbound socket: it is never wider open than meant, not even for a moment. */
    if (fchmod(fd, mode) != 0 || bind(fd, (struct sockaddr *)&un, sizeof un) != 0)
        return fail_bind(ln, diag);
    ln->bound = true;
    if (chmod(un.sun_path, mode) != 0 || listen(fd, BACKLOG) != 0)
        return fail_bind(ln, diag);
    return TM_OK;
}

tm_err listen_open(struct server_listener *ln, int *fds, unsigned n_loops, struct diag *diag)
{
    ln->unix_path = ln->config.kind == HTTP_LISTENER_UNIX || ln->config.address[0] == '/';
    return ln->unix_path ? open_unix(ln, fds, diag) : open_tcp(ln, fds, n_loops, diag);
}

void listen_close(struct server_listener *ln)
{
    if (ln->bound)
        unlink(ln->config.address);
    ln->bound = false;
}

/* ---- accepting ---- */

static void on_accept(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *sa, int n, void *arg)
{
    struct loop_listener *ll = arg;
    conn_new(ll->loop, ll->index, fd, sa);
}

/* Out of descriptors or memory the queue stays readable: accepting again at once would spin. */
static void on_accept_error(struct evconnlistener *lev, void *arg)
{
    struct loop_listener *ll = arg;
    evconnlistener_disable(lev);
    event_add(ll->resume, &(struct timeval){.tv_usec = ACCEPT_PAUSE_MS * 1000});
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct loop_listener *ll = arg;
    if (ll->lev)
        evconnlistener_enable(ll->lev);
}

tm_err listen_attach(struct loop *l, unsigned index, int fd)
{
    struct loop_listener *ll = &l->listeners[index];
    ll->loop = l;
    ll->index = index;
    ll->resume = event_new(l->base, -1, 0, on_resume, ll);
    /* backlog 0: it listens already */
    ll->lev =
        evconnlistener_new(l->base, on_accept, ll, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!ll->lev) {
        close(fd);
        return TM_ENOMEM;
    }
    if (!ll->resume)
        return TM_ENOMEM;
    evconnlistener_set_error_cb(ll->lev, on_accept_error);
    return TM_OK;
}

/* Who has connected but was not accepted yet would be reset: take them in first. */
static void take_waiting(struct loop_listener *ll)
{
    struct sockaddr_storage sa;
    for (;;) {
        socklen_t n = sizeof sa;
        int fd =
            accept4(evconnlistener_get_fd(ll->lev), (struct sockaddr *)&sa, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        conn_new(ll->loop, ll->index, fd, (struct sockaddr *)&sa);
    }
}

void listen_stop(struct loop *l)
{
    for (size_t i = 0; i < l->server->n_listeners; i++) {
        struct loop_listener *ll = &l->listeners[i];
        if (ll->lev) {
            take_waiting(ll);
            evconnlistener_free(ll->lev);
        }
        if (ll->resume)
            event_free(ll->resume);
        ll->lev = NULL;
        ll->resume = NULL;
    }
}
