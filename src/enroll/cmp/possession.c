/* Possession of keys that are for encryption (RFC 4211 4.2 and 4.3, RFC 9810 5.2.8.3). Either the certificate goes out encrypted to its key, and
 * who confirms it has decrypted it (encrCert); or a number does, before anything is issued (challengeResp: popdecc, popdecr). Whether the profile
 * has such keys is policy's. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "der/builder.h"
#include "der/reader.h"
#include "enroll/cmp/cmp.h"
#include "issue/cmp_settings.h"
#include "keys/cms.h"
#include <string.h>

enum { NUMBER_LEN = 16 };

tm_err cmp_possession_check(struct cmp_exchange *x)
{
    struct enrollment *e = &x->issue.e;
    enum csr_pop_later how = csr_pop_later(&x->csr);
    bool rsa;
    if (how == CSR_POP_OTHERWISE)
        return cmp_refuse(
            x, CMP_BAD_POP, TM_EUNSUPPORTED, "pop.method",
            "possession is proven by a signature or, for keys for encryption, by a subsequent message; "
            "other methods are not done here");
    if (cms_key_takes(&x->csr.spki, &rsa, &x->diag) != TM_OK)
        return cmp_refuse(x, CMP_BAD_POP, TM_EUNSUPPORTED, "pop.method",
                          "nothing can be encrypted to this key; RSA and ECDH keys prove themselves so");
    e->pop_by_decryption = true;
    if (how == CSR_POP_ENCRYPTED_CERT) {
        x->t.pop = CMP_POP_ENCRYPTED;
        x->t.implicit_confirm = false; /* the confirmation is the proof */
    } else if (x->t.pop == CMP_POP_DECRYPTED) {
        e->pop_verified = true;
    } else {
        x->t.pop = CMP_POP_CHALLENGED;
    }
    return TM_OK;
}

/* ---- challenge and response ---- */

/* IssuerAndSerialNumber ::= SEQUENCE { issuer Name, serialNumber INTEGER }: no name, and the certReqId (RFC 9810 5.2.8.3.3). */
static tm_err recipient_id(struct buf *out, int64_t request_id)
{
    struct der_builder b;
    der_builder_init(&b, out);
    der_open(&b, DER_SEQUENCE);
    der_open(&b, DER_SEQUENCE);
    der_close(&b);
    der_put_uint(&b, request_id < 0 ? 0 : (uint64_t)request_id);
    der_close(&b);
    return der_builder_finish(&b);
}

/* Version 2 has it encrypted directly, as RFC 4210 had; where that can't be done, or in version 3, it is in an EnvelopedData. */
static tm_err encrypt_rand(struct cmp_challenge *c, struct cmp_exchange *x, struct slice rand)
{
    uint8_t key[CMS_KEY_LEN];
    struct buf out, rid;
    buf_init(&out, CMP_MESSAGE_MAX);
    buf_init(&rid, 64);
    tm_err e = TM_EUNSUPPORTED;
    if (x->m.pvno == 2)
        e = cms_encrypt_to_key(&out, &x->csr.spki, rand, NULL);
    x->enveloped = e == TM_EUNSUPPORTED || e == TM_ETOOBIG;
    if (x->enveloped) {
        buf_reset(&out);
        e = recipient_id(&rid, x->t.request_id);
        if (e == TM_OK)
            e = cms_seal_to_key(&out, key, &x->csr.spki, buf_slice(&rid), rand, &x->diag);
        explicit_bzero(key, sizeof key);
    }
    if (e == TM_OK)
        e = arena_copy(x->enveloped ? &c->encrypted_rand : &c->challenge, x->a, buf_slice(&out));
    buf_done(&rid);
    buf_done(&out);
    return e;
}

static void build_challenge(struct buf *out, const void *arg)
{
    cmp_challenge_build(out, arg);
}

tm_err cmp_possession_challenge(struct cmp_exchange *x)
{
    uint8_t number[NUMBER_LEN], witness[SHA256_LEN];
    struct cmp_challenge c = {0};
    struct buf rand;
    TM_TRY(random_bytes(number, sizeof number));
    number[0] = (number[0] & 0x3f) | 0x40; /* positive, and of one length */
    TM_TRY(sha256(witness, SLICE_ARR(number)));
    TM_TRY(arena_copy(&x->t.witness, x->a, SLICE_ARR(witness)));
    c.witness = x->t.witness;
    buf_init(&rand, CMP_MESSAGE_MAX);
    cmp_rand_build(&rand, SLICE_ARR(number), cmp_sender(x));
    tm_err e = buf_err(&rand);
    if (e == TM_OK)
        e = encrypt_rand(&c, x, buf_slice(&rand));
    explicit_bzero(number, sizeof number);
    if (rand.p)
        explicit_bzero(rand.p, rand.n);
    buf_done(&rand);
    TM_TRY(e);
    x->t.state = CMP_T_CHALLENGED;
    x->t.confirm_by = clock_now() + x->endpoint->cmp->confirm_within;
    x->keep = true;
    return cmp_answer_list(x, CMP_POPDECC, build_challenge, &c);
}

static tm_err check_response(struct cmp_exchange *x)
{
    struct slice number[2];
    uint8_t hash[SHA256_LEN];
    size_t n;
    TM_TRY(cmp_pop_responses_read(number, 2, &n, x->m.content, &x->diag));
    if (x->t.state != CMP_T_CHALLENGED)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9810 5.2.8.3.3",
                          "there is nothing to decrypt in this transaction");
    if (x->t.confirm_by < clock_now())
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EEXPIRED, "cmp.confirm-within",
                          "the time to decrypt the challenge is over");
    if (n != 1)
        return cmp_refuse(x, CMP_BAD_REQUEST, TM_EINVAL, "RFC 9810 5.2.8.3.3",
                          "one number is to be decrypted");
    TM_TRY(sha256(hash, number[0]));
    if (!slice_ct_eq(SLICE_ARR(hash), x->t.witness))
        return cmp_refuse(x, CMP_BAD_POP, TM_EBADSIG, "pop.decryption",
                          "this is not the number that was encrypted to the key");
    return TM_OK;
}

void cmp_possession_answered(struct cmp_exchange *x)
{
    x->err = check_response(x);
    if (x->err == TM_EBADSIG) { /* there is one guess */
        x->t.witness = (struct slice){0};
        cmp_request_refuse(x, x->err);
        return;
    }
    if (x->err != TM_OK) {
        cmp_send_error(x);
        return;
    }
    x->t.pop = CMP_POP_DECRYPTED;
    x->t.witness = (struct slice){0};
    x->t.confirm_by = 0;
    cmp_request_again(x);
}

/* ---- the certificate itself ---- */

tm_err cmp_possession_seal(struct cmp_exchange *x)
{
    uint8_t key[CMS_KEY_LEN];
    struct buf out;
    buf_init(&out, CMP_MESSAGE_MAX);
    tm_err e = cms_seal_to_key(&out, key, &x->csr.spki, (struct slice){0}, x->issue.cert, &x->diag);
    if (e == TM_OK)
        e = arena_copy(&x->encrypted_cert, x->a, buf_slice(&out));
    if (e == TM_OK)
        e = arena_copy(&x->opening, x->a, SLICE_ARR(key));
    x->t.opening = x->opening;
    buf_done(&out);
    return e;
}
