/* enroll/endpoint.h - what doors ask the catalog about an endpoint: which one, what it offers, who issues there. Layer 5, pure over the catalog. */
#pragma once
#include "base/slice.h"
#include "policy/enrollment.h"
#include "store/store.h"
struct arena;
struct authority;
struct catalog;
struct endpoint;

/* The open endpoint that a client's label names ("<name>", "<tenant>.<name>"); NULL: there is none, or it or its tenant is closed. */
const struct endpoint *endpoint_open(const struct catalog *c, enum door protocol, const char *label);
/* The same, as a row of a tenant names it. */
const struct endpoint *endpoint_of_tenant(const struct catalog *c, struct arena *a, tenant_id t,
                                          enum door protocol, const char *name);
/* The endpoint's own copy of the profile's name; NULL: it does not offer it. */
const char *endpoint_offers(const struct endpoint *e, struct slice profile);
/* Who issues this profile here, NULL meaning the endpoint's first: its own authority, else the profile's. NULL: nobody of that name. */
const struct authority *endpoint_authority(const struct catalog *c, const struct endpoint *e,
                                           const char *profile);
