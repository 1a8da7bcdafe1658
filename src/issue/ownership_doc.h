/* issue/ownership_doc.h - the resource kind Ownership: who answers for the certificates that a query chooses. Layer 4.
 * What it means is inventory/owner.h's. */
#pragma once
#include "base/err.h"
#include "base/json.h"

enum { OWNERSHIP_TEXT_MAX = 200, OWNERSHIP_TAGS_MAX = 16, OWNERSHIP_NETWORKS_MAX = 64 };

struct ownership_doc {
    const char *kind, *name, *tenant, *title;
    const char *match; /* a query, docs/inventory.md; "" everything */
    struct json_strings networks,
        tagged; /* what else has to hold: met at an address in one of them; has one of these tags by hand */
    int64_t order;
    const char *owner, *technical, *place, *service;
    int criticality; /* 0: nothing is said; else that of criticality_words[] */
    struct json_strings tags;
};
extern const struct json_field ownership_schema[];
extern const char *const criticality_words[]; /* "", "low", "medium", "high", "critical"; NULL */
