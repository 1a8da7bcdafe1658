/* x509/cmp.h - the messages of the Certificate Management Protocol: PKIMessage in, PKIMessage out (RFC 9810, whose module has EXPLICIT TAGS).
 *
 * Layer 2, pure. Structure only: what a message means, and whether its protection is any good, is for others. Readers borrow the DER. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include "x509/spki.h"
#include <stdbool.h>
#include <stdint.h>
struct arena;
struct buf;

enum {
    CMP_MESSAGE_MAX = 512 << 10,
    CMP_EXTRA_CERTS_MAX = 24,
    CMP_INFO_MAX = 16,
    CMP_ID_MAX = 64, /* transactionID, nonces, key identifiers */
    CMP_PROFILES_MAX = 4,
    CMP_ITEMS_MAX = 16, /* of a body that is a list */
    CMP_NESTED_MAX = 16,
};

/* PKIBody's tags (RFC 9810 5.1.2). */
enum cmp_body {
    CMP_IR = 0,
    CMP_IP = 1,
    CMP_CR = 2,
    CMP_CP = 3,
    CMP_P10CR = 4,
    CMP_POPDECC = 5,
    CMP_POPDECR = 6,
    CMP_KUR = 7,
    CMP_KUP = 8,
    CMP_RR = 11,
    CMP_RP = 12,
    CMP_PKICONF = 19,
    CMP_NESTED = 20,
    CMP_GENM = 21,
    CMP_GENP = 22,
    CMP_ERROR = 23,
    CMP_CERTCONF = 24,
    CMP_POLLREQ = 25,
    CMP_POLLREP = 26,
    CMP_BODY_COUNT = 27
};
/* "ir", "ip", … */
const char *cmp_body_name(unsigned body);

/* InfoTypeAndValue ::= SEQUENCE { infoType OBJECT IDENTIFIER, infoValue ANY OPTIONAL } */
struct cmp_info {
    enum oid type;
    struct slice oid;
    struct slice value; /* whole TLV; empty when absent */
};

struct cmp_message {
    struct slice der;
    struct slice header, body_tlv; /* whole TLVs: what is protected, one behind the other */
    uint64_t pvno;
    struct slice sender;      /* GeneralName TLV */
    struct slice sender_name; /* Name TLV of a directoryName; empty otherwise */
    struct slice recipient;   /* GeneralName TLV */
    int64_t time;             /* 0: absent */
    struct algid protection_alg;
    bool has_protection_alg;
    struct slice sender_kid, transaction_id, sender_nonce, recip_nonce; /* empty when absent */
    struct cmp_info info[CMP_INFO_MAX];                                 /* generalInfo */
    size_t n_info;
    unsigned body;
    struct slice content; /* whole TLV inside the body's tag */
    bool is_protected;
    struct slice protection;
    struct slice extra[CMP_EXTRA_CERTS_MAX]; /* extraCerts, whole TLVs */
    size_t n_extra;
};

/* One PKIMessage; trailing bytes are an error. What was read before an error stays in *ret, so that the refusal can name its transaction.
 * TM_EMALFORMED, TM_ETOOBIG. */
tm_err cmp_message_parse(struct cmp_message *ret, struct slice der, struct diag *diag);
/* ProtectedPart ::= SEQUENCE { header, body }, in `a` (RFC 9810 5.1.3). */
tm_err cmp_protected_part(struct slice *ret, struct arena *a, struct slice header, struct slice body_tlv);
/* NULL when absent. */
const struct cmp_info *cmp_info_find(const struct cmp_message *m, enum oid type);
/* CertProfileValue ::= SEQUENCE SIZE (1..MAX) OF UTF8String */
tm_err cmp_profiles_read(struct slice ret[CMP_PROFILES_MAX], size_t *ret_n, struct slice value,
                         struct diag *diag);

/* ---- bodies of requests: `content` of a message ---- */

/* PKIStatusInfo (RFC 9810 5.2.3). */
struct cmp_status_info {
    int status;        /* enum cmp_status_code, or another up to 6 */
    uint32_t fail;     /* failInfo: 1 << enum cmp_fail */
    struct slice text; /* the first of statusString; empty when absent */
};

/* CertStatus of a certConf (RFC 9810 5.3.18). */
struct cmp_confirm {
    int64_t request_id;
    struct slice hash;
    int status; /* 0 where it is not said */
    bool has_hash_alg;
    struct algid hash_alg;
};
tm_err cmp_confirms_read(struct cmp_confirm *ret, size_t max, size_t *ret_n, struct slice content,
                         struct diag *diag);

/* RevDetails of an rr (RFC 9810 5.3.9). */
struct cmp_revocation {
    struct slice issuer; /* Name TLV; empty when absent */
    struct slice serial; /* INTEGER contents; empty when absent */
    int reason;          /* -1: none given */
};
tm_err cmp_revocations_read(struct cmp_revocation *ret, size_t max, size_t *ret_n, struct slice content,
                            struct diag *diag);

/* certReqIds of a pollReq (RFC 9810 5.3.22). */
tm_err cmp_polls_read(int64_t *ret, size_t max, size_t *ret_n, struct slice content, struct diag *diag);
/* POPODecKeyRespContent ::= SEQUENCE OF INTEGER, of a popdecr (RFC 9810 5.2.8.3.3): their contents. */
tm_err cmp_pop_responses_read(struct slice *ret, size_t max, size_t *ret_n, struct slice content,
                              struct diag *diag);
/* Of a genm. */
tm_err cmp_infos_read(struct cmp_info *ret, size_t max, size_t *ret_n, struct slice content,
                      struct diag *diag);
/* PKIMessage TLVs of a nested. */
tm_err cmp_nested_read(struct slice *ret, size_t max, size_t *ret_n, struct slice content, struct diag *diag);
/* CRLStatus of id-it-crlStatusList (RFC 9810 5.3.19.15): whose, and what is there already. */
struct cmp_crl_status {
    struct slice issuer; /* Name TLV of source issuer */
    struct slice uri;    /* or of the distribution point's name */
    int64_t this_update; /* 0: none there */
};
tm_err cmp_crl_statuses_read(struct cmp_crl_status *ret, size_t max, size_t *ret_n, struct slice value,
                             struct diag *diag);
/* CertId ::= SEQUENCE { issuer GeneralName, serialNumber INTEGER }, of id-regCtrl-oldCertID. */
tm_err cmp_cert_id_read(struct slice *ret_issuer, struct slice *ret_serial, struct slice tlv,
                        struct diag *diag);

/* ---- bodies of answers, as clients and recordings see them ---- */

/* One response of an ip, cp or kup, one status of an rp, one line of a pollRep, or an error. */
struct cmp_outcome {
    int64_t request_id; /* certReqId; of an rp its place */
    struct cmp_status_info status;
    struct slice cert;   /* Certificate TLV; empty: none */
    bool encrypted_cert; /* there is one, encrypted */
    bool private_key;    /* a key came along, encrypted */
    uint64_t check_after;
};
/* TM_EMALFORMED; TM_ETOOBIG; TM_EUNSUPPORTED for other bodies. */
tm_err cmp_outcomes_read(struct cmp_outcome *ret, size_t max, size_t *ret_n, unsigned body,
                         struct slice content, struct diag *diag);

/* ---- answers ---- */

/* RFC 9810 5.2.3 */
enum cmp_status_code {
    CMP_ACCEPTED = 0,
    CMP_GRANTED_WITH_MODS = 1,
    CMP_REJECTION = 2,
    CMP_WAITING = 3,
};
enum cmp_fail {
    CMP_BAD_ALG = 0,
    CMP_BAD_MESSAGE_CHECK = 1,
    CMP_BAD_REQUEST = 2,
    CMP_BAD_TIME = 3,
    CMP_BAD_CERT_ID = 4,
    CMP_BAD_DATA_FORMAT = 5,
    CMP_WRONG_AUTHORITY = 6,
    CMP_INCORRECT_DATA = 7,
    CMP_MISSING_TIME_STAMP = 8,
    CMP_BAD_POP = 9,
    CMP_CERT_REVOKED = 10,
    CMP_CERT_CONFIRMED = 11,
    CMP_WRONG_INTEGRITY = 12,
    CMP_BAD_RECIPIENT_NONCE = 13,
    CMP_UNACCEPTED_EXTENSION = 16,
    CMP_ADD_INFO_NOT_AVAILABLE = 17,
    CMP_BAD_SENDER_NONCE = 18,
    CMP_BAD_CERT_TEMPLATE = 19,
    CMP_SIGNER_NOT_TRUSTED = 20,
    CMP_TRANSACTION_ID_IN_USE = 21,
    CMP_UNSUPPORTED_VERSION = 22,
    CMP_NOT_AUTHORIZED = 23,
    CMP_SYSTEM_UNAVAIL = 24,
    CMP_SYSTEM_FAILURE = 25,
    CMP_DUPLICATE_CERT_REQ = 26,
    CMP_FAIL_NONE = -1,
};
/* "badAlg", …; "" for what has no name. */
const char *cmp_fail_name(int fail);

struct cmp_status {
    enum cmp_status_code code;
    const char *text; /* UTF-8; NULL or "": none */
    int fail;         /* enum cmp_fail; CMP_FAIL_NONE */
};

struct cmp_header {
    unsigned pvno;
    struct slice sender;    /* Name TLV */
    struct slice recipient; /* GeneralName TLV */
    int64_t time;
    struct slice protection_alg; /* AlgorithmIdentifier TLV; empty: none */
    struct slice sender_kid, transaction_id, sender_nonce, recip_nonce; /* empty: left out */
    bool implicit_confirm;
    int64_t confirm_wait; /* 0: not said */
};
/* Header and body as TLVs of a message to be protected; appended. */
void cmp_header_build(struct buf *out, const struct cmp_header *h);
void cmp_body_build(struct buf *out, unsigned body, struct slice content);
/* PKIMessage; `protection` empty: none. Appended. */
tm_err cmp_message_build(struct buf *out, struct slice header, struct slice body_tlv, struct slice protection,
                         const struct slice *extra, size_t n_extra);

/* CertRepMessage with one CertResponse (RFC 9810 5.3.4). */
struct cmp_cert_response {
    const struct slice *ca_pubs;
    size_t n_ca_pubs;
    int64_t request_id;
    struct cmp_status status;
    struct slice cert;           /* Certificate TLV; empty: none */
    struct slice encrypted_cert; /* in its place: EnvelopedData TLV whose content is the certificate */
    struct slice private_key;    /* EnvelopedData TLV; empty: none */
};
void cmp_cert_response_build(struct buf *out, const struct cmp_cert_response *r);
/* POPODecKeyChallContent with one Challenge (RFC 9810 5.2.8.3.3). */
struct cmp_challenge {
    struct slice witness;        /* SHA-256 of the number's contents octets */
    struct slice challenge;      /* Rand, encrypted; empty where the next has it */
    struct slice encrypted_rand; /* EnvelopedData TLV whose content is Rand; empty: none */
};
void cmp_challenge_build(struct buf *out, const struct cmp_challenge *c);
/* Rand ::= SEQUENCE { int INTEGER, sender GeneralName }: a number without its sign, and a Name TLV. */
void cmp_rand_build(struct buf *out, struct slice number, struct slice sender);
/* RevRepContent: one status for each RevDetails. */
void cmp_revocation_response_build(struct buf *out, const struct cmp_status *v, size_t n);
/* ErrorMsgContent */
void cmp_error_build(struct buf *out, const struct cmp_status *s);
/* PollRepContent of one request. */
void cmp_poll_response_build(struct buf *out, int64_t request_id, unsigned check_after, const char *reason);
/* GenRepContent */
void cmp_infos_build(struct buf *out, const struct cmp_info *v, size_t n);
/* RootCaKeyUpdateValue; the links may be empty. */
void cmp_root_update_build(struct buf *out, struct slice new_with_new, struct slice new_with_old,
                           struct slice old_with_new);
/* PKIMessages, and other lists of whole TLVs. */
void cmp_list_build(struct buf *out, const struct slice *v, size_t n);

/* ---- answers again, read: by the signer, which has to know what it signs (docs/adr/0008). Other members than the writers above make are
 * refused: TM_EMALFORMED, TM_ETOOBIG, TM_EUNSUPPORTED. Slices borrow. */

struct cmp_cert_answer {
    struct slice ca_pubs[CMP_ITEMS_MAX];
    size_t n_ca_pubs;
    struct slice cert;           /* Certificate TLV; empty: none */
    struct slice encrypted_cert; /* in its place, octets under `cipher`; empty: none */
    struct algid cipher;
};
tm_err cmp_cert_response_read(struct cmp_cert_answer *ret, struct slice content, struct diag *diag);
tm_err cmp_revocation_response_read(struct slice content, struct diag *diag);
tm_err cmp_error_read(struct slice content, struct diag *diag);
tm_err cmp_challenge_read(struct cmp_challenge *ret, struct slice content, struct diag *diag);
tm_err cmp_poll_response_read(struct slice content, struct diag *diag);
/* CaCertsValue ::= SEQUENCE SIZE (1..MAX) OF CMPCertificate */
tm_err cmp_ca_certs_read(struct slice *ret, size_t max, size_t *ret_n, struct slice value, struct diag *diag);
enum { CMP_ROOT_UPDATE_MAX = 3 };
tm_err cmp_root_update_read(struct slice ret[CMP_ROOT_UPDATE_MAX], size_t *ret_n, struct slice value,
                            struct diag *diag);
