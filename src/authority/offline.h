/* authority/offline.h - a root whose key is not in the house: one file that can be carried away.
 *
 * Layer 4, single-threaded. The bundle is text in PEM blocks: a header (JSON), the encrypted PKCS#8 key, its sealed envelope, the CA
 * certificate, a record of everything it ever signed and revoked (JSON), and last a MAC over all that stands before it, keyed by scrypt over
 * the bundle's own passphrase. Opening one runs an in-process signer over it in a private directory in memory, so that the same
 * envelope checks hold as in the house. Every signature is written to the bundle's record, on disk, before it is handed out.
 * docs/howto-offline-root.md shows the use. */
#pragma once
#include "authority/ca_cert.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <stdbool.h>
struct arena;
struct buf;
struct key;
struct offline_bundle;

enum { OFFLINE_CRLS_MAX = 120, OFFLINE_BUNDLE_MAX = 8 << 20 };

/* A new root: key, self-signed certificate, bundle file (0400; TM_ECONFLICT when it exists). *ret is open. */
tm_err offline_bundle_create(struct offline_bundle **ret, const char *path, const struct secret *passphrase,
                             const struct ca_spec *spec, struct diag *diag);
/* TM_ELOCKED wrong passphrase, TM_ECORRUPT altered or cut, TM_ENOTFOUND, TM_EMALFORMED not a bundle. */
tm_err offline_bundle_open(struct offline_bundle **ret, const char *path, const struct secret *passphrase,
                           struct diag *diag);
void offline_bundle_close(struct offline_bundle *b);
/* Put it under another passphrase; both are needed, for the key is encrypted anew. */
tm_err offline_bundle_rekey(struct offline_bundle *b, const struct secret *old,
                            const struct secret *passphrase, struct diag *diag);

/* Borrowed from the open bundle. */
const char *offline_bundle_name(const struct offline_bundle *b);
const struct cert *offline_bundle_cert(const struct offline_bundle *b);
/* Everything it signed, readable, one line each: time, kind, serial or CRL number, subject. Appended. */
tm_err offline_bundle_print(struct buf *out, const struct offline_bundle *b);

/* How a subordinate CA is to be. */
struct offline_sign {
    int64_t lifetime;  /* as in ca_spec; 0: 10 years */
    int64_t not_after; /* the end itself, where it must be exact; 0: by lifetime */
    int path_len;      /* -1: none; 0 is the default of an issuing CA */
    bool issues_cas;
    const char *crl_url,
        *ca_url; /* where the root's CRL and certificate are; NULL: those given when the bundle was made */
    const char *const *permit_dns;
    size_t n_permit_dns;
};
/* A CA certificate for this name and key. */
tm_err offline_bundle_sign(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                           struct slice subject, struct slice spki, const struct offline_sign *o,
                           struct diag *diag);
/* The same for a PKCS#10 request (PEM or DER): its proof of possession is checked, names and key are taken from it, nothing else. */
tm_err offline_bundle_sign_csr(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                               struct slice csr, const struct offline_sign *o, struct diag *diag);

/* A link certificate (RFC 9810 4.4): another root's name and key under this root's signature, as long as both live. With one from each to the
 * other, who trusts either root trusts both. Recorded like any other. */
tm_err offline_bundle_link(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                           struct slice root, struct diag *diag);

/* From now on every CRL of this bundle lists the serial (magnitude). `when` 0: now. TM_ENOTFOUND unless the bundle signed it and
 * `anyway` is false; TM_ECONFLICT when listed already. */
tm_err offline_bundle_revoke(struct offline_bundle *b, struct slice serial, int reason, int64_t when,
                             bool anyway, struct diag *diag);

/* A series of CRLs, each `every` seconds after the one before and valid for `lifetime`: so many PEM blocks, appended. The first begins
 * now. 0: 24, 30 days, 90 days. lifetime must be longer than every. */
struct offline_crls {
    unsigned count;
    int64_t every, lifetime;
};
tm_err offline_bundle_crls(struct buf *out, struct offline_bundle *b, const struct offline_crls *o,
                           struct diag *diag);
