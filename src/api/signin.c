#include "api/signin.h"
#include "api/principal.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "identity/attempts.h"
#include "issue/issue.h"
#include "keys/jwk.h"
#include <string.h>

/* The browser sends it back over TLS alone, to this host alone, to no script, and with no request that begins elsewhere. */
static const char cookie_rules[] = "; Path=/; Secure; HttpOnly; SameSite=Strict";

void signin_homes(tenant_id ret[SIGNIN_HOMES], const struct api_call *c)
{
    ret[0] = TENANT_HOUSE;
    ret[1] = c->tenant->id;
}

tm_err signin_open(struct api_call *c, struct session *s, const struct effect *more, size_t n_more,
                   struct diag *diag)
{
    struct session_opened opened;
    const struct session *before = c->session;
    s->peer = c->peer;
    s->agent = c->agent;
    const char **texts[] = {&s->token,    &s->roles,    &s->scopes, &s->only_tenant,
                            &s->owner_of, &s->provider, &s->issuer, &s->logout};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!*texts[i])
            *texts[i] = "";
    TM_TRY(session_open(&opened, s, c->arena, c->house, more, n_more, diag));
    c->set_cookie[0] = arena_printf(c->arena, "%s=%s%s", SESSION_COOKIE, opened.cookie, cookie_rules);
    c->csrf = arena_strdup(c->arena, opened.csrf);
    explicit_bzero(&opened, sizeof opened);
    if (!c->set_cookie[0] || !c->csrf)
        return TM_ENOMEM;
    if (before) /* who signs in anew leaves what was before, so that no cookie is carried from one to the other */
        TM_TRY(session_end(c->house, before, before->principal, "signed in anew", diag));
    return api_adopt_session(c, s, diag);
}

/* ---- refusals ---- */

tm_err signin_refused(struct api_call *c, tm_err e, const char *user, int64_t wait, const struct diag *diag)
{
    c->retry_after = e == TM_EQUOTA ? wait : e == TM_EBUSY ? 1 : 0;
    if (tm_err_class(e) != TM_CLASS_DENIED && e != TM_EBADSIG)
        return e;
    char text[200];
    struct slice name = slice_str(user ? user : "");
    struct buf b;
    buf_init(&b, sizeof text - 1);
    buf_printf(&b, "%s%.63s%s%.100s", name.n ? "for " : "", name.n && utf8_valid(name) ? user : "",
               name.n ? ": " : "", diag->message);
    refusal_note_as(c->house, "session.refused", c->tenant->id, DOOR_REST, "session", c->peer, diag->rule,
                    buf_str(&b));
    buf_done(&b);
    return e;
}

/* As elsewhere (http/server.h) this machine itself is not counted: a proxy on it speaks for many. */
static bool is_here(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 || strncmp(peer, "unix:", 5) == 0;
}

static const char *address_key(const struct api_call *c)
{
    char key[64];
    attempts_address(key, c->peer);
    return arena_strdup(c->arena, key);
}

tm_err signin_try_address(struct api_call *c, struct diag *diag)
{
    int64_t wait = 0;
    const char *key = address_key(c);
    if (!key)
        return TM_ENOMEM;
    if (is_here(c->peer))
        return TM_OK;
    tm_err e = attempts_begin(key, ATTEMPTS_FREE_ADDRESS, &wait, diag);
    return e == TM_OK ? e : signin_refused(c, e, NULL, wait, diag);
}

void signin_address_good(const struct api_call *c)
{
    const char *key = address_key(c);
    if (key)
        attempts_undo(key);
}

const char *signin_user_key(const struct api_call *c, tenant_id tenant, const char *name, const char *place)
{
    return arena_printf(c->arena, "user/%u/%.63s/%s", (unsigned)tenant, name, place);
}

const char *signin_token_key(const struct api_call *c, tenant_id tenant, const char *name)
{
    return arena_printf(c->arena, "token/%u/%.63s", (unsigned)tenant, name);
}

/* ---- forms ---- */

tm_err signin_octets(struct slice *ret, const struct api_call *c, const json_t *object, const char *name,
                     size_t max, struct diag *diag)
{
    const json_t *v = json_object_get(object, name);
    size_t n = json_is_string(v) ? json_string_length(v) : 0;
    if (n > 2 * max)
        return diag_fail(diag, TM_ETOOBIG, NULL, name, "at most %zu octets", max);
    if (n == 0 || base64url_strict(ret, c->arena, slice_of(json_string_value(v), n)) != TM_OK || ret->n > max)
        return diag_fail(diag, TM_EINVAL, "WebAuthn 5.1", name,
                         "\"%s\" has to be there in base64url, of at most %zu octets", name, max);
    return TM_OK;
}

static void put_roles(struct buf *out, const struct api_call *c)
{
    size_t n = 0;
    buf_puts(out, ",\"roles\":[");
    for (unsigned i = 0; api_role_names[i]; i++)
        if (c->roles & (1u << i))
            buf_printf(out, "%s\"%s\"", n++ ? "," : "", api_role_names[i]);
    buf_puts(out, "]");
}

void put_session(struct buf *out, const struct api_call *c, const struct session *s, const char *csrf)
{
    const struct tenant *t = catalog_tenant_by_id(c->catalog, s->tenant);
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(s->id));
    api_put_text(out, "principal", s->principal);
    api_put_text(out, "tenant", t ? t->name : "");
    api_put_text(out, "method", s->method);
    api_put_text(out, "peer", s->peer);
    api_put_text(out, "agent", s->agent);
    api_put_time(out, "opened_at", s->opened_at);
    api_put_time(out, "last_at", s->last_at);
    api_put_time(out, "expires_at", s->expires_at);
    api_put_int(out, "idle_seconds", SESSION_IDLE);
    api_put_bool(out, "fresh", clock_now() - s->opened_at < SESSION_FRESH);
    api_put_bool(out, "current", c->session && strcmp(c->session->id, s->id) == 0);
    if (csrf) {
        put_roles(out, c);
        api_put_text(out, "csrf", csrf);
    }
    buf_putc(out, '}');
}

void put_passkey(struct buf *out, const struct passkey *k)
{
    buf_puts(out, "{\"id\":");
    buf_put_json_string(out, slice_str(k->id));
    api_put_text(out, "type", "passkey");
    api_put_text(out, "label", k->label);
    api_put_text(out, "rp_id", k->rp_id);
    api_put_text(out, "aaguid", k->aaguid);
    api_put_bool(out, "backed_up", k->backed_up);
    api_put_time(out, "created_at", k->created_at);
    api_put_time(out, "used_at", k->used_at);
    buf_putc(out, '}');
}
