/* keys/signer_client.h - inside signer.c's side: the connection, its thread, and the queues. Layer 3. */
#pragma once
#include "base/buf.h"
#include "keys/signer.h"
#include "keys/signer_nursery.h"
#include "keys/signer_proto.h"
#include <pthread.h>
#include <stdatomic.h>

struct core;

/* The keys as one reply told them; never changed once published. */
struct signer_table {
    struct signer_table *older; /* kept until the end: somebody may still look into it */
    struct arena *arena;
    struct signer_key *keys;
    size_t n;
};
tm_err signer_table_read(struct signer_table **ret, struct proto_reader *r, struct diag *diag);
void signer_table_publish(struct signer *s, struct signer_table *t);
void signer_tables_free(struct signer *s);

/* What waits for one key: only so much is under way at a time, so that a slow key does not fill the signer. */
struct client_lane {
    char key_id[64];
    struct sign_op *first, **end;
    size_t under_way;
};
/* An operation that the signer has. */
struct client_slot {
    struct sign_op *op; /* NULL: free */
    uint32_t lane, next_free;
};
/* A blocking question; one at a time. */
struct client_question {
    bool asked, sent, answered;
    enum proto_type type;
    uint32_t tag;
    uint64_t after;
    struct buf *body;
    tm_err err;
    struct diag diag;
};

struct signer {
    bool in_process;
    char *key_dir, *passphrase_file;
    struct nursery nursery;
    struct core *core; /* in_process */
    int core_fd;
    pthread_t core_thread;
    bool core_running;

    _Atomic(struct signer_table *) table;
    struct executor intake;              /* takes operations by their `done` */
    _Atomic(struct sign_op *) submitted; /* newest first */
    atomic_bool alive, stopping;
    _Atomic(pid_t) pid;
    int wake_fd;
    pthread_t thread;
    bool thread_running;

    pthread_mutex_t questions; /* one asker at a time */
    pthread_mutex_t mutex;     /* the fields up to the blank line */
    pthread_cond_t answered;
    struct client_question question;
    int next_fd; /* a new connection for the thread to take over; -1 */
    struct executor *death_executor;
    struct task *death_task;

    /* The connection: the thread's, and a submitter's that finds it idle. */
    pthread_mutex_t io;
    size_t under_way; /* operations that the signer has */
    int fd;
    struct buf out; /* frames; `sent` octets of it are gone */
    size_t sent;
    int memfd; /* goes with the octet at memfd_at of `out`; -1 */
    size_t memfd_at;
    struct buf in;
    struct client_lane *lanes;
    size_t n_lanes;
    struct client_slot *slots;
    size_t n_slots;
    uint32_t free_slot; /* index + 1; 0: none */
};

void client_init(struct signer *s);
void client_done(struct signer *s);
void *client_run(void *signer);
void client_wake(struct signer *s);
void client_submit(struct signer *s, struct sign_op *op);
/* Blocking; the answer's body is appended to the emptied `body`. */
tm_err client_ask(struct signer *s, enum proto_type type, uint64_t after, struct buf *body,
                  struct diag *diag);
