/* enroll/renewal_info.h - telling holders when to renew: renewal information as RFC 9773 4.2 has it, for whatever protocol they enrolled by.
 *
 * Layer 5. GET /renewal-info/{cert} on the plain listener and the others: EST and SCEP have no message for it, so their answers name the
 * resource of the certificate in a Link header; an ACME endpoint has its own address for the same. What it says is nobody's secret: when
 * a certificate ends stands in it. */
#pragma once
#include "http/server.h"
#include "issue/renewal.h"

extern const struct http_route renewal_info_routes[]; /* ended by a NULL pattern */

/* Answer about the certificate that the parameter "cert" names; of `tenant` only, TENANT_HOUSE: of any. Takes the reference to the catalog. `refuse`
 * answers on the loop what can't be: TM_EMALFORMED, TM_ENOTFOUND, or why not now. */
void renewal_info_answer(struct http_request *r, struct catalog *c, tenant_id tenant,
                         void (*refuse)(struct http_request *r, tm_err e));

/* A header that names the resource of this certificate. False, where it was not issued here. */
enum { RENEWAL_LINK_MAX = RENEWAL_ID_MAX + 64 };
bool renewal_info_link(char out[RENEWAL_LINK_MAX], const struct catalog *c, struct slice der);
