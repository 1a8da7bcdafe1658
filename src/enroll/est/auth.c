/* Who asks (RFC 7030 3.2.3, 3.3.2): the TLS client certificate, an enrollment token, or both. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "enroll/est/est.h"
#include "register/register.h"
#include <string.h>
#include <strings.h>

enum { CREDENTIAL_MAX = 1024 };

/* ---- the certificate ---- */

static tm_err subject_text(const char **ret, struct arena *a, const struct cert *c)
{
    struct buf b;
    buf_init(&b, 16 << 10);
    name_print_der(&b, c->subject);
    *ret = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static void vouched(struct est_exchange *x, enum caller_kind kind)
{
    struct caller *c = &x->issue.e.caller;
    c->kind = kind;
    c->cert = x->peer.der;
    x->predecessor = x->peer.der;
}

/* One that we issued: still in the inventory, and not revoked. Its time is policy's matter: a profile may have a grace. */
static tm_err own_certificate(struct est_exchange *x, struct diag *diag)
{
    struct arena *a = x->request->arena;
    struct store_read q = {.kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = a};
    if (x->peer.serial.n != CERT_SERIAL_LEN)
        return diag_fail(diag, TM_EAUTH, "certificate.unknown", "certificate",
                         "the client certificate is not in the inventory");
    memcpy(q.id, x->peer.serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(x->house->store, &q);
    uint8_t fp[SHA256_LEN];
    TM_TRY(sha256(fp, x->peer.der));
    if (e == TM_ENOTFOUND || (e == TM_OK && memcmp(fp, q.certs[0].fingerprint, sizeof fp) != 0))
        return diag_fail(diag, TM_EAUTH, "certificate.unknown", "certificate",
                         "the client certificate is not in the inventory");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    if (q.certs[0].revoked_at != 0)
        return diag_fail(diag, TM_EAUTH, "certificate.revoked", "certificate",
                         "the client certificate is revoked");
    if (x->peer.not_before > clock_now())
        return diag_fail(diag, TM_EAUTH, "RFC 5280 4.1.2.5", "certificate",
                         "the client certificate is not valid yet");
    vouched(x, CALLER_CERTIFICATE);
    x->issue.e.caller.cert_expired = x->peer.not_after < clock_now();
    x->issue.e.caller.device_id = q.certs[0].device ? q.certs[0].device : "";
    x->predecessor_profile = q.certs[0].profile;
    return subject_text(&x->issue.e.caller.id, a, &x->peer);
}

static tm_err birth_certificate(struct est_exchange *x, struct diag *diag)
{
    const struct endpoint *ep = x->endpoint;
    tm_err e = diag_fail(diag, TM_EAUTH, "certificate.trust", "certificate",
                         "the client certificate is not one that this endpoint accepts");
    for (size_t i = 0; i < ep->n_trust_sets; i++) {
        const struct trust_set *t = catalog_trust_set(x->catalog, ep->tenant, ep->trust_sets[i]);
        if (!t)
            continue;
        e = trust_set_verify(t, &x->peer, x->shown_chain, x->n_shown_chain, clock_now(), diag);
        if (e != TM_OK)
            continue;
        const char *id;
        e = trust_set_device_id(&id, x->request->arena, t, &x->peer);
        if (e == TM_ENOTFOUND || (e == TM_OK && !utf8_valid(slice_str(id))))
            return diag_fail(diag, TM_EAUTH, "certificate.device-id", "certificate",
                             "the client certificate carries no device identifier");
        if (e != TM_OK)
            return e;
        vouched(x, CALLER_DEVICE);
        struct caller *c = &x->issue.e.caller;
        c->device_id = id;
        c->trust_set = t->name;
        c->cert_expired = false; /* the set has judged its time */
        x->birth = t;
        return subject_text(&c->id, x->request->arena, &x->peer);
    }
    return e;
}

static tm_err by_certificate(struct est_exchange *x, struct diag *diag)
{
    if (cert_parse(&x->peer, x->shown, diag) != TM_OK)
        return diag_fail(diag, TM_EAUTH, "certificate.form", "certificate",
                         "the client certificate could not be read");
    if (x->endpoint->allow_certificate && trust_own_issuer(x->catalog, x->endpoint->tenant, &x->peer))
        return own_certificate(x, diag);
    return birth_certificate(x, diag);
}

/* ---- the token ---- */

/* "<id><separator><secret>"; both parts nonempty. */
static bool split(const char **ret_id, struct slice *ret_secret, struct arena *a, struct slice s,
                  char separator)
{
    const uint8_t *at = s.n ? memchr(s.p, separator, s.n) : NULL;
    if (!at || at == s.p || at + 1 == s.p + s.n || memchr(s.p, 0, s.n))
        return false;
    *ret_id = arena_strndup(a, (const char *)s.p, (size_t)(at - s.p));
    *ret_secret = slice_of(at + 1, (size_t)(s.p + s.n - at - 1));
    return *ret_id != NULL;
}

/* Basic (RFC 7617) has the id as user and the secret as password; Bearer (RFC 6750) has "<id>.<secret>". */
bool est_authorization_read(const char **ret_id, struct slice *ret_secret, struct arena *a,
                            const char *header)
{
    struct slice s;
    if (strlen(header) > CREDENTIAL_MAX)
        return false;
    if (strncasecmp(header, "Basic ", 6) == 0)
        return base64_decode(&s, a, slice_trim(slice_str(header + 6)), BASE64_STD) == TM_OK &&
               split(ret_id, ret_secret, a, s, ':');
    if (strncasecmp(header, "Bearer ", 7) == 0)
        return split(ret_id, ret_secret, a, slice_trim(slice_str(header + 7)), '.');
    return false;
}

/* The token's binding joins what the certificate said; the narrower of both counts. */
static tm_err join_token(struct est_exchange *x, const struct caller *token, struct diag *diag)
{
    struct caller *c = &x->issue.e.caller;
    bool certificate = c->kind != CALLER_ANONYMOUS;
    const char *of_cert = c->device_id ? c->device_id : "", *of_token = token->device_id;
    if (of_cert[0] && of_token[0] && strcmp(of_cert, of_token) != 0)
        return diag_fail(diag, TM_EAUTH, "token.device", "Authorization", "the token is for another device");
    x->issue.token_id = token->id;
    c->names = token->names;
    c->n_names = token->n_names;
    if (of_token[0])
        c->device_id = of_token;
    /* Beside a certificate the token's names narrow what the certificate allows; they never widen it. */
    if (!certificate) {
        c->kind = CALLER_TOKEN;
        c->id = token->id;
    }
    return TM_OK;
}

static tm_err by_token(struct est_exchange *x, const char *header, struct diag *diag)
{
    struct arena *a = x->request->arena;
    struct caller token = {0};
    const char *id;
    struct slice secret;
    char *profile;
    if (!x->endpoint->allow_token)
        return diag_fail(diag, TM_EAUTH, "endpoint.token", "Authorization",
                         "this endpoint takes no enrollment tokens");
    if (!est_authorization_read(&id, &secret, a, header))
        return diag_fail(diag, TM_EAUTH, "token.form", "Authorization",
                         "Basic with token id and secret, or Bearer \"<id>.<secret>\" is wanted");
    TM_TRY(token_authenticate(&token, &profile, a, x->house, x->endpoint->tenant, x->endpoint->name, id,
                              secret, diag));
    x->issue.e.profile = profile;
    return join_token(x, &token, diag);
}

/* ---- both ---- */

tm_err est_authenticate(struct est_exchange *x, struct diag *diag)
{
    const char *header = http_request_header(x->request, "Authorization");
    bool shown = x->shown.n > 0;
    tm_err cert =
        shown ? by_certificate(x, diag)
              : diag_fail(diag, TM_EAUTH, "authentication.missing", NULL,
                          x->endpoint->allow_token ? "a client certificate or an enrollment token is wanted"
                                                   : "a client certificate is wanted");
    bool definite = cert != TM_OK && tm_err_class(cert) != TM_CLASS_DENIED;
    /* A token does not make good for a certificate that was revoked. */
    if (definite || (cert != TM_OK && strcmp(diag->rule, "certificate.revoked") == 0))
        return cert;
    if (cert != TM_OK && (!header || x->endpoint->require_both))
        return cert;
    if (header)
        return by_token(x, header, diag);
    if (x->endpoint->require_both)
        return diag_fail(diag, TM_EAUTH, "endpoint.both", "Authorization",
                         "this endpoint wants a client certificate and an enrollment token");
    return TM_OK;
}

/* ---- devices that prove themselves ---- */

static tm_err name_text(const char **ret, struct arena *a, const struct cert *c, enum oid type)
{
    struct name n;
    struct slice text;
    *ret = "";
    if (name_parse(&n, c->subject, NULL) != TM_OK || name_get(&text, a, &n, type) != TM_OK || text.n == 0)
        return TM_OK;
    *ret = arena_strndup(a, (const char *)text.p, text.n);
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err est_register_device(struct est_exchange *x, struct diag *diag)
{
    struct arena *a = x->request->arena;
    const char *id = x->issue.e.caller.device_id;
    if (!x->birth || !x->birth->auto_register)
        return TM_OK;
    struct store_read q = {.kind = READ_DEVICE, .tenant = x->endpoint->tenant, .arena = a, .name = id};
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_ENOTFOUND) {
        if (e != TM_OK)
            *diag = q.diag;
        return e;
    }
    int64_t now_ms = clock_now_ms();
    struct effect effects[2] = {{.kind = EFFECT_DEVICE_PUT, .tenant = x->endpoint->tenant}};
    struct device_row *d = &effects[0].u.device;
    *d = (struct device_row){.id = id,
                             .owner = "",
                             .place = "",
                             .batch = "",
                             .state = DEVICE_MADE,
                             .identifiers = "{}",
                             .tags = "{}",
                             .created_at = now_ms,
                             .updated_at = now_ms};
    TM_TRY(name_text(&d->serial, a, &x->peer, OID_SERIAL_NUMBER));
    TM_TRY(name_text(&d->model, a, &x->peer, OID_CN));
    TM_TRY(name_text(&d->vendor, a, &x->peer, OID_O));
    if (!d->serial[0])
        d->serial = id;
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str("est")},
        {.key = "device", .kind = EVENT_STR, .s = slice_str(id)},
        {.key = "endpoint", .kind = EVENT_STR, .s = slice_str(x->endpoint->name)},
        {.key = "state", .kind = EVENT_STR, .s = slice_str(device_state_names[DEVICE_MADE])},
        {.key = "trust_set", .kind = EVENT_STR, .s = slice_str(x->birth->name)},
        {0},
    };
    struct slice body;
    const char *about = arena_printf(a, "device/%s", id);
    TM_TRY(about ? register_event_body(&body, a, fields) : TM_ENOMEM);
    TM_TRY(
        register_event_effect(&effects[1], a, x->endpoint->tenant, "device.registered", about, body, now_ms));
    e = house_commit(x->house, effects, 2, diag);
    return e == TM_ECONFLICT ? TM_OK : e; /* somebody registered it at the same moment */
}
