/* authority/enter.h - a new authority enters the house: resource, inventory row and events, together.
 *
 * Layer 4, private to authority/. */
#pragma once
#include "authority/ca_cert.h"
#include "authority/ceremony.h"
#include "issue/catalog.h"
#include "x509/cert.h"
struct key;

struct entry {
    const struct ceremony *c;
    const struct ca_spec *spec;
    const char
        *what; /* "create-root", "create-ca", "install-ca", "import-ca", "import-cert": for the record */
    const char *key_id; /* in this house's signer; "" when the key is elsewhere */
    struct key *key; /* that key, whose envelope lists the certificate and its chain from now on; NULL else */
    struct slice der;
    const struct slice *chain; /* from its issuer up to the root */
    size_t n_chain;
    const struct authority *parent; /* known here; NULL else */
    bool root;                      /* it becomes a trust anchor */
    const struct ca_signed
        *signature;   /* made here or by a bundle just now; NULL: the certificate came from outside */
    bool signed_here; /* `signature` stands in this house's chain; else a bundle made it */
};

/* One transaction (two where parent and authority belong to different tenants: the certificate first). The caller reloads
 * the catalog. */
tm_err authority_enter(struct ca_result *ret, struct arena *a, const struct entry *x, struct diag *diag);

/* The key id of an authority: its name, with the tenant's before it outside the default tenant. */
tm_err authority_key_id(const char **ret, struct arena *a, struct house *h, const struct ca_spec *s,
                        struct diag *diag);
/* A sane spec, a name that is free; and HOUSE_OFFLINE where a key is made or sealed. */
tm_err ceremony_check(const struct ceremony *c, const struct ca_spec *s, bool with_key, struct diag *diag);
/* <home>/keys in `a`. */
const char *ceremony_key_dir(struct arena *a, const struct ceremony *c);
/* Remove what a failed ceremony wrote. */
void ceremony_discard_key(const struct ceremony *c, const char *key_id);
void ca_result_fill(struct ca_result *ret, struct arena *a, const char *name, struct slice der);
/* One event of type "ceremony.completed" for acts that enter no authority. */
tm_err ceremony_event(const struct ceremony *c, tenant_id tenant, const char *what, const char *name,
                      const char *key_id, struct diag *diag);
