/* x509/pkcs12.h - write a PKCS#12 file: key, certificate and chain under a passphrase (RFC 7292, RFC 9579 left out: too few read it).
 *
 * Layer 2, thread-safe. AES-256-CBC with PBKDF2-HMAC-SHA256 for key and certificates, HMAC-SHA256 over all. Goes through OpenSSL's own
 * PKCS#12 code: this is an export, not the issuing path. It derives three keys, a tenth of a second in all: not for a loop. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct buf;

enum { PKCS12_CHAIN_MAX = 16, PKCS12_ITERATIONS = 100000 };

/* Append the PFX. `key` is an unencrypted private key, PEM or DER (PKCS#8 or the algorithm's own form). `chain` holds DER certificates,
 * the key's own first. `name` (may be NULL) becomes the friendlyName.
 * Errors: TM_EMALFORMED (key or certificate), TM_EINVAL (key and certificate differ, empty chain or passphrase), TM_ECRYPTO. */
tm_err pkcs12_build(struct buf *out, struct slice key, const struct slice *chain, size_t n,
                    struct slice passphrase, const char *name, struct diag *diag);
