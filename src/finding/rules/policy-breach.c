#include "finding/rules/rules.h"
#include "policy/review.h"

static bool broken(const struct finding_facts *f, struct found *out)
{
    struct profile_breach v[4];
    if (!f->live || !f->cert || !f->profile || f->is_ca || f->house_own || f->successor ||
        f->row->source != CERT_ISSUED)
        return false;
    size_t n = profile_review(v, 4, f->arena, f->profile, f->cert, &f->key, f->row->issued_at / 1000);
    if (n == 0)
        return false;
    json_t *rules = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(rules, json_string(v[i].rule));
    found_json(out, "rules", rules);
    found_text(out, "profile", f->row->profile);
    found_int(out, "issued_under", f->row->profile_version);
    return found_say(out, FINDING_MEDIUM, "its profile %s would not give it now: %s", f->row->profile,
                     v[0].why);
}

const struct finding_rule finding_policy_breach = {
    .id = "policy.breach",
    .title = "its profile would not give it now",
    .severity = FINDING_MEDIUM,
    .true_when =
        "Issued here, and the profile as it stands today does not allow its key, its names or its lifetime, or a lint rule of its families "
        "fails. One that was replaced is left out once its window of renewal has begun.",
    .remedy =
        "Replace it: whoever asks again gets what the profile says today. Or accept the finding until it ends.",
    .controls =
        (const char *const[]){"NIST CSF 2.0 GV.PO-02", "PCI DSS 4.0.1 12.3.3", "IEC 62443-3-3 SR 1.8", NULL},
    .broken = broken,
};
