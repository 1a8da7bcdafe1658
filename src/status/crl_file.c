#include "status/crl_file.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "der/builder.h"
#include "issue/house.h"
#include "status/crl.h"
#include "status/scope.h"
#include "x509/cert.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* CHUNK: written at a time. SIGNATURE_MAX: what follows the signed part at most. */
enum { CHUNK = 256 << 10, OUTER_HEAD = 6, SIGNATURE_MAX = 8 << 10 };

static tm_err io_fail(struct diag *diag, const char *what, const char *dir)
{
    int error = errno;
    return diag_fail(diag, error == ENOSPC || error == EDQUOT ? TM_EFULL : TM_EIO, "crl.file", dir,
                     "%s in %s: %s", what, dir, strerror(error));
}

static bool put_at(int fd, struct slice s, uint64_t at)
{
    while (s.n) {
        ssize_t n = pwrite(fd, s.p, s.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_of(s.p + n, s.n - (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

static bool get_at(int fd, uint8_t *out, size_t n, uint64_t at)
{
    while (n) {
        ssize_t got = pread(fd, out, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        out += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

/* Heads are as short as DER wants them, and only known at the end: what follows them then moves down a few octets. Lists of 16 MiB and more have
 * the longest heads, and stay. */
static bool move_down(int fd, uint64_t from, uint64_t to, uint64_t n)
{
    uint8_t piece[16 << 10];
    for (uint64_t done = 0; from != to && done < n;) {
        size_t k = n - done < sizeof piece ? (size_t)(n - done) : sizeof piece;
        if (!get_at(fd, piece, k, from + done) || !put_at(fd, slice_of(piece, k), to + done))
            return false;
        done += k;
    }
    return true;
}

/* SEQUENCE and its length */
static size_t head_of(uint8_t out[OUTER_HEAD], uint64_t n)
{
    size_t octets = 0;
    for (uint64_t rest = n; n >= 0x80 && rest; rest >>= 8)
        octets++;
    out[0] = DER_SEQUENCE;
    out[1] = (uint8_t)(octets ? 0x80 | octets : n);
    for (size_t i = octets; i > 0; i--, n >>= 8)
        out[1 + i] = (uint8_t)n;
    return 2 + octets;
}

/* ---- making one ---- */

void crl_out_begin(struct crl_out *o, const char *dir, bool may_spill, const struct tbs_crl *t)
{
    *o = (struct crl_out){.dir = dir, .may_spill = may_spill, .t = *t, .fd = -1};
    buf_init(&o->buf, CRL_DER_MAX);
    crl_build_begin(&o->b, &o->buf, &o->t);
}

static tm_err open_file(struct crl_out *o, struct diag *diag)
{
    static atomic_uint number;
    if (mkdir(o->dir, 0700) != 0 && errno != EEXIST)
        return io_fail(diag, "cannot make the directory of long CRLs", o->dir);
    snprintf(o->tmp, sizeof o->tmp, ".tmp-%d-%u", (int)getpid(), atomic_fetch_add(&number, 1));
    TM_CLEANUP(tm_close_p) int dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        o->fd = openat(dir, o->tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return o->fd >= 0 ? TM_OK : io_fail(diag, "cannot make a long CRL", o->dir);
}

static tm_err flush(struct crl_out *o, struct diag *diag)
{
    size_t prefix = crl_build_prefix(&o->b);
    TM_TRY(o->b.err);
    TM_TRY(buf_err(&o->buf));
    if (o->fd < 0) {
        TM_TRY(open_file(o, diag));
        o->entries_at = OUTER_HEAD + prefix;
    }
    struct slice entries = slice_sub(buf_slice(&o->buf), prefix, o->buf.n);
    if (!put_at(o->fd, entries, o->entries_at + o->n_list))
        return io_fail(diag, "cannot write a long CRL", o->dir);
    o->n_list += entries.n;
    o->buf.n = prefix;
    return o->n_list <= CRL_STREAM_MAX ? TM_OK : TM_ETOOBIG;
}

tm_err crl_out_entry(struct crl_out *o, const struct crl_entry *e, struct diag *diag)
{
    crl_build_entry(&o->b, e);
    if (o->may_spill && o->buf.n >= (o->fd < 0 ? (size_t)CRL_ROW_MAX : (size_t)CHUNK))
        return flush(o, diag);
    return o->b.err;
}

tm_err crl_out_end(struct crl_out *o, struct diag *diag)
{
    struct buf head, tail;
    if (o->fd < 0) {
        TM_TRY(crl_build_end(&o->b));
        o->tbs = buf_slice(&o->buf);
        return TM_OK;
    }
    TM_TRY(flush(o, diag));
    buf_init(&head, 64 << 10);
    buf_init(&tail, 64 << 10);
    tm_err e = crl_build_end_apart(&o->b, o->n_list, &head, &tail);
    if (e == TM_OK) {
        uint8_t outer[OUTER_HEAD];
        uint64_t at = o->entries_at - head.n, n = head.n + o->n_list + tail.n;
        uint64_t to = head_of(outer, n + SIGNATURE_MAX);
        if (!put_at(o->fd, buf_slice(&head), at) ||
            !put_at(o->fd, buf_slice(&tail), o->entries_at + o->n_list) || !move_down(o->fd, at, to, n))
            e = io_fail(diag, "cannot write a long CRL", o->dir);
        o->file = (struct sign_file){.fd = o->fd, .offset = (uint32_t)to, .n = n};
    }
    buf_done(&head);
    buf_done(&tail);
    return e;
}

/* Behind the signed part, and what goes before all. */
static tm_err close_outer(struct crl_out *o, struct slice algid, struct slice signature)
{
    uint8_t outer[OUTER_HEAD];
    struct buf b;
    buf_init(&b, SIGNATURE_MAX);
    struct der_builder d;
    der_builder_init(&d, &b);
    der_put_tlv(&d, algid);
    der_put_bits(&d, signature);
    TM_TRY(der_builder_finish(&d));
    uint64_t n = o->file.n + b.n;
    size_t head = head_of(outer, n);
    bool good = move_down(o->fd, o->file.offset, head, o->file.n) &&
                put_at(o->fd, slice_of(outer, head), 0) && put_at(o->fd, buf_slice(&b), head + o->file.n) &&
                ftruncate(o->fd, (off_t)(head + n)) == 0;
    buf_done(&b);
    o->size = head + n;
    return good ? TM_OK : TM_EIO;
}

tm_err crl_out_sign(struct crl_out *o, const struct sign_op *op, struct slice algid, struct buf *der,
                    char name[CRL_FILE_NAME], struct diag *diag)
{
    struct slice signature = slice_of(op->signature, op->signature_n);
    name[0] = '\0';
    if (o->fd < 0) {
        tm_err e = signed_assemble(der, o->tbs, algid, signature);
        o->size = der->n;
        return e;
    }
    if (close_outer(o, algid, signature) != TM_OK)
        return io_fail(diag, "cannot write a long CRL", o->dir);
    hex_encode(name, slice_of(op->tbs_hash, 16));
    memcpy(name + 32, ".crl", 5);
    /* Whole before it has its name, and its name before the store says it. */
    TM_CLEANUP(tm_close_p) int dir = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(o->fd) != 0 || renameat(dir, o->tmp, dir, name) != 0)
        return io_fail(diag, "cannot publish a long CRL", o->dir);
    snprintf(o->tmp, sizeof o->tmp, "%s", name); /* removed with the rest, unless the caller takes it */
    return fsync(dir) == 0 ? TM_OK : io_fail(diag, "cannot publish a long CRL", o->dir);
}

static void remove_at(const char *dir_name, const char *name)
{
    TM_CLEANUP(tm_close_p) int dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        TM_IGNORE(unlinkat(dir, name, 0) == 0 ? TM_OK : TM_EIO);
}

void crl_out_done(struct crl_out *o)
{
    if (o->fd >= 0) {
        close(o->fd);
        if (o->tmp[0])
            remove_at(o->dir, o->tmp);
    }
    o->fd = -1;
    buf_done(&o->buf);
}

/* ---- reading ---- */

int crl_row_open(const struct house *h, const struct crl_row *row)
{
    TM_CLEANUP(tm_close_p) int dir = open(h->crl_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int fd = dir >= 0 ? openat(dir, row->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != row->size)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool crl_row_there(const struct house *h, const struct crl_row *row)
{
    TM_CLEANUP(tm_close_p) int fd = crl_row_open(h, row);
    return fd >= 0;
}

static tm_err read_in(void *arg, uint8_t *out, size_t n)
{
    struct crl_in *in = arg;
    if (in->fd < 0)
        memcpy(out, in->memory.p + in->at, n);
    else if (!get_at(in->fd, out, n, in->at))
        return TM_EIO;
    in->at += n;
    return TM_OK;
}

tm_err crl_in_open(struct crl_in *in, const struct house *h, const struct crl_row *row, struct diag *diag)
{
    *in = (struct crl_in){.fd = -1, .memory = row->der};
    if (crl_row_is_file(row)) {
        in->fd = crl_row_open(h, row);
        if (in->fd < 0)
            return diag_fail(diag, TM_ENOTFOUND, "crl.file", NULL, "the file %s of a long CRL is gone",
                             row->file);
    }
    struct crl_source src = {.read = read_in, .arg = in};
    tm_err e = crl_stream_open(&in->s, &src, crl_row_size(row), false, diag);
    if (e != TM_OK)
        crl_in_close(in);
    return e;
}

void crl_in_close(struct crl_in *in)
{
    crl_stream_free(in->s);
    in->s = NULL;
    tm_close_p(&in->fd);
    in->fd = -1;
}

/* ---- tidying ---- */

void crl_file_remove(const struct house *h, const char *name)
{
    if (name && name[0])
        remove_at(h->crl_dir, name);
}

/* What the rows of one authority name. */
static tm_err named_by(struct house *h, const struct authority *x, struct buf *names)
{
    struct arena *a = arena_new(256 << 20);
    struct crl_scope *scopes = a ? arena_calloc(a, CRL_SCOPES_MAX, sizeof *scopes) : NULL;
    tm_err e = scopes ? TM_OK : TM_ENOMEM;
    size_t n = e == TM_OK ? crl_scopes(scopes, CRL_SCOPES_MAX, x) : 0;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        struct crl_row row;
        e = crl_current_of(&row, a, h, x, scopes[i].name);
        if (e == TM_OK && crl_row_is_file(&row))
            buf_printf(names, "%s\n", row.file);
        e = e == TM_ENOTFOUND ? TM_OK : e;
    }
    arena_free(a);
    return e == TM_OK ? buf_err(names) : e;
}

void crl_files_sweep(struct house *h)
{
    DIR *d = opendir(h->crl_dir);
    if (!d)
        return;
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    struct buf names;
    buf_init(&names, 16 << 20);
    tm_err e = TM_OK;
    for (size_t i = 0; i < n && e == TM_OK; i++)
        e = named_by(h, v[i], &names);
    catalog_unref(cat);
    for (const struct dirent *f; e == TM_OK && (f = readdir(d));)
        if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 &&
            !strstr(buf_str(&names), f->d_name))
            crl_file_remove(h, f->d_name);
    buf_done(&names);
    closedir(d);
}
