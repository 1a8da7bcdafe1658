/* store/sqlite/columns.h - a few numbers of every certificate, column by column: what questions about all of them are answered from.
 *
 * Layer 3. Derived from touchmark.db, kept in the directory columns/. The record of row `seq` has its place in block (seq - 1) / 16384; a
 * row that there is no more leaves its place empty. Full blocks are in files, 64 each, never changed; the rows after them are in
 * memory (the tail) and read again from the database at the opening. Texts are numbers in a file of names, which only grows.
 * Whether a row is revoked or gone changes: it is one octet a row in a file of its own, made anew at each opening and written by the
 * committer after its commits.
 *
 * Files are read with pread in portions of a column and a block: their memory is the system's page cache, which it takes back when it needs to,
 * and a disk that fails is an error and no signal. Each column of a block has a checksum, verified when it is first read; what is
 * torn, rotten or of another database is thrown away with everything else and built again from the rows.
 *
 * Who asks catches up first with what was committed since (columns_refresh), so that an answer knows all that its asker was told of; the
 * thread does so when a block's worth has come, and builds what is missing after a loss. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct diag;
struct query;
struct sqlite_store;

enum { COLUMN_ROWS = 16384, COLUMN_FILE_BLOCKS = 64, COLUMN_HEADER = 4096 };

enum column {
    COLUMN_EXPIRES,
    COLUMN_ISSUED,
    COLUMN_ADDED,
    COLUMN_LIFETIME,
    COLUMN_TENANT,
    COLUMN_AUTHORITY,
    COLUMN_PROFILE,
    COLUMN_KEY,
    COLUMN_SIGNATURE,
    COLUMN_SOURCE,
    COLUMN_FLAGS,
    COLUMNS
};
extern const uint8_t column_width[COLUMNS]; /* octets */

enum { TENANT_NONE = UINT32_MAX, FLAG_DEVICE = 128 /* beside enum cert_flag */ };
enum { STATUS_LIVE = 0, STATUS_REVOKED = 1 /* + reason */, STATUS_GONE = 255 };

/* ---- texts by number ---- */

enum { NAMES_AUTHORITY, NAMES_PROFILE, NAMES_KEY, NAMES_SIGNATURE, NAME_LISTS };
enum { NAME_OTHER = 65535, NAMES_MAX = 32768, NAME_OCTETS_MAX = 512 }; /* what does not fit is NAME_OTHER */

struct names {
    struct name_list {
        char **v;
        size_t n, cap;
        uint16_t *heads; /* by hash, index + 1 */
        size_t n_heads;
    } lists[NAME_LISTS];
    size_t written[NAME_LISTS]; /* of them are in the file */
    int64_t end;                /* of the file */
};

/* ---- blocks ---- */

struct column_zone {
    int64_t least, most; /* of the rows that are there */
};
struct block_header {
    char magic[8];
    uint8_t identity[16];
    uint64_t number, rows;
    int64_t keep_min; /* unix s: the first of its rows may go then */
    struct column_zone zone[COLUMNS];
    uint64_t names[NAME_LISTS]; /* how many there were */
    uint64_t sum[COLUMNS];
    uint64_t header_sum;
};
struct block {
    bool there;
    uint64_t rows;
    int64_t keep_min;
    struct column_zone zone[COLUMNS];
    uint64_t sum[COLUMNS];
    _Atomic unsigned verified; /* bits by column */
};
struct tail {
    uint64_t number; /* of the block that it will be */
    size_t n, cap;   /* places */
    uint64_t rows;
    int64_t keep_min;
    struct column_zone zone[COLUMNS];
    void *v[COLUMNS];
};

struct columns {
    int dir, status_fd, names_fd;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool woken;
    _Atomic bool behind, trim, broken; /* what the thread is woken for */
    pthread_mutex_t lock;              /* of those who catch up; taken before `use` */
    pthread_rwlock_t use;              /* read: scans; write: what they see changes */

    /* Under `use`. */
    struct block *blocks;
    size_t n_blocks, cap_blocks;
    struct tail tail;
    struct names names;
    int *files; /* descriptors, -1: not open */
    size_t n_files;

    _Atomic uint64_t covered; /* rows up to here are in blocks or tail */
    _Atomic uint64_t last_seq;

    /* States of rows. */
    pthread_mutex_t status_lock;
    pthread_cond_t status_there;
    bool status_ready, status_lost;
    struct status_change {
        uint64_t seq;
        uint8_t status;
    } *waiting; /* that came while the file is being made */
    size_t n_waiting, cap_waiting;
};

/* columns.c */
void columns_init(struct columns *c);
void columns_done(struct columns *c);
tm_err columns_open(struct sqlite_store *s, uint64_t last_seq, struct diag *diag);
void columns_close(struct sqlite_store *s);
/* The committer's, after a commit: what changed in it. */
void columns_committed(struct sqlite_store *s, const struct status_change *changes, size_t n,
                       uint64_t last_seq);
/* Retention has dropped rows. */
void columns_trim(struct sqlite_store *s);
/* Up to everything that has been committed; then held for reading. TM_EUNAVAIL while that would take long: the thread is at it. */
tm_err columns_begin(struct sqlite_store *s, struct db *db, struct diag *diag);
void columns_end(struct sqlite_store *s);
/* What was read is damaged: everything is built anew. */
tm_err columns_broken(struct sqlite_store *s, struct diag *diag);
unsigned columns_percent(const struct columns *c);
/* Read all blocks. TM_ECORRUPT: they are being built anew. */
tm_err columns_check(struct sqlite_store *s, struct diag *diag);

/* columns_file.c; callers hold what they change. */
tm_err column_files_open(struct sqlite_store *s, struct diag *diag);
/* Blocks that are there and whole, without a gap from `first` on. */
tm_err column_files_load(struct sqlite_store *s, uint64_t first_row, uint64_t last_seq, struct diag *diag);
void column_files_drop(struct columns *c);
/* Files all of whose rows are before. */
void column_files_trim(struct columns *c, uint64_t first_row);
tm_err column_block_add(struct columns *c, uint64_t number, const struct block *b);
/* Its file is open, before scans that read beside column_block_write. */
tm_err column_file_prepare(struct columns *c, uint64_t number, struct diag *diag);
tm_err column_block_write(struct sqlite_store *s, const struct tail *t, struct block *ret, struct diag *diag);
/* One column of a block in a file: COLUMN_ROWS values. TM_ECORRUPT, TM_EIO. */
tm_err column_read(struct columns *c, size_t block, enum column column, void *out);
uint64_t column_sum(const void *p, size_t n);
void column_files_close(struct columns *c);

/* columns_names.c */
tm_err names_load(struct columns *c, const uint8_t identity[16]);
/* Write those that the file lacks, durably. */
tm_err names_save(struct columns *c, const uint8_t identity[16]);
uint16_t names_number(struct names *n, int list, struct slice text);
void names_done(struct names *n);
