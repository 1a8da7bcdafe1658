#include "discover/walk.h"
#include "base/buf.h"
#include "inventory/formats/container.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One walk: the path so far is one buffer that grows and shrinks. */
struct tree {
    struct walk *w;
    dev_t device;
    char path[WALK_PATH_MAX];
    size_t n;
    struct buf file;
};

static void trouble(struct tree *t, const char *why)
{
    t->w->unreadable++;
    if (t->w->trouble)
        t->w->trouble(t->w->arg, t->path, why);
}

static bool excluded(const struct tree *t)
{
    for (const char *const *p = t->w->exclude; p && *p; p++)
        if (fnmatch(*p, t->path, 0) == 0)
            return true;
    return false;
}

/* At most so many octets more; false on an error. */
static bool read_some(struct buf *b, int fd, size_t most)
{
    while (b->n < most) {
        size_t want = most - b->n < 65536 ? most - b->n : 65536;
        uint8_t *to = buf_extend(b, want);
        if (!to)
            return false;
        ssize_t n = read(fd, to, want);
        b->n -= want - (n > 0 ? (size_t)n : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
    }
    return true;
}

static void look_at(struct tree *t, int fd, const struct stat *st)
{
    struct walk *w = t->w;
    size_t size = st->st_size > 0 ? (size_t)st->st_size : 0;
    w->files++;
    buf_reset(&t->file);
    if (size < 16 || size > CONTAINER_OCTETS_MAX)
        return;
    if (!read_some(&t->file, fd, WALK_HEAD)) {
        trouble(t, strerror(errno));
        return;
    }
    if (!container_likely(buf_slice(&t->file), size))
        return;
    if (!read_some(&t->file, fd, CONTAINER_OCTETS_MAX)) {
        trouble(t, strerror(errno));
        return;
    }
    w->read++;
    w->octets += t->file.n;
    w->ended = !w->file(w->arg, t->path, buf_slice(&t->file));
}

static void walk_dir(struct tree *t, int fd, unsigned depth);

/* `name` in the open directory `at`; what is not a file nor a directory is passed over. */
static void enter(struct tree *t, int at, const char *name, unsigned depth)
{
    struct stat st;
    if (excluded(t))
        return;
    /* Not to wait for the other end of a pipe, nor to wake a device. */
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (errno != ELOOP && errno != ENXIO && errno != ENOENT)
            trouble(t, strerror(errno));
        return;
    }
    if (fstat(fd, &st) != 0)
        trouble(t, strerror(errno));
    else if (S_ISREG(st.st_mode))
        look_at(t, fd, &st);
    else if (S_ISDIR(st.st_mode) && depth == 0)
        trouble(t, "too deep");
    else if (S_ISDIR(st.st_mode) && (t->w->cross || st.st_dev == t->device)) {
        walk_dir(t, fd, depth - 1);
        return; /* which closed it */
    }
    close(fd);
}

/* Takes `fd`. */
static void walk_dir(struct tree *t, int fd, unsigned depth)
{
    DIR *d = fdopendir(fd);
    size_t before = t->n;
    if (!d) {
        trouble(t, strerror(errno));
        close(fd);
        return;
    }
    for (const struct dirent *e; !t->w->ended && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        bool special = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        bool passed = e->d_type != DT_UNKNOWN && e->d_type != DT_REG && e->d_type != DT_DIR;
        if (special || passed)
            continue;
        if (before + n + 2 > sizeof t->path) {
            trouble(t, "a path that is too long");
            continue;
        }
        if (t->path[before - 1] != '/')
            t->path[t->n++] = '/';
        memcpy(t->path + t->n, e->d_name, n + 1);
        t->n += n;
        enter(t, fd, e->d_name, depth);
        t->n = before;
        t->path[before] = '\0';
    }
    closedir(d);
}

bool walk_tree(struct walk *w, const char *root)
{
    struct tree t = {.w = w, .n = strlen(root)};
    struct stat st;
    w->ended = false;
    if (t.n == 0 || t.n + 1 > sizeof t.path)
        return false;
    memcpy(t.path, root, t.n + 1);
    while (t.n > 1 && t.path[t.n - 1] == '/')
        t.path[--t.n] = '\0';
    int fd = open(root, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        trouble(&t, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    t.device = st.st_dev;
    buf_init(&t.file, CONTAINER_OCTETS_MAX + 65536);
    if (S_ISDIR(st.st_mode)) {
        walk_dir(&t, fd, WALK_DEPTH_MAX);
    } else {
        if (S_ISREG(st.st_mode))
            look_at(&t, fd, &st);
        close(fd);
    }
    buf_done(&t.file);
    return true;
}
