/* x509/csr.h - certificate requests in their three formats, read into one shape.
 *
 * PKCS#10 (RFC 2986), CRMF CertReqMsg (RFC 4211), SPKAC (Netscape SignedPublicKeyAndChallenge). Layer 2, pure.
 * Parsing checks structure only; whether the signature proves possession is keys/pubkey.h's. Borrows the DER. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/spki.h"
struct arena;
struct buf;

enum { CSR_DER_MAX = 64 << 10, CSR_ATTRS_MAX = 24 };

enum csr_format { CSR_PKCS10, CSR_CRMF, CSR_SPKAC };

enum csr_pop {
    CSR_POP_SIGNATURE,        /* `signed_part`, `sigalg` and `signature` are set */
    CSR_POP_NONE,             /* CRMF without popo */
    CSR_POP_RA_VERIFIED,      /* CRMF raVerified */
    CSR_POP_KEY_ENCIPHERMENT, /* CRMF keyEncipherment / keyAgreement; `pop_detail` has the POPOPrivKey TLV */
};

struct csr_attr {
    enum oid id;
    struct slice oid;
    struct slice values; /* contents of the SET: one or more TLVs */
};

struct csr {
    enum csr_format format;
    struct slice der;
    struct slice subject; /* Name TLV; empty slice when absent (SPKAC, CRMF without subject) */
    struct spki spki;     /* spki.der empty when absent (CRMF asking for central key generation) */
    struct exts exts;     /* requested extensions (extensionRequest or CRMF template) */
    struct csr_attr attrs[CSR_ATTRS_MAX]; /* PKCS#10 attributes, CRMF regInfo/controls */
    size_t n_attrs;
    int64_t not_before, not_after;   /* CRMF template validity; 0 when absent */
    struct slice challenge_password; /* PKCS#9 challengePassword text, SPKAC challenge; empty when absent */
    enum csr_pop pop;
    struct slice signed_part; /* bytes under the signature */
    struct algid sigalg;
    struct slice signature;
    struct slice pop_detail;
    uint64_t crmf_request_id;
};

/* One PKCS#10 CertificationRequest; trailing bytes, duplicate attributes and a second extensionRequest are errors. */
tm_err csr_parse_pkcs10(struct csr *ret, struct slice der, struct diag *diag);
/* One CertReqMsg (for CertReqMessages use crmf_messages_read). *ret may need re-encoding space in `a` (implicit [n] Name). */
tm_err csr_parse_crmf(struct csr *ret, struct arena *a, struct slice der, struct diag *diag);
/* The CertReqMsg TLVs of a CertReqMessages, for csr_parse_crmf() one by one; more than `max` are TM_ETOOBIG. */
tm_err crmf_messages_read(struct slice *ret_messages, size_t max, size_t *ret_n, struct slice der,
                          struct diag *diag);
tm_err csr_parse_spkac(struct csr *ret, struct slice der, struct diag *diag);
/* Guess: DER of any format, PEM ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), base64 DER, "SPKAC=…". */
tm_err csr_parse_any(struct csr *ret, struct arena *a, struct slice bytes, struct diag *diag);

/* How possession that no signature proves is to be proven (RFC 4211 4.2, 4.3), of a request with CSR_POP_KEY_ENCIPHERMENT. */
enum csr_pop_later {
    CSR_POP_OTHERWISE,          /* private key sent along, MAC by key agreement */
    CSR_POP_ENCRYPTED_CERT,     /* subsequentMessage encrCert: by decrypting the certificate */
    CSR_POP_CHALLENGE_RESPONSE, /* subsequentMessage challengeResp: by decrypting a number */
};
enum csr_pop_later csr_pop_later(const struct csr *c);

const struct csr_attr *csr_attr_find(const struct csr *c, enum oid id);
/* Requested subjectAltName; n == 0 when absent. */
tm_err csr_san(struct general_names *ret, struct arena *a, const struct csr *c, struct diag *diag);

/* Append a CertificationRequestInfo TLV for signing (tests, offline CA requests, serverkeygen). */
tm_err csr_build_info(struct buf *out, struct slice subject, struct slice spki, const struct ext *exts,
                      size_t n_exts);
