/* cli/discover_report.h - a discovery run that this process makes: begun, reported in pieces, ended. Layer 6. */
#pragma once
#include "base/buf.h"
#include "cli/remote.h"

struct discover_report {
    struct cli *c;
    struct remote remote;
    const char *via, *run;
    bool dry;  /* nothing is sent: what was found is printed */
    bool lost; /* complained already: the house can't be reached or refuses */
    struct buf lines;
    size_t n_lines;
    uint8_t (*seen)[16]; /* places of this run: the beginnings of their hashes */
    size_t n_seen, seen_cap, n_sorted;
    json_t *found; /* of a dry run: what would be reported */
    json_int_t total, done, answered, failed;
    json_t *spec; /* what was looked through after all; NULL: as it was begun */
};

/* `spec` (taken): what is looked through. False after complaining. */
bool discover_begin(struct discover_report *r, struct cli *c, const char *via, json_t *spec);
/* `details` is JSON text or NULL. False: it makes no sense to go on. */
bool discover_add(struct discover_report *r, const char *place, int64_t at, const char *details,
                  const struct slice *chain, size_t n_chain);
bool discover_flush(struct discover_report *r);
/* Was it added in this run? */
bool discover_seen(struct discover_report *r, const char *place);
/* What is left is sent, and the run's end and sums shown. `why` NULL: it is done. An exit status. */
int discover_end(struct discover_report *r, const char *why);
