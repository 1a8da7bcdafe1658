#include "finding/rules/rules.h"
#include <string.h>

static bool broken(const struct finding_facts *f, struct found *out)
{
    const char *rule = f->quality.rule;
    if (!f->live || !rule || (strcmp(rule, "key.blocklisted") != 0))
        return false;
    found_text(out, "weakness", rule);
    found_text(out, "key", found_key(f->arena, f));
    return found_say(out, FINDING_CRITICAL, "%s", f->quality.why);
}

const struct finding_rule finding_key_listed = {
    .id = "key.listed",
    .title = "the private key is known: block-list",
    .severity = FINDING_CRITICAL,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "The key is on a list of bad keys, as Debian's weak ones of 2006 to 2008 (CVE-2008-0166). The lists are what touchmark.yaml's weak-keys names.",
    .remedy = "Make a new key, replace the certificate and revoke this one as keyCompromise.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.RA-01", "CA/B Forum BR 6.1.1.3", "PCI DSS 4.0.1 4.2.1",
                                      "IEC 62443-3-3 SR 1.9", NULL},
    .broken = broken,
};
