#include "finding/rules/rules.h"
#include <string.h>

static bool broken(const struct finding_facts *f, struct found *out)
{
    const char *rule = f->quality.rule;
    if (!f->live || !rule ||
        (strcmp(rule, "key.close-primes") != 0 && strcmp(rule, "key.small-factor") != 0 &&
         strcmp(rule, "key.exponent") != 0))
        return false;
    found_text(out, "weakness", rule);
    found_text(out, "key", found_key(f->arena, f));
    return found_say(out, FINDING_CRITICAL, "%s", f->quality.why);
}

const struct finding_rule finding_key_factorable = {
    .id = "key.factorable",
    .title = "the key can be factored",
    .severity = FINDING_CRITICAL,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "An RSA modulus with a small factor or with two primes close together, or an exponent that makes the key useless.",
    .remedy =
        "Make a new key with another library, replace the certificate and revoke this one as keyCompromise.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.RA-01", "CA/B Forum BR 6.1.1.3", "PCI DSS 4.0.1 4.2.1",
                                      "IEC 62443-3-3 SR 1.9", NULL},
    .broken = broken,
};
