#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->row || !f->live || !f->place->answers || !f->place->server || f->issuer == ISSUER_SELF_SIGNED ||
        !f->chain_told || f->chain_ends)
        return false;
    found_int(out, "sent", (int64_t)f->n_chain);
    return found_say(
        out, FINDING_MEDIUM,
        "it sends %zu certificate%s, and from there to a root one is missing: clients that know the "
        "root alone refuse it",
        f->n_chain, f->n_chain == 1 ? "" : "s");
}

const struct finding_rule finding_chain_incomplete = {
    .id = "chain.incomplete",
    .title = "the server leaves out an intermediate certificate",
    .scope = FINDING_OF_PLACE,
    .severity = FINDING_MEDIUM,
    .true_when =
        "What a TLS place sends does not lead from its certificate to one that a root signed, and the missing issuer is known to be no root.",
    .remedy =
        "Configure the full chain: `touchmark cert get SERIAL --form chain` has it for those issued here.",
    .controls = (const char *const[]){"RFC 8446 4.4.2", "PCI DSS 4.0.1 4.2.1", "NIST CSF 2.0 PR.DS-02", NULL},
    .broken = broken,
};
