/* x509/cms/signed.h - SignedData with a signer: read what clients send, write what the house answers (RFC 5652 section 5).
 *
 * Layer 2, pure. Whether a signature verifies is keys/cms.h's. Content other than id-data must have signed attributes (RFC 5652 5.3), and
 * nothing else is read or written here: a signature straight over content could be taken for one over attributes. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/spki.h"
#include <stdbool.h>
#include <stdint.h>
struct arena;
struct buf;

enum { SIGNED_DATA_MAX = 1 << 20, SIGNED_CERTS_MAX = 16, SIGNED_SIGNERS_MAX = 4, SIGNED_ATTRS_MAX = 16 };

struct signed_signer {
    struct slice issuer, serial; /* Name TLV, INTEGER contents; or */
    struct slice key_id;         /* subjectKeyIdentifier */
    struct algid digest_alg, sig_alg;
    struct slice attrs;          /* SET OF Attribute TLV as it is signed */
    struct slice content_type;   /* OID contents */
    struct slice message_digest; /* octets */
    int64_t signing_time;        /* unix seconds; 0 when absent */
    struct slice signature;
};

struct signed_data {
    struct slice content_type;            /* eContentType, OID contents */
    struct slice content;                 /* eContent octets; empty where id-data has none: never detached */
    struct slice certs[SIGNED_CERTS_MAX]; /* plain certificates, whole TLVs */
    size_t n_certs;
    struct signed_signer signers[SIGNED_SIGNERS_MAX]; /* none in what is not signed */
    size_t n_signers;
};

/* A ContentInfo with SignedData, BER or DER, trailing bytes refused. *ret borrows from `ber` and from `a`.
 * TM_EMALFORMED, TM_ETOOBIG (more certificates or signers than fit). */
tm_err signed_data_parse(struct signed_data *ret, struct arena *a, struct slice ber, struct diag *diag);
/* Does the signer name this certificate (issuer and serial, or its subjectKeyIdentifier)? */
struct cert;
bool signed_signer_is(const struct signed_signer *s, const struct cert *c);

/* SET OF Attribute TLV to be signed: contentType, signingTime, messageDigest; appended. */
tm_err signed_attrs_build(struct buf *out, struct slice content_type, struct slice digest, int64_t time);
/* The same with further attributes, Attribute TLVs in a row. */
tm_err signed_attrs_build_with(struct buf *out, struct slice content_type, struct slice digest, int64_t time,
                               struct slice attributes);

struct signed_message {
    struct slice content_type, content; /* OID contents; octets, none in id-data without content */
    const struct slice *certs;
    size_t n_certs;
    /* the signer, by issuer and serial; `attrs` empty: nobody signs */
    struct slice issuer, serial;
    struct slice digest_alg, sig_alg; /* AlgorithmIdentifier TLVs */
    struct slice attrs;               /* as signed_attrs_build() made it */
    struct slice signature;
    bool bare; /* SignedData alone, as it is put inside EnvelopedData; else ContentInfo */
};
tm_err signed_data_build(struct buf *out, const struct signed_message *m);
