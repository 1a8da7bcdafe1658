#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || f->is_ca || f->issuer != ISSUER_SELF_SIGNED)
        return false;
    if (f->seen_at)
        found_text(out, "seen_at", f->seen_at);
    return found_say(out, FINDING_MEDIUM,
                     "it is signed by its own key%s%s: nobody vouches for it, and nobody can take it back",
                     !f->seen_at       ? ""
                     : f->seen_in_file ? " and lies in "
                                       : " and in use at ",
                     f->seen_at ? f->seen_at : "");
}

const struct finding_rule finding_self_signed = {
    .id = "self-signed",
    .title = "signed by itself",
    .severity = FINDING_MEDIUM,
    .true_when = "Issuer and subject are the same name, it is no CA's, and it has not ended.",
    .remedy = "Issue one from an authority here, and give clients its root in place of an exception.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 PR.AA-03", "PCI DSS 4.0.1 4.2.1", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
