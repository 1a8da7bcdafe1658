/* x509/crl.h - parse and build certificate revocation lists (RFC 5280 section 5).
 * Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/reader.h"
#include "x509/ext.h"
#include "x509/spki.h"
struct arena;
struct buf;

enum { CRL_DER_MAX = 512 << 20 };                         /* in memory */
static const uint64_t CRL_STREAM_MAX = UINT64_C(3) << 30; /* as it streams by (x509/crl_stream.h) */

enum crl_reason {
    CRL_UNSPECIFIED = 0,
    CRL_KEY_COMPROMISE = 1,
    CRL_CA_COMPROMISE = 2,
    CRL_AFFILIATION_CHANGED = 3,
    CRL_SUPERSEDED = 4,
    CRL_CESSATION_OF_OPERATION = 5,
    CRL_CERTIFICATE_HOLD = 6,
    CRL_REMOVE_FROM_CRL = 8,
    CRL_PRIVILEGE_WITHDRAWN = 9,
    CRL_AA_COMPROMISE = 10,
};
extern const char *const crl_reason_names[11]; /* "unspecified", "keyCompromise", …; [7] is NULL */

struct crl {
    struct slice der, tbs;
    struct algid sigalg;
    struct slice issuer;              /* Name TLV */
    int64_t this_update, next_update; /* next 0 when absent */
    struct exts exts;
    struct slice entries; /* contents of revokedCertificates; iterate with crl_next */
    struct slice signature;
};
struct crl_entry {
    struct slice serial; /* INTEGER contents */
    int64_t revoked_at;
    int reason;            /* enum crl_reason; CRL_UNSPECIFIED when absent */
    int64_t invalid_since; /* invalidityDate, 0 when absent */
    struct slice
        issuer; /* certificateIssuer, the Name TLV: of this entry's certificate and of those after it (RFC 5280 5.3.3); empty when absent */
    bool
        unknown_critical; /* parsing: a critical entry extension that only readers of indirect CRLs know (`issuer`) or that nobody
                             knows; else the CRL cannot be relied on (RFC 5280 5.3) */
};

/* Parse one DER CRL; trailing bytes are an error. Borrows `der`. Entries are checked as they are iterated. */
tm_err crl_parse(struct crl *ret, struct slice der, struct diag *diag);
/* Only the TBSCertList TLV, before it is signed: `der` and `signature` are empty, `sigalg` is the inner one. */
tm_err crl_parse_tbs(struct crl *ret, struct slice tbs, struct diag *diag);
struct crl_iter {
    struct der_reader r;
};
void crl_iter_init(struct crl_iter *it, const struct crl *c, struct diag *diag);
/* TM_ENOTFOUND at the end. */
tm_err crl_next(struct crl_iter *it, struct crl_entry *ret);
/* crlNumber contents, empty when absent. */
struct slice crl_number(const struct crl *c);

/* Streaming build of a TBSCertList: begin, add entries, end. Memory is the buffer's alone. */
struct tbs_crl {
    struct slice sigalg; /* AlgorithmIdentifier TLV */
    struct slice issuer; /* Name TLV */
    int64_t this_update, next_update;
    struct slice akid;   /* key id */
    struct slice number; /* unsigned big-endian magnitude, at most 20 octets */
    const char *
        idp_url; /* critical issuingDistributionPoint with this one name; NULL: the whole scope (RFC 5280 5.2.5) */
    bool indirect;            /* indirectCRL in it: entries may be of several issuers */
    struct slice base;        /* a delta to the CRL of this number (5.2.4); empty: complete */
    const char *freshest_url; /* where its delta is (5.2.6); NULL: none */
};
struct crl_builder {
    struct buf *out;
    const struct tbs_crl *t;
    size_t tbs_at, entries_at; /* where to fix up lengths */
    size_t n;
    tm_err err;      /* the first error; sticky */
    int64_t time_of; /* `time` is its TLV */
    uint8_t time[17], time_n;
};
/* `t` is borrowed until the end. Any number of entries; a serial is INTEGER contents as crl_next() gives them. */
void crl_build_begin(struct crl_builder *b, struct buf *out, const struct tbs_crl *t);
void crl_build_entry(struct crl_builder *b, const struct crl_entry *e);
/* Extensions and lengths; the TBSCertList TLV is complete in `out`. */
tm_err crl_build_end(struct crl_builder *b);

/* For lists that are too long for memory: who builds takes entries out of `out` as they come and keeps them elsewhere, in their order, n_list octets in
 * all and one entry at least. What goes before them (from the TBSCertList's head to the list's) and after them (the extensions). The head
 * is never longer than crl_build_prefix(). */
tm_err crl_build_end_apart(struct crl_builder *b, uint64_t n_list, struct buf *head, struct buf *tail);
/* Octets of `out` before the first entry. */
size_t crl_build_prefix(const struct crl_builder *b);
