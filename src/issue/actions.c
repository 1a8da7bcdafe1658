/* Revocation: single actions with the pipeline's guarantees. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/jobs.h"
#include "issue/key_use.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include "register/register.h"
#include "x509/crl.h"
#include <string.h>

static tm_err certificate_event(struct effect *ret, struct arena *a, tenant_id tenant, const char *type,
                                const uint8_t serial[CERT_SERIAL_LEN], const struct event_field *fields)
{
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *hex = arena_hex(a, slice_of(serial, CERT_SERIAL_LEN));
    char *about = hex ? arena_printf(a, "certificate/%s", hex) : NULL;
    if (!about)
        return TM_ENOMEM;
    return register_event_effect(ret, a, tenant, type, about, body, clock_now_ms());
}

static tm_err read_cert(struct cert_row *ret, struct arena *a, struct house *h, tenant_id tenant,
                        const uint8_t id[CERT_SERIAL_LEN], struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = tenant, .arena = a, .with_der = true};
    memcpy(q.id, id, sizeof q.id);
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "serial",
                         "there is no certificate with this serial in the inventory");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    *ret = q.certs[0];
    return TM_OK;
}

/* The row's new state, the event that says so, and the key where others have it; *n grows by as many. */
enum { REVOCATION_EFFECTS = 3 };
static tm_err revocation(struct effect *effects, size_t *n, struct arena *a, tenant_id tenant,
                         const struct issue_revocation *v, const char *list, const struct issue_reasons *why,
                         int64_t now)
{
    const struct cert_row *row = v->row;
    struct effect *ret = effects + *n;
    ret[0] = (struct effect){.kind = EFFECT_CERT_REVOKE, .tenant = tenant, .u.cert.row = *row};
    ret[0].u.cert.row.revoked_at = now;
    ret[0].u.cert.row.reason = v->reason;
    ret[0].u.cert.row.invalid_since = v->invalid_since;
    ret[0].u.cert.row.list = list;
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(row->authority)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(why->by ? why->by : "")},
        {.key = "comment", .kind = EVENT_STR, .s = slice_str(why->comment ? why->comment : "")},
        {.key = "reason", .kind = EVENT_STR, .s = slice_str(crl_reason_names[v->reason])},
        {.key = "revoked_at", .kind = EVENT_INT, .i = now},
        {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(row->id)},
        {0}, /* room for these two, where they are said */
        {0},
        {0},
    };
    struct event_field *more = &fields[6];
    if (v->invalid_since)
        *more++ = (struct event_field){.key = "invalid_since", .kind = EVENT_INT, .i = v->invalid_since};
    if (why->job)
        *more = (struct event_field){.key = "job", .kind = EVENT_STR, .s = slice_str(why->job)};
    TM_TRY(certificate_event(&ret[1], a, tenant, "certificate.revoked", row->id, fields));
    *n += 2;
    if (v->reason == CRL_KEY_COMPROMISE)
        TM_TRY(key_use_compromised(&effects[(*n)++], a, tenant, row));
    return TM_OK;
}

/* The profile whose own list a certificate names, or ""; in `a`. */
static const char *list_of(struct house *h, struct arena *a, tenant_id tenant, const struct cert_row *row)
{
    struct catalog *c = house_catalog(h);
    const struct authority *x = catalog_authority(c, tenant, row->authority);
    unsigned count, k;
    const struct authority_list *l =
        x ? authority_own_list(&count, &k, x, row->profile, crl_issued_at(row->id)) : NULL;
    const char *name = l ? arena_strdup(a, l->profile) : "";
    catalog_unref(c);
    return name;
}

/* It is durable that a certificate was released: answers about it are old now, lists are to be made, and whether a CA issues is part of the
 * catalog. The catalog comes last: where it can't be made, all others know all the same. */
static tm_err told(struct house *h, tenant_id tenant, const char *authority, const char *list,
                   const uint8_t *serial, unsigned heap, struct diag *diag)
{
    if (h->on_status)
        h->on_status(h, tenant, authority, list, serial);
    under_way_end(&h->under_way, heap);
    jobs_kick(h->jobs, "crl.publish");
    struct catalog *c = house_catalog(h);
    bool ca = catalog_authority_by_serial(c, tenant, serial) != NULL;
    catalog_unref(c);
    return ca ? house_reload(h, diag) : TM_OK;
}

static bool is_reason(int reason)
{
    return reason >= 0 && reason <= CRL_AA_COMPROMISE && crl_reason_names[reason] &&
           reason != CRL_REMOVE_FROM_CRL;
}

/* The same of certificates that were revoked. */
static tm_err told_all(struct house *h, tenant_id tenant, const struct issue_revocation *v,
                       const char *const *lists, size_t n, int64_t at_ms, unsigned heap, struct diag *diag)
{
    for (size_t i = 0; i < n && h->on_status; i++)
        h->on_status(h, tenant, v[i].row->authority, lists[i], v[i].row->id);
    if (h->on_revoked && n)
        h->on_revoked(h, tenant, v, n, at_ms);
    /* Before the lists are made: what is under way is not counted as being on them. */
    under_way_end(&h->under_way, heap);
    if (n)
        jobs_kick(h->jobs, "crl.publish");
    struct catalog *c = house_catalog(h);
    bool ca = false;
    for (size_t i = 0; i < n && !ca; i++)
        ca = catalog_authority_by_serial(c, tenant, v[i].row->id) != NULL;
    catalog_unref(c);
    return ca ? house_reload(h, diag) : TM_OK;
}

tm_err issue_revoke_set(struct house *h, tenant_id tenant, const struct issue_revocation *v, size_t n,
                        const struct issue_reasons *why, const struct effect *also, size_t n_also,
                        struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct effect *effects = a ? arena_calloc(a, REVOCATION_EFFECTS * n + n_also + 1, sizeof *effects) : NULL;
    const char **lists = effects ? arena_calloc(a, n + 1, sizeof *lists) : NULL;
    tm_err e = lists ? TM_OK : TM_ENOMEM;
    unsigned heap = under_way_begin(&h->under_way);
    int64_t now = clock_now(), at_ms = why->at_ms ? why->at_ms : clock_now_ms();
    size_t n_effects = 0;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        lists[i] = list_of(h, a, tenant, v[i].row);
        if (!lists[i])
            e = TM_ENOMEM;
        else
            e = is_reason(v[i].reason) ? revocation(effects, &n_effects, a, tenant, &v[i], lists[i], why, now)
                                       : diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "reason",
                                                   "not a reason that a certificate can be revoked for");
    }
    for (size_t i = 0; i < n_also && e == TM_OK; i++)
        effects[n_effects++] = also[i];
    if (e == TM_OK && n_effects)
        e = house_commit(h, effects, n_effects, diag);
    if (e == TM_OK)
        e = told_all(h, tenant, v, lists, n, at_ms, heap, diag);
    else
        under_way_end(&h->under_way, heap);
    arena_free(a);
    return e;
}

tm_err issue_revoke(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN], int reason,
                    const char *by, const char *comment, int64_t *ret_revoked_at, struct diag *diag)
{
    return issue_revoke_since(h, tenant, serial, reason, 0, by, comment, ret_revoked_at, diag);
}

tm_err issue_revoke_since(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN],
                          int reason, int64_t invalid_since, const char *by, const char *comment,
                          int64_t *ret_revoked_at, struct diag *diag)
{
    if (!is_reason(reason))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "reason",
                         "not a reason that a certificate can be revoked for");
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct cert_row row;
    int64_t now = clock_now();
    tm_err e = invalid_since < 0 || invalid_since > now
                   ? diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.2", "invalid-since",
                               "the date since when it is bad can't be in the future")
                   : TM_OK;
    if (e == TM_OK)
        e = read_cert(&row, a, h, tenant, serial, diag);
    if (e == TM_OK && row.source != CERT_ISSUED)
        e = diag_fail(diag, TM_EFORBIDDEN, NULL, "serial",
                      "this certificate was not issued here; only its issuer can revoke it");
    bool held =
        e == TM_OK && row.revoked_at && row.reason == CRL_CERTIFICATE_HOLD && reason != CRL_CERTIFICATE_HOLD;
    if (e == TM_OK && row.revoked_at && !held) {
        now = row.revoked_at;
        e = diag_fail(diag, TM_ECONFLICT, NULL, "serial", "this certificate is revoked already");
    } else if (e == TM_OK) {
        e = issue_revoke_set(h, tenant, &(struct issue_revocation){&row, reason, invalid_since}, 1,
                             &(struct issue_reasons){.by = by, .comment = comment}, NULL, 0, diag);
    }
    if (ret_revoked_at)
        *ret_revoked_at = now;
    arena_free(a);
    return e;
}

tm_err issue_unrevoke(struct house *h, tenant_id tenant, const uint8_t serial[CERT_SERIAL_LEN],
                      const char *by, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct cert_row row;
    struct effect effects[2] = {0};
    unsigned heap = under_way_begin(&h->under_way);
    const char *list = "";
    tm_err e = read_cert(&row, a, h, tenant, serial, diag);
    if (e == TM_OK && !(list = list_of(h, a, tenant, &row)))
        e = TM_ENOMEM;
    if (e == TM_OK && (!row.revoked_at || row.reason != CRL_CERTIFICATE_HOLD))
        e = diag_fail(diag, TM_ECONFLICT, "RFC 5280 5.3.1", "serial",
                      "only a certificate on hold can be released");
    if (e == TM_OK) {
        effects[0] = (struct effect){.kind = EFFECT_CERT_UNREVOKE, .tenant = tenant, .u.cert.row = row};
        struct event_field fields[] = {
            {.key = "authority", .kind = EVENT_STR, .s = slice_str(row.authority)},
            {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
            {.key = "serial", .kind = EVENT_HEX, .s = SLICE_ARR(row.id)},
            {0},
        };
        e = certificate_event(&effects[1], a, tenant, "certificate.released", row.id, fields);
    }
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    if (e == TM_OK)
        e = told(h, tenant, row.authority, list, serial, heap, diag);
    else
        under_way_end(&h->under_way, heap);
    arena_free(a);
    return e;
}
