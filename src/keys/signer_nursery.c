#include "keys/signer_nursery.h"
#include "keys/signer_core.h"
#include "keys/signer_sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the signer process ---- */

/* Ctrl-C and a service manager's SIGTERM reach every process of the group; the signer stays until its server has gone. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static tm_err signer_open(struct core **ret, const struct signer_config *c, const struct secret *passphrase,
                          int fd, struct diag *diag)
{
    struct secret read_again = {0};
    struct core *core = NULL;
    int dir;
    if (!passphrase) {
        if (!c->passphrase_file)
            return diag_fail(diag, TM_ELOCKED, NULL, NULL,
                             "the passphrase cannot be read again: start the server anew");
        if (secret_read_file(&read_again, c->passphrase_file, diag) != TM_OK)
            return TM_ELOCKED;
        passphrase = &read_again;
    }
    tm_err err = sandbox_begin(&dir, c->key_dir, c->user, fd, diag);
    if (err == TM_OK)
        err = core_open(&core, dir, passphrase, false, diag);
    secret_done(&read_again);
    if (err == TM_OK) {
        malloc_trim(0); /* what scrypt took */
        err = sandbox_close_in(dir, diag);
        if (err != TM_OK)
            core_close(core);
    }
    if (err == TM_OK)
        *ret = core;
    return err;
}

[[gnu::noreturn]] static void signer_main(const struct signer_config *c, const struct secret *passphrase,
                                          int fd)
{
    struct core *core = NULL;
    struct diag diag = {0};
    prctl(PR_SET_NAME, "tm-signer", 0, 0, 0);
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    tm_err err = signer_open(&core, c, passphrase, fd, &diag);
    if (err != TM_OK) {
        core_refuse(fd, err, &diag);
        _exit(1);
    }
    core_serve(core, fd);
    core_close(core);
    _exit(0);
}

/* ---- the nursery process ---- */

struct answer {
    int32_t error;
    int32_t pid;
};

static bool send_answer(int fd, struct answer a, int passed)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &a, .iov_len = sizeof a};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(h), &passed, sizeof passed);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof a;
}

static void reap(pid_t pid)
{
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

[[gnu::noreturn]] static void nursery_main(const struct signer_config *c, int fd, pid_t parent)
{
    pid_t signer = 0;
    const struct secret *passphrase = c->passphrase;
    prctl(PR_SET_NAME, "tm-nursery", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ignore_signals();
    if (getppid() != parent)
        _exit(1);
    for (;;) {
        char request;
        ssize_t n = read(fd, &request, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != 1)
            break;
        /* The old one is dead, or its socket is closed and it ends by itself. */
        reap(signer);
        signer = 0;
        int pair[2];
        struct answer a = {.error = TM_EUNAVAIL};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
            send_answer(fd, a, -1);
            continue;
        }
        signer = fork();
        if (signer == 0) {
            close(pair[0]);
            signer_main(c, passphrase, pair[1]);
        }
        close(pair[1]);
        if (passphrase) {
            OPENSSL_cleanse(passphrase->p, passphrase->n); /* this process's copy of it */
            passphrase = NULL;
        }
        if (signer > 0)
            a = (struct answer){.error = TM_OK, .pid = (int32_t)signer};
        else
            signer = 0;
        bool sent = send_answer(fd, a, signer ? pair[0] : -1);
        close(pair[0]);
        if (!sent)
            break;
    }
    reap(signer);
    _exit(0);
}

/* ---- becoming the nursery ---- */

enum { NURSERY_FD = 3, HANDED_FIELD_MAX = 8192 };

/* What a program that is executed anew is told first: the lengths, then the octets of each, one after the other. */
struct handed {
    uint32_t n[4]; /* HANDED_NONE: NULL */
};
enum { HANDED_KEY_DIR, HANDED_USER, HANDED_FILE, HANDED_PASSPHRASE };
static const uint32_t HANDED_NONE = UINT32_MAX;

static bool hand(int fd, const void *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        p = (const uint8_t *)p + sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool hand_over(int fd, const struct signer_config *c)
{
    struct slice v[4] = {
        [HANDED_KEY_DIR] = slice_str(c->key_dir),
        [HANDED_USER] = c->user ? slice_str(c->user) : slice_of(NULL, 0),
        [HANDED_FILE] = c->passphrase_file ? slice_str(c->passphrase_file) : slice_of(NULL, 0),
        [HANDED_PASSPHRASE] = secret_slice(c->passphrase),
    };
    struct handed h;
    for (size_t i = 0; i < 4; i++) {
        if (v[i].n > HANDED_FIELD_MAX)
            return false;
        h.n[i] = v[i].p ? (uint32_t)v[i].n : HANDED_NONE;
    }
    bool good = hand(fd, &h, sizeof h);
    for (size_t i = 0; good && i < 4; i++)
        good = hand(fd, v[i].p, v[i].n);
    return good;
}

static bool take(int fd, void *p, size_t n)
{
    while (n) {
        ssize_t got = recv(fd, p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p = (uint8_t *)p + got;
        n -= (size_t)got;
    }
    return true;
}

static bool take_over(int fd, struct signer_config *c, struct secret *passphrase)
{
    struct handed h;
    char *text[HANDED_PASSPHRASE] = {0};
    if (!take(fd, &h, sizeof h))
        return false;
    for (size_t i = 0; i < HANDED_PASSPHRASE; i++) {
        if (h.n[i] == HANDED_NONE)
            continue;
        if (h.n[i] > HANDED_FIELD_MAX || !(text[i] = calloc(1, (size_t)h.n[i] + 1)) ||
            !take(fd, text[i], h.n[i]))
            return false; /* the process ends: nothing to free */
    }
    if (h.n[HANDED_PASSPHRASE] > HANDED_FIELD_MAX ||
        secret_init(passphrase, h.n[HANDED_PASSPHRASE]) != TM_OK || !take(fd, passphrase->p, passphrase->n))
        return false;
    *c = (struct signer_config){.key_dir = text[HANDED_KEY_DIR],
                                .user = text[HANDED_USER],
                                .passphrase_file = text[HANDED_FILE],
                                .passphrase = passphrase};
    return c->key_dir != NULL;
}

void signer_program(void)
{
    struct signer_config c;
    struct secret passphrase = {0};
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!take_over(NURSERY_FD, &c, &passphrase))
        _exit(1);
    nursery_main(&c, NURSERY_FD, getppid());
}

/* In the forked child. Nothing of the server's is to be kept open by this process. */
[[gnu::noreturn]] static void nursery_child(const struct signer_config *c, int fd, pid_t parent)
{
    if (fd != NURSERY_FD) /* else it was made with close-on-exec, which must go */
        dup2(fd, NURSERY_FD);
    else
        fcntl(fd, F_SETFD, 0);
    close_range(NURSERY_FD + 1, ~0u, 0);
    if (!c->program)
        nursery_main(c, NURSERY_FD, parent);
    /* Kept over the execution; asked for before it, so that no moment is left in which the parent could go unseen. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    execl(c->program, "touchmark", SIGNER_ARGUMENT, (char *)NULL);
    dprintf(STDERR_FILENO, "touchmark: cannot start the signer: %s: %s\n", c->program, strerror(errno));
    _exit(1);
}

tm_err nursery_start(struct nursery *ret, const struct signer_config *c, struct diag *diag)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "cannot make a socketpair: %s", strerror(errno));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        tm_err err = diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "cannot fork: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return err;
    }
    if (pid == 0)
        nursery_child(c, pair[1], parent);
    close(pair[1]);
    *ret = (struct nursery){.fd = pair[0], .pid = pid};
    if (c->program && !hand_over(pair[0], c))
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the signer's process took no configuration");
    return TM_OK;
}

tm_err nursery_spawn(struct nursery *n, pid_t *ret_pid, int *ret_fd, struct diag *diag)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct answer a = {0};
    struct iovec iov = {.iov_base = &a, .iov_len = sizeof a};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = send(n->fd, "s", 1, MSG_NOSIGNAL);
    if (got == 1) {
        do
            got = recvmsg(n->fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
        while (got < 0 && errno == EINTR);
    }
    const struct cmsghdr *h = got == (ssize_t)sizeof a ? CMSG_FIRSTHDR(&m) : NULL;
    if (!h || h->cmsg_type != SCM_RIGHTS || a.error != TM_OK)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "no signer process could be started");
    memcpy(ret_fd, CMSG_DATA(h), sizeof *ret_fd);
    *ret_pid = (pid_t)a.pid;
    return TM_OK;
}

bool nursery_alive(const struct nursery *n)
{
    struct pollfd p = {.fd = n->fd};
    return n->fd >= 0 && (poll(&p, 1, 0) == 0 || !(p.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

void nursery_stop(struct nursery *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
    reap(n->pid);
    n->pid = 0;
}
