/* authority/side_key.h - keys that stand beside a CA's and speak for it: its RA (docs/adr/0004), its OCSP responder (docs/adr/0006).
 * Layer 4, private to authority/, blocking; part of a ceremony. */
#pragma once
#include "authority/ceremony.h"
#include "issue/catalog.h"
#include "keys/envelope.h"
struct key;

struct side_key {
    struct arena *a;
    const struct ceremony *c;
    struct catalog *cat; /* side_key_done() gives it back */
    const struct authority *x;
    const char *dir, *key_id;
    struct key *key;
    bool stored; /* the key's files are this ceremony's, and nothing refers to them yet */
};
/* The authority, whose key has to be in this house; the ceremony's own conditions. */
tm_err side_key_begin(struct side_key *k, tenant_id tenant, const char *authority, struct diag *diag);
/* "<the CA's key>-<suffix>", and a number behind it for those that come after. `type` NULL or "": ec-p256. `env` is the envelope but for its
 * key_id. The signer has it afterwards. */
tm_err side_key_make(struct side_key *k, const char *suffix, const char *type, const struct envelope *env,
                     struct diag *diag);
/* "CN=<cn>" below the CA's own name. */
tm_err side_key_subject(struct slice *ret, struct arena *a, const struct authority *x, const char *cn,
                        struct diag *diag);
/* CERT_ADD and "certificate.issued" of a certificate that such a key got: in the inventory like any other, so that it can be found and
 * revoked. Kept for ever, unless the caller says otherwise in ret[0]. */
tm_err side_cert_effects(struct effect ret[2], const struct cert **ret_cert, struct arena *a,
                         const struct authority *x, const struct ca_signed *c, const char *by,
                         struct diag *diag);
/* An event about the authority. */
struct event_field;
tm_err side_key_event(struct effect *ret, struct arena *a, const struct authority *x, const char *type,
                      const struct event_field *fields);
/* Set these members in one object of the authority's document, others stay; takes `members` over. The key belongs to the authority then. */
tm_err side_key_enter(struct side_key *k, const char *object, json_t *members, struct diag *diag);
/* Takes back the key's files where the ceremony failed. */
void side_key_done(struct side_key *k, tm_err e);
