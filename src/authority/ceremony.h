/* authority/ceremony.h - the recorded acts by which authorities come to be.
 *
 * Layer 4, blocking. A ceremony needs the passphrase of the home's keys, for it writes a key and seals its envelope. A running server does
 * not have it (DESIGN 2.4: a taken-over server can't mint a CA): ceremonies run on a house opened HOUSE_OFFLINE; any other mode is
 * TM_EUNAVAIL with a message that says so. Each one is recorded as "authority.created" or "authority.imported" together with
 * "ceremony.completed" (who, when, which keys, fingerprints), in one transaction with the authority's resource. */
#pragma once
#include "authority/ca_cert.h"
#include "authority/offline.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
struct arena;
struct authority;
struct buf;
struct house;

struct ceremony {
    struct house *house;
    const char *by;                  /* who does it, for the record */
    const struct secret *passphrase; /* of the home's keys */
};

/* Everything in the arena of the call. */
struct ca_result {
    const char *name, *subject;
    struct slice der;
    char fingerprint[96]; /* SHA-256 of the certificate, AA:BB:… */
    char key_id_hex[64];  /* SKI, as in /crl/<ski>/ and /ca/<ski>.cer */
    int64_t not_before, not_after;
};

/* A new offline root, all at once: its bundle at `path` under a passphrase of its own, its authority here, its first series of CRLs signed and
 * imported (`crls` NULL: 24, a month apart). *ret_bundle (may be NULL: closed) stays open for CAs to be signed. */
tm_err ceremony_create_root(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                            const struct ca_spec *spec, const char *path,
                            const struct secret *bundle_passphrase, const struct offline_crls *crls,
                            struct offline_bundle **ret_bundle, struct diag *diag);

/* A new CA with its key in this house.
 * parent NULL or "": a self-signed one (a flat hierarchy). Else an authority of the same tenant or the default one: its key is in this house, or
 * `bundle` is its open bundle. */
tm_err ceremony_create_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                          const struct ca_spec *spec, const char *parent, struct offline_bundle *bundle,
                          struct diag *diag);

/* The same in two halves, for a root on another machine. First key and request: PKCS#10 PEM appended; the key may sign nothing yet.
 * TM_ECONFLICT when the key exists. */
tm_err ceremony_request_ca(struct buf *out_csr, const struct ceremony *c, const struct ca_spec *spec,
                           struct diag *diag);
/* Then the certificate that came back (PEM, its issuers behind it or known here): it must fit the key; the envelope is sealed to it. The spec's
 * subject, key and lifetime are not used. */
tm_err ceremony_install_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                           const struct ca_spec *spec, struct slice pem, struct diag *diag);

/* An existing CA: its private key (PEM or DER, PKCS#8, SEC1, PKCS#1), certificate and chain (PEM, DER or certs-only PKCS#7). */
tm_err ceremony_import_ca(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                          const struct ca_spec *spec, struct slice key, const struct secret *key_passphrase,
                          struct slice certs, struct diag *diag);
/* A CA whose key stays elsewhere for good (a foreign or offline root): certificate only. No key is touched: needs no passphrase, and
 * goes in any mode that writes. */
tm_err ceremony_import_cert(struct ca_result *ret, struct arena *a, const struct ceremony *c,
                            const struct ca_spec *spec, struct slice certs, struct diag *diag);

/* ---- export: public things only ---- */
enum ca_export {
    CA_EXPORT_PEM,
    CA_EXPORT_DER,
    CA_EXPORT_CHAIN /* PEM, CA first, root last */,
    CA_EXPORT_PKCS7,
    CA_EXPORT_COUNT
};
extern const char *const ca_export_names[CA_EXPORT_COUNT + 1]; /* "pem", "der", "chain", "pkcs7" */
tm_err authority_export(struct buf *out, const struct authority *x, enum ca_export form);
/* Trust anchors of a tenant as one PEM bundle: every root that is not disabled, once each. */
tm_err authority_roots(struct buf *out, struct house *h, tenant_id tenant);
