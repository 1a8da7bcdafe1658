/* touchmark_filter.h - ask a Touchmark revocation filter whether a certificate is revoked.
 *
 * A library of its own: C11, no dependency, no allocation, no global state, no recursion, less than 1 KiB of stack. A filter is one file
 * (docs/filter-format.md) that the caller has in memory, read or mapped; everything here borrows it. A filter that was opened is never
 * written to, so that any number of threads may ask it.
 *
 * Nothing here checks the signature at the end of the file: whoever fetches a filter does (docs/filter-format.md says how), for that
 * takes a CMS library. A file that was damaged or forged can make answers wrong; it can't make this code read outside of it. */
#ifndef TOUCHMARK_FILTER_H
#define TOUCHMARK_FILTER_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum tmf_answer {
    TMF_GOOD = 0,    /* issued, and not revoked at the filter's time */
    TMF_REVOKED = 1, /* issued, and revoked or on hold at the filter's time */
    TMF_NOT_COVERED =
        2, /* issued after the filter was made, or a serial longer than its authorities give: ask elsewhere */
    TMF_UNKNOWN_ISSUER = 3,
    TMF_CORRUPT = -1, /* the file contradicts itself here */
};

enum tmf_kind { TMF_FULL = 1, TMF_DELTA = 2 };
enum { TMF_ISSUER_LEN = 32, TMF_SERIAL_LEN = 16, TMF_NAME_MAX = 63, TMF_DIGEST_LEN = 32 };

/* A filter in memory. The fields are what its head says; `p`, `n` and `body` are the library's. */
struct tmf_filter {
    enum tmf_kind kind;
    char name[TMF_NAME_MAX + 1];
    uint64_t number;                     /* grows with every filter of that name */
    int64_t this_update;                 /* unix seconds: the answers are of then */
    int64_t next_update;                 /* a newer one is promised until then */
    uint64_t base_number;                /* delta: of the full filter that it goes with */
    uint8_t base_digest[TMF_DIGEST_LEN]; /* delta: SHA-256 of that filter's body */
    uint32_t n_issuers, n_sections;
    size_t body;              /* octets that are signed and digested: [0, body) */
    const uint8_t *signature; /* a CMS message over them, [body, n); NULL where there is none */
    size_t signature_n;
    const uint8_t *p;
    size_t n;
};

/* 0, or -1 when it is no filter of this format or its tables lead out of it. `bytes` is borrowed for as long as `f` is used. */
int tmf_open(struct tmf_filter *f, const void *bytes, size_t n);

/* What a filter says of one issuer. */
struct tmf_issuer {
    uint8_t id[TMF_ISSUER_LEN]; /* SHA-256 of its SubjectPublicKeyInfo */
    int64_t covered_until;      /* certificates issued before this (unix seconds) are covered */
    uint64_t members, revoked;
};
/* Of issuer `i`, counted from 0; -1 when there are not that many. */
int tmf_issuer_at(const struct tmf_filter *f, uint32_t i, struct tmf_issuer *ret);

/* Is this certificate revoked? `issuer`: SHA-256 of the issuing certificate's SubjectPublicKeyInfo. `serial`: the serial number's magnitude,
 * most significant octet first; leading zeros don't matter. `f` is a full filter, `delta` NULL or one that goes with it (tmf_fits()).
 * The answer is exact for certificates that were issued and had not expired at the filter's time; for a serial that was never given
 * out, which no valid certificate has, it may be either. */
enum tmf_answer tmf_query(const struct tmf_filter *f, const struct tmf_filter *delta,
                          const uint8_t issuer[TMF_ISSUER_LEN], const uint8_t *serial, size_t serial_n);

/* Does this delta go with that full filter, whose body has this SHA-256? 1 or 0. */
int tmf_fits(const struct tmf_filter *delta, const struct tmf_filter *f,
             const uint8_t digest[TMF_DIGEST_LEN]);

#ifdef __cplusplus
}
#endif
#endif
