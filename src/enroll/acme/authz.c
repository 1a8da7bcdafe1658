/* Authorizations and their challenges (RFC 8555 7.5). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/authz_hint.h"
#include "enroll/acme/validate.h"
#include "policy/profile.h"
#include "register/register.h"
#include <string.h>

enum { REUSE_LOOK = 8, DAY = 86400, POLL_SECONDS = 1 };

/* ---- the objects ---- */

/* dns-persist-01: the names by which a record may mean us, and nothing that changes. */
static void put_issuers(struct buf *out, const struct acme_settings *s)
{
    buf_puts(out, ",\"issuer-domain-names\":[");
    for (size_t i = 0; i < s->caa.n; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(s->caa.v[i]));
    }
    buf_putc(out, ']');
}

static void put_challenge(struct buf *out, struct acme_exchange *x, const struct acme_authz *z,
                          const struct acme_challenge_state *c)
{
    char time[21];
    buf_printf(out, "{\"type\":\"%s\",\"status\":\"%s\",\"url\":", acme_challenge_names[c->type],
               acme_status_names[c->status]);
    buf_put_json_string(out, slice_str(acme_url(x, "challenge/%s/%s", z->id, acme_challenge_names[c->type])));
    if (c->token[0]) {
        buf_puts(out, ",\"token\":");
        buf_put_json_string(out, slice_str(c->token));
    }
    if (c->type == ACME_DNS_PERSIST_01)
        put_issuers(out, x->settings);
    if (c->validated) {
        clock_format_rfc3339(time, c->validated);
        buf_printf(out, ",\"validated\":\"%s\"", time);
    }
    if (c->error[0])
        buf_printf(out, ",\"error\":%s", c->error);
    buf_putc(out, '}');
}

static enum acme_status status_now(const struct acme_authz *z)
{
    bool alive = z->row.status == ACME_PENDING || z->row.status == ACME_VALID;
    return alive && z->expires <= clock_now() ? ACME_EXPIRED : (enum acme_status)z->row.status;
}

void acme_put_authz(struct buf *out, struct acme_exchange *x, const struct acme_authz *z)
{
    const struct acme_challenge_state *c = z->challenges.v;
    enum acme_status status = status_now(z);
    char time[21];
    size_t n = 0;
    clock_format_rfc3339(time, z->expires);
    buf_printf(out, "{\"status\":\"%s\",\"expires\":\"%s\",\"identifier\":{\"type\":\"%s\",\"value\":",
               acme_status_names[status], time, z->identifier.ip ? "ip" : "dns");
    buf_put_json_string(out, slice_str(z->identifier.value));
    buf_puts(out, "},\"challenges\":[");
    for (size_t i = 0; i < z->challenges.n; i++) {
        /* RFC 8555 7.1.4: what was not used is of no use later. */
        if (status != ACME_PENDING && c[i].status == ACME_PENDING)
            continue;
        buf_puts(out, n++ ? "," : "");
        put_challenge(out, x, z, &c[i]);
    }
    buf_putc(out, ']');
    if (z->wildcard)
        buf_puts(out, ",\"wildcard\":true");
    if (z->subdomains)
        buf_puts(out, ",\"subdomainAuthAllowed\":true");
    buf_puts(out, "}\n");
}

/* ---- made and used again ---- */

/* What an operator gave by an external key lasts as long as the key is not revoked. */
tm_err acme_key_stands(bool *ret, struct house *h, struct arena *a, tenant_id tenant, const char *key,
                       struct diag *diag)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = tenant, .arena = a, .name = key};
    tm_err e = store_read_now(h->store, &q);
    *ret = e == TM_OK && !q.tokens[0].revoked;
    if (e == TM_OK || e == TM_ENOTFOUND)
        return TM_OK;
    *diag = q.diag;
    return e;
}

static tm_err key_stands(bool *ret, struct acme_exchange *x, const char *key, struct diag *diag)
{
    return acme_key_stands(ret, x->house, x->arena, x->endpoint->tenant, key, diag);
}

tm_err acme_authz_status(enum acme_status *ret, struct acme_exchange *x, const struct acme_authz *z,
                         struct diag *diag)
{
    bool stands = true;
    *ret = status_now(z);
    if (*ret == ACME_VALID && z->granted[0])
        TM_TRY(key_stands(&stands, x, z->granted, diag));
    if (!stands)
        *ret = ACME_REVOKED;
    return TM_OK;
}

/* Is it a name that an operator gave to the account by its external key? */
tm_err acme_granted(bool *ret, struct acme_exchange *x, const char *text, struct diag *diag)
{
    const struct acme_account *a = x->account;
    *ret = false;
    for (size_t i = 0; x->settings->grant && i < a->names.n; i++)
        *ret = *ret || strcasecmp(a->names.v[i], text) == 0;
    return *ret ? key_stands(ret, x, a->external, diag) : TM_OK;
}

static tm_err grant(struct acme_authz *z, struct acme_exchange *x, const char *text)
{
    z->row.status = ACME_VALID;
    z->granted = x->account->external;
    z->expires = clock_now() + x->settings->authorization_lifetime;
    struct event_field fields[] = {
        {.key = "account", .kind = EVENT_STR, .s = slice_str(x->account->id)},
        {.key = "external", .kind = EVENT_STR, .s = slice_str(x->account->external)},
        {.key = "how", .kind = EVENT_STR, .s = SLICE_LIT("granted")},
        {.key = "name", .kind = EVENT_STR, .s = slice_str(text)},
        {0},
    };
    return acme_put_event(x, "acme.name-authorized",
                          arena_printf(x->arena, "acme-account/%s", x->account->id), fields);
}

static tm_err add_challenges(struct acme_authz *z, struct acme_exchange *x)
{
    struct acme_challenge_state *v = arena_calloc(x->arena, ACME_CHALLENGE_TYPES, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    size_t n = 0;
    for (int i = 0; i < ACME_CHALLENGE_TYPES; i++) {
        const struct challenge *c = challenges[i];
        if (!(x->settings->challenges >> i & 1) || (z->wildcard && !c->wildcard) ||
            (z->identifier.ip && !c->addresses) || (z->subdomains && !c->wildcard))
            continue;
        v[n] = (struct acme_challenge_state){.type = i, .status = ACME_PENDING, .token = "", .error = ""};
        if (!c->tokenless)
            TM_TRY(acme_token_make(&v[n].token, x->arena));
        n++;
    }
    z->challenges = (struct json_objects){.v = v, .n = n};
    if (n == 0)
        return acme_refuse(x, ACME_P_REJECTED_IDENTIFIER, TM_EDENIED, "acme.challenges",
                           "%s%s can be proven by none of the challenges that are offered here",
                           z->wildcard ? "*." : "", z->identifier.value);
    return TM_OK;
}

static tm_err make(struct acme_authz *z, struct acme_exchange *x, const char *granted)
{
    z->expires = clock_now() + x->settings->order_lifetime;
    z->granted = z->account_url = z->thumbprint = "";
    z->endpoint = x->endpoint->name;
    TM_TRY(acme_id_make(&z->id, x->arena));
    z->row.owner = x->account->id;
    z->row.created_at = clock_now();
    z->row.status = ACME_PENDING;
    if (granted)
        TM_TRY(grant(z, x, granted));
    else
        TM_TRY(add_challenges(z, x));
    z->row.keep_until = z->expires + x->settings->retention;
    TM_TRY(acme_authz_write(z, x->arena));
    return acme_put_row(x, &z->row, false);
}

tm_err acme_authz_make(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                       bool wildcard, struct diag *diag)
{
    bool given;
    const char *text = acme_identifier_text(x->arena, id, wildcard);
    struct acme_authz z = {.identifier = *id, .wildcard = wildcard};
    if (!text)
        return TM_ENOMEM;
    TM_TRY(acme_granted(&given, x, text, diag));
    TM_TRY(make(&z, x, given ? text : NULL));
    *ret = z;
    return TM_OK;
}

tm_err acme_authz_make_below(struct acme_authz *ret, struct acme_exchange *x,
                             const struct acme_identifier *domain)
{
    struct acme_authz z = {.identifier = *domain, .subdomains = true};
    TM_TRY(make(&z, x, NULL));
    *ret = z;
    return TM_OK;
}

/* Can what was found under this key serve an order? *ret_good: it is valid, or may become so. */
static tm_err look_at(struct acme_authz *ret, bool *ret_good, struct acme_exchange *x,
                      const struct object_row *row, struct diag *diag)
{
    enum acme_status status;
    *ret_good = false;
    if (row->status != ACME_VALID && row->status != ACME_PENDING)
        return TM_OK;
    TM_TRY(acme_authz_read(ret, x->arena, row));
    TM_TRY(acme_authz_status(&status, x, ret, diag));
    /* What ends soon would take the new order with it. */
    int64_t least = x->settings->order_lifetime / 2 < DAY ? x->settings->order_lifetime / 2 : DAY;
    *ret_good = (status == ACME_VALID || status == ACME_PENDING) &&
                strcmp(ret->endpoint, x->endpoint->name) == 0 && ret->expires - clock_now() >= least;
    return TM_OK;
}

/* The one that served last, where it is still valid. */
static tm_err find_again(struct acme_authz *ret, bool *ret_found, struct acme_exchange *x, const char *key,
                         struct diag *diag)
{
    char id[ACME_ID_MAX + 1];
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_AUTHZ,
                           .name = id};
    *ret_found = false;
    if (!authz_hint_get(x->acme->hints, id, x->endpoint->tenant, key))
        return TM_OK;
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND)
        *diag = q.diag;
    if (e != TM_OK)
        return e == TM_ENOTFOUND ? TM_OK : e;
    if (strcmp(q.objects[0].key, key) != 0 || q.objects[0].status != ACME_VALID)
        return TM_OK;
    return look_at(ret, ret_found, x, &q.objects[0], diag);
}

tm_err acme_authz_find(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                       bool wildcard, bool subdomains, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_AUTHZ,
                           .name2 = acme_authz_key(x->arena, x->account->id, id, wildcard, subdomains),
                           .limit = REUSE_LOOK};
    bool found = false;
    if (!q.name2)
        return TM_ENOMEM;
    TM_TRY(find_again(ret, &found, x, q.name2, diag));
    if (found)
        return TM_OK;
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    for (size_t i = 0; i < q.n; i++) {
        struct acme_authz z;
        bool good;
        TM_TRY(look_at(&z, &good, x, &q.objects[i], diag));
        if (!good || (found && !(z.row.status == ACME_VALID && ret->row.status != ACME_VALID)))
            continue;
        *ret = z;
        found = true;
    }
    if (found && ret->row.status == ACME_VALID)
        authz_hint_put(x->acme->hints, x->endpoint->tenant, q.name2, ret->id);
    return found ? TM_OK : TM_ENOTFOUND;
}

tm_err acme_authz_reuse(struct acme_authz *ret, struct acme_exchange *x, const struct acme_identifier *id,
                        bool wildcard, struct diag *diag)
{
    struct acme_authz above;
    tm_err e = acme_authz_find(ret, x, id, wildcard, false, diag);
    if ((e == TM_OK && ret->row.status == ACME_VALID) || (e != TM_OK && e != TM_ENOTFOUND))
        return e;
    tm_err covered = acme_subdomains_cover(&above, x, id, diag);
    if (covered == TM_OK)
        *ret = above;
    return covered == TM_ENOTFOUND ? e : covered;
}

/* ---- newAuthz (RFC 8555 7.4.1) ---- */

static tm_err new_authz_with(struct acme_exchange *x, const json_t *p, struct diag *diag)
{
    const json_t *identifier = json_object_get(p, "identifier");
    const char *type = json_string_value(json_object_get(identifier, "type"));
    const char *value = json_string_value(json_object_get(identifier, "value"));
    const char *name = x->account->profile[0] ? x->account->profile : x->endpoint->profiles[0];
    const struct profile *profile = catalog_profile(x->catalog, x->endpoint->tenant, name);
    if (!type || !value)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EMALFORMED, "RFC 8555 7.4.1",
                           "a pre-authorization has an \"identifier\" with \"type\" and \"value\"");
    if (!profile)
        return diag_fail(diag, TM_EUNAVAIL, "profile.unknown", NULL, "the profile is not there");
    struct acme_identifier id;
    bool wildcard;
    enum acme_problem bad = ACME_P_NONE;
    TM_TRY(acme_name_check(x, profile, type, value, &id, &wildcard, &bad, diag));
    if (bad != ACME_P_NONE) {
        buf_reset(&x->subproblems);
        x->problem = bad;
        return TM_EDENIED;
    }
    if (wildcard)
        return acme_refuse(x, ACME_P_REJECTED_IDENTIFIER, TM_EDENIED, "RFC 8555 7.4.1",
                           "a wildcard can't be authorized without an order");
    struct acme_authz z;
    /* RFC 9444 4.2: among the identifier's members */
    bool below = json_is_true(json_object_get(identifier, "subdomainAuthAllowed")) && !id.ip &&
                 acme_subdomains_offered(x);
    tm_err e =
        below ? acme_authz_find(&z, x, &id, false, true, diag) : acme_authz_reuse(&z, x, &id, false, diag);
    if (e == TM_ENOTFOUND) {
        x->status = 201;
        TM_TRY(acme_take_order(x));
        e = below ? acme_authz_make_below(&z, x, &id) : acme_authz_make(&z, x, &id, false, diag);
    }
    TM_TRY(e);
    x->location = acme_url(x, "authz/%s", z.id);
    acme_put_authz(&x->body, x, &z);
    return TM_OK;
}

static tm_err new_authz(struct acme_exchange *x, struct diag *diag)
{
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    tm_err e = new_authz_with(x, p, diag);
    json_decref(p);
    return e;
}

/* ---- one authorization ---- */

static tm_err own_authz(struct acme_authz *ret, struct acme_exchange *x, struct diag *diag)
{
    struct object_row row;
    enum acme_status status;
    TM_TRY(acme_own_row(&row, x, OBJECT_ACME_AUTHZ, http_request_param(x->request, "id"), diag));
    TM_TRY(acme_authz_read(ret, x->arena, &row));
    TM_TRY(acme_authz_status(&status, x, ret, diag));
    if (status == ACME_REVOKED)
        ret->row.status = status;
    return TM_OK;
}

/* RFC 8555 7.5.2 */
static tm_err deactivate(struct acme_exchange *x, struct acme_authz *z, const json_t *p)
{
    const char *status = json_string_value(json_object_get(p, "status"));
    if (!status)
        return TM_OK;
    if (strcmp(status, "deactivated") != 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.5.2",
                           "the status of an authorization can be set to \"deactivated\" only");
    if (z->row.status != ACME_VALID && z->row.status != ACME_PENDING)
        return acme_refuse(x, ACME_P_MALFORMED, TM_ECONFLICT, "RFC 8555 7.5.2", "the authorization is %s",
                           acme_status_names[z->row.status]);
    z->row.status = ACME_DEACTIVATED;
    z->row.due_at = 0;
    TM_TRY(acme_authz_write(z, x->arena));
    return acme_put_row(x, &z->row, false);
}

static tm_err get_authz(struct acme_exchange *x, struct diag *diag)
{
    struct acme_authz z;
    TM_TRY(own_authz(&z, x, diag));
    if (!acme_is_get(x)) {
        json_t *p = NULL;
        TM_TRY(acme_payload(&p, x, diag));
        tm_err e = deactivate(x, &z, p);
        json_decref(p);
        TM_TRY(e);
    }
    if (z.row.status == ACME_PENDING && z.row.due_at)
        x->retry_after = POLL_SECONDS;
    acme_put_authz(&x->body, x, &z);
    return TM_OK;
}

/* ---- a challenge is taken up (RFC 8555 7.5.1) ---- */

static tm_err take_up(struct acme_exchange *x, struct acme_authz *z, struct acme_challenge_state *c)
{
    if (status_now(z) != ACME_PENDING || c->status != ACME_PENDING)
        return TM_OK; /* said already, or decided: its state is the answer */
    c->status = ACME_PROCESSING;
    z->attempts = 0;
    z->thumbprint = x->account->thumbprint;
    z->account_url = x->jws.kid;
    z->row.due_at = clock_now_ms();
    x->validate = z->id;
    TM_TRY(acme_authz_write(z, x->arena));
    return acme_put_row(x, &z->row, false);
}

static tm_err challenge(struct acme_exchange *x, struct diag *diag)
{
    struct acme_authz z;
    const char *type = http_request_param(x->request, "type");
    TM_TRY(own_authz(&z, x, diag));
    struct acme_challenge_state *c = z.challenges.v, *found = NULL;
    for (size_t i = 0; i < z.challenges.n; i++)
        if (strcmp(acme_challenge_names[c[i].type], type) == 0)
            found = &c[i];
    if (!found) {
        x->status = 404;
        return diag_fail(diag, TM_ENOTFOUND, "acme.unknown", NULL, "there is no such challenge");
    }
    if (!acme_is_get(x)) {
        json_t *p = NULL;
        TM_TRY(acme_payload(&p, x, diag));
        json_decref(p);
        TM_TRY(take_up(x, &z, found));
    }
    if (found->status == ACME_PROCESSING)
        x->retry_after = POLL_SECONDS;
    x->links[0] = arena_printf(x->arena, "<%s>;rel=\"up\"", acme_url(x, "authz/%s", z.id));
    put_challenge(&x->body, x, &z, found);
    return TM_OK;
}

const struct acme_operation acme_new_authz = {.auth = ACME_BY_KID, .run = new_authz};
const struct acme_operation acme_get_authz = {.auth = ACME_BY_KID, .run = get_authz};
const struct acme_operation acme_challenge = {.auth = ACME_BY_KID, .run = challenge};
