/* finding/gather.h - inside the gatherer: what its two files share. Layer 5, private to finding/, one thread. */
#pragma once
#include "finding/census.h"
#include "finding/facts.h"
#include "issue/house.h"
#include "issue/issuer_now.h"

struct gatherer {
    struct house *house;
    tenant_id tenant;
    struct catalog *catalog;
    struct arena *a;
    const struct census *census;
    bool places_counted;        /* the census knows all places */
    bool no_places, no_devices; /* the tenant has none: what comes meanwhile is looked at when it comes */
    struct diag *diag;
    struct arena *owners_room;
    struct owners *owners; /* made when the first is asked for */
    struct issuer_memo nobodys;
    /* the device asked for last */
    struct arena *device_room;
    char device_id[256];
    const struct device_row *device;
};

/* A read of the tenant's; nothing there is TM_OK with n 0. */
tm_err gather_read(struct gatherer *g, struct store_read *q);
/* What is this tenant's, or the house's, it may know of. */
bool gather_knows(const struct gatherer *g, tenant_id owner);
tm_err gather_device(const struct device_row **ret, struct gatherer *g, const char *id);
/* False for a row that is no place. */
bool gather_place_row(struct finding_place *ret, struct gatherer *g, const struct object_row *row);
void gather_now(struct finding_facts *ret, struct gatherer *g);
/* What a place's rules need of its leaf. */
tm_err gather_leaf(struct finding_facts *f, struct gatherer *g, const struct cert_row *row);
