/* enroll/door.h - what a door is: one descriptor a protocol, found in one table.
 * Layer 5. A door parses, authenticates the caller and hands an enrollment to the pipeline; policy stands behind it, never in it. */
#pragma once
#include "http/server.h"
#include "policy/enrollment.h"

struct door_descriptor {
    enum door id;
    const char *name;                /* "est" */
    const char *title;               /* "Enrollment over Secure Transport (RFC 7030)" */
    const struct http_route *routes; /* ended by a NULL pattern; http_request.app is the struct house */
};
extern const struct door_descriptor *const doors[]; /* NULL-terminated */
