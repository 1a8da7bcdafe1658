#include "base/clock.h"
#include "finding/public_roots.h"
#include "finding/rules/rules.h"

enum { DAY = 86400, SOON = 30 * DAY, WEEK = 7 * DAY };

static bool broken(const struct finding_facts *f, struct found *out)
{
    const struct cert_row *row = f->row;
    int64_t left = row->not_after - f->now;
    if (!f->live || f->automatic || f->house_own || left > SOON || f->successor)
        return false;
    /* Short-lived ones are made anew all the time: the last third of their life is soon enough. */
    int64_t life = row->not_after - row->not_before;
    if (life < 3 * (int64_t)SOON && left > life / 3)
        return false;
    if (f->is_ca && row->source != CERT_ISSUED && !f->seen_at)
        return false;
    if (f->is_ca && f->seen_in_file && f->cert && public_root(f->cert))
        return false; /* it lies in a trust store, and who distributes that replaces it */
    if (f->seen_at)
        found_text(out, "seen_at", f->seen_at);
    found_int(out, "days", left / DAY);
    return found_say(
        out,
        left <= DAY    ? FINDING_CRITICAL
        : left <= WEEK ? FINDING_HIGH
                       : FINDING_MEDIUM,
        "it ends in %s, %s, and %s", found_span(f->arena, left), found_day(f->arena, row->not_after),
        row->source == CERT_ISSUED ? "nothing renews it by itself" : "no newer one is known here");
}

const struct finding_rule finding_expiring_unrenewed = {
    .id = "expiring.unrenewed",
    .title = "it ends soon and nothing renews it",
    .severity = FINDING_MEDIUM,
    .flags = FINDING_BY_TIME,
    .true_when =
        "It ends within 30 days (of short-lived ones: within the last third of their life), did not come from here through a protocol whose "
        "clients renew (ACME, EST, SCEP, CMP), and its holder has no newer one here. High from 7 days on, critical on the last. How others' are "
        "renewed is not known: they are told of by their time alone. Public roots that lie in files are left out: trust stores have them.",
    .remedy =
        "Issue a new one now, and let the holder renew by ACME or EST, so that nobody has to think of it again.",
    .controls = (const char *const[]){"NIST CSF 2.0 ID.AM-08", "NIST SP 1800-16", "PCI DSS 4.0.1 4.2.1.1",
                                      "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
