/* x509/cmc.h - the messages of Certificate Management over CMS: PKIData in, PKIResponse out (RFC 5272, RFC 6402).
 *
 * Layer 2, pure. What the controls mean is the door's. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include <stdint.h>
struct arena;
struct buf;

enum { CMC_REQUESTS_MAX = 8, CMC_CONTROLS_MAX = 16, CMC_NONCE_MAX = 64, CMC_DATA_RETURN_MAX = 4096 };

struct cmc_control {
    uint32_t id;
    enum oid type;
    struct slice oid;
    struct slice values; /* contents of the SET */
};

struct cmc_request {
    uint32_t id; /* bodyPartID; certReqId of a CertReqMsg */
    bool crmf;
    struct slice der; /* CertificationRequest, or CertReqMsg under the tag of a SEQUENCE */
};

struct pki_data {
    struct cmc_control controls[CMC_CONTROLS_MAX];
    size_t n_controls;
    struct cmc_request requests[CMC_REQUESTS_MAX];
    size_t n_requests;
    /* out of the controls; empty when absent */
    struct slice transaction_id; /* INTEGER contents */
    struct slice sender_nonce, recipient_nonce, data_return;
    uint32_t bad_part; /* the body part that an error is about; 0 the message itself */
};

/* One PKIData. TM_EMALFORMED; TM_ETOOBIG too many controls or requests; TM_EUNSUPPORTED a control, a kind of request or an enclosed message
 * that is not done here. What had been read by then stays in *ret, so that the refusal can name the transaction. */
tm_err pki_data_parse(struct pki_data *ret, struct arena *a, struct slice der, struct diag *diag);

/* RFC 5272 6.1.1 */
enum cmc_status_code { CMC_SUCCESS = 0, CMC_FAILED = 2, CMC_PENDING = 3, CMC_NO_SUPPORT = 4 };
enum cmc_fail_info {
    CMC_BAD_ALG = 0,
    CMC_BAD_MESSAGE_CHECK = 1,
    CMC_BAD_REQUEST = 2,
    CMC_BAD_TIME = 3,
    CMC_BAD_IDENTITY = 7,
    CMC_POP_REQUIRED = 8,
    CMC_POP_FAILED = 9,
    CMC_NO_KEY_REUSE = 10,
    CMC_INTERNAL_CA_ERROR = 11,
    CMC_TRY_LATER = 12,
};

struct cmc_status {
    uint32_t body_part;
    enum cmc_status_code code;
    enum cmc_fail_info fail; /* unless CMC_SUCCESS and CMC_PENDING */
    const char *text;        /* UTF-8, NULL or "": none */
    struct slice pend_token; /* CMC_PENDING */
    int64_t pend_time;
};

struct pki_response {
    struct slice transaction_id, sender_nonce, recipient_nonce, data_return; /* empty: left out */
    const struct cmc_status *status;
    size_t n_status;
};
tm_err pki_response_build(struct buf *out, const struct pki_response *r);
