/* enroll/scep/scep.h - Simple Certificate Enrolment Protocol (RFC 8894).
 *
 * Layer 5. A message begins on its loop; everything else happens on threads of the door's own, for messages are opened and answers signed by the
 * signer, and what it did is recorded before an answer leaves. scep.c has the routes and what is answered from the catalog; rollover.c
 * answers GetNextCACert; message.c reads and writes pkiMessages; work.c verifies, opens and sorts them; auth.c says who asks;
 * transaction.c remembers; query.c answers CertPoll, GetCert and GetCRL; answer.c makes CertReps; hook.h asks a service about challenges. */
#pragma once
#include "base/buf.h"
#include "enroll/door.h"
#include "enroll/identity.h"
#include "enroll/scep/message.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/scep_settings.h"

struct scep_exchange {
    struct http_request *request;
    struct house *house;
    struct catalog *catalog; /* a reference, until the answer */
    const struct endpoint *endpoint;
    const struct authority *authority; /* whose RA opens and answers */
    struct task work, answered;
    struct slice body;

    struct scep_message *m;
    bool verified;      /* the signature is the signer's certificate's */
    bool known;         /* who asks is known: by certificate or by challenge */
    enum oid cipher;    /* of the request, and of the answer */
    bool oaep;          /* the same for the key transport */
    bool unsound;       /* what was opened is not what it says: scep_not_opened() */
    uint64_t opened_at; /* by the monotonic clock; 0: it was not */
    struct slice plain; /* messageData */
    struct csr csr;
    const char *challenge;           /* text; "" none */
    const char *predecessor_profile; /* of a renewal; NULL none */
    struct issue_request issue;

    struct {
        const char *id, *token_key; /* its row, and how the challenge finds it */
        const char *origin;         /* hash of the right by which it is asked */
        bool found;
        int64_t version;            /* of the row with this id, be it over; 0: there is none */
        struct slice spki, signer;  /* SHA-256 each of the key asked for and of the signer's key */
        const char *pending;        /* continuation's id, "" none */
        struct slice cert;          /* DER, when issued */
        const char *nonce, *digest; /* of the last message, hex */
    } t;
    bool hooked; /* a web hook has judged, and is told what came of it */

    tm_err err;
    struct diag diag;
    enum scep_fail fail; /* where err says a failure */
    bool fail_set;
    int http_status; /* of the answer; 200 with `reply` */
    struct slice reply;
    struct slice given; /* the certificate in it, DER */
};

extern const struct door_descriptor scep_door;

/* Fail with this failInfo whatever the error's own would be. */
tm_err scep_fail(struct scep_exchange *x, enum scep_fail fail, tm_err e, const char *rule, const char *field,
                 const char *message);

/* Where messages are worked on: threads of the door's own, for a web hook may keep one for seconds. When the door closes, those of the house. */
extern struct executor scep_executor;

/* scep.c: the RA's certificate (RFC 8894 4.2: it is not the CA's), the authority's and what is above it. */
enum { SCEP_CHAIN_MAX = 32 };
size_t scep_chain(struct slice ret[SCEP_CHAIN_MAX], const struct authority *x);

/* rollover.c: the work of GetNextCACert on a blocking thread. */
void scep_next_work(struct task *t);
/* When the door closes. */
void scep_next_forget(void);

/* work.c: the work of a message on a blocking thread. */
void scep_work(struct task *t);
/* The task of a finished issue_request. */
void scep_issued(struct task *t);

/* auth.c: who asks, for PKCSReq and RenewalReq; fills issue.e.caller, kind, predecessor, token_id and profile. */
tm_err scep_authenticate(struct scep_exchange *x, struct diag *diag);
/* Who signs is known: a certificate of ours, or one that the endpoint's trust sets vouch for. */
tm_err scep_identify(struct scep_exchange *x, struct identity *ret, struct diag *diag);
/* Signed with a certificate that says nothing but its key. */
bool scep_self_signed(const struct scep_message *m);

/* transaction.c */
/* Find the transaction of this message, by its id or, for a request, by its one-time challenge. x->t.found; what failed stands in x->diag. */
tm_err scep_transaction_find(struct scep_exchange *x);
/* This message may go on in it: same keys, no nonce used for another message. */
tm_err scep_transaction_check(struct scep_exchange *x);
/* The effect that writes it, for issue_request.also. */
tm_err scep_transaction_also(struct issue_request *r, struct effect *ret, size_t *ret_n);
/* Written now: it waits for approval. TM_ECONFLICT: another copy of the message has been quicker. */
tm_err scep_transaction_pending(struct scep_exchange *x, const char *continuation);

/* The one answer to whatever cannot be opened, or is not what it says: they must not be told apart. */
tm_err scep_not_opened(struct scep_exchange *x);

/* query.c: before anything is opened: may who signs ask this? */
tm_err scep_query_admit(struct scep_exchange *x, struct diag *diag);
/* CertPoll, GetCert, GetCRL. *ret: what the answer has in it, degenerate SignedData; in the arena. TM_EPENDING. */
tm_err scep_query(struct slice *ret, struct scep_exchange *x, struct diag *diag);

/* answer.c */
/* Can the answer be encrypted to who asks? */
tm_err scep_recipient_check(struct scep_exchange *x, struct diag *diag);
/* The CertRep of x->err (TM_OK, TM_EPENDING, else a failure) with `content`; blocking; ends on the loop. */
void scep_answer(struct scep_exchange *x, struct slice content);
void scep_reply_text(struct http_request *r, int status, const char *text);
/* May one more signature be made for somebody whom nobody knows? */
bool scep_budget_take(void);
/* certs-only of a certificate and what is behind it, in the arena. */
tm_err scep_certs(struct slice *ret, struct scep_exchange *x, struct slice cert);

/* metrics.c */
void scep_metrics_register(void);
void scep_count(const char *endpoint, const char *operation, const char *outcome);
