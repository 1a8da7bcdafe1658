/* Online backup through the committer: pages are copied between groups by the writing connection itself, so that SQLite keeps the
 * copied part up to date with what is written meanwhile, and no reader pins the log. */
#include "base/digest.h"
#include "store/sqlite/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_PAGES = 64 };

struct backup {
    sqlite3 *to;
    sqlite3_backup *copy;
    void (*progress)(void *arg, int percent);
    void *arg;
    int percent;
};

static tm_err to_fail(sqlite3 *to, int rc, const char *path, struct diag *diag)
{
    struct db db = {.h = to, .file = path};
    return db_fail(&db, rc, diag);
}

static tm_err backup_slice(struct sqlite_store *s, void *arg, bool *again, struct diag *diag)
{
    struct backup *b = arg;
    if (!b->copy) {
        b->copy = sqlite3_backup_init(b->to, "main", s->w.db.h, "main");
        if (!b->copy)
            return to_fail(b->to, sqlite3_errcode(b->to), "the backup", diag);
    }
    int rc = sqlite3_backup_step(b->copy, SLICE_PAGES);
    int total = sqlite3_backup_pagecount(b->copy), left = sqlite3_backup_remaining(b->copy);
    /* The last tenth is the check's. */
    int percent = total > 0 ? (int)((int64_t)(total - left) * 90 / total) : 0;
    if (b->progress && percent > b->percent)
        b->progress(b->arg, percent);
    b->percent = percent > b->percent ? percent : b->percent;
    *again = rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED;
    if (*again)
        return TM_OK;
    int end = sqlite3_backup_finish(b->copy);
    b->copy = NULL;
    return rc == SQLITE_DONE && end == SQLITE_OK
               ? TM_OK
               : to_fail(b->to, rc == SQLITE_DONE ? end : rc, "the backup", diag);
}

static tm_err run_sql(sqlite3 *h, const char *sql, struct diag *diag)
{
    int rc = sqlite3_exec(h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TM_OK : to_fail(h, rc, "the backup", diag);
}

/* The copy is a database of its own: the index of the original, which may be ahead of it, must not fit it. */
static tm_err give_identity(sqlite3 *to, struct diag *diag)
{
    uint8_t identity[16];
    TM_TRY(random_bytes(identity, sizeof identity));
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(to, "UPDATE meta SET value = ? WHERE tenant = 0 AND name = 'store.identity'",
                                -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_blob(st, 1, identity, sizeof identity, SQLITE_STATIC);
        rc = sqlite3_step(st);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? TM_OK : to_fail(to, rc, "the backup", diag);
}

static tm_err verify(sqlite3 *to, struct diag *diag)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(to, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    bool good = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return good
               ? TM_OK
               : diag_fail(diag, TM_ECORRUPT, "store.backup", "backup", "the backup does not pass its check");
}

static tm_err fsync_path(const char *path, int flags, struct diag *diag)
{
    int fd = open(path, flags | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return rc == 0 ? TM_OK : diag_fail(diag, TM_EIO, "store.backup", "path", "%s: %s", path, strerror(errno));
}

/* On the disk under its name, or not at all. */
static tm_err publish(const char *part, const char *path, struct diag *diag)
{
    TM_TRY(fsync_path(part, O_RDONLY, diag));
    if (link(part, path) != 0)
        return diag_fail(diag, errno == EEXIST ? TM_ECONFLICT : TM_EIO, "store.backup", "path", "%s: %s",
                         path, strerror(errno));
    unlink(part);
    char *copy = strdup(path);
    if (!copy)
        return TM_ENOMEM;
    tm_err err = fsync_path(dirname(copy), O_RDONLY | O_DIRECTORY, diag);
    free(copy);
    return err;
}

static tm_err backup_copy(struct sqlite_store *s, struct backup *b, struct diag *diag)
{
    /* Not a file that anybody relies on before it is synced as a whole: no journal, no syncs on the way. */
    TM_TRY(run_sql(b->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-2048", diag));
    struct commit_job job = {.run = backup_slice, .arg = b};
    tm_err err = committer_job(s, &job, diag);
    if (b->copy)
        sqlite3_backup_finish(b->copy);
    b->copy = NULL;
    TM_TRY(err);
    TM_TRY(give_identity(b->to, diag));
    TM_TRY(run_sql(b->to, "PRAGMA journal_mode=DELETE", diag));
    TM_TRY(verify(b->to, diag));
    if (b->progress)
        b->progress(b->arg, 100);
    return TM_OK;
}

tm_err sqlite_backup(struct store *base, const char *path, void (*progress)(void *arg, int percent),
                     void *arg, struct diag *diag)
{
    struct sqlite_store *s = sqlite_store_of(base);
    char part[4096];
    int n = snprintf(part, sizeof part, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof part)
        return diag_fail(diag, TM_EINVAL, "store.backup", "path", "the path of the backup is too long");
    if (s->config.read_only)
        return diag_fail(diag, TM_EUNAVAIL, "store.backup", store_file, "the store was opened for reading");
    if (access(path, F_OK) == 0)
        return diag_fail(diag, TM_ECONFLICT, "store.backup", "path", "%s exists already", path);
    unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return diag_fail(diag, TM_EUNAVAIL, "store.backup", "path", "%s: %s", part, strerror(errno));
    close(fd);
    /* The connection is used by the committer, then by this thread: never by both at once. */
    struct backup b = {.progress = progress, .arg = arg};
    int rc = sqlite3_open_v2(part, &b.to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
    tm_err err = rc == SQLITE_OK ? backup_copy(s, &b, diag) : to_fail(b.to, rc, path, diag);
    sqlite3_close(b.to);
    if (err == TM_OK)
        err = publish(part, path, diag);
    if (err != TM_OK)
        unlink(part);
    return err;
}
