#include "finding/rules/rules.h"
#include "x509/alg_name.h"
#include <string.h>

/* NIST SP 800-131A: below 112 bits of strength. */
enum { RSA_LEAST = 2048, RSA_BROKEN = 1024 };

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->cert)
        return false;
    enum oid id = f->cert->spki.alg.id;
    if (id == OID_DSA)
        return found_say(out, FINDING_HIGH, "its key is a DSA key, which nothing should trust any longer");
    char name[ALG_NAME_LEN];
    struct slice n;
    struct spki key = f->cert->spki;
    spki_name(name, &key);
    if (strcmp(name, "p192") == 0)
        return found_say(
            out, FINDING_HIGH,
            "its key is on the curve P-192, which is worth 96 bits: what has fewer than 112 is too weak");
    if (id == OID_RSA_PSS)
        key.alg.id = OID_RSA;
    if (!spki_rsa_modulus(&n, &key))
        return false;
    unsigned bits = (unsigned)n.n * 8;
    for (uint8_t top = n.n ? n.p[0] : 0; bits && !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    if (bits >= RSA_LEAST)
        return false;
    found_int(out, "bits", bits);
    found_int(out, "least", RSA_LEAST);
    return found_say(
        out, bits <= RSA_BROKEN ? FINDING_CRITICAL : FINDING_HIGH,
        bits <= RSA_BROKEN
            ? "its RSA key has %u bits: what has fewer than %d is too weak, and this can be factored by who pays for it"
            : "its RSA key has %u bits: what has fewer than %d is too weak",
        bits, RSA_LEAST);
}

const struct finding_rule finding_key_weak = {
    .id = "key.weak",
    .title = "the key is too weak",
    .severity = FINDING_HIGH,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "An RSA key below 2048 bits (critical up to 1024), a key on P-192, or a DSA key, in a certificate that has not ended.",
    .remedy = "Make a new key (ec-p256 or rsa-3072) and replace the certificate.",
    .controls = (const char *const[]){"NIST CSF 2.0 PR.DS-02", "NIST SP 800-131A", "PCI DSS 4.0.1 4.2.1",
                                      "IEC 62443-3-3 SR 4.3", NULL},
    .broken = broken,
};
