#include "x509/spki.h"
#include "base/digest.h"
#include "der/reader.h"

/* AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY DEFINED BY algorithm OPTIONAL } */
tm_err algid_read(struct algid *ret, struct der_reader *r)
{
    struct der_reader tlv = *r, seq;
    TM_TRY(der_read_tlv(&tlv, 0, &ret->der));
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    TM_TRY(der_read_oid(&seq, &ret->oid));
    ret->params = (struct slice){0};
    if (!der_at_end(&seq))
        TM_TRY(der_read_tlv(&seq, 0, &ret->params));
    ret->id = oid_find(ret->oid);
    return der_end(&seq);
}

tm_err algid_parse(struct algid *ret, struct slice tlv, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, tlv, diag);
    TM_TRY(algid_read(ret, &r));
    return der_end(&r);
}

tm_err spki_read_contents(struct spki *ret, struct der_reader *seq)
{
    TM_TRY(algid_read(&ret->alg, seq));
    TM_TRY(der_read_bits(seq, &ret->key));
    return der_end(seq);
}

/* SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING } */
tm_err spki_read(struct spki *ret, struct der_reader *r)
{
    struct der_reader tlv = *r, seq;
    TM_TRY(der_read_tlv(&tlv, 0, &ret->der));
    TM_TRY(der_enter(r, DER_SEQUENCE, &seq));
    TM_TRY(spki_read_contents(ret, &seq));
    if (ret->key.n == 0)
        return der_reject(r, TM_EMALFORMED, "RFC 5280 4.1.2.7", "subjectPublicKeyInfo",
                          "an empty public key");
    return TM_OK;
}

tm_err spki_parse(struct spki *ret, struct slice tlv, struct diag *diag)
{
    struct der_reader r;
    der_reader_init(&r, tlv, diag);
    TM_TRY(spki_read(ret, &r));
    return der_end(&r);
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
bool spki_rsa_modulus(struct slice *ret, const struct spki *s)
{
    struct der_reader r, seq;
    struct slice n;
    if (s->alg.id != OID_RSA)
        return false;
    der_reader_init(&r, s->key, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_integer(&seq, &n) != TM_OK)
        return false;
    while (n.n && n.p[0] == 0)
        n = slice_sub(n, 1, n.n);
    *ret = n;
    return n.n != 0;
}

tm_err spki_key_id_sha1(uint8_t out[20], const struct spki *s)
{
    return sha1(out, s->key);
}

tm_err spki_key_id(uint8_t out[20], const struct spki *s)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, s->key));
    memcpy(out, hash, 20);
    return TM_OK;
}
