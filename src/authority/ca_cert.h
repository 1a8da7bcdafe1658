/* authority/ca_cert.h - what a CA certificate looks like: from the operator's few words to a TBSCertificate.
 *
 * Layer 4, pure but for the random part of serials, which is the signer's. RFC 5280 4.2, RFC 7093 (key ids). Never a leaf: every plan has
 * critical basicConstraints cA and critical keyUsage keyCertSign + cRLSign, and is signed as SIGN_CA; but for the RA of a CA. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "keys/envelope.h"
#include "store/store.h"
#include "x509/ext.h"
#include <stdbool.h>
struct arena;
struct buf;
struct signer;

enum { CA_EKUS_MAX = 32, CA_NAMES_MAX = 64, CA_BACKDATE = 3600, CA_LIFETIME = 10 * 365 * 86400 };

/* What the operator says about a CA to be. Zero means the default, but for path_len: begin with ca_spec_init(). */
struct ca_spec {
    const char *name;      /* of the authority and of its key: 1..63 of [a-z0-9-] */
    const char *title;     /* a line for people; NULL: the name */
    tenant_id tenant;      /* where the authority lives */
    const char *subject;   /* RFC 4514 text; NULL: "CN=<title>" */
    const char *key;       /* key type as profiles write it; NULL: ec-p384 for a root, ec-p256 else */
    const char *signature; /* what it signs with; NULL: the key's default */
    int64_t not_before;    /* 0: an hour ago, for clocks that are a little behind */
    int64_t
        lifetime; /* seconds from now; TM_TIME_NEVER: 99991231235959Z; 0: a root never ends, others live 10 years. Cut to the
                              parent's end */
    int path_len;    /* pathLenConstraint; -1: none in a root and a tier; an issuing CA always has 0 */
    bool issues_cas; /* a tier: signs CA certificates and CRLs, no leaves */

    /* what its sealed envelope will allow */
    const char *const *
        ekus; /* names or dotted OIDs, "any", "none"; none listed: "any" (never OCSPSigning, cmcCA, cmcRA, cmKGA) */
    size_t n_ekus;
    int64_t max_leaf; /* longest life of a leaf, seconds; 0: as long as the CA itself */
    const char *const
        *permit_dns; /* DNS suffixes: name constraints in the certificate and limits in the envelope */
    size_t n_permit_dns;

    /* what it will write into what it issues; NULL or "": made from the house's public base. In an offline root's, "{ski}" stands for
     * its key id. */
    const char *crl_url, *ca_url, *ocsp_url;
    int64_t crl_lifetime, crl_every; /* 0: 7d and 1d; of an offline root 90d and 30d */
};
void ca_spec_init(struct ca_spec *s);
/* Names, key type, times and EKUs are sane; TM_EINVAL with a JSON pointer in diag->field. */
tm_err ca_spec_check(const struct ca_spec *s, struct diag *diag);
/* The key type with its bits (0 unless RSA); `root` chooses the default. */
tm_err ca_spec_key(enum key_alg *ret, unsigned *ret_bits, const struct ca_spec *s, bool root,
                   struct diag *diag);
/* Subject as a Name TLV in `a`. */
tm_err ca_spec_subject(struct slice *ret, struct arena *a, const struct ca_spec *s, struct diag *diag);

/* notAfter for a lifetime as ca_spec has it, cut to the parent's end. */
int64_t ca_not_after(int64_t lifetime, bool root, int64_t now, int64_t parent_end);

/* Exactly what will be signed, but for the serial. Slices are borrowed. */
struct ca_plan {
    struct slice issuer, subject; /* Name TLVs */
    struct slice spki;            /* TLV of the new CA's key */
    struct slice issuer_key_id;   /* SKI of the issuer; empty: self-signed, its own */
    int64_t not_before, not_after;
    int path_len; /* -1: none */
    const char *crl_url, *ca_url,
        *ocsp_url; /* of the issuer: where its CRL and certificate are; NULL or "": left out */
    const char *const *permit_dns;
    size_t n_permit_dns;
    enum sig_alg sig_alg; /* what the issuer signs with */
    bool ra;          /* not a CA: whoever signs messages in its name (RFC 6402 2.10); signed as SIGN_LEAF */
    bool responder;   /* not a CA: whoever answers OCSP in its name (RFC 6960 4.2.2.2); signed as SIGN_LEAF */
    bool ra_decrypts; /* the RA reads what is encrypted to it, too */
};

/* What came of a signature over a CA certificate. */
struct ca_signed {
    struct slice der; /* in the arena */
    uint8_t serial[CERT_SERIAL_LEN];
    uint8_t tbs_hash[32], chain_hash[32];
    uint64_t chain_seq;
};
/* Sign a plan with a key of this signer, compare what came back with the plan, verify it under `issuer_spki`. Blocking. */
tm_err ca_plan_sign(struct ca_signed *ret, struct arena *a, struct signer *s, const char *key_id,
                    const struct ca_plan *p, struct slice issuer_spki, struct diag *diag);

/* The envelope of a CA's key: leaf+crl, or ca+crl for a tier or root, held to its own name and end. Strings live in `a`. */
tm_err ca_envelope(struct envelope *ret, struct arena *a, const struct ca_spec *s, bool root,
                   struct slice subject, int64_t not_after, struct diag *diag);
