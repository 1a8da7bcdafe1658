/* discover/scans_record.h - results on their way into the inventory, some hundred at a time. Layer 5, one thread. */
#pragma once
#include "discover/run.h"
#include "discover/scan.h"
#include "inventory/sighting.h"
struct arena;

enum { RECORD_BATCH = 256 };

struct scan_record {
    struct house *house;
    struct run *run; /* its counts are brought up to date */
    struct arena *arena;
    struct sighting v[RECORD_BATCH];
    json_t *details[RECORD_BATCH];
    size_t n;
};
/* False: no memory. */
bool scan_record_init(struct scan_record *r, struct house *h, struct run *run);
void scan_record_done(struct scan_record *r);
/* Keep one until the next flush; call that when it is full. */
tm_err scan_record_add(struct scan_record *r, const struct scan_result *x);
bool scan_record_full(const struct scan_record *r);
tm_err scan_record_flush(struct scan_record *r, struct sightings_taken *ret, struct diag *diag);
