/* enroll/acme/resolvers.h - resolvers by their settings, kept between look-ups. One that nobody uses gives way where there are too many.
 * Layer 5, thread-safe. */
#pragma once
#include "enroll/acme/resolve.h"

struct resolvers;
tm_err resolvers_new(struct resolvers **ret);
void resolvers_free(struct resolvers *v);
/* The one of these settings; resolvers_give() it back. TM_EUNAVAIL. */
tm_err resolvers_take(struct resolver **ret, struct resolvers *v, const struct acme_settings *s,
                      struct diag *diag);
void resolvers_give(struct resolvers *v, const struct resolver *r);
