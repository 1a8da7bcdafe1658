/* keys/signer.h - the signer: a process of its own that holds the private keys, and the asynchronous way to ask it.
 *
 * Layer 3. DESIGN 2.4: typed operations only, each parsed and held to the key's sealed envelope; the random part of serials is the signer's;
 * a hash chain runs over everything signed. The protocol on the socketpair is length-prefixed batches (keys/signer_proto.h).
 *
 * The chain: h(0) = 32 zero octets; h(n) = SHA-256(h(n-1) || kind octet || SHA-256(to-be-signed bytes)). The signer appends every entry to its
 * journal file before the signature leaves, and forgets entries only once a signed checkpoint has covered them.
 *
 * OCSP responses are many and live for a day: a key's are counted, not chained one by one (docs/adr/0006). The first one of a minute bears
 * an entry for itself and all since the entry before; in the place of the hash of the signed bytes stands SHA-256("touchmark-ocsp-v1\0" ||
 * count, 8 octets || a), where a(0) is 32 zero octets and a(n) = SHA-256(a(n-1) || SHA-256(response data n)). */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/task.h"
#include "keys/alg.h"
#include "keys/envelope.h"
#include "x509/cert.h"
#include <sys/types.h>

struct arena;
struct signer;

struct signer_config {
    const char *key_dir; /* keys/<id>.key and .env, and the journal */
    const char *user;    /* when started as root: run as this user, own the key files; NULL: keep the uid */
    const struct secret *passphrase;
    const char *passphrase_file; /* may be read again by signer_restart(); NULL: it may not */
    const char *
        program; /* executed with SIGNER_ARGUMENT in the forked process, so that the signer has an address layout
                                    of its own; its main() calls signer_program(). NULL: fork alone */
    bool in_process; /* no fork: a thread of the caller (offline commands, tests); same checks */
};

/* The one argument with which a program is asked to be the signer's parent, and what it then has to call at once: the configuration
 * comes through descriptor 3. Does not return. */
#define SIGNER_ARGUMENT "--signer"
[[gnu::noreturn]] void signer_program(void);

/* Start it: fork (before any thread exists), drop privileges, unlock every key, enter seccomp, answer. Blocks until ready.
 * Errors: TM_ELOCKED wrong passphrase, TM_ENOTFOUND no keys directory, TM_ECORRUPT a broken seal (diag says which key). */
tm_err signer_start(struct signer **ret, const struct signer_config *c, struct diag *diag);
/* Ends the process; what is queued is answered with TM_EUNAVAIL. */
void signer_free(struct signer *s);
pid_t signer_pid(const struct signer *s);
/* False once the process is gone: all operations then fail with TM_EUNAVAIL. `on_death` (may be NULL) is posted once. */
bool signer_alive(const struct signer *s);
void signer_on_death(struct signer *s, struct executor *e, struct task *t);
/* Start a new signer process in the place of one that died; usable from threaded programs, because a small process that was forked at
 * signer_start() and holds no keys does the forking. Blocking. TM_ELOCKED where the passphrase cannot be read again, TM_ECONFLICT while
 * the old one lives. signer_on_death() has to be called anew. */
tm_err signer_restart(struct signer *s, struct diag *diag);
/* False once that small process is gone as well: signer_restart() fails with TM_EUNAVAIL from then on, and only a new program helps. */
bool signer_restartable(const struct signer *s);

/* What a key is. */
struct signer_key {
    const char *id;
    enum key_alg alg;
    unsigned bits;
    struct slice spki;
    struct envelope env;
};
/* Public facts of all keys, fetched at start and after signer_reload(); valid until signer_free(). NULL when unknown. */
const struct signer_key *signer_key_find(const struct signer *s, const char *id);
/* Read the key directory again (new keys after a ceremony). Blocking. */
tm_err signer_reload(struct signer *s, struct diag *diag);

/* Octets to be signed at most, but for CRLs. */
enum { SIGN_INLINE_MAX = 256 << 10 };

/* A TBSCertList that is too long for memory, in a regular file: the signer reads it once, from its beginning to its end, and hashes what it has
 * parsed. Not for Ed25519 and Ed448, which read a message twice. */
struct sign_file {
    int fd;
    uint32_t offset;
    uint64_t n;
};
bool sign_alg_streams(enum sig_alg alg);

/* One signature. Zero it, fill the request part, submit; `done` is posted to `reply_to`. */
struct sign_op {
    struct task done;
    struct executor *reply_to;

    /* request: borrowed until done */
    enum sign_kind kind;
    const char *key_id;
    enum sig_alg alg; /* SIG_ALG_NONE: the key's default */
    struct slice
        tbs; /* leaf, ca: TBSCertificate whose 16-octet serial ends in 10 zero octets, which the signer replaces;
                              crl: TBSCertList; checkpoint: the note text to sign (checkpoint v1.0 body);
                              decrypt: what key_transport_request() made */
    const struct sign_file *file; /* crl: it is in there, and tbs is empty; NULL else */
    size_t serial_offset;         /* leaf, ca: where the 16 serial octets start in tbs */
    struct slice
        proof; /* checkpoint: the consistency proof from the last signed size, 32-octet hashes in a row */
    struct slice
        content; /* cms: what the attributes' digest is of, where the signer wants to see it: certificates to come, PKIResponses (docs/adr/0008);
                    cmp: the keys of certificates that are encrypted, CMS_KEY_LEN octets each */
    bool
        adopt_serial; /* ca only, and only in an in-process signer: keep the serial given (self-signed roots, ceremonies) */
    bool
        ra; /* leaf only, and only in an in-process signer: the certificate of the CA's RA (docs/adr/0004), whatever the envelope lists */
    bool
        responder; /* leaf only: the certificate of the CA's OCSP responder, whose key is one of this signer's (docs/adr/0006) */

    /* answer */
    tm_err err;
    struct diag diag;
    uint8_t
        serial[CERT_SERIAL_LEN]; /* leaf, ca: the whole serial as signed; decrypt: see signer_decrypted() */
    uint8_t signature[5120];     /* decrypt: the key that was inside; wiped by who asked */
    size_t signature_n;
    uint64_t
        chain_seq; /* place in the signer's chain, from 1; 0: an OCSP response or a decryption that has no entry */
    uint8_t tbs_hash
        [32]; /* SHA-256 of the bytes signed; of an OCSP response that bears an entry: what is chained (below) */
    uint8_t chain_hash[32];

    struct sign_op *next; /* the signer's, while queued */
};
void signer_submit(struct signer *s, struct sign_op *op);
/* Blocking convenience for pool threads, CLI and tests. */
tm_err signer_sign(struct signer *s, struct sign_op *op);

/* How many decryptions of this key the entry stands for, counted from the signer's start. */
uint64_t signer_decrypted(const struct sign_op *op);

/* Entries of the journal that no signed checkpoint covers yet: for reconciling after a crash. Blocking. */
struct signer_entry {
    uint64_t seq;
    enum sign_kind kind;
    int64_t time;
    char key_id[64];
    uint8_t serial[CERT_SERIAL_LEN]; /* zero where it has none */
    uint8_t tbs_hash[32];
};
tm_err signer_journal(struct signer *s, struct arena *a, struct signer_entry **ret, size_t *ret_n,
                      struct diag *diag);
/* Position of the chain as the signer has it now. Blocking. */
tm_err signer_chain(struct signer *s, uint64_t *ret_seq, uint8_t ret_hash[32]);
