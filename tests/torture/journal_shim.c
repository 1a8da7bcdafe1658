/* The names that libc has for files of any size are what the program calls. */
#undef _FILE_OFFSET_BITS
#include "torture/journal_shim.h"
#include "torture/vfs_shim.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 8 };

static struct {
    int (*openat)(int, const char *, int, ...);
    ssize_t (*pread)(int, void *, size_t, off64_t);
    ssize_t (*pwrite)(int, const void *, size_t, off64_t);
    int (*ftruncate)(int, off64_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
    int (*close)(int);
} libc;

/* Libraries open and close files before any constructor of ours has run. */
static void libc_find(void)
{
    libc.openat = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
    libc.pread = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    libc.pwrite = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    libc.ftruncate = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    libc.fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    libc.fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    libc.close = (int (*)(int))dlsym(RTLD_NEXT, "close");
}

static bool installed, deaf_disk;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int fd;
    sqlite3_file *file; /* NULL: free */
} table[FILES_MAX];

/* The forgetting file behind a descriptor; NULL: it is libc's to handle. */
static sqlite3_file *find(int fd)
{
    sqlite3_file *found = NULL;
    if (!libc.close)
        libc_find();
    if (!installed)
        return NULL;
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < FILES_MAX; i++)
        if (table[i].file && table[i].fd == fd)
            found = table[i].file;
    pthread_mutex_unlock(&table_lock);
    return found;
}

/* ---- a descriptor as SQLite sees a file ---- */

struct fd_file {
    sqlite3_file base;
    int fd;
};

static int fd_of(sqlite3_file *f)
{
    return ((struct fd_file *)(void *)f)->fd;
}

static int fd_close(sqlite3_file *f)
{
    return libc.close(fd_of(f)) == 0 ? SQLITE_OK : SQLITE_IOERR_CLOSE;
}

static int fd_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    ssize_t got = libc.pread(fd_of(f), p, (size_t)n, at);
    if (got < 0)
        return SQLITE_IOERR_READ;
    memset((char *)p + got, 0, (size_t)(n - got));
    return got == n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int fd_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return libc.pwrite(fd_of(f), p, (size_t)n, at) == n ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int fd_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return libc.ftruncate(fd_of(f), size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int fd_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    struct stat64 st;
    if (fstat64(fd_of(f), &st) != 0)
        return SQLITE_IOERR_FSTAT;
    *ret = st.st_size;
    return SQLITE_OK;
}

static const sqlite3_io_methods fd_methods = {
    .iVersion = 1,
    .xClose = fd_close,
    .xRead = fd_read,
    .xWrite = fd_write,
    .xTruncate = fd_truncate,
    .xFileSize = fd_size,
};

/* ---- instead of libc's ---- */

static int failed(void)
{
    errno = EIO;
    return -1;
}

static bool is_journal(const char *path)
{
    return strcmp(path, "signer.journal") == 0 || strcmp(path, ".signer.journal.tmp") == 0;
}

static void adopt(int fd)
{
    struct fd_file *real = calloc(1, sizeof *real);
    if (!real)
        abort();
    *real = (struct fd_file){.base.pMethods = &fd_methods, .fd = fd};
    sqlite3_file *file = vfs_shim_wrap(&real->base);
    int i = 0;
    pthread_mutex_lock(&table_lock);
    while (i < FILES_MAX && table[i].file)
        i++;
    if (!file || i == FILES_MAX)
        abort();
    table[i].fd = fd;
    table[i].file = file;
    pthread_mutex_unlock(&table_lock);
}

int openat64(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!libc.close)
        libc_find();
    int fd = libc.openat(dir, path, flags, mode);
    if (installed && fd >= 0 && is_journal(path))
        adopt(fd);
    return fd;
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
    sqlite3_file *f = find(fd);
    sqlite3_int64 size;
    if (!f)
        return libc.pread(fd, p, n, at);
    int rc = f->pMethods->xRead(f, p, (int)n, at);
    if (rc == SQLITE_OK)
        return (ssize_t)n;
    if (rc != SQLITE_IOERR_SHORT_READ || f->pMethods->xFileSize(f, &size) != SQLITE_OK)
        return failed();
    return size > at ? (ssize_t)(size - at) : 0;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    sqlite3_file *f = find(fd);
    if (!f)
        return libc.pwrite(fd, p, n, at);
    return f->pMethods->xWrite(f, p, (int)n, at) == SQLITE_OK ? (ssize_t)n : failed();
}

int ftruncate64(int fd, off64_t size)
{
    sqlite3_file *f = find(fd);
    if (!f)
        return libc.ftruncate(fd, size);
    return f->pMethods->xTruncate(f, size) == SQLITE_OK ? 0 : failed();
}

static int flush(sqlite3_file *f)
{
    return deaf_disk || f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) == SQLITE_OK ? 0 : failed();
}

int fsync(int fd)
{
    sqlite3_file *f = find(fd);
    return f ? flush(f) : libc.fsync(fd);
}

int fdatasync(int fd)
{
    sqlite3_file *f = find(fd);
    return f ? flush(f) : libc.fdatasync(fd);
}

int close(int fd)
{
    sqlite3_file *f = find(fd);
    if (!f)
        return libc.close(fd);
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < FILES_MAX; i++)
        if (table[i].file == f)
            table[i].file = NULL;
    pthread_mutex_unlock(&table_lock);
    int rc = f->pMethods->xClose(f); /* gives the descriptor back as well */
    free(f);
    return rc == SQLITE_OK ? 0 : failed();
}

void journal_shim_install(bool on, bool deaf)
{
    deaf_disk = deaf;
    installed = on;
}
