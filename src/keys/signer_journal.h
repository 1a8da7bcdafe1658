/* keys/signer_journal.h - the signer's memory of what it signed: the hash chain, and the last checkpoint of each log.
 *
 * Layer 3; the signer's only. One file, `signer.journal`, of records of 192 octets, each with a checksum: a header (chain position at which
 * the file begins), then in order of time signatures ('S') and checkpoint states ('C'). A torn tail is cut off at opening. Appending is one
 * write(2): what the kernel has survives the process; before an answer leaves the signer, journal_sync() brings it to the disk. When
 * most of the file is covered by checkpoints it is written anew without that.
 *
 * Threads: everything here may be called from any thread. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/signer.h"

struct journal;

enum { JOURNAL_RECORD = 192, JOURNAL_LOGS_MAX = 16384 };

/* Open or create in the directory; `dir` is borrowed. One process at a time (waits up to two seconds): TM_EBUSY. TM_ECORRUPT. */
tm_err journal_open(struct journal **ret, int dir, struct diag *diag);
/* Synced and closed. */
void journal_close(struct journal *j);

/* Append n entries with one write; they are not on the disk yet: `seq` of each is set, chain hashes go to `ret_chain` (32 octets each). All or none: TM_EFULL, TM_EIO. */
tm_err journal_append(struct journal *j, struct signer_entry *e, size_t n, uint8_t (*ret_chain)[32],
                      struct diag *diag);

/* Everything that was appended before the call is on the disk. Appending goes on meanwhile. Once it has failed nobody knows what the disk
 * has, and nothing more is appended: TM_EIO, TM_EFULL. */
tm_err journal_sync(struct journal *j, struct diag *diag);
/* Then only opening it anew helps: the signer ends, and its server starts another. */
bool journal_broken(struct journal *j);

void journal_position(struct journal *j, uint64_t *ret_seq, uint8_t ret_hash[32]);
/* At most `max` entries behind `after` (and behind what is covered); *ret_n < max: there are no more. */
tm_err journal_read(struct journal *j, uint64_t after, struct signer_entry *ret, size_t max, size_t *ret_n,
                    struct diag *diag);

/* A checkpoint: between begin and end no other is looked at. */
struct journal_log {
    uint8_t origin[32]; /* SHA-256 of the log's origin */
    uint64_t size;
    uint8_t root[32];
};
/* The last state of the log; size 0 and the empty tree's root when there was none. Waits for other checkpoints to
 * end; journal_checkpoint_end() is due also where this fails. */
tm_err journal_checkpoint_begin(struct journal *j, struct journal_log *log);
/* Is (seq, hash) a position of the chain that the signer knows, not behind the one covered last? TM_EDENIED. */
tm_err journal_covers(struct journal *j, uint64_t seq, const uint8_t hash[32], struct diag *diag);
/* Append the signature's entry and the new state; they are not on the disk yet, as with journal_append. `covered`: the position that the
 * checkpoint covers, 0 where it says nothing. */
tm_err journal_checkpoint_commit(struct journal *j, const struct journal_log *log, uint64_t covered,
                                 struct signer_entry *e, uint8_t ret_chain[32], struct diag *diag);
void journal_checkpoint_end(struct journal *j);
/* Write the file anew without what is covered, once that is most of it. The old file serves on where that fails, until the next time. */
void journal_compact(struct journal *j);
