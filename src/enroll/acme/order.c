/* Orders (RFC 8555 7.4): made, and looked at. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "enroll/acme/star.h"
#include "enroll/endpoint.h"
#include "issue/continuation.h"
#include "policy/profile.h"
#include "x509/general_name.h"
#include <string.h>

enum { PENDING_RETRY = 10 };

/* ---- the object ---- */

static void put_member(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, ",\"%s\":", name);
    buf_put_json_string(out, slice_str(value ? value : ""));
}

static void put_time(struct buf *out, const char *name, int64_t t)
{
    char text[21];
    if (!t)
        return;
    clock_format_rfc3339(text, t);
    put_member(out, name, text);
}

static void put_identifiers(struct buf *out, const struct acme_order *o)
{
    buf_puts(out, ",\"identifiers\":[");
    for (size_t i = 0; i < o->names.n; i++) {
        const char *value = strchr(o->names.v[i], ':');
        buf_printf(out, "%s{\"type\":\"%s\",\"value\":", i ? "," : "",
                   o->names.v[i][0] == 'I' ? "ip" : "dns");
        buf_put_json_string(out, slice_str(value + 1));
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void acme_put_order(struct buf *out, struct acme_exchange *x, const struct acme_order *o,
                    enum acme_status status)
{
    buf_printf(out, "{\"status\":\"%s\"", acme_status_names[status]);
    put_time(out, "expires", o->expires);
    put_identifiers(out, o);
    put_time(out, "notBefore", o->not_before);
    put_time(out, "notAfter", o->not_after);
    if (x->endpoint->n_profiles > 1 || o->profile != x->endpoint->profiles[0])
        put_member(out, "profile", o->profile);
    if (o->replaces[0])
        put_member(out, "replaces", o->replaces);
    buf_puts(out, ",\"authorizations\":[");
    for (size_t i = 0; i < o->authz.n; i++) {
        /* Names below one domain share one. */
        bool shown = false;
        for (size_t k = 0; k < i && !shown; k++)
            shown = strcmp(o->authz.v[k], o->authz.v[i]) == 0;
        if (shown)
            continue;
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(acme_url(x, "authz/%s", o->authz.v[i])));
    }
    buf_putc(out, ']');
    star_put(out, x, o, status);
    put_member(out, "finalize", acme_url(x, "order/%s/finalize", o->id));
    if (status == ACME_VALID && !star_is(o))
        put_member(out, "certificate", acme_url(x, "cert/%s", o->id));
    if (o->error && o->error[0])
        buf_printf(out, ",\"error\":%s", o->error);
    buf_puts(out, "}\n");
}

/* ---- its state ---- */

static tm_err authz_status(enum acme_status *ret, struct acme_exchange *x, const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_AUTHZ,
                           .name = id};
    struct acme_authz z;
    tm_err e = store_read_now(x->house->store, &q);
    if (e == TM_ENOTFOUND) {
        *ret = ACME_EXPIRED;
        return TM_OK;
    }
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(acme_authz_read(&z, x->arena, &q.objects[0]));
    return acme_authz_status(ret, x, &z, diag);
}

/* The approval of what an order waits for has come, or not (RFC 8555 7.4: processing). */
static tm_err settle(struct acme_exchange *x, struct acme_order *o, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CONTINUATION, .tenant = x->endpoint->tenant, .arena = x->arena, .name = o->pending};
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    const struct continuation_row *row = e == TM_OK ? &q.continuations[0] : NULL;
    bool done = row && strcmp(row->status, "done") == 0;
    if (row && !done && strcmp(row->status, "rejected") != 0 && row->expires_at > clock_now())
        return TM_OK;
    if (done) {
        uint8_t serial[CERT_SERIAL_LEN];
        struct slice kept; /* ACME's profiles keep their certificates: orders are fetched at any time */
        TM_TRY(continuation_issued(serial, &kept, x->arena, row));
        o->serial = arena_hex(x->arena, SLICE_ARR(serial));
        o->row.status = ACME_VALID;
    } else {
        struct buf b;
        buf_init(&b, 4096);
        acme_put_problem(&b, ACME_P_UNAUTHORIZED, 0,
                         row && strcmp(row->status, "rejected") == 0
                             ? "the request was looked at and rejected"
                             : "nobody approved the request in time",
                         (struct slice){0});
        o->error = arena_strdup(x->arena, buf_str(&b));
        buf_done(&b);
        o->row.status = ACME_INVALID;
    }
    TM_TRY(acme_order_write(o, x->arena));
    return acme_put_row(x, &o->row, false);
}

tm_err acme_order_status(enum acme_status *ret, struct acme_exchange *x, struct acme_order *o,
                         struct diag *diag)
{
    if (o->row.status == ACME_PROCESSING && o->pending[0])
        TM_TRY(settle(x, o, diag));
    *ret = (enum acme_status)o->row.status;
    if (*ret != ACME_PENDING)
        return TM_OK;
    if (o->expires <= clock_now()) {
        *ret = ACME_INVALID;
        return TM_OK;
    }
    bool ready = true;
    for (size_t i = 0; i < o->authz.n; i++) {
        enum acme_status s;
        TM_TRY(authz_status(&s, x, o->authz.v[i], diag));
        if (s != ACME_VALID && s != ACME_PENDING) {
            *ret = ACME_INVALID;
            return TM_OK;
        }
        ready = ready && s == ACME_VALID;
    }
    *ret = ready ? ACME_READY : ACME_PENDING;
    return TM_OK;
}

tm_err acme_own_order(struct acme_order *ret, struct acme_exchange *x, struct diag *diag)
{
    struct object_row row;
    TM_TRY(acme_own_row(&row, x, OBJECT_ACME_ORDER, http_request_param(x->request, "id"), diag));
    return acme_order_read(ret, x->arena, &row);
}

static tm_err get_order(struct acme_exchange *x, struct diag *diag)
{
    struct acme_order o;
    enum acme_status status;
    TM_TRY(acme_own_order(&o, x, diag));
    TM_TRY(acme_order_status(&status, x, &o, diag));
    if (!acme_is_get(x)) {
        TM_TRY(star_cancel(x, &o, status, diag));
        status = ACME_CANCELED;
    }
    if (status == ACME_PROCESSING)
        x->retry_after = PENDING_RETRY;
    acme_put_order(&x->body, x, &o, status);
    return TM_OK;
}

/* ---- names ---- */

static void refuse_name(struct acme_exchange *x, enum acme_problem p, const char *type, const char *value,
                        const struct diag *why, enum acme_problem *bad)
{
    char text[400];
    struct acme_identifier id = {.ip = strcmp(type, "ip") == 0, .value = value};
    snprintf(text, sizeof text, "%.100s %s", value, why->message);
    acme_subproblem(x, p, &id, text);
    if (*bad == ACME_P_NONE) {
        *bad = p;
        TM_IGNORE(diag_fail(&x->diag, TM_EDENIED, why->rule, "identifiers", "%s", text));
    } else if (*bad != p) {
        *bad = ACME_P_COMPOUND;
    }
}

tm_err acme_name_check(struct acme_exchange *x, const struct profile *p, const char *type, const char *value,
                       struct acme_identifier *ret, bool *ret_wildcard, enum acme_problem *ret_bad,
                       struct diag *diag)
{
    struct diag why = {0};
    struct general_name gn;
    tm_err e = acme_identifier_parse(ret, ret_wildcard, x->arena, type, value, &why);
    if (e == TM_EUNSUPPORTED || e == TM_EINVAL) {
        refuse_name(x, e == TM_EINVAL ? ACME_P_REJECTED_IDENTIFIER : ACME_P_UNSUPPORTED_IDENTIFIER, type,
                    value, &why, ret_bad);
        return TM_OK;
    }
    TM_TRY(e);
    const char *text = acme_identifier_text(x->arena, ret, *ret_wildcard);
    TM_TRY(text ? general_name_from_text(&gn, x->arena, slice_str(text), diag) : TM_ENOMEM);
    if (profile_name_check(p, &gn, &why) != TM_OK)
        refuse_name(x, ACME_P_REJECTED_IDENTIFIER, type, value, &why, ret_bad);
    return TM_OK;
}

/* ---- newOrder ---- */

struct wanted {
    struct acme_identifier v[ACME_IDENTIFIERS_MAX];
    bool wildcard[ACME_IDENTIFIERS_MAX];
    struct acme_identifier ancestor[ACME_IDENTIFIERS_MAX]; /* without a value: none */
    size_t n;
};

static bool wanted_already(const struct wanted *w, const struct acme_identifier *id, bool wildcard)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].ip == id->ip && w->wildcard[i] == wildcard && strcmp(w->v[i].value, id->value) == 0)
            return true;
    return false;
}

static tm_err read_names(struct wanted *w, struct acme_exchange *x, const struct profile *p,
                         const json_t *list, struct diag *diag)
{
    size_t n = json_array_size(list);
    enum acme_problem bad = ACME_P_NONE;
    if (!json_is_array(list) || n == 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.4",
                           "an order has a list of \"identifiers\"");
    if (n > (size_t)x->settings->limits.identifiers || n > ACME_IDENTIFIERS_MAX)
        return acme_refuse(x, ACME_P_MALFORMED, TM_ETOOBIG, "acme.limits.identifiers",
                           "an order here has at most %d names", (int)x->settings->limits.identifiers);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(item, "type"));
        const char *value = json_string_value(json_object_get(item, "value"));
        if (!type || !value)
            return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.1.3",
                               "an identifier has \"type\" and \"value\"");
        size_t already = x->subproblems.n;
        TM_TRY(acme_name_check(x, p, type, value, &w->v[w->n], &w->wildcard[w->n], &bad, diag));
        if (x->subproblems.n != already || wanted_already(w, &w->v[w->n], w->wildcard[w->n]))
            continue;
        TM_TRY(acme_ancestor_read(&w->ancestor[w->n], x, item, &w->v[w->n], w->wildcard[w->n]));
        w->n++;
    }
    if (bad == ACME_P_NONE)
        return TM_OK;
    x->problem = bad;
    if (n > 1)
        TM_IGNORE(diag_fail(diag, TM_EDENIED, diag->rule, NULL, "some of the names can't be had here"));
    else
        buf_reset(&x->subproblems);
    return TM_EDENIED;
}

static tm_err choose_profile(const char **ret, struct acme_exchange *x, const json_t *p)
{
    const struct endpoint *ep = x->endpoint;
    const char *asked = json_string_value(json_object_get(p, "profile"));
    const char *bound = x->account->profile;
    if (json_object_get(p, "profile") && !asked)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "acme.profile", "\"profile\" is a name");
    if (asked && bound[0] && strcmp(asked, bound) != 0)
        return acme_refuse(x, ACME_P_INVALID_PROFILE, TM_EDENIED, "account.profile",
                           "the account's external key is for profile %s", bound);
    const char *name = asked ? asked : bound[0] ? bound : ep->profiles[0];
    *ret = endpoint_offers(ep, slice_str(name));
    if (*ret)
        return TM_OK;
    return acme_refuse(x, ACME_P_INVALID_PROFILE, TM_EDENIED, "endpoint.profiles",
                       "the profile is not offered here; the directory lists those that are");
}

static tm_err read_time(int64_t *ret, struct acme_exchange *x, const json_t *p, const char *name)
{
    const json_t *v = json_object_get(p, name);
    const char *s = json_string_value(v);
    if (!v)
        return TM_OK;
    if (!s || clock_parse_rfc3339(ret, slice_str(s)) != TM_OK)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.4",
                           "\"%s\" is not a time of RFC 3339", name);
    return TM_OK;
}

/* RFC 8555 7.4: what can't be fulfilled as it was asked for is refused. Whether the times are within the profile's bounds is seen when the
 * order is finalized. */
static tm_err read_times(struct acme_order *o, struct acme_exchange *x, const struct profile *profile,
                         const json_t *p)
{
    TM_TRY(read_time(&o->not_before, x, p, "notBefore"));
    TM_TRY(read_time(&o->not_after, x, p, "notAfter"));
    if ((o->not_before || o->not_after) && !profile_honours_times(profile))
        return acme_refuse(x, ACME_P_MALFORMED, TM_EDENIED, "lifetime.requested",
                           "profile %s sets the times itself: leave out notBefore and notAfter", o->profile);
    if (o->not_after && (o->not_after <= o->not_before || o->not_after <= clock_now()))
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.4", "\"notAfter\" comes too early");
    return TM_OK;
}

/* RFC 8555 7.4 gives orders away that nobody pays for: they are counted, as are authorizations without one. */
tm_err acme_take_order(struct acme_exchange *x)
{
    return acme_take_quota(x, arena_printf(x->arena, "acme/%s", x->account->id), x->settings->limits.orders);
}

/* One that serves already, or a new one; RFC 9444 4.3: for the ancestor that the client named, where the name was not granted. */
static tm_err authorize_name(struct acme_authz *ret, struct acme_exchange *x, const struct wanted *w,
                             size_t i, struct diag *diag)
{
    bool given = false;
    tm_err e = acme_authz_reuse(ret, x, &w->v[i], w->wildcard[i], diag);
    if (e != TM_ENOTFOUND && !(e == TM_OK && ret->row.status == ACME_PENDING && w->ancestor[i].value))
        return e;
    if (w->ancestor[i].value) {
        const char *text = acme_identifier_text(x->arena, &w->v[i], w->wildcard[i]);
        TM_TRY(text ? acme_granted(&given, x, text, diag) : TM_ENOMEM);
    }
    return w->ancestor[i].value && !given ? acme_subdomains_authorize(ret, x, &w->ancestor[i], diag)
                                          : acme_authz_make(ret, x, &w->v[i], w->wildcard[i], diag);
}

/* Names below one domain share an authorization that the order itself has made. */
static const struct acme_authz *shared(const struct acme_authz *made, size_t n,
                                       const struct acme_identifier *ancestor)
{
    for (size_t i = 0; ancestor->value && i < n; i++)
        if (made[i].subdomains && strcmp(made[i].identifier.value, ancestor->value) == 0)
            return &made[i];
    return NULL;
}

/* One authorization a name. */
static tm_err authorize(struct acme_order *o, bool *ret_ready, struct acme_exchange *x,
                        const struct wanted *w, struct diag *diag)
{
    const char **names = arena_calloc(x->arena, w->n + 1, sizeof *names);
    const char **ids = arena_calloc(x->arena, w->n + 1, sizeof *ids);
    struct acme_authz *z = arena_calloc(x->arena, w->n + 1, sizeof *z);
    if (!names || !ids || !z)
        return TM_ENOMEM;
    *ret_ready = true;
    for (size_t i = 0; i < w->n; i++) {
        const struct acme_authz *same = shared(z, i, &w->ancestor[i]);
        if (same)
            z[i] = *same;
        else
            TM_TRY(authorize_name(&z[i], x, w, i, diag));
        *ret_ready = *ret_ready && z[i].row.status == ACME_VALID;
        /* An order ends with the first of its authorizations. */
        if (z[i].expires < o->expires)
            o->expires = z[i].expires;
        names[i] = acme_identifier_text(x->arena, &w->v[i], w->wildcard[i]);
        ids[i] = z[i].id;
        if (!names[i])
            return TM_ENOMEM;
    }
    o->names = (struct json_strings){.v = names, .n = w->n};
    o->authz = (struct json_strings){.v = ids, .n = w->n};
    return TM_OK;
}

/* Is every order that says that it replaces this certificate dead (RFC 9773 5)? One that expired is made invalid on the way. */
static tm_err check_rivals(bool *ret_free, struct acme_exchange *x, const char *replaces, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .name2 = replaces};
    tm_err e = store_read_now(x->house->store, &q);
    *ret_free = e == TM_ENOTFOUND;
    if (e == TM_ENOTFOUND)
        return TM_OK;
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    struct acme_order other;
    enum acme_status status;
    TM_TRY(acme_order_read(&other, x->arena, &q.objects[0]));
    TM_TRY(acme_order_status(&status, x, &other, diag));
    if (status != ACME_INVALID)
        return acme_refuse(x, ACME_P_ALREADY_REPLACED, TM_ECONFLICT, "RFC 9773 5",
                           "another order replaces this certificate already");
    other.row.status = ACME_INVALID;
    TM_TRY(acme_order_write(&other, x->arena));
    return acme_put_row(x, &other.row, false);
}

/* RFC 9773 5: the certificate is the account's, and shares a name with the order. */
static tm_err check_replaces(struct acme_order *o, bool *ret_free, struct acme_exchange *x, const json_t *p,
                             const struct wanted *w, struct diag *diag)
{
    const char *id = json_string_value(json_object_get(p, "replaces"));
    uint8_t serial[CERT_SERIAL_LEN];
    *ret_free = true;
    if (!json_object_get(p, "replaces"))
        return TM_OK;
    tm_err e = id ? acme_cert_id_parse(serial, x->arena, x->catalog, x->endpoint->tenant, id) : TM_EMALFORMED;
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 9773 5",
                           "\"replaces\" does not name a certificate of this place");
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .text = arena_hex(x->arena, SLICE_ARR(serial))};
    e = q.text ? store_read_now(x->house->store, &q) : TM_ENOMEM;
    struct acme_order old = {0};
    if (e == TM_OK)
        e = acme_order_read(&old, x->arena, &q.objects[0]);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    if (e == TM_ENOTFOUND || strcmp(old.row.owner, x->account->id) != 0)
        return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 9773 5",
                           "the certificate to be replaced is not one of this account");
    bool shared = false;
    for (size_t i = 0; i < old.names.n; i++) {
        struct acme_identifier known;
        bool wildcard;
        TM_TRY(acme_identifier_from_text(&known, &wildcard, x->arena, old.names.v[i]));
        shared = shared || wanted_already(w, &known, wildcard);
    }
    if (!shared)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 9773 5",
                           "the order has no name of the certificate that it replaces");
    o->replaces = arena_strdup(x->arena, id);
    return o->replaces ? check_rivals(ret_free, x, o->replaces, diag) : TM_ENOMEM;
}

static tm_err new_order_with(struct acme_exchange *x, const json_t *p, struct diag *diag)
{
    struct acme_order o = {.replaces = "", .error = "", .serial = "", .pending = ""};
    struct wanted *w = arena_calloc(x->arena, 1, sizeof *w);
    bool unique, ready;
    if (!w)
        return TM_ENOMEM;
    TM_TRY(choose_profile(&o.profile, x, p));
    const struct profile *profile = catalog_profile(x->catalog, x->endpoint->tenant, o.profile);
    if (!profile)
        return diag_fail(diag, TM_EUNAVAIL, "profile.unknown", NULL, "the profile is not there");
    TM_TRY(read_names(w, x, profile, json_object_get(p, "identifiers"), diag));
    TM_TRY(star_read(&o, x, profile, p));
    TM_TRY(read_times(&o, x, profile, p));
    TM_TRY(check_replaces(&o, &unique, x, p, w, diag));
    TM_TRY(acme_take_order(x));
    o.expires = clock_now() + x->settings->order_lifetime;
    TM_TRY(authorize(&o, &ready, x, w, diag));
    TM_TRY(acme_id_make(&o.id, x->arena));
    o.row.owner = x->account->id;
    o.row.status = ACME_PENDING;
    o.row.created_at = clock_now();
    o.row.keep_until = o.expires + x->settings->retention;
    TM_TRY(acme_order_write(&o, x->arena));
    TM_TRY(acme_put_row(x, &o.row, unique && o.replaces[0]));
    x->status = 201;
    x->location = acme_url(x, "order/%s", o.id);
    acme_put_order(&x->body, x, &o, ready ? ACME_READY : ACME_PENDING);
    return TM_OK;
}

static tm_err new_order(struct acme_exchange *x, struct diag *diag)
{
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    tm_err e = new_order_with(x, p, diag);
    json_decref(p);
    return e;
}

const struct acme_operation acme_new_order = {.auth = ACME_BY_KID, .run = new_order};
const struct acme_operation acme_get_order = {.auth = ACME_BY_KID, .run = get_order};
