/* register/register.h - the register: an append-only Merkle log of everything that happened, one a tenant, anchored in the house's log.
 *
 * Layer 3. Events become durable in the transaction of what they record (store effects); the sequencer gives them tiles and checkpoints
 * within a second. Leaf = RFC 6962 leaf hash of SHA-256(salt || body): bodies can be erased, the tree stays. docs/register.md has the
 * formats. Threads: event building anywhere; a struct reg may be used from several threads that may block. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "register/note.h"
#include "store/store.h"
#include <stdbool.h>
struct arena;
struct buf;
struct reg;
struct signer;
struct sign_op;

/* Fill an EFFECT_EVENT: salt, leaf hash and time. `body` is what register_event_body() makes: canonical JSON text, an object whose keys
 * begin with a lower-case letter. The body that is committed to and stored is a copy in `a` with "@subject", "@time" and "@type" put in
 * front, so that the row's own fields cannot be changed unseen either. TM_EINVAL for another kind of body. */
tm_err register_event_effect(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                             const char *subject, struct slice body, int64_t time_ms);

/* Build a canonical event body: keys sorted, compact. Ended by a NULL key. Keys are [a-z][A-Za-z0-9_.-]*, none twice, at most 64.
 * An event that records a signature of the signer's carries "chain" (EVENT_INT, the chain's seq), "kind" (EVENT_STR, sign_kind_names[])
 * and "tbs" (EVENT_HEX, SHA-256 of the bytes signed): register_verify() recomputes the signer's chain from these. */
struct event_field {
    const char *key;
    enum { EVENT_STR, EVENT_INT, EVENT_HEX, EVENT_RAW /* ready JSON */ } kind;
    struct slice s;
    int64_t i;
};
tm_err register_event_body(struct slice *ret, struct arena *a, const struct event_field *fields);
/* What stays of a body that is erased: of one that records a signature its "chain", "kind" and "tbs", without which the signer's chain could
 * not be computed again; else nothing. */
tm_err register_event_stub(struct slice *ret, struct arena *a, struct slice body);
/* The value of one top-level key of such a body, as its JSON text (strings with their quotes); false when it is not there. */
bool register_event_find(struct slice *ret, struct slice body, const char *key);

struct register_config {
    struct store *store;
    struct signer *signer;
    const char *key_id; /* the checkpoint key, Ed25519: "register" */
    const char *origin; /* e.g. "pki.example.org/touchmark"; a tenant's log appends "/<tenant number>" */
    /* The chain position up to which every signature is recorded in the house's log; asked for at each house checkpoint. */
    void (*chain_position)(void *ctx, uint64_t *ret_seq, uint8_t ret_hash[32]);
    void *ctx;
    /* Called with the signer's answer to each checkpoint, before it is stored. */
    void (*chain_signed)(void *ctx, uint64_t seq, const uint8_t hash[32]);
    /* Called with each stored checkpoint's chain entry, so that it counts as recorded. */
    void (*chain_recorded)(void *ctx, uint64_t seq);
    /* 32 octets, the log's Ed25519 key: for verifying and exporting without a signer. NULL: the signer is asked for key_id's. */
    const uint8_t *public_key;
    /* How checkpoints are signed; NULL: signer_sign(signer, op). */
    tm_err (*sign)(void *ctx, struct sign_op *op);
};
tm_err register_open(struct reg **ret, const struct register_config *c, struct diag *diag);
void register_close(struct reg *r);

/* One pass: integrate new durable events of every tenant given, anchor, sign and store checkpoints where anything changed. Blocking; called by the
 * job runner about once a second and at shutdown. */
tm_err register_sequence(struct reg *r, const tenant_id *tenants, size_t n, struct diag *diag);

/* After a restore from backup: the signer has signed larger logs than the store holds, and register_sequence() refuses (TM_ECORRUPT).
 * Begin the next epoch in every log of `tenants` (the house among them): an event "register.epoch" and a new origin that ends in
 * "#epoch-<n>" and whose checkpoints name the last root before it. The signer's chain is taken up again behind (chain_seq,
 * chain_hash), its position now; what it signed before and this store does not show is counted as a gap by register_verify().
 * *ret_epoch may be NULL. */
tm_err register_new_epoch(struct reg *r, const tenant_id *tenants, size_t n, uint64_t chain_seq,
                          const uint8_t chain_hash[32], uint64_t *ret_epoch, struct diag *diag);

/* Newest signed checkpoint note of a tenant. TM_ENOTFOUND before the first. */
tm_err register_checkpoint(struct slice *ret_note, struct arena *a, struct reg *r, tenant_id tenant);
/* tlog-tiles: "<L>/<N>" with optional partial width; hashes octets. */
tm_err register_tile(struct slice *ret, struct arena *a, struct reg *r, tenant_id tenant, unsigned level,
                     uint64_t index, unsigned width);
/* A self-contained proof document (JSON): event body, salt, index, inclusion proof, checkpoint note, anchoring in the house's log. */
tm_err register_prove(struct buf *out, struct reg *r, tenant_id tenant, uint64_t pos, struct diag *diag);
/* Offline: check such a document against the register's public key text (vkey). */
tm_err register_verify_proof(struct slice proof_json, struct slice vkey, struct buf *report,
                             struct diag *diag);

struct register_report {
    uint64_t events, certificates, erased;
    uint64_t checkpoints;
    uint64_t chain_seq;  /* up to where the signer's chain was recomputed and found in a checkpoint */
    uint64_t chain_gaps; /* chain entries that a restore lost (each restore is an event "register.epoch") */
    uint64_t waiting;    /* events that no checkpoint covers yet */
};
/* Recompute everything of a tenant from the store: commitments, leaves, roots of every checkpoint, signatures, that every stored certificate
 * has its event and every issuing event its certificate, and (tenant 0) the signer's chain. Progress in percent (may be NULL). */
tm_err register_verify(struct register_report *ret, struct reg *r, tenant_id tenant,
                       void (*progress)(void *arg, int percent), void *arg, struct diag *diag);
/* Stream as NDJSON: one event a line with pos, time, type, subject, salt, body, leaf. */
tm_err register_export(struct reg *r, tenant_id tenant, tm_err (*write)(void *arg, struct slice line),
                       void *arg, struct diag *diag);
/* The vkey text of the log's key. */
tm_err register_vkey(struct buf *out, struct reg *r);
