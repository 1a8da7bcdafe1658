/* issue/resources.h - the kinds of resources: their names, schemas and the check each one passes before it is stored.
 *
 * Layer 4. A resource document is {"kind": …, "name": …, "tenant": … (optional), then the kind's own fields}. To add a kind, add a row. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "issue/acme_settings.h"
#include "issue/cmp_settings.h"
#include "issue/provider_settings.h"
#include "issue/scan_settings.h"
#include "issue/scep_settings.h"
#include "policy/enrollment.h"
struct arena;
struct buf;

struct resource_kind {
    const char *kind;   /* "Profile" */
    const char *plural; /* path segment and CLI noun: "profiles" */
    const char *title;
    const struct json_field *schema; /* NULL where check() binds it itself (Profile) */
    size_t size;                     /* sizeof the struct that the schema binds */
    bool house_wide;                 /* lives in tenant 0: Tenant, Principal with all tenants … */
    /* Parse and validate one document on its own; TM_EINVAL with a JSON pointer in diag->field. */
    tm_err (*check)(struct arena *a, const json_t *doc, struct diag *diag);
};
extern const struct resource_kind resource_kinds
    []; /* ended by a NULL kind: Tenant, Authority, Profile, Endpoint, TrustSet, Principal, Filter, IdentityProvider … */
const struct resource_kind *resource_kind_find(const char *kind_or_plural);

enum { AUTHORITY_SHARDS_MAX = 128, LINKS_MAX = 8 };

/* The documents as bound; strings live in the arena of the binding. */
struct tenant_doc {
    const char *kind, *name, *title;
    int64_t number; /* given out at first put, never changed */
    bool disabled;
    struct {
        int64_t approve_above; /* 0: nobody else is asked */
    } revocation;
};
struct authority_doc {
    const char *kind, *name, *tenant, *title;
    const char *key;           /* the signer's key id; "" when the key is not in this house */
    const char *certificate;   /* PEM */
    struct json_strings chain; /* PEM each, from the issuer up to the root */
    struct json_strings links; /* PEM each */
    const char *parent, *successor;
    bool root, disabled;
    const char *signature; /* algorithm name; "" the key's default */
    struct {
        int64_t lifetime, every, delta; /* delta 0: none */
        int64_t shards;                 /* 0: none */
        const char *issuer;             /* "" none */
        bool on_revocation;
    } crl;
    struct {
        const char *crl, *ca, *ocsp;
    } urls;
    struct {
        const char *key, *certificate;
    } ra; /* "" when it has none */
    struct {
        const char *key; /* "" when nobody answers for it */
        bool in_certificates, nonce;
        int unknown; /* enum ocsp_unknown */
        int64_t lifetime;
        struct json_strings presign;
    } ocsp;
};
struct endpoint_doc {
    const char *kind, *name, *tenant, *title;
    int protocol; /* enum door */
    struct json_strings profiles;
    const char *authority;
    struct {
        struct json_strings trust_sets;
        bool certificate, token, both, channel_binding;
    } authentication;
    bool server_keygen, disabled;
    const char *ca_bundle;
    struct acme_settings acme; /* protocol acme only */
    struct scep_settings scep; /* protocol scep only */
    struct cmp_settings cmp;   /* protocol cmp only */
};
struct trust_set_doc {
    const char *kind, *name, *tenant, *title;
    struct json_strings anchors, intermediates; /* PEM each, one or more certificates */
    bool accept_expired, auto_register;
    int device_id, issuers;
};
struct principal_doc {
    const char *kind, *name, *tenant, *title;
    struct json_strings roles, groups;
    bool all_tenants, disabled;
    const char *certificate_fingerprint; /* hex SHA-256 */
    const char *owner_of;
};
struct filter_doc {
    const char *kind, *name, *tenant, *title;
    struct json_strings authorities;
    const char *
        signer; /* of documents that were written before each RA signed for its own authority; not looked at */
    int64_t every, delta_every;
};
enum { FILTER_AUTHORITIES_MAX = 64, FILTER_EVERY_MIN = 60 };
extern const struct json_field filter_schema[];
extern const char *const ocsp_unknown_names[]; /* "unknown", "unauthorized" */
extern const struct json_field tenant_schema[], authority_schema[], endpoint_schema[], trust_set_schema[],
    principal_schema[];
extern const char *const device_id_from_names[]; /* "serial-number", "cn", "hardware-module", "fingerprint" */
extern const char *const trust_set_issuer_names[]; /* "vendor", "public" */
extern const char *const principal_role_names[];   /* "auditor", "operator", "owner", "admin" */

/* Every certificate of a list of PEM texts, as DER in `a`; at most `max`. `path` is the JSON pointer for errors. */
tm_err pem_list_decode(struct slice *ret, size_t max, size_t *ret_n, struct arena *a,
                       const struct json_strings *pems, const char *path, struct diag *diag);
