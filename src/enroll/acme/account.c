/* Accounts (RFC 8555 7.3): made, changed, ended, given another key; and the list of their orders. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "enroll/acme/acme.h"
#include "http/address.h"
#include "policy/names.h"
#include "register/register.h"
#include <string.h>

enum { CONTACTS_MAX = 10, ORDERS_PAGE = 50 };

static void put_account(struct buf *out, struct acme_exchange *x, const struct acme_account *a)
{
    buf_printf(out, "{\"status\":\"%s\"", acme_status_names[a->row.status]);
    if (a->contact.n) {
        buf_puts(out, ",\"contact\":[");
        for (size_t i = 0; i < a->contact.n; i++) {
            buf_puts(out, i ? "," : "");
            buf_put_json_string(out, slice_str(a->contact.v[i]));
        }
        buf_putc(out, ']');
    }
    if (a->terms_at)
        buf_puts(out, ",\"termsOfServiceAgreed\":true");
    buf_puts(out, ",\"orders\":");
    buf_put_json_string(out, slice_str(acme_url(x, "account/%s/orders", a->id)));
    buf_puts(out, "}\n");
}

static const char *key_text(struct acme_exchange *x, const struct jwk *k)
{
    struct buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "%s/", x->endpoint->name);
    buf_put_base64(&b, SLICE_ARR(k->thumbprint), BASE64_URL, 0);
    const char *s = arena_strdup(x->arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static tm_err find_by_key(struct acme_account *ret, struct acme_exchange *x, const char *key,
                          struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ACCOUNT,
                           .name2 = key};
    tm_err e = key ? store_read_now(x->house->store, &q) : TM_ENOMEM;
    if (e == TM_OK)
        return acme_account_read(ret, x->arena, &q.objects[0]);
    if (e != TM_ENOTFOUND)
        *diag = q.diag;
    return e;
}

/* ---- contacts (RFC 8555 7.3) ---- */

static tm_err check_contact(struct acme_exchange *x, const char *url)
{
    if (strncmp(url, "mailto:", 7) != 0)
        return acme_refuse(x, ACME_P_UNSUPPORTED_CONTACT, TM_EUNSUPPORTED, "RFC 8555 7.3",
                           "contacts are mailto: addresses");
    /* No header fields and one address only. */
    const char *why =
        strpbrk(url, "?,") ? "has more than one address or further fields" : email_check(slice_str(url + 7));
    if (why)
        return acme_refuse(x, ACME_P_INVALID_CONTACT, TM_EINVAL, "RFC 8555 7.3", "the contact %s", why);
    return TM_OK;
}

static tm_err read_contacts(struct json_strings *ret, struct acme_exchange *x, const json_t *list)
{
    if (!list)
        return TM_OK;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > CONTACTS_MAX)
        return acme_refuse(x, ACME_P_INVALID_CONTACT, TM_EINVAL, "RFC 8555 7.1.2",
                           "\"contact\" is a list of at most %d addresses", CONTACTS_MAX);
    const char **v = arena_calloc(x->arena, n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (!s || strlen(s) > 300)
            return acme_refuse(x, ACME_P_INVALID_CONTACT, TM_EINVAL, "RFC 8555 7.1.2",
                               "a contact is a text of at most 300 octets");
        TM_TRY(check_contact(x, s));
        v[i] = arena_strdup(x->arena, s);
        if (!v[i])
            return TM_ENOMEM;
    }
    *ret = (struct json_strings){.v = v, .n = n};
    return TM_OK;
}

/* ---- newAccount ---- */

static tm_err check_terms(struct acme_exchange *x, struct acme_account *a, const json_t *p)
{
    if (json_is_true(json_object_get(p, "termsOfServiceAgreed")))
        a->terms_at = clock_now();
    if (a->terms_at || !x->settings->terms[0])
        return TM_OK;
    x->links[0] = arena_printf(x->arena, "<%s>;rel=\"terms-of-service\"", x->settings->terms);
    return acme_refuse(x, ACME_P_USER_ACTION_REQUIRED, TM_EDENIED, "RFC 8555 7.3.3",
                       "the terms of service must be agreed to: %s", x->settings->terms);
}

/* Keys cost nothing, accounts stay: who has no external key is counted by where he comes from. Networks give each of their customers an
 * IPv6 /64 at least. */
static tm_err take_account(struct acme_exchange *x)
{
    struct address_range from;
    const char *place = x->request->peer;
    char hex[17];
    if (address_range_parse(&from, place, NULL) == TM_OK && from.base.family == ADDRESS_V6) {
        hex_encode(hex, slice_of(from.base.ip, 8));
        place = hex;
    }
    return acme_take_quota(x, arena_printf(x->arena, "acme-accounts/%s/%s", x->endpoint->name, place),
                           x->settings->limits.accounts);
}

static tm_err create(struct acme_exchange *x, const char *key, const json_t *p, struct diag *diag)
{
    struct acme_account a = {.external = "", .profile = "", .thumbprint = strchr(key, '/') + 1};
    TM_TRY(read_contacts(&a.contact, x, json_object_get(p, "contact")));
    if (x->settings->contact && a.contact.n == 0)
        return acme_refuse(x, ACME_P_INVALID_CONTACT, TM_EINVAL, "acme.contact",
                           "an account here must have a contact");
    TM_TRY(check_terms(x, &a, p));
    TM_TRY(acme_external_account(&a, x, json_object_get(p, "externalAccountBinding"), diag));
    if (!a.external[0])
        TM_TRY(take_account(x));
    TM_TRY(acme_id_make(&a.id, x->arena));
    a.spki = x->jws.jwk.spki.der;
    a.row.key = key;
    a.row.ref = a.external;
    a.row.status = ACME_VALID;
    a.row.created_at = clock_now();
    TM_TRY(acme_account_write(&a, x->arena));
    TM_TRY(acme_put_row(x, &a.row, true));
    struct event_field fields[] = {
        {.key = "contacts", .kind = EVENT_INT, .i = (int64_t)a.contact.n},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(x->endpoint->name)},
        {.key = "external", .kind = EVENT_STR, .s = slice_str(a.external)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(a.thumbprint)},
        {.key = "peer", .kind = EVENT_STR, .s = slice_str(x->request->peer)},
        {0},
    };
    TM_TRY(
        acme_put_event(x, "acme.account-created", arena_printf(x->arena, "acme-account/%s", a.id), fields));
    x->status = 201;
    x->location = acme_url(x, "account/%s", a.id);
    put_account(&x->body, x, &a);
    return TM_OK;
}

static tm_err new_account_with(struct acme_exchange *x, const json_t *p, struct diag *diag)
{
    const char *key = key_text(x, &x->jws.jwk);
    struct acme_account a;
    tm_err e = find_by_key(&a, x, key, diag);
    if (e == TM_OK) {
        if (a.row.status != ACME_VALID)
            return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 8555 7.3.6", "the account is %s",
                               acme_status_names[a.row.status]);
        x->location = acme_url(x, "account/%s", a.id);
        put_account(&x->body, x, &a);
        return TM_OK;
    }
    if (e != TM_ENOTFOUND)
        return e;
    if (json_is_true(json_object_get(p, "onlyReturnExisting")))
        return acme_refuse(x, ACME_P_ACCOUNT_DOES_NOT_EXIST, TM_ENOTFOUND, "RFC 8555 7.3.1",
                           "there is no account with this key");
    return create(x, key, p, diag);
}

static tm_err new_account(struct acme_exchange *x, struct diag *diag)
{
    json_t *p = NULL;
    TM_TRY(acme_payload(&p, x, diag));
    tm_err e = new_account_with(x, p, diag);
    json_decref(p);
    return e;
}

/* ---- one account ---- */

static tm_err put_changed(struct acme_exchange *x, const char *type)
{
    struct event_field fields[] = {
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(x->endpoint->name)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(x->account->thumbprint)},
        {.key = "peer", .kind = EVENT_STR, .s = slice_str(x->request->peer)},
        {0},
    };
    return acme_put_event(x, type, arena_printf(x->arena, "acme-account/%s", x->account->id), fields);
}

static tm_err update(struct acme_exchange *x, const json_t *p)
{
    struct acme_account *a = x->account;
    const json_t *contact = json_object_get(p, "contact");
    const char *status = json_string_value(json_object_get(p, "status"));
    if (status && strcmp(status, "deactivated") != 0 && strcmp(status, "valid") != 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.6",
                           "the status of an account can be set to \"deactivated\" only");
    bool ends = status && strcmp(status, "deactivated") == 0;
    if (!ends && !contact)
        return TM_OK;
    if (ends) {
        a->row.status = ACME_DEACTIVATED;
        a->row.keep_until = clock_now() + x->settings->retention;
    }
    TM_TRY(read_contacts(&a->contact, x, contact));
    if (x->settings->contact && a->contact.n == 0)
        return acme_refuse(x, ACME_P_INVALID_CONTACT, TM_EINVAL, "acme.contact",
                           "an account here must have a contact");
    TM_TRY(acme_account_write(a, x->arena));
    TM_TRY(acme_put_row(x, &a->row, false));
    return put_changed(x, ends ? "acme.account-deactivated" : "acme.account-changed");
}

static tm_err own_account(struct acme_exchange *x)
{
    const char *id = http_request_param(x->request, "id");
    if (id && strcmp(id, x->account->id) == 0)
        return TM_OK;
    return acme_refuse(x, ACME_P_UNAUTHORIZED, TM_EFORBIDDEN, "RFC 8555 7.3", "this is another account");
}

static tm_err account(struct acme_exchange *x, struct diag *diag)
{
    TM_TRY(own_account(x));
    if (!acme_is_get(x)) {
        json_t *p = NULL;
        TM_TRY(acme_payload(&p, x, diag));
        tm_err e = update(x, p);
        json_decref(p);
        TM_TRY(e);
    }
    put_account(&x->body, x, x->account);
    return TM_OK;
}

/* RFC 8555 7.1.2.1: page by page; what failed is left out. */
static tm_err orders(struct acme_exchange *x, struct diag *diag)
{
    TM_TRY(own_account(x));
    const char *after = http_request_query(x->request, "after");
    struct store_read q = {.kind = READ_OBJECTS_OWNED,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .name = x->account->id,
                           .after = slice_str(after ? after : ""),
                           .limit = ORDERS_PAGE};
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    size_t n = 0;
    buf_puts(&x->body, "{\"orders\":[");
    for (size_t i = 0; i < q.n; i++) {
        if (q.objects[i].status == ACME_INVALID)
            continue;
        buf_puts(&x->body, n++ ? "," : "");
        buf_put_json_string(&x->body, slice_str(acme_url(x, "order/%s", q.objects[i].id)));
    }
    buf_puts(&x->body, "]}\n");
    if (q.more)
        x->links[0] =
            arena_printf(x->arena, "<%s>;rel=\"next\"",
                         acme_url(x, "account/%s/orders?after=%s", x->account->id, q.objects[q.n - 1].id));
    return TM_OK;
}

/* ---- keyChange (RFC 8555 7.3.5) ---- */

static tm_err check_inner(struct acme_exchange *x, const struct jws *inner, const json_t *p,
                          struct diag *diag)
{
    const char *account = json_string_value(json_object_get(p, "account"));
    struct jwk old;
    tm_err e = jws_verify(inner, x->arena, &inner->jwk.spki, diag);
    if (e != TM_OK)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EBADSIG, "RFC 8555 7.3.5",
                           "the inner signature does not verify under the new key");
    if (strcmp(inner->url, x->jws.url) != 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.5",
                           "inner and outer JWS have different \"url\"");
    if (!account || strcmp(account, x->jws.kid) != 0)
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.5",
                           "the inner \"account\" is not the outer \"kid\"");
    TM_TRY(jwk_parse(&old, x->arena, json_object_get(p, "oldKey"), diag));
    if (!slice_eq(old.spki.der, x->account->spki))
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 8555 7.3.5",
                           "\"oldKey\" is not the account's key");
    return TM_OK;
}

static tm_err change_key(struct acme_exchange *x, const struct jwk *k, struct diag *diag)
{
    const char *key = key_text(x, k);
    struct acme_account other;
    tm_err e = find_by_key(&other, x, key, diag);
    if (e == TM_OK) {
        x->status = 409;
        x->location = acme_url(x, "account/%s", other.id);
        return acme_refuse(x, ACME_P_MALFORMED, TM_ECONFLICT, "RFC 8555 7.3.5",
                           "the new key belongs to an account already");
    }
    if (e != TM_ENOTFOUND)
        return e;
    struct acme_account *a = x->account;
    a->spki = k->spki.der;
    a->row.key = key;
    a->thumbprint = strchr(key, '/') + 1;
    TM_TRY(acme_account_write(a, x->arena));
    TM_TRY(acme_put_row(x, &a->row, true));
    TM_TRY(put_changed(x, "acme.account-rekeyed"));
    put_account(&x->body, x, a);
    return TM_OK;
}

static tm_err key_change(struct acme_exchange *x, struct diag *diag)
{
    struct jws inner;
    json_t *p = NULL;
    tm_err e = jws_parse(&inner, x->arena, x->jws.payload, JWS_INNER, diag);
    if (e != TM_OK) {
        x->problem = e != TM_EUNSUPPORTED              ? ACME_P_MALFORMED
                     : strcmp(diag->field, "alg") == 0 ? ACME_P_BAD_SIGNATURE_ALGORITHM
                                                       : ACME_P_BAD_PUBLIC_KEY;
        return e;
    }
    TM_TRY(json_parse(&p, inner.payload, ACME_BODY_MAX, diag));
    e = check_inner(x, &inner, p, diag);
    json_decref(p);
    TM_TRY(e);
    return change_key(x, &inner.jwk, diag);
}

const struct acme_operation acme_new_account = {.auth = ACME_BY_JWK, .run = new_account};
const struct acme_operation acme_account = {.auth = ACME_BY_KID, .run = account};
const struct acme_operation acme_orders = {.auth = ACME_BY_KID, .run = orders};
const struct acme_operation acme_key_change = {.auth = ACME_BY_KID, .run = key_change};
