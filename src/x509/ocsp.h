/* x509/ocsp.h - OCSP requests and responses (RFC 6960; RFC 9654 nonces; RFC 9919 profile).
 * Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include <stdbool.h>
struct buf;
struct cert;

enum { OCSP_REQUEST_MAX = 16 << 10, OCSP_IDS_MAX = 16, OCSP_NONCE_MAX = 128, OCSP_SERIAL_MAX = 20 };

/* OCSPResponseStatus: what an answer without a signature says. */
enum ocsp_outcome {
    OCSP_SUCCESSFUL = 0,
    OCSP_MALFORMED_REQUEST = 1,
    OCSP_INTERNAL_ERROR = 2,
    OCSP_TRY_LATER = 3,
    OCSP_SIG_REQUIRED = 5,
    OCSP_UNAUTHORIZED = 6,
};

/* CertID: whose certificate, and which. Borrows the request. */
struct ocsp_id {
    struct slice der; /* the whole TLV, which the answer repeats */
    enum oid hash;    /* OID_SHA1, OID_SHA256; OID_UNKNOWN for others */
    bool
        null; /* the hash algorithm has parameters NULL, as most libraries write it; else none (RFC 9919 2.1.1) */
    struct slice name_hash, key_hash;
    struct slice serial; /* INTEGER contents, at most 21 octets */
};
struct ocsp_request {
    struct ocsp_id ids[OCSP_IDS_MAX];
    size_t n;
    struct slice nonce; /* empty: none */
    bool is_signed;     /* there is a signature; it was not looked at */
};
/* One DER OCSPRequest; trailing octets, more than OCSP_IDS_MAX certificates, an unknown critical extension or a nonce of another size than 1 to
 * 128 octets are errors. */
tm_err ocsp_request_parse(struct ocsp_request *ret, struct slice der, struct diag *diag);
/* A request for one certificate with SHA-256 (RFC 9919) or SHA-1 hashes of its issuer; nonce may be empty. Appended. */
tm_err ocsp_request_build(struct buf *out, const struct ocsp_id *id, struct slice nonce);
/* How CertIDs name an authority (RFC 6960 4.1.1): digests of its name and of its public key's bits. */
struct ocsp_issuer {
    uint8_t name_sha1[20], key_sha1[20], name_sha256[32], key_sha256[32];
};
tm_err ocsp_issuer_make(struct ocsp_issuer *ret, const struct cert *ca);
bool ocsp_issuer_is(const struct ocsp_issuer *i, const struct ocsp_id *id);
/* CertID TLV from its parts (der is not read). Appended. */
tm_err ocsp_id_build(struct buf *out, const struct ocsp_id *id);

enum ocsp_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };
struct ocsp_single {
    struct slice id; /* CertID TLV */
    enum ocsp_status status;
    int64_t revoked_at;
    int reason; /* enum crl_reason; CRL_UNSPECIFIED is left out */
    int64_t this_update, next_update;
};
struct ocsp_data {
    struct slice key_hash; /* responder by key: SHA-1 of its public key's bits */
    int64_t produced_at;
    const struct ocsp_single *v;
    size_t n;
    struct slice nonce; /* empty: none */
};
/* ResponseData TLV, appended. */
tm_err ocsp_data_build(struct buf *out, const struct ocsp_data *d);
/* A successful OCSPResponse around it; `cert` is the responder's certificate, empty: none goes along. Appended. */
tm_err ocsp_response_build(struct buf *out, struct slice data, struct slice sig_algid, struct slice signature,
                           struct slice cert);
/* An OCSPResponse that is nothing but its status. */
enum { OCSP_ERROR_LEN = 5 };
void ocsp_error_build(uint8_t out[OCSP_ERROR_LEN], enum ocsp_outcome o);

/* What came back for one certificate. Slices borrow `der`. The signature is not looked at. */
struct ocsp_response {
    enum ocsp_outcome outcome; /* what follows is filled for OCSP_SUCCESSFUL only */
    struct slice data;         /* what is signed: ResponseData TLV */
    struct slice sig_algid, signature, cert;
    struct ocsp_id id; /* of the first SingleResponse */
    enum ocsp_status status;
    int64_t revoked_at, produced_at, this_update, next_update; /* next_update 0: none */
    int reason;
};
tm_err ocsp_response_parse(struct ocsp_response *ret, struct slice der, struct diag *diag);
