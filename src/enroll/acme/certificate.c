/* The certificate of an order is fetched (RFC 8555 7.4.2), and that of an order that renews itself (RFC 8739 3.3). */
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "enroll/acme/star.h"
#include "http/date.h"
#include "status/conditional.h"
#include <string.h>

enum { CHAINS_MAX = 4 };

static bool chain_member_is_root(struct slice der)
{
    struct cert c;
    return cert_parse(&c, der, NULL) == TM_OK && slice_eq(c.issuer, c.subject);
}

static void put_chain(struct buf *out, struct slice leaf, const struct authority *a)
{
    buf_put_pem(out, "CERTIFICATE", leaf);
    if (!a->is_root)
        buf_put_pem(out, "CERTIFICATE", a->der);
    for (size_t i = 0; i < a->n_chain; i++)
        if (!chain_member_is_root(a->chain[i]))
            buf_put_pem(out, "CERTIFICATE", a->chain[i]);
}

/* The issuing authority under this name first, then others with its name and key: certified by another parent. */
static size_t find_chains(const struct authority *v[CHAINS_MAX], const struct catalog *c, tenant_id tenant,
                          const char *name)
{
    const struct authority *const *all, *first = catalog_authority(c, tenant, name);
    size_t n = 0, total = catalog_authorities(c, &all);
    if (first)
        v[n++] = first;
    for (size_t i = 0; first && i < total && n < CHAINS_MAX; i++)
        if (all[i] != first && all[i]->tenant == tenant &&
            slice_eq(all[i]->cert.subject, first->cert.subject) &&
            slice_eq(all[i]->cert.spki.der, first->cert.spki.der) && !slice_eq(all[i]->der, first->der))
            v[n++] = all[i];
    return n;
}

/* RFC 8555 7.4.2. There is no "up" (7.1) to an issuer: the chain is in the answer, and clients that follow it, as Caddy's do, would send
 * a signed request to where certificates are published. */
static tm_err add_links(struct acme_exchange *x, const struct acme_order *o, size_t n, size_t shown)
{
    size_t k = 0;
    for (size_t i = 0; i < n && !star_is(o); i++) {
        if (i == shown)
            continue;
        x->links[k] = arena_printf(x->arena, "<%s>;rel=\"alternate\"", acme_url(x, "cert/%s/%zu", o->id, i));
        if (!x->links[k++])
            return TM_ENOMEM;
    }
    return TM_OK;
}

static tm_err read_certificate(struct slice *ret, const char **ret_authority, struct acme_exchange *x,
                               const struct acme_order *o, struct diag *diag)
{
    struct slice serial;
    struct store_read q = {
        .kind = READ_CERT, .tenant = x->endpoint->tenant, .arena = x->arena, .with_der = true};
    if (hex_decode(&serial, x->arena, slice_str(o->serial)) != TM_OK || serial.n != CERT_SERIAL_LEN)
        return TM_ECORRUPT;
    memcpy(q.id, serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(x->house->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    *ret = e == TM_OK && q.certs[0].der.n ? q.certs[0].der : o->cert;
    *ret_authority = e == TM_OK ? q.certs[0].authority : "";
    if (ret->n)
        return TM_OK;
    x->status = 404;
    return diag_fail(diag, TM_ENOTFOUND, "acme.unknown", NULL, "the certificate is not kept any more");
}

/* `which`: the number of a chain; NULL: the first. */
static tm_err put_certificate(struct acme_exchange *x, const struct acme_order *o, const char *which,
                              struct diag *diag)
{
    const char *authority;
    struct slice leaf;
    TM_TRY(read_certificate(&leaf, &authority, x, o, diag));
    const struct authority *chains[CHAINS_MAX];
    size_t n = find_chains(chains, x->catalog, x->endpoint->tenant, authority);
    size_t shown = which && which[0] >= '0' && which[0] <= '9' && !which[1] ? (size_t)(which[0] - '0')
                   : which                                                  ? n
                                                                            : 0;
    if (shown >= n) {
        x->status = 404;
        return diag_fail(diag, TM_ENOTFOUND, "acme.unknown", NULL, "there is no such chain");
    }
    put_chain(&x->body, leaf, chains[shown]);
    x->type = "application/pem-certificate-chain";
    return add_links(x, o, n, shown);
}

static tm_err no_certificate(struct acme_exchange *x, struct diag *diag)
{
    x->status = 404;
    return diag_fail(diag, TM_ENOTFOUND, "acme.unknown", NULL, "the order has no certificate");
}

static tm_err certificate(struct acme_exchange *x, struct diag *diag)
{
    struct acme_order o;
    enum acme_status status;
    TM_TRY(acme_own_order(&o, x, diag));
    TM_TRY(acme_order_status(&status, x, &o, diag));
    if (status != ACME_VALID || star_is(&o))
        return no_certificate(x, diag);
    return put_certificate(x, &o, http_request_param(x->request, "chain"), diag);
}

/* ---- of orders that renew themselves ---- */

/* "Mon, 01 Feb 2016 00:00:00 GMT", in quotation marks (RFC 8739 3.3). */
static const char *quoted_date(struct arena *a, int64_t t)
{
    char text[30];
    http_date_format(text, t);
    return arena_printf(a, "\"%s\"", text);
}

static tm_err star_certificate(struct acme_exchange *x, const struct acme_order *o, struct diag *diag)
{
    if (!star_is(o) || (o->row.status != ACME_VALID && o->row.status != ACME_CANCELED))
        return no_certificate(x, diag);
    if (o->row.status == ACME_CANCELED)
        return acme_refuse(x, ACME_P_AUTO_RENEWAL_CANCELED, TM_EDENIED, "RFC 8739 3.1.2",
                           "the order was canceled");
    if (o->star.end <= clock_now())
        return acme_refuse(x, ACME_P_AUTO_RENEWAL_EXPIRED, TM_EEXPIRED, "RFC 8739 3.3",
                           "the order has ended");
    TM_TRY(put_certificate(x, o, NULL, diag));
    x->cert_not_before = quoted_date(x->arena, o->cert_not_before);
    x->cert_not_after = quoted_date(x->arena, o->cert_not_after);
    return x->cert_not_before && x->cert_not_after ? TM_OK : TM_ENOMEM;
}

static tm_err star_signed(struct acme_exchange *x, struct diag *diag)
{
    struct acme_order o;
    TM_TRY(acme_own_order(&o, x, diag));
    return star_certificate(x, &o, diag);
}

/* RFC 8739 3.4: whoever has the address, where account and endpoint let him. It has 64 random bits. */
static tm_err star_unsigned(struct acme_exchange *x, struct diag *diag)
{
    const char *id = http_request_param(x->request, "id");
    struct acme_order o;
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = x->endpoint->tenant,
                           .arena = x->arena,
                           .object_kind = OBJECT_ACME_ORDER,
                           .name = id};
    tm_err e = id && strlen(id) <= ACME_ID_MAX ? store_read_now(x->house->store, &q) : TM_ENOTFOUND;
    if (e == TM_ENOTFOUND)
        return no_certificate(x, diag);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(acme_order_read(&o, x->arena, &q.objects[0]));
    return o.star.get && x->settings->star.get ? star_certificate(x, &o, diag) : no_certificate(x, diag);
}

const struct acme_operation acme_certificate = {.auth = ACME_BY_KID, .run = certificate};
const struct acme_operation acme_star_certificate = {.auth = ACME_BY_KID, .run = star_signed};
const struct acme_operation acme_star_certificate_get = {.auth = ACME_BY_ANYONE, .run = star_unsigned};
