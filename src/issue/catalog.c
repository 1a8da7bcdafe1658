#include "issue/catalog.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/authority_lists.h"
#include "keys/signer.h"
#include "policy/profile.h"
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    CATALOG_ARENA_MAX = 1 << 30,
    CATALOG_PAGE = 1000,
    CHAIN_MAX = 16,
    TRUST_MAX = 256,
};

struct compiled_profile {
    tenant_id tenant;
    const char *name;
    struct profile *profile;
};

/* A growing array inside the arena: doubles by copying. */
struct list {
    void **v;
    size_t n, cap;
};

struct catalog {
    atomic_uint refs;
    struct arena *arena;
    struct tenant *tenants; /* sorted by name */
    size_t n_tenants;
    struct list profiles, authorities, endpoints, trust_sets, principals; /* each sorted by tenant, name */
};

struct build {
    struct catalog *c;
    struct store *store;
    const struct signer *signer;
    void (*on_bad)(void *, const char *, const char *, const struct diag *);
    void *arg;
};

static tm_err list_add(struct list *l, struct arena *a, void *item)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        void **v = arena_calloc(a, cap, sizeof *v);
        if (!v)
            return TM_ENOMEM;
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = item;
    return TM_OK;
}

/* Every listed struct begins with its tenant and its name: the common head that sorting and look-up read. */
struct head {
    tenant_id tenant;
    const char *name;
};
#define SAME_HEAD(type)                                                                                      \
    static_assert(offsetof(type, tenant) == offsetof(struct head, tenant) &&                                 \
                  offsetof(type, name) == offsetof(struct head, name))
SAME_HEAD(struct compiled_profile);
SAME_HEAD(struct authority);
SAME_HEAD(struct trust_set);
SAME_HEAD(struct endpoint);
SAME_HEAD(struct principal);

static int head_cmp(const struct head *a, tenant_id tenant, const char *name)
{
    if (a->tenant != tenant)
        return a->tenant < tenant ? -1 : 1;
    return strcmp(a->name, name);
}

static int head_order(const void *a, const void *b)
{
    const struct head *x = *(void *const *)a, *y = *(void *const *)b;
    return head_cmp(x, y->tenant, y->name);
}

static void *list_find(const struct list *l, tenant_id tenant, const char *name)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = head_cmp(l->v[mid], tenant, name);
        if (d == 0)
            return l->v[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void list_sort(struct list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, head_order);
}

/* ---- one document ---- */

/* The key that signs messages for the authority, and what makes it known: a certificate from the authority itself. */
static tm_err add_ra(struct build *b, struct authority *x, const struct authority_doc *d, struct diag *diag)
{
    x->ra_key = "";
    if (!d->ra.key[0])
        return TM_OK;
    struct slice der;
    size_t n;
    const char *pem = d->ra.certificate;
    struct json_strings one = {.v = &pem, .n = 1};
    TM_TRY(pem_list_decode(&der, 1, &n, b->c->arena, &one, "/ra/certificate", diag));
    TM_TRY(cert_parse(&x->ra_cert, der, diag));
    struct pubkey_info info;
    TM_TRY(pubkey_info(&info, &x->ra_cert.spki, diag));
    x->ra_sig_alg = sig_alg_default(info.alg);
    if (!slice_eq(x->ra_cert.issuer, x->cert.subject) ||
        cert_verify_signature(&x->ra_cert, &x->cert.spki, NULL) != TM_OK)
        return diag_fail(diag, TM_EINVAL, NULL, "/ra/certificate", "not issued by this authority");
    const struct signer_key *k = b->signer ? signer_key_find(b->signer, d->ra.key) : NULL;
    if (k && !slice_eq(k->spki, x->ra_cert.spki.der))
        return diag_fail(diag, TM_EINVAL, NULL, "/ra/key",
                         "the key \"%s\" in the signer is not the one in the certificate", d->ra.key);
    x->ra_key = d->ra.key;
    return TM_OK;
}

/* The responder's certificate is the house's own business and renews itself: it stands beside the document, not in it. */
static tm_err add_responder_cert(struct build *b, struct authority *x, struct diag *diag)
{
    struct authority_ocsp *o = &x->ocsp;
    struct store_read q = {.kind = READ_META,
                           .tenant = x->tenant,
                           .arena = b->c->arena,
                           .name = arena_printf(b->c->arena, "ocsp-responder/%s", x->name)};
    struct pubkey_info info;
    struct cert cert;
    if (!q.name)
        return TM_ENOMEM;
    tm_err e = store_read_now(b->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e == TM_OK)
        e = cert_parse(&cert, q.value, diag);
    if (e == TM_OK)
        e = pubkey_info(&info, &cert.spki, diag);
    if (e == TM_OK)
        e = spki_key_id_sha1(o->key_hash, &cert.spki);
    TM_TRY(e);
    /* After another key or another CA certificate took over, the job makes a new one. */
    const struct signer_key *k = b->signer ? signer_key_find(b->signer, o->key) : NULL;
    if ((k && !slice_eq(k->spki, cert.spki.der)) ||
        cert_verify_signature(&cert, &x->cert.spki, NULL) != TM_OK)
        return TM_OK;
    o->cert = cert;
    o->sig_alg = sig_alg_default(info.alg);
    return TM_OK;
}

static tm_err add_ocsp(struct build *b, struct authority *x, const struct authority_doc *d, struct diag *diag)
{
    struct authority_ocsp *o = &x->ocsp;
    *o = (struct authority_ocsp){.key = d->ocsp.key,
                                 .in_certificates = d->ocsp.in_certificates,
                                 .nonce = d->ocsp.nonce,
                                 .unauthorized = d->ocsp.unknown == 1,
                                 .lifetime = d->ocsp.lifetime,
                                 .presign = d->ocsp.presign.v,
                                 .n_presign = d->ocsp.presign.n};
    TM_TRY(ocsp_issuer_make(&o->issuer, &x->cert));
    const struct signer_key *k = b->signer && o->key[0] ? signer_key_find(b->signer, o->key) : NULL;
    if (k && k->env.allow != 1u << SIGN_OCSP)
        return diag_fail(diag, TM_EINVAL, NULL, "/ocsp/key",
                         "the key \"%s\" is no responder's; \"touchmark ca ocsp\" makes one", o->key);
    return o->key[0] ? add_responder_cert(b, x, diag) : TM_OK;
}

static tm_err add_authority(struct build *b, tenant_id tenant, const json_t *doc, struct diag *diag)
{
    struct arena *a = b->c->arena;
    struct authority_doc d = {0};
    TM_TRY(json_bind(&d, authority_schema, doc, "", a, diag));
    struct authority *x = arena_calloc(a, 1, sizeof *x);
    struct slice *chain = arena_calloc(a, CHAIN_MAX, sizeof *chain);
    struct slice *links = arena_calloc(a, LINKS_MAX, sizeof *links);
    if (!x || !chain || !links)
        return TM_ENOMEM;
    x->tenant = tenant;
    x->name = d.name;
    x->is_root = d.root;
    x->disabled = d.disabled;
    x->key_ref = d.key;
    x->parent = d.parent;
    x->successor = d.successor;
    x->crl_lifetime = d.crl.lifetime;
    x->crl_every = d.crl.every;
    x->crl_delta = d.crl.delta;
    x->crl_on_revocation = d.crl.on_revocation;
    x->shards_wanted = (unsigned)d.crl.shards;
    x->crl_issuer = d.crl.issuer;
    TM_TRY(authority_shards_read(x, b->store, a));
    x->crl_url = d.urls.crl;
    x->ca_url = d.urls.ca;
    x->ocsp_url = d.urls.ocsp;
    size_t n;
    struct json_strings one = {.v = &d.certificate, .n = 1};
    TM_TRY(pem_list_decode(&x->der, 1, &n, a, &one, "/certificate", diag));
    TM_TRY(cert_parse(&x->cert, x->der, diag));
    TM_TRY(pem_list_decode(chain, CHAIN_MAX, &x->n_chain, a, &d.chain, "/chain", diag));
    x->chain = chain;
    TM_TRY(pem_list_decode(links, LINKS_MAX, &x->n_links, a, &d.links, "/links", diag));
    x->links = links;
    x->key_id = cert_ski(&x->cert);
    if (x->key_id.n == 0 || x->key_id.n * 2 >= sizeof x->key_id_hex)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.2.1.2", "/certificate",
                         "subjectKeyIdentifier is missing or too long");
    hex_encode(x->key_id_hex, x->key_id);
    struct pubkey_info info;
    TM_TRY(pubkey_info(&info, &x->cert.spki, diag));
    x->key_alg = info.alg;
    x->sig_alg = sig_alg_default(info.alg);
    if (d.signature[0])
        TM_TRY(sig_alg_from_name(&x->sig_alg, slice_str(d.signature)));
    if (!sig_alg_fits(x->sig_alg, x->key_alg))
        return diag_fail(diag, TM_EINVAL, NULL, "/signature", "%s does not fit the CA's %s key", d.signature,
                         key_alg_info(info.alg)->name);
    const struct signer_key *k = b->signer && d.key[0] ? signer_key_find(b->signer, d.key) : NULL;
    x->offline = d.key[0] == '\0' || (b->signer && !k);
    if (k && !slice_eq(k->spki, x->cert.spki.der))
        return diag_fail(diag, TM_EINVAL, NULL, "/key",
                         "the key \"%s\" in the signer is not the one in the CA certificate", d.key);
    TM_TRY(add_ra(b, x, &d, diag));
    TM_TRY(add_ocsp(b, x, &d, diag));
    return list_add(&b->c->authorities, a, x);
}

static tm_err add_profile(struct build *b, tenant_id tenant, const struct resource_row *row,
                          struct diag *diag)
{
    struct compiled_profile *x = arena_calloc(b->c->arena, 1, sizeof *x);
    if (!x)
        return TM_ENOMEM;
    x->tenant = tenant;
    TM_TRY(profile_from_json(&x->profile, row->json, row->version, diag));
    x->name = profile_name(x->profile);
    tm_err e = list_add(&b->c->profiles, b->c->arena, x);
    if (e != TM_OK)
        profile_free(x->profile);
    return e;
}

static tm_err add_endpoint(struct build *b, tenant_id tenant, const json_t *doc, struct diag *diag)
{
    struct arena *a = b->c->arena;
    struct endpoint_doc d = {0};
    TM_TRY(json_bind(&d, endpoint_schema, doc, "", a, diag));
    struct endpoint *x = arena_calloc(a, 1, sizeof *x);
    if (!x)
        return TM_ENOMEM;
    *x = (struct endpoint){
        .tenant = tenant,
        .name = d.name,
        .protocol = (enum door)d.protocol,
        .profiles = d.profiles.v,
        .n_profiles = d.profiles.n,
        .authority = d.authority,
        .trust_sets = d.authentication.trust_sets.v,
        .n_trust_sets = d.authentication.trust_sets.n,
        .allow_certificate = d.authentication.certificate,
        .allow_token = d.authentication.token,
        .require_both = d.authentication.both,
        .require_channel_binding = d.authentication.channel_binding,
        .server_keygen = d.server_keygen,
        .disabled = d.disabled,
        .ca_bundle_authority = d.ca_bundle,
    };
    struct acme_settings *acme = arena_calloc(a, 1, sizeof *acme);
    if (!acme)
        return TM_ENOMEM;
    *acme = d.acme;
    x->acme = acme;
    struct scep_settings *scep = arena_calloc(a, 1, sizeof *scep);
    if (!scep)
        return TM_ENOMEM;
    *scep = d.scep;
    x->scep = scep;
    struct cmp_settings *cmp = arena_calloc(a, 1, sizeof *cmp);
    if (!cmp)
        return TM_ENOMEM;
    *cmp = d.cmp;
    x->cmp = cmp;
    if (x->n_profiles == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/profiles", "an endpoint needs at least one profile");
    return list_add(&b->c->endpoints, a, x);
}

static tm_err parse_all(struct cert **ret, size_t *ret_n, struct arena *a, const struct json_strings *pems,
                        const char *path, struct diag *diag)
{
    struct slice der[TRUST_MAX];
    size_t n;
    TM_TRY(pem_list_decode(der, TRUST_MAX, &n, a, pems, path, diag));
    struct cert *v = arena_calloc(a, n ? n : 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        TM_TRY(cert_parse(&v[i], der[i], diag));
    *ret = v;
    *ret_n = n;
    return TM_OK;
}

static tm_err add_trust_set(struct build *b, tenant_id tenant, const json_t *doc, struct diag *diag)
{
    struct arena *a = b->c->arena;
    struct trust_set_doc d = {0};
    TM_TRY(json_bind(&d, trust_set_schema, doc, "", a, diag));
    struct trust_set *x = arena_calloc(a, 1, sizeof *x);
    if (!x)
        return TM_ENOMEM;
    x->tenant = tenant;
    x->name = d.name;
    x->accept_expired = d.accept_expired;
    x->auto_register = d.auto_register;
    x->device_id_from = d.device_id;
    x->is_public = d.issuers == 1;
    TM_TRY(parse_all(&x->anchors, &x->n_anchors, a, &d.anchors, "/anchors", diag));
    TM_TRY(parse_all(&x->intermediates, &x->n_intermediates, a, &d.intermediates, "/intermediates", diag));
    return list_add(&b->c->trust_sets, a, x);
}

static tm_err add_principal(struct build *b, tenant_id tenant, const json_t *doc, struct diag *diag)
{
    struct arena *a = b->c->arena;
    struct principal_doc d = {0};
    TM_TRY(json_bind(&d, principal_schema, doc, "", a, diag));
    struct principal *x = arena_calloc(a, 1, sizeof *x);
    if (!x)
        return TM_ENOMEM;
    x->tenant = tenant;
    x->name = d.name;
    x->roles = d.roles.v;
    x->n_roles = d.roles.n;
    x->groups = d.groups.v;
    x->n_groups = d.groups.n;
    /* Only the house may make someone great in every tenant. */
    x->all_tenants = d.all_tenants && tenant == TENANT_HOUSE;
    x->disabled = d.disabled;
    x->owner_of = d.owner_of;
    if (d.certificate_fingerprint[0]) {
        struct slice fp;
        TM_TRY(hex_decode(&fp, a, slice_str(d.certificate_fingerprint)));
        if (fp.n != sizeof x->cert_fingerprint)
            return diag_fail(diag, TM_EINVAL, NULL, "/certificate-fingerprint", "not 32 octets of hex");
        memcpy(x->cert_fingerprint, fp.p, fp.n);
    }
    return list_add(&b->c->principals, a, x);
}

static tm_err add_resource(struct build *b, tenant_id tenant, const struct resource_row *row,
                           struct diag *diag)
{
    if (strcmp(row->kind, "Profile") == 0)
        return add_profile(b, tenant, row, diag);
    static const struct {
        const char *kind;
        tm_err (*add)(struct build *, tenant_id, const json_t *, struct diag *);
    } adders[] = {
        {"Authority", add_authority},
        {"Endpoint", add_endpoint},
        {"TrustSet", add_trust_set},
        {"Principal", add_principal},
    };
    for (size_t i = 0; i < sizeof adders / sizeof *adders; i++) {
        if (strcmp(row->kind, adders[i].kind) != 0)
            continue;
        json_t *doc = NULL;
        TM_TRY(json_parse(&doc, row->json, 1 << 20, diag));
        tm_err e = adders[i].add(b, tenant, doc, diag);
        json_decref(doc);
        return e;
    }
    return TM_OK; /* kinds of other rooms */
}

/* ---- reading the store ---- */

/* Hand every resource of a tenant (kind "" for all) to `each`, page by page. */
static tm_err for_each_resource(struct build *b, tenant_id tenant, const char *kind,
                                tm_err (*each)(struct build *, tenant_id, const struct resource_row *,
                                               struct diag *),
                                struct diag *diag)
{
    struct arena *page = arena_new(CATALOG_ARENA_MAX);
    if (!page)
        return TM_ENOMEM;
    struct slice after = {0};
    tm_err e = TM_OK;
    for (bool more = true; more && e == TM_OK;) {
        struct store_read r = {.kind = READ_RESOURCES,
                               .tenant = tenant,
                               .name = kind,
                               .arena = page,
                               .limit = CATALOG_PAGE,
                               .after = after};
        e = store_read_now(b->store, &r);
        if (e != TM_OK) {
            if (diag)
                *diag = r.diag;
            break;
        }
        for (size_t i = 0; i < r.n && e == TM_OK; i++) {
            struct diag why = {0};
            tm_err bad = each(b, tenant, &r.resources[i], &why);
            if (bad == TM_ENOMEM)
                e = bad;
            else if (bad != TM_OK && b->on_bad)
                b->on_bad(b->arg, r.resources[i].kind, r.resources[i].name, &why);
        }
        more = r.more && r.n > 0;
        after = r.page_next;
    }
    arena_free(page);
    return e;
}

static int tenant_order(const void *a, const void *b)
{
    return strcmp(((const struct tenant *)a)->name, ((const struct tenant *)b)->name);
}

static tm_err add_tenant(struct build *b, tenant_id house, const struct resource_row *row, struct diag *diag)
{
    (void)house;
    struct catalog *c = b->c;
    json_t *doc = NULL;
    struct tenant_doc d = {0};
    TM_TRY(json_parse(&doc, row->json, 1 << 20, diag));
    tm_err e = json_bind(&d, tenant_schema, doc, "", c->arena, diag);
    json_decref(doc);
    if (e != TM_OK)
        return e;
    struct tenant *v = arena_calloc(c->arena, c->n_tenants + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    if (c->n_tenants)
        memcpy(v, c->tenants, c->n_tenants * sizeof *v);
    v[c->n_tenants++] = (struct tenant){.id = (tenant_id)d.number,
                                        .name = d.name,
                                        .title = d.title,
                                        .disabled = d.disabled,
                                        .approve_revocations_above = d.revocation.approve_above};
    c->tenants = v;
    return TM_OK;
}

/* By serial, which wants no index: what this house has revoked of its own CAs. */
static tm_err mark_revoked(const struct build *b, struct authority *x, struct diag *diag)
{
    if (x->cert.serial.n != CERT_SERIAL_LEN)
        return TM_OK;
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read q = {.kind = READ_CERT, .tenant = x->tenant, .arena = a};
    memcpy(q.id, x->cert.serial.p, sizeof q.id);
    tm_err e = store_read_now(b->store, &q);
    if (e == TM_OK)
        x->revoked = q.certs[0].revoked_at != 0;
    else if (e == TM_ENOTFOUND)
        e = TM_OK;
    else if (diag)
        *diag = q.diag;
    arena_free(a);
    return e;
}

/* What hangs below a revoked CA validates nowhere either. */
static void mark_below(const struct catalog *c, struct authority *x)
{
    const struct authority *above = x;
    for (size_t i = 0; i < CHAIN_MAX && above && above->parent && above->parent[0] && !x->revoked; i++) {
        above = catalog_authority(c, x->tenant, above->parent);
        x->revoked = above && above->revoked;
    }
}

static tm_err authorities_revoked(const struct build *b, struct diag *diag)
{
    struct authority **v = (struct authority **)b->c->authorities.v;
    for (size_t i = 0; i < b->c->authorities.n; i++)
        TM_TRY(mark_revoked(b, v[i], diag));
    for (size_t i = 0; i < b->c->authorities.n; i++)
        mark_below(b->c, v[i]);
    return TM_OK;
}

/* Is `name` a line of it? */
static bool has_line(struct slice lines, const char *name)
{
    size_t n = strlen(name);
    for (const uint8_t *p = lines.p, *end = p + lines.n; p && p < end;) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        if ((size_t)(stop - p) == n && memcmp(p, name, n) == 0)
            return true;
        p = stop + 1;
    }
    return false;
}

/* Meta "crl-for/<authority>": names, a line each. Whoever was named once stays: its certificates name that list for as long as they live. */
static tm_err list_indirect(struct build *b, struct authority *x)
{
    struct catalog *c = b->c;
    struct store_read q = {.kind = READ_META,
                           .tenant = x->tenant,
                           .arena = c->arena,
                           .name = arena_printf(c->arena, "crl-for/%s", x->name)};
    tm_err e = q.name ? store_read_now(b->store, &q) : TM_ENOMEM;
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    struct authority **v = (struct authority **)c->authorities.v;
    const struct authority **of = arena_calloc(c->arena, c->authorities.n + 1, sizeof *of);
    if (!of)
        return TM_ENOMEM;
    of[x->n_crl_for++] = x;
    for (size_t i = 0; i < c->authorities.n; i++) {
        if (v[i]->tenant != x->tenant || v[i] == x || !has_line(q.value, v[i]->name))
            continue;
        of[x->n_crl_for++] = v[i];
        if (strcmp(v[i]->crl_issuer, x->name) == 0)
            v[i]->crl_issuer_now = x;
    }
    x->crl_for = of;
    return TM_OK;
}

/* Does it issue certificates of this profile, as far as the documents say? */
static bool issues(const struct catalog *c, const struct authority *x, const struct compiled_profile *p)
{
    if (strcmp(profile_authority(p->profile), x->name) == 0)
        return true;
    for (size_t i = 0; i < c->endpoints.n; i++) {
        const struct endpoint *e = c->endpoints.v[i];
        if (e->tenant != x->tenant || strcmp(e->authority, x->name) != 0)
            continue;
        for (size_t k = 0; k < e->n_profiles; k++)
            if (strcmp(e->profiles[k], p->name) == 0)
                return true;
    }
    return false;
}

static tm_err add_lists(struct build *b, struct authority *x)
{
    const struct catalog *c = b->c;
    struct profile_crl own;
    size_t wanted = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < c->profiles.n; i++) {
            const struct compiled_profile *p = c->profiles.v[i];
            if (p->tenant != x->tenant || !profile_own_crl(&own, p->profile) || !issues(c, x, p))
                continue;
            wanted++;
            if (pass)
                authority_list_want(x, p->name, &own);
        }
        if (!pass)
            TM_TRY(authority_lists_read(x, b->store, c->arena, wanted));
    }
    return TM_OK;
}

static tm_err authorities_listed(struct build *b)
{
    struct authority **v = (struct authority **)b->c->authorities.v;
    for (size_t i = 0; i < b->c->authorities.n; i++)
        TM_TRY(list_indirect(b, v[i]));
    return TM_OK;
}

tm_err catalog_build(struct catalog **ret, struct store *s, const struct signer *signer,
                     void (*on_bad)(void *arg, const char *kind, const char *name, const struct diag *d),
                     void *arg, struct diag *diag)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c)
        return TM_ENOMEM;
    atomic_init(&c->refs, 1);
    c->arena = arena_new(CATALOG_ARENA_MAX);
    if (!c->arena) {
        free(c);
        return TM_ENOMEM;
    }
    struct build b = {.c = c, .store = s, .signer = signer, .on_bad = on_bad, .arg = arg};
    tm_err e = for_each_resource(&b, TENANT_HOUSE, "Tenant", add_tenant, diag);
    if (e == TM_OK)
        e = for_each_resource(&b, TENANT_HOUSE, "", add_resource, diag);
    for (size_t i = 0; i < c->n_tenants && e == TM_OK; i++)
        if (c->tenants[i].id != TENANT_HOUSE)
            e = for_each_resource(&b, c->tenants[i].id, "", add_resource, diag);
    list_sort(&c->authorities);
    if (e == TM_OK)
        e = authorities_revoked(&b, diag);
    if (e == TM_OK)
        e = authorities_listed(&b);
    list_sort(&c->profiles);
    list_sort(&c->endpoints);
    for (size_t i = 0; i < c->authorities.n && e == TM_OK; i++)
        e = add_lists(&b, c->authorities.v[i]);
    if (e != TM_OK) {
        catalog_unref(c);
        return e;
    }
    if (c->n_tenants > 1)
        qsort(c->tenants, c->n_tenants, sizeof *c->tenants, tenant_order);
    list_sort(&c->trust_sets);
    list_sort(&c->principals);
    *ret = c;
    return TM_OK;
}

struct catalog *catalog_ref(struct catalog *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->profiles.n; i++)
        profile_free(((struct compiled_profile *)c->profiles.v[i])->profile);
    arena_free(c->arena);
    free(c);
}

/* ---- look-ups ---- */

const struct tenant *catalog_tenant(const struct catalog *c, const char *name)
{
    for (size_t lo = 0, hi = c->n_tenants; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(c->tenants[mid].name, name);
        if (d == 0)
            return &c->tenants[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct tenant *catalog_tenant_by_id(const struct catalog *c, tenant_id id)
{
    for (size_t i = 0; i < c->n_tenants; i++)
        if (c->tenants[i].id == id)
            return &c->tenants[i];
    return NULL;
}

size_t catalog_tenants(const struct catalog *c, const struct tenant **ret_first)
{
    *ret_first = c->tenants;
    return c->n_tenants;
}

struct profile *catalog_profile(const struct catalog *c, tenant_id t, const char *name)
{
    const struct compiled_profile *x = list_find(&c->profiles, t, name);
    return x ? x->profile : NULL;
}

const struct authority *catalog_authority(const struct catalog *c, tenant_id t, const char *name)
{
    return list_find(&c->authorities, t, name);
}

const struct authority *catalog_authority_by_serial(const struct catalog *c, tenant_id t,
                                                    const uint8_t *serial)
{
    for (size_t i = 0; i < c->authorities.n; i++) {
        const struct authority *x = c->authorities.v[i];
        if (x->tenant == t && slice_eq(x->cert.serial, slice_of(serial, CERT_SERIAL_LEN)))
            return x;
    }
    return NULL;
}

const struct authority *catalog_authority_by_key_id(const struct catalog *c, struct slice ski)
{
    for (size_t i = 0; i < c->authorities.n; i++) {
        const struct authority *x = c->authorities.v[i];
        if (slice_eq(x->key_id, ski))
            return x;
    }
    return NULL;
}

size_t catalog_authorities(const struct catalog *c, const struct authority *const **ret)
{
    *ret = (const struct authority *const *)c->authorities.v;
    return c->authorities.n;
}

size_t catalog_trust_sets(const struct catalog *c, const struct trust_set *const **ret)
{
    *ret = (const struct trust_set *const *)c->trust_sets.v;
    return c->trust_sets.n;
}

const struct endpoint *catalog_endpoint(const struct catalog *c, enum door protocol, const char *label)
{
    tenant_id tenant = TENANT_DEFAULT;
    const char *dot = strchr(label, '.');
    if (dot) {
        char name[64];
        size_t n = (size_t)(dot - label);
        if (n == 0 || n >= sizeof name)
            return NULL;
        memcpy(name, label, n);
        name[n] = '\0';
        const struct tenant *t = catalog_tenant(c, name);
        if (!t)
            return NULL;
        tenant = t->id;
        label = dot + 1;
    }
    const struct endpoint *e = list_find(&c->endpoints, tenant, label);
    return e && e->protocol == protocol ? e : NULL;
}

const char *catalog_endpoint_label(struct arena *a, const struct tenant *t, const char *name)
{
    return t->id == TENANT_DEFAULT ? name : arena_printf(a, "%s.%s", t->name, name);
}

size_t catalog_endpoints_of(const struct endpoint **ret, const struct catalog *c, tenant_id t,
                            enum door protocol)
{
    size_t n = 0;
    for (size_t i = 0; i < c->endpoints.n; i++) {
        const struct endpoint *e = c->endpoints.v[i];
        if (e->tenant != t || e->protocol != protocol || e->disabled)
            continue;
        *ret = e;
        n++;
    }
    return n;
}

const struct trust_set *catalog_trust_set(const struct catalog *c, tenant_id t, const char *name)
{
    return list_find(&c->trust_sets, t, name);
}

const struct principal *catalog_principal(const struct catalog *c, tenant_id t, const char *name)
{
    return list_find(&c->principals, t, name);
}

const struct principal *catalog_principal_by_cert(const struct catalog *c, tenant_id t,
                                                  const uint8_t fingerprint[32])
{
    static const uint8_t none[32];
    const struct principal *found = NULL;
    if (memcmp(fingerprint, none, sizeof none) == 0)
        return NULL;
    for (size_t i = 0; i < c->principals.n; i++) {
        const struct principal *x = c->principals.v[i];
        if (memcmp(x->cert_fingerprint, fingerprint, sizeof none) != 0)
            continue;
        if (x->tenant == TENANT_HOUSE && (x->all_tenants || t == TENANT_HOUSE))
            return x;
        if (x->tenant == t)
            found = x;
    }
    return found;
}
