/* store/sqlite/db.h - one SQLite connection with its prepared statements, and the errors it makes.
 *
 * Layer 3. A connection is used by one thread at a time. Statements are prepared at first use and kept. A query is a cursor with a
 * sticky error:
 *
 *     struct query q;
 *     query_begin(&q, db, SQL_META_GET);
 *     query_int(&q, tenant);
 *     query_text(&q, name);
 *     if (query_row(&q)) ...
 *     TM_TRY(query_end(&q, diag));
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/sqlite/sql.h"
#include <sqlite3.h>
#include <stdbool.h>

struct arena;

struct db {
    sqlite3 *h;
    const char *file; /* "touchmark.db": what an error calls it */
    sqlite3_stmt *statements[SQL_COUNT];
    bool
        failed; /* the last failure was the file's or the machine's, not a refusal: the transaction is lost */
};

enum db_mode { DB_READ, DB_WRITE, DB_CREATE };

struct db_options {
    enum db_mode mode;
    int cache_kib;
    int page_size; /* of a new file */
    bool async;    /* synchronous=OFF */
    bool relaxed;  /* synchronous=NORMAL: derived data */
    bool no_autocheckpoint;
};

/* `file` must outlive the connection. */
tm_err db_open(struct db *db, const char *dir, const char *file, const struct db_options *o,
               struct diag *diag);
void db_close(struct db *db);
/* Run statements without results. */
tm_err db_exec(struct db *db, const char *sql, struct diag *diag);
/* What an SQLite result code means to us, with a message that says what to do. Sets db->failed. */
tm_err db_fail(struct db *db, int rc, struct diag *diag);

struct query {
    struct db *db;
    sqlite3_stmt *st;
    int n; /* parameters bound */
    int rc;
};

void query_begin(struct query *q, struct db *db, enum sql id);
void query_int(struct query *q, int64_t v);
void query_text(struct query *q, const char *s);  /* NULL: "" */
void query_blob(struct query *q, struct slice s); /* borrowed until query_end */
/* One row is there. */
bool query_row(struct query *q);
/* A statement without rows; true unless it failed. */
/* Reset; TM_OK, or what went wrong. Harmless when called twice. */
tm_err query_end(struct query *q, struct diag *diag);
/* The same after an error of our own (or TM_OK), which counts more than the query's. */
tm_err query_leave(struct query *q, tm_err err, struct diag *diag);
/* begin..end in one for statements without parameters and rows. */
tm_err query_run(struct db *db, enum sql id, struct diag *diag);

static inline int64_t column_int(struct query *q, int i)
{
    return sqlite3_column_int64(q->st, i);
}
static inline struct slice column_slice(struct query *q, int i)
{
    const void *p = sqlite3_column_blob(q->st, i);
    return slice_of(p, p ? (size_t)sqlite3_column_bytes(q->st, i) : 0);
}
/* Copies; sticky TM_ENOMEM in *err. */
const char *column_text(struct query *q, int i, struct arena *a, tm_err *err);
struct slice column_blob(struct query *q, int i, struct arena *a, tm_err *err);
/* Exactly n octets, zero where the column is shorter. */
void column_octets(struct query *q, int i, void *out, size_t n);
