#include "keys/signer_core.h"
#include "base/cleanup.h"
#include "keys/known.h"
#include "keys/signer_lane.h"
#include "keys/signer_release.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
    KEYS_MAX = 1024,
    UNLOCKERS_MAX = 4,
    FDS_WAITING_MAX = 4,
    QUEUED_BYTES_MAX = 64 << 20,
    RECV_CHUNK = 256 << 10
};

struct core {
    struct core_shared shared;
    int dir;
    bool in_process;
    struct secret passphrase;
    struct core_key *keys[KEYS_MAX];
    size_t n_keys;
    /* the reader's */
    struct batch *batch;
    uint8_t *in;
    size_t in_n, in_cap;
    int fds[FDS_WAITING_MAX];
    size_t n_fds;
};

/* ---- keys ---- */

struct id_list {
    char (*v)[64];
    size_t n;
};

static int id_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names of all keys that have both files. */
static tm_err list_ids(struct id_list *ret, int dir, struct diag *diag)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    struct id_list list = {.v = calloc(KEYS_MAX, sizeof list.v[0])};
    if (!d || !list.v) {
        free(list.v);
        if (copy >= 0 && !d)
            close(copy);
        if (d)
            closedir(d);
        return diag_fail(diag, d ? TM_ENOMEM : TM_EIO, NULL, NULL, "cannot read the key directory");
    }
    tm_err err = TM_OK;
    for (const struct dirent *e; err == TM_OK && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        char env[80];
        if (n < 5 || n > 67 || strcmp(e->d_name + n - 4, ".key") != 0 ||
            !key_id_valid(slice_of(e->d_name, n - 4)))
            continue;
        snprintf(env, sizeof env, "%.*s.env", (int)(n - 4), e->d_name);
        struct stat st;
        if (fstatat(dir, env, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (list.n == KEYS_MAX)
            err = diag_fail(diag, TM_ETOOBIG, NULL, NULL, "more than %d keys in one directory", KEYS_MAX);
        else
            snprintf(list.v[list.n++], sizeof list.v[0], "%.*s", (int)(n - 4), e->d_name);
    }
    closedir(d);
    if (err != TM_OK) {
        free(list.v);
        return err;
    }
    qsort(list.v, list.n, sizeof list.v[0], id_cmp);
    *ret = list;
    return TM_OK;
}

static struct core_key *find_key(struct core *c, struct slice id)
{
    for (size_t i = 0; i < c->n_keys; i++)
        if (slice_eq_str(id, c->keys[i]->id))
            return c->keys[i];
    return NULL;
}

/* scrypt takes its time, so several keys are unlocked at once. */
struct unlocking {
    struct core *core;
    const struct id_list *ids;
    struct core_key **keys;
    atomic_size_t next;
    pthread_mutex_t mutex;
    tm_err err;
    struct diag diag;
};

static void *unlock_thread(void *arg)
{
    struct unlocking *u = arg;
    for (size_t i; (i = atomic_fetch_add(&u->next, 1)) < u->ids->n;) {
        struct diag diag = {0};
        tm_err err = core_key_open(&u->keys[i], &u->core->shared, u->core->dir, u->ids->v[i],
                                   &u->core->passphrase, &diag);
        if (err == TM_OK)
            continue;
        pthread_mutex_lock(&u->mutex);
        if (u->err == TM_OK) {
            u->err = err;
            u->diag = diag;
        }
        pthread_mutex_unlock(&u->mutex);
    }
    return NULL;
}

static tm_err unlock(struct core *c, const struct id_list *ids, struct core_key **keys, struct diag *diag)
{
    struct unlocking u = {.core = c, .ids = ids, .keys = keys, .mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[UNLOCKERS_MAX];
    size_t n = 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    while (n < UNLOCKERS_MAX && n + 1 < ids->n && (long)n + 1 < cores &&
           pthread_create(&threads[n], NULL, unlock_thread, &u) == 0)
        n++;
    unlock_thread(&u);
    while (n)
        pthread_join(threads[--n], NULL);
    if (u.err != TM_OK && diag)
        *diag = u.diag;
    return u.err;
}

/* What of all keys says which certificates are this signer's own. */
static tm_err tell_known(struct core *c)
{
    struct known_key *v = calloc(c->n_keys + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < c->n_keys; i++)
        v[i] = (struct known_key){.spki = key_spki(c->keys[i]->key), .env = &c->keys[i]->env};
    tm_err err = known_keys(c->shared.known, v, c->n_keys);
    free(v);
    return err;
}

/* Bring the table in line with the directory: known keys get their envelopes read again, new ones are unlocked, vanished ones
 * dropped. All or nothing, but for envelopes. */
static tm_err load_keys(struct core *c, struct diag *diag)
{
    struct id_list all = {0}, fresh = {0};
    TM_TRY(list_ids(&all, c->dir, diag));
    fresh.v = calloc(all.n + 1, sizeof fresh.v[0]);
    struct core_key **opened = calloc(all.n + 1, sizeof *opened), **table = calloc(all.n + 1, sizeof *table);
    tm_err err = fresh.v && opened && table ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; err == TM_OK && i < all.n; i++) {
        struct core_key *k = find_key(c, slice_str(all.v[i]));
        if (k)
            err = core_key_refresh(k, c->dir, diag);
        else
            memcpy(fresh.v[fresh.n++], all.v[i], sizeof all.v[i]);
    }
    if (err == TM_OK)
        err = unlock(c, &fresh, opened, diag);
    if (err == TM_OK) {
        size_t n_fresh = 0;
        for (size_t i = 0; i < all.n; i++) {
            struct core_key *k = find_key(c, slice_str(all.v[i]));
            table[i] = k ? k : opened[n_fresh++];
        }
        for (size_t i = 0; i < c->n_keys; i++)
            if (!bsearch(c->keys[i]->id, all.v, all.n, sizeof all.v[0], id_cmp))
                core_key_close(c->keys[i]);
        memcpy(c->keys, table, all.n * sizeof *table);
        c->n_keys = all.n;
    } else if (opened) {
        for (size_t i = 0; i < fresh.n; i++)
            core_key_close(opened[i]);
    }
    free(table);
    free(opened);
    free(fresh.v);
    free(all.v);
    return err == TM_OK ? tell_known(c) : err;
}

/* ---- opening and closing ---- */

tm_err core_open(struct core **ret, int dir, const struct secret *passphrase, bool in_process,
                 struct diag *diag)
{
    struct core *c = calloc(1, sizeof *c);
    if (!c) {
        close(dir);
        return TM_ENOMEM;
    }
    c->dir = dir;
    c->in_process = in_process;
    c->shared.fd = -1;
    pthread_mutex_init(&c->shared.write_mutex, NULL);
    c->batch = core_batch_new();
    tm_err err = c->batch ? known_new(&c->shared.known) : TM_ENOMEM;
    if (err == TM_OK && passphrase)
        err = secret_copy(&c->passphrase, secret_slice(passphrase));
    if (err == TM_OK)
        err = journal_open(&c->shared.journal, dir, diag);
    if (err == TM_OK)
        err = load_keys(c, diag);
    if (err != TM_OK) {
        core_close(c);
        return err;
    }
    *ret = c;
    return TM_OK;
}

void core_close(struct core *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_keys; i++)
        core_key_close(c->keys[i]);
    for (size_t i = 0; i < c->n_fds; i++)
        close(c->fds[i]);
    journal_close(c->shared.journal);
    known_free(c->shared.known);
    secret_done(&c->passphrase);
    pthread_mutex_destroy(&c->shared.write_mutex);
    close(c->dir);
    core_batch_free(c->batch);
    free(c->in);
    free(c);
}

/* ---- signing requests ---- */

static tm_err take_descriptor(int *ret, struct core *c, struct diag *diag)
{
    if (c->n_fds == 0)
        return diag_fail(diag, TM_EMALFORMED, "signer.memfd", NULL, "no descriptor came with the operation");
    *ret = c->fds[0];
    c->n_fds--;
    memmove(c->fds, c->fds + 1, c->n_fds * sizeof c->fds[0]);
    return TM_OK;
}

/* A file may change under its reader, so each octet is read once (signer_crl.c). Not a pipe or a device, on which a thread would stand still. */
static tm_err take_file(struct core *c, struct core_job *job, struct diag *diag)
{
    struct stat st;
    TM_TRY(take_descriptor(&job->fd, c, diag));
    if (job->op.kind != SIGN_CRL || (job->op.flags & PROTO_FLAG_MEMFD))
        return diag_fail(diag, TM_EMALFORMED, "signer.file", NULL, "only CRLs come as files");
    if (fstat(job->fd, &st) != 0 || !S_ISREG(st.st_mode) || job->op.tbs_size == 0 ||
        job->op.tbs_size > CRL_STREAM_MAX || (uint64_t)st.st_size < job->op.serial_offset + job->op.tbs_size)
        return diag_fail(diag, TM_EMALFORMED, "signer.file", NULL, "the file is not what was announced");
    return TM_OK;
}

/* The sealed memory that goes with an operation: nothing can change under the parser, and it cannot be cut short. */
static tm_err map_memfd(struct core *c, struct core_job *job, struct diag *diag)
{
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };
    TM_CLEANUP(tm_close_p) int fd = -1;
    TM_TRY(take_descriptor(&fd, c, diag));
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (job->op.kind != SIGN_CRL)
        return diag_fail(diag, TM_EMALFORMED, "signer.memfd", NULL, "only CRLs come as memory");
    if (seals < 0 || (seals & SEALS) != SEALS)
        return diag_fail(diag, TM_EDENIED, "signer.memfd", NULL, "the memory is not sealed");
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size != job->op.tbs_size ||
        st.st_size > CRL_DER_MAX)
        return diag_fail(diag, TM_EMALFORMED, "signer.memfd", NULL,
                         "the memory has another size than announced");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return TM_ENOMEM;
    job->map = p;
    job->op.tbs = slice_of(p, (size_t)st.st_size);
    return TM_OK;
}

/* Fast jobs wait in `fast` until the rest of the frame has been handed to its threads. */
struct fast_list {
    struct core_key *key[PROTO_BATCH_MAX];
    struct core_job *job[PROTO_BATCH_MAX];
    size_t n;
};

static void run_fast(struct core *c, const struct fast_list *fast)
{
    for (size_t i = 0; i < fast->n;) {
        size_t from = i;
        for (i++; i < fast->n && fast->key[i] == fast->key[from]; i++)
            fast->job[i - 1]->next = fast->job[i];
        fast->job[i - 1]->next = NULL;
        core_key_run(fast->key[from], c->batch, fast->job[from]);
    }
}

/* Who asks for a responder's certificate gets it for a key of this signer that answers for that very CA and can do nothing else: a
 * taken-over server becomes no responder by it. Envelopes change on this thread alone. */
static tm_err check_responder_key(const struct core *c, const struct core_job *job, struct diag *diag)
{
    struct cert cert;
    if (job->op.kind != SIGN_LEAF || cert_parse_tbs(&cert, job->op.tbs, diag) != TM_OK)
        return diag_fail(diag, TM_EDENIED, "signer.responder", NULL, "not a responder's certificate");
    for (size_t i = 0; i < c->n_keys; i++) {
        const struct core_key *k = c->keys[i];
        if (k->env.allow == 1u << SIGN_OCSP && k->env.issuer.n && slice_eq(k->env.issuer, cert.issuer) &&
            slice_eq(key_spki(k->key), cert.spki.der))
            return TM_OK;
    }
    return diag_fail(diag, TM_EDENIED, "signer.responder", "subjectPublicKeyInfo",
                     "the key is none of this signer's that answer for this CA and do nothing else");
}

static tm_err dispatch(struct core *c, struct core_job *job, struct fast_list *fast, struct diag *diag)
{
    if (job->op.flags & PROTO_FLAG_FILE)
        TM_TRY(take_file(c, job, diag));
    else if (job->op.flags & PROTO_FLAG_MEMFD)
        TM_TRY(map_memfd(c, job, diag));
    if ((job->op.flags & PROTO_FLAG_ADOPT) && (!c->in_process || job->op.kind != SIGN_CA))
        return diag_fail(diag, TM_EDENIED, "signer.adopt_serial", NULL, "serials are the signer's to choose");
    if ((job->op.flags & PROTO_FLAG_RA) && (!c->in_process || job->op.kind != SIGN_LEAF))
        return diag_fail(diag, TM_EDENIED, "signer.ra", NULL, "an RA is certified by ceremony only");
    if (job->op.flags & PROTO_FLAG_RESPONDER)
        TM_TRY(check_responder_key(c, job, diag));
    struct core_key *k = find_key(c, job->op.key_id);
    if (!k)
        return diag_fail(diag, TM_ENOTFOUND, "signer.key", NULL, "there is no key %.*s",
                         (int)job->op.key_id.n, (const char *)job->op.key_id.p);
    if (atomic_load(&c->shared.queued_bytes) > QUEUED_BYTES_MAX)
        return diag_fail(diag, TM_EBUSY, "signer.queue", NULL, "too much is queued");
    if (!core_job_fast(k, job))
        return core_key_submit(k, job);
    fast->key[fast->n] = k;
    fast->job[fast->n++] = job;
    return TM_OK;
}

/* u16 n, n operations. What is wrong with the frame ends the connection; what is wrong with an operation is its answer. */
static tm_err on_sign(struct core *c, struct slice body)
{
    struct proto_reader r;
    proto_reader_init(&r, body);
    size_t n = (size_t)proto_read_uint(&r, 2);
    if (r.failed || n == 0 || n > PROTO_BATCH_MAX)
        return TM_EMALFORMED;
    struct core_frame *f = core_frame_new(&c->shared, body, n);
    if (!f)
        return TM_ENOMEM;
    proto_reader_init(&r, slice_sub(slice_of(f->bytes, f->n), 2, f->n));
    tm_err err = TM_OK;
    for (size_t i = 0; err == TM_OK && i < n; i++)
        err = proto_read_op(&r, &f->jobs[i].op);
    if (err == TM_OK)
        err = proto_end(&r);
    if (err != TM_OK) {
        core_frame_unref(f, n);
        return err;
    }
    struct buf bad;
    buf_init(&bad, PROTO_REPLY_MAX);
    size_t n_bad = 0;
    struct fast_list fast;
    fast.n = 0;
    for (size_t i = 0; i < n; i++) {
        struct diag diag = {0};
        uint32_t tag = f->jobs[i].op.tag;
        tm_err why = dispatch(c, &f->jobs[i], &fast, &diag);
        if (why == TM_OK)
            continue;
        proto_put_bad(&bad, tag, why, &diag);
        core_job_done(&f->jobs[i]);
        n_bad++;
    }
    if (n_bad)
        core_send_results(&c->shared, &bad, n_bad);
    buf_done(&bad);
    run_fast(c, &fast);
    return TM_OK;
}

/* ---- questions ---- */

static tm_err put_info(struct core *c, struct buf *out)
{
    proto_put_uint(out, c->n_keys, 2);
    for (size_t i = 0; i < c->n_keys; i++) {
        const struct core_key *k = c->keys[i];
        struct slice spki = key_spki(k->key);
        proto_put_uint(out, strlen(k->id), 1);
        buf_puts(out, k->id);
        proto_put_uint(out, key_alg(k->key), 1);
        proto_put_uint(out, key_bits(k->key), 4);
        proto_put_uint(out, spki.n, 4);
        buf_put_slice(out, spki);
        size_t at = out->n;
        proto_put_uint(out, 0, 4);
        TM_TRY(envelope_to_json(out, &k->env));
        size_t n = out->n - at - 4;
        for (int j = 0; j < 4; j++)
            out->p[at + (size_t)j] = (uint8_t)(n >> (24 - 8 * j));
    }
    return buf_err(out);
}

static tm_err put_journal(struct core *c, struct buf *out, uint64_t after, struct diag *diag)
{
    struct signer_entry *e = calloc(PROTO_JOURNAL_MAX, sizeof *e);
    size_t n = 0;
    if (!e)
        return TM_ENOMEM;
    tm_err err = journal_read(c->shared.journal, after, e, PROTO_JOURNAL_MAX, &n, diag);
    if (err == TM_OK) {
        proto_put_uint(out, n, 2);
        for (size_t i = 0; i < n; i++)
            proto_put_entry(out, &e[i]);
        err = buf_err(out);
    }
    free(e);
    return err;
}

static tm_err on_question(struct core *c, enum proto_type type, struct slice body)
{
    struct proto_reader r;
    struct buf out, answer;
    struct diag diag = {0};
    proto_reader_init(&r, body);
    uint32_t tag = (uint32_t)proto_read_uint(&r, 4);
    uint64_t after = type == PROTO_JOURNAL ? proto_read_uint(&r, 8) : 0;
    TM_TRY(proto_end(&r));
    buf_init(&out, PROTO_REPLY_MAX);
    buf_init(&answer, PROTO_REPLY_MAX - 4096);
    tm_err err = TM_OK;
    if (type == PROTO_RELOAD)
        err = load_keys(c, &diag);
    if (err == TM_OK && (type == PROTO_INFO || type == PROTO_RELOAD))
        err = put_info(c, &answer);
    if (type == PROTO_JOURNAL)
        err = put_journal(c, &answer, after, &diag);
    if (type == PROTO_CHAIN) {
        uint64_t seq;
        uint8_t hash[32];
        journal_position(c->shared.journal, &seq, hash);
        proto_put_uint(&answer, seq, 8);
        buf_put(&answer, hash, sizeof hash);
        err = buf_err(&answer);
    }
    size_t at = proto_begin(&out, type);
    proto_put_uint(&out, tag, 4);
    proto_put_status(&out, err, &diag);
    if (err == TM_OK)
        buf_put_slice(&out, buf_slice(&answer));
    proto_finish(&out, at);
    err = buf_err(&out);
    if (err == TM_OK)
        core_send(&c->shared, buf_slice(&out));
    buf_done(&answer);
    buf_done(&out);
    return err;
}

/* ---- the connection ---- */

static void keep_fds(struct core *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->n_fds < FDS_WAITING_MAX)
                c->fds[c->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

/* More octets; false at the end. */
static bool receive(struct core *c)
{
    if (c->in_cap - c->in_n < RECV_CHUNK) {
        size_t cap = c->in_n + RECV_CHUNK + (c->in_n >> 1);
        uint8_t *p = realloc(c->in, cap);
        if (!p)
            return false;
        c->in = p;
        c->in_cap = cap;
    }
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(FDS_WAITING_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = c->in + c->in_n, .iov_len = c->in_cap - c->in_n};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(c->shared.fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    keep_fds(c, &m);
    c->in_n += (size_t)n;
    return true;
}

/* Every whole frame that is there. */
static tm_err on_bytes(struct core *c)
{
    size_t at = 0;
    tm_err err = TM_OK;
    for (;;) {
        enum proto_type type;
        size_t n = 0;
        struct slice rest = slice_of(c->in + at, c->in_n - at);
        err = proto_frame(&type, &n, rest, PROTO_REQUEST_MAX);
        if (err != TM_OK)
            break;
        struct slice body = slice_sub(rest, PROTO_HEAD, n - PROTO_HEAD);
        if (type == PROTO_SIGN)
            err = on_sign(c, body);
        else if (type == PROTO_HELLO)
            err = TM_EMALFORMED;
        else
            err = on_question(c, type, body);
        if (err != TM_OK)
            return err;
        at += n;
    }
    memmove(c->in, c->in + at, c->in_n - at);
    c->in_n -= at;
    return err == TM_EPENDING ? TM_OK : err;
}

void core_refuse(int fd, tm_err err, const struct diag *diag)
{
    struct core_shared s = {.fd = fd, .write_mutex = PTHREAD_MUTEX_INITIALIZER};
    struct buf out;
    buf_init(&out, 4096);
    size_t at = proto_begin(&out, PROTO_HELLO);
    proto_put_status(&out, err, diag);
    proto_finish(&out, at);
    if (buf_err(&out) == TM_OK)
        core_send(&s, buf_slice(&out));
    buf_done(&out);
}

void core_serve(struct core *c, int fd)
{
    c->shared.fd = fd;
    release_start(&c->shared);
    core_refuse(fd, TM_OK, NULL);
    while (receive(c) && on_bytes(c) == TM_OK)
        ;
    /* Whoever still signs finds nobody to write to. */
    shutdown(fd, SHUT_RDWR);
    for (size_t i = 0; i < c->n_keys; i++)
        core_key_close(c->keys[i]);
    c->n_keys = 0;
    release_stop(&c->shared);
}
