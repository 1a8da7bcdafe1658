#include "base/clock.h"
#include "store/schema/schema.h"
#include "store/sqlite/internal.h"
#include <string.h>

/* The table that says which migrations a file has had is the one thing that no migration makes. */
static const char create_table[] = "CREATE TABLE IF NOT EXISTS migration ("
                                   "number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL, "
                                   "applied_at INTEGER NOT NULL)";

static size_t known_steps(void)
{
    size_t n = 0;
    while (schema_steps[n].name)
        n++;
    return n;
}

/* How many the file has had; refuses what this binary does not know. */
static tm_err applied_steps(size_t *ret, struct db *db, struct diag *diag)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->h, "SELECT number, name, sha256 FROM migration ORDER BY number", -1, &st,
                                NULL);
    size_t n = 0, known = known_steps();
    tm_err err = TM_OK;
    while (rc == SQLITE_OK && err == TM_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        int64_t number = sqlite3_column_int64(st, 0);
        if (number > (int64_t)known)
            err = diag_fail(
                diag, TM_EUNSUPPORTED, "store.schema", db->file,
                "%s was written by a newer version (schema %lld, this one knows %zu): run that version",
                db->file, (long long)number, known);
        else if (number != (int64_t)n + 1 || sqlite3_column_bytes(st, 2) != 32 ||
                 memcmp(sqlite3_column_blob(st, 2), schema_steps[n].sha256, 32) != 0)
            err = diag_fail(diag, TM_ECORRUPT, "store.schema", db->file,
                            "%s: migration %lld is not the one that this version has", db->file,
                            (long long)number);
        n++;
    }
    if (err == TM_OK && rc != SQLITE_DONE)
        err = db_fail(db, rc, diag);
    sqlite3_finalize(st);
    if (err == TM_OK)
        *ret = n;
    return err;
}

static tm_err apply_step(struct db *db, size_t i, struct diag *diag)
{
    TM_TRY(db_exec(db, schema_steps[i].sql, diag));
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        db->h, "INSERT INTO migration (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, (int64_t)i + 1);
        sqlite3_bind_text(st, 2, schema_steps[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_blob(st, 3, schema_steps[i].sha256, 32, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, clock_now());
        rc = sqlite3_step(st);
    }
    tm_err err = rc == SQLITE_DONE ? TM_OK : db_fail(db, rc, diag);
    sqlite3_finalize(st);
    return err;
}

tm_err migrate(struct db *db, bool read_only, struct diag *diag)
{
    size_t had = 0, known = known_steps();
    if (!read_only)
        TM_TRY(db_exec(db, create_table, diag));
    TM_TRY(applied_steps(&had, db, diag));
    if (had < known && read_only)
        return diag_fail(diag, TM_EUNSUPPORTED, "store.schema", db->file,
                         "%s has an older schema; start the server once to bring it up to date", db->file);
    for (size_t i = had; i < known; i++) {
        /* One transaction a step: a power cut between two leaves a whole schema. */
        TM_TRY(db_exec(db, "BEGIN IMMEDIATE", diag));
        tm_err err = apply_step(db, i, diag);
        if (err == TM_OK)
            err = db_exec(db, "COMMIT", diag);
        if (err != TM_OK) {
            if (!sqlite3_get_autocommit(db->h))
                sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
            return err;
        }
    }
    return TM_OK;
}
