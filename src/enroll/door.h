/* enroll/door.h - what a door is: one descriptor a protocol, found in one table.
 * Layer 5. A door parses, authenticates the caller and hands an enrollment to the pipeline; policy stands behind it, never in it. */
#pragma once
#include "http/server.h"
#include "policy/enrollment.h"

struct house;
struct job;

struct door_descriptor {
    enum door id;
    const char *name;                /* "est" */
    const char *title;               /* "Enrollment over Secure Transport (RFC 7030)" */
    const struct http_route *routes; /* ended by a NULL pattern; http_request.app is the struct house */
    /* What the door keeps while the server runs; each may be NULL. */
    tm_err (*open)(struct house *h);
    void (*stop)(struct house *h); /* before house_close(): threads of its own end; requests may still come */
    void (*close)(void);           /* after house_close() */
    const struct job *const *jobs; /* NULL-terminated */
    /* Errors that the HTTP server itself makes below `prefix`, in the protocol's own form; as on_error of http/server.h. */
    const char *prefix;
    void (*on_error)(struct http_request *r, int status, const char *detail);
};
extern const struct door_descriptor *const doors[]; /* NULL-terminated */

/* All of them: open and give their jobs to the house; stop; close. */
tm_err doors_open(struct house *h);
void doors_stop(struct house *h);
void doors_close(void);
/* The door whose path it is answers; false: nobody's. */
bool doors_error(struct http_request *r, int status, const char *detail);
