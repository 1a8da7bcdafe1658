#include "base/clock.h"
#include "finding/rules/rules.h"

/* What ended long ago and is met nowhere is history. */
enum { LATELY = 30 * 86400 };

static bool broken(const struct finding_facts *f, struct found *out)
{
    const struct cert_row *row = f->row;
    if (row->not_after >= f->now || row->revoked_at || f->house_own)
        return false;
    const char *ago = found_span(f->arena, f->now - row->not_after);
    if (f->seen_at) {
        found_text(out, "seen_at", f->seen_at);
        return found_say(out, FINDING_HIGH, "it ended %s ago and is still in use at %s", ago, f->seen_at);
    }
    if (f->now - row->not_after > LATELY || f->successor || (row->source != CERT_ISSUED && !row->device[0]))
        return false;
    return found_say(out, FINDING_MEDIUM, "it ended %s ago and %s has no newer one", ago,
                     row->device[0] ? row->device : "whoever had it");
}

const struct finding_rule finding_expired = {
    .id = "expired",
    .title = "the certificate has ended",
    .severity = FINDING_HIGH,
    .flags = FINDING_BY_TIME,
    .true_when =
        "It has ended and is still met at a place (high); or it ended in the last 30 days, was issued here or is a device's, and nothing "
        "took its place (medium). What was replaced, revoked, or ended long ago and is met nowhere is no finding.",
    .remedy =
        "Replace it where it is in use; if nothing needs it any longer, retire the device or let it lapse: the finding closes after 30 days.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 PR.DS-02", "PCI DSS 4.0.1 4.2.1", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
