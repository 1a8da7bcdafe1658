/* inventory/owner_rule.h - rules of kind Ownership, made ready: of which certificates each holds. Inside inventory/, of owner.c.
 *
 * Layer 5, blocking. A rule holds where all holds that it names: its query, a network in which the certificate is met, a tag that somebody gave it. */
#pragma once
#include "http/address.h"
#include "issue/ownership_doc.h"
#include "store/store.h"

struct arena;
struct cert_note;
struct house;

enum {
    RULE_PLACES_MAX = 100000, /* looked through for a question about a rule with networks */
    RULE_ROWS_MAX = 50000,    /* certificates that are met in them, or have its tags */
    RULE_MET_MAX = 64,        /* places of one certificate that are looked at */
};

struct owner_rule {
    struct ownership_doc doc;
    const char *name;
    struct cert_test match;         /* its query; without one everything passes */
    struct address_range *networks; /* as many as the document has */
};
struct owner_rules {
    struct owner_rule *v;
    size_t n;
    bool by_octets, by_network,
        by_tag; /* one of them asks for what the certificate says, not its row; for places; for tags */
};
/* In the order in which they go before each other; everything in `a`. */
tm_err owner_rules_read(struct owner_rules *ret, struct arena *a, struct house *h, tenant_id tenant,
                        struct diag *diag);

/* One certificate, with what rules look at beside its row. */
struct owner_case {
    struct house *house;
    tenant_id tenant;
    const struct cert_row *row;
    const struct cert_note *note;
    const struct cert_key *keys;
    size_t n_keys;
    bool unsure; /* its octets are not kept: only the index knows its names */
    struct address *met;
    size_t n_met;
};
/* Borrows row and note. */
tm_err owner_case_make(struct owner_case *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const struct owner_rules *r, const struct cert_row *row, const struct cert_note *note,
                       struct diag *diag);
tm_err owner_rule_holds(bool *ret, const struct owner_rule *r, const struct owner_case *x, struct arena *a,
                        struct diag *diag);
/* Of which certificates each of them holds, as tests in `a`: places and notes are looked through once for all. TM_EINVAL where these are too many. */
tm_err owner_rules_test(struct cert_test **ret, struct arena *a, struct house *h, tenant_id tenant,
                        const struct owner_rules *rules, struct diag *diag);
