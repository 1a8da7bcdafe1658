/* store/sqlite/ids.h - the ids of the newest certificates, which cert_id does not have yet.
 *
 * Layer 3. An id ends in random octets, so in cert_id the rows of one moment land on as many pages as the moment fills: each group would
 * write most of them again, more than the certificates themselves. So the hot transaction leaves cert_id alone: new ids stay here, found
 * by hash, and go there sorted, some thousands at once, in the transaction of a group. meta "store.ids" says up to which row cert_id is
 * complete; at the opening the rows after it are read again.
 *
 * The committer alone adds, undoes and settles; readers see what has been committed. A reader asks here first, then cert_id. */
#pragma once
#include "store/sqlite/db.h"
#include "store/store.h"
#include <pthread.h>

struct sqlite_store;

struct id_entry {
    uint64_t seq;
    tenant_id tenant;
    uint32_t next; /* index + 1 in the chain of its bucket */
    uint8_t id[CERT_SERIAL_LEN];
};

struct ids {
    pthread_mutex_t lock, refresh; /* refresh: of a read-only store's readers among each other */
    struct id_entry *v;            /* in the order of their rows */
    size_t n, cap;
    size_t committed; /* the others are the open group's */
    uint32_t *heads;
    bool written; /* the open transaction has put all of them into cert_id */
};

void ids_init(struct ids *ids);
void ids_done(struct ids *ids);

/* ---- the committer's ---- */

/* What cert_id lacks, from the rows. */
tm_err ids_load(struct ids *ids, struct db *db, struct diag *diag);
/* The row of an id, those of the open group among them; false: not here. */
bool ids_has(const struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq);
tm_err ids_add(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t seq);
/* Back to n. */
void ids_undo(struct ids *ids, size_t n);
/* So many that the group should take them along? */
bool ids_are_many(const struct ids *ids);
/* Write them into cert_id, in the open transaction; they stay here until ids_committed. */
tm_err ids_write(struct ids *ids, struct db *db, struct diag *diag);
void ids_committed(struct ids *ids);
void ids_rolled_back(struct ids *ids);
/* When there are none. */
void ids_release_memory(struct ids *ids);

/* ---- readers' ---- */

bool ids_find(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq);
/* Those between the two (exclusive), ascending, in memory of the caller's; NULL without memory or when there are none. */
tm_err ids_range(struct ids *ids, tenant_id tenant, const uint8_t after[CERT_SERIAL_LEN],
                 const uint8_t before[CERT_SERIAL_LEN], struct id_entry **ret, size_t *ret_n);
