#include "authority/init.h"
#include "authority/ceremony.h"
#include "authority/file.h"
#include "authority/init_files.h"
#include "authority/ra.h"
#include "authority/responder.h"
#include "authority/tls.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "keys/key.h"
#include "policy/profile.h"
#include "register/register.h"
#include "status/crl.h"
#include "store/store.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SERVER_NAMES_MAX = 32, ISSUING_LEAF_MAX = 5 * 365 * 86400 };

struct making {
    struct new_home n;
    struct arena *a;
    const struct init_config *c;
    struct init_result *ret;
    struct house *h;
    struct offline_bundle *root;
    struct ceremony ceremony;
    void (*progress)(void *arg, int percent, const char *step);
    void *arg;
};

static const char *in_home(const struct making *m, const char *rest)
{
    return arena_printf(m->a, "%s/%s", m->n.home, rest);
}

static void step(const struct making *m, int percent, const char *what)
{
    if (m->progress)
        m->progress(m->arg, percent, what);
}

/* ---- the register's key, the store, the house ---- */

static tm_err make_register_key(struct making *m, struct diag *diag)
{
    struct key *k = NULL;
    TM_TRY(key_generate(&k, KEY_ALG_ED25519, 0, diag));
    struct envelope env = {
        .key_id = "register", .origin = m->n.origin, .allow = 1u << SIGN_CHECKPOINT, .max_path_len = -1};
    const char *dir = in_home(m, "keys");
    tm_err e = dir ? key_store(dir, k, &env, &m->n.passphrase, diag) : TM_ENOMEM;
    key_free(k);
    return e;
}

static tm_err open_house(struct making *m, struct diag *diag)
{
    struct store *s = NULL;
    struct store_config sc = {.driver = "sqlite", .path = in_home(m, "store"), .create = true};
    if (!sc.path)
        return TM_ENOMEM;
    TM_TRY(store_open(&s, &sc, diag));
    store_close(s);
    struct house_config hc = {
        .home = m->n.home,
        .mode = HOUSE_OFFLINE,
        .passphrase = &m->n.passphrase,
        .public_base = m->n.public_base,
        .origin = m->n.origin,
    };
    TM_TRY(house_open(&m->h, &hc, diag));
    m->ceremony = (struct ceremony){.house = m->h, .by = m->n.by, .passphrase = &m->n.passphrase};
    return TM_OK;
}

/* ---- resources ---- */

/* Takes `doc` over. */
static tm_err put(struct making *m, tenant_id tenant, json_t *doc, struct diag *diag)
{
    if (!doc)
        return TM_ENOMEM;
    tm_err e = house_resource_put(m->h, tenant, json_string_value(json_object_get(doc, "kind")), doc, 0,
                                  m->n.by, NULL, diag);
    json_decref(doc);
    return e;
}

static tm_err make_tenants(struct making *m, struct diag *diag)
{
    TM_TRY(put(m, TENANT_HOUSE,
               json_pack("{s:s,s:s,s:s}", "kind", "Tenant", "name", "house", "title", "the house itself"),
               diag));
    return put(m, TENANT_HOUSE,
               json_pack("{s:s,s:s,s:s}", "kind", "Tenant", "name", "default", "title", m->n.organization),
               diag);
}

static tm_err make_profiles(struct making *m, struct diag *diag)
{
    for (const struct ready_profile *p = ready_profiles; p->name; p++) {
        json_t *doc = NULL;
        TM_TRY(json_parse(&doc, slice_str(p->json), 1 << 20, diag));
        TM_TRY(put(m, TENANT_DEFAULT, doc, diag));
    }
    return TM_OK;
}

static tm_err make_trust_set(struct making *m, struct diag *diag)
{
    const char *pem = arena_strndup(m->a, (const char *)m->c->factory_anchors.p, m->c->factory_anchors.n);
    if (!pem)
        return TM_ENOMEM;
    return put(m, TENANT_DEFAULT,
               json_pack("{s:s,s:s,s:s,s:[s],s:b,s:b}", "kind", "TrustSet", "name", "factory", "title",
                         "birth certificates of our devices", "anchors", pem, "accept-expired", 1,
                         "auto-register", 1),
               diag);
}

/* Devices enroll by their birth certificate where a trust set is there, and by one-time tokens; whoever has a certificate from
 * here renews with it. */
static json_t *endpoint(const char *name, const char *title, const char *protocol, json_t *profiles,
                        bool factory, bool token)
{
    json_t *sets = factory ? json_pack("[s]", "factory") : json_array();
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:{s:o,s:b,s:b},s:b}", "kind", "Endpoint", "name", name, "title",
                     title, "protocol", protocol, "profiles", profiles, "authentication", "trust-sets", sets,
                     "certificate", 1, "token", token ? 1 : 0, "server-keygen", 1);
}

/* Nobody gets an account without a key that an operator has made. */
static json_t *acme_endpoint(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:[s,s],s:{s:s}}", "kind", "Endpoint", "name", "acme", "title",
                     "servers over ACME", "protocol", "acme", "profiles", "enterprise-tls-47d",
                     "server-internal-1y", "acme", "external-account", "required");
}

/* Devices that speak SCEP, with one-time challenges; a certificate from here renews itself. */
static json_t *scep_endpoint(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:[s],s:{s:b}}", "kind", "Endpoint", "name", "scep", "title",
                     "devices over SCEP", "protocol", "scep", "profiles", "device-ldevid-1y",
                     "authentication", "certificate", 1);
}

static json_t *all_profiles(void)
{
    json_t *v = json_array();
    for (const struct ready_profile *p = ready_profiles; p->name && v; p++)
        json_array_append_new(v, json_string(p->name));
    return v;
}

static tm_err make_endpoints(struct making *m, struct diag *diag)
{
    bool factory = m->c->factory_anchors.n != 0;
    if (factory)
        TM_TRY(make_trust_set(m, diag));
    TM_TRY(put(
        m, TENANT_DEFAULT,
        endpoint("devices", "devices over EST", "est", json_pack("[s]", "device-ldevid-1y"), factory, true),
        diag));
    TM_TRY(put(m, TENANT_DEFAULT,
               endpoint("default", "EST without a label: as devices", "est",
                        json_pack("[s]", "device-ldevid-1y"), factory, true),
               diag));
    TM_TRY(put(m, TENANT_DEFAULT,
               endpoint("servers", "servers over EST", "est",
                        json_pack("[s,s]", "server-internal-1y", "enterprise-tls-47d"), false, true),
               diag));
    TM_TRY(put(m, TENANT_DEFAULT,
               endpoint("cmp", "devices and servers over CMP", "cmp",
                        json_pack("[s,s,s]", "device-ldevid-1y", "server-internal-1y", "enterprise-tls-47d"),
                        factory, true),
               diag));
    TM_TRY(put(m, TENANT_DEFAULT, acme_endpoint(), diag));
    TM_TRY(put(m, TENANT_DEFAULT, scep_endpoint(), diag));
    return put(m, TENANT_DEFAULT, endpoint("rest", "the API", "rest", all_profiles(), false, true), diag);
}

static tm_err make_admin(struct making *m, struct diag *diag)
{
    TM_TRY(put(m, TENANT_HOUSE,
               json_pack("{s:s,s:s,s:s,s:[s],s:b}", "kind", "Principal", "name", "admin", "title",
                         "whoever holds admin/token", "roles", "admin", "all-tenants", 1),
               diag));
    char *id, *secret;
    struct token_spec spec = {.principal = "admin", .roles = "", .ttl = TM_TIME_NEVER, .by = m->n.by};
    TM_TRY(token_create(&id, &secret, m->a, m->h, TENANT_HOUSE, &spec, diag));
    char *text = arena_printf(m->a, "%s.%s\n", id, secret);
    const char *path = in_home(m, "admin/token");
    if (!text || !path)
        return TM_ENOMEM;
    m->ret->admin_token_file = path;
    tm_err e = file_write(path, slice_str(text), 0600, false, diag);
    explicit_bzero(text, strlen(text));
    explicit_bzero(secret, strlen(secret));
    return e;
}

/* ---- authorities ---- */

static const char *ca_subject(const struct making *m, const char *what)
{
    /* RFC 4514 text: what is special in it is escaped. */
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "CN=");
    for (int part = 0; part < 2; part++) {
        for (const char *p = m->n.organization; *p; p++) {
            if (strchr(",+\"\\<>;=#", *p) || (*p == ' ' && (p == m->n.organization || !p[1])))
                buf_putc(&b, '\\');
            buf_putc(&b, (uint8_t)*p);
        }
        if (part == 0)
            buf_printf(&b, " %s,O=", what);
    }
    const char *s = buf_err(&b) == TM_OK ? arena_strdup(m->a, buf_str(&b)) : NULL;
    buf_done(&b);
    return s;
}

static void keep(struct making *m, size_t i, const struct ca_result *r)
{
    m->ret->authorities[i].name = r->name;
    m->ret->authorities[i].subject = r->subject;
    m->ret->authorities[i].not_after = r->not_after;
    memcpy(m->ret->authorities[i].fingerprint, r->fingerprint, sizeof r->fingerprint);
}

/* One root for both CAs. It never ends, for the device CA below it never does: an IDevID must outlast whatever is
 * rolled over in its time. Whoever wants another root for the enterprise makes one with `ca create`. */
static tm_err make_root(struct making *m, struct diag *diag)
{
    struct ca_spec s;
    struct ca_result r;
    ca_spec_init(&s);
    s.name = "root";
    s.title = "offline root";
    s.key = m->c->root_key;
    s.subject = ca_subject(m, "Root CA");
    const char *path = in_home(m, "root/root-root.bundle");
    if (!path || !s.subject)
        return TM_ENOMEM;
    struct offline_crls crls = {.count = m->c->root_crls};
    TM_TRY(
        ceremony_create_root(&r, m->a, &m->ceremony, &s, path, &m->n.root_passphrase, &crls, &m->root, diag));
    keep(m, 0, &r);
    memcpy(m->ret->root_fingerprint, r.fingerprint, sizeof r.fingerprint);
    m->ret->root_bundle = path;
    return TM_OK;
}

static tm_err make_ca(struct making *m, size_t i, const struct ca_spec *s, struct diag *diag)
{
    struct ca_result r;
    if (!s->subject)
        return TM_ENOMEM;
    TM_TRY(ceremony_create_ca(&r, m->a, &m->ceremony, s, "root", m->root, diag));
    keep(m, i, &r);
    return TM_OK;
}

/* The CA, who signs messages for it (EST's full CMC, keys made here and SCEP's answers are signed so), and who answers OCSP for it. */
static tm_err make_issuing(struct making *m, size_t i, const struct ca_spec *s, const char *ra_key,
                           struct diag *diag)
{
    struct ca_result r;
    TM_TRY(make_ca(m, i, s, diag));
    TM_TRY(ceremony_create_ra(&r, m->a, &m->ceremony, s->tenant, s->name, ra_key, diag));
    const char *key_id;
    return ceremony_create_responder(&key_id, m->a, &m->ceremony, s->tenant, s->name, NULL, diag);
}

static tm_err make_cas(struct making *m, struct diag *diag)
{
    struct ca_spec s;
    ca_spec_init(&s);
    s.name = "issuing-ca";
    s.title = "servers, people, workloads";
    s.key = m->c->ca_key;
    s.subject = ca_subject(m, "Issuing CA");
    s.lifetime = m->c->ca_lifetime;
    s.max_leaf = ISSUING_LEAF_MAX;
    step(m, 30, "issuing CA");
    TM_TRY(make_issuing(m, 1, &s, NULL, diag));

    static const char *const device_ekus[] = {"none", "clientAuth", "serverAuth"};
    ca_spec_init(&s);
    s.name = "device-ca";
    s.title = "devices, for as long as they last";
    s.key = m->c->ca_key;
    s.subject = ca_subject(m, "Device CA");
    s.lifetime = TM_TIME_NEVER;
    s.ekus = device_ekus;
    s.n_ekus = sizeof device_ekus / sizeof *device_ekus;
    step(m, 45, "device CA");
    /* RSA: SCEP, which devices speak, encrypts its requests to it. */
    return make_issuing(m, 2, &s, "rsa-3072", diag);
}

/* ---- the listeners' certificate ---- */

static size_t add_name(const char **v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(v[i], name) == 0)
            return n;
    if (n < SERVER_NAMES_MAX && name[0])
        v[n++] = name;
    return n;
}

static tm_err make_tls(struct making *m, struct diag *diag)
{
    const char *names[SERVER_NAMES_MAX];
    char host[256] = "";
    size_t n = 0;
    const char *base = m->n.public_base + 7;
    /* The name that is for ever first, then this machine's. */
    const char *public_host = arena_strndup(m->a, base, strcspn(base, ":/"));
    if (!public_host)
        return TM_ENOMEM;
    if (base[0] != '[')
        n = add_name(names, n, public_host);
    for (size_t i = 0; i < m->c->n_server_names; i++)
        n = add_name(names, n, m->c->server_names[i]);
    if (gethostname(host, sizeof host - 1) == 0)
        n = add_name(names, n, host);
    n = add_name(names, n, "localhost");
    n = add_name(names, n, "127.0.0.1");
    n = add_name(names, n, "::1");
    return tls_server_issue(m->h, names, n, m->n.by, diag);
}

/* ---- the whole ---- */

static tm_err finish(struct making *m, struct diag *diag)
{
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(m->n.by)},
        {.key = "ceremony", .kind = EVENT_STR, .s = SLICE_LIT("init")},
        {.key = "organization", .kind = EVENT_STR, .s = slice_str(m->n.organization)},
        {.key = "origin", .kind = EVENT_STR, .s = slice_str(m->n.origin)},
        {.key = "public_base", .kind = EVENT_STR, .s = slice_str(m->n.public_base)},
        {.key = "root", .kind = EVENT_STR, .s = slice_str(m->ret->root_fingerprint)},
        {0},
    };
    TM_TRY(house_event(m->h, TENANT_HOUSE, "ceremony.completed", "house", fields, diag));
    struct buf vkey;
    buf_init(&vkey, 4096);
    tm_err e = register_vkey(&vkey, m->h->reg);
    m->ret->register_vkey = e == TM_OK ? arena_strdup(m->a, buf_str(&vkey)) : NULL;
    buf_done(&vkey);
    if (e != TM_OK)
        return e;
    TM_TRY(house_sequence(m->h, diag));
    return new_home_write_config(&m->n, diag);
}

static tm_err make(struct making *m, struct diag *diag)
{
    step(m, 0, "home directory and passphrases");
    TM_TRY(new_home_begin(&m->n, m->a, m->c, diag));
    step(m, 5, "register key and store");
    TM_TRY(make_register_key(m, diag));
    TM_TRY(open_house(m, diag));
    TM_TRY(make_tenants(m, diag));
    step(m, 15, "root and its CRLs for the years to come");
    TM_TRY(make_root(m, diag));
    TM_TRY(make_cas(m, diag));
    step(m, 60, "profiles and endpoints");
    TM_TRY(make_profiles(m, diag));
    TM_TRY(make_endpoints(m, diag));
    step(m, 80, "admin credential");
    TM_TRY(make_admin(m, diag));
    if (m->c->also)
        TM_TRY(m->c->also(m->c->also_arg, m->h, diag));
    step(m, 85, "TLS certificate");
    TM_TRY(make_tls(m, diag));
    step(m, 92, "first CRLs and checkpoint");
    TM_TRY(crl_publish_all(m->h, CRL_NOW, diag));
    return finish(m, diag);
}

static tm_err fill(struct making *m)
{
    struct init_result *r = m->ret;
    r->home = m->n.home;
    r->config_file = in_home(m, "touchmark.yaml");
    r->root_passphrase_file = m->n.root_passphrase_file;
    r->passphrase_file = m->c->passphrase ? NULL : m->n.passphrase_file;
    r->public_base = m->n.public_base;
    r->origin = m->n.origin;
    r->next[0] = arena_printf(m->a, "touchmark serve --home %s", m->n.home);
    r->next[1] = arena_printf(m->a, "touchmark ca list --home %s", m->n.home);
    r->next[2] = arena_printf(
        m->a, "touchmark token create --home %s --endpoint servers --name DNS:server.example.org", m->n.home);
    return r->config_file && r->next[0] && r->next[1] && r->next[2] ? TM_OK : TM_ENOMEM;
}

tm_err house_init(struct init_result *ret, struct arena *a, const struct init_config *c,
                  void (*progress)(void *arg, int percent, const char *step), void *arg, struct diag *diag)
{
    struct making m = {.a = a, .c = c, .ret = ret, .progress = progress, .arg = arg};
    *ret = (struct init_result){0};
    tm_err e = make(&m, diag);
    offline_bundle_close(m.root);
    house_close(m.h);
    if (e == TM_OK)
        e = fill(&m);
    new_home_end(&m.n, e != TM_OK);
    if (e == TM_OK)
        step(&m, 100, "done");
    return e;
}
