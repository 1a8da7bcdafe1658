#include "der/reader.h"
#include "policy/lint/rules.h"

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }; 0 where it does not decode. */
static size_t rsa_bits(struct slice key)
{
    struct der_reader r, seq;
    struct slice n;
    der_reader_init(&r, key, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_integer(&seq, &n) != TM_OK)
        return 0;
    if (n.n > 0 && n.p[0] == 0)
        n = slice_sub(n, 1, n.n);
    size_t bits = n.n * 8;
    for (unsigned top = n.n ? n.p[0] : 0; bits > 0 && !(top & 0x80); top <<= 1)
        bits--;
    return bits;
}

static bool broken(const struct lint_subject *s, char detail[160])
{
    const struct spki *k = &s->cert->spki;
    if (k->alg.id == OID_RSA) {
        size_t bits = rsa_bits(k->key);
        return (bits < 2048 || bits % 8) && lint_say(detail, "the RSA key has %zu bits", bits);
    }
    struct slice curve = slice_sub(k->alg.params, 2, k->alg.params.n);
    enum oid id = k->alg.id == OID_EC_PUBLIC_KEY ? oid_find(curve) : OID_UNKNOWN;
    return id != OID_P256 && id != OID_P384 && id != OID_P521 &&
           lint_say(detail, "the key is of another kind");
}

const struct lint_rule lint_br_key_algorithm = {
    .id = "br.key-algorithm",
    .source = "BR 6.1.5",
    .family = LINT_BR,
    .severity = LINT_FAIL,
    .title = "the key is RSA of at least 2048 bits or on P-256, P-384 or P-521",
    .broken = broken,
};
