#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->shares_with)
        return false;
    found_text(out, "shares_with", f->shares_with);
    found_text(out, "key", found_key(f->arena, f));
    return found_say(
        out, FINDING_CRITICAL,
        "its RSA modulus has a prime in common with that of certificate %s: both are factored by one division",
        f->shares_with);
}

const struct finding_rule finding_key_shared_factor = {
    .id = "key.shared-factor",
    .title = "the key shares a prime with another",
    .severity = FINDING_CRITICAL,
    .flags = FINDING_BY_CENSUS,
    .true_when =
        "The greatest common divisor of its RSA modulus and of another one in the inventory is not 1: both devices made their "
        "keys with too little randomness.",
    .remedy =
        "Make both keys anew after the device has gathered randomness, replace both certificates and revoke them as keyCompromise.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.RA-01", "NIST SP 800-90B", "PCI DSS 4.0.1 4.2.1",
                                      "IEC 62443-4-2 CR 1.9", NULL},
    .broken = broken,
};
