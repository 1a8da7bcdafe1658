#include "policy/lint/rules.h"

static bool broken(const struct lint_subject *s, char detail[160])
{
    const struct algid *a = &s->cert->spki.alg;
    if (a->id == OID_RSA)
        return false;
    struct slice curve = slice_sub(a->params, 2, a->params.n);
    enum oid id = a->id == OID_EC_PUBLIC_KEY ? oid_find(curve) : OID_UNKNOWN;
    return id != OID_P256 && id != OID_P384 && lint_say(detail, "the key is of another kind");
}

const struct lint_rule lint_8021ar_key_algorithm = {
    .id = "8021ar.key-algorithm",
    .source = "IEEE 802.1AR-2018 clause 9",
    .family = LINT_8021AR,
    .severity = LINT_WARN,
    .title = "the key is of a DevID signature suite: RSA-2048, P-256, P-384",
    .broken = broken,
};
