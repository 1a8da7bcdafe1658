/* Lists of bad keys: read once, then sorted arrays of what is left of each hash. */
#include "keys/blocklist.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* 80 bits of SHA-1 is what the published lists have; of SHA-256 128 are kept. */
enum { SHA1_LEN = 20, MODULUS_OCTETS = 10, SPKI_OCTETS = 16, MODULUS_BYTES_MAX = 8192 / 8 };

struct entries {
    uint8_t *p;
    size_t n, cap, octets;
};

struct key_blocklist {
    struct entries modulus, spki;
    size_t bytes, files; /* read so far */
};

static int modulus_cmp(const void *a, const void *b)
{
    return memcmp(a, b, MODULUS_OCTETS);
}

static int spki_cmp(const void *a, const void *b)
{
    return memcmp(a, b, SPKI_OCTETS);
}

static struct key_blocklist *blocklist_new(void)
{
    struct key_blocklist *b = calloc(1, sizeof *b);
    if (b) {
        b->modulus.octets = MODULUS_OCTETS;
        b->spki.octets = SPKI_OCTETS;
    }
    return b;
}

void key_blocklist_free(struct key_blocklist *b)
{
    if (!b)
        return;
    free(b->modulus.p);
    free(b->spki.p);
    free(b);
}

size_t key_blocklist_size(const struct key_blocklist *b)
{
    return b->modulus.n + b->spki.n;
}

static tm_err add(struct entries *v, const uint8_t *entry)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 1024;
        uint8_t *p = realloc(v->p, cap * v->octets);
        if (!p)
            return TM_ENOMEM;
        v->p = p;
        v->cap = cap;
    }
    memcpy(v->p + v->n++ * v->octets, entry, v->octets);
    return TM_OK;
}

/* ---- the text ---- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The first `octets` octets of a line of hexadecimal digits and nothing else. */
static bool read_hex(uint8_t *out, size_t octets, struct slice line)
{
    for (size_t i = 0; i < line.n; i++) {
        int d = hex_digit(line.p[i]);
        if (d < 0)
            return false;
        if (i / 2 < octets)
            out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | d : d << 4);
    }
    return true;
}

static tm_err parse(struct key_blocklist *b, struct slice text, const char *name, struct diag *diag)
{
    for (size_t number = 1; text.n; number++) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct slice line = slice_trim(slice_sub(text, 0, n));
        text = slice_sub(text, end ? n + 1 : n, text.n);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        uint8_t entry[SPKI_OCTETS];
        bool modulus = line.n == 2 * (size_t)MODULUS_OCTETS, spki = line.n == 2 * (size_t)SHA256_LEN;
        struct entries *to = modulus ? &b->modulus : &b->spki;
        if ((!modulus && !spki) || !read_hex(entry, to->octets, line))
            return diag_fail(diag, TM_EMALFORMED, "weak-keys", name,
                             "line %zu is neither 20 nor 64 hexadecimal digits", number);
        TM_TRY(add(to, entry));
    }
    return TM_OK;
}

static void finish(struct key_blocklist *b)
{
    if (b->modulus.n)
        qsort(b->modulus.p, b->modulus.n, MODULUS_OCTETS, modulus_cmp);
    if (b->spki.n)
        qsort(b->spki.p, b->spki.n, SPKI_OCTETS, spki_cmp);
}

tm_err key_blocklist_parse(struct key_blocklist **ret, struct slice text, const char *name, struct diag *diag)
{
    struct key_blocklist *b = blocklist_new();
    if (!b)
        return TM_ENOMEM;
    tm_err e = parse(b, text, name, diag);
    if (e != TM_OK) {
        key_blocklist_free(b);
        return e;
    }
    finish(b);
    *ret = b;
    return TM_OK;
}

/* ---- files ---- */

static tm_err read_all(int fd, uint8_t *p, size_t n)
{
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return TM_EIO;
        p += got;
        n -= (size_t)got;
    }
    return TM_OK;
}

static tm_err load_file(struct key_blocklist *b, int fd, size_t size, const char *name, struct diag *diag)
{
    if (++b->files > KEY_BLOCKLIST_FILES || size > KEY_BLOCKLIST_BYTES - b->bytes)
        return diag_fail(diag, TM_ETOOBIG, "weak-keys", name, "the lists are more than %d files or %d MiB",
                         KEY_BLOCKLIST_FILES, KEY_BLOCKLIST_BYTES >> 20);
    b->bytes += size;
    uint8_t *text = malloc(size + 1);
    if (!text)
        return TM_ENOMEM;
    tm_err e = read_all(fd, text, size);
    if (e != TM_OK)
        e = diag_fail(diag, e, "weak-keys", name, "cannot read the list: %s", strerror(errno));
    else
        e = parse(b, slice_of(text, size), name, diag);
    free(text);
    return e;
}

static tm_err load_directory(struct key_blocklist *b, int fd, const char *path, struct diag *diag)
{
    int copy = dup(fd);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        if (copy >= 0)
            close(copy);
        return diag_fail(diag, TM_EIO, "weak-keys", path, "cannot read the directory: %s", strerror(errno));
    }
    tm_err err = TM_OK;
    for (const struct dirent *e; err == TM_OK && (e = readdir(d));) {
        TM_CLEANUP(tm_close_p) int file = -1;
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        file = openat(fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0 || fstat(file, &st) != 0)
            err =
                diag_fail(diag, TM_EIO, "weak-keys", e->d_name, "cannot open the list: %s", strerror(errno));
        else if (S_ISREG(st.st_mode))
            err = load_file(b, file, (size_t)st.st_size, e->d_name, diag);
    }
    closedir(d);
    return err;
}

tm_err key_blocklist_load(struct key_blocklist **ret, const char *path, struct diag *diag)
{
    TM_CLEANUP(tm_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return diag_fail(diag, errno == ENOENT ? TM_ENOTFOUND : TM_EIO, "weak-keys", path,
                         "cannot open the lists of weak keys: %s", strerror(errno));
    struct key_blocklist *b = blocklist_new();
    if (!b)
        return TM_ENOMEM;
    tm_err e = TM_OK;
    if (S_ISDIR(st.st_mode))
        e = load_directory(b, fd, path, diag);
    else if (S_ISREG(st.st_mode))
        e = load_file(b, fd, (size_t)st.st_size, path, diag);
    else
        e = diag_fail(diag, TM_EINVAL, "weak-keys", path, "neither a file nor a directory");
    if (e != TM_OK) {
        key_blocklist_free(b);
        return e;
    }
    finish(b);
    *ret = b;
    return TM_OK;
}

/* ---- the look-up ---- */

/* SHA-1 over the line that `openssl rsa -modulus` prints, upper case, without a leading zero. */
static tm_err modulus_hash(uint8_t out[SHA1_LEN], struct slice modulus)
{
    static const char digits[] = "0123456789ABCDEF";
    char line[sizeof "Modulus=\n" + 2 * MODULUS_BYTES_MAX];
    size_t n = sizeof "Modulus=" - 1;
    memcpy(line, "Modulus=", n);
    for (size_t i = 0; i < modulus.n && i < MODULUS_BYTES_MAX; i++) {
        if (i || modulus.p[0] >> 4)
            line[n++] = digits[modulus.p[i] >> 4];
        line[n++] = digits[modulus.p[i] & 15];
    }
    line[n++] = '\n';
    return sha1(out, slice_of(line, n));
}

tm_err key_blocklisted(bool *ret, const struct key_blocklist *b, const struct pubkey_info *info,
                       const struct spki *spki)
{
    *ret = false;
    if (b->spki.n) {
        uint8_t hash[SHA256_LEN];
        TM_TRY(sha256(hash, spki->der));
        *ret = bsearch(hash, b->spki.p, b->spki.n, SPKI_OCTETS, spki_cmp) != NULL;
    }
    if (!*ret && b->modulus.n && info->alg == KEY_ALG_RSA) {
        uint8_t hash[SHA1_LEN];
        TM_TRY(modulus_hash(hash, info->rsa_modulus));
        *ret = bsearch(hash + SHA1_LEN - MODULUS_OCTETS, b->modulus.p, b->modulus.n, MODULUS_OCTETS,
                       modulus_cmp) != NULL;
    }
    return TM_OK;
}
