/* keys/cms.h - signatures in CMS: is a signer's any good, and which algorithms go into our own (RFC 5652, 5753, 5754, 8419, 9882).
 * Layer 3, thread-safe. */
#pragma once
#include "base/err.h"
#include "keys/alg.h"
#include "x509/cms/signed.h"

struct arena;
struct buf;

enum { CMS_DIGEST_MAX = 64 };

/* Is this signer's signature over the content good under `key`: attributes that name the content and its digest, the signature over
 * them. TM_EBADSIG; TM_EUNSUPPORTED for algorithms that are not done here, SHA-1 among them. */
tm_err cms_signer_verify(const struct signed_data *d, const struct signed_signer *s, const struct spki *key,
                         struct diag *diag);
/* The same where `sha1` says that SHA-1 with RSA or ECDSA is taken too: for doors whose clients have nothing else, by configuration. */
tm_err cms_signer_verify_legacy(const struct signed_data *d, const struct signed_signer *s,
                                const struct spki *key, bool sha1, struct diag *diag);

/* The digest that goes with a signature algorithm: AlgorithmIdentifier TLV, and the digest of `content`. */
tm_err cms_digest(struct slice *ret_algid, uint8_t ret_digest[CMS_DIGEST_MAX], size_t *ret_n,
                  enum sig_alg alg, struct slice content);

/* Ciphers of content (RFC 3565, RFC 3370 5.1). Key length in octets; 0: not done here. `legacy`: one that only old clients need. */
size_t cms_cipher_key(enum oid cipher, bool *ret_legacy);
/* Octets under such a cipher in CBC mode, opened with `key`; in `a`. Parameters, padding and length that are wrong are one and the same
 * error, TM_EBADSIG without a word, for whoever sends messages must not learn which it was. */
tm_err cms_open(struct slice *ret, struct arena *a, const struct algid *cipher, struct slice key,
                struct slice encrypted);

/* A ContentInfo with EnvelopedData for the holder of one certificate: RSA key transport (PKCS #1 v1.5, or OAEP with SHA-256) or ephemeral
 * ECDH. `cipher`: OID_AES128_CBC, OID_AES256_CBC, OID_DES_EDE3_CBC. Appended; `content` is wiped by the caller.
 * TM_EUNSUPPORTED where the key can't be encrypted to. */
tm_err cms_seal(struct buf *out, struct slice recipient, enum oid cipher, bool oaep, enum oid content_type,
                struct slice content, struct diag *diag);
/* The same for who knows a password (RFC 3211): PBKDF2, AES-256 around the key. */
tm_err cms_seal_password(struct buf *out, struct slice password, enum oid cipher, enum oid content_type,
                         struct slice content, struct diag *diag);

/* ---- for keys without a certificate ---- */

enum { CMS_KEY_LEN = 32 };
/* Can anything be encrypted to this key? RSA, or EC by key agreement. TM_EUNSUPPORTED, or what pubkey_info() says. */
tm_err cms_key_takes(const struct spki *key, bool *ret_rsa, struct diag *diag);
/* EnvelopedData (without a ContentInfo around it) of `content` as id-data: AES-256-CBC, its key by RSA-OAEP with SHA-256 or by ephemeral ECDH with
 * AES-256 key wrap (RFC 5753). The recipient is named by `issuer_serial`, an IssuerAndSerialNumber TLV, or where that is empty by the key's
 * identifier. Appended; *ret_key is the key of the content. TM_EUNSUPPORTED as above. */
tm_err cms_seal_to_key(struct buf *out, uint8_t ret_key[CMS_KEY_LEN], const struct spki *to,
                       struct slice issuer_serial, struct slice content, struct diag *diag);
/* Octets encrypted to an RSA key directly (PKCS #1 v1.5), appended. TM_ETOOBIG where they don't fit, TM_EUNSUPPORTED for other keys. */
tm_err cms_encrypt_to_key(struct buf *out, const struct spki *to, struct slice content, struct diag *diag);
