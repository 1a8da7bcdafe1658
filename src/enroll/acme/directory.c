/* What is asked for without a signature: the directory (RFC 8555 7.1.1) and nonces (7.2). */
#include "base/arena.h"
#include "enroll/acme/acme.h"
#include "policy/profile.h"

static void put_url(struct buf *b, const char *name, const char *base, const char *what)
{
    buf_printf(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
    buf_printf(b, "\"%s/%s\"", base, what);
}

static void put_text(struct buf *b, const char *name, const char *value, bool *first)
{
    if (!value[0])
        return;
    buf_printf(b, "%s\"%s\":", *first ? "" : ",", name);
    buf_put_json_string(b, slice_str(value));
    *first = false;
}

/* The profiles extension: names with a sentence each. */
static void put_profiles(struct buf *b, const struct catalog *c, const struct endpoint *ep, bool *first)
{
    buf_printf(b, "%s\"profiles\":{", *first ? "" : ",");
    for (size_t i = 0; i < ep->n_profiles; i++) {
        const struct profile *p = catalog_profile(c, ep->tenant, ep->profiles[i]);
        const char *text = p ? profile_description(p) : "";
        buf_puts(b, i ? "," : "");
        buf_put_json_string(b, slice_str(ep->profiles[i]));
        buf_putc(b, ':');
        buf_put_json_string(b, slice_str(text[0] ? text : ep->profiles[i]));
    }
    buf_putc(b, '}');
    *first = false;
}

static void put_meta(struct buf *b, const struct catalog *c, const struct endpoint *ep)
{
    const struct acme_settings *s = ep->acme;
    bool first = true;
    buf_puts(b, ",\"meta\":{");
    put_text(b, "termsOfService", s->terms, &first);
    put_text(b, "website", s->website, &first);
    if (s->caa.n) {
        buf_printf(b, "%s\"caaIdentities\":[", first ? "" : ",");
        for (size_t i = 0; i < s->caa.n; i++) {
            buf_puts(b, i ? "," : "");
            buf_put_json_string(b, slice_str(s->caa.v[i]));
        }
        buf_putc(b, ']');
        first = false;
    }
    if (s->external == ACME_EXTERNAL_REQUIRED) {
        buf_printf(b, "%s\"externalAccountRequired\":true", first ? "" : ",");
        first = false;
    }
    if (s->subdomains) {
        buf_printf(b, "%s\"subdomainAuthAllowed\":true", first ? "" : ",");
        first = false;
    }
    if (s->star.max_duration) {
        buf_printf(b, "%s\"auto-renewal\":{\"min-lifetime\":%lld,\"max-duration\":%lld%s}", first ? "" : ",",
                   (long long)s->star.min_lifetime, (long long)s->star.max_duration,
                   s->star.get ? ",\"allow-certificate-get\":true" : "");
        first = false;
    }
    put_profiles(b, c, ep, &first);
    buf_puts(b, "}}\n");
}

void acme_get_directory(struct http_request *r)
{
    static const struct http_header headers[] = {{"Cache-Control", "max-age=0, no-cache"}, {NULL, NULL}};
    struct house *h = r->app;
    struct catalog *c = house_catalog(h);
    const struct endpoint *ep = acme_endpoint(c, r);
    const char *base = ep ? acme_base(r, ep, http_request_param(r, "endpoint")) : NULL;
    struct buf b;
    buf_init(&b, 64 << 10);
    if (ep && base) {
        buf_putc(&b, '{');
        put_url(&b, "newNonce", base, "new-nonce");
        put_url(&b, "newAccount", base, "new-account");
        put_url(&b, "newOrder", base, "new-order");
        put_url(&b, "newAuthz", base, "new-authz");
        put_url(&b, "revokeCert", base, "revoke-cert");
        put_url(&b, "keyChange", base, "key-change");
        put_url(&b, "renewalInfo", base, "renewal-info");
        put_meta(&b, c, ep);
        http_reply(r, 200, "application/json", buf_slice(&b), headers);
    } else if (ep) {
        acme_reply_not_found(r);
    }
    buf_done(&b);
    catalog_unref(c);
}

void acme_get_nonce(struct http_request *r)
{
    struct house *h = r->app;
    struct catalog *c = house_catalog(h);
    const struct endpoint *ep = acme_endpoint(c, r);
    /* RFC 8555 7.2: 200 to HEAD, 204 to GET */
    if (ep)
        acme_reply(r, r->method == HTTP_M_HEAD ? 200 : 204, NULL, (struct slice){0}, NULL,
                   acme_base(r, ep, http_request_param(r, "endpoint")));
    catalog_unref(c);
}
