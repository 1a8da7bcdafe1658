#include "issue/resources.h"
#include "base/arena.h"
#include "base/text.h"
#include "http/address.h"
#include "issue/notification.h"
#include "issue/ownership_doc.h"
#include "policy/profile.h"
#include "x509/cert.h"
#include <stdio.h>
#include <string.h>

enum { PEM_LIST_MAX = 256, PEM_TEXT_MAX = 64 << 10 };

const char *const trust_set_issuer_names[] = {"vendor", "public", NULL};
const char *const device_id_from_names[] = {"serial-number", "cn", "hardware-module", "fingerprint", NULL};
const char *const principal_role_names[] = {"auditor", "operator", "owner", "admin", NULL};

/* What every document begins with. */
#define DOC_HEAD(type)                                                                                       \
    JSON_FIELD(type, kind, JSON_K_STRING, .required = true, .max = 32),                                      \
        JSON_FIELD(type, name, JSON_K_STRING, .required = true, .max = 63),                                  \
        JSON_FIELD(type, title, JSON_K_STRING, .max = 200, .def = "", .doc = "a line for people")
#define DOC_TENANT(type)                                                                                     \
    JSON_FIELD(type, tenant, JSON_K_STRING, .max = 63, .def = "",                                            \
               .doc = "tenant it belongs to; the caller's when left out")

static const struct json_field tenant_revocation_schema[] = {
    {.key = "approve-above",
     .kind = JSON_K_INT,
     .offset =
         offsetof(struct tenant_doc, revocation.approve_above) - offsetof(struct tenant_doc, revocation),
     .min = 0,
     .max = INT64_C(1000000000000),
     .def = "0",
     .doc = "somebody else has to approve the revocation of more certificates than that at once; 0: never"},
    {0},
};
const struct json_field tenant_schema[] = {
    DOC_HEAD(struct tenant_doc),
    JSON_FIELD(struct tenant_doc, number, JSON_K_INT, .min = 0, .max = INT32_MAX,
               .doc = "given out by the house; never changes"),
    JSON_FIELD(struct tenant_doc, revocation, JSON_K_OBJECT, .sub = tenant_revocation_schema,
               .doc = "how many at once"),
    JSON_FIELD(struct tenant_doc, disabled, JSON_K_BOOL, .doc = "true refuses every request to this tenant"),
    {0},
};

static const struct json_field authority_crl_schema[] = {
    {.key = "lifetime",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct authority_doc, crl.lifetime) - offsetof(struct authority_doc, crl),
     .min = 60,
     .max = 10 * 365 * 86400LL,
     .def = "7d",
     .doc = "nextUpdate - thisUpdate of its CRLs"},
    {.key = "every",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct authority_doc, crl.every) - offsetof(struct authority_doc, crl),
     .min = 10,
     .max = 365 * 86400LL,
     .def = "1d",
     .doc = "how often a new one is published although nothing changed"},
    {.key = "on-revocation",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct authority_doc, crl.on_revocation) - offsetof(struct authority_doc, crl),
     .def = "true",
     .doc = "a new one as soon as something was revoked; false: by the clock alone"},
    {.key = "delta",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct authority_doc, crl.delta) - offsetof(struct authority_doc, crl),
     .min = 0,
     .max = 30 * 86400LL,
     .def = "0s",
     .doc =
         "publish a delta CRL so often and after each revocation, the complete one only by `every`; 0: none"},
    {.key = "shards",
     .kind = JSON_K_INT,
     .offset = offsetof(struct authority_doc, crl.shards) - offsetof(struct authority_doc, crl),
     .min = 0,
     .max = AUTHORITY_SHARDS_MAX,
     .doc = "certificates issued from now on name one of so many smaller CRLs; 0: the whole one"},
    {.key = "issuer",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, crl.issuer) - offsetof(struct authority_doc, crl),
     .max = 63,
     .def = "",
     .doc =
         "name of another authority here: certificates issued from now on name its indirect CRL, which lists both authorities' (RFC 5280 5.3.3)"},
    {0},
};
static const struct json_field authority_urls_schema[] = {
    {.key = "crl",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, urls.crl) - offsetof(struct authority_doc, urls),
     .max = 1024,
     .def = "",
     .doc = "CRL distribution point of what it issues"},
    {.key = "ca",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, urls.ca) - offsetof(struct authority_doc, urls),
     .max = 1024,
     .def = "",
     .doc = "caIssuers of what it issues"},
    {.key = "ocsp",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, urls.ocsp) - offsetof(struct authority_doc, urls),
     .max = 1024,
     .def = "",
     .doc = "OCSP responder of what it issues"},
    {0},
};
static const struct json_field authority_ra_schema[] = {
    {.key = "key",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, ra.key) - offsetof(struct authority_doc, ra),
     .max = 63,
     .def = "",
     .doc = "key id in the signer"},
    {.key = "certificate",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct authority_doc, ra.certificate) - offsetof(struct authority_doc, ra),
     .max = PEM_TEXT_MAX,
     .def = "",
     .doc = "its certificate, issued by this authority, PEM"},
    {0},
};
#define OCSP_AT(m) (offsetof(struct authority_doc, ocsp.m) - offsetof(struct authority_doc, ocsp))
const char *const ocsp_unknown_names[] = {"unknown", "unauthorized", NULL};
static const struct json_field authority_ocsp_schema[] = {
    {.key = "key",
     .kind = JSON_K_STRING,
     .offset = OCSP_AT(key),
     .max = 63,
     .def = "",
     .doc = "key id in the signer; made by `touchmark ca ocsp`, its certificate renews itself"},
    {.key = "in-certificates",
     .kind = JSON_K_BOOL,
     .offset = OCSP_AT(in_certificates),
     .doc = "the responder's address goes into what it issues, where the profile's extensions.ocsp says so"},
    {.key = "lifetime",
     .kind = JSON_K_DURATION,
     .offset = OCSP_AT(lifetime),
     .min = 300,
     .max = 14 * 86400LL,
     .def = "1d",
     .doc = "nextUpdate - thisUpdate of its answers; one is made anew after half of it"},
    {.key = "nonce",
     .kind = JSON_K_BOOL,
     .offset = OCSP_AT(nonce),
     .doc = "answers repeat a request's nonce (RFC 9654); each such answer costs a signature"},
    {.key = "unknown",
     .kind = JSON_K_ENUM,
     .offset = OCSP_AT(unknown),
     .names = ocsp_unknown_names,
     .def = "unknown",
     .doc =
         "what is said about a serial that was never issued: a signed unknown, or the unsigned unauthorized"},
    {.key = "presign",
     .kind = JSON_K_STRINGS,
     .offset = OCSP_AT(presign),
     .max = 32,
     .doc = "profiles whose certificates always have an answer ready"},
    {0},
};
const struct json_field authority_schema[] = {
    DOC_HEAD(struct authority_doc),
    DOC_TENANT(struct authority_doc),
    JSON_FIELD(struct authority_doc, key, JSON_K_STRING, .max = 63, .def = "",
               .doc = "key id in the signer; empty when the key is elsewhere (an offline root)"),
    JSON_FIELD(struct authority_doc, certificate, JSON_K_STRING, .required = true, .max = PEM_TEXT_MAX,
               .doc = "the CA certificate, PEM"),
    JSON_FIELD(struct authority_doc, chain, JSON_K_STRINGS, .max = 16,
               .doc = "certificates from its issuer up to the root, PEM"),
    JSON_FIELD(struct authority_doc, parent, JSON_K_STRING, .max = 63, .def = "",
               .doc = "the authority here that issued it"),
    JSON_FIELD(
        struct authority_doc, successor, JSON_K_STRING, .max = 63, .def = "",
        .doc =
            "the authority that takes its place: clients that ask are told of it ahead (SCEP's GetNextCACert)"),
    JSON_FIELD(
        struct authority_doc, links, JSON_K_STRINGS, .max = LINKS_MAX,
        .doc =
            "of a root: certificates that lead from its predecessor's key to its own and back, PEM; made by "
            "`touchmark ca offline link`"),
    JSON_FIELD(struct authority_doc, root, JSON_K_BOOL, .doc = "it is a trust anchor"),
    JSON_FIELD(struct authority_doc, disabled, JSON_K_BOOL, .doc = "true stops issuance; CRLs go on"),
    JSON_FIELD(struct authority_doc, signature, JSON_K_STRING, .max = 32, .def = "",
               .doc = "signature algorithm, the key's default when left out"),
    JSON_FIELD(struct authority_doc, crl, JSON_K_OBJECT, .sub = authority_crl_schema),
    JSON_FIELD(struct authority_doc, urls, JSON_K_OBJECT, .sub = authority_urls_schema),
    JSON_FIELD(struct authority_doc, ra, JSON_K_OBJECT, .sub = authority_ra_schema,
               .doc = "who signs messages for it; made by `touchmark ca ra`"),
    JSON_FIELD(struct authority_doc, ocsp, JSON_K_OBJECT, .sub = authority_ocsp_schema,
               .doc = "who answers OCSP for it, and how"),
    {0},
};

#define AUTH_AT(m)                                                                                           \
    (offsetof(struct endpoint_doc, authentication.m) - offsetof(struct endpoint_doc, authentication))
static const struct json_field endpoint_auth_schema[] = {
    {.key = "trust-sets",
     .kind = JSON_K_STRINGS,
     .offset = AUTH_AT(trust_sets),
     .max = 16,
     .doc = "device certificates under these trust sets may enroll"},
    {.key = "certificate",
     .kind = JSON_K_BOOL,
     .offset = AUTH_AT(certificate),
     .def = "true",
     .doc = "a current certificate from here may renew itself"},
    {.key = "token",
     .kind = JSON_K_BOOL,
     .offset = AUTH_AT(token),
     .doc = "enrollment tokens (HTTP Basic or bearer)"},
    {.key = "both", .kind = JSON_K_BOOL, .offset = AUTH_AT(both), .doc = "certificate and token together"},
    {.key = "channel-binding",
     .kind = JSON_K_BOOL,
     .offset = AUTH_AT(channel_binding),
     .doc = "the request must carry the channel binding (RFC 7030 3.5, RFC 9266)"},
    {0},
};
const struct json_field endpoint_schema[] = {
    DOC_HEAD(struct endpoint_doc),
    DOC_TENANT(struct endpoint_doc),
    JSON_FIELD(struct endpoint_doc, protocol, JSON_K_ENUM, .required = true, .names = door_names,
               .doc = "the door"),
    JSON_FIELD(struct endpoint_doc, profiles, JSON_K_STRINGS, .required = true, .max = 32,
               .doc = "profiles that may be asked for; the first is the default"),
    JSON_FIELD(struct endpoint_doc, authority, JSON_K_STRING, .max = 63, .def = "",
               .doc = "issues instead of the profile's authority"),
    JSON_FIELD(struct endpoint_doc, authentication, JSON_K_OBJECT, .sub = endpoint_auth_schema),
    {.key = "server-keygen",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct endpoint_doc, server_keygen),
     .doc = "the house may generate keys here, where the profile allows it too"},
    JSON_FIELD(struct endpoint_doc, disabled, JSON_K_BOOL, .doc = "true closes the door"),
    {.key = "ca-bundle",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct endpoint_doc, ca_bundle),
     .max = 63,
     .def = "",
     .doc = "authority whose chain is handed out; the issuing one when left out"},
    JSON_FIELD(struct endpoint_doc, acme, JSON_K_OBJECT, .sub = acme_settings_schema,
               .doc = "protocol acme: how accounts and names are judged"),
    JSON_FIELD(struct endpoint_doc, scep, JSON_K_OBJECT, .sub = scep_settings_schema,
               .doc = "protocol scep: challenges, and what old clients need"),
    JSON_FIELD(struct endpoint_doc, cmp, JSON_K_OBJECT, .sub = cmp_settings_schema,
               .doc = "protocol cmp: who speaks for others, how certificates are confirmed"),
    {0},
};

const struct json_field trust_set_schema[] = {
    DOC_HEAD(struct trust_set_doc),
    DOC_TENANT(struct trust_set_doc),
    JSON_FIELD(struct trust_set_doc, anchors, JSON_K_STRINGS, .required = true, .max = PEM_LIST_MAX,
               .doc = "certificates that end a path, PEM"),
    JSON_FIELD(struct trust_set_doc, intermediates, JSON_K_STRINGS, .max = PEM_LIST_MAX,
               .doc = "helpers for path building, PEM"),
    {.key = "accept-expired",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct trust_set_doc, accept_expired),
     .doc = "device certificates past their end are still an identity"},
    {.key = "auto-register",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct trust_set_doc, auto_register),
     .doc = "a device that proves itself and is not known is registered"},
    {.key = "device-id",
     .kind = JSON_K_ENUM,
     .offset = offsetof(struct trust_set_doc, device_id),
     .names = device_id_from_names,
     .def = "serial-number",
     .doc = "where the device's identifier stands in its certificate"},
    {.key = "issuers",
     .kind = JSON_K_ENUM,
     .offset = offsetof(struct trust_set_doc, issuers),
     .names = trust_set_issuer_names,
     .def = "vendor",
     .doc = "what the inventory calls those who issued certificates below it"},
    {0},
};

const struct json_field principal_schema[] = {
    DOC_HEAD(struct principal_doc),
    DOC_TENANT(struct principal_doc),
    JSON_FIELD(struct principal_doc, roles, JSON_K_STRINGS, .required = true, .max = 8,
               .doc = "auditor, operator, owner, admin"),
    JSON_FIELD(struct principal_doc, groups, JSON_K_STRINGS, .max = 32,
               .doc = "groups it belongs to, which profiles may let approve"),
    {.key = "all-tenants",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct principal_doc, all_tenants),
     .doc = "the roles hold in every tenant"},
    JSON_FIELD(struct principal_doc, disabled, JSON_K_BOOL),
    {.key = "certificate-fingerprint",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct principal_doc, certificate_fingerprint),
     .max = 95,
     .def = "",
     .doc = "SHA-256 of the client certificate it comes with, hex"},
    {.key = "owner-of",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct principal_doc, owner_of),
     .max = 200,
     .def = "",
     .doc = "role owner: the owner text of its devices"},
    {0},
};

tm_err pem_list_decode(struct slice *ret, size_t max, size_t *ret_n, struct arena *a,
                       const struct json_strings *pems, const char *path, struct diag *diag)
{
    size_t n = 0;
    for (size_t i = 0; i < pems->n; i++) {
        char at[96];
        snprintf(at, sizeof at, "%s/%zu", path, i);
        struct slice text = slice_str(pems->v[i]);
        size_t before = n;
        for (;;) {
            struct slice der;
            tm_err e = pem_next(&der, NULL, a, &text, "CERTIFICATE");
            if (e == TM_ENOTFOUND)
                break;
            if (e != TM_OK)
                return diag_fail(diag, e, "RFC 7468", at, "not a PEM certificate");
            if (n == max)
                return diag_fail(diag, TM_ETOOBIG, NULL, at, "more than %zu certificates", max);
            struct cert c;
            struct diag why = {0};
            if (cert_parse(&c, der, &why) != TM_OK)
                return diag_fail(diag, TM_EINVAL, why.rule, at, "not a certificate: %s", why.message);
            ret[n++] = der;
        }
        if (n == before)
            return diag_fail(diag, TM_EINVAL, "RFC 7468", at, "holds no PEM certificate");
    }
    *ret_n = n;
    return TM_OK;
}

const struct json_field filter_schema[] = {
    DOC_HEAD(struct filter_doc),
    DOC_TENANT(struct filter_doc),
    JSON_FIELD(struct filter_doc, authorities, JSON_K_STRINGS, .required = true,
               .max = FILTER_AUTHORITIES_MAX, .doc = "whose certificates it is about"),
    JSON_FIELD(struct filter_doc, signer, JSON_K_STRING, .max = 63, .def = "",
               .doc = "not used: each authority's own RA signs"),
    JSON_FIELD(struct filter_doc, every, JSON_K_DURATION, .def = "7d", .doc = "how often a full one is made"),
    {.key = "delta-every",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct filter_doc, delta_every),
     .def = "1h",
     .doc = "how often a delta is made"},
    {0},
};

/* ---- the checks ---- */

static tm_err check_name(const char *name, struct diag *diag)
{
    if (!name_valid(slice_str(name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    return TM_OK;
}

static tm_err check_tenant(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct tenant_doc d = {0};
    TM_TRY(json_bind(&d, tenant_schema, doc, "", a, diag));
    return check_name(d.name, diag);
}

/* Each of them says that one key follows another: that of this root, or that it signed for its predecessor's. */
static tm_err check_links(const struct cert *root, const struct slice *der, size_t n, struct diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        struct cert link;
        TM_TRY(cert_parse(&link, der[i], diag));
        bool ours = slice_eq(link.spki.der, root->spki.der),
             by_us = cert_verify_signature(&link, &root->spki, NULL) == TM_OK;
        if (!cert_is_ca(&link) || ours == by_us)
            return diag_fail(diag, TM_EINVAL, "RFC 9810 4.4", "/links",
                             "not a CA certificate for this key from another, or from this key for another");
    }
    return TM_OK;
}

static tm_err check_authority(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct authority_doc d = {0};
    TM_TRY(json_bind(&d, authority_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    struct slice der[16];
    size_t n;
    struct json_strings one = {.v = &d.certificate, .n = 1};
    TM_TRY(pem_list_decode(der, 1, &n, a, &one, "/certificate", diag));
    struct cert c;
    TM_TRY(cert_parse(&c, der[0], diag));
    if (!cert_is_ca(&c))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.9", "/certificate",
                         "not a CA certificate (basicConstraints cA is not true)");
    if (cert_ski(&c).n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.2", "/certificate",
                         "the CA certificate has no subjectKeyIdentifier");
    if (d.signature[0]) {
        enum sig_alg s;
        if (sig_alg_from_name(&s, slice_str(d.signature)) != TM_OK)
            return diag_fail(diag, TM_EINVAL, NULL, "/signature", "\"%s\" is not a signature algorithm",
                             d.signature);
    }
    if (d.crl.every > d.crl.lifetime)
        return diag_fail(diag, TM_EINVAL, NULL, "/crl/every",
                         "a CRL would end before its successor is published");
    if (d.crl.issuer[0] && (d.crl.shards || strcmp(d.crl.issuer, d.name) == 0))
        return diag_fail(diag, TM_EINVAL, NULL, "/crl/issuer",
                         "names another authority, and goes without shards: a certificate names one list");
    TM_TRY(pem_list_decode(der, 16, &n, a, &d.links, "/links", diag));
    TM_TRY(check_links(&c, der, n, diag));
    return pem_list_decode(der, 16, &n, a, &d.chain, "/chain", diag);
}

static tm_err check_endpoint(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct endpoint_doc d = {0};
    TM_TRY(json_bind(&d, endpoint_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    if (d.profiles.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/profiles", "an endpoint needs at least one profile");
    if (d.authentication.both &&
        !(d.authentication.token && (d.authentication.trust_sets.n > 0 || d.authentication.certificate)))
        return diag_fail(diag, TM_EINVAL, NULL, "/authentication/both",
                         "needs token: true and certificates allowed");
    if (d.protocol == DOOR_SCEP)
        TM_TRY(scep_settings_check(&d.scep, "/scep", diag));
    return acme_settings_check(&d.acme, "/acme", diag);
}

static tm_err check_trust_set(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct trust_set_doc d = {0};
    TM_TRY(json_bind(&d, trust_set_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    struct slice der[PEM_LIST_MAX];
    size_t n;
    TM_TRY(pem_list_decode(der, PEM_LIST_MAX, &n, a, &d.anchors, "/anchors", diag));
    if (n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/anchors", "a trust set needs at least one anchor");
    return pem_list_decode(der, PEM_LIST_MAX, &n, a, &d.intermediates, "/intermediates", diag);
}

static tm_err check_principal(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct principal_doc d = {0};
    TM_TRY(json_bind(&d, principal_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    for (size_t i = 0; i < d.roles.n; i++) {
        size_t k = 0;
        while (principal_role_names[k] && strcmp(principal_role_names[k], d.roles.v[i]) != 0)
            k++;
        if (!principal_role_names[k])
            return diag_fail(diag, TM_EINVAL, NULL, "/roles",
                             "\"%s\" is not a role; there are auditor, operator, owner, admin", d.roles.v[i]);
    }
    if (d.certificate_fingerprint[0]) {
        struct slice fp;
        if (hex_decode(&fp, a, slice_str(d.certificate_fingerprint)) != TM_OK || fp.n != 32)
            return diag_fail(diag, TM_EINVAL, NULL, "/certificate-fingerprint", "not 32 octets of hex");
    }
    return TM_OK;
}

static tm_err check_filter(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct filter_doc d = {0};
    TM_TRY(json_bind(&d, filter_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    if (d.authorities.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/authorities", "a filter is about at least one authority");
    for (size_t i = 0; i < d.authorities.n; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(d.authorities.v[i], d.authorities.v[j]) == 0)
                return diag_fail(diag, TM_EINVAL, NULL, "/authorities", "\"%s\" stands there twice",
                                 d.authorities.v[i]);
    if (d.every < FILTER_EVERY_MIN || d.delta_every < FILTER_EVERY_MIN)
        return diag_fail(diag, TM_EINVAL, NULL, d.every < FILTER_EVERY_MIN ? "/every" : "/delta-every",
                         "at least a minute");
    return TM_OK;
}

static tm_err check_provider(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct provider_doc d = {0};
    TM_TRY(json_bind(&d, provider_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    return provider_check(&d, diag);
}

static tm_err check_ownership(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct ownership_doc d = {0};
    TM_TRY(json_bind(&d, ownership_schema, doc, "", a, diag));
    TM_TRY(check_name(d.name, diag));
    if (!d.owner[0] && !d.technical[0] && !d.place[0] && !d.service[0] && !d.criticality && d.tags.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/owner",
                         "a rule says something: owner, technical, place, service, criticality or tags");
    if (!d.match[0] && d.networks.n == 0 && d.tagged.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/match",
                         "a rule says of which certificates: match (\"*\" of all), networks or tagged");
    for (size_t i = 0; i < d.networks.n; i++) {
        struct address_range unused;
        if (address_range_parse(&unused, d.networks.v[i], NULL) != TM_OK ||
            unused.base.family == ADDRESS_UNIX)
            return diag_fail(diag, TM_EINVAL, NULL, "/networks",
                             "\"%.60s\" is no network such as 10.1.0.0/16 or 2001:db8::/32", d.networks.v[i]);
    }
    return TM_OK;
}

static tm_err check_profile(struct arena *a, const json_t *doc, struct diag *diag)
{
    (void)a;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_put_json(&text, doc, false);
    struct profile *p = NULL;
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = profile_from_json(&p, buf_slice(&text), 1, diag);
    if (e == TM_OK)
        profile_free(p);
    buf_done(&text);
    return e;
}

const struct resource_kind resource_kinds[] = {
    {.kind = "Tenant",
     .plural = "tenants",
     .title = "a domain of isolation",
     .schema = tenant_schema,
     .size = sizeof(struct tenant_doc),
     .house_wide = true,
     .check = check_tenant},
    {.kind = "Authority",
     .plural = "authorities",
     .title = "something that can issue",
     .schema = authority_schema,
     .size = sizeof(struct authority_doc),
     .check = check_authority},
    {.kind = "Profile",
     .plural = "profiles",
     .title = "what a certificate looks like and who may have one",
     .check = check_profile},
    {.kind = "Endpoint",
     .plural = "endpoints",
     .title = "a door that is open",
     .schema = endpoint_schema,
     .size = sizeof(struct endpoint_doc),
     .check = check_endpoint},
    {.kind = "TrustSet",
     .plural = "trust-sets",
     .title = "device certificates that count as an identity",
     .schema = trust_set_schema,
     .size = sizeof(struct trust_set_doc),
     .check = check_trust_set},
    {.kind = "Principal",
     .plural = "principals",
     .title = "who acts on the API",
     .schema = principal_schema,
     .size = sizeof(struct principal_doc),
     .check = check_principal},
    {.kind = "Notification",
     .plural = "notifications",
     .title = "by which channel, about what, when and to whom alerts are sent",
     .schema = notification_schema,
     .size = sizeof(struct notification_doc),
     .check = notification_check},
    {.kind = "Filter",
     .plural = "filters",
     .title = "a compressed list of what some authorities have revoked",
     .schema = filter_schema,
     .size = sizeof(struct filter_doc),
     .check = check_filter},
    {.kind = "Ownership",
     .plural = "ownerships",
     .title = "who answers for the certificates that a query chooses",
     .schema = ownership_schema,
     .size = sizeof(struct ownership_doc),
     .check = check_ownership},
    {.kind = "IdentityProvider",
     .plural = "identity-providers",
     .title = "an OpenID Connect provider that people sign in by",
     .schema = provider_schema,
     .size = sizeof(struct provider_doc),
     .check = check_provider},
    {.kind = "Scan",
     .plural = "scans",
     .title = "where to look for TLS servers and their certificates, and how often",
     .schema = scan_schema,
     .size = sizeof(struct scan_doc),
     .check = scan_check},
    {0},
};

const struct resource_kind *resource_kind_find(const char *kind_or_plural)
{
    for (const struct resource_kind *k = resource_kinds; k->kind; k++)
        if (strcmp(k->kind, kind_or_plural) == 0 || strcmp(k->plural, kind_or_plural) == 0)
            return k;
    return NULL;
}
