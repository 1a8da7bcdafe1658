/* Who asks (RFC 7030 3.2.3, 3.3.2): the TLS client certificate, an enrollment token, or both. */
#include "base/arena.h"
#include "base/text.h"
#include "enroll/est/est.h"
#include <string.h>
#include <strings.h>

enum { CREDENTIAL_MAX = 1024 };

/* ---- the certificate ---- */

static tm_err by_certificate(struct est_exchange *x, struct diag *diag)
{
    struct caller *c = &x->issue.e.caller;
    x->who.caller = *c;
    TM_TRY(identity_certificate(&x->who, diag));
    *c = x->who.caller;
    return TM_OK;
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
    bool shown = x->who.shown.n > 0;
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
