#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->row || !f->row->revoked_at || !f->place->answers || f->place->on_record ||
        f->place->last / 1000 <= f->row->revoked_at)
        return false;
    found_time(out, "revoked_at", f->row->revoked_at);
    found_time(out, "seen", f->place->last / 1000);
    const char *day = found_day(f->arena, f->row->revoked_at);
    if (f->place->file)
        return found_say(out, FINDING_MEDIUM, "its certificate was revoked on %s and still lies there", day);
    return found_say(out, FINDING_HIGH, "its certificate was revoked on %s and is still in use", day);
}

const struct finding_rule finding_revoked_in_use = {
    .id = "revoked.in-use",
    .title = "a revoked certificate is in use",
    .scope = FINDING_OF_PLACE,
    .severity = FINDING_HIGH,
    .true_when =
        "A place was met with the certificate after that had been revoked; medium of files. What logs and imports have is not in use.",
    .remedy = "Replace it there; whoever still uses it may be who it was revoked for.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 PR.AA-01", "PCI DSS 4.0.1 4.2.1", "IEC 62443-3-3 SR 1.9", NULL},
    .broken = broken,
};
