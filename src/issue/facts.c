#include "issue/facts.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/key_use.h"
#include "policy/profile.h"
#include <string.h>

enum { SUBJECT_CERTS_LOOKED_AT = 200 };

static tm_err authority_facts(struct facts *f, struct issue_request *r, const struct authority *x,
                              const struct profile *p)
{
    f->authority.name = x->name;
    f->authority.subject = x->cert.subject;
    f->authority.key_id = x->key_id;
    f->authority.key_ref = x->key_ref;
    f->authority.key_alg = x->key_alg;
    f->authority.sig_alg = x->sig_alg;
    f->authority.not_before = x->cert.not_before;
    f->authority.not_after = x->cert.not_after;
    f->authority.disabled = x->disabled || x->offline;
    f->authority.revoked = x->revoked;
    f->authority.ocsp_url = house_ocsp_url(r->arena, r->house, x);
    if (!f->authority.ocsp_url)
        return TM_ENOMEM;
    TM_TRY(house_authority_urls(&f->authority.crl_url, &f->authority.ca_url, r->arena, r->house, x));
    const struct authority *issuer = x->crl_issuer_now;
    if (issuer) {
        const char *indirect = house_crl_list_url(r->arena, r->house, issuer, "indirect");
        if (!indirect)
            return TM_ENOMEM;
        if (indirect[0]) {
            f->authority.crl_url = indirect;
            f->authority.crl_issuer = issuer->cert.subject;
            return TM_OK;
        }
    }
    /* The serial begins with this very time: from it anyone finds the list again. */
    char list[CRL_LIST_NAME_MAX];
    authority_list_name(list, x, profile_name(p), f->now);
    if (strcmp(list, "full") == 0)
        return TM_OK;
    const char *url = house_crl_list_url(r->arena, r->house, x, list);
    if (!url)
        return TM_ENOMEM;
    if (url[0])
        f->authority.crl_url = url;
    return TM_OK;
}

/* The device's own names as SANs: a hardwareModuleName where its hardware type is known (RFC 4108 5, IEEE 802.1AR 8.10.4), a
 * permanentIdentifier with its id otherwise. */
static tm_err device_names(struct facts *f, struct arena *a, const struct device_row *d)
{
    struct general_name *v = arena_calloc(a, 2, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    size_t n = 0;
    json_t *doc = NULL;
    const char *hw_type = NULL;
    if (d->identifiers && d->identifiers[0] &&
        json_parse(&doc, slice_str(d->identifiers), 64 << 10, NULL) == TM_OK)
        hw_type = json_string_value(json_object_get(doc, "hw-type"));
    struct slice oid;
    tm_err e = TM_OK;
    if (hw_type && oid_from_dotted(&oid, a, slice_str(hw_type)) == TM_OK)
        e = general_name_hw_module(&v[n++], a, oid, slice_str(d->serial));
    if (e == TM_OK && d->id[0])
        e = general_name_permanent_id(&v[n++], a, slice_str(d->id), (struct slice){0});
    json_decref(doc);
    f->device.hw_names = v;
    f->device.n_hw_names = n;
    return e;
}

/* The device that the credential is bound to; else, where the profile wants one, the one whose id is the requested serialNumber. */
static tm_err device_wanted(const char **ret, struct issue_request *r, const struct profile *p)
{
    *ret = r->device_id && r->device_id[0] ? r->device_id : r->e.caller.device_id;
    if ((*ret && (*ret)[0]) || !profile_needs_device(p) || r->e.subject.n == 0)
        return TM_OK;
    struct name n;
    struct slice text;
    if (name_parse(&n, r->e.subject, NULL) != TM_OK ||
        name_get(&text, r->arena, &n, OID_SERIAL_NUMBER) != TM_OK)
        return TM_OK;
    *ret = arena_strndup(r->arena, (const char *)text.p, text.n);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err device_facts(struct facts *f, struct issue_request *r, const struct profile *p,
                           struct device_row *ret_row, struct diag *diag)
{
    const char *id = NULL;
    TM_TRY(device_wanted(&id, r, p));
    if (!id || !id[0])
        return TM_OK;
    f->device.id = id;
    struct store_read q = {.kind = READ_DEVICE, .tenant = r->tenant, .arena = r->arena, .name = id};
    tm_err e = store_read_now(r->house->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    const struct device_row *d = &q.devices[0];
    *ret_row = *d;
    f->device.known = true;
    f->device.id = d->id;
    f->device.serial = d->serial;
    f->device.model = d->model;
    f->device.vendor = d->vendor;
    f->device.owner = d->owner;
    f->device.place = d->place;
    f->device.state = (enum device_state)d->state;
    return device_names(f, r->arena, d);
}

static tm_err predecessor_facts(struct facts *f, struct issue_request *r, struct diag *diag)
{
    if (r->predecessor.n == 0)
        return TM_OK;
    struct cert c;
    TM_TRY(cert_parse(&c, r->predecessor, diag));
    f->predecessor.cert = r->predecessor;
    f->predecessor.not_before = c.not_before;
    f->predecessor.not_after = c.not_after;
    f->predecessor.same_key = slice_eq(c.spki.der, r->e.spki.der);
    struct store_read q = {.kind = READ_CERT, .tenant = r->tenant, .arena = r->arena};
    if (c.serial.n != CERT_SERIAL_LEN)
        return TM_OK;
    memcpy(q.id, c.serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(r->house->store, &q);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    uint8_t fp[SHA256_LEN];
    TM_TRY(sha256(fp, r->predecessor));
    if (memcmp(fp, q.certs[0].fingerprint, sizeof fp) != 0)
        return TM_OK; /* somebody else's certificate with a serial of ours */
    f->predecessor.known = true;
    f->predecessor.revoked = q.certs[0].revoked_at != 0;
    f->predecessor.profile = q.certs[0].profile;
    if (!f->device.id && q.certs[0].device && q.certs[0].device[0] && !r->device_id)
        r->device_id = q.certs[0].device;
    return TM_OK;
}

static tm_err quota_facts(struct facts *f, struct issue_request *r, const struct profile *p,
                          struct diag *diag)
{
    int64_t window = profile_quota_window(p);
    if (window > 0 && profile_quota_max(p) > 0) {
        char *name = arena_printf(r->arena, "profile/%s", profile_name(p));
        if (!name)
            return TM_ENOMEM;
        struct store_read q = {.kind = READ_QUOTA,
                               .tenant = r->tenant,
                               .arena = r->arena,
                               .name = name,
                               .window_start = f->now - f->now % window};
        tm_err e = store_read_now(r->house->store, &q);
        if (e != TM_OK && e != TM_ENOTFOUND) {
            *diag = q.diag;
            return e;
        }
        f->quota.issued_in_window = e == TM_OK ? q.count : 0;
    }
    if (profile_quota_per_subject(p) == 0)
        return TM_OK;
    struct cert_key key = {.kind = CERT_KEY_DEVICE, .value = slice_str(f->device.id)};
    struct buf subject;
    buf_init(&subject, 16 << 10);
    if (!f->device.known) {
        name_print_der(&subject, r->e.subject);
        key = (struct cert_key){.kind = CERT_KEY_SUBJECT, .value = buf_slice(&subject)};
    }
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = r->tenant,
                           .arena = r->arena,
                           .key = key,
                           .limit = SUBJECT_CERTS_LOOKED_AT};
    tm_err e = key.value.n ? store_read_now(r->house->store, &q) : TM_ENOTFOUND;
    for (size_t i = 0; e == TM_OK && i < q.n; i++)
        if (q.certs[i].revoked_at == 0 && q.certs[i].not_after > f->now &&
            strcmp(q.certs[i].profile, profile_name(p)) == 0)
            f->quota.live_for_subject++;
    buf_done(&subject);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    return TM_OK;
}

/* Was the key reported as compromised, and is it certified for somebody else? */
static tm_err key_facts(struct facts *f, struct issue_request *r, struct diag *diag)
{
    struct buf subject;
    struct key_use use;
    buf_init(&subject, 16 << 10);
    name_print_der(&subject, r->e.subject);
    tm_err e =
        key_use_find(&use, r->arena, r->house, r->tenant, &r->e.spki, f->device.id, buf_str(&subject), diag);
    buf_done(&subject);
    f->key_compromised = use.compromised;
    f->key_used_elsewhere = use.elsewhere;
    f->key_used_by = use.by;
    return e;
}

tm_err facts_gather(struct facts *f, struct issue_request *r, const struct catalog *c,
                    const struct profile *p, const struct authority *authority, struct device_row *ret_device,
                    struct diag *diag)
{
    (void)c;
    f->now = clock_now();
    f->approved = r->approved;
    f->approved_by = r->approved_by;
    TM_TRY(authority_facts(f, r, authority, p));
    TM_TRY(predecessor_facts(f, r, diag));
    TM_TRY(device_facts(f, r, p, ret_device, diag));
    TM_TRY(quota_facts(f, r, p, diag));
    TM_TRY(key_facts(f, r, diag));
    return key_quality_check(&f->quality, &r->e.key, &r->e.spki, r->house->blocklist);
}
