/* issue/catalog.h - the resources of all tenants, compiled once into an immutable snapshot that requests hold by reference.
 *
 * Layer 4, thread-safe. A change of any resource builds a new snapshot (house_reload()); requests under way keep the one they began with. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "issue/resources.h"
#include "store/store.h"
#include "x509/cert.h"
#include "x509/ocsp.h"
struct catalog;
struct profile;
struct signer;

/* Build from the store. Resources that do not compile are left out and reported through `on_bad` (they cannot be put by the API; a downgrade may
 * meet them), so that one bad document never stops the house. `signer` may be NULL (no key facts then). */
tm_err catalog_build(struct catalog **ret, struct store *s, const struct signer *signer,
                     void (*on_bad)(void *arg, const char *kind, const char *name, const struct diag *d),
                     void *arg, struct diag *diag);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);

struct tenant {
    tenant_id id;
    const char *name, *title;
    bool disabled;
    int64_t approve_revocations_above; /* four eyes for more certificates at once; 0: never */
};

struct authority_list {
    const char *profile;
    unsigned wanted; /* as its document says: how many; 0: none. What holds is `shards` */
    struct authority_shards *
        shards; /* into how many the certificates of this profile are spread by their time of issue; 0: they name the authority's */
    size_t n_shards;
    int64_t lifetime, every, delta; /* seconds */
    bool on_revocation;
};

struct authority {
    tenant_id tenant;
    const char *name;
    bool is_root, disabled, offline; /* offline: its key is not in this house */
    bool revoked;                    /* its certificate, or one above it here: it issues nothing more */
    const char *key_ref;             /* the signer's key id; "" when offline */
    enum key_alg key_alg;
    enum sig_alg sig_alg;
    struct slice der;    /* CA certificate */
    struct cert cert;    /* parsed, borrows der */
    struct slice key_id; /* SKI octets */
    char key_id_hex[64];
    struct slice *chain; /* from this CA's issuer up to and including the root, DER */
    size_t n_chain;
    const char *crl_url, *ca_url, *ocsp_url; /* as written into certificates it issues; "" when none */
    int64_t crl_lifetime, crl_every;         /* seconds */
    const char *successor;                   /* name of the authority that takes its place; "" none */
    struct slice *links; /* of a root: between its key and its predecessor's (RFC 9810 4.4), DER */
    size_t n_links;
    int64_t crl_delta;      /* seconds; 0: no delta CRLs */
    bool crl_on_revocation; /* false: lists are made by the clock alone */
    unsigned shards_wanted; /* as its document says; what holds is `shards` */
    struct authority_shards {
        int64_t from; /* unix seconds; up to the next one's */
        unsigned count;
    } *shards; /* authority_shard(): into how many CRLs its certificates are spread by their time of issue */
    size_t n_shards;
    struct authority_list *lists; /* of profiles that have CRLs of their own here, or had */
    size_t n_lists;
    const char *
        crl_issuer; /* the authority whose indirect CRL its document wants named in what it issues; "" none */
    const struct authority
        *crl_issuer_now; /* the same once that one lists its certificates; NULL: not, or not yet */
    const struct authority *const *
        crl_for; /* whose certificates its own indirect CRL lists: its own, and of those that name or once named it */
    size_t n_crl_for;   /* 0: it has none */
    const char *parent; /* name of the issuing authority here, "" when foreign or self-signed */
    const char *ra_key; /* signs messages in this authority's name (docs/adr/0004); "" when it has none */
    struct cert ra_cert;
    enum sig_alg ra_sig_alg;
    struct authority_ocsp {
        const char *key;  /* answers in this authority's name (docs/adr/0006); "" nobody does */
        struct cert cert; /* der empty: none yet */
        enum sig_alg sig_alg;
        uint8_t key_hash[20]; /* SHA-1 of the responder's public key */
        bool in_certificates, nonce,
            unauthorized; /* unauthorized: the unsigned answer about what was never issued */
        int64_t lifetime;
        const char *const *presign; /* names of profiles */
        size_t n_presign;
        /* This CA as CertIDs name it (RFC 6960 4.1.1) */
        struct ocsp_issuer issuer;
    } ocsp;
};

/* Which CRL names a certificate that was issued at this time, as its serial says: of *ret_count the one returned; 0: the whole one. The time of
 * issue decides, so that nothing need be kept with a certificate, and a change of the number moves no certificate. */
unsigned authority_shard(unsigned *ret_count, const struct authority *x, int64_t issued);
/* The same of a profile's own; NULL: those issued then name the authority's. */
const struct authority_list *authority_own_list(unsigned *ret_count, unsigned *ret_k,
                                                const struct authority *x, const char *profile,
                                                int64_t issued);
/* What stands before ".crl" in the address that a certificate of this profile, issued then, names: "full", "16-3", "profile-web", "profile-web.4-0". */
enum { CRL_LIST_NAME_MAX = 96 };
void authority_list_name(char out[CRL_LIST_NAME_MAX], const struct authority *x, const char *profile,
                         int64_t issued);
/* Octets 2 to 5 of a serial of ours are its time of issue. */
static inline int64_t crl_issued_at(const uint8_t *serial)
{
    return (int64_t)((uint32_t)serial[2] << 24 | (uint32_t)serial[3] << 16 | (uint32_t)serial[4] << 8 |
                     serial[5]);
}

struct trust_set {
    tenant_id tenant;
    const char *name;
    struct cert *anchors; /* roots or intermediates that end a path */
    size_t n_anchors;
    struct cert *intermediates;
    size_t n_intermediates;
    bool accept_expired; /* IDevIDs whose end date passed */
    enum { DEVICE_ID_SERIAL_NUMBER, DEVICE_ID_CN, DEVICE_ID_HW_MODULE, DEVICE_ID_FINGERPRINT } device_id_from;
    bool auto_register; /* an unknown device that proves itself is registered, state made */
    bool is_public;     /* of public CAs, for telling issuers apart (issue/issuer.h); else vendors' */
};

struct endpoint {
    tenant_id tenant;
    const char *name;
    enum door protocol;
    const char *const *profiles; /* the first is the default */
    size_t n_profiles;
    const char *authority;         /* overrides the profile's; "" none */
    const char *const *trust_sets; /* whose device certificates may enroll */
    size_t n_trust_sets;
    bool allow_certificate; /* our own current certificate re-enrolls */
    bool allow_token;       /* Basic or bearer enrollment tokens */
    bool require_both;      /* certificate and token */
    bool require_channel_binding;
    bool server_keygen;
    bool disabled;
    const char *ca_bundle_authority; /* whose chain /cacerts shows: the default profile's authority when "" */
    const struct acme_settings *acme; /* protocol acme; defaults where nothing was said */
    const struct scep_settings *scep; /* protocol scep; the same */
    const struct cmp_settings *cmp;   /* protocol cmp; the same */
};

struct principal {
    tenant_id tenant; /* where it is defined */
    const char *name;
    const char *const
        *roles; /* "admin", "operator", "auditor", "owner"; in its tenant, or with `all_tenants` everywhere */
    size_t n_roles;
    const char *const *groups; /* that profiles let approve */
    size_t n_groups;
    bool all_tenants;
    bool disabled;
    uint8_t cert_fingerprint[32]; /* mTLS; zero when none */
    const char *owner_of;         /* role owner: the owner text of devices it may act for */
};

const struct tenant *catalog_tenant(const struct catalog *c, const char *name);
const struct tenant *catalog_tenant_by_id(const struct catalog *c, tenant_id id);
size_t catalog_tenants(const struct catalog *c, const struct tenant **ret_first);
struct profile *catalog_profile(const struct catalog *c, tenant_id t,
                                const char *name); /* borrowed from the snapshot */
const struct authority *catalog_authority(const struct catalog *c, tenant_id t, const char *name);
/* The one whose certificate has this serial (16 octets), NULL when there is none. */
const struct authority *catalog_authority_by_serial(const struct catalog *c, tenant_id t,
                                                    const uint8_t *serial);
const struct authority *catalog_authority_by_key_id(const struct catalog *c,
                                                    struct slice ski);                    /* any tenant */
size_t catalog_authorities(const struct catalog *c, const struct authority *const **ret); /* all tenants */
/* `label` is "<name>" in the default tenant or "<tenant>.<name>" (DESIGN 7). */
const struct endpoint *catalog_endpoint(const struct catalog *c, enum door protocol, const char *label);
/* The label of a tenant's endpoint, in `a`; NULL: no memory. */
const char *catalog_endpoint_label(struct arena *a, const struct tenant *t, const char *name);
/* How many open endpoints of a protocol the tenant has; *ret is one of them, untouched when there is none. */
size_t catalog_endpoints_of(const struct endpoint **ret, const struct catalog *c, tenant_id t,
                            enum door protocol);
const struct trust_set *catalog_trust_set(const struct catalog *c, tenant_id t, const char *name);
size_t catalog_trust_sets(const struct catalog *c, const struct trust_set *const **ret); /* all tenants */
const struct principal *catalog_principal(const struct catalog *c, tenant_id t, const char *name);
/* Who comes with this certificate to tenant `t`: the house's principal for all tenants before the tenant's own, so that no tenant can
 * take another's place. NULL: nobody. */
const struct principal *catalog_principal_by_cert(const struct catalog *c, tenant_id t,
                                                  const uint8_t fingerprint[32]);
