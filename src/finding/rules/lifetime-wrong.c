#include "base/clock.h"
#include "finding/rules/rules.h"
#include "issue/catalog.h"

enum { AHEAD = 86400, SPARE = 60 };

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->cert)
        return false;
    int64_t from = f->cert->not_before, to = f->cert->not_after;
    if (from > to) {
        found_time(out, "not_before", from);
        return found_say(out, FINDING_LOW, "it ends on %s, before it begins on %s", found_day(f->arena, to),
                         found_day(f->arena, from));
    }
    if (from > f->now + AHEAD && f->seen_at && !f->seen_in_file) {
        found_time(out, "not_before", from);
        found_text(out, "seen_at", f->seen_at);
        return found_say(out, FINDING_MEDIUM,
                         "it is in use at %s and begins on %s only: clients refuse it until then", f->seen_at,
                         found_day(f->arena, from));
    }
    if (f->authority && !f->is_ca && to < TM_TIME_NEVER && to > f->authority->cert.not_after + SPARE) {
        found_time(out, "authority_ends", f->authority->cert.not_after);
        return found_say(out, FINDING_MEDIUM, "it ends on %s, after its authority %s, which ends on %s",
                         found_day(f->arena, to), f->authority->name,
                         found_day(f->arena, f->authority->cert.not_after));
    }
    return false;
}

const struct finding_rule finding_lifetime_wrong = {
    .id = "lifetime.wrong",
    .title = "its dates do not fit",
    .severity = FINDING_MEDIUM,
    .flags = FINDING_BY_TIME,
    .true_when =
        "It ends before it begins, is in use before it begins, or outlives the authority here that issued it.",
    .remedy = "Replace it; look at the clock of whoever made it, or renew the authority.",
    .controls =
        (const char *const[]){"RFC 5280 4.1.2.5", "NIST CSF 2.0 PR.AA-01", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
