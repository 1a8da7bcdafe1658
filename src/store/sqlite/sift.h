/* store/sqlite/sift.h - a test over the columns of a block at a time, and over one row where the columns cannot tell.
 *
 * Layer 3. A test becomes a mask with an octet a row: 0 no, 1 the columns cannot tell (a name with stars, a text beyond the list of names),
 * 2 yes; so "and" is the smaller, "or" the larger, "not" 2 minus it (Kleene). A block whose zones decide is not read at all. */
#pragma once
#include "store/sqlite/columns.h"
#include "store/store.h"

struct reader;
struct sift_node;

/* One block, or the tail, under a scan. */
struct sift_view {
    uint64_t number; /* of the block: its first row is number * COLUMN_ROWS + 1 */
    size_t n;        /* places */
    uint64_t rows;
    const struct column_zone *zone;
    const uint8_t *mask;
    uint8_t least; /* 0: no row passes */
};

struct sift {
    struct sqlite_store *s;
    struct reader *reader;
    tenant_id tenant;
    struct arena *arena;
    struct sift_node *root;
    size_t depth;
    bool exact; /* no mask has a 1 */
    /* of the block in hand */
    struct sift_view view;
    bool is_tail;
    void *room[COLUMNS];
    bool loaded[COLUMNS];
    uint8_t *status, *masks;
    bool status_loaded;
};

/* Between columns_begin and columns_end. Tests by key are looked up here. Errors: TM_EINVAL (a test that is none), TM_EUNAVAIL. */
tm_err sift_init(struct sift *x, struct sqlite_store *s, struct reader *c, tenant_id tenant,
                 const struct cert_test *where, struct arena *a, struct diag *diag);
void sift_done(struct sift *x);
/* Blocks and the tail are 0..n-1. */
size_t sift_blocks(const struct sift *x);
/* The zones of one of them, and whether it can have a row at all. */
bool sift_block_may(struct sift *x, size_t block, struct column_zone *ret_expires);
/* Its mask is in x->view. TM_ECORRUPT, TM_EIO. */
tm_err sift_block(struct sift *x, size_t block);
/* The values of a column of the block in hand. */
tm_err sift_column(struct sift *x, enum column column, const void **ret);
tm_err sift_status(struct sift *x, const uint8_t **ret);

/* Does one row pass, exactly? `q` stands on it (SQL_CERT_BY_SEQ), `row` is what was read from it. */
bool row_passes_test(struct sqlite_store *s, struct query *q, const struct cert_row *row,
                     const struct cert_test *test, struct arena *scratch);
