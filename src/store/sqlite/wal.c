/* The log of touchmark.db: moved into the file by a thread of its own, so that the committer never pays for it.
 *
 * Under constant load a passive checkpoint never reaches the end of the log, and the log would grow for ever. So once it is long and
 * nearly moved, the committer moves the short rest between two groups; the next write then begins the log anew. */
#include "store/sqlite/internal.h"
#include <signal.h>

enum {
    WAL_FRAMES_START = 2048,  /* 16 MiB: worth a checkpoint */
    WAL_FRAMES_FINISH = 4096, /* 32 MiB: worth the committer's help */
    WAL_FRAMES_REST = 256,    /* what the committer is given to move: 2 MiB */
};

/* The committer's connection tells how long the log is after each commit. */
static int wal_written(void *arg, sqlite3 *h, const char *name, int frames)
{
    struct wal *w = &((struct sqlite_store *)arg)->wal;
    if (frames >= WAL_FRAMES_START) {
        pthread_mutex_lock(&w->lock);
        w->wanted = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
    }
    return SQLITE_OK;
}

/* An error here is the committer's to find: its writes fail as well, with somebody to tell. */
static void wal_move(struct sqlite_store *s)
{
    int frames = 0, moved = 0;
    for (int passes = 0; passes < 4; passes++) {
        int rc = sqlite3_wal_checkpoint_v2(s->wal.db.h, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
        if (rc != SQLITE_OK || frames - moved <= WAL_FRAMES_REST)
            break;
    }
    if (frames >= WAL_FRAMES_FINISH)
        atomic_store(&s->wal.finish, true);
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
        wal_move(s);
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
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, wal_thread, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!w->started)
        return diag_fail(diag, TM_EUNAVAIL, "store", store_file, "no thread for the log");
    pthread_setname_np(w->thread, "wal");
    return TM_OK;
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
