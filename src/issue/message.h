/* issue/message.h - CMS messages that the house signs in an authority's name, by the key of the authority's RA (docs/adr/0004).
 *
 * Layer 4, blocking: the signer is asked, and what it signed is recorded as "message.signed" before anything is given out. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include "keys/alg.h"
#include "store/store.h"
#include <stdbool.h>
struct arena;
struct authority;
struct house;

struct message {
    tenant_id tenant;
    const struct authority *authority; /* has an RA */
    const char *request_id, *endpoint; /* for the record; NULL or "" none */
    enum oid content_type; /* one that the signer knows: cmcPkiResponse, asymmetricKeyPackage, … */
    struct slice content;
    struct slice attributes;   /* to be signed besides: Attribute TLVs in a row */
    enum sig_alg sig_alg;      /* SIG_ALG_NONE: the RA's own */
    const struct slice *certs; /* go along, before the RA's own; at most MESSAGE_CERTS_MAX */
    size_t n_certs;
    bool
        rsa_encryption; /* an RSA signature goes by the key's algorithm (RFC 3370 3.2), which PKCS #7 clients look for */
    bool bare; /* SignedData alone, for an envelope; else ContentInfo */
};
enum { MESSAGE_CERTS_MAX = 32, MESSAGE_DER_MAX = 1 << 20 };

/* The record of a message that the RA of `x` has signed: "message.signed". For who commits it with more. `content` says what kind. */
struct effect;
struct sign_op;
tm_err message_record(struct effect *ret, struct arena *a, tenant_id tenant, const struct authority *x,
                      const char *endpoint, const char *request_id, const char *content,
                      const struct sign_op *op);

/* In `a`. TM_EUNAVAIL with rule "authority.ra" where the authority has none; what the signer and the store say. */
tm_err message_sign(struct slice *ret, struct arena *a, struct house *h, const struct message *m,
                    struct diag *diag);
/* The same form without a signer: for those whom nobody knows (no signature or record is made for just anybody). */
tm_err message_unsigned(struct slice *ret, struct arena *a, const struct message *m);
/* Open what was encrypted to the authority's RA (keys/key_transport.h): the key inside, or a random one of the length where nothing sound is
 * inside. Now and then it is recorded, as "messages.decrypted". TM_EUNAVAIL with rule "authority.ra-decrypt" where the RA has no key for
 * that; what the signer says of the request's form. `ret_key` is wiped by the caller. */
enum { MESSAGE_KEY_MAX = 64 };
tm_err message_open_key(uint8_t ret_key[MESSAGE_KEY_MAX], struct arena *a, struct house *h, tenant_id tenant,
                        const struct authority *x, size_t key_length, struct slice algid,
                        struct slice encrypted_key, struct diag *diag);
