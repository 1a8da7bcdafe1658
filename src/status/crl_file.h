/* status/crl_file.h - revocation lists that are too long for memory and for a row: made in a file, read from it, published by a rename.
 *
 * Layer 4, blocking. A list of more than CRL_ROW_MAX octets lies in <store>/crl/, named by the hash of what is signed, so that a name never means two
 * lists. It gets that name once it is whole and flushed; it counts once the store's row names it, in the transaction that records it; the
 * one before goes after that. What a power cut leaves behind is found by crl_files_sweep(). Memory: some 2 MiB, whatever the length. */
#pragma once
#include "base/buf.h"
#include "keys/signer.h"
#include "store/store.h"
#include "x509/crl_stream.h"
struct house;

enum { CRL_ROW_MAX = 1 << 20, CRL_FILE_NAME = 40 };

/* ---- making one ---- */

struct crl_out {
    const char *dir; /* <store>/crl */
    bool may_spill;
    struct tbs_crl t;
    struct crl_builder b;
    struct buf buf; /* what has not been written yet; all of it while fd is -1 */
    int fd;
    char tmp[CRL_FILE_NAME];
    uint64_t entries_at, n_list; /* in the file */
    /* what is to be signed: `tbs`, or `file` where fd is not -1 */
    struct slice tbs;
    struct sign_file file;
    uint64_t size; /* of the whole CRL, once it is signed */
};
/* `t` and what it borrows have to stay. Without `may_spill` it stays in memory, whatever its length. */
void crl_out_begin(struct crl_out *o, const char *dir, bool may_spill, const struct tbs_crl *t);
tm_err crl_out_entry(struct crl_out *o, const struct crl_entry *e, struct diag *diag);
tm_err crl_out_end(struct crl_out *o, struct diag *diag);
/* With its signature: in `der` where it is in memory, else on the disk under `name`, which is filled. */
tm_err crl_out_sign(struct crl_out *o, const struct sign_op *op, struct slice algid, struct buf *der,
                    char name[CRL_FILE_NAME], struct diag *diag);
/* The store's row names the file: it stays. */
static inline void crl_out_keep(struct crl_out *o)
{
    o->tmp[0] = '\0';
}
/* Removes what has not been published. */
void crl_out_done(struct crl_out *o);

/* ---- reading what is published ---- */

struct crl_in {
    struct crl_stream *s;
    int fd;
    struct slice memory;
    uint64_t at;
};
/* Entries of a stored CRL by crl_stream_next(in->s). TM_ENOTFOUND where its file is gone, as after a restore. Borrows the row. */
tm_err crl_in_open(struct crl_in *in, const struct house *h, const struct crl_row *row, struct diag *diag);
void crl_in_close(struct crl_in *in);

static inline bool crl_row_is_file(const struct crl_row *row)
{
    return row->file && row->file[0];
}
static inline uint64_t crl_row_size(const struct crl_row *row)
{
    return crl_row_is_file(row) ? row->size : row->der.n;
}
/* Is the file of such a row there? */
bool crl_row_there(const struct house *h, const struct crl_row *row);
/* The file, open for reading; -1. */
int crl_row_open(const struct house *h, const struct crl_row *row);
void crl_file_remove(const struct house *h, const char *name);
/* Remove the files that no row of the house's authorities names. */
void crl_files_sweep(struct house *h);
