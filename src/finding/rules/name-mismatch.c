#include "finding/rules/rules.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->row || !f->cert || !f->place->answers || !f->place->server || f->is_ca)
        return false;
    /* An address alone says nothing: clients come by a name. */
    const char *name = f->place->name[0] ? f->place->name : f->place->host_is_address ? "" : f->place->host;
    if (!name[0] || found_name_fits(f, name))
        return false;
    found_text(out, "expected", name);
    found_text(out, "certificate", f->name);
    return found_say(out, FINDING_MEDIUM, "it is reached as %s, and its certificate is for %s%s", name,
                     f->name, f->names.n > 1 ? " and others" : "");
}

const struct finding_rule finding_name_mismatch = {
    .id = "name.mismatch",
    .title = "the server's name is not in its certificate",
    .scope = FINDING_OF_PLACE,
    .severity = FINDING_MEDIUM,
    .true_when =
        "A TLS place that was asked for by a host name answers with a certificate in which no alternative name fits (RFC 9525). Places known "
        "by their address alone are left out, and names that a scan was told to try everywhere.",
    .remedy = "Issue one with that name, or correct the server's configuration for it.",
    .controls = (const char *const[]){"RFC 9525", "PCI DSS 4.0.1 4.2.1", "NIST CSF 2.0 PR.DS-02", NULL},
    .broken = broken,
};
