#include "finding/rules/rules.h"
#include "issue/catalog.h"
#include <string.h>

/* A file may lie there for other reasons than to be used: without its key it says little. */
static bool of_another(const struct finding_facts *f, struct found *out, const char *issuer)
{
    bool has_only = f->place->file && !f->place->has_key;
    const char *verb = f->place->file ? "has" : "uses";
    if (has_only && !f->row->device[0])
        return false;
    found_text(out, "device", f->place_device->id);
    found_text(out, "certificate_of", f->row->device);
    return f->row->device[0] ? found_say(out, has_only ? FINDING_MEDIUM : FINDING_HIGH,
                                         "device %s %s the certificate of device %s%s", f->place_device->id,
                                         verb, f->row->device,
                                         has_only         ? " in a file"
                                         : f->place->file ? " and its key"
                                                          : "")
                             : found_say(out, FINDING_MEDIUM,
                                         "device %s %s a certificate of %s that was not made for a device",
                                         f->place_device->id, verb, issuer);
}

static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->row || !f->live || !f->place->answers || f->issuer != ISSUER_OWN || f->is_ca)
        return false;
    const char *issuer = f->authority ? f->authority->name : f->row->authority;
    if (f->place_device && strcmp(f->row->device, f->place_device->id) != 0)
        return of_another(f, out, issuer);
    /* A device may well serve TLS with its own identity; where the certificate says that it is for clients alone, no server should. */
    bool for_device = f->profile_for_devices || f->row->device[0];
    if (f->place->server && for_device && f->has_purposes && !(f->purposes & FINDING_SERVER_AUTH)) {
        found_text(out, "authority", issuer);
        return found_say(out, FINDING_MEDIUM,
                         "a TLS server answers with a device's certificate of %s, which is not for servers",
                         issuer);
    }
    return false;
}

const struct finding_rule finding_place_wrong = {
    .id = "place.wrong-certificate",
    .title = "a certificate in the wrong place",
    .scope = FINDING_OF_PLACE,
    .severity = FINDING_MEDIUM,
    .true_when =
        "A TLS server (a load balancer, say) answers with a device's identity that is not for servers; or a device in the register uses a "
        "certificate that was issued here for another device (high) or for none. Of one that only lies in a file there, without its key: medium "
        "for another device's.",
    .remedy =
        "Put the right certificate there; where a device shows another's, treat it as a copy and revoke.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 PR.AA-03", "IEC 62443-3-3 SR 1.2", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
