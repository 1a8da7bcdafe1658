/* CRLs that an offline CA signed ahead: checked when they come in, published by date, watched before they run out. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "der/reader.h"
#include "issue/house.h"
#include "keys/pubkey.h"
#include "register/register.h"
#include "status/crl.h"
#include "status/crl_impl.h"
#include "x509/crl.h"
#include <stdio.h>
#include <string.h>

enum { SERIES_BYTES_MAX = 64 << 20, DAY = 86400 };

static const char *meta_name(struct arena *a, const struct authority *x)
{
    return arena_printf(a, "crl-series/%s", x->name);
}

/* ---- parsing ---- */

static tm_err add(struct crl_list *l, struct slice der, struct diag *diag)
{
    if (l->n == CRL_SERIES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "more than %d CRLs in a series", CRL_SERIES_MAX);
    TM_TRY(crl_parse(&l->v[l->n], der, diag));
    l->n++;
    return TM_OK;
}

static tm_err parse_der(struct crl_list *l, struct slice bytes, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, bytes, diag);
    while (!der_at_end(&r)) {
        struct slice tlv;
        TM_TRY(der_read_tlv(&r, DER_SEQUENCE, &tlv));
        TM_TRY(add(l, tlv, diag));
    }
    return der_end(&r);
}

tm_err crl_series_parse(struct crl_list *l, struct arena *a, struct slice bytes, struct diag *diag)
{
    if (bytes.n && bytes.p[0] == DER_SEQUENCE)
        return parse_der(l, bytes, diag);
    for (;;) {
        struct slice der;
        tm_err e = pem_next(&der, NULL, a, &bytes, "X509 CRL");
        if (e == TM_ENOTFOUND)
            break;
        if (e != TM_OK)
            return diag_fail(diag, TM_EMALFORMED, "RFC 7468", NULL, "CRL %zu is not PEM", l->n + 1);
        TM_TRY(add(l, der, diag));
    }
    return l->n ? TM_OK
                : diag_fail(diag, TM_EMALFORMED, NULL, NULL,
                            "no CRL in there (PEM blocks \"X509 CRL\", or DER)");
}

static tm_err load(struct crl_list *l, struct arena *a, struct house *h, const struct authority *x,
                   struct diag *diag)
{
    struct store_read r = {.kind = READ_META, .tenant = x->tenant, .arena = a, .name = meta_name(a, x)};
    if (!r.name)
        return TM_ENOMEM;
    tm_err e = store_read_now(h->store, &r);
    if (e != TM_OK && diag)
        *diag = r.diag;
    return e == TM_OK ? parse_der(l, r.value, diag) : e;
}

static tm_err count_entries(size_t *ret, const struct crl *c, struct diag *diag)
{
    struct crl_iter it;
    struct crl_entry x;
    tm_err e;
    *ret = 0;
    crl_iter_init(&it, c, diag);
    while ((e = crl_next(&it, &x)) == TM_OK)
        ++*ret;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* ---- checks at import ---- */

/* RFC 5280 6.3.3: issuer, AKI, signature. Then what a series needs: order, and no gaps that nobody could cross. */
tm_err crl_series_check(const struct crl *c, const struct crl *before, const struct authority *x, size_t i,
                        struct diag *diag)
{
    if (!slice_eq(c->issuer, x->cert.subject))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 6.3.3", NULL, "CRL %zu is not of \"%s\"", i + 1, x->name);
    const struct ext *akid = exts_find(&c->exts, OID_EXT_AKID);
    struct slice key_id = {0};
    if (akid)
        TM_TRY(ext_decode_akid(&key_id, akid->value, diag));
    if (key_id.n && !slice_eq(key_id, x->key_id))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.2.1", NULL, "CRL %zu is of another key than \"%s\" has",
                         i + 1, x->name);
    if (pubkey_verify(&x->cert.spki, &c->sigalg, c->tbs, c->signature, diag) != TM_OK)
        return diag_fail(diag, TM_EBADSIG, "RFC 5280 6.3.3", NULL, "the signature of CRL %zu does not verify",
                         i + 1);
    if (c->next_update == 0 || crl_number(c).n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.2.3", NULL, "CRL %zu has no nextUpdate or no number",
                         i + 1);
    if (!before)
        return TM_OK;
    if (c->this_update <= before->this_update ||
        crl_number_value(crl_number(c)) <= crl_number_value(crl_number(before)))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.2.3", NULL,
                         "CRL %zu does not follow CRL %zu in date and number", i + 1, i);
    if (c->this_update > before->next_update)
        return diag_fail(diag, TM_EINVAL, NULL, NULL,
                         "between CRL %zu and CRL %zu there is a time without a valid one", i, i + 1);
    return TM_OK;
}

static tm_err check_all(const struct crl_list *l, struct house *h, const struct authority *x, struct arena *a,
                        struct diag *diag)
{
    for (size_t i = 0; i < l->n; i++)
        TM_TRY(crl_series_check(&l->v[i], i ? &l->v[i - 1] : NULL, x, i, diag));
    struct crl_row last;
    tm_err e = crl_current(&last, a, h, x);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    if (crl_number_value(crl_number(&l->v[l->n - 1])) <= crl_number_value(last.number))
        return diag_fail(diag, TM_ECONFLICT, NULL, NULL,
                         "the series is older than the CRL that is published");
    if (l->v[l->n - 1].this_update < last.this_update)
        return diag_fail(diag, TM_ECONFLICT, NULL, NULL,
                         "the series ends before the day of the CRL that is published");
    return TM_OK;
}

/* Certificates revoked here that a CRL of the series does not have. */
static tm_err count_missing(size_t *ret, struct house *h, const struct authority *x, const struct crl *c,
                            struct arena *a, struct diag *diag)
{
    struct store_read r = {
        .kind = READ_REVOKED,
        .tenant = x->tenant,
        .arena = a,
        .filter = {.authority = x->name, .not_after_from = clock_now(), .revoked = 1, .source = -1},
        .limit = 1000};
    tm_err e = store_read_now(h->store, &r);
    if (e != TM_OK) {
        if (diag)
            *diag = r.diag;
        return e;
    }
    *ret = 0;
    for (size_t i = 0; i < r.n; i++) {
        struct crl_iter it;
        struct crl_entry y;
        bool found = false;
        crl_iter_init(&it, c, diag);
        while (!found && crl_next(&it, &y) == TM_OK) {
            found = slice_eq(serial_magnitude(y.serial), r.certs[i].serial);
        }
        *ret += !found;
    }
    return TM_OK;
}

static tm_err summary(struct crl_series *ret, const struct crl_list *l, struct house *h,
                      const struct authority *x, struct arena *a, struct diag *diag)
{
    const struct crl *last = &l->v[l->n - 1];
    *ret = (struct crl_series){
        .count = l->n, .first = l->v[0].this_update, .last = last->this_update, .ends = last->next_update};
    return count_missing(&ret->missing, h, x, last, a, diag);
}

/* ---- import ---- */

static tm_err store_series(struct house *h, const struct authority *x, const struct crl_list *l,
                           const char *by, struct arena *a, struct diag *diag)
{
    struct buf all;
    buf_init(&all, SERIES_BYTES_MAX);
    for (size_t i = 0; i < l->n; i++)
        buf_put_slice(&all, l->v[i].der);
    struct effect effects[2] = {
        {.kind = EFFECT_META_PUT, .tenant = x->tenant, .u.meta = {meta_name(a, x), buf_slice(&all)}}};
    uint8_t hash[SHA256_LEN];
    tm_err e = effects[0].u.meta.name ? buf_err(&all) : TM_ENOMEM;
    if (e == TM_OK)
        e = sha256(hash, buf_slice(&all));
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)l->n},
        {.key = "ends", .kind = EVENT_INT, .i = l->v[l->n - 1].next_update},
        {.key = "first", .kind = EVENT_INT, .i = l->v[0].this_update},
        {.key = "sha256", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {0},
    };
    struct slice body;
    if (e == TM_OK)
        e = register_event_body(&body, a, fields);
    char *about = arena_printf(a, "authority/%s", x->name);
    if (e == TM_OK && !about)
        e = TM_ENOMEM;
    if (e == TM_OK)
        e = register_event_effect(&effects[1], a, x->tenant, "crl.series-imported", about, body,
                                  clock_now_ms());
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    buf_done(&all);
    return e;
}

static tm_err import(struct crl_series *ret, struct house *h, const struct authority *x, struct slice bytes,
                     const char *by, struct arena *a, struct diag *diag)
{
    struct crl_list *l = arena_calloc(a, 1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    TM_TRY(crl_series_parse(l, a, bytes, diag));
    TM_TRY(check_all(l, h, x, a, diag));
    TM_TRY(store_series(h, x, l, by, a, diag));
    TM_TRY(crl_series_publish(h, x, &(bool){false}, a, diag));
    return summary(ret, l, h, x, a, diag);
}

tm_err crl_series_import(struct crl_series *ret, struct house *h, const struct authority *x,
                         struct slice bytes, const char *by, struct diag *diag)
{
    if (!x->offline)
        return diag_fail(diag, TM_EINVAL, NULL, NULL,
                         "the key of \"%s\" is in this house, which makes its CRLs itself", x->name);
    struct arena *a = arena_new((size_t)2 * SERIES_BYTES_MAX);
    if (!a)
        return TM_ENOMEM;
    tm_err e = import(ret, h, x, bytes, by, a, diag);
    arena_free(a);
    return e;
}

tm_err crl_series_state(struct crl_series *ret, struct house *h, const struct authority *x, struct diag *diag)
{
    struct arena *a = arena_new((size_t)2 * SERIES_BYTES_MAX);
    if (!a)
        return TM_ENOMEM;
    struct crl_list *l = arena_calloc(a, 1, sizeof *l);
    tm_err e = l ? load(l, a, h, x, diag) : TM_ENOMEM;
    if (e == TM_OK)
        e = l->n ? summary(ret, l, h, x, a, diag) : TM_ENOTFOUND;
    arena_free(a);
    return e;
}

/* ---- publication by date ---- */

tm_err crl_series_publish(struct house *h, const struct authority *x, bool *ret_published, struct arena *a,
                          struct diag *diag)
{
    struct crl_list *l = arena_calloc(a, 1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    tm_err e = load(l, a, h, x, diag);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    int64_t now = clock_now();
    const struct crl *c = NULL;
    for (size_t i = 0; i < l->n && l->v[i].this_update <= now; i++)
        c = &l->v[i];
    struct crl_row last;
    if (!c)
        return TM_OK;
    e = crl_current(&last, a, h, x);
    if (e == TM_OK && crl_number_value(last.number) >= crl_number_value(crl_number(c)))
        return TM_OK;
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, c->tbs));
    struct crl_record rec = {.number = serial_magnitude(crl_number(c)),
                             .this_update = c->this_update,
                             .next_update = c->next_update,
                             .der = c->der,
                             .tbs_hash = hash};
    TM_TRY(count_entries(&rec.entries, c, diag));
    TM_TRY(crl_record(h, x, &rec, a, diag));
    *ret_published = true;
    return TM_OK;
}

/* ---- the alarm ---- */

static tm_err alarm_event(struct house *h, const struct authority *x, const char *type,
                          const struct crl_series *s, struct diag *diag)
{
    char about[128];
    snprintf(about, sizeof about, "authority/%s", x->name);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->name)},
        {.key = "ends", .kind = EVENT_INT, .i = s->ends},
        {.key = "missing", .kind = EVENT_INT, .i = (int64_t)s->missing},
        {0},
    };
    return house_event(h, x->tenant, type, about, fields, diag);
}

/* Once a day an authority, also over restarts. */
static tm_err alarm_due(bool *ret, struct house *h, const struct authority *x, int64_t now, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct store_read r = {
        .kind = READ_META, .tenant = x->tenant, .arena = a, .name = arena_printf(a, "crl-alarm/%s", x->name)};
    char day[24];
    snprintf(day, sizeof day, "%lld", (long long)(now / DAY));
    tm_err e = r.name ? store_read_now(h->store, &r) : TM_ENOMEM;
    *ret = e == TM_ENOTFOUND || (e == TM_OK && !slice_eq_str(r.value, day));
    if (e == TM_ENOTFOUND)
        e = TM_OK;
    if (e == TM_OK && *ret) {
        struct effect put = {
            .kind = EFFECT_META_PUT, .tenant = x->tenant, .u.meta = {r.name, slice_str(day)}};
        e = house_commit(h, &put, 1, diag);
    }
    arena_free(a);
    return e;
}

static tm_err watch_one(struct house *h, const struct authority *x, int64_t now, tm_err *worst,
                        struct diag *diag)
{
    struct crl_series s = {0};
    tm_err e = crl_series_state(&s, h, x, diag);
    if (e == TM_ENOTFOUND)
        return TM_OK; /* a foreign CA whose CRLs others publish */
    TM_TRY(e);
    bool over = s.ends <= now, ending = s.ends - now < CRL_SERIES_WARN && s.ends < x->cert.not_after;
    if (!over && !ending && !s.missing)
        return TM_OK;
    char ends[21];
    clock_format_rfc3339(ends, s.ends);
    if (over || s.missing) {
        /* A failing job is shown by /metrics and /readyz until it is well again. */
        *worst = TM_EEXPIRED;
        TM_IGNORE(diag_fail(
            diag, TM_EEXPIRED, "crl.series", x->name,
            over
                ? "the pre-signed CRLs of %s ended at %s: nobody can check its certificates; sign and import a new series"
                : "a revoked certificate of %s is not on its pre-signed CRLs (until %s): sign and import a new series",
            x->name, ends));
    }
    bool due;
    TM_TRY(alarm_due(&due, h, x, now, diag));
    if (!due)
        return TM_OK;
    const char *type = over ? "crl.series-over" : s.missing ? "crl.series-outdated" : "crl.series-ending";
    log_write(
        over || s.missing ? LOG_ERROR : LOG_WARN, NULL, type,
        (const struct log_field[]){LOG_S("authority", x->name),
                                   LOG_S("ends", ends),
                                   LOG_I("missing", (int64_t)s.missing),
                                   LOG_S("do", "touchmark ca offline crls, then touchmark ca import-crls"),
                                   {.kind = LOG_FIELD_END}});
    return alarm_event(h, x, type, &s, diag);
}

tm_err crl_series_watch(struct house *h, struct diag *diag)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    int64_t now = clock_now();
    tm_err e = TM_OK, worst = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++)
        if (v[i]->offline && !v[i]->disabled)
            e = watch_one(h, v[i], now, &worst, diag);
    catalog_unref(cat);
    return e == TM_OK ? worst : e;
}
