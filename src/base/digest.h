/* base/digest.h - SHA-2 one-shots and random bytes over OpenSSL, with algorithms fetched once. Layer 0, thread-safe. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { SHA256_LEN = 32 };

/* SHA-256 of one or of several slices in a row. Failure of the library is fatal for a PKI, so these return an error. */
tm_err sha256(uint8_t out[SHA256_LEN], struct slice s);
tm_err sha256_many(uint8_t out[SHA256_LEN], const struct slice *s, size_t n);
tm_err sha1(uint8_t out[20], struct slice s); /* key identifiers and OCSP CertIDs only */
tm_err sha512(uint8_t out[64], struct slice s);
tm_err hmac_sha256(uint8_t out[SHA256_LEN], struct slice key, struct slice s);

/* From the CSPRNG. */
tm_err random_bytes(void *out, size_t n);
