/* store/sqlite/ids.h - the ids of the newest certificates, which cert_id does not have yet.
 *
 * Layer 3. An id ends in random octets, so in cert_id the rows of one moment land on as many pages as the moment fills: each group would
 * write most of them again, more than the certificates themselves. So the hot transaction leaves cert_id alone: new ids stay here, found
 * by hash, and go there sorted, some thousands at once, in the transaction of a group, and only when their second is over. meta
 * "store.ids" says up to which row cert_id is complete, and the newest time that any id in it has, beyond which it need not be asked; at
 * the opening the rows after that one are read again.
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
    size_t written;        /* so many of the first has the open transaction put into cert_id */
    uint32_t newest;       /* time of an id here */
    uint32_t newest_there; /* time of an id in cert_id */
    uint32_t newest_after; /* the same once the open transaction is through */
};

void ids_init(struct ids *ids);
void ids_done(struct ids *ids);

/* ---- the committer's ---- */

/* What cert_id lacks, from the rows. */
tm_err ids_load(struct ids *ids, struct db *db, struct diag *diag);
/* May cert_id have this one? */
bool ids_may_be_there(const struct ids *ids, const uint8_t id[CERT_SERIAL_LEN]);
/* The row of an id, those of the open group among them; false: not here. */
bool ids_has(const struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq);
tm_err ids_add(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t seq);
/* Back to n. */
void ids_undo(struct ids *ids, size_t n);
/* Write them into cert_id, in the open transaction: all, or a portion if there are many. They stay here until ids_committed. */
tm_err ids_write(struct ids *ids, struct db *db, bool all, struct diag *diag);
void ids_committed(struct ids *ids);
void ids_rolled_back(struct ids *ids);
/* When there are none. */
void ids_release_memory(struct ids *ids);

/* ---- readers' ---- */

bool ids_find(struct ids *ids, tenant_id tenant, const uint8_t id[CERT_SERIAL_LEN], uint64_t *ret_seq);
/* Those between the two (exclusive), ascending, in memory of the caller's; NULL without memory or when there are none. */
tm_err ids_range(struct ids *ids, tenant_id tenant, const uint8_t after[CERT_SERIAL_LEN],
                 const uint8_t before[CERT_SERIAL_LEN], struct id_entry **ret, size_t *ret_n);
