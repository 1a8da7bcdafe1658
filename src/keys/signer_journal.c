#include "keys/signer_journal.h"
#include "base/clock.h"
#include "base/digest.h"
#include "register/merkle.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Numbers are big-endian.
 *   header 'H'  magic[24] at 8, base seq at 32, base hash at 40
 *   'S'         kind at 1, seq at 8, time at 16, key id[64] at 24, serial[16] at 88, tbs hash[32] at 104, chain hash[32] at 136
 *   'C'         seq of the last 'S' before it at 8, time at 16, size at 24, root[32] at 32, origin[32] at 64, covered at 96
 * and a checksum of the octets before it at 184: against torn writes, not against people. */
enum { AT_SEQ = 8, AT_TIME = 16, AT_KEY = 24, AT_SERIAL = 88, AT_HASH = 104, AT_CHAIN = 136, AT_SUM = 184 };
enum { AT_SIZE = 24, AT_ROOT = 32, AT_ORIGIN = 64, AT_COVERED = 96 };
enum { AT_MAGIC = 8, AT_BASE = 32, AT_BASE_HASH = 40 };

static const char magic[24] = "touchmark-signer-journal";
static const char file_name[] = "signer.journal", tmp_name[] = ".signer.journal.tmp",
                  lock_name[] = "signer.lock";

enum { ENTRIES_MAX = 16 << 20, COMPACT_SLACK = 1 << 16, APPEND_MAX = 256, CHUNK = 512 };

/* Room is made in advance: a flush that changes nothing but octets of a file that has its blocks costs a tenth of one that moves its end. */
enum { ROOM = 1 << 20, ROOM_LEFT = ROOM / 4 };

struct journal {
    int dir, lock_fd;
    pthread_mutex_t checkpoint; /* one checkpoint at a time; taken before `disk` */
    pthread_mutex_t disk;       /* held where the file is flushed or replaced; taken before `mutex` */
    pthread_mutex_t mutex;      /* everything below */
    int fd;
    uint64_t records; /* in the file, the header not counted */
    uint64_t synced;  /* of them, on the disk */
    off_t room;       /* the file's size: behind the records it is zero */
    uint64_t base_seq, seq, covered;
    uint8_t base_hash[32], hash[32], covered_hash[32];
    struct journal_log *logs;
    size_t n_logs, cap_logs;
    bool whole;  /* all of the file was read: until then nothing of it is cut off */
    bool broken; /* an append failed and could not be taken back, or a flush failed */
    uint8_t out[(APPEND_MAX + 2) * JOURNAL_RECORD];
};

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* FNV-1a's step over words: an octet-wise CRC would take two per cent of a signature's time. */
static uint64_t sum_of(const uint8_t *record)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < AT_SUM; i += 8) {
        h = (h ^ get64(record + i)) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static void seal_record(uint8_t *record)
{
    put64(record + AT_SUM, sum_of(record));
}

static bool record_whole(const uint8_t *record, uint8_t type)
{
    return record[0] == type && get64(record + AT_SUM) == sum_of(record);
}

static off_t offset_of(uint64_t record)
{
    return (off_t)((record + 1) * JOURNAL_RECORD);
}

static tm_err io_fail(struct diag *diag, const char *what)
{
    tm_err err = errno == ENOSPC || errno == EDQUOT ? TM_EFULL : TM_EIO;
    return diag_fail(diag, err, "signer.journal", file_name, "%s: %s", what, strerror(errno));
}

static bool write_at(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n) {
        ssize_t done = pwrite(fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
        at += done;
    }
    return true;
}

/* Octets read, less than n at the end of the file; -1. */
static ssize_t read_at(int fd, uint8_t *p, size_t n, off_t at)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(fd, p + have, n - have, at + (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

/* h(n) = SHA-256(h(n-1) || kind || SHA-256(tbs)) */
static tm_err chain_step(uint8_t out[32], const uint8_t before[32], unsigned kind, const uint8_t tbs_hash[32])
{
    uint8_t text[65];
    memcpy(text, before, 32);
    text[32] = (uint8_t)kind;
    memcpy(text + 33, tbs_hash, 32);
    return sha256(out, SLICE_ARR(text));
}

/* ---- states of logs ---- */

static struct journal_log *log_find(struct journal *j, const uint8_t origin[32])
{
    for (size_t i = 0; i < j->n_logs; i++)
        if (memcmp(j->logs[i].origin, origin, 32) == 0)
            return &j->logs[i];
    return NULL;
}

/* Room for one more log, so that the state can be taken over without failing. */
static tm_err logs_reserve(struct journal *j)
{
    if (j->n_logs < j->cap_logs)
        return TM_OK;
    if (j->n_logs >= JOURNAL_LOGS_MAX)
        return TM_ETOOBIG;
    size_t cap = j->cap_logs ? 2 * j->cap_logs : 8;
    struct journal_log *logs = realloc(j->logs, cap * sizeof *logs);
    if (!logs)
        return TM_ENOMEM;
    j->logs = logs;
    j->cap_logs = cap;
    return TM_OK;
}

static void log_set(struct journal *j, const struct journal_log *log)
{
    struct journal_log *old = log_find(j, log->origin);
    if (old)
        *old = *log;
    else
        j->logs[j->n_logs++] = *log;
}

static void log_record(uint8_t *record, const struct journal_log *log, uint64_t seq, uint64_t covered)
{
    memset(record, 0, JOURNAL_RECORD);
    record[0] = 'C';
    put64(record + AT_SEQ, seq);
    put64(record + AT_TIME, (uint64_t)clock_now());
    put64(record + AT_SIZE, log->size);
    memcpy(record + AT_ROOT, log->root, 32);
    memcpy(record + AT_ORIGIN, log->origin, 32);
    put64(record + AT_COVERED, covered);
    seal_record(record);
}

static void header_record(uint8_t *record, uint64_t seq, const uint8_t hash[32])
{
    memset(record, 0, JOURNAL_RECORD);
    record[0] = 'H';
    memcpy(record + AT_MAGIC, magic, sizeof magic);
    put64(record + AT_BASE, seq);
    memcpy(record + AT_BASE_HASH, hash, 32);
    seal_record(record);
}

/* ---- finding a position ---- */

/* The record of signature `seq`, which lies behind the base and not after the end. Record numbers grow with seq, and a 'C' bears the seq of the
 * 'S' before it: so the first record with that seq is the one. */
static tm_err find_record(struct journal *j, uint64_t seq, uint64_t *ret, struct diag *diag)
{
    uint64_t lo = 0, hi = j->records;
    uint8_t head[AT_SEQ + 8];
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (read_at(j->fd, head, sizeof head, offset_of(mid)) != (ssize_t)sizeof head)
            return io_fail(diag, "cannot read the journal");
        if (get64(head + AT_SEQ) < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret = lo;
    return TM_OK;
}

static tm_err hash_at(struct journal *j, uint64_t seq, uint8_t out[32], struct diag *diag)
{
    uint8_t record[JOURNAL_RECORD];
    uint64_t at;
    if (seq == j->seq) {
        memcpy(out, j->hash, 32);
        return TM_OK;
    }
    if (seq == j->base_seq) {
        memcpy(out, j->base_hash, 32);
        return TM_OK;
    }
    TM_TRY(find_record(j, seq, &at, diag));
    if (read_at(j->fd, record, sizeof record, offset_of(at)) != JOURNAL_RECORD)
        return io_fail(diag, "cannot read the journal");
    if (!record_whole(record, 'S') || get64(record + AT_SEQ) != seq)
        return diag_fail(diag, TM_ECORRUPT, "signer.journal", file_name, "entry %llu is damaged",
                         (unsigned long long)seq);
    memcpy(out, record + AT_CHAIN, 32);
    return TM_OK;
}

/* ---- opening ---- */

/* Take over one record. TM_ECORRUPT where it does not continue what was read so far: a torn tail. Other errors are not the file's. */
static tm_err replay(struct journal *j, const uint8_t *record)
{
    if (record_whole(record, 'S')) {
        uint8_t hash[32];
        if (get64(record + AT_SEQ) != j->seq + 1 || record[1] >= SIGN_KIND_COUNT)
            return TM_ECORRUPT;
        TM_TRY(chain_step(hash, j->hash, record[1], record + AT_HASH));
        if (memcmp(hash, record + AT_CHAIN, 32) != 0)
            return TM_ECORRUPT;
        j->seq++;
        memcpy(j->hash, hash, 32);
        return TM_OK;
    }
    if (!record_whole(record, 'C') || get64(record + AT_SEQ) != j->seq)
        return TM_ECORRUPT;
    TM_TRY(logs_reserve(j));
    struct journal_log log = {.size = get64(record + AT_SIZE)};
    memcpy(log.origin, record + AT_ORIGIN, 32);
    memcpy(log.root, record + AT_ROOT, 32);
    uint64_t covered = get64(record + AT_COVERED);
    if (covered > j->seq)
        return TM_ECORRUPT;
    if (covered > j->covered)
        j->covered = covered;
    log_set(j, &log);
    return TM_OK;
}

/* Behind the last record there are zeros, made in advance, or what a power cut left of records that were not synced. */
static tm_err check_tail(struct journal *j, uint8_t *chunk, struct diag *diag)
{
    off_t end = offset_of(j->records);
    ssize_t n;
    for (j->room = end; (n = read_at(j->fd, chunk, CHUNK * JOURNAL_RECORD, j->room)) > 0; j->room += n) {
        if (chunk[0] == 0 && memcmp(chunk, chunk + 1, (size_t)n - 1) == 0)
            continue;
        j->room = end;
        return ftruncate(j->fd, end) == 0 ? TM_OK : io_fail(diag, "cannot cut the journal's torn end");
    }
    return n == 0 ? TM_OK : io_fail(diag, "cannot read the journal");
}

static tm_err read_all(struct journal *j, struct diag *diag)
{
    uint8_t head[JOURNAL_RECORD];
    if (read_at(j->fd, head, sizeof head, 0) != JOURNAL_RECORD || !record_whole(head, 'H') ||
        memcmp(head + AT_MAGIC, magic, sizeof magic) != 0)
        return diag_fail(diag, TM_ECORRUPT, "signer.journal", file_name, "the journal's header is damaged");
    j->base_seq = j->seq = j->covered = get64(head + AT_BASE);
    memcpy(j->base_hash, head + AT_BASE_HASH, 32);
    memcpy(j->hash, j->base_hash, 32);
    uint8_t *chunk = malloc(CHUNK * JOURNAL_RECORD);
    if (!chunk)
        return TM_ENOMEM;
    tm_err err = TM_OK;
    for (bool more = true; more && err == TM_OK;) {
        ssize_t n = read_at(j->fd, chunk, CHUNK * JOURNAL_RECORD, offset_of(j->records));
        if (n < 0) {
            free(chunk);
            return io_fail(diag, "cannot read the journal");
        }
        size_t whole = (size_t)n / JOURNAL_RECORD;
        more = whole == CHUNK;
        for (size_t i = 0; i < whole && err == TM_OK; i++) {
            err = replay(j, chunk + i * JOURNAL_RECORD);
            j->records += err == TM_OK;
        }
    }
    if (err == TM_OK || err == TM_ECORRUPT)
        err = check_tail(j, chunk, diag);
    free(chunk);
    TM_TRY(err);
    /* A signer that was killed leaves records that only the kernel has; what is built on them must not be more lasting than they are. */
    if (fsync(j->fd) != 0)
        return io_fail(diag, "cannot sync the journal");
    j->synced = j->records;
    j->whole = true;
    return hash_at(j, j->covered, j->covered_hash, diag);
}

/* Written anew: the position as base, the logs' states, and the entries from record `from` on. Atomic. */
static tm_err write_new(struct journal *j, uint64_t base, const uint8_t hash[32], uint64_t from,
                        struct diag *diag)
{
    unlinkat(j->dir, tmp_name, 0);
    int fd = openat(j->dir, tmp_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return io_fail(diag, "cannot create the journal");
    uint8_t record[JOURNAL_RECORD];
    uint64_t records = 0;
    header_record(record, base, hash);
    bool good = write_at(fd, record, sizeof record, 0);
    for (size_t i = 0; good && i < j->n_logs; i++, records++) {
        log_record(record, &j->logs[i], base, base);
        good = write_at(fd, record, sizeof record, offset_of(records));
    }
    for (uint64_t i = from; good && i < j->records; i++) {
        good = read_at(j->fd, record, sizeof record, offset_of(i)) == JOURNAL_RECORD;
        if (good && record[0] == 'S')
            good = write_at(fd, record, sizeof record, offset_of(records++));
    }
    good = good && fsync(fd) == 0 && renameat(j->dir, tmp_name, j->dir, file_name) == 0;
    if (!good) {
        tm_err err = io_fail(diag, "cannot write the journal anew");
        close(fd);
        unlinkat(j->dir, tmp_name, 0);
        return err;
    }
    if (j->fd >= 0)
        close(j->fd);
    j->fd = fd;
    j->whole = true;
    j->records = j->synced = records;
    j->room = offset_of(records);
    j->base_seq = base;
    memmove(j->base_hash, hash, 32);
    if (fsync(j->dir) == 0)
        return TM_OK;
    j->broken = true; /* the old file may come back */
    return io_fail(diag, "cannot sync the key directory");
}

static tm_err take_lock(struct journal *j, struct diag *diag)
{
    j->lock_fd = openat(j->dir, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->lock_fd < 0)
        return io_fail(diag, "cannot open the lock");
    /* A signer whose server was killed needs a moment to notice. */
    for (int i = 0; i < 200; i++) {
        if (flock(j->lock_fd, LOCK_EX | LOCK_NB) == 0)
            return TM_OK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return io_fail(diag, "cannot lock the key directory");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return diag_fail(diag, TM_EBUSY, NULL, lock_name, "another signer is using this key directory");
}

tm_err journal_open(struct journal **ret, int dir, struct diag *diag)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return TM_ENOMEM;
    j->dir = dir;
    j->fd = j->lock_fd = -1;
    pthread_mutex_init(&j->mutex, NULL);
    pthread_mutex_init(&j->disk, NULL);
    pthread_mutex_init(&j->checkpoint, NULL);
    tm_err err = take_lock(j, diag);
    if (err == TM_OK) {
        static const uint8_t start[32]; /* h(0) */
        j->fd = openat(dir, file_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (j->fd >= 0)
            err = read_all(j, diag);
        else
            err =
                errno == ENOENT ? write_new(j, 0, start, 0, diag) : io_fail(diag, "cannot open the journal");
    }
    if (err != TM_OK) {
        journal_close(j);
        return err;
    }
    *ret = j;
    return TM_OK;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0) {
        /* The room made in advance is given back; where that fails it does no harm. */
        if (j->whole && !j->broken && ftruncate(j->fd, offset_of(j->records)) == 0)
            j->room = offset_of(j->records);
        fsync(j->fd);
        close(j->fd);
    }
    if (j->lock_fd >= 0)
        close(j->lock_fd);
    pthread_mutex_destroy(&j->mutex);
    pthread_mutex_destroy(&j->disk);
    pthread_mutex_destroy(&j->checkpoint);
    free(j->logs);
    free(j);
}

/* ---- appending ---- */

static tm_err entry_record(uint8_t *record, struct signer_entry *e, uint64_t seq, const uint8_t before[32],
                           uint8_t after[32])
{
    memset(record, 0, JOURNAL_RECORD);
    record[0] = 'S';
    record[1] = (uint8_t)e->kind;
    e->seq = seq;
    put64(record + AT_SEQ, seq);
    put64(record + AT_TIME, (uint64_t)e->time);
    memcpy(record + AT_KEY, e->key_id, sizeof e->key_id);
    memcpy(record + AT_SERIAL, e->serial, CERT_SERIAL_LEN);
    memcpy(record + AT_HASH, e->tbs_hash, 32);
    TM_TRY(chain_step(after, before, e->kind, e->tbs_hash));
    memcpy(record + AT_CHAIN, after, 32);
    seal_record(record);
    return TM_OK;
}

/* `n` ready records in j->out. What was written in part is taken back. */
static tm_err write_records(struct journal *j, size_t n, struct diag *diag)
{
    if (j->broken)
        return diag_fail(diag, TM_EIO, "signer.journal", file_name, "the journal is broken");
    if (write_at(j->fd, j->out, n * JOURNAL_RECORD, offset_of(j->records))) {
        j->records += n;
        if (j->room < offset_of(j->records))
            j->room = offset_of(j->records);
        return TM_OK;
    }
    tm_err err = io_fail(diag, "cannot write the journal");
    j->room = offset_of(j->records);
    if (ftruncate(j->fd, j->room) != 0)
        j->broken = true;
    return err;
}

/* ---- to the disk ---- */

/* True where the file has grown. A disk that is full has room for less: then the file grows with its records. */
static bool make_room(struct journal *j)
{
    static const uint8_t zeros[1 << 14];
    if (j->broken || j->room - offset_of(j->records) >= ROOM_LEFT)
        return false;
    for (off_t end = j->room + ROOM; j->room < end; j->room += (off_t)sizeof zeros)
        if (!write_at(j->fd, zeros, sizeof zeros, j->room)) {
            if (ftruncate(j->fd, j->room) != 0)
                j->broken = true;
            break;
        }
    return true;
}

tm_err journal_sync(struct journal *j, struct diag *diag)
{
    tm_err err = TM_OK;
    pthread_mutex_lock(&j->disk);
    pthread_mutex_lock(&j->mutex);
    bool grown = make_room(j), broken = j->broken;
    uint64_t records = j->records;
    bool idle = records == j->synced && !grown;
    pthread_mutex_unlock(&j->mutex);
    /* Only under `disk` is the file replaced: so the disk works while others append. */
    if (broken)
        err = diag_fail(diag, TM_EIO, "signer.journal", file_name, "the journal is broken");
    else if (!idle && fdatasync(j->fd) != 0)
        err = io_fail(diag, "cannot sync the journal");
    pthread_mutex_lock(&j->mutex);
    if (err == TM_OK)
        j->synced = records;
    else
        j->broken = true;
    pthread_mutex_unlock(&j->mutex);
    pthread_mutex_unlock(&j->disk);
    return err;
}

static tm_err append_locked(struct journal *j, struct signer_entry *e, size_t n, uint8_t (*ret_chain)[32])
{
    if (n > APPEND_MAX)
        return TM_ETOOBIG;
    const uint8_t *before = j->hash;
    for (size_t i = 0; i < n; i++) {
        TM_TRY(entry_record(j->out + i * JOURNAL_RECORD, &e[i], j->seq + 1 + i, before, ret_chain[i]));
        before = ret_chain[i];
    }
    return TM_OK;
}

/* Unseen signatures have an end. Checkpoints are not held back by it: they are what makes room. */
static tm_err check_uncovered(const struct journal *j, size_t n, struct diag *diag)
{
    if (j->seq - j->covered + n > ENTRIES_MAX)
        return diag_fail(
            diag, TM_EFULL, "signer.journal", file_name,
            "no checkpoint has covered the last %llu signatures: nothing more is signed until one does",
            (unsigned long long)(j->seq - j->covered));
    return TM_OK;
}

tm_err journal_append(struct journal *j, struct signer_entry *e, size_t n, uint8_t (*ret_chain)[32],
                      struct diag *diag)
{
    if (n == 0)
        return TM_OK;
    pthread_mutex_lock(&j->mutex);
    tm_err err = check_uncovered(j, n, diag);
    if (err == TM_OK)
        err = append_locked(j, e, n, ret_chain);
    if (err == TM_OK)
        err = write_records(j, n, diag);
    if (err == TM_OK) {
        j->seq += n;
        memcpy(j->hash, ret_chain[n - 1], 32);
    }
    pthread_mutex_unlock(&j->mutex);
    return err;
}

bool journal_broken(struct journal *j)
{
    pthread_mutex_lock(&j->mutex);
    bool broken = j->broken;
    pthread_mutex_unlock(&j->mutex);
    return broken;
}

void journal_position(struct journal *j, uint64_t *ret_seq, uint8_t ret_hash[32])
{
    pthread_mutex_lock(&j->mutex);
    *ret_seq = j->seq;
    memcpy(ret_hash, j->hash, 32);
    pthread_mutex_unlock(&j->mutex);
}

static void entry_from(struct signer_entry *e, const uint8_t *record)
{
    *e = (struct signer_entry){.seq = get64(record + AT_SEQ),
                               .kind = (enum sign_kind)record[1],
                               .time = (int64_t)get64(record + AT_TIME)};
    memcpy(e->key_id, record + AT_KEY, sizeof e->key_id - 1);
    memcpy(e->serial, record + AT_SERIAL, CERT_SERIAL_LEN);
    memcpy(e->tbs_hash, record + AT_HASH, 32);
}

tm_err journal_read(struct journal *j, uint64_t after, struct signer_entry *ret, size_t max, size_t *ret_n,
                    struct diag *diag)
{
    uint8_t record[JOURNAL_RECORD];
    uint64_t at = 0;
    size_t n = 0;
    pthread_mutex_lock(&j->mutex);
    if (after < j->covered)
        after = j->covered;
    tm_err err = after < j->seq ? find_record(j, after + 1, &at, diag) : TM_OK;
    if (after >= j->seq)
        at = j->records;
    for (; err == TM_OK && n < max && at < j->records; at++) {
        if (read_at(j->fd, record, sizeof record, offset_of(at)) != JOURNAL_RECORD)
            err = io_fail(diag, "cannot read the journal");
        else if (record_whole(record, 'S'))
            entry_from(&ret[n++], record);
    }
    pthread_mutex_unlock(&j->mutex);
    *ret_n = n;
    return err;
}

/* ---- checkpoints ---- */

tm_err journal_checkpoint_begin(struct journal *j, struct journal_log *log)
{
    pthread_mutex_lock(&j->checkpoint);
    pthread_mutex_lock(&j->mutex);
    const struct journal_log *known = log_find(j, log->origin);
    tm_err err = TM_OK;
    if (known) {
        *log = *known;
    } else {
        log->size = 0;
        err = logs_reserve(j);
        if (err == TM_OK)
            err = merkle_empty_root(log->root);
    }
    pthread_mutex_unlock(&j->mutex);
    return err;
}

tm_err journal_covers(struct journal *j, uint64_t seq, const uint8_t hash[32], struct diag *diag)
{
    uint8_t known[32];
    tm_err err = TM_OK;
    pthread_mutex_lock(&j->mutex);
    if (seq < j->covered || seq > j->seq)
        err = diag_fail(diag, TM_EDENIED, "signer.chain", "signer-chain",
                        "position %llu is not between the one covered last, %llu, and the present one, %llu",
                        (unsigned long long)seq, (unsigned long long)j->covered, (unsigned long long)j->seq);
    else if (seq == j->covered)
        memcpy(known, j->covered_hash, 32);
    else
        err = hash_at(j, seq, known, diag);
    pthread_mutex_unlock(&j->mutex);
    if (err == TM_OK && memcmp(known, hash, 32) != 0)
        err = diag_fail(diag, TM_EDENIED, "signer.chain", "signer-chain",
                        "the chain at position %llu has another hash", (unsigned long long)seq);
    return err;
}

/* Drop what is covered, once it is most of the file. */
static tm_err compact_locked(struct journal *j, struct diag *diag)
{
    uint64_t live = j->seq - j->covered + j->n_logs, from = j->records;
    if (j->records < 2 * live + COMPACT_SLACK)
        return TM_OK;
    if (j->covered < j->seq)
        TM_TRY(find_record(j, j->covered + 1, &from, diag));
    return write_new(j, j->covered, j->covered_hash, from, diag);
}

tm_err journal_checkpoint_commit(struct journal *j, const struct journal_log *log, uint64_t covered,
                                 struct signer_entry *e, uint8_t ret_chain[32], struct diag *diag)
{
    uint8_t chain[1][32], covered_hash[32];
    pthread_mutex_lock(&j->mutex);
    /* Before the state itself moves on, so that nothing half done is seen when it fails. */
    tm_err err = covered ? hash_at(j, covered, covered_hash, diag) : TM_OK;
    if (err == TM_OK)
        err = append_locked(j, e, 1, chain);
    if (err == TM_OK) {
        log_record(j->out + JOURNAL_RECORD, log, j->seq + 1, covered > j->covered ? covered : j->covered);
        err = write_records(j, 2, diag);
    }
    if (err == TM_OK) {
        j->seq++;
        memcpy(j->hash, chain[0], 32);
        memcpy(ret_chain, chain[0], 32);
        log_set(j, log);
        if (covered > j->covered) {
            j->covered = covered;
            memcpy(j->covered_hash, covered_hash, 32);
        }
    }
    pthread_mutex_unlock(&j->mutex);
    return err;
}

void journal_compact(struct journal *j)
{
    pthread_mutex_lock(&j->disk);
    pthread_mutex_lock(&j->mutex);
    if (!j->broken)
        TM_IGNORE(compact_locked(j, NULL));
    pthread_mutex_unlock(&j->mutex);
    pthread_mutex_unlock(&j->disk);
}

void journal_checkpoint_end(struct journal *j)
{
    pthread_mutex_unlock(&j->checkpoint);
}
