/* The log of touchmark.db: moved into the file by a thread of its own, so that the committer never pays for it.
 *
 * It is moved in small portions, each of which is synced at once: a sync of much at a time would keep the disk, and with it the
 * committer's own sync, busy for as long. SQLite syncs the file only when nothing is left to move, which under constant load is never.
 * Nor would the log ever begin anew then, so once it is long and all but moved, the committer moves the short rest between two groups.
 * The log's file keeps its size: what is written over needs nothing of the file system's own journal, behind which a sync can wait long.
 * Therefore the log gets longer the first time than ever after.
 *
 * A log that fills slowly is in nobody's way but its move is, once a move: so it gets longer before that. */
#include "store/sqlite/internal.h"

enum {
    WAL_FRAMES_MOVE = 512,    /* 4 MiB: worth moving */
    WAL_FRAMES_SLOW = 2048,   /* 16 MiB: the same where they took their time */
    WAL_SLOW_NS = 1000000000, /* for WAL_FRAMES_MOVE of them */
    WAL_FRAMES_FINISH = 3072, /* 24 MiB: worth the committer's help */
    WAL_FRAMES_FIRST = 4608,  /* 36 MiB: the same where the file has never been so long */
};

/* Is it time for so many frames? Those that took long to come are left until there are more of them. The committer's. */
static bool worth_moving(struct wal *w, int frames)
{
    if (frames < WAL_FRAMES_MOVE)
        return false;
    uint64_t now = clock_mono_ns();
    if (frames < WAL_FRAMES_SLOW && now - w->asked_at > WAL_SLOW_NS)
        return false;
    w->asked_at = now;
    return true;
}

/* The committer's connection tells how long the log is after each commit. */
static int wal_written(void *arg, sqlite3 *h, const char *name, int frames)
{
    struct wal *w = &((struct sqlite_store *)arg)->wal;
    int moved = atomic_load_explicit(&w->moved, memory_order_relaxed);
    if (frames < moved) { /* it has begun anew */
        moved = 0;
        atomic_store_explicit(&w->moved, 0, memory_order_relaxed);
    }
    if (worth_moving(w, frames - moved)) {
        pthread_mutex_lock(&w->lock);
        w->wanted = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
    }
    return SQLITE_OK;
}

/* What there is to move; its length at the beginning, -1 when it cannot be moved. An error here is the committer's to find: its writes
 * fail as well, with somebody to tell. */
static int wal_move(struct sqlite_store *s)
{
    sqlite3 *h = s->wal.db.h;
    int frames = -1, moved = 0;
    sqlite3_file *file = NULL;
    if (sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved) != SQLITE_OK)
        return -1;
    /* SQLite has synced the file itself where nothing was left. */
    if (moved < frames && !s->config.unsafe_async &&
        sqlite3_file_control(h, NULL, SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK && file &&
        file->pMethods)
        file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    atomic_store_explicit(&s->wal.moved, moved, memory_order_relaxed);
    s->wal.longest = frames > s->wal.longest ? frames : s->wal.longest;
    return frames;
}

void wal_finish(struct sqlite_store *s)
{
    if (!atomic_load_explicit(&s->wal.finish, memory_order_relaxed))
        return;
    atomic_store(&s->wal.finish, false);
    sqlite3_wal_checkpoint_v2(s->w.db.h, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *wal_thread(void *arg)
{
    struct sqlite_store *s = arg;
    struct wal *w = &s->wal;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        while (!w->stopping && !w->wanted)
            pthread_cond_wait(&w->wake, &w->lock);
        bool stop = w->stopping;
        w->wanted = false;
        pthread_mutex_unlock(&w->lock);
        if (stop)
            return NULL;
        int limit = w->longest < WAL_FRAMES_FIRST ? WAL_FRAMES_FIRST : WAL_FRAMES_FINISH;
        /* Twice, so that what came during the first time is not the committer's. */
        if (wal_move(s) >= limit && wal_move(s) >= 0)
            atomic_store(&s->wal.finish, true);
    }
}

tm_err wal_start(struct sqlite_store *s, struct diag *diag)
{
    struct wal *w = &s->wal;
    TM_TRY(db_open(
        &w->db, s->dir, store_file,
        &(struct db_options){
            .mode = DB_WRITE, .cache_kib = 64, .async = s->config.unsafe_async, .no_autocheckpoint = true},
        diag));
    sqlite3_wal_hook(s->w.db.h, wal_written, s);
    w->started = store_thread(&w->thread, "wal", wal_thread, s);
    return w->started ? TM_OK : diag_fail(diag, TM_EUNAVAIL, "store", store_file, "no thread for the log");
}

void wal_stop(struct sqlite_store *s)
{
    struct wal *w = &s->wal;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->stopping = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        w->started = false;
    }
    db_close(&w->db);
}
