#include "base/clock.h"
#include "finding/rules/rules.h"

/* Clients choose a moment of the window and try again when they fail; a short while behind its end nobody is late yet. */
static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->automatic || !f->renew_end || f->successor)
        return false;
    int64_t left = f->row->not_after - f->renew_end, late = f->now - f->renew_end;
    if (late <= left / 10)
        return false;
    found_time(out, "renew_from", f->renew_from);
    found_time(out, "renew_until", f->renew_end);
    found_text(out, "door", f->row->door >= 0 && f->row->door < DOOR_COUNT ? door_names[f->row->door] : "");
    bool pressing = late > left * 2 / 3;
    return found_say(out, pressing ? FINDING_HIGH : FINDING_MEDIUM,
                     "its holder should have renewed it by %s and has not; it ends in %s",
                     found_day(f->arena, f->renew_end), found_span(f->arena, f->row->not_after - f->now));
}

const struct finding_rule finding_renewal_overdue = {
    .id = "renewal.overdue",
    .title = "its renewal is overdue",
    .severity = FINDING_MEDIUM,
    .flags = FINDING_BY_TIME,
    .true_when =
        "It came through ACME, EST, SCEP or CMP, the window in which its profile has it renewed is over (the first third of what is "
        "left from renewal.before on, and a tenth of the rest for those who try again), and its holder has no newer one. High in the last third.",
    .remedy =
        "Look at the client: is it running, does it reach the endpoint, was it refused? `touchmark register show --type enrollment` has the refusals.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 ID.AM-08", "NIST SP 1800-16", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
