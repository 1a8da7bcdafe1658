/* keys/envelope.h - what a key may be used for: sealed beside it by ceremony, enforced by the signer.
 *
 * Layer 3. The JSON form is canonical (sorted keys, compact) and signed by the key itself over
 * "touchmark-envelope-v1\0" || json, so that it cannot be widened without the key. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include "keys/alg.h"
#include <stdbool.h>
struct arena;
struct buf;

enum sign_kind {
    SIGN_LEAF = 0, /* certificate with CA:FALSE */
    SIGN_CA = 1,   /* certificate with CA:TRUE */
    SIGN_CRL = 2,
    SIGN_OCSP = 3,
    SIGN_CMS = 4,
    SIGN_CMP = 5,
    SIGN_DECRYPT = 6,
    SIGN_CHECKPOINT = 7,
    SIGN_SECRET = 8, /* nothing is signed: secrets are sealed and opened (keys/sealed_secret.h) */
    SIGN_KIND_COUNT
};
extern const char *const
    sign_kind_names[SIGN_KIND_COUNT +
                    1]; /* "leaf", "ca", "crl", "ocsp", "cms", "cmp", "decrypt", "checkpoint", "secret" */

enum { ENVELOPE_JSON_MAX = 64 << 10, ENVELOPE_ANCHORS_MAX = 256 };

struct envelope {
    const char *key_id; /* name of the key: 1..63 of [a-z0-9.-] */
    const char *origin; /* register origin a checkpoint key signs for; "" else */
    unsigned allow;     /* bit set of 1 << enum sign_kind */
    const char **
        anchors; /* CA certificates that messages of this tenant's RAs may hand out besides those of the signer's own making: SHA-256 of
                             each, 64 hexadecimal digits in lower case, ascending (docs/adr/0008) */
    size_t n_anchors;
    struct slice
        issuer; /* Name TLV that must stand in what is signed; empty: any (only for a root before its first certificate) */
    const char **
        ekus; /* dotted OIDs leaves may carry; "any": no limit but never OCSPSigning, cmcCA, cmcRA, cmcArchive, cmKGA,
                             anyExtendedKeyUsage unless they are listed too; a leaf without EKU needs "none" or "any" */
    size_t n_ekus;
    int64_t
        max_leaf_seconds; /* longest notAfter - notBefore of a leaf; TM_TIME_NEVER allows 99991231235959Z */
    int64_t max_ca_seconds;
    int64_t not_after_max;   /* no certificate may outlive this instant (the CA's own notAfter) */
    const char **permit_dns; /* DNS suffixes leaves' SANs must lie under; none listed: any */
    size_t n_permit_dns;
    int max_path_len; /* for CA certificates: largest pathLenConstraint, which must then be there; -1: any, or none */
};

tm_err envelope_from_json(struct envelope *ret, struct arena *a, struct slice json, struct diag *diag);
tm_err envelope_to_json(struct buf *out, const struct envelope *e);

/* Pure: may this envelope's key sign this TBSCertificate? Parses it whole. `now`: backdating before now - 370 days and serials of the
 * wrong form are refused too. TM_EDENIED with the rule in `diag`. */
tm_err envelope_check_tbs_cert(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag);
/* thisUpdate/nextUpdate, issuer name, structure of every entry. */
tm_err envelope_check_tbs_crl(const struct envelope *e, struct slice tbs, int64_t now, struct diag *diag);
