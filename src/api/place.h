/* api/place.h - where people reach this house: the origin that its pages have, and the name that passkeys are for. Layer 5.
 *
 * From touchmark.yaml's console-origin, else from the Host that the request names: a passkey keeps the name that it was made for, and its browser uses it
 * nowhere else, so that a wrong Host gains nobody anything. */
#pragma once
#include "api/api.h"
#include "identity/webauthn.h"

/* In the call's arena. TM_EINVAL where the request has no usable Host. */
tm_err api_place(struct webauthn_place *ret, const struct api_call *c, struct diag *diag);
/* The same; TM_EINVAL also where the house is reached by an address, for which there are no passkeys (WebAuthn 5.1.2). */
tm_err api_passkey_place(struct webauthn_place *ret, const struct api_call *c, struct diag *diag);
/* A request that says an Origin has to say this house's. TM_EFORBIDDEN. */
tm_err api_same_origin(const struct api_call *c, struct diag *diag);
