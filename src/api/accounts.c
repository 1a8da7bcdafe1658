/* How one signs in oneself: passkeys, a password with one-time codes. With an invitation, or in a session that has just begun. */
#include "api/groups.h"
#include "api/place.h"
#include "api/principal.h"
#include "api/schemas.h"
#include "api/signin.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/password.h"
#include "identity/rows.h"
#include "identity/ticket.h"
#include "identity/totp.h"
#include "issue/issue.h"
#include "register/register.h"
#include <openssl/crypto.h>
#include <string.h>

enum { ENROLL_MS = 600000, EFFECTS_MAX = 4 };
static const char issuer[] = "Touchmark";

struct enroll_doc {
    const char *invite, *label, *password, *ticket, *code;
    json_t *credential;
};
#define INVITE_FIELD                                                                                         \
    JSON_FIELD(                                                                                              \
        struct enroll_doc, invite, JSON_K_STRING, .max = USER_INVITE_TEXT, .def = "",                        \
        .doc =                                                                                               \
            "an invitation; else the caller's own session, which must not be older than a quarter of an hour")
const struct json_field enrollment_schema[] = {INVITE_FIELD, {0}};
const struct json_field new_passkey_schema[] = {
    INVITE_FIELD,
    JSON_FIELD(struct enroll_doc, label, JSON_K_STRING, .max = USER_LABEL_MAX, .def = "passkey",
               .doc = "what its owner calls it"),
    JSON_FIELD(struct enroll_doc, credential, JSON_K_ANY, .required = true,
               .doc = "what navigator.credentials.create() gave, as toJSON() writes it"),
    {0},
};
const struct json_field new_password_schema[] = {
    INVITE_FIELD,
    JSON_FIELD(struct enroll_doc, password, JSON_K_STRING, .required = true, .max = PASSWORD_MAX,
               .doc = "at least twelve characters"),
    JSON_FIELD(struct enroll_doc, ticket, JSON_K_STRING, .required = true, .max = TICKET_TEXT,
               .doc = "totp.ticket of the enrollment, whose secret is in the app by now"),
    JSON_FIELD(struct enroll_doc, code, JSON_K_STRING, .required = true, .max = TOTP_DIGITS,
               .doc = "what the app shows"),
    {0},
};

/* Who sets up a way to sign in, and by what right. */
struct enroller {
    tenant_id tenant;
    const char *name, *title;
    bool invited;
    struct invite invite;
    struct user user;
};

/* ---- who ---- */

static tm_err by_invite(struct enroller *ret, struct api_call *c, const char *text, struct diag *diag)
{
    TM_TRY(signin_try_address(c, diag));
    tm_err e = invite_find(&ret->invite, c->arena, c->house, text, diag);
    if (e != TM_EAUTH)
        signin_address_good(c);
    if (e != TM_OK)
        return signin_refused(c, e, NULL, 0, diag);
    ret->tenant = ret->invite.tenant;
    ret->name = ret->invite.name;
    ret->invited = true;
    return TM_OK;
}

static tm_err by_session(struct enroller *ret, const struct api_call *c, struct diag *diag)
{
    if (!c->session && c->refused != TM_OK) {
        *diag = c->why_refused;
        return c->refused;
    }
    if (!c->session)
        return diag_fail(diag, c->principal ? TM_EFORBIDDEN : TM_EAUTH, "session.needed", NULL,
                         "this needs an invitation, or a session of one's own");
    if (c->session->external)
        return diag_fail(diag, TM_EFORBIDDEN, "session.external", NULL,
                         "you sign in through another provider, which keeps how you do it");
    /* A way in is the whole principal's: who is less than that makes none. */
    if (c->session->roles[0] || c->session->scopes[0] || c->session->only_tenant[0])
        return diag_fail(
            diag, TM_EFORBIDDEN, "session.limited", NULL,
            "this session may do no more than the token that it began with: sign in in another way "
            "to change how you do it");
    if (clock_now() - c->session->opened_at >= SESSION_FRESH)
        return diag_fail(diag, TM_EFORBIDDEN, "session.stale", NULL,
                         "sign in again before you change how you sign in");
    ret->tenant = c->session->tenant;
    ret->name = c->session->principal;
    return TM_OK;
}

static tm_err enroller(struct enroller *ret, struct api_call *c, const char *invite, struct diag *diag)
{
    *ret = (struct enroller){0};
    TM_TRY(api_same_origin(c, diag));
    TM_TRY(invite[0] ? by_invite(ret, c, invite, diag) : by_session(ret, c, diag));
    const struct principal *p = catalog_principal(c->catalog, ret->tenant, ret->name);
    if (!p || p->disabled)
        return diag_fail(diag, TM_EAUTH, "principal.disabled", NULL, "this principal is gone or disabled");
    return user_ensure(&ret->user, c->arena, c->house, ret->tenant, ret->name, diag);
}

static tm_err read_doc(struct enroll_doc *ret, json_t **ret_json, struct api_call *c,
                       const struct json_field *schema, struct diag *diag)
{
    *ret_json = NULL;
    *ret = (struct enroll_doc){.invite = ""};
    if (c->body.n == 0)
        return TM_OK;
    TM_TRY(api_body_json(ret_json, c, diag));
    return json_bind(ret, schema, *ret_json, "", c->arena, diag);
}

/* A ticket for one purpose of one user is good for no other. */
static const char *purpose(const struct api_call *c, const char *what, const struct enroller *who)
{
    return arena_printf(c->arena, "%s/%u/%s", what, (unsigned)who->tenant, who->name);
}

/* ---- what to make it of ---- */

static tm_err put_creation(struct api_call *c, const struct enroller *who, const struct webauthn_place *here,
                           struct diag *diag)
{
    char ticket[TICKET_TEXT];
    struct passkey *known;
    struct slice handle;
    size_t n;
    const char *what = purpose(c, "passkey-make", who);
    struct buf *out = &c->out;
    if (!what)
        return TM_ENOMEM;
    TM_TRY(ticket_make(ticket, what, ENROLL_MS / 1000));
    TM_TRY(passkeys_of(&known, &n, c->arena, c->house, who->tenant, who->name, diag));
    TM_TRY(hex_decode(&handle, c->arena, slice_str(who->user.handle)));
    buf_puts(out, "{\"rp\":{\"id\":");
    buf_put_json_string(out, slice_str(here->rp_id));
    buf_printf(out, ",\"name\":\"%s\"},\"user\":{\"id\":\"", issuer);
    buf_put_base64(out, handle, BASE64_URL, 0);
    buf_puts(out, "\"");
    api_put_text(out, "name", who->name);
    api_put_text(out, "displayName", who->name);
    buf_printf(out, "},\"challenge\":\"%s\",\"timeout\":%d,\"pubKeyCredParams\":[", ticket, ENROLL_MS);
    for (size_t i = 0; cose_algs[i]; i++)
        buf_printf(out, "%s{\"type\":\"public-key\",\"alg\":%d}", i ? "," : "", cose_algs[i]);
    buf_puts(out, "],\"excludeCredentials\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s{\"type\":\"public-key\",\"id\":\"%s\"}", i ? "," : "", known[i].credential);
    buf_puts(out, "],\"authenticatorSelection\":{\"residentKey\":\"required\",\"requireResidentKey\":true,"
                  "\"userVerification\":\"required\"},\"attestation\":\"none\"}");
    return TM_OK;
}

static tm_err put_totp(struct api_call *c, const struct enroller *who)
{
    char ticket[TICKET_TEXT];
    uint8_t secret[TICKET_SECRET];
    struct buf text;
    const char *what = purpose(c, "totp", who);
    if (!what)
        return TM_ENOMEM;
    TM_TRY(ticket_make(ticket, what, ENROLL_MS / 1000));
    TM_TRY(ticket_secret(secret, "totp", ticket));
    buf_printf(&c->out, "{\"ticket\":\"%s\",\"secret\":\"", ticket);
    buf_put_base32(&c->out, SLICE_ARR(secret));
    buf_puts(&c->out, "\"");
    buf_init(&text, 1024);
    totp_put_uri(&text, issuer, who->name, SLICE_ARR(secret));
    api_put_text(&c->out, "uri", buf_str(&text));
    buf_putc(&c->out, '}');
    OPENSSL_cleanse(secret, sizeof secret);
    tm_err e = buf_err(&text);
    buf_done(&text);
    return e;
}

static tm_err begin(struct api_call *c, struct diag *diag)
{
    struct enroll_doc d;
    struct enroller who;
    struct webauthn_place here;
    struct diag why = {0};
    json_t *doc;
    tm_err e = read_doc(&d, &doc, c, enrollment_schema, diag);
    json_decref(doc);
    TM_TRY(e);
    TM_TRY(enroller(&who, c, d.invite, diag));
    const struct tenant *t = catalog_tenant_by_id(c->catalog, who.tenant);
    buf_puts(&c->out, "{\"principal\":");
    buf_put_json_string(&c->out, slice_str(who.name));
    api_put_text(&c->out, "tenant", t ? t->name : "");
    api_put_time(&c->out, "expires_at", who.invited ? who.invite.expires_at : 0);
    buf_puts(&c->out, ",\"passkey\":");
    if (api_passkey_place(&here, c, &why) == TM_OK)
        TM_TRY(put_creation(c, &who, &here, diag));
    else
        buf_puts(&c->out, "null");
    if (why.message[0])
        api_put_text(&c->out, "no_passkeys", why.message);
    buf_puts(&c->out, ",\"totp\":");
    TM_TRY(put_totp(c, &who));
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- making it ---- */

/* All in one transaction: with an invitation that is used up by it, and the session that it leads to. */
static tm_err finish(struct api_call *c, const struct enroller *who, struct effect *effects, size_t n,
                     const char *method, struct diag *diag)
{
    if (!who->invited)
        return house_commit(c->house, effects, n, diag);
    struct session *s = arena_calloc(c->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    TM_TRY(invite_use(&effects[n++], c->arena, &who->invite));
    *s = (struct session){.tenant = who->tenant, .principal = who->name, .method = method};
    tm_err e = signin_open(c, s, effects, n, diag);
    return e == TM_ECONFLICT ? diag_fail(diag, TM_EAUTH, "invite.unknown", "/invite",
                                         "this invitation was used meanwhile; ask for another")
                             : e;
}

static tm_err record(struct effect *ret, const struct api_call *c, const struct enroller *who,
                     const char *type, const char *id, const char *label)
{
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(who->invited ? "invitation" : who->name)},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(id)},
        {.key = "label", .kind = EVENT_STR, .s = slice_str(label)},
        {.key = "peer", .kind = EVENT_STR, .s = slice_str(c->peer)},
        {0}};
    return row_event(ret, c->arena, who->tenant, type, arena_printf(c->arena, "principal/%s", who->name),
                     fields);
}

static tm_err put_answer(struct api_call *c, const struct enroller *who, const struct passkey *k,
                         char codes[][USER_RECOVERY_TEXT])
{
    c->status = 201;
    buf_puts(&c->out, "{\"credential\":");
    if (k)
        put_passkey(&c->out, k);
    else
        buf_puts(&c->out, "null");
    buf_puts(&c->out, ",\"recovery_codes\":[");
    for (size_t i = 0; codes && i < USER_RECOVERY_CODES; i++)
        buf_printf(&c->out, "%s\"%s\"", i ? "," : "", codes[i]);
    buf_puts(&c->out, "],\"session\":");
    if (who->invited)
        put_session(&c->out, c, c->session, c->csrf);
    else
        buf_puts(&c->out, "null");
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err make_passkey(struct api_call *c, const struct enroll_doc *d, struct diag *diag)
{
    const json_t *response = json_object_get(d->credential, "response");
    struct enroller who;
    struct webauthn_place here;
    struct webauthn_credential made;
    struct slice client_data, object;
    struct effect effects[EFFECTS_MAX];
    struct passkey k;
    const char *challenge;
    TM_TRY(enroller(&who, c, d->invite, diag));
    const char *what = purpose(c, "passkey-make", &who);
    if (!what)
        return TM_ENOMEM;
    TM_TRY(api_passkey_place(&here, c, diag));
    TM_TRY(signin_octets(&client_data, c, response, "clientDataJSON", WEBAUTHN_CLIENT_DATA_MAX, diag));
    TM_TRY(signin_octets(&object, c, response, "attestationObject", WEBAUTHN_OBJECT_MAX, diag));
    TM_TRY(webauthn_client_data(&challenge, c->arena, client_data, true, &here, diag));
    TM_TRY(ticket_check(what, challenge, diag));
    TM_TRY(webauthn_made(&made, c->arena, object, client_data, &here, diag));
    TM_TRY(passkey_new(&effects[0], &k, c->arena, c->house, &who.user, &made, here.rp_id, d->label, diag));
    TM_TRY(record(&effects[1], c, &who, "passkey.added", k.id, k.label));
    TM_TRY(ticket_spend(what, challenge, diag));
    tm_err e = finish(c, &who, effects, 2, "passkey", diag);
    if (e == TM_ECONFLICT)
        return diag_fail(diag, e, "passkey.known", NULL, "this passkey is known here already");
    TM_TRY(e);
    return put_answer(c, &who, &k, NULL);
}

static tm_err add_passkey(struct api_call *c, struct diag *diag)
{
    struct enroll_doc d;
    json_t *doc;
    tm_err e = read_doc(&d, &doc, c, new_passkey_schema, diag);
    if (e == TM_OK && !doc)
        e = diag_fail(diag, TM_EINVAL, NULL, "/credential", "the credential is missing");
    if (e == TM_OK)
        e = make_passkey(c, &d, diag);
    json_decref(doc);
    return e;
}

static tm_err make_password(struct api_call *c, const struct enroll_doc *d, struct diag *diag)
{
    struct enroller who;
    struct effect effects[EFFECTS_MAX];
    char codes[USER_RECOVERY_CODES][USER_RECOVERY_TEXT];
    uint8_t secret[TICKET_SECRET];
    int64_t step;
    TM_TRY(enroller(&who, c, d->invite, diag));
    const char *what = purpose(c, "totp", &who);
    if (!what)
        return TM_ENOMEM;
    TM_TRY(password_acceptable(slice_str(d->password), who.name, diag));
    TM_TRY(ticket_check(what, d->ticket, diag));
    TM_TRY(ticket_secret(secret, "totp", d->ticket));
    if (totp_check(&step, SLICE_ARR(secret), d->code, 0, clock_now(), diag) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "totp.code", "/code",
                         "this is not what the app should show now; look whether its clock is right");
    tm_err e = user_set_password(&who.user, c->arena, c->house, slice_str(d->password), secret, codes, diag);
    OPENSSL_cleanse(secret, sizeof secret);
    if (e == TM_EBUSY)
        c->retry_after = 1;
    TM_TRY(e);
    who.user.totp_step = step;
    TM_TRY(user_effect(&effects[0], c->arena, &who.user));
    TM_TRY(record(&effects[1], c, &who, "password.set", "", ""));
    TM_TRY(ticket_spend(what, d->ticket, diag));
    TM_TRY(finish(c, &who, effects, 2, "password", diag));
    e = put_answer(c, &who, NULL, codes);
    OPENSSL_cleanse(codes, sizeof codes);
    return e;
}

static tm_err set_password(struct api_call *c, struct diag *diag)
{
    struct enroll_doc d;
    json_t *doc;
    tm_err e = read_doc(&d, &doc, c, new_password_schema, diag);
    if (e == TM_OK && !doc)
        e = diag_fail(diag, TM_EINVAL, NULL, "/password", "the password is missing");
    json_decref(doc);
    TM_TRY(e);
    return make_password(c, &d, diag);
}

/* ---- what is there ---- */

tm_err put_credentials(struct buf *out, const struct api_call *c, tenant_id tenant, const char *name,
                       struct diag *diag)
{
    struct passkey *v;
    struct user u;
    size_t n;
    TM_TRY(passkeys_of(&v, &n, c->arena, c->house, tenant, name, diag));
    TM_TRY(user_read(&u, c->arena, c->house, tenant, name, diag));
    buf_puts(out, "{\"passkeys\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(out, i ? "," : "");
        put_passkey(out, &v[i]);
    }
    buf_puts(out, "]");
    api_put_bool(out, "password", u.password[0] != '\0');
    api_put_int(out, "recovery_codes", (int64_t)u.recovery.n);
    buf_puts(out, "}");
    return TM_OK;
}

static tm_err show(struct api_call *c, struct diag *diag)
{
    TM_TRY(put_credentials(&c->out, c, c->session->tenant, c->session->principal, diag));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err remove_passkey(struct api_call *c, struct diag *diag)
{
    struct enroller who = {0};
    TM_TRY(by_session(&who, c, diag));
    TM_TRY(passkey_remove(c->house, who.tenant, who.name, api_param(c, "id"), who.name, diag));
    c->status = 204;
    return TM_OK;
}

static tm_err remove_password(struct api_call *c, struct diag *diag)
{
    struct enroller who = {0};
    TM_TRY(by_session(&who, c, diag));
    TM_TRY(user_clear_password(c->house, who.tenant, who.name, who.name, diag));
    c->status = 204;
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field passkey_fields[] = {
    {"id", "hex", NULL, "5f0c1d2e3a4b5c6d7e8f901122334455"},
    {"type", "string", NULL, "passkey"},
    {"label", "string", "what its owner calls it", "my phone"},
    {"rp_id", "string", "the name that it is for", "console.example.org"},
    {"aaguid", "hex", "the kind of authenticator; zeros where it does not say",
     "00000000000000000000000000000000"},
    {"backed_up", "boolean", "kept by the maker of the device, and on others too", "true"},
    {"created_at", "time?", NULL, NULL},
    {"used_at", "time?", NULL, NULL},
    {0},
};
static const struct api_field credentials_fields[] = {
    {"passkeys", "[]Passkey", NULL, NULL},
    {"password", "boolean", "there is a password, with one-time codes", "false"},
    {"recovery_codes", "integer", "not used yet", "10"},
    {0},
};
static const struct api_field enrollment_fields[] = {
    {"principal", "string", "whose", "admin"},
    {"tenant", "string", NULL, "house"},
    {"expires_at", "time?", "of the invitation; null in a session", NULL},
    {"passkey", "object?",
     "as PublicKeyCredential.parseCreationOptionsFromJSON() takes it; null where there are none at this address",
     NULL},
    {"no_passkeys?", "string", "why not", NULL},
    {"totp", "NewTotp", "for a password", NULL},
    {0},
};
static const struct api_field totp_fields[] = {
    {"ticket", "string", "goes back with the first code", "AAEC"},
    {"secret", "string", "base32, to be typed into the app", "JBSWY3DP"},
    {"uri", "string", "the same, for a picture that the app reads",
     "otpauth://totp/Touchmark:admin?secret=JBSWY3DP"},
    {0},
};
static const struct api_field enrolled_fields[] = {
    {"credential", "Passkey?", "of a passkey", NULL},
    {"recovery_codes", "[]string",
     "of a password: shown this once, each good for one sign-in without the app",
     "[\"abcd-efgh-ijkl-mnop\"]"},
    {"session", "Session?", "with an invitation: signed in by it", NULL},
    {0},
};
const struct api_schema account_api_schemas[] = {
    {"Passkey", NULL, passkey_fields, NULL, NULL},
    {"Credentials", "how a user signs in", credentials_fields, NULL, NULL},
    {"Enrollment", "what a way to sign in is made of", enrollment_fields, NULL, NULL},
    {"NewTotp", NULL, totp_fields, NULL, NULL},
    {"Enrolled", NULL, enrolled_fields, NULL, NULL},
    {"EnrollmentRequest", NULL, NULL, enrollment_schema, "{\"invite\":\"1.019aa7c3.Vr0nCSMZ\"}"},
    {"NewPasskey", NULL, NULL, new_passkey_schema, "{\"label\":\"my phone\",\"credential\":{}}"},
    {"NewPassword", NULL, NULL, new_password_schema,
     "{\"password\":\"a sentence of one's own\",\"ticket\":\"AAEC\",\"code\":\"123456\"}"},
    {0},
};
static const struct api_content enrolled_forms[] = {{201, "application/json", "Enrolled", "made"}, {0}};
static const struct api_content removed_forms[] = {{204, NULL, NULL, "removed"}, {0}};

const struct api_route account_api_routes[] = {
    {HTTP_M_POST, "/api/v1/account/enrollment", 0, begin, SIGNIN_BODY, "beginEnrollment",
     "What a passkey, or a password with one-time codes, is made of; by an invitation or a session that has just begun",
     "account", "EnrollmentRequest", "Enrollment", API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/account/passkeys", 0, add_passkey, 2 * SIGNIN_BODY, "addPasskey",
     "Add a passkey; with an invitation it is used up, and the answer signs in", "account", "NewPasskey",
     NULL, API_COOKIE, .gives = enrolled_forms},
    {HTTP_M_POST, "/api/v1/account/password", 0, set_password, SIGNIN_BODY, "setPassword",
     "Set a password, one-time codes and recovery codes; with an invitation as above", "account",
     "NewPassword", NULL, API_COOKIE, .gives = enrolled_forms},
    {HTTP_M_GET, "/api/v1/account/credentials", API_ANYONE, show, 0, "getCredentials", "How one signs in",
     "account", NULL, "Credentials", API_SESSION | API_OWN},
    {HTTP_M_DELETE, "/api/v1/account/passkeys/{id}", API_ANYONE, remove_passkey, 0, "removePasskey",
     "Remove a passkey of one's own", "account", NULL, NULL, API_SESSION | API_OWN, .gives = removed_forms},
    {HTTP_M_DELETE, "/api/v1/account/password", API_ANYONE, remove_password, 0, "removePassword",
     "Remove one's password and codes", "account", NULL, NULL, API_SESSION | API_OWN, .gives = removed_forms},
    {0},
};
