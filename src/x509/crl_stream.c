#include "x509/crl_stream.h"
#include "x509/crl_parts.h"
#include <stdlib.h>
#include <string.h>

/* PART_MAX: what has to be whole in memory at a time. */
enum { PART_MAX = 64 << 10, WINDOW = 4 * PART_MAX, HEAD_MAX = 6 };

struct crl_stream {
    struct crl_source src;
    uint64_t unread; /* of the source */
    uint64_t list;   /* octets of the list that have not been given out */
    uint64_t tail;   /* of the TBSCertList behind the list */
    bool tbs_only;
    unsigned version;
    struct algid inner;
    struct crl crl;
    struct diag *diag;
    tm_err err;       /* sticky */
    size_t at, n;     /* what of the window has not been used */
    uint8_t *head;    /* what crl.issuer and the like borrow */
    uint8_t window[]; /* WINDOW */
};

static tm_err refuse(struct crl_stream *s, tm_err e, const char *rule, const char *message)
{
    s->err = e;
    return diag_fail(s->diag, e, rule, "certificateList", "%s", message);
}

/* Have `want` octets in the window, or all that are left. */
static tm_err fill(struct crl_stream *s, size_t want)
{
    if (s->n - s->at >= want || s->unread == 0)
        return TM_OK;
    memmove(s->window, s->window + s->at, s->n - s->at);
    s->n -= s->at;
    s->at = 0;
    size_t more = WINDOW - s->n;
    if (more > s->unread)
        more = (size_t)s->unread;
    s->err = s->src.read(s->src.arg, s->window + s->n, more);
    TM_TRY(s->err);
    s->n += more;
    s->unread -= more;
    return TM_OK;
}

static size_t ready(const struct crl_stream *s)
{
    return s->n - s->at;
}

/* Octets that the source still has, read ahead or not. */
static uint64_t rest(const struct crl_stream *s)
{
    return s->unread + ready(s);
}

/* The head of a SEQUENCE that may be longer than memory (X.690 8.1.3, 10.1): definite, in as few octets as can be. */
static bool head_read(size_t *ret_head, uint64_t *ret_n, const uint8_t *p, size_t avail)
{
    if (avail < 2 || p[0] != DER_SEQUENCE)
        return false;
    size_t octets = p[1] & 0x80 ? p[1] & 0x7f : 0;
    uint64_t n = octets ? 0 : p[1];
    if ((p[1] & 0x80 && octets == 0) || octets > 4 || avail < 2 + octets || (octets && p[2] == 0))
        return false;
    for (size_t i = 0; i < octets; i++)
        n = n << 8 | p[2 + i];
    if (octets && n < 0x80)
        return false;
    *ret_head = 2 + octets;
    *ret_n = n;
    return true;
}

static tm_err enter(struct crl_stream *s, uint64_t *ret_n)
{
    size_t head;
    TM_TRY(fill(s, HEAD_MAX));
    if (!head_read(&head, ret_n, s->window + s->at, ready(s)) || *ret_n > rest(s) - head)
        return refuse(s, TM_EMALFORMED, "X.690 8.1", "not a SEQUENCE that ends where it says");
    s->at += head;
    return TM_OK;
}

/* From the version to the head of the list, which is copied: entries go over it. */
static tm_err open_head(struct crl_stream *s)
{
    uint64_t tbs;
    if (!s->tbs_only) {
        uint64_t whole;
        TM_TRY(enter(s, &whole));
        if (whole != rest(s))
            return refuse(s, TM_EMALFORMED, "X.690 8.1", "bytes left over");
    }
    TM_TRY(enter(s, &tbs));
    if (s->tbs_only && tbs != rest(s))
        return refuse(s, TM_EMALFORMED, "X.690 8.1", "bytes left over");
    TM_TRY(fill(s, PART_MAX));
    size_t n = ready(s) < PART_MAX ? ready(s) : PART_MAX;
    n = n > tbs ? (size_t)tbs : n;
    s->head = malloc(n ? n : 1);
    if (!s->head)
        return s->err = TM_ENOMEM;
    memcpy(s->head, s->window + s->at, n);
    struct der_reader r;
    der_reader_init(&r, slice_of(s->head, n), s->diag);
    s->err = crl_head_read(&s->crl, &s->inner, &s->version, &r);
    TM_TRY(s->err);
    s->crl.sigalg = s->inner;
    size_t used = (size_t)(r.p - s->head), head = 0;
    if (der_peek(&r) == DER_SEQUENCE) {
        if (!head_read(&head, &s->list, r.p, (size_t)(r.end - r.p)) || s->list > tbs - used - head)
            return refuse(s, TM_EMALFORMED, "X.690 8.1", "a list that ends behind what it is in");
        if (s->list == 0) /* "the revoked certificates list MUST be absent" */
            return refuse(s, TM_EMALFORMED, "RFC 5280 5.1.2.6", "an empty list");
    }
    s->at += used + head;
    s->tail = tbs - used - head - s->list;
    if (s->tail > PART_MAX)
        return refuse(s, TM_ETOOBIG, NULL, "more than 64 KiB of extensions");
    return TM_OK;
}

tm_err crl_stream_open(struct crl_stream **ret, const struct crl_source *src, uint64_t total, bool tbs_only,
                       struct diag *diag)
{
    if (total > CRL_STREAM_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "certificateList", "more than 3 GiB");
    struct crl_stream *s = malloc(sizeof *s + WINDOW);
    if (!s)
        return TM_ENOMEM;
    *s = (struct crl_stream){.src = *src, .unread = total, .tbs_only = tbs_only, .diag = diag};
    tm_err e = open_head(s);
    if (e != TM_OK) {
        crl_stream_free(s);
        return e;
    }
    *ret = s;
    return TM_OK;
}

const struct crl *crl_stream_head(const struct crl_stream *s)
{
    return &s->crl;
}

tm_err crl_stream_next(struct crl_stream *s, struct crl_entry *ret)
{
    size_t head;
    uint64_t n;
    TM_TRY(s->err);
    if (s->list == 0)
        return TM_ENOTFOUND;
    TM_TRY(fill(s, HEAD_MAX));
    if (!head_read(&head, &n, s->window + s->at, ready(s)) || head + n > s->list)
        return refuse(s, TM_EMALFORMED, "X.690 8.1", "an entry that ends behind its list");
    if (head + n > PART_MAX)
        return refuse(s, TM_ETOOBIG, NULL, "an entry of more than 64 KiB");
    TM_TRY(fill(s, head + (size_t)n));
    struct crl_iter it;
    der_reader_init(&it.r, slice_of(s->window + s->at, head + (size_t)n), s->diag);
    s->err = crl_next(&it, ret);
    TM_TRY(s->err);
    s->at += head + (size_t)n;
    s->list -= head + n;
    return TM_OK;
}

/* CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signatureValue BIT STRING } */
static tm_err signature_read(struct crl_stream *s, struct der_reader *r)
{
    TM_TRY(algid_read(&s->crl.sigalg, r));
    if (!slice_eq(s->inner.der, s->crl.sigalg.der))
        return der_reject(r, TM_EMALFORMED, "RFC 5280 5.1.1.2", "signatureAlgorithm",
                          "differs from the algorithm inside the signed part");
    TM_TRY(der_read_bits(r, &s->crl.signature));
    return der_end(r);
}

tm_err crl_stream_end(struct crl_stream *s)
{
    struct der_reader tbs, r;
    TM_TRY(s->err);
    if (s->list || rest(s) > 2 * PART_MAX)
        return refuse(s, TM_EMALFORMED, "X.690 8.1", "too much behind the list");
    TM_TRY(fill(s, (size_t)rest(s)));
    der_reader_init(&tbs, slice_of(s->window + s->at, (size_t)s->tail), s->diag);
    s->err = crl_extensions_read(&s->crl, s->version, &tbs);
    if (s->err == TM_OK)
        s->err = der_end(&tbs);
    TM_TRY(s->err);
    s->at += (size_t)s->tail;
    s->tail = 0;
    der_reader_init(&r, slice_of(s->window + s->at, ready(s)), s->diag);
    if (!s->tbs_only)
        s->err = signature_read(s, &r);
    return s->err;
}

void crl_stream_free(struct crl_stream *s)
{
    if (s)
        free(s->head);
    free(s);
}
