/* discover/scan.h - a scan: its plan, done by the engine in random order, and what it found as JSON.
 *
 * Layer 5. scan_run() blocks. It neither stores nor prints: what becomes of the results is the caller's. */
#pragma once
#include "base/err.h"
#include "discover/engine.h"
#include "issue/scan_plan.h"
#include <jansson.h>
struct arena;
struct buf;

enum { SCAN_PLACE_MAX = 16 + ADDRESS_TEXT_MAX + 256 };

/* What was found at one target. */
struct scan_result {
    const struct scan_spot *spot;
    const struct address *address; /* family ADDRESS_NONE: a host name that has none */
    const struct tls_facts *facts;
    unsigned versions, connections;
    bool asked_versions;
    int pq;
};

struct scan {
    const struct scan_settings *settings;
    const struct scan_plan *plan;
    uint64_t seed, from;     /* the order, and the place in it where to go on */
    const atomic_bool *over; /* set: it ends soon */
    void (*result)(void *arg, const struct scan_result *r);
    /* Some ten times a second: all places before `place` are done. May block for a while. NULL. */
    void (*turn)(void *arg, uint64_t place);
    void *arg;
};
/* *ret_place: where it got to; the plan's total when it is done. */
tm_err scan_run(const struct scan *s, uint64_t *ret_place, struct engine_stats *stats, struct diag *diag);

/* "tls:192.0.2.1:443/www.example.org": how the place is known in the inventory. */
void scan_place(char ret[SCAN_PLACE_MAX], const struct scan_result *r);
/* "certificate", or the failure's word. */
const char *scan_status(const struct scan_result *r);
/* Something is there, and gave no certificate. */
bool scan_is_failure(const struct scan_result *r);
/* What a sighting keeps beside the chain. A new reference; NULL: no memory. */
json_t *scan_details(const struct scan_result *r);
/* All of it as one JSON object, with what its leaf says of itself. */
void scan_put_result(struct buf *out, const struct scan_result *r);
