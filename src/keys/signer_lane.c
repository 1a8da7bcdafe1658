#include "keys/signer_lane.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "keys/key_transport.h"
#include "keys/known.h"
#include "keys/signer_checkpoint.h"
#include "keys/signer_crl.h"
#include "keys/signer_release.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* A batch ends after so many signatures or so much time: its members wait for one another. */
enum {
    BATCH_MAX = 64,
    BATCH_NS = 1000000,
    LANE_STACK = 512 << 10,
    CHECK_ARENA_MAX = 4 << 20,
    RANDOM_LEN = 10
};

static const uint64_t TALLY_NS = 60ull * 1000000000; /* OCSP responses have an entry in the chain so often */

/* ---- frames and jobs ---- */

struct core_frame *core_frame_new(struct core_shared *s, struct slice bytes, size_t n_jobs)
{
    struct core_frame *f = calloc(1, sizeof *f + n_jobs * sizeof f->jobs[0] + bytes.n);
    if (!f)
        return NULL;
    f->shared = s;
    f->refs = n_jobs;
    f->n = bytes.n;
    f->bytes = (uint8_t *)&f->jobs[n_jobs];
    memcpy(f->bytes, bytes.p, bytes.n);
    for (size_t i = 0; i < n_jobs; i++) {
        f->jobs[i].frame = f;
        f->jobs[i].fd = -1;
    }
    atomic_fetch_add(&s->queued_bytes, f->n);
    return f;
}

void core_frame_unref(struct core_frame *f, size_t n)
{
    if (atomic_fetch_sub(&f->refs, n) != n)
        return;
    atomic_fetch_sub(&f->shared->queued_bytes, f->n);
    free(f);
}

void core_job_done(struct core_job *job)
{
    if (job->op.kind == SIGN_SECRET && !job->map && job->op.tbs.n)
        explicit_bzero(job->frame->bytes + (job->op.tbs.p - job->frame->bytes), job->op.tbs.n);
    if (job->map)
        munmap(job->map, job->op.tbs.n);
    job->map = NULL;
    tm_close_p(&job->fd);
    job->fd = -1;
    core_frame_unref(job->frame, 1);
}

/* ---- sending ---- */

void core_send(struct core_shared *s, struct slice bytes)
{
    pthread_mutex_lock(&s->write_mutex);
    while (bytes.n) {
        ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        bytes = slice_of(bytes.p + n, bytes.n - (size_t)n);
    }
    pthread_mutex_unlock(&s->write_mutex);
}

void core_send_results(struct core_shared *s, const struct buf *results, size_t n)
{
    struct buf out;
    buf_init(&out, PROTO_REPLY_MAX);
    size_t at = proto_begin(&out, PROTO_SIGN);
    proto_put_uint(&out, n, 2);
    buf_put_slice(&out, buf_slice(results));
    proto_finish(&out, at);
    if (buf_err(&out) == TM_OK)
        core_send(s, buf_slice(&out));
    buf_done(&out);
}

/* ---- one batch ---- */

/* Working space of one lane's thread. */
struct batch {
    struct core_key *key;
    struct envelope env;
    struct arena *arena;
    struct buf out, bad;
    size_t n_bad, n;  /* refused, or decrypted without an entry; signed, with an entry in the journal */
    size_t n_counted; /* signed without one */
    struct signer_entry entry[BATCH_MAX];
    uint32_t tag[BATCH_MAX], counted[BATCH_MAX];
    size_t chain_at[BATCH_MAX];
    uint8_t chain[BATCH_MAX][32];
    uint8_t random[BATCH_MAX][RANDOM_LEN];
};

static tm_err check_and_fill(struct batch *b, struct core_job *job, enum sig_alg alg, struct proto_result *r,
                             int64_t now)
{
    const struct proto_op *op = &job->op;
    bool adopt = op->flags & PROTO_FLAG_ADOPT;
    size_t serial_at = 0;
    switch ((enum sign_kind)op->kind) {
    case SIGN_LEAF:
    case SIGN_CA:
        TM_TRY(envelope_check_cert(&b->env, b->arena, (enum sign_kind)op->kind, alg,
                                   adopt                              ? SERIAL_ADOPTED
                                   : op->flags & PROTO_FLAG_RA        ? SERIAL_FRESH_RA
                                   : op->flags & PROTO_FLAG_RESPONDER ? SERIAL_FRESH_RESPONDER
                                                                      : SERIAL_FRESH,
                                   op->tbs, now, &serial_at, &r->diag));
        if (!adopt && serial_at != op->serial_offset)
            return diag_fail(&r->diag, TM_EINVAL, "signer.serial_offset", "serialNumber",
                             "the serial stands at %zu", serial_at);
        if (serial_at) {
            uint8_t *serial = job->frame->bytes + (op->tbs.p - job->frame->bytes) + serial_at;
            if (!adopt)
                memcpy(serial + CERT_SERIAL_LEN - RANDOM_LEN, b->random[b->n], RANDOM_LEN);
            memcpy(r->serial, serial, CERT_SERIAL_LEN);
        }
        return TM_OK;
    case SIGN_CRL:
        return envelope_check_crl(&b->env, alg, op->tbs, now, &r->diag);
    case SIGN_OCSP:
        return envelope_check_ocsp(&b->env, op->tbs, now, &r->diag);
    case SIGN_CMS:
        return envelope_check_cms(&b->env, b->key->shared->known, op->tbs, op->content, now, &r->diag);
    case SIGN_CMP:
        return envelope_check_cmp(&b->env, b->key->shared->known, op->tbs, op->content, now, &r->diag);
    default:
        return diag_fail(&r->diag, TM_EUNSUPPORTED, "signer.kind", NULL, "this signer does not do that");
    }
}

/* One OCSP response more: *ret_entry when it is to bear the entry of all since the last, whose hash is then `hash`. */
static tm_err tally_add(struct core_tally *t, uint8_t hash[32], bool *ret_entry)
{
    static const char label[] = "touchmark-ocsp-v1";
    uint8_t pair[64], count[8];
    uint64_t now = clock_mono_ns();
    memcpy(pair, t->hash, 32);
    memcpy(pair + 32, hash, 32);
    TM_TRY(sha256(t->hash, SLICE_ARR(pair)));
    t->count++;
    *ret_entry = t->entry_ns == 0 || now - t->entry_ns >= TALLY_NS;
    if (!*ret_entry)
        return TM_OK;
    for (int i = 0; i < 8; i++)
        count[i] = (uint8_t)(t->count >> (56 - 8 * i));
    const struct slice parts[] = {slice_of(label, sizeof label), SLICE_ARR(count), SLICE_ARR(t->hash)};
    TM_TRY(sha256_many(hash, parts, 3));
    *t = (struct core_tally){.entry_ns = now};
    return TM_OK;
}

/* What is given back is no signature, but stands in its place: the key that was inside a message, a secret opened or sealed. With an entry in the
 * chain the answer's "serial" ends in the count of openings so far. */
static tm_err open_one(struct batch *b, struct core_job *job, int64_t now)
{
    struct proto_result r = {.tag = job->op.tag};
    uint8_t out[SEALED_MAX];
    static_assert((int)SEALED_MAX >= (int)TRANSPORT_KEY_MAX, "either fits");
    size_t n = 0, unused;
    bool enter = false;
    struct core_key *k = b->key;
    const struct decrypt_tally *t = job->op.kind == SIGN_DECRYPT ? &k->decrypted : &k->secrets.opened;
    tm_err err = job->map                       ? TM_EINVAL
                 : job->op.kind == SIGN_DECRYPT ? signer_decrypt(out, &n, &k->decrypted, &enter, r.tbs_hash,
                                                                 k->key, &b->env, job->op.tbs, now, &r.diag)
                                                : signer_secret(out, &n, &k->secrets, &enter, r.tbs_hash,
                                                                k->key, &b->env, job->op.tbs, now, &r.diag);
    r.signature = slice_of(out, n);
    if (err != TM_OK) {
        proto_put_bad(&b->bad, job->op.tag, err, &r.diag);
        b->n_bad++;
    } else if (!enter) {
        proto_put_good(&b->bad, &r, &unused);
        b->n_bad++;
    } else {
        struct signer_entry *e = &b->entry[b->n];
        *e = (struct signer_entry){.kind = (enum sign_kind)job->op.kind, .time = now};
        memcpy(e->key_id, k->id, sizeof e->key_id);
        memcpy(e->tbs_hash, r.tbs_hash, sizeof e->tbs_hash);
        for (int i = 0; i < 8; i++)
            r.serial[CERT_SERIAL_LEN - 1 - i] = (uint8_t)(t->count >> (8 * i));
        proto_put_good(&b->out, &r, &b->chain_at[b->n]);
        b->tag[b->n++] = job->op.tag;
    }
    explicit_bzero(out, sizeof out);
    return err;
}

static tm_err sign_one(struct batch *b, struct core_job *job, int64_t now)
{
    if (job->op.kind == SIGN_DECRYPT || job->op.kind == SIGN_SECRET)
        return open_one(b, job, now);
    struct key *key = b->key->key;
    enum sig_alg alg =
        job->op.alg == SIG_ALG_NONE ? sig_alg_default(key_alg(key)) : (enum sig_alg)job->op.alg;
    struct proto_result r;
    uint8_t signature[KEY_SIGNATURE_MAX];
    r.tag = job->op.tag;
    r.seq = 0;
    memset(r.serial, 0, sizeof r.serial);
    memset(r.chain_hash, 0, sizeof r.chain_hash);
    diag_clear(&r.diag);
    struct signer_entry *e = &b->entry[b->n];
    *e = (struct signer_entry){.kind = (enum sign_kind)job->op.kind, .time = now};
    memcpy(e->key_id, b->key->id, sizeof e->key_id);

    tm_err err = sig_alg_fits(alg, key_alg(key)) ? TM_OK : TM_EUNSUPPORTED;
    bool checkpoint = job->op.kind == SIGN_CHECKPOINT;
    struct crl_digests digests = {0};
    if (err == TM_OK && job->fd >= 0) {
        err = signer_crl_read(&digests, job, key, alg, &b->env, now, &r.diag);
        memcpy(r.tbs_hash, digests.sha256, sizeof r.tbs_hash);
    } else if (err == TM_OK && !checkpoint) {
        err = check_and_fill(b, job, alg, &r, now);
    }
    if (err == TM_OK && job->fd < 0)
        err = sha256(r.tbs_hash, job->op.tbs);
    memcpy(e->serial, r.serial, sizeof e->serial);
    memcpy(e->tbs_hash, r.tbs_hash, sizeof e->tbs_hash);
    bool entry = true;
    size_t n = 0;
    if (err == TM_OK && checkpoint) {
        err = checkpoint_sign(b->key->shared->journal, key, alg, &b->env, b->arena, &job->op, e, signature,
                              &n, r.chain_hash, &r.diag);
        r.seq = e->seq;
    } else if (err == TM_OK && job->fd >= 0) {
        err = key_sign_digest(signature, &n, key, alg, slice_of(digests.message, digests.n), &r.diag);
    } else if (err == TM_OK) {
        err = key_sign_raw(signature, &n, key, alg, job->op.tbs, r.tbs_hash, &r.diag);
    }
    if (err == TM_OK && job->op.kind == SIGN_OCSP) {
        err = tally_add(&b->key->tally, r.tbs_hash, &entry);
        memcpy(e->tbs_hash, r.tbs_hash, sizeof e->tbs_hash);
    }
    if (err == TM_OK && (job->op.kind == SIGN_LEAF || job->op.kind == SIGN_CA))
        known_signed(b->key->shared->known, r.tbs_hash);
    arena_reset(b->arena);
    if (err != TM_OK) {
        proto_put_bad(&b->bad, job->op.tag, err, &r.diag);
        b->n_bad++;
        return err;
    }
    r.signature = slice_of(signature, n);
    proto_put_good(&b->out, &r, &b->chain_at[b->n]);
    if (entry)
        b->tag[b->n++] = job->op.tag;
    else
        b->counted[b->n_counted++] = job->op.tag;
    return TM_OK;
}

static void fill_chain(struct batch *b)
{
    if (buf_err(&b->out) != TM_OK)
        return;
    for (size_t i = 0; i < b->n; i++) {
        uint8_t *p = b->out.p + b->chain_at[i];
        for (int j = 0; j < 8; j++)
            p[j] = (uint8_t)(b->entry[i].seq >> (56 - 8 * j));
        memcpy(p + 8, b->chain[i], 32);
    }
}

/* Every signature of the batch stands in the journal, and on the disk, before one of them leaves. */
static void batch_end(struct batch *b, size_t frame_at, size_t results_at, bool in_journal)
{
    struct diag diag = {0};
    struct core_shared *s = b->key->shared;
    tm_err err = buf_err(&b->out);
    if (err == TM_OK && !in_journal && b->n) {
        err = journal_append(s->journal, b->entry, b->n, b->chain, &diag);
        fill_chain(b);
    }
    if (err != TM_OK) {
        b->out.n = b->out.n < results_at ? b->out.n : results_at;
        for (size_t i = 0; i < b->n; i++)
            proto_put_bad(&b->out, b->tag[i], err, &diag);
        for (size_t i = 0; i < b->n_counted; i++)
            proto_put_bad(&b->out, b->counted[i], err, &diag);
    }
    size_t n = b->n + b->n_counted + b->n_bad;
    buf_put_slice(&b->out, buf_slice(&b->bad));
    if (buf_err(&b->out) == TM_OK && !journal_broken(s->journal)) {
        b->out.p[frame_at + PROTO_HEAD] = (uint8_t)(n >> 8);
        b->out.p[frame_at + PROTO_HEAD + 1] = (uint8_t)n;
        proto_finish(&b->out, frame_at);
        /* A checkpoint, which is all that is in the journal already, is nobody's request. */
        if (b->n)
            release_frame(s, buf_slice(&b->out), n, in_journal);
        else
            core_send(s, buf_slice(&b->out)); /* nothing of it waits for the disk */
    } else {
        /* Out of memory, or of a disk: those who wait must not wait for ever. A new signer opens the journal anew. */
        shutdown(s->fd, SHUT_RDWR);
    }
}

/* Sign from the front of the list; returns the rest. */
static struct core_job *batch_run(struct batch *b, struct core_job *list)
{
    pthread_mutex_lock(&b->key->env_mutex);
    b->env = b->key->env;
    pthread_mutex_unlock(&b->key->env_mutex);
    buf_reset(&b->out);
    buf_reset(&b->bad);
    b->n = b->n_counted = b->n_bad = 0;
    size_t at = proto_begin(&b->out, PROTO_SIGN);
    proto_put_uint(&b->out, 0, 2);
    size_t results_at = b->out.n;
    bool in_journal = false;
    int64_t now = clock_now();
    uint64_t started = clock_mono_ns();
    tm_err chance = random_bytes(b->random, sizeof b->random);
    while (list) {
        struct core_job *job = list;
        bool checkpoint = job->op.kind == SIGN_CHECKPOINT;
        size_t done = b->n + b->n_counted + b->n_bad;
        /* A batch has one at least, however long this thread had to wait for a processor. */
        if (done == BATCH_MAX || (done > 0 && clock_mono_ns() - started >= BATCH_NS))
            break;
        if (checkpoint && done > 0)
            break; /* alone: it writes the journal by itself */
        list = job->next;
        if (chance != TM_OK) {
            proto_put_bad(&b->bad, job->op.tag, chance, NULL);
            b->n_bad++;
        } else {
            TM_IGNORE(sign_one(b, job, now));
        }
        core_job_done(job);
        if (checkpoint) {
            in_journal = true;
            break;
        }
    }
    batch_end(b, at, results_at, in_journal);
    if (in_journal)
        journal_compact(b->key->shared->journal);
    return list;
}

/* ---- lanes ---- */

static void refuse_all(struct core_shared *s, struct core_job *list)
{
    struct buf bad;
    size_t n = 0;
    buf_init(&bad, PROTO_REPLY_MAX);
    while (list) {
        struct core_job *job = list;
        list = job->next;
        proto_put_bad(&bad, job->op.tag, TM_EUNAVAIL, NULL);
        core_job_done(job);
        if (++n == PROTO_BATCH_MAX || !list) {
            core_send_results(s, &bad, n);
            buf_reset(&bad);
            n = 0;
        }
    }
    buf_done(&bad);
}

struct batch *core_batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->arena = arena_new(CHECK_ARENA_MAX);
    buf_init(&b->out, PROTO_REPLY_MAX);
    buf_init(&b->bad, PROTO_REPLY_MAX);
    if (!b->arena) {
        core_batch_free(b);
        return NULL;
    }
    return b;
}

void core_batch_free(struct batch *b)
{
    if (!b)
        return;
    buf_done(&b->out);
    buf_done(&b->bad);
    arena_free(b->arena);
    free(b);
}

bool core_job_fast(const struct core_key *k, const struct core_job *job)
{
    enum key_alg alg = key_alg(k->key);
    return (alg == KEY_ALG_EC_P256 || alg == KEY_ALG_ED25519) && !job->map && job->fd < 0 &&
           job->op.kind != SIGN_CHECKPOINT;
}

void core_key_run(struct core_key *k, struct batch *b, struct core_job *list)
{
    b->key = k;
    while (list)
        list = batch_run(b, list);
}

static void *lane_run(void *arg)
{
    struct core_lane *l = arg;
    struct batch *b = core_batch_new();
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->first && !l->stopping)
            pthread_cond_wait(&l->wake, &l->mutex);
        struct core_job *list = l->first;
        bool stopping = l->stopping;
        l->first = NULL;
        l->end = &l->first;
        pthread_mutex_unlock(&l->mutex);
        if (stopping || !b)
            refuse_all(l->key->shared, list);
        else
            core_key_run(l->key, b, list);
        if (stopping)
            break;
        pthread_mutex_lock(&l->mutex);
    }
    core_batch_free(b);
    return NULL;
}

static void lane_init(struct core_lane *l, struct core_key *k)
{
    l->key = k;
    l->end = &l->first;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->wake, NULL);
}

static tm_err lane_start(struct core_lane *l)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, LANE_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->started = pthread_create(&l->thread, &attr, lane_run, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return l->started ? TM_OK : TM_EUNAVAIL;
}

static void lane_stop(struct core_lane *l)
{
    if (l->started) {
        pthread_mutex_lock(&l->mutex);
        l->stopping = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
}

tm_err core_key_submit(struct core_key *k, struct core_job *job)
{
    /* What is large keeps to itself: a CRL of a million entries must not hold up certificates. */
    struct core_lane *l = job->map || job->fd >= 0 ? &k->bulk : &k->lane;
    if (!l->started)
        TM_TRY(lane_start(l));
    job->next = NULL;
    pthread_mutex_lock(&l->mutex);
    bool idle = !l->first;
    *l->end = job;
    l->end = &job->next;
    if (idle)
        pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    return TM_OK;
}

/* ---- keys ---- */

tm_err core_key_open(struct core_key **ret, struct core_shared *s, int dir, const char *id,
                     const struct secret *passphrase, struct diag *diag)
{
    struct core_key *k = calloc(1, sizeof *k);
    if (!k)
        return TM_ENOMEM;
    k->shared = s;
    snprintf(k->id, sizeof k->id, "%s", id);
    pthread_mutex_init(&k->env_mutex, NULL);
    lane_init(&k->lane, k);
    lane_init(&k->bulk, k);
    k->env_arena = arena_new(0);
    tm_err err =
        k->env_arena ? key_load_at(&k->key, &k->env, k->env_arena, dir, id, passphrase, diag) : TM_ENOMEM;
    if (err != TM_OK) {
        core_key_close(k);
        return err;
    }
    *ret = k;
    return TM_OK;
}

tm_err core_key_refresh(struct core_key *k, int dir, struct diag *diag)
{
    struct envelope env;
    TM_TRY(key_envelope_at(&env, k->env_arena, dir, k->id, k->key, diag));
    pthread_mutex_lock(&k->env_mutex);
    k->env = env;
    pthread_mutex_unlock(&k->env_mutex);
    return TM_OK;
}

void core_key_close(struct core_key *k)
{
    if (!k)
        return;
    lane_stop(&k->lane);
    lane_stop(&k->bulk);
    key_free(k->key);
    arena_free(k->env_arena);
    pthread_mutex_destroy(&k->env_mutex);
    free(k);
}
