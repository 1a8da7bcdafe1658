#include "keys/signer_crl.h"
#include "keys/signer.h"
#include "x509/crl_stream.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

bool sign_alg_streams(enum sig_alg alg)
{
    const struct sig_alg_info *info = sig_alg_info(alg);
    return info && (info->digest || (alg >= SIG_ML_DSA_44 && alg <= SIG_ML_DSA_87));
}

/* The chain's SHA-256 and, where the signature takes something else, that. */
struct hashing {
    int fd;
    uint64_t at;
    EVP_MD_CTX *chain, *message;
};

/* FIPS 204, algorithms 2 and 7: mu = SHAKE256(SHAKE256(pk, 64) || 0 || length of the context, 0 || message, 64). */
static bool begin_mu(EVP_MD_CTX *c, const struct key *key)
{
    struct spki spki;
    uint8_t tr[64 + 2] = {0};
    return spki_parse(&spki, key_spki(key), NULL) == TM_OK &&
           EVP_DigestInit_ex(c, EVP_shake256(), NULL) == 1 &&
           EVP_DigestUpdate(c, spki.key.p, spki.key.n) == 1 && EVP_DigestFinalXOF(c, tr, 64) == 1 &&
           EVP_DigestInit_ex(c, EVP_shake256(), NULL) == 1 && EVP_DigestUpdate(c, tr, sizeof tr) == 1;
}

static bool begin(struct hashing *h, const struct key *key, enum sig_alg alg)
{
    const struct sig_alg_info *info = sig_alg_info(alg);
    h->chain = EVP_MD_CTX_new();
    if (!h->chain || EVP_DigestInit_ex(h->chain, EVP_sha256(), NULL) != 1)
        return false;
    if (info->digest && strcmp(info->digest, "SHA2-256") == 0)
        return true;
    h->message = EVP_MD_CTX_new();
    if (!h->message)
        return false;
    if (!info->digest)
        return begin_mu(h->message, key);
    EVP_MD *md = EVP_MD_fetch(NULL, info->digest, NULL);
    bool good = md && EVP_DigestInit_ex(h->message, md, NULL) == 1;
    EVP_MD_free(md);
    return good;
}

static tm_err read_and_hash(void *arg, uint8_t *out, size_t n)
{
    struct hashing *h = arg;
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(h->fd, out + done, n - done, (off_t)h->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return TM_EIO; /* cut short meanwhile */
        done += (size_t)got;
        h->at += (uint64_t)got;
    }
    if (EVP_DigestUpdate(h->chain, out, n) != 1 || (h->message && EVP_DigestUpdate(h->message, out, n) != 1))
        return TM_ECRYPTO;
    return TM_OK;
}

static tm_err end(struct crl_digests *ret, struct hashing *h, enum sig_alg alg)
{
    unsigned n = 0;
    if (EVP_DigestFinal_ex(h->chain, ret->sha256, NULL) != 1)
        return TM_ECRYPTO;
    if (!h->message) {
        memcpy(ret->message, ret->sha256, sizeof ret->sha256);
        n = sizeof ret->sha256;
    } else if (sig_alg_info(alg)->digest) {
        if (EVP_DigestFinal_ex(h->message, ret->message, &n) != 1)
            return TM_ECRYPTO;
    } else {
        n = 64;
        if (EVP_DigestFinalXOF(h->message, ret->message, n) != 1)
            return TM_ECRYPTO;
    }
    ret->n = n;
    return TM_OK;
}

static tm_err check_all(struct hashing *h, uint64_t n, const struct envelope *e, enum sig_alg alg,
                        int64_t now, struct diag *diag)
{
    struct crl_source src = {.read = read_and_hash, .arg = h};
    struct crl_stream *s = NULL;
    struct crl_entry entry;
    tm_err err = crl_stream_open(&s, &src, n, true, diag);
    if (err == TM_OK)
        err = envelope_check_crl_head(e, alg, crl_stream_head(s), now, diag);
    while (err == TM_OK)
        err = crl_stream_next(s, &entry);
    if (err == TM_ENOTFOUND)
        err = crl_stream_end(s);
    if (err == TM_OK)
        err = envelope_check_crl_end(crl_stream_head(s), diag);
    crl_stream_free(s);
    return err == TM_EMALFORMED || err == TM_ETOOBIG ? TM_EDENIED : err; /* diag has the reader's reason */
}

tm_err signer_crl_read(struct crl_digests *ret, const struct core_job *job, const struct key *key,
                       enum sig_alg alg, const struct envelope *e, int64_t now, struct diag *diag)
{
    if (!sign_alg_streams(alg))
        return diag_fail(diag, TM_EUNSUPPORTED, "signer.file", NULL,
                         "%s reads a message twice, and a file may change in between",
                         sig_alg_info(alg)->name);
    struct hashing h = {.fd = job->fd, .at = job->op.serial_offset};
    tm_err err = begin(&h, key, alg) ? check_all(&h, job->op.tbs_size, e, alg, now, diag) : TM_ECRYPTO;
    if (err == TM_OK)
        err = end(ret, &h, alg);
    EVP_MD_CTX_free(h.chain);
    EVP_MD_CTX_free(h.message);
    return err;
}
