/* enroll/cmp/cmp.h - Certificate Management Protocol over HTTP (RFC 9810, RFC 9811, in the profile of RFC 9483).
 *
 * Layer 5. A message begins on its loop, is taken apart and authenticated on a blocking thread, passes through the pipeline where it asks
 * for a certificate, and is answered by a message that is protected like it, once all that happened is durable. cmp.c has routes and the way
 * of a message, protect.c says who protected it and protects the answer, transaction.c keeps what the next message of a transaction has to
 * know, request.c possession.c confirm.c revoke.c general.c serve one kind of message each, answer.c signs, records and sends. */
#pragma once
#include "base/buf.h"
#include "enroll/door.h"
#include "enroll/identity.h"
#include "issue/catalog.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "keys/cmp_mac.h"
#include "keys/signer.h"
#include "x509/cmp.h"

struct key;

enum { CMP_NONCE = 16, CMP_CHAIN_MAX = 16, CMP_DEPTH_MAX = 3 };

enum cmp_protection { CMP_UNPROTECTED, CMP_BY_MAC, CMP_BY_SIGNATURE };

enum cmp_state {
    CMP_T_NEW,         /* nothing is stored yet */
    CMP_T_WAITING,     /* for approval: pollReq is next */
    CMP_T_UNCONFIRMED, /* certConf is next */
    CMP_T_OVERDUE,     /* nobody can confirm any more: the certificate is being revoked */
    CMP_T_DONE,
    CMP_T_CHALLENGED, /* popdecr is next */
};

/* Possession of a key that is for encryption (RFC 9810 5.2.8.3). */
enum cmp_pop {
    CMP_POP_USUAL,      /* by signature, or vouched for */
    CMP_POP_ENCRYPTED,  /* who confirms the certificate has decrypted it */
    CMP_POP_CHALLENGED, /* a number is to be decrypted first */
    CMP_POP_DECRYPTED,  /* and has been */
};

/* A row of the store: what lasts from one message of a transaction to the next. Any process answers that. */
struct cmp_transaction {
    struct object_row row;
    enum cmp_state state;
    const char *endpoint, *profile;
    int64_t body;           /* of the request that began it */
    struct slice request;   /* its content, where it waits */
    const char *pending;    /* id of what waits for approval */
    int64_t request_id;     /* certReqId */
    bool implicit_confirm;  /* was asked for */
    const char *credential; /* who protected the request: nobody else goes on */
    struct slice last;      /* SHA-256 of the latest message */
    struct slice nonce;     /* senderNonce of our latest answer */
    struct slice reply;     /* and the answer itself, without extraCerts: who repeats himself gets it again */
    const char *serial;     /* hex, of what was issued */
    struct slice cert;
    enum cmp_pop pop;
    struct slice witness; /* SHA-256 of the number that is to be decrypted */
    struct slice opening; /* the key of the certificate's envelope, for the signer to look into it */
    int64_t confirm_by;   /* or to decrypt by */
    int64_t
        remember; /* not stored: until when, at least, the message must not do anything again; 0: no matter */
};

struct cmp_exchange {
    struct http_request *http;
    struct arena *a;
    struct house *house;
    struct catalog *catalog; /* a reference of the outermost exchange, until the answer */
    const struct endpoint *endpoint;
    const struct authority *authority; /* whose RA signs the answer */
    const char *operation;             /* last segment of the path; "" none */
    struct task work, step, finished;

    /* nested messages (RFC 9810 5.1.3.4) */
    struct cmp_exchange *parent;
    unsigned depth;
    struct slice inner[CMP_NESTED_MAX], inner_replies[CMP_NESTED_MAX];
    size_t n_inner, at_inner;
    bool wrapped; /* one message that a RA has only protected: its answer is ours */

    /* the message, and who protected it */
    struct cmp_message m;
    enum cmp_protection by;
    bool known; /* who, that is: only they get signed answers */
    bool ra;    /* an authorized RA, which speaks for others */
    struct identity who;
    struct cmp_mac mac;
    char *secret;
    bool stranger; /* who knows no secret is told the same, whatever the reason; the register has that */
    const char *credential;
    const char *token_profile;
    struct cmp_transaction t;

    /* a certificate */
    struct csr csr;
    struct key *key; /* made here, given away once */
    struct slice private_key, encrypted_cert;
    struct issue_request issue;

    /* the answer */
    enum cmp_fail fail;
    tm_err err;
    struct diag diag;
    unsigned body;
    struct slice content;
    bool implicit_confirm;
    bool enveloped;       /* EnvelopedData is in it: version 3 (RFC 9810 7) */
    struct slice opening; /* what opens the certificates that are encrypted in it, for the signer */
    int64_t confirm_wait;
    bool keep; /* the transaction is to be stored with the answer */
    struct slice certs[CMP_CHAIN_MAX];
    size_t n_certs;
    struct slice header, body_tlv, part, protection;
    struct sign_op sign;
    bool signing;             /* between the signer and the commit */
    struct effect effects[8]; /* what the answer does; then all of its transaction */
    size_t n_effects;
    struct store_txn txn;
    struct slice reply;
};

extern const struct door_descriptor cmp_door;

/* cmp.c: an answer has been made ready: sign, record, send. An error becomes one. From any thread but the loop. */
void cmp_send(struct cmp_exchange *x);
void cmp_send_error(struct cmp_exchange *x);
/* The answer that the transaction keeps, once more: x->reply. */
tm_err cmp_answer_again(struct cmp_exchange *x);
/* Note failInfo, rule and reason; returns `e`. */
[[gnu::format(printf, 5, 6)]] tm_err cmp_refuse(struct cmp_exchange *x, enum cmp_fail fail, tm_err e,
                                                const char *rule, const char *fmt, ...);
/* failInfo of an error that did not bring its own. */
enum cmp_fail cmp_fail_of(tm_err e, const char *rule);
/* What a stranger may read of an error. */
const char *cmp_reason(struct arena *a, tm_err e, const struct diag *diag);
void cmp_note_refusal(const struct cmp_exchange *x);
/* Begin with a message on a blocking thread, in an exchange of its own that has all but the message from `x`; within `parent`, or by itself. */
tm_err cmp_begin(const struct cmp_exchange *x, struct cmp_exchange *parent, struct slice message);
/* A message of the endpoint is answered: to the loop, or to the message around it. */
void cmp_finished(struct cmp_exchange *x);

/* protect.c: find out who protected the message, and that it is as they sent it. Blocking. */
tm_err cmp_authenticate(struct cmp_exchange *x);
/* The AlgorithmIdentifier of the answer's protection; empty where it has none. */
tm_err cmp_protection_alg(struct slice *ret, struct cmp_exchange *x);
/* The answer's MAC over x->part. */
tm_err cmp_protect_mac(struct cmp_exchange *x);

/* transaction.c. Blocking. */
tm_err cmp_transaction_find(struct cmp_exchange *x);
/* The effect that stores it with the answer. */
tm_err cmp_transaction_effect(struct effect *ret, struct cmp_exchange *x);
tm_err cmp_transaction_read(struct cmp_transaction *ret, struct arena *a, const struct object_row *row);
/* Bring its row up to what it says; and the effect that stores it, where it still has that version. */
tm_err cmp_transaction_write(struct cmp_transaction *t, struct arena *a);
void cmp_transaction_put(struct effect *ret, tenant_id tenant, const struct cmp_transaction *t);

/* request.c: ir, cr, kur, p10cr, and pollReq for what waits. End at cmp_send() or cmp_send_error(). */
void cmp_request(struct cmp_exchange *x);
void cmp_poll(struct cmp_exchange *x);
/* Go on with the request that the transaction keeps; or refuse it, which ends the transaction. */
void cmp_request_again(struct cmp_exchange *x);
void cmp_request_refuse(struct cmp_exchange *x, tm_err e);
/* possession.c: keys that prove themselves by decrypting. Is the request's such a key, and how? */
tm_err cmp_possession_check(struct cmp_exchange *x);
/* popdecc: the number to decrypt. */
tm_err cmp_possession_challenge(struct cmp_exchange *x);
/* popdecr. Ends at cmp_send() or cmp_send_error(). */
void cmp_possession_answered(struct cmp_exchange *x);
/* The certificate that was issued, encrypted to its key: x->encrypted_cert. */
tm_err cmp_possession_seal(struct cmp_exchange *x);
/* confirm.c */
tm_err cmp_confirm(struct cmp_exchange *x);
extern const struct job cmp_unconfirmed_job;
/* An event about a certificate. */
tm_err cmp_certificate_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                             const struct cmp_transaction *t, const char *by, const char *how);
/* revoke.c */
tm_err cmp_revoke(struct cmp_exchange *x);
/* general.c */
tm_err cmp_general(struct cmp_exchange *x);
/* answer.c: who answers, as a Name TLV. */
struct slice cmp_sender(const struct cmp_exchange *x);
/* Content of an answer, from what is known. */
tm_err cmp_answer_list(struct cmp_exchange *x, unsigned body, void (*build)(struct buf *out, const void *arg),
                       const void *arg);
/* sealed.c: the key made for the requester, in an envelope for the key that protected the request. Blocking. */
tm_err cmp_seal_check(struct cmp_exchange *x);
tm_err cmp_seal_key(struct cmp_exchange *x);
