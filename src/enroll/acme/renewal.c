/* Renewal information (RFC 9773) at the address of an ACME endpoint, and its identifiers in orders. */
#include "base/buf.h"
#include "enroll/acme/acme.h"
#include "enroll/renewal_info.h"
#include <string.h>

tm_err acme_cert_id_parse(uint8_t ret[CERT_SERIAL_LEN], struct arena *a, const struct catalog *c,
                          tenant_id tenant, const char *text)
{
    const struct authority *x;
    uint8_t id[CERT_SERIAL_LEN];
    TM_TRY(renewal_id_parse(&x, id, a, c, text));
    if (x->tenant != tenant)
        return TM_ENOTFOUND;
    memcpy(ret, id, sizeof id);
    return TM_OK;
}

static void refuse(struct http_request *r, tm_err e)
{
    bool caller = tm_err_class(e) == TM_CLASS_CALLER;
    int status = e == TM_ENOTFOUND ? 404 : caller ? 400 : 503;
    struct buf b;
    buf_init(&b, 1024);
    buf_printf(&b, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"%s\",\"status\":%d}\n",
               caller ? "malformed" : "serverInternal",
               caller ? "this is no identifier of a certificate of this place" : "try again later", status);
    http_reply(r, status, "application/problem+json", buf_slice(&b), NULL);
    buf_done(&b);
}

void acme_get_renewal_info(struct http_request *r)
{
    struct catalog *c = house_catalog(r->app);
    const struct endpoint *ep = acme_endpoint(c, r);
    if (ep)
        renewal_info_answer(r, c, ep->tenant, refuse);
    else
        catalog_unref(c); /* it was answered */
}
