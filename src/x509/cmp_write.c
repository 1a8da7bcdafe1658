#include "base/arena.h"
#include "base/buf.h"
#include "der/builder.h"
#include "der/reader.h"
#include "x509/cmp.h"

static const char *const body_names[CMP_BODY_COUNT] = {
    "ir",     "ip",      "cr",     "cp",   "p10cr", "popdecc", "popdecr",  "kur",     "kup",
    "krr",    "krp",     "rr",     "rp",   "ccr",   "ccp",     "ckuann",   "cann",    "rann",
    "crlann", "pkiconf", "nested", "genm", "genp",  "error",   "certConf", "pollReq", "pollRep",
};
static const char *const fail_names[] = {
    "badAlg",           "badMessageCheck",     "badRequest",          "badTime",           "badCertId",
    "badDataFormat",    "wrongAuthority",      "incorrectData",       "missingTimeStamp",  "badPOP",
    "certRevoked",      "certConfirmed",       "wrongIntegrity",      "badRecipientNonce", "timeNotAvailable",
    "unacceptedPolicy", "unacceptedExtension", "addInfoNotAvailable", "badSenderNonce",    "badCertTemplate",
    "signerNotTrusted", "transactionIdInUse",  "unsupportedVersion",  "notAuthorized",     "systemUnavail",
    "systemFailure",    "duplicateCertReq",
};

const char *cmp_body_name(unsigned body)
{
    return body < CMP_BODY_COUNT ? body_names[body] : "";
}

const char *cmp_fail_name(int fail)
{
    return fail >= 0 && (size_t)fail < sizeof fail_names / sizeof *fail_names ? fail_names[fail] : "";
}

/* ---- pieces ---- */

static void put_octets(struct der_builder *b, unsigned n, struct slice s)
{
    if (s.n == 0)
        return;
    der_open(b, DER_CONTEXT_CONS(n));
    der_put(b, DER_OCTET_STRING, s);
    der_close(b);
}

static void put_explicit(struct der_builder *b, unsigned n, struct slice tlv)
{
    der_open(b, DER_CONTEXT_CONS(n));
    der_put_tlv(b, tlv);
    der_close(b);
}

static void put_list(struct der_builder *b, const struct slice *v, size_t n)
{
    der_open(b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++)
        der_put_tlv(b, v[i]);
    der_close(b);
}

/* certReqId: -1 where the request had none. */
static void put_request_id(struct der_builder *b, int64_t id)
{
    static const uint8_t minus_one = 0xff;
    if (id < 0)
        der_put(b, DER_INTEGER, slice_of(&minus_one, 1));
    else
        der_put_uint(b, (uint64_t)id);
}

/* PKIFreeText ::= SEQUENCE SIZE (1..MAX) OF UTF8String */
static void put_text(struct der_builder *b, const char *text)
{
    if (!text || !text[0])
        return;
    der_open(b, DER_SEQUENCE);
    der_put(b, DER_UTF8_STRING, slice_str(text));
    der_close(b);
}

/* PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString PKIFreeText OPTIONAL, failInfo BIT STRING OPTIONAL } */
static void put_status(struct der_builder *b, const struct cmp_status *s)
{
    der_open(b, DER_SEQUENCE);
    der_put_uint(b, s->code);
    put_text(b, s->text);
    if (s->fail >= 0)
        der_put_named_bits(b, DER_BIT_STRING, 1u << s->fail);
    der_close(b);
}

/* An error of the builder becomes the buffer's, where whoever assembles the message sees it. */
static void end(struct der_builder *b)
{
    tm_err e = der_builder_finish(b);
    if (e != TM_OK && b->out->err == TM_OK)
        b->out->err = e;
}

/* ---- header, body, message ---- */

static void put_general_info(struct der_builder *b, const struct cmp_header *h)
{
    if (!h->implicit_confirm && !h->confirm_wait)
        return;
    der_open(b, DER_CONTEXT_CONS(8));
    der_open(b, DER_SEQUENCE);
    der_open(b, DER_SEQUENCE);
    if (h->implicit_confirm) { /* RFC 9810 5.1.1.1 */
        der_put_oid(b, oid_contents(OID_IT_IMPLICIT_CONFIRM));
        der_put_null(b);
    } else { /* RFC 9810 5.1.1.2 */
        der_put_oid(b, oid_contents(OID_IT_CONFIRM_WAIT_TIME));
        der_put_generalized_time(b, h->confirm_wait);
    }
    der_close(b);
    der_close(b);
    der_close(b);
}

void cmp_header_build(struct buf *out, const struct cmp_header *h)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_uint(&b, h->pvno);
    put_explicit(&b, 4, h->sender); /* directoryName */
    der_put_tlv(&b, h->recipient);
    der_open(&b, DER_CONTEXT_CONS(0));
    der_put_generalized_time(&b, h->time);
    der_close(&b);
    if (h->protection_alg.n)
        put_explicit(&b, 1, h->protection_alg);
    put_octets(&b, 2, h->sender_kid);
    put_octets(&b, 4, h->transaction_id);
    put_octets(&b, 5, h->sender_nonce);
    put_octets(&b, 6, h->recip_nonce);
    put_general_info(&b, h);
    der_close(&b);
    end(&b);
}

void cmp_body_build(struct buf *out, unsigned body, struct slice content)
{
    struct der_builder b;
    der_builder_init(&b, out);
    put_explicit(&b, body, content);
    end(&b);
}

tm_err cmp_message_build(struct buf *out, struct slice header, struct slice body_tlv, struct slice protection,
                         const struct slice *extra, size_t n_extra)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, header);
    der_put_tlv(&b, body_tlv);
    if (protection.n) {
        der_open(&b, DER_CONTEXT_CONS(0));
        der_put_bits(&b, protection);
        der_close(&b);
    }
    if (n_extra) {
        der_open(&b, DER_CONTEXT_CONS(1));
        put_list(&b, extra, n_extra);
        der_close(&b);
    }
    der_close(&b);
    return der_builder_finish(&b);
}

/* ---- bodies ---- */

/* EncryptedKey ::= CHOICE { encryptedValue, envelopedData [0] IMPLICIT EnvelopedData } (RFC 4211's module): EnvelopedData under another tag. */
static void put_encrypted_key(struct der_builder *b, struct slice enveloped)
{
    struct der_reader r;
    struct slice contents = {0};
    der_reader_init(&r, enveloped, NULL);
    TM_IGNORE(der_read(&r, DER_SEQUENCE, &contents));
    der_put(b, DER_CONTEXT_CONS(0), contents);
}

/* CertifiedKeyPair ::= SEQUENCE { certOrEncCert CHOICE { certificate [0] CMPCertificate, encryptedCert [1] EncryptedKey },
 *     privateKey [0] EncryptedKey OPTIONAL, publicationInfo [1] PKIPublicationInfo OPTIONAL } */
static void put_key_pair(struct der_builder *b, const struct cmp_cert_response *r)
{
    if (r->cert.n == 0 && r->encrypted_cert.n == 0)
        return;
    der_open(b, DER_SEQUENCE);
    if (r->encrypted_cert.n) {
        der_open(b, DER_CONTEXT_CONS(1));
        put_encrypted_key(b, r->encrypted_cert);
        der_close(b);
    } else {
        put_explicit(b, 0, r->cert);
    }
    if (r->private_key.n) {
        der_open(b, DER_CONTEXT_CONS(0));
        put_encrypted_key(b, r->private_key);
        der_close(b);
    }
    der_close(b);
}

/* CertRepMessage ::= SEQUENCE { caPubs [1] SEQUENCE SIZE (1..MAX) OF CMPCertificate OPTIONAL, response SEQUENCE OF CertResponse };
 * CertResponse ::= SEQUENCE { certReqId INTEGER, status PKIStatusInfo, certifiedKeyPair CertifiedKeyPair OPTIONAL, rspInfo OCTET STRING
 *     OPTIONAL } */
void cmp_cert_response_build(struct buf *out, const struct cmp_cert_response *r)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    if (r->n_ca_pubs) {
        der_open(&b, DER_CONTEXT_CONS(1));
        put_list(&b, r->ca_pubs, r->n_ca_pubs);
        der_close(&b);
    }
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    put_request_id(&b, r->request_id);
    put_status(&b, &r->status);
    put_key_pair(&b, r);
    der_close(&b);
    der_close(&b);
    der_close(&b);
    end(&b);
}

/* Challenge ::= SEQUENCE { owf AlgorithmIdentifier OPTIONAL, witness OCTET STRING, challenge OCTET STRING,
 *                          encryptedRand [0] EnvelopedData OPTIONAL } */
void cmp_challenge_build(struct buf *out, const struct cmp_challenge *c)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_put_oid(&b, oid_contents(OID_SHA256));
    der_close(&b);
    der_put(&b, DER_OCTET_STRING, c->witness);
    der_put(&b, DER_OCTET_STRING, c->challenge);
    if (c->encrypted_rand.n)
        put_explicit(&b, 0, c->encrypted_rand);
    der_close(&b);
    der_close(&b);
    end(&b);
}

void cmp_rand_build(struct buf *out, struct slice number, struct slice sender)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_unsigned(&b, number);
    put_explicit(&b, 4, sender); /* directoryName */
    der_close(&b);
    end(&b);
}

/* RevRepContent ::= SEQUENCE { status SEQUENCE SIZE (1..MAX) OF PKIStatusInfo, revCerts [0] …, crls [1] … } */
void cmp_revocation_response_build(struct buf *out, const struct cmp_status *v, size_t n)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++)
        put_status(&b, &v[i]);
    der_close(&b);
    der_close(&b);
    end(&b);
}

/* ErrorMsgContent ::= SEQUENCE { pKIStatusInfo PKIStatusInfo, errorCode INTEGER OPTIONAL, errorDetails PKIFreeText OPTIONAL } */
void cmp_error_build(struct buf *out, const struct cmp_status *s)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    put_status(&b, s);
    der_close(&b);
    end(&b);
}

/* PollRepContent ::= SEQUENCE OF SEQUENCE { certReqId INTEGER, checkAfter INTEGER, reason PKIFreeText OPTIONAL } */
void cmp_poll_response_build(struct buf *out, int64_t request_id, unsigned check_after, const char *reason)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    put_request_id(&b, request_id);
    der_put_uint(&b, check_after);
    put_text(&b, reason);
    der_close(&b);
    der_close(&b);
    end(&b);
}

void cmp_infos_build(struct buf *out, const struct cmp_info *v, size_t n)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++) {
        der_open(&b, DER_SEQUENCE);
        der_put_oid(&b, v[i].oid);
        if (v[i].value.n)
            der_put_tlv(&b, v[i].value);
        der_close(&b);
    }
    der_close(&b);
    end(&b);
}

void cmp_list_build(struct buf *out, const struct slice *v, size_t n)
{
    struct der_builder b;
    der_builder_init(&b, out);
    put_list(&b, v, n);
    end(&b);
}

/* RootCaKeyUpdateValue ::= SEQUENCE { newWithNew CMPCertificate, newWithOld [0] CMPCertificate OPTIONAL, oldWithNew [1] CMPCertificate
 *     OPTIONAL } */
void cmp_root_update_build(struct buf *out, struct slice new_with_new, struct slice new_with_old,
                           struct slice old_with_new)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, new_with_new);
    if (new_with_old.n)
        put_explicit(&b, 0, new_with_old);
    if (old_with_new.n)
        put_explicit(&b, 1, old_with_new);
    der_close(&b);
    end(&b);
}
