#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || f->is_ca || f->house_own || f->owner[0])
        return false;
    if (f->seen_at)
        found_text(out, "seen_at", f->seen_at);
    return found_say(out, FINDING_LOW, "%s: nobody will be told when something is wrong with it",
                     f->row->device[0]
                         ? "its device has no owner"
                         : "nobody is said to own it, and no device that has an owner is known to hold it");
}

const struct finding_rule finding_unowned = {
    .id = "unowned",
    .title = "nobody owns it",
    .severity = FINDING_LOW,
    .true_when =
        "A certificate that has not ended, and is no CA's nor the house's own, has no owner: none is said by hand or by a rule of kind "
        "Ownership, and neither the device that it was issued for nor one at which it is met belongs to anybody.",
    .remedy =
        "Say whose the device is: `touchmark device import` with an owner, or the device's owner over the API. Or whose the certificate is: "
        "`touchmark cert note SERIAL --owner TEAM`, or a rule of kind Ownership for many.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.AM-01", "NIST CSF 2.0 GV.RR-02",
                                      "PCI DSS 4.0.1 4.2.1.1", "ISO/IEC 27001 A.5.9", NULL},
    .broken = broken,
};
