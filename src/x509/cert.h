/* x509/cert.h - parse and build certificates (RFC 5280 section 4).
 * Layer 2, pure. A parsed certificate borrows its DER. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/ext.h"
#include "x509/name.h"
#include "x509/spki.h"
struct arena;
struct buf;

enum { CERT_DER_MAX = 64 << 10, CERT_SERIAL_MAX = 20, CERT_SERIAL_LEN = 16 };

struct cert {
    struct slice der;    /* the whole Certificate TLV */
    struct slice tbs;    /* the whole TBSCertificate TLV: what is signed */
    unsigned version;    /* 1..3 */
    struct slice serial; /* INTEGER contents, as encoded (a leading zero octet stays) */
    struct algid sigalg;
    struct slice issuer, subject;  /* Name TLVs; name_parse() for more */
    int64_t not_before, not_after; /* unix seconds */
    struct spki spki;
    struct exts exts;
    struct slice signature; /* octets of the BIT STRING */
};

/* Parse one DER certificate; trailing bytes, mismatched inner/outer algorithm, v1 with extensions are errors.
 * Errors: TM_EMALFORMED, TM_ETOOBIG. */
tm_err cert_parse(struct cert *ret, struct slice der, struct diag *diag);
/* Only the TBSCertificate TLV, before it is signed: `der` is empty, `sigalg` the inner one, `signature` empty. */
tm_err cert_parse_tbs(struct cert *ret, struct slice tbs, struct diag *diag);

/* SubjectKeyIdentifier/AuthorityKeyIdentifier key ids; empty when absent or malformed. */
struct slice cert_ski(const struct cert *c);
struct slice cert_akid(const struct cert *c);
bool cert_is_ca(const struct cert *c);
/* Parsed subjectAltName; n == 0 when absent. */
tm_err cert_san(struct general_names *ret, struct arena *a, const struct cert *c, struct diag *diag);

/* What is to be signed. All slices are borrowed. */
struct tbs_cert {
    struct slice serial;  /* 1..20 octets, unsigned big-endian magnitude, top bit clear */
    struct slice sigalg;  /* AlgorithmIdentifier TLV */
    struct slice issuer;  /* Name TLV */
    struct slice subject; /* Name TLV (an empty SEQUENCE for an empty name) */
    struct slice spki;    /* SubjectPublicKeyInfo TLV */
    int64_t not_before, not_after;
    const struct ext *exts;
    size_t n_exts;
};
/* Append the TBSCertificate TLV (v3). *ret_serial_offset (may be NULL): where in the TLV the serial's octets start, so that the signer
 * can fill in its random part. A serial whose first octet is zero stays as given only if CERT_SERIAL_LEN long and its
 * second-to-be-first octet needs it; callers use serials with a non-zero first octet. */
tm_err tbs_cert_build(struct buf *out, const struct tbs_cert *t, size_t *ret_serial_offset);

/* Contents of an INTEGER without the octets that only keep it from reading as negative; zero stays one octet. */
struct slice serial_magnitude(struct slice contents);
/* The same filled up in front: an id of the inventory, where it is one of ours. False, and nothing is written, for one that is too long. */
bool serial_pad(uint8_t *out, size_t size, struct slice contents);
/* INTEGER contents of a magnitude of at most `n` octets, in n + 1 octets of room. */
struct slice serial_contents(uint8_t *room, struct slice magnitude);

/* SEQUENCE { tbs, sigalg, BIT STRING signature }: certificates, CRLs and requests alike. Appended. */
tm_err signed_assemble(struct buf *out, struct slice tbs, struct slice sigalg, struct slice signature);
