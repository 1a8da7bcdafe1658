/* enroll/identity.h - who shows a certificate at a door: one that we issued, or one that a trust set of the endpoint vouches for.
 *
 * Layer 5, blocking: reads the store. That the peer has the private key is proven already, by TLS or by the signature of its message. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "policy/enrollment.h"
#include "store/store.h"
#include "x509/cert.h"
struct arena;
struct catalog;
struct endpoint;
struct house;
struct trust_set;

struct identity {
    struct house *house;
    const struct catalog *catalog;
    const struct endpoint *endpoint;
    struct arena *arena; /* everything found lives in it, or in the catalog */

    struct slice shown; /* the certificate, and what may help to find its path */
    const struct slice *chain;
    size_t n_chain;

    /* what it is, once vouched for */
    struct caller caller;            /* kind, id, certificate, device */
    struct cert peer;                /* borrows `shown` */
    struct slice predecessor;        /* its DER */
    const char *predecessor_profile; /* as the inventory has it; NULL when it is not ours */
    const struct trust_set *birth;   /* the set that vouched for it; NULL when it is ours */
};

/* TM_EAUTH and other refusals with the rule in `diag`. One of ours that is over its time passes with caller.cert_expired: a profile may
 * have a grace. */
tm_err identity_certificate(struct identity *x, struct diag *diag);
/* TM_EAUTH, rule certificate.revoked, where the tenant's inventory has this certificate, from whomever, and it is revoked. Trust sets know
 * nothing of that. */
tm_err identity_not_revoked(struct house *h, struct arena *a, tenant_id tenant, const struct cert *c,
                            struct diag *diag);
/* Its subject as text (RFC 4514), as the records have it. */
tm_err identity_subject(const char **ret, struct arena *a, const struct cert *c);
/* Register the device that a trust set vouches for, where the set wants that and the device is unknown. */
tm_err identity_register_device(const struct identity *x, struct diag *diag);
