/* enroll/est/est.h - Enrollment over Secure Transport (RFC 7030, RFC 8951, RFC 9908).
 *
 * Layer 5. A request begins on its loop, is authenticated and read on a blocking thread, passes through the pipeline and is answered on
 * its loop. est.c has the routes and what needs no pipeline, auth.c says who asks, enroll.c what for, answer.c speaks HTTP; cmc.c reads
 * and answers whole CMC messages, sealed.c gives out keys that are made here in an envelope. */
#pragma once
#include "base/buf.h"
#include "enroll/door.h"
#include "enroll/identity.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/trust.h"

struct est_cmc;
struct key;

enum est_op { EST_ENROLL, EST_REENROLL, EST_KEYGEN, EST_FULLCMC };

struct est_exchange {
    struct http_request *request;
    struct house *house;
    struct catalog *catalog; /* a reference, until the answer */
    const struct endpoint *endpoint;
    enum est_op op;
    struct task work, keygen, refused;
    struct slice binding; /* of the TLS connection; empty when it has none */

    struct identity who; /* by the TLS client's certificate, or that of who signed a CMC message */

    struct csr csr;
    struct key *key; /* EST_KEYGEN: made here, given away once */
    struct {
        bool wanted;
        enum oid cipher;
        bool oaep;
        const struct authority *authority; /* whose RA signs */
        struct slice message;              /* EnvelopedData, when made */
    } seal;
    struct est_cmc *cmc; /* EST_FULLCMC */
    struct issue_request issue;
    tm_err err; /* of a refusal before the pipeline */
    struct diag diag;
};

extern const struct door_descriptor est_door;

/* auth.c: fill issue.e.caller, issue.token_id, issue.e.profile ("" unless a token names one) and `who`. Blocking.
 * TM_EAUTH and other refusals with the rule in `diag`. */
tm_err est_authenticate(struct est_exchange *x, struct diag *diag);
/* The token's id and secret from an Authorization header, in `a`; false when it is neither Basic nor Bearer with both. */
bool est_authorization_read(const char **ret_id, struct slice *ret_secret, struct arena *a,
                            const char *header);
/* Tenant, endpoint, door and the like of `issue`. */
void est_issue_begin(struct est_exchange *x);
/* The token's profile; for a renewal the predecessor's, where the endpoint offers it; else the endpoint's first. */
tm_err est_choose_profile(struct est_exchange *x, struct diag *diag);
/* Count a refusal that came before the pipeline. */
void est_note_refusal(const struct est_exchange *x, tm_err e, const struct diag *diag);

/* enroll.c: the work of an enrollment on a blocking thread; ends at est_answer() or est_refuse(). */
void est_enroll_work(struct task *t);
/* base64 of PKCS#10 in any of the forms that clients send: with PEM lines, any white space or none, or plain DER. */
tm_err est_body_decode(struct slice *ret_der, struct arena *a, struct slice body, struct diag *diag);
/* Is challengePassword this connection's binding (RFC 7030 3.5)? TM_EDENIED when it must be and is not. */
tm_err est_binding_check(struct slice challenge, struct slice binding, bool required, struct arena *a,
                         struct diag *diag);

/* cmc.c: the work of a full CMC request on a blocking thread; ends at est_answer_cmc(). */
void est_cmc_work(struct task *t);

/* sealed.c: is the key to be encrypted, for whom, and can it be (RFC 7030 4.4.1)? Fills x->seal. TM_EUNSUPPORTED, TM_EUNAVAIL. */
tm_err est_seal_prepare(struct est_exchange *x, struct diag *diag);
/* Seal the key before the certificate is committed (issue_request.also): one whose key can't be given away is not issued. Blocking. */
tm_err est_seal(struct issue_request *i, struct effect *ret, size_t *ret_n);

/* answer.c, on the loop */
int est_status_of(tm_err e);
/* The task of a finished issue_request, and of a refusal before it. */
void est_answer(struct task *t);
void est_answer_refused(struct task *t);
/* A CMC answer; `status` 202 with the seconds to wait. */
void est_reply_cmc(struct http_request *r, int status, unsigned retry_after, struct slice der);
/* One line of text, with the headers that belong to the status. */
void est_reply_error(struct http_request *r, tm_err e, const char *rule, const char *reason);
/* base64 of `der`. `link`: where to ask when to renew (enroll/renewal_info.h); NULL: nowhere. */
void est_reply_base64(struct http_request *r, const char *type, struct slice der, const char *link);
