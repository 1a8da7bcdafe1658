#include "keys/signer.h"
#include "base/arena.h"
#include "keys/signer_client.h"
#include "keys/signer_core.h"
#include "keys/signer_proto.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a blocking exchange before the connection is handed to its thread ---- */

static tm_err gone(struct diag *diag)
{
    return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the signer has ended");
}

static bool send_all(int fd, struct slice s)
{
    while (s.n) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_of(s.p + n, s.n - (size_t)n);
    }
    return true;
}

static bool recv_all(int fd, uint8_t *p, size_t n)
{
    while (n) {
        /* A restart waits here on purpose, and whoever else would ask something waits for it. */
        ssize_t got = recv(fd, p, n, 0); // NOLINT(clang-analyzer-unix.BlockInCriticalSection)
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

/* One whole frame of the type that is due. *ret_body borrows from `in`. */
static tm_err receive_frame(int fd, struct buf *in, enum proto_type want, struct slice *ret_body,
                            struct diag *diag)
{
    enum proto_type type;
    size_t n = 0;
    buf_reset(in);
    uint8_t *head = buf_extend(in, PROTO_HEAD);
    if (!head || !recv_all(fd, head, PROTO_HEAD))
        return gone(diag);
    tm_err err = proto_frame(&type, &n, buf_slice(in), PROTO_REPLY_MAX);
    if ((err != TM_OK && err != TM_EPENDING) || type != want)
        return gone(diag);
    uint8_t *rest = buf_extend(in, n - PROTO_HEAD);
    if (!rest)
        return TM_ENOMEM;
    if (!recv_all(fd, rest, n - PROTO_HEAD))
        return gone(diag);
    *ret_body = slice_sub(buf_slice(in), PROTO_HEAD, n);
    return TM_OK;
}

/* HELLO, then the keys. */
static tm_err greet(struct signer_table **ret, int fd, struct diag *diag)
{
    struct buf in, out;
    struct slice body;
    struct proto_reader r;
    buf_init(&in, PROTO_REPLY_MAX + PROTO_HEAD);
    buf_init(&out, 64);
    tm_err err = receive_frame(fd, &in, PROTO_HELLO, &body, diag);
    if (err == TM_OK) {
        proto_reader_init(&r, body);
        err = proto_read_status(&r, diag);
    }
    if (err == TM_OK) {
        size_t at = proto_begin(&out, PROTO_INFO);
        proto_put_uint(&out, 0, 4);
        proto_finish(&out, at);
        if (buf_err(&out) != TM_OK || !send_all(fd, buf_slice(&out)))
            err = gone(diag);
    }
    if (err == TM_OK)
        err = receive_frame(fd, &in, PROTO_INFO, &body, diag);
    if (err == TM_OK) {
        proto_reader_init(&r, slice_sub(body, 4, body.n));
        err = proto_read_status(&r, diag);
    }
    if (err == TM_OK)
        err = signer_table_read(ret, &r, diag);
    buf_done(&out);
    buf_done(&in);
    return err;
}

/* ---- the two ways to have a signer ---- */

static void *in_process_run(void *arg)
{
    struct signer *s = arg;
    core_serve(s->core, s->core_fd);
    core_close(s->core);
    close(s->core_fd);
    return NULL;
}

static tm_err start_thread(pthread_t *ret, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(ret, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? TM_EUNAVAIL : TM_OK;
}

static tm_err spawn_in_process(struct signer *s, const struct secret *passphrase, int *ret_fd,
                               struct diag *diag)
{
    int dir = s->key_dir ? open(s->key_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0)
        return diag_fail(diag, TM_ENOTFOUND, "signer.key_dir", NULL, "cannot open the key directory: %s",
                         strerror(errno));
    int pair[2];
    TM_TRY(core_open(&s->core, dir, passphrase, true, diag));
    tm_err err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 ? TM_OK : TM_EUNAVAIL;
    if (err == TM_OK) {
        s->core_fd = pair[1];
        err = start_thread(&s->core_thread, in_process_run, s);
        if (err != TM_OK) {
            close(pair[0]);
            close(pair[1]);
        }
    }
    if (err != TM_OK) {
        core_close(s->core);
        return err;
    }
    s->core_running = true;
    *ret_fd = pair[0];
    return TM_OK;
}

static void join_core(struct signer *s)
{
    if (s->core_running)
        pthread_join(s->core_thread, NULL);
    s->core_running = false;
}

/* ---- start and end ---- */

static tm_err copy_text(char **ret, const char *s)
{
    *ret = s ? strdup(s) : NULL;
    return s && !*ret ? TM_ENOMEM : TM_OK;
}

static tm_err prepare(struct signer *s, const struct signer_config *c)
{
    if (!c->key_dir)
        return TM_EINVAL;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TM_TRY(copy_text(&s->key_dir, c->key_dir));
    TM_TRY(copy_text(&s->passphrase_file, c->passphrase_file));
    return s->wake_fd >= 0 ? TM_OK : TM_EUNAVAIL;
}

tm_err signer_start(struct signer **ret, const struct signer_config *c, struct diag *diag)
{
    struct signer *s = calloc(1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    s->fd = s->next_fd = s->wake_fd = s->nursery.fd = -1;
    s->in_process = c->in_process;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->answered, NULL);
    pthread_mutex_init(&s->questions, NULL);
    pthread_mutex_init(&s->io, NULL);
    client_init(s);
    struct signer_table *table = NULL;
    tm_err err = prepare(s, c);
    if (err == TM_OK && !c->passphrase)
        err = diag_fail(diag, TM_ELOCKED, NULL, NULL, "the signer needs a passphrase");
    if (err == TM_OK && c->in_process) {
        err = spawn_in_process(s, c->passphrase, &s->fd, diag);
    } else if (err == TM_OK) {
        err = nursery_start(&s->nursery, c, diag);
        pid_t pid = 0;
        if (err == TM_OK)
            err = nursery_spawn(&s->nursery, &pid, &s->fd, diag);
        atomic_store(&s->pid, pid);
    }
    if (err == TM_OK)
        err = greet(&table, s->fd, diag);
    if (err == TM_OK) {
        signer_table_publish(s, table);
        fcntl(s->fd, F_SETFL, O_NONBLOCK);
        atomic_store(&s->alive, true);
        err = start_thread(&s->thread, client_run, s);
        s->thread_running = err == TM_OK;
    }
    if (err != TM_OK) {
        signer_free(s);
        return err;
    }
    *ret = s;
    return TM_OK;
}

void signer_free(struct signer *s)
{
    if (!s)
        return;
    if (s->thread_running) {
        atomic_store(&s->stopping, true);
        client_wake(s);
        pthread_join(s->thread, NULL);
    }
    if (s->fd >= 0)
        close(s->fd);
    join_core(s);
    nursery_stop(&s->nursery);
    client_done(s);
    signer_tables_free(s);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->questions);
    pthread_mutex_destroy(&s->io);
    free(s->passphrase_file);
    free(s->key_dir);
    free(s);
}

pid_t signer_pid(const struct signer *s)
{
    return s->in_process ? getpid() : atomic_load(&s->pid);
}

bool signer_alive(const struct signer *s)
{
    return atomic_load(&s->alive);
}

void signer_on_death(struct signer *s, struct executor *e, struct task *t)
{
    pthread_mutex_lock(&s->mutex);
    bool dead = !atomic_load(&s->alive);
    if (!dead) {
        s->death_executor = e;
        s->death_task = t;
    }
    pthread_mutex_unlock(&s->mutex);
    if (dead && t)
        executor_post(e, t);
}

static tm_err respawn(struct signer *s, struct diag *diag)
{
    int fd = -1;
    pid_t pid = 0;
    struct signer_table *table = NULL;
    if (s->in_process) {
        struct secret passphrase;
        if (!s->passphrase_file || secret_read_file(&passphrase, s->passphrase_file, diag) != TM_OK)
            return diag_fail(diag, TM_ELOCKED, NULL, NULL, "the passphrase cannot be read again");
        join_core(s);
        tm_err err = spawn_in_process(s, &passphrase, &fd, diag);
        secret_done(&passphrase);
        TM_TRY(err);
    } else {
        TM_TRY(nursery_spawn(&s->nursery, &pid, &fd, diag));
    }
    tm_err err = greet(&table, fd, diag);
    if (err != TM_OK) {
        close(fd);
        return err;
    }
    signer_table_publish(s, table);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    atomic_store(&s->pid, pid);
    pthread_mutex_lock(&s->mutex);
    s->next_fd = fd;
    client_wake(s);
    while (s->next_fd >= 0)
        pthread_cond_wait(&s->answered, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return TM_OK;
}

tm_err signer_restart(struct signer *s, struct diag *diag)
{
    pthread_mutex_lock(&s->questions);
    tm_err err = atomic_load(&s->alive) ? diag_fail(diag, TM_ECONFLICT, NULL, NULL, "the signer is alive")
                                        : respawn(s, diag);
    pthread_mutex_unlock(&s->questions);
    return err;
}

bool signer_restartable(const struct signer *s)
{
    return s->in_process || nursery_alive(&s->nursery);
}

/* ---- questions ---- */

tm_err signer_reload(struct signer *s, struct diag *diag)
{
    struct buf body;
    struct proto_reader r;
    struct signer_table *table;
    buf_init(&body, PROTO_REPLY_MAX);
    tm_err err = client_ask(s, PROTO_RELOAD, 0, &body, diag);
    if (err == TM_OK) {
        proto_reader_init(&r, buf_slice(&body));
        err = signer_table_read(&table, &r, diag);
    }
    if (err == TM_OK)
        signer_table_publish(s, table);
    buf_done(&body);
    return err;
}

tm_err signer_chain(struct signer *s, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    struct buf body;
    struct proto_reader r;
    buf_init(&body, PROTO_REPLY_MAX);
    tm_err err = client_ask(s, PROTO_CHAIN, 0, &body, NULL);
    if (err == TM_OK) {
        proto_reader_init(&r, buf_slice(&body));
        uint64_t seq = proto_read_uint(&r, 8);
        struct slice hash = proto_read_bytes(&r, 32);
        err = proto_end(&r);
        if (err == TM_OK) {
            *ret_seq = seq;
            memcpy(ret_hash, hash.p, 32);
        }
    }
    buf_done(&body);
    return err;
}

/* One reply's worth, appended to *v. */
static tm_err read_entries(struct slice body, struct signer_entry **v, size_t *n, size_t *ret_got)
{
    struct proto_reader r;
    proto_reader_init(&r, body);
    size_t got = (size_t)proto_read_uint(&r, 2);
    struct signer_entry *grown = realloc(*v, (*n + got + 1) * sizeof *grown);
    if (!grown)
        return TM_ENOMEM;
    *v = grown;
    for (size_t i = 0; i < got; i++)
        TM_TRY(proto_read_entry(&r, &grown[*n + i]));
    TM_TRY(proto_end(&r));
    *n += got;
    *ret_got = got;
    return TM_OK;
}

tm_err signer_journal(struct signer *s, struct arena *a, struct signer_entry **ret, size_t *ret_n,
                      struct diag *diag)
{
    struct buf body;
    struct signer_entry *v = NULL;
    size_t n = 0, got = 0;
    buf_init(&body, PROTO_REPLY_MAX);
    tm_err err;
    do {
        err = client_ask(s, PROTO_JOURNAL, n ? v[n - 1].seq : 0, &body, diag);
        if (err == TM_OK)
            err = read_entries(buf_slice(&body), &v, &n, &got);
    } while (err == TM_OK && got == PROTO_JOURNAL_MAX);
    if (err == TM_OK) {
        struct signer_entry *out = arena_calloc(a, n ? n : 1, sizeof *out);
        if (!out)
            err = arena_err(a) != TM_OK ? arena_err(a) : TM_ENOMEM;
        else if (n)
            memcpy(out, v, n * sizeof *out);
        if (out) {
            *ret = out;
            *ret_n = n;
        }
    }
    free(v);
    buf_done(&body);
    return err;
}

/* ---- signing ---- */

void signer_submit(struct signer *s, struct sign_op *op)
{
    client_submit(s, op);
}

/* An executor for one completion: whoever posts wakes the caller. */
struct blocker {
    struct executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool finished;
};

static void blocker_post(struct executor *e, struct task *t)
{
    struct blocker *b = TM_CONTAINER(e, struct blocker, executor);
    (void)t;
    pthread_mutex_lock(&b->mutex);
    b->finished = true;
    pthread_cond_signal(&b->wake); /* inside: the caller may be gone as soon as the lock is free */
    pthread_mutex_unlock(&b->mutex);
}

tm_err signer_sign(struct signer *s, struct sign_op *op)
{
    struct blocker b = {
        .executor.post = blocker_post, .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    op->reply_to = &b.executor;
    signer_submit(s, op);
    task_flush(); /* it may be held back on this very thread */
    pthread_mutex_lock(&b.mutex);
    while (!b.finished)
        pthread_cond_wait(&b.wake, &b.mutex);
    pthread_mutex_unlock(&b.mutex);
    pthread_cond_destroy(&b.wake);
    pthread_mutex_destroy(&b.mutex);
    return op->err;
}

uint64_t signer_decrypted(const struct sign_op *op)
{
    uint64_t n = 0;
    for (size_t i = CERT_SERIAL_LEN - 8; i < CERT_SERIAL_LEN; i++)
        n = n << 8 | op->serial[i];
    return n;
}
