#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->is_ca || f->known_ca || f->row->source == CERT_ISSUED)
        return false;
    if (f->seen_at)
        found_text(out, "seen_at", f->seen_at);
    return found_say(out, FINDING_HIGH,
                     "it is a CA's certificate (%s), and neither ours, nor in a trust set, nor a public CA's",
                     f->issuer == ISSUER_SELF_SIGNED ? "a root" : "issued by another CA that nobody named");
}

const struct finding_rule finding_ca_shadow = {
    .id = "ca.shadow",
    .title = "a CA that nobody knows",
    .severity = FINDING_HIGH,
    .true_when =
        "A certificate with cA TRUE was imported or met that is no authority here, is in no trust set, was issued by none of these, and is "
        "not of a CA that this machine's list of public roots leads to.",
    .remedy =
        "Find out who runs it. If it is wanted, add it to a TrustSet (the finding closes); else take its certificates out of use.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.AM-01", "NIST CSF 2.0 DE.CM-01",
                                      "PCI DSS 4.0.1 4.2.1.1", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
