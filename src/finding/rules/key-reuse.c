#include "finding/rules/rules.h"

/* One finding a key: the oldest certificate of it that lives stands for all. */
static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || f->n_holders < 2 || !f->first_of_key)
        return false;
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_holders; i++)
        json_array_append_new(list, json_string(f->holders[i]));
    found_json(out, "devices", list);
    return found_say(out, FINDING_HIGH,
                     "devices %s and %s%s have certificates of the same key: one is a copy of the other",
                     f->holders[0], f->holders[1], f->n_holders > 2 ? " and more" : "");
}

const struct finding_rule finding_key_reuse = {
    .id = "key.reuse",
    .title = "the same key on several devices",
    .severity = FINDING_HIGH,
    .true_when =
        "Certificates of one key that have not ended belong to different devices (by the device they were issued for, or by the "
        "serial number in their names). Renewals of one device with its old key are none. There is one finding a key.",
    .remedy =
        "Find out which device is the copy, retire it, make a new key on the other and revoke the old certificates.",
    .controls = (const char *const[]){"NIST CSF 2.0 PR.AA-01", "IEC 62443-4-2 CR 1.5", "IEC 62443-4-2 CR 1.2",
                                      "ETSI EN 303 645 5.4-2", NULL},
    .broken = broken,
};
