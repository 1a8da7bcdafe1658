/* x509/spki.h - SubjectPublicKeyInfo and AlgorithmIdentifier, structurally (RFC 5280 4.1.2.7). What the algorithms mean is
 * keys/alg.h's. Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
struct der_reader;

/* AlgorithmIdentifier ::= SEQUENCE { algorithm OID, parameters ANY OPTIONAL } */
struct algid {
    struct slice der; /* whole TLV */
    enum oid id;
    struct slice oid;    /* contents */
    struct slice params; /* whole TLV of the parameters; empty when absent */
};
tm_err algid_read(struct algid *ret, struct der_reader *r);
tm_err algid_parse(struct algid *ret, struct slice tlv, struct diag *diag);

struct spki {
    struct slice der; /* whole TLV */
    struct algid alg;
    struct slice key; /* subjectPublicKey without the unused-bits octet */
};
tm_err spki_parse(struct spki *ret, struct slice tlv, struct diag *diag);
tm_err spki_read(struct spki *ret, struct der_reader *r);
/* The magnitude of an RSA key's modulus, in spki->key; false for other kinds and what is no RSAPublicKey. */
bool spki_rsa_modulus(struct slice *ret, const struct spki *s);
/* From a reader that stands inside the SEQUENCE; `der` is not set and the key may be empty (CRMF). */
tm_err spki_read_contents(struct spki *ret, struct der_reader *seq);
/* RFC 5280 4.2.1.2 method (1): SHA-1 of subjectPublicKey. */
tm_err spki_key_id_sha1(uint8_t out[20], const struct spki *s);
/* RFC 7093 method 1: leftmost 160 bits of SHA-256 of subjectPublicKey. What we issue with. */
tm_err spki_key_id(uint8_t out[20], const struct spki *s);
