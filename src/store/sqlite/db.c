#include "store/sqlite/db.h"
#include "base/arena.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

tm_err db_fail(struct db *db, int rc, struct diag *diag)
{
    const char *rule = "store";
    int system = db->h ? sqlite3_system_errno(db->h) : 0;
    db->failed = true;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return diag_fail(diag, TM_EFULL, rule, db->file,
                         "the disk is full; free some space, writes are tried again");
    case SQLITE_IOERR:
        if (system == ENOSPC || system == EDQUOT)
            return diag_fail(diag, TM_EFULL, rule, db->file,
                             "the disk is full; free some space, writes are tried again");
        return diag_fail(diag, TM_EIO, rule, db->file, "%s cannot be read or written: %s (%d)", db->file,
                         system ? strerror(system) : "input/output error", rc);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return diag_fail(diag, TM_ECORRUPT, rule, db->file,
                         "%s is damaged; stop the server and restore the last backup (touchmark restore)",
                         db->file);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return diag_fail(
            diag, TM_EUNAVAIL, rule, db->file,
            "%s cannot be written: check the owner of the directory and that its file system is not read-only",
            db->file);
    case SQLITE_CANTOPEN:
        return diag_fail(diag, TM_EUNAVAIL, rule, db->file, "%s cannot be opened: %s", db->file,
                         system ? strerror(system) : "unknown reason");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return diag_fail(diag, TM_EBUSY, rule, db->file, "%s is locked by another process", db->file);
    case SQLITE_NOMEM:
        return diag_fail(diag, TM_ENOMEM, rule, db->file, "out of memory");
    case SQLITE_TOOBIG:
        return diag_fail(diag, TM_ETOOBIG, rule, db->file, "a value is too big for the store");
    default:
        return diag_fail(diag, TM_EINTERNAL, rule, db->file, "%s: %s (%d)", db->file,
                         db->h ? sqlite3_errmsg(db->h) : "no connection", rc);
    }
}

tm_err db_exec(struct db *db, const char *sql, struct diag *diag)
{
    int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TM_OK : db_fail(db, rc, diag);
}

static tm_err db_configure(struct db *db, const struct db_options *o, struct diag *diag)
{
    sqlite3_extended_result_codes(db->h, 1);
    sqlite3_busy_timeout(db->h, 10000);
    /* Files may come from a backup that others had in hand: the schema is data, not code. */
    sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    char sql[256];
    if (o->mode == DB_CREATE) {
        snprintf(sql, sizeof sql, "PRAGMA page_size=%d; PRAGMA journal_mode=WAL", o->page_size);
        TM_TRY(db_exec(db, sql, diag));
    }
    const char *sync = o->async ? "OFF" : o->relaxed ? "NORMAL" : "FULL";
    snprintf(
        sql, sizeof sql,
        "PRAGMA synchronous=%s; PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=%s; "
        "PRAGMA journal_size_limit=268435456; PRAGMA foreign_keys=OFF; PRAGMA wal_autocheckpoint=%d",
        sync, o->cache_kib, o->relaxed ? "OFF" : "FAST", o->no_autocheckpoint ? 0 : 1000);
    TM_TRY(db_exec(db, sql, diag));
    if (o->mode == DB_READ)
        return db_exec(db, "PRAGMA query_only=ON", diag);
    return TM_OK;
}

tm_err db_open(struct db *db, const char *dir, const char *file, const struct db_options *o,
               struct diag *diag)
{
    *db = (struct db){.file = file};
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    if (n < 0 || (size_t)n >= sizeof path)
        return diag_fail(diag, TM_EINVAL, "store", "path", "the path of the store is too long");
    /* The log and the shared memory take the mode of the file. A file that is there is left alone: closing a second descriptor would
     * drop the locks of a connection. */
    if (o->mode == DB_CREATE) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return diag_fail(diag, errno == ENOSPC ? TM_EFULL : TM_EUNAVAIL, "store", file, "%s: %s", path,
                             strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
    if (o->mode == DB_CREATE)
        flags |= SQLITE_OPEN_CREATE;
    int rc = sqlite3_open_v2(path, &db->h, flags, NULL);
    tm_err err = rc == SQLITE_OK ? db_configure(db, o, diag) : db_fail(db, rc, diag);
    if (err != TM_OK)
        db_close(db);
    return err;
}

void db_close(struct db *db)
{
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->h);
    *db = (struct db){.file = db->file};
}

/* ---- queries ---- */

void query_begin(struct query *q, struct db *db, enum sql id)
{
    *q = (struct query){.db = db, .st = db->statements[id], .rc = SQLITE_OK};
    if (q->st)
        return;
    q->rc = sqlite3_prepare_v3(db->h, sql_text[id], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[id], NULL);
    q->st = db->statements[id];
}

void query_int(struct query *q, int64_t v)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_int64(q->st, ++q->n, v);
}

void query_text(struct query *q, const char *s)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_text64(q->st, ++q->n, s ? s : "", s ? strlen(s) : 0, SQLITE_STATIC, SQLITE_UTF8);
}

void query_blob(struct query *q, struct slice s)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_blob64(q->st, ++q->n, s.n ? (const void *)s.p : "", s.n, SQLITE_STATIC);
}

bool query_row(struct query *q)
{
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
        return false;
    q->rc = sqlite3_step(q->st);
    return q->rc == SQLITE_ROW;
}

tm_err query_end(struct query *q, struct diag *diag)
{
    int rc = q->rc;
    /* The message belongs to the statement: read it before the reset. */
    tm_err err = TM_OK;
    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
        err = db_fail(q->db, rc, diag);
    if (q->st)
        sqlite3_reset(q->st);
    q->rc = SQLITE_OK;
    return err;
}

tm_err query_leave(struct query *q, tm_err err, struct diag *diag)
{
    tm_err ended = query_end(q, err == TM_OK ? diag : NULL);
    return err == TM_OK ? ended : err;
}

tm_err query_run(struct db *db, enum sql id, struct diag *diag)
{
    struct query q;
    query_begin(&q, db, id);
    query_row(&q);
    return query_end(&q, diag);
}

const char *column_text(struct query *q, int i, struct arena *a, tm_err *err)
{
    const char *s = (const char *)sqlite3_column_text(q->st, i);
    if (!s || !*s)
        return "";
    const char *copy = arena_strndup(a, s, (size_t)sqlite3_column_bytes(q->st, i));
    if (copy)
        return copy;
    *err = arena_err(a);
    return "";
}

struct slice column_blob(struct query *q, int i, struct arena *a, tm_err *err)
{
    struct slice s = column_slice(q, i), copy = {0};
    if (s.n == 0)
        return copy;
    tm_err e = arena_copy(&copy, a, s);
    if (e != TM_OK)
        *err = e;
    return copy;
}

void column_octets(struct query *q, int i, void *out, size_t n)
{
    struct slice s = column_slice(q, i);
    memset(out, 0, n);
    if (s.n)
        memcpy(out, s.p, s.n < n ? s.n : n);
}
