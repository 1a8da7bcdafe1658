#include "torture/vfs_shim.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SECTOR = 4096, BUCKETS = 4096 };

/* A sector that has been written and not been synced. */
struct sector {
    uint64_t index;
    struct sector *next;
    uint8_t octets[SECTOR];
};

/* What all handles of one path share. */
struct node {
    char *path;
    int refs;
    struct shim_file *file; /* one that has it open, to write through at the cut */
    sqlite3_int64 size;
    bool shrunk; /* truncated since the last sync */
    struct sector *sectors[BUCKETS];
    struct node *next;
};

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real;
    struct node *node;
    bool writable;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *nodes;
static sqlite3_vfs shim, *real_vfs;
static struct vfs_shim_plan plan;
static struct vfs_shim_clock own_clock, *cut_clock = &own_clock;
static uint64_t random_state;
static int failing;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- sectors; the lock is held ---- */

static struct sector *sector_find(const struct node *n, uint64_t index)
{
    struct sector *s = n->sectors[index % BUCKETS];
    while (s && s->index != index)
        s = s->next;
    return s;
}

static int read_real(struct shim_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = f->real->pMethods->xRead(f->real, p, n, at);
    return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc; /* the rest was zeroed */
}

/* The sector as it is seen now, ready to be written. */
static int sector_for_write(struct sector **ret, struct shim_file *f, uint64_t index)
{
    struct node *n = f->node;
    struct sector *s = sector_find(n, index);
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            return SQLITE_IOERR_NOMEM;
        s->index = index;
        int rc = read_real(f, s->octets, SECTOR, (sqlite3_int64)index * SECTOR);
        if (rc != SQLITE_OK) {
            free(s);
            return rc;
        }
        s->next = n->sectors[index % BUCKETS];
        n->sectors[index % BUCKETS] = s;
    }
    *ret = s;
    return SQLITE_OK;
}

static int sector_write_real(struct shim_file *f, const struct sector *s)
{
    sqlite3_int64 at = (sqlite3_int64)s->index * SECTOR, left = f->node->size - at;
    int n = left >= SECTOR ? SECTOR : (int)left;
    return n > 0 ? f->real->pMethods->xWrite(f->real, s->octets, n, at) : SQLITE_OK;
}

/* Everything into the file. */
static int node_sync(struct shim_file *f)
{
    struct node *n = f->node;
    int rc = SQLITE_OK;
    if (n->shrunk)
        rc = f->real->pMethods->xTruncate(f->real, n->size);
    for (int b = 0; b < BUCKETS && rc == SQLITE_OK; b++) {
        while (n->sectors[b] && rc == SQLITE_OK) {
            struct sector *s = n->sectors[b];
            rc = sector_write_real(f, s);
            n->sectors[b] = s->next;
            free(s);
        }
    }
    n->shrunk = false;
    return rc;
}

/* ---- the cut ---- */

[[gnu::noreturn]] static void die(void)
{
    raise(SIGKILL);
    for (;;)
        pause();
}

/* A disk writes in what order it likes: of what nobody synced, any sector may have arrived. */
static void cut(void)
{
    for (struct node *n = nodes; plan.torn && n; n = n->next)
        for (int b = 0; n->file && b < BUCKETS; b++)
            for (struct sector *s = n->sectors[b]; s; s = s->next)
                if (random_next() & 1)
                    sector_write_real(n->file, s);
    die();
}

/* One more operation; an error code when operations are made to fail. */
static int operation(void)
{
    uint64_t now = atomic_fetch_add(&cut_clock->operations, 1) + 1, at = atomic_load(&cut_clock->cut_at);
    if (atomic_load(&cut_clock->cut))
        die();
    if (at && now >= at) {
        if (atomic_exchange(&cut_clock->cut, 1))
            die();
        cut();
    }
    return failing;
}

/* ---- files ---- */

static struct shim_file *file_of(sqlite3_file *file)
{
    return (struct shim_file *)(void *)file;
}

static int shim_close(sqlite3_file *file)
{
    struct shim_file *f = file_of(file);
    pthread_mutex_lock(&lock);
    int rc = SQLITE_OK;
    if (f->node->file == f)
        f->node->file = NULL;
    /* In good order the cache reaches the disk in the end. A later crash of this very process would lose it in a real cut; nobody
     * reopens a store that it has closed in the process that is to be cut. */
    if (--f->node->refs == 0 && f->writable && !failing)
        rc = node_sync(f);
    pthread_mutex_unlock(&lock);
    int closed = f->real->pMethods->xClose(f->real);
    free(f->real);
    return rc != SQLITE_OK ? rc : closed;
}

static int shim_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
    struct shim_file *f = file_of(file);
    pthread_mutex_lock(&lock);
    sqlite3_int64 left = f->node->size - at;
    int there = left <= 0 ? 0 : left < n ? (int)left : n, rc = SQLITE_OK;
    memset(p, 0, (size_t)n);
    for (int done = 0; done < there && rc == SQLITE_OK;) {
        sqlite3_int64 from = at + done;
        int in = (int)(from % SECTOR), k = SECTOR - in < there - done ? SECTOR - in : there - done;
        const struct sector *s = sector_find(f->node, (uint64_t)(from / SECTOR));
        if (s)
            memcpy((char *)p + done, s->octets + in, (size_t)k);
        else
            rc = read_real(f, (char *)p + done, k, from);
        done += k;
    }
    pthread_mutex_unlock(&lock);
    return rc != SQLITE_OK ? rc : there < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int shim_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    struct shim_file *f = file_of(file);
    pthread_mutex_lock(&lock);
    int rc = failing;
    for (int done = 0; done < n && rc == SQLITE_OK;) {
        sqlite3_int64 to = at + done;
        int in = (int)(to % SECTOR), k = SECTOR - in < n - done ? SECTOR - in : n - done;
        struct sector *s = NULL;
        rc = sector_for_write(&s, f, (uint64_t)(to / SECTOR));
        if (rc == SQLITE_OK)
            memcpy(s->octets + in, (const char *)p + done, (size_t)k);
        done += k;
    }
    if (rc == SQLITE_OK && at + n > f->node->size)
        f->node->size = at + n;
    operation();
    pthread_mutex_unlock(&lock);
    return rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct shim_file *f = file_of(file);
    pthread_mutex_lock(&lock);
    int rc = operation();
    if (rc == SQLITE_OK && size < f->node->size) {
        struct sector *s = NULL;
        f->node->size = size;
        f->node->shrunk = true;
        /* What lies beyond is zero when the file grows again. */
        for (int b = 0; b < BUCKETS; b++)
            for (struct sector **at = &f->node->sectors[b]; *at;) {
                s = *at;
                if ((sqlite3_int64)s->index * SECTOR < size) {
                    at = &s->next;
                    continue;
                }
                *at = s->next;
                free(s);
            }
        if (size % SECTOR) {
            rc = sector_for_write(&s, f, (uint64_t)(size / SECTOR));
            if (rc == SQLITE_OK)
                memset(s->octets + size % SECTOR, 0, (size_t)(SECTOR - size % SECTOR));
        }
        /* Sectors of the file beyond the end would be read again: the file itself is cut at once. */
        if (rc == SQLITE_OK)
            rc = f->real->pMethods->xTruncate(f->real, size);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int shim_sync(sqlite3_file *file, int flags)
{
    struct shim_file *f = file_of(file);
    pthread_mutex_lock(&lock);
    int rc = operation();
    if (rc == SQLITE_OK)
        rc = node_sync(f);
    pthread_mutex_unlock(&lock);
    return rc;
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    pthread_mutex_lock(&lock);
    *ret = file_of(file)->node->size;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

/* ---- what the real file does ---- */

static int shim_lock(sqlite3_file *file, int level)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xLock(f->real, level);
}
static int shim_unlock(sqlite3_file *file, int level)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xUnlock(f->real, level);
}
static int shim_check_reserved(sqlite3_file *file, int *ret)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xCheckReservedLock(f->real, ret);
}
static int shim_file_control(sqlite3_file *file, int op, void *arg)
{
    struct shim_file *f = file_of(file);
    /* Hints that would touch the file behind the sectors. */
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE || op == SQLITE_FCNTL_MMAP_SIZE)
        return SQLITE_NOTFOUND;
    return f->real->pMethods->xFileControl(f->real, op, arg);
}
static int shim_sector_size(sqlite3_file *file)
{
    return SECTOR;
}
static int shim_characteristics(sqlite3_file *file)
{
    return 0; /* promises nothing: no atomic or ordered writes, no powersafe overwrite */
}
static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xShmMap(f->real, page, size, extend, ret);
}
static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xShmLock(f->real, offset, n, flags);
}
static void shim_shm_barrier(sqlite3_file *file)
{
    struct shim_file *f = file_of(file);
    f->real->pMethods->xShmBarrier(f->real);
}
static int shim_shm_unmap(sqlite3_file *file, int drop)
{
    struct shim_file *f = file_of(file);
    return f->real->pMethods->xShmUnmap(f->real, drop);
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved,
    .xFileControl = shim_file_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

/* ---- the file system ---- */

/* The node of a path, with one more holder; its size is the file's when nobody has it yet. */
static int node_take(struct node **ret, const char *path, sqlite3_file *real)
{
    struct node *n = nodes;
    while (n && (!path || !n->path || strcmp(n->path, path) != 0))
        n = n->next;
    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n || (path && !(n->path = strdup(path)))) {
            free(n);
            return SQLITE_NOMEM;
        }
        n->next = nodes;
        nodes = n;
    }
    *ret = n;
    return n->refs++ > 0 ? SQLITE_OK : real->pMethods->xFileSize(real, &n->size);
}

static void file_ready(struct shim_file *f, bool writable)
{
    f->writable = writable;
    f->base.pMethods = &shim_methods;
    pthread_mutex_lock(&lock);
    if (writable && !f->node->file)
        f->node->file = f;
    pthread_mutex_unlock(&lock);
}

static int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    struct shim_file *f = file_of(file);
    f->base.pMethods = NULL;
    f->real = calloc(1, (size_t)real_vfs->szOsFile);
    if (!f->real)
        return SQLITE_NOMEM;
    int out = 0, rc = real_vfs->xOpen(real_vfs, path, f->real, flags, &out);
    if (rc == SQLITE_OK) {
        pthread_mutex_lock(&lock);
        rc = node_take(&f->node, path, f->real);
        pthread_mutex_unlock(&lock);
    }
    if (rc != SQLITE_OK) {
        if (f->real->pMethods)
            f->real->pMethods->xClose(f->real);
        free(f->real);
        return rc;
    }
    file_ready(f, (out & SQLITE_OPEN_READWRITE) != 0);
    if (ret_flags)
        *ret_flags = out;
    return SQLITE_OK;
}

sqlite3_file *vfs_shim_wrap(sqlite3_file *real)
{
    struct shim_file *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->real = real;
    pthread_mutex_lock(&lock);
    int rc = node_take(&f->node, NULL, real);
    pthread_mutex_unlock(&lock);
    if (rc != SQLITE_OK) {
        free(f);
        return NULL;
    }
    file_ready(f, true);
    return &f->base;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    pthread_mutex_lock(&lock);
    for (struct node *n = nodes; n; n = n->next) {
        if (!n->path || strcmp(n->path, path) != 0)
            continue;
        for (int b = 0; b < BUCKETS; b++)
            while (n->sectors[b]) {
                struct sector *s = n->sectors[b];
                n->sectors[b] = s->next;
                free(s);
            }
        n->size = 0;
    }
    pthread_mutex_unlock(&lock);
    return real_vfs->xDelete(real_vfs, path, sync_dir);
}

void vfs_shim_install(const struct vfs_shim_plan *p)
{
    plan = *p;
    random_state = p->seed * 2 + 1;
    if (p->clock)
        cut_clock = p->clock;
    else
        own_clock.cut_at = p->cut_at;
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.pNext = NULL;
    shim.zName = "tm-torture";
    shim.szOsFile = sizeof(struct shim_file);
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    sqlite3_vfs_register(&shim, 1);
}

static struct vfs_shim_clock *clock_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *p = fd >= 0 ? mmap(NULL, sizeof(struct vfs_shim_clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                      : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED) {
        fprintf(stderr, "TM_TORTURE_CLOCK: %s cannot be mapped\n", path);
        abort();
    }
    return p;
}

bool vfs_shim_install_env(void)
{
    const char *text = getenv("TM_TORTURE_VFS"), *path = getenv("TM_TORTURE_CLOCK");
    if (!text)
        return false;
    unsigned long long at = 0, seed = 1;
    int torn = 0;
    if (sscanf(text, "cut=%llu,seed=%llu,torn=%d", &at, &seed, &torn) < 1) {
        fprintf(stderr, "TM_TORTURE_VFS: expected cut=<n>,seed=<n>,torn=<0|1>\n");
        abort();
    }
    vfs_shim_install(&(struct vfs_shim_plan){
        .cut_at = at, .seed = seed, .torn = torn != 0, .clock = path ? clock_map(path) : NULL});
    return true;
}

uint64_t vfs_shim_operations(void)
{
    return atomic_load(&cut_clock->operations);
}

void vfs_shim_fail(int rc)
{
    pthread_mutex_lock(&lock);
    failing = rc;
    pthread_mutex_unlock(&lock);
}
