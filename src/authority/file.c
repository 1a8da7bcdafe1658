#include "authority/file.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_LEN = 4096 };

static tm_err io_fail(struct diag *diag, const char *path, const char *what)
{
    int e = errno;
    tm_err err = e == ENOSPC || e == EDQUOT ? TM_EFULL
                 : e == ENOENT              ? TM_ENOTFOUND
                 : e == EEXIST              ? TM_ECONFLICT
                                            : TM_EIO;
    return diag_fail(diag, err, NULL, NULL, "%s %s: %s", what, path, strerror(e));
}

tm_err file_read(struct slice *ret, struct arena *a, const char *path, size_t max, struct diag *diag)
{
    TM_CLEANUP(tm_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return io_fail(diag, path, "cannot read");
    if (!S_ISREG(st.st_mode))
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s is not a regular file", path);
    if ((uint64_t)st.st_size > max)
        return diag_fail(diag, TM_ETOOBIG, NULL, NULL, "%s is larger than %zu bytes", path, max);
    size_t n = 0, size = (size_t)st.st_size;
    uint8_t *p = arena_alloc(a, size + 1);
    if (!p)
        return TM_ENOMEM;
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return io_fail(diag, path, "cannot read");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret = slice_of(p, n);
    return TM_OK;
}

static void sync_directory(const char *path)
{
    char dir[PATH_LEN];
    const char *slash = strrchr(path, '/');
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    else
        strcpy(dir, ".");
    TM_CLEANUP(tm_close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)!fsync(fd);
}

tm_err file_write(const char *path, struct slice contents, mode_t mode, bool replace, struct diag *diag)
{
    char tmp[PATH_LEN];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return diag_fail(diag, TM_EINVAL, NULL, NULL, "the path is too long");
    unlink(tmp);
    TM_CLEANUP(tm_close_p) int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return io_fail(diag, path, "cannot write");
    if (fchmod(fd, mode) != 0 || !fd_write_all(fd, contents) || fsync(fd) != 0 ||
        (replace ? rename(tmp, path) : renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE)) != 0) {
        tm_err e = io_fail(diag, path, "cannot write");
        unlink(tmp);
        return e;
    }
    sync_directory(path);
    return TM_OK;
}
