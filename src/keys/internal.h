/* keys/internal.h - helpers shared inside keys/. Layer 3. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "keys/envelope.h"
#include <openssl/types.h>
struct arena;
struct key;
struct secret;

enum { KEY_DIGEST_MAX = 64, KEY_SIGNATURE_MAX = 5120 };

/* Digest for a signature algorithm with the method fetched once and a context per thread. */
tm_err keys_digest(uint8_t out[KEY_DIGEST_MAX], size_t *ret_n, const char *name, struct slice message);

/* As key_sign(), into `out` (KEY_SIGNATURE_MAX octets). `sha256`, where known already, spares hashing the message again; may be NULL. */
tm_err key_sign_raw(uint8_t *out, size_t *ret_n, struct key *k, enum sig_alg alg, struct slice message,
                    const uint8_t *sha256, struct diag *diag);
/* The same of what a digest came to or, for ML-DSA, of the message representative (FIPS 204, mu). */
tm_err key_sign_digest(uint8_t *out, size_t *ret_n, struct key *k, enum sig_alg alg, struct slice digest,
                       struct diag *diag);
EVP_PKEY *key_evp(const struct key *k);

/* 1..63 of [a-z0-9.-], not beginning with '.' or '-'. */
bool key_id_valid(struct slice s);
/* As key_load(), from an open directory. */
tm_err key_load_at(struct key **ret, struct envelope *ret_env, struct arena *a, int dir, const char *id,
                   const struct secret *passphrase, struct diag *diag);

/* Read the envelope of a loaded key again. */
tm_err key_envelope_at(struct envelope *ret_env, struct arena *a, int dir, const char *id,
                       const struct key *k, struct diag *diag);

/* SERIAL_FRESH_RA, SERIAL_FRESH_RESPONDER: a fresh serial, and the leaf is the certificate of the CA's own RA or OCSP responder, which no
 * envelope lists. */
enum { SERIAL_FRESH, SERIAL_ADOPTED, SERIAL_FRESH_RA, SERIAL_FRESH_RESPONDER };

/* TM_EDENIED unless the envelope allows the kind. */
tm_err envelope_check_allowed(const struct envelope *e, enum sign_kind kind, struct diag *diag);
/* As envelope_check_tbs_cert(), for one kind only (SIGN_LEAF, SIGN_CA) and one signature algorithm. SERIAL_ADOPTED leaves the serial's form open. *ret_serial: where its
 * contents start in `tbs`; 0 unless it is CERT_SERIAL_LEN long. */
tm_err envelope_check_cert(const struct envelope *e, struct arena *a, enum sign_kind kind, enum sig_alg alg,
                           int serial_form, struct slice tbs, int64_t now, size_t *ret_serial,
                           struct diag *diag);
/* As envelope_check_tbs_crl(), for one signature algorithm. */
tm_err envelope_check_crl(const struct envelope *e, enum sig_alg alg, struct slice tbs, int64_t now,
                          struct diag *diag);
/* The same in the parts of a list that streams by: what goes before the entries, and what follows them. `x509/crl_stream.h` checks entries. */
struct crl;
tm_err envelope_check_crl_head(const struct envelope *e, enum sig_alg alg, const struct crl *c, int64_t now,
                               struct diag *diag);
tm_err envelope_check_crl_end(const struct crl *c, struct diag *diag);
/* What else is signed is told apart by its structure, so that none can be taken for a certificate: a ResponseData (RFC 6960 4.2.1), the DER of
 * CMS signed attributes (RFC 5652 5.4), a CMP ProtectedPart (RFC 9810 5.1.3). */
tm_err envelope_check_ocsp(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag);
/* Messages are told by what they hand out, too (docs/adr/0008): no CA certificate that is neither of the signer's own making nor sealed in an
 * envelope, no other certificate that it did not sign. `content`: what the attributes' digest is of, of the types that have to show it. */
struct known;
tm_err envelope_check_cms(const struct envelope *e, struct known *known, struct slice tbs,
                          struct slice content, int64_t now, struct diag *diag);
/* `keys`: CMS_KEY_LEN octets for each certificate in the message that is encrypted, in their order. */
tm_err envelope_check_cmp(const struct envelope *e, struct known *known, struct slice tbs, struct slice keys,
                          int64_t now, struct diag *diag);
