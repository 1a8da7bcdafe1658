/* inventory/place.h - a place where a certificate was met: what is there, since when, and what was there before.
 *
 * Layer 5, pure. Places are objects of the store (OBJECT_PLACE): id of 32 hex digits, key the name, owner the host, ref the inventory id of the
 * leaf, status PLACE_PRESENT or PLACE_GONE; the rest is the row's JSON. */
#pragma once
#include "base/err.h"
#include "store/store.h"
struct address;
struct arena;
struct buf;

enum {
    PLACE_NAME_MAX = 1024,
    PLACE_CHAIN_MAX = 16,
    PLACE_BEFORE_MAX = 16,
    PLACE_DETAILS_MAX = 8 << 10,
    PLACE_STATE_MAX = 64 << 10,
    PLACE_ID_LEN = 32,
    PLACE_GONE_KEEP = 400 * 86400 /* seconds: what is gone is forgotten then */
};
enum place_status { PLACE_PRESENT = 1, PLACE_GONE };

/* What was there for a time; `leaf` "" nothing. */
struct place_before {
    const char *leaf;    /* SHA-256, hex */
    const char *cert;    /* inventory id, hex; "" it was no certificate that can be kept */
    const char *run;     /* that found it; "" none */
    int64_t since, last; /* unix ms: first and last time it was seen there */
};

struct place {
    const char *id, *name, *cert;
    int status;
    int64_t version;    /* 0: it is not stored yet */
    int64_t created_at; /* unix seconds */
    const char *via, *run;
    const char *found_by; /* the run that found what is there now */
    int64_t first, since,
        last;            /* unix ms: when the place was first seen, what is there now, and when it was last */
    const char *details; /* canonical JSON object */
    const char *refused; /* why what it sent can't be kept; "" it can */
    const char *chain[PLACE_CHAIN_MAX]; /* SHA-256 each, hex, leaf first */
    size_t n_chain;
    struct place_before before[PLACE_BEFORE_MAX]; /* newest first */
    size_t n_before;
};

/* A name is text that prints, with a ':' in it, of 3 to PLACE_NAME_MAX octets. */
bool place_name_valid(const char *name);
/* The address in a name that has one: "tls:192.0.2.1:443", "smtp:[2001:db8::1]:25/mx", "agent:192.0.2.7/etc". */
bool place_address(struct address *ret, const char *name);
tm_err place_id(char ret[PLACE_ID_LEN + 1], const char *name);
/* Everything in `a` or borrowed from the row. TM_ECORRUPT. */
tm_err place_from_row(struct place *ret, struct arena *a, const struct object_row *row);
tm_err place_effect(struct effect *ret, struct arena *a, tenant_id tenant, const struct place *p);

/* What was seen there. */
struct place_seen {
    const char *via, *run, *details, *refused, *cert;
    int64_t at, now; /* unix ms */
    const char *chain[PLACE_CHAIN_MAX];
    size_t n_chain; /* 0: nothing */
};
enum place_change {
    PLACE_SAME,    /* nothing to write */
    PLACE_TOUCHED, /* to be written, no news: when it was last seen, or its details */
    PLACE_NEW,
    PLACE_CHANGED,
    PLACE_WENT,
};
/* What that means for the place, which is brought up to date; one that is not stored yet has only its name and id. */
enum place_change place_meet(struct place *p, const struct place_seen *s, int64_t touch_ms);
/* What was there at an instant (unix ms), as far back as is remembered; NULL: it was not known then. `ret` holds it where it is there still. */
const struct place_before *place_at(const struct place *p, struct place_before *ret, int64_t at);
