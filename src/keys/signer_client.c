#include "keys/signer_client.h"
#include "base/fd.h"
#include "x509/crl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* WINDOW: how many operations of one key the signer holds at most. OUT_LOW: no further frames are made while more octets than that wait to
 * be written. */
enum {
    WINDOW = 256,
    SEAL_TRIES = 20,
    OUT_MAX = 2 * PROTO_REQUEST_MAX,
    OUT_LOW = 128 << 10,
    RECV_CHUNK = 256 << 10,
    LANES_MAX = 4096
};

static void intake_one(struct executor *e, struct task *t);
static void intake_list(struct executor *e, struct task *first);

void client_init(struct signer *s)
{
    s->intake = (struct executor){.post = intake_one, .post_list = intake_list};
    buf_init(&s->out, OUT_MAX);
    buf_init(&s->in, PROTO_REPLY_MAX + RECV_CHUNK + PROTO_HEAD);
    s->memfd = -1;
}

void client_done(struct signer *s)
{
    buf_done(&s->out);
    buf_done(&s->in);
    if (s->memfd >= 0)
        close(s->memfd);
    free(s->lanes);
    free(s->slots);
}

void client_wake(struct signer *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->wake_fd, &one, sizeof one);
    (void)n; /* it can only be full of wake-ups */
}

/* ---- questions, from any thread ---- */

tm_err client_ask(struct signer *s, enum proto_type type, uint64_t after, struct buf *body, struct diag *diag)
{
    pthread_mutex_lock(&s->questions);
    pthread_mutex_lock(&s->mutex);
    struct client_question *q = &s->question;
    buf_reset(body);
    *q = (struct client_question){
        .asked = true, .type = type, .tag = q->tag + 1, .after = after, .body = body};
    client_wake(s);
    while (!q->answered)
        pthread_cond_wait(&s->answered, &s->mutex);
    tm_err err = q->err;
    if (err != TM_OK && diag)
        *diag = q->diag;
    q->asked = false;
    q->body = NULL;
    pthread_mutex_unlock(&s->mutex);
    pthread_mutex_unlock(&s->questions);
    return err;
}

/* ---- completions ---- */

static void finish(struct sign_op *op, tm_err err)
{
    op->err = err;
    op->next = NULL;
    executor_post(op->reply_to, &op->done);
}

static void fail(struct sign_op *op, tm_err err, const char *rule, const char *why)
{
    TM_IGNORE(diag_fail(&op->diag, err, rule, NULL, "%s", why));
    finish(op, err);
}

static void fail_gone(struct sign_op *op)
{
    fail(op, TM_EUNAVAIL, "signer.gone", "the signer is not running");
}

static void fail_list(struct sign_op *list)
{
    while (list) {
        struct sign_op *op = list;
        list = op->next;
        fail_gone(op);
    }
}

static void answer_question(struct signer *s, tm_err err)
{
    s->question.err = err;
    s->question.answered = true;
    pthread_cond_broadcast(&s->answered);
}

/* ---- lanes and slots ---- */

static struct client_lane *lane_for(struct signer *s, const char *key_id)
{
    for (size_t i = 0; i < s->n_lanes; i++)
        if (strcmp(s->lanes[i].key_id, key_id) == 0)
            return &s->lanes[i];
    if (strlen(key_id) >= sizeof s->lanes[0].key_id || s->n_lanes >= LANES_MAX)
        return NULL;
    struct client_lane *lanes = realloc(s->lanes, (s->n_lanes + 1) * sizeof *lanes);
    if (!lanes)
        return NULL;
    s->lanes = lanes;
    /* The lists' ends point into the lanes that have just moved. */
    for (size_t i = 0; i < s->n_lanes; i++)
        if (!lanes[i].first)
            lanes[i].end = &lanes[i].first;
    struct client_lane *l = &lanes[s->n_lanes++];
    *l = (struct client_lane){0};
    snprintf(l->key_id, sizeof l->key_id, "%s", key_id);
    l->end = &l->first;
    return l;
}

/* An index for the operation, which is its tag. */
static tm_err slot_take(uint32_t *ret, struct signer *s)
{
    if (s->free_slot == 0) {
        size_t n = s->n_slots ? 2 * s->n_slots : 64;
        struct client_slot *slots = realloc(s->slots, n * sizeof *slots);
        if (!slots)
            return TM_ENOMEM;
        for (size_t i = s->n_slots; i < n; i++)
            slots[i] = (struct client_slot){.next_free = i + 1 < n ? (uint32_t)i + 2 : 0};
        s->free_slot = (uint32_t)s->n_slots + 1;
        s->slots = slots;
        s->n_slots = n;
    }
    *ret = s->free_slot - 1;
    s->free_slot = s->slots[*ret].next_free;
    return TM_OK;
}

static void slot_free(struct signer *s, uint32_t i)
{
    s->slots[i] = (struct client_slot){.next_free = s->free_slot};
    s->free_slot = i + 1;
}

/* What was submitted since, oldest first, to its lanes. */
static void take_submitted(struct signer *s)
{
    struct sign_op *newest = atomic_exchange_explicit(&s->submitted, NULL, memory_order_acquire),
                   *list = NULL;
    while (newest) {
        struct sign_op *older = newest->next;
        newest->next = list;
        list = newest;
        newest = older;
    }
    while (list) {
        struct sign_op *op = list;
        list = op->next;
        struct client_lane *l = lane_for(s, op->key_id);
        bool large = op->tbs.n > PROTO_INLINE_MAX;
        if (!l) {
            fail(op, TM_ENOTFOUND, "signer.key", "there is no such key");
        } else if (op->file && (op->kind != SIGN_CRL || op->tbs.n || op->file->n > CRL_STREAM_MAX)) {
            fail(op, TM_EINVAL, "signer.size", "only a CRL comes in a file");
        } else if (large && (op->kind != SIGN_CRL || op->tbs.n > (512u << 20))) {
            fail(op, TM_ETOOBIG, "signer.size", "too large to be signed");
        } else if (op->proof.n > PROTO_PROOF_MAX) {
            fail(op, TM_ETOOBIG, "signer.size", "the proof is too long");
        } else if (op->content.n > PROTO_CONTENT_MAX) {
            fail(op, TM_ETOOBIG, "signer.size", "the content is too long");
        } else {
            op->next = NULL;
            *l->end = op;
            l->end = &op->next;
        }
    }
}

static void pop(struct client_lane *l)
{
    l->first = l->first->next;
    if (!l->first)
        l->end = &l->first;
}

/* ---- writing ---- */

/* While the kernel has a page of it in hand (as it moves memory on a busy machine), it can't be sealed against writing: EBUSY. */
static bool seal(int fd)
{
    int tries = 0;
    while (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        if (errno != EBUSY || ++tries == SEAL_TRIES)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return true;
}

static tm_err sealed_copy(int *ret, struct slice bytes)
{
    int fd = memfd_create("tbs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return TM_EUNAVAIL;
    if (!fd_write_all(fd, bytes) || !seal(fd)) {
        close(fd);
        return TM_EUNAVAIL;
    }
    *ret = fd;
    return TM_OK;
}

static tm_err file_copy(int *ret, const struct sign_file *f)
{
    *ret = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    return *ret < 0 ? TM_EUNAVAIL : TM_OK;
}

static void put_op(struct signer *s, const struct sign_op *op, uint32_t tag)
{
    bool large = !op->file && op->tbs.n > PROTO_INLINE_MAX;
    struct proto_op p = {
        .tag = tag,
        .kind = (unsigned)op->kind,
        .alg = (unsigned)op->alg,
        .flags = (op->adopt_serial ? PROTO_FLAG_ADOPT : 0u) | (op->ra ? PROTO_FLAG_RA : 0u) |
                 (op->responder ? PROTO_FLAG_RESPONDER : 0u) | (large ? PROTO_FLAG_MEMFD : 0u) |
                 (op->file ? PROTO_FLAG_FILE : 0u),
        .key_id = slice_str(op->key_id),
        .serial_offset = op->file ? op->file->offset : (uint32_t)op->serial_offset,
        .proof = op->proof,
        .content = op->content,
        .tbs = op->tbs,
        .tbs_size = op->file ? op->file->n : op->tbs.n,
    };
    proto_put_op(&s->out, &p);
}

/* The first of the lane goes out. False where it has to wait for the next frame. */
static bool send_first(struct signer *s, struct client_lane *l, size_t n_in_frame, size_t frame_at)
{
    struct sign_op *op = l->first;
    bool large = op->file || op->tbs.n > PROTO_INLINE_MAX;
    size_t room = 128 + op->proof.n + op->content.n + (large ? 0 : op->tbs.n);
    if (s->out.n - frame_at + room > PROTO_REQUEST_MAX || (large && (s->memfd >= 0 || n_in_frame > 0)))
        return false;
    uint32_t tag;
    tm_err err = slot_take(&tag, s);
    if (err == TM_OK && large) {
        err = op->file ? file_copy(&s->memfd, op->file) : sealed_copy(&s->memfd, op->tbs);
        s->memfd_at = frame_at;
        if (err != TM_OK)
            slot_free(s, tag);
    }
    pop(l);
    if (err != TM_OK) {
        fail(op, err, "signer.client", "the operation could not be handed to the signer");
        return true;
    }
    put_op(s, op, tag);
    s->slots[tag].op = op;
    s->slots[tag].lane = (uint32_t)(l - s->lanes);
    l->under_way++;
    s->under_way++;
    return true;
}

/* One frame of whatever may go. False when there was nothing. */
static bool make_frame(struct signer *s)
{
    size_t n = 0, at = proto_begin(&s->out, PROTO_SIGN);
    proto_put_uint(&s->out, 0, 2);
    bool large = false;
    for (size_t i = 0; i < s->n_lanes && !large; i++) {
        struct client_lane *l = &s->lanes[i];
        while (l->first && l->under_way < WINDOW && n < PROTO_BATCH_MAX && !large) {
            size_t before = l->under_way;
            int memfd_before = s->memfd;
            if (!send_first(s, l, n, at))
                break;
            n += l->under_way - before;
            large = s->memfd != memfd_before; /* alone in its frame */
        }
    }
    if (n == 0) {
        s->out.n = at;
        return false;
    }
    if (buf_err(&s->out) == TM_OK) {
        s->out.p[at + PROTO_HEAD] = (uint8_t)(n >> 8);
        s->out.p[at + PROTO_HEAD + 1] = (uint8_t)n;
        proto_finish(&s->out, at);
    }
    return true;
}

static void make_question(struct signer *s)
{
    pthread_mutex_lock(&s->mutex);
    struct client_question *q = &s->question;
    if (q->asked && !q->sent && !q->answered) {
        size_t at = proto_begin(&s->out, q->type);
        proto_put_uint(&s->out, q->tag, 4);
        if (q->type == PROTO_JOURNAL)
            proto_put_uint(&s->out, q->after, 8);
        proto_finish(&s->out, at);
        q->sent = true;
    }
    pthread_mutex_unlock(&s->mutex);
}

static ssize_t send_with_memfd(struct signer *s, struct slice bytes)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof s->memfd);
    memcpy(CMSG_DATA(h), &s->memfd, sizeof s->memfd);
    return sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

/* As much as the socket takes; false when the signer has gone. */
static bool write_out(struct signer *s)
{
    while (s->sent < s->out.n) {
        ssize_t n;
        struct slice rest = slice_sub(buf_slice(&s->out), s->sent, s->out.n);
        if (s->memfd >= 0 && s->sent == s->memfd_at) {
            n = send_with_memfd(s, rest);
            if (n > 0) {
                close(s->memfd);
                s->memfd = -1;
            }
        } else {
            if (s->memfd >= 0 && s->sent < s->memfd_at)
                rest.n = s->memfd_at - s->sent;
            n = send(s->fd, rest.p, rest.n, MSG_NOSIGNAL);
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n <= 0)
            return false;
        s->sent += (size_t)n;
    }
    buf_reset(&s->out);
    s->sent = 0;
    return true;
}

/* ---- reading ---- */

static tm_err on_results(struct signer *s, struct slice body)
{
    struct proto_reader r;
    proto_reader_init(&r, body);
    size_t n = (size_t)proto_read_uint(&r, 2);
    for (size_t i = 0; i < n; i++) {
        struct proto_result result;
        TM_TRY(proto_read_result(&r, &result));
        if (result.tag >= s->n_slots || !s->slots[result.tag].op)
            return TM_EMALFORMED;
        struct sign_op *op = s->slots[result.tag].op;
        s->lanes[s->slots[result.tag].lane].under_way--;
        s->under_way--;
        slot_free(s, result.tag);
        if (result.err == TM_OK) {
            memcpy(op->serial, result.serial, sizeof op->serial);
            memcpy(op->signature, result.signature.p, result.signature.n);
            op->signature_n = result.signature.n;
            op->chain_seq = result.seq;
            memcpy(op->tbs_hash, result.tbs_hash, sizeof op->tbs_hash);
            memcpy(op->chain_hash, result.chain_hash, sizeof op->chain_hash);
        } else {
            op->diag = result.diag;
        }
        finish(op, result.err);
    }
    return proto_end(&r);
}

static tm_err on_answer(struct signer *s, enum proto_type type, struct slice body)
{
    struct proto_reader r;
    proto_reader_init(&r, body);
    uint32_t tag = (uint32_t)proto_read_uint(&r, 4);
    pthread_mutex_lock(&s->mutex);
    struct client_question *q = &s->question;
    tm_err err = q->sent && !q->answered && q->type == type && q->tag == tag ? TM_OK : TM_EMALFORMED;
    if (err == TM_OK) {
        tm_err status = proto_read_status(&r, &q->diag);
        if (status == TM_OK) {
            buf_put_slice(q->body, proto_read_bytes(&r, (size_t)(r.end - r.p)));
            status = buf_err(q->body);
        }
        answer_question(s, status);
    }
    pthread_mutex_unlock(&s->mutex);
    return err;
}

/* What there is; false when the signer has gone or talks nonsense. */
static bool read_in(struct signer *s)
{
    size_t before = s->in.n;
    uint8_t *p = buf_extend(&s->in, RECV_CHUNK);
    if (!p)
        return false;
    ssize_t got;
    do
        got = recv(s->fd, p, RECV_CHUNK, 0); // NOLINT(clang-analyzer-unix.BlockInCriticalSection): O_NONBLOCK
    while (got < 0 && errno == EINTR);
    s->in.n = before + (got > 0 ? (size_t)got : 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
        return false;
    size_t at = 0;
    tm_err err;
    for (;;) {
        enum proto_type type;
        size_t n = 0;
        struct slice rest = slice_sub(buf_slice(&s->in), at, s->in.n);
        err = proto_frame(&type, &n, rest, PROTO_REPLY_MAX);
        if (err != TM_OK)
            break;
        struct slice body = slice_sub(rest, PROTO_HEAD, n - PROTO_HEAD);
        task_cork(); /* results come by the batch, and go on as one */
        err = type == PROTO_SIGN ? on_results(s, body) : on_answer(s, type, body);
        task_uncork();
        if (err != TM_OK)
            break;
        at += n;
    }
    buf_consume(&s->in, at);
    return err == TM_EPENDING;
}

/* ---- death and new life ---- */

static void connection_lost(struct signer *s)
{
    close(s->fd);
    s->fd = -1;
    buf_reset(&s->out);
    buf_reset(&s->in);
    s->sent = 0;
    s->under_way = 0;
    if (s->memfd >= 0)
        close(s->memfd);
    s->memfd = -1;
    pthread_mutex_lock(&s->mutex);
    atomic_store(&s->alive, false);
    struct executor *e = s->death_executor;
    struct task *t = s->death_task;
    s->death_executor = NULL;
    s->death_task = NULL;
    pthread_mutex_unlock(&s->mutex);
    for (uint32_t i = 0; i < s->n_slots; i++) {
        struct sign_op *op = s->slots[i].op;
        if (!op)
            continue;
        slot_free(s, i);
        fail_gone(op);
    }
    for (size_t i = 0; i < s->n_lanes; i++) {
        struct client_lane *l = &s->lanes[i];
        struct sign_op *list = l->first;
        l->first = NULL;
        l->end = &l->first;
        l->under_way = 0;
        fail_list(list);
    }
    if (t)
        executor_post(e, t);
}

/* Without a connection everything is refused at once. */
static void refuse_all(struct signer *s)
{
    fail_list(atomic_exchange_explicit(&s->submitted, NULL, memory_order_acquire));
    pthread_mutex_lock(&s->mutex);
    if (s->question.asked && !s->question.answered) {
        TM_IGNORE(
            diag_fail(&s->question.diag, TM_EUNAVAIL, "signer.gone", NULL, "the signer is not running"));
        answer_question(s, TM_EUNAVAIL);
    }
    if (s->next_fd >= 0) {
        s->fd = s->next_fd;
        s->next_fd = -1;
        atomic_store(&s->alive, true);
        pthread_cond_broadcast(&s->answered);
    }
    pthread_mutex_unlock(&s->mutex);
}

static bool anything_to_write(struct signer *s)
{
    take_submitted(s);
    make_question(s);
    while (s->out.n - s->sent < OUT_LOW && s->memfd < 0 && make_frame(s))
        ;
    return s->out.n > s->sent;
}

/* ---- submitting, from any thread ---- */

/* Where nothing is under way, a lone operation is written by its submitter: that spares a thread switch. Everything else goes through the
 * thread, which gathers what comes meanwhile. */
static bool submit_directly(struct signer *s)
{
    if (pthread_mutex_trylock(&s->io) != 0)
        return false;
    bool done = false;
    if (s->fd >= 0 && s->under_way == 0 && s->out.n == s->sent && !atomic_load(&s->stopping)) {
        anything_to_write(s);
        /* What cannot be written now, and a broken connection, are the thread's. */
        done = buf_err(&s->out) == TM_OK && write_out(s) && s->out.n == s->sent;
    }
    pthread_mutex_unlock(&s->io);
    return done;
}

/* Operations wait here as the tasks that are posted with their results. */
static void intake_list(struct executor *e, struct task *first)
{
    struct signer *s = TM_CONTAINER(e, struct signer, intake);
    struct sign_op *newest = NULL, *oldest = NULL;
    bool large = false;
    for (struct task *t = first; t; t = t->next) {
        struct sign_op *op = TM_CONTAINER(t, struct sign_op, done);
        large = large || op->tbs.n > PROTO_INLINE_MAX;
        op->next = newest;
        newest = op;
        oldest = oldest ? oldest : op;
    }
    struct sign_op *head = atomic_load_explicit(&s->submitted, memory_order_relaxed);
    do
        oldest->next = head;
    while (!atomic_compare_exchange_weak_explicit(&s->submitted, &head, newest, memory_order_release,
                                                  memory_order_relaxed));
    /* The first of a heap sees to it, all of it. */
    if (!head && (large || !submit_directly(s)))
        client_wake(s);
}

static void intake_one(struct executor *e, struct task *t)
{
    t->next = NULL;
    intake_list(e, t);
}

void client_submit(struct signer *s, struct sign_op *op)
{
    op->err = TM_EINTERNAL;
    diag_clear(&op->diag);
    executor_post(&s->intake, &op->done);
}

void *client_run(void *arg)
{
    struct signer *s = arg;
    pthread_setname_np(pthread_self(), "signer-io");
    pthread_mutex_lock(&s->io);
    for (;;) {
        struct pollfd p[2] = {{.fd = s->wake_fd, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
        if (s->fd >= 0 && s->out.n > s->sent)
            p[1].events |= POLLOUT;
        nfds_t n_polled = s->fd >= 0 ? 2 : 1;
        pthread_mutex_unlock(&s->io);
        poll(p, n_polled, -1);
        pthread_mutex_lock(&s->io);
        if (p[0].revents) {
            uint64_t count;
            // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): EFD_NONBLOCK
            ssize_t n = read(s->wake_fd, &count, sizeof count);
            (void)n;
        }
        if (atomic_load(&s->stopping))
            break;
        if (s->fd >= 0 && p[1].revents && !read_in(s))
            connection_lost(s);
        if (s->fd >= 0 && anything_to_write(s) && (buf_err(&s->out) != TM_OK || !write_out(s)))
            connection_lost(s);
        if (s->fd < 0)
            refuse_all(s);
    }
    /* An end that was asked for is no death. */
    pthread_mutex_lock(&s->mutex);
    s->death_task = NULL;
    pthread_mutex_unlock(&s->mutex);
    if (s->fd >= 0)
        connection_lost(s);
    refuse_all(s);
    pthread_mutex_unlock(&s->io);
    return NULL;
}
