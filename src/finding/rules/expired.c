#include "base/clock.h"
#include "finding/public_roots.h"
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
        found_time(out, "seen", f->seen_last);
    }
    if (f->seen_at && !f->seen_in_file) {
        const char *day = found_day(f->arena, f->seen_last);
        return f->seen_last > row->not_after
                   ? found_say(out, FINDING_HIGH, "it ended %s ago and was still in use at %s on %s", ago,
                               f->seen_at, day)
                   : found_say(out, FINDING_MEDIUM,
                               "it ended %s ago, and %s had it when that was last looked at, on %s", ago,
                               f->seen_at, day);
    }
    if (f->now - row->not_after > LATELY || f->successor)
        return false;
    if (f->is_ca && f->seen_in_file && f->cert && public_root(f->cert))
        return false; /* it lies in a trust store, and who distributes that replaces it */
    if (f->seen_at)
        return found_say(out, FINDING_MEDIUM, "it ended %s ago and lies in %s", ago, f->seen_at);
    if (row->source != CERT_ISSUED && !row->device[0])
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
        "It has ended and was met after that at a server, an agent or in traffic (high), or was met there before and nobody has looked since "
        "(medium); or it ended in the last 30 days, was issued here, is a device's or lies in a file, and nothing took its place (medium). What "
        "was replaced, revoked, or ended long ago and is met nowhere is no finding; nor is what only logs and imports have, "
        "or a public root in a trust store's file.",
    .remedy =
        "Replace it where it is in use; if nothing needs it any longer, retire the device or let it lapse: the finding closes after 30 days.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 PR.DS-02", "PCI DSS 4.0.1 4.2.1", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
