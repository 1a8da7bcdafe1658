/* keys/signer_lane.h - inside the signer: one queue and one thread a key, so that slow keys hold up nobody else.
 * Layer 3. */
#pragma once
#include "base/arena.h"
#include "keys/internal.h"
#include "keys/key.h"
#include "keys/signer_decrypt.h"
#include "keys/signer_journal.h"
#include "keys/signer_proto.h"
#include "keys/signer_secret.h"
#include "x509/crl.h"
#include <pthread.h>
#include <stdatomic.h>

/* What all keys share. */
struct core_shared {
    int fd;
    pthread_mutex_t write_mutex;
    struct journal *journal;
    struct known *known;     /* keys/known.h */
    struct release *release; /* signer_release.h; NULL where there is no thread for it */
    atomic_size_t queued_bytes;
};

/* The octets of one request frame and the operations in it; freed with the last of them. */
struct core_job {
    struct core_job *next;
    struct core_frame *frame;
    struct proto_op op;
    void *map; /* of a memfd, op.tbs.n octets */
    int fd;    /* of a file that the operation is about; -1 */
};
struct core_frame {
    struct core_shared *shared;
    atomic_size_t refs;
    uint8_t *bytes;
    size_t n;
    struct core_job jobs[];
};
struct core_frame *core_frame_new(struct core_shared *s, struct slice bytes, size_t n_jobs);
void core_frame_unref(struct core_frame *f, size_t n);
void core_job_done(struct core_job *job);

struct core_lane {
    struct core_key *key;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct core_job *first, **end;
    bool started, stopping;
    pthread_t thread;
};
/* OCSP responses of one key since its last entry in the chain (keys/signer.h). Of the thread that signs for it. */
struct core_tally {
    uint64_t count, entry_ns; /* clock_mono_ns() of the last entry; 0: none yet */
    uint8_t hash[32];
};
struct core_key {
    struct core_shared *shared;
    char id[64];
    struct key *key;
    pthread_mutex_t env_mutex;
    struct envelope env;
    struct arena *env_arena;        /* every envelope there ever was lives on in it */
    struct decrypt_tally decrypted; /* the lane's thread only, or the reader's where it signs itself */
    struct secret_tally secrets;    /* the same */
    struct core_lane lane, bulk;
    struct core_tally tally;
};
/* Unlocked, no thread yet. */
tm_err core_key_open(struct core_key **ret, struct core_shared *s, int dir, const char *id,
                     const struct secret *passphrase, struct diag *diag);
/* Read the envelope again. */
tm_err core_key_refresh(struct core_key *k, int dir, struct diag *diag);
/* Ends the threads; what is queued is answered with TM_EUNAVAIL. NULL is fine. */
void core_key_close(struct core_key *k);
/* Does the reader sign for this job itself? Handing over to another thread costs more than a fast signature. */
bool core_job_fast(const struct core_key *k, const struct core_job *job);
/* Sign a list of such jobs of one key; takes them over. `b` from core_batch_new(), the reader's own. */
struct batch;
struct batch *core_batch_new(void);
void core_batch_free(struct batch *b);
void core_key_run(struct core_key *k, struct batch *b, struct core_job *list);
/* Takes the job over where it succeeds. */
tm_err core_key_submit(struct core_key *k, struct core_job *job);

/* Write to the client; whole frames only, from any thread. Errors are the reader's to see. */
void core_send(struct core_shared *s, struct slice bytes);
void core_send_results(struct core_shared *s, const struct buf *results, size_t n);
