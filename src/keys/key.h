/* keys/key.h - private keys at rest and in the signer's memory.
 *
 * Layer 3. Only the signer process, `init` and ceremonies use this. A key is two files in a key directory: `<id>.key`, an encrypted PKCS#8
 * (PBES2, scrypt N=2^14 r=8 p=2, AES-256-CBC) in PEM, and `<id>.env`, its sealed envelope. Both 0400, written atomically. */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "keys/envelope.h"
struct arena;
struct buf;
struct key;

/* A fresh key. RSA: bits 2048, 3072 or 4096; else 0. */
tm_err key_generate(struct key **ret, enum key_alg alg, unsigned bits, struct diag *diag);
void key_free(struct key *k);

enum key_alg key_alg(const struct key *k);
unsigned key_bits(const struct key *k);
/* SubjectPublicKeyInfo TLV; borrowed from the key. */
struct slice key_spki(const struct key *k);
/* Append the signature over `message`. Contexts are reused per key and thread. */
tm_err key_sign(struct buf *out, struct key *k, enum sig_alg alg, struct slice message, struct diag *diag);

/* Unencrypted PKCS#8 DER, for serverkeygen and PKCS#12 (the caller wipes). */
tm_err key_export_pkcs8(struct secret *ret, const struct key *k);
/* PEM or DER, PKCS#8 (encrypted or not), SEC1, PKCS#1. `passphrase` may be NULL. TM_ELOCKED for a wrong one. */
tm_err key_import(struct key **ret, struct slice bytes, const struct secret *passphrase, struct diag *diag);

/* Write both files; the envelope is sealed by the key. TM_ECONFLICT when the id exists. */
tm_err key_store(const char *dir, struct key *k, const struct envelope *e, const struct secret *passphrase,
                 struct diag *diag);
/* Load one, check the seal. *ret_env lives in `a`. TM_ENOTFOUND, TM_ELOCKED (wrong passphrase), TM_ECORRUPT (seal broken). */
tm_err key_load(struct key **ret, struct envelope *ret_env, struct arena *a, const char *dir, const char *id,
                const struct secret *passphrase, struct diag *diag);
/* Replace the envelope (a ceremony: needs the key itself). */
tm_err key_reseal(const char *dir, struct key *k, const struct envelope *e, struct diag *diag);
