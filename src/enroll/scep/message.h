/* enroll/scep/message.h - the pkiMessage of SCEP: what comes in, and the attributes of what goes out (RFC 8894 section 3).
 *
 * Layer 5, pure but for verification. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/cert.h"
#include "x509/cms/enveloped.h"
#include "x509/cms/signed.h"
struct arena;
struct buf;
struct csr;

enum scep_type {
    SCEP_CERT_REP = 3,
    SCEP_RENEWAL_REQ = 17,
    SCEP_PKCS_REQ = 19,
    SCEP_CERT_POLL = 20,
    SCEP_GET_CERT = 21,
    SCEP_GET_CRL = 22
};
enum scep_status { SCEP_SUCCESS = 0, SCEP_FAILURE = 2, SCEP_PENDING = 3 };
enum scep_fail { SCEP_BAD_ALG, SCEP_BAD_MESSAGE_CHECK, SCEP_BAD_REQUEST, SCEP_BAD_TIME, SCEP_BAD_CERT_ID };

enum { SCEP_TRANSACTION_MAX = 128, SCEP_NONCE_MAX = 64, SCEP_NONCE = 16, SCEP_BODY_MAX = 256 << 10 };

struct scep_message {
    struct signed_data cms;
    const struct signed_signer *signer; /* the only one */
    struct cert by;                     /* the signer's certificate, as it came along */
    struct slice transaction_id;        /* text */
    struct slice sender_nonce;          /* octets */
    unsigned type;                      /* enum scep_type, or a number that is none */
};

/* The attributes of SCEP among a signer's (SET OF Attribute TLV, DER): transactionID and messageType must be there and senderNonce, each once.
 * TM_EMALFORMED. */
tm_err scep_attributes_read(struct scep_message *ret, struct slice attrs, struct diag *diag);
/* A whole message, BER or DER; what is signed is not verified. Borrows from `ber` and `a`. TM_EMALFORMED, TM_ETOOBIG. */
tm_err scep_message_parse(struct scep_message *ret, struct arena *a, struct slice ber, struct diag *diag);

/* The `message` of a GET: base64, of either alphabet, with or without line ends, '+' perhaps decoded to a space on the way. In `a`. */
tm_err scep_get_decode(struct slice *ret, struct arena *a, const char *message, struct diag *diag);

/* IssuerAndSerialNumber ::= SEQUENCE { issuer Name, serialNumber INTEGER } of GetCert and GetCRL (RFC 8894 3.3.4). */
tm_err scep_issuer_serial_parse(struct slice *ret_issuer, struct slice *ret_serial, struct slice der,
                                struct diag *diag);

struct scep_reply {
    enum scep_status status;
    enum scep_fail fail; /* of a failure */
    const char *text;    /* of a failure; may be NULL */
    struct slice transaction_id, recipient_nonce;
    uint8_t nonce[SCEP_NONCE];
};
/* The attributes of a CertRep, as further ones to be signed (x509/cms/signed.h); appended. */
tm_err scep_reply_attributes(struct buf *out, const struct scep_reply *r);

/* What the attributes of a CertRep say, for who reads answers; what is not there is zero. TM_EMALFORMED. */
struct scep_outcome {
    bool has_status, has_fail;
    unsigned status, fail;
    struct slice text, recipient_nonce; /* text: as it stands there */
};
tm_err scep_outcome_read(struct scep_outcome *ret, struct slice attrs, struct diag *diag);

/* A request without its secret, for recordings: `csr`, parsed from `der`, with asterisks in place of the challenge password (so that its
 * signature does not verify any more). In `a`. */
tm_err scep_request_blank(struct slice *ret, struct arena *a, const struct csr *csr, struct slice der);
