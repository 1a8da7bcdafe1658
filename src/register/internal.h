/* register/internal.h - what the register's own files share. Layer 3. */
#pragma once
#include "register/register.h"
#include "register/tree.h"
#include <pthread.h>
struct arena;
struct buf;

enum {
    EVENT_BODY_MAX = 1 << 20,
    READ_PAGE = 1000, /* events in one read */
    EVENT_PAGE_MEMORY = 1 << 30,
    CHECKPOINT_PAGE = 500,
    REG_ORPHANS_MAX = 64,
    LEAVES_PAGE = 8192, /* leaf hashes in one read; the store gives at most 10000 */
};

extern const char register_rule[]; /* diag.rule of everything that verification finds */

/* ---- events ---- */

/* {"@subject":…,"@time":…,"@type":… without a closing bracket: every body begins with it. */
void event_head_build(struct buf *b, const char *type, const char *subject, int64_t time_ms);
tm_err event_leaf(uint8_t out[32], struct slice salt, struct slice body);
/* An erased event has no salt, and no more of a body than its stub. */
static inline bool event_is_erased(const struct event_row *e)
{
    return e->salt.n == 0;
}
bool event_is_stub(struct slice body);
bool event_find_string(struct slice *ret, struct slice body,
                       const char *key); /* escapes are left as they are */
bool event_find_number(uint64_t *ret, struct slice body, const char *key);
bool event_find_hash(uint8_t out[32], struct slice body, const char *key);

/* ---- the register ---- */

/* A tenant's log as its newest stored checkpoint has it. */
struct reg_log {
    tenant_id tenant;
    struct tree tree;
    uint8_t root[32];
    bool has_checkpoint;
    uint64_t epoch; /* of that checkpoint, and the root that it names */
    uint8_t epoch_root[32];
    struct reg_log *next;
};

/* A checkpoint that was signed but could not be stored: its place in the signer's chain has to be recorded all the same. */
struct reg_orphan {
    uint64_t seq;
    uint8_t tbs[32];
};

struct reg {
    struct register_config c;
    char *key_id, *origin;
    uint8_t public_key[32];
    pthread_mutex_t sequencing; /* held for a whole pass; guards the orphans */
    struct reg_orphan orphans[REG_ORPHANS_MAX];
    size_t n_orphans;
    pthread_mutex_t lock; /* guards what follows; never held over a signature or a commit */
    struct reg_log *logs;
    uint64_t epoch;
};

/* "<base>", "<base>/<tenant>", each with "#epoch-<n>" for n > 0; in `a`, NULL when out of memory. */
char *reg_origin(struct arena *a, const char *base, tenant_id tenant, uint64_t epoch);

/* The log's state, loaded on first use. `lock` is held; the result is valid while it is. */
tm_err reg_log_get(struct reg_log **ret, struct reg *r, tenant_id tenant, struct diag *diag);

/* The same, read again where another process or a pass has stored a newer checkpoint. TM_ENOTFOUND before the first. */
tm_err reg_log_current(struct reg_log **ret, struct reg *r, tenant_id tenant, struct diag *diag);

/* Access to the stored tiles and leaves of one log; a tile that is missing is computed from what lies below. */
struct reg_tiles {
    struct store *store;
    tenant_id tenant;
};
void reg_tile_reader(struct tile_reader *ret, struct reg_tiles *t);

/* Reads of one thing. Results live in `a`. */
tm_err reg_read_checkpoint(struct checkpoint_row *ret, struct arena *a, struct store *s, tenant_id tenant,
                           uint64_t size);
tm_err reg_read_meta(struct slice *ret, struct arena *a, struct store *s, const char *name);
tm_err reg_read_log_size(uint64_t *ret, struct store *s, tenant_id tenant);

/* ---- proof documents ---- */

enum { PROOF_DOCUMENT_MAX = 8 << 20, PROOF_MEMORY = 64 << 20 };
extern const char register_proof_format[];

/* ---- verification's parts ---- */
/* Stored checkpoints in ascending order. Zero it but for the tenant; a row is valid until the next call. */
struct checkpoint_cursor {
    tenant_id tenant;
    struct arena *arena;
    struct checkpoint_row *rows;
    size_t n, at;
    uint64_t from;
    bool end;
};
tm_err checkpoint_cursor_next(struct checkpoint_row **ret, struct checkpoint_cursor *c, struct store *s);
void checkpoint_cursor_done(struct checkpoint_cursor *c);

/* `issued`: how many certificate.issued events there are, about. */
tm_err verify_certificates(struct reg *r, tenant_id tenant, uint64_t issued, struct diag *diag);
/* Sets chain_seq and chain_gaps. */

/* Erased events that were met, in their order; 24 octets each (verify_erased.c). */
struct erased_events {
    struct erased_event *v;
    size_t n, cap;
};
tm_err erased_note(struct erased_events *s, const struct event_row *e);
/* The body of a "register.erased". */
tm_err erased_told(struct erased_events *s, struct slice body);
/* Is there one that none of them named? Its place. */
bool erased_untold(uint64_t *ret, const struct erased_events *s);
void erased_done(struct erased_events *s);

tm_err verify_chain(struct register_report *report, struct reg *r, struct diag *diag);
