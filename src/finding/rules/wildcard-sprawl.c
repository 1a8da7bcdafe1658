#include "finding/census.h"
#include "finding/rules/rules.h"

enum { HOSTS = 4 };

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->wildcard || f->n_hosts < HOSTS)
        return false;
    found_int(out, "hosts", (int64_t)f->n_hosts);
    if (f->seen_at)
        found_text(out, "seen_at", f->seen_at);
    return found_say(out, FINDING_MEDIUM,
                     "its wildcard is on %s%zu machines: who breaks into one with its key speaks for all",
                     f->n_hosts > CENSUS_HOSTS_MAX ? "more than " : "",
                     f->n_hosts > CENSUS_HOSTS_MAX ? (size_t)CENSUS_HOSTS_MAX : f->n_hosts);
}

const struct finding_rule finding_wildcard_sprawl = {
    .id = "wildcard.sprawl",
    .title = "a wildcard on many machines",
    .severity = FINDING_MEDIUM,
    .flags = FINDING_BY_CENSUS,
    .true_when =
        "A certificate with a wildcard name is met on four machines or more, in the last 90 days. Logs and imports are no machines.",
    .remedy = "Give each machine a certificate of its own; ACME makes that as easy as the wildcard.",
    .controls = (const char *const[]){"NIST SP 1800-16", "NSA CSI Wildcard TLS certificates",
                                      "PCI DSS 4.0.1 4.2.1", "NIST CSF 2.0 PR.AA-01", NULL},
    .broken = broken,
};
