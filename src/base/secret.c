#include "base/secret.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>

enum { SECRET_FILE_MAX = 4096 };

/* Every secret has pages of its own: core dumps and swap are kept out by the page. The size is noted there rather than
 * taken from n, so that a holder may shorten a secret. */
struct secret_pages {
    size_t size;
    alignas(max_align_t) uint8_t bytes[];
};

tm_err secret_init(struct secret *s, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (n > SIZE_MAX / 2)
        return TM_ETOOBIG;
    size_t size = (sizeof(struct secret_pages) + n + 1 + page - 1) / page * page;
    struct secret_pages *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return TM_ENOMEM;
    /* Both as far as the system lets us: the allowance for locked memory may be small. */
    madvise(pages, size, MADV_DONTDUMP);
    mlock(pages, size);
    pages->size = size;
    *s = (struct secret){.p = pages->bytes, .n = n};
    return TM_OK;
}

tm_err secret_copy(struct secret *s, struct slice from)
{
    struct secret made;
    TM_TRY(secret_init(&made, from.n));
    if (from.n)
        memcpy(made.p, from.p, from.n);
    *s = made;
    return TM_OK;
}

void secret_done(struct secret *s)
{
    if (s->p) {
        struct secret_pages *pages =
            (struct secret_pages *)(void *)(s->p - offsetof(struct secret_pages, bytes));
        size_t size = pages->size;
        OPENSSL_cleanse(pages, size);
        munmap(pages, size);
    }
    *s = (struct secret){0};
}

static size_t without_newline(const uint8_t *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n')
        n--;
    if (n > 0 && p[n - 1] == '\r')
        n--;
    return n;
}

static tm_err read_whole(struct secret *s, int fd, const char *name, struct diag *diag)
{
    struct secret whole; /* one byte longer than allowed, which shows that there was more */
    TM_TRY(secret_init(&whole, SECRET_FILE_MAX + 1));
    size_t n = 0;
    tm_err err = TM_OK;
    while (n < whole.n) {
        ssize_t got = read(fd, whole.p + n, whole.n - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = diag_fail(diag, TM_EIO, NULL, name, "cannot read the passphrase: %s", strerror(errno));
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (err == TM_OK && n > SECRET_FILE_MAX)
        err = diag_fail(diag, TM_ETOOBIG, NULL, name, "the passphrase is longer than %d bytes",
                        SECRET_FILE_MAX);
    n = without_newline(whole.p, n);
    if (err == TM_OK && n == 0)
        err = diag_fail(diag, TM_EINVAL, NULL, name, "the passphrase is empty");
    if (err == TM_OK)
        err = secret_copy(s, slice_of(whole.p, n));
    secret_done(&whole);
    return err;
}

tm_err secret_read_fd(struct secret *s, int fd, struct diag *diag)
{
    return read_whole(s, fd, "descriptor", diag);
}

tm_err secret_read_file(struct secret *s, const char *path, struct diag *diag)
{
    TM_CLEANUP(tm_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return diag_fail(diag, TM_EIO, NULL, path, "cannot open the passphrase file: %s", strerror(errno));
    return read_whole(s, fd, path, diag);
}

/* ---- the terminal ---- */

enum { KEY_INTERRUPT = 0x03, KEY_EOF = 0x04, KEY_KILL = 0x15, KEY_BACKSPACE = 0x08, KEY_DELETE = 0x7f };

static void write_text(int fd, const char *text)
{
    ssize_t written = write(fd, text, strlen(text));
    (void)written;
}

/* One line, edited by ourselves: the terminal's own line discipline would act on ^C with the echo still off. Returns false
 * when there is no line: interrupted, end of input or read error. */
static bool read_line(struct secret *line, int tty, bool *interrupted)
{
    size_t n = 0;
    for (;;) {
        uint8_t c = 0;
        ssize_t got = read(tty, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        *interrupted = got == 1 && c == KEY_INTERRUPT;
        if (got != 1 || *interrupted || (c == KEY_EOF && n == 0))
            return false;
        if (c == '\n' || c == '\r' || c == KEY_EOF)
            break;
        if (c == KEY_KILL) {
            n = 0;
        } else if (c == KEY_BACKSPACE || c == KEY_DELETE) {
            while (n > 0 && (line->p[n - 1] & 0xc0) == 0x80) /* the tail of a UTF-8 character */
                n--;
            n -= n > 0;
        } else if (n < line->n) {
            line->p[n++] = c;
        }
    }
    line->n = n;
    return true;
}

tm_err secret_prompt(struct secret *s, const char *prompt, struct diag *diag)
{
    struct termios before, silent;
    TM_CLEANUP(tm_close_p) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before) != 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "there is no terminal to ask for the passphrase on");
    struct secret line;
    TM_TRY(secret_init(&line, SECRET_FILE_MAX));
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    bool interrupted = false, entered = false;
    write_text(tty, prompt);
    if (tcsetattr(tty, TCSAFLUSH, &silent) == 0) {
        entered = read_line(&line, tty, &interrupted);
        tcsetattr(tty, TCSAFLUSH, &before);
    }
    write_text(tty, "\n");
    tm_err err;
    if (interrupted)
        raise(SIGINT);
    if (!entered)
        err = diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "no passphrase was entered");
    else if (line.n == 0)
        err = diag_fail(diag, TM_EINVAL, NULL, NULL, "the passphrase is empty");
    else
        err = secret_copy(s, secret_slice(&line));
    secret_done(&line);
    return err;
}
