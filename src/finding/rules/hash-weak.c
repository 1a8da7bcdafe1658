#include "finding/rules/rules.h"
#include "x509/alg_name.h"
#include <string.h>

/* What a root signs itself with protects nothing: it is trusted by name and key. */
static bool broken(const struct finding_facts *f, struct found *out)
{
    if (!f->live || !f->cert || (f->is_ca && slice_eq(f->cert->subject, f->cert->issuer)))
        return false;
    char alg[ALG_NAME_LEN];
    sigalg_name(alg, &f->cert->sigalg);
    const char *last = strrchr(alg, '-');
    const char *hash = !last                        ? NULL
                       : strcmp(last, "-md5") == 0  ? "MD5"
                       : strcmp(last, "-sha1") == 0 ? "SHA-1"
                                                    : NULL;
    if (!hash)
        return false;
    found_text(out, "hash", hash);
    return found_say(out, FINDING_HIGH,
                     "it is signed with %s, for which others with the same hash can be made", hash);
}

const struct finding_rule finding_hash_weak = {
    .id = "hash.weak",
    .title = "the signature's hash is broken",
    .severity = FINDING_HIGH,
    .flags = FINDING_BY_BYTES,
    .true_when =
        "The signature uses MD5 or SHA-1, also within RSASSA-PSS, and the certificate has not ended. Roots, which sign themselves, are left out.",
    .remedy = "Replace the certificate; ask its issuer for SHA-256 or better.",
    .controls = (const char *const[]){"NIST CSF 2.0 PR.DS-02", "NIST SP 800-131A", "PCI DSS 4.0.1 4.2.1",
                                      "IEC 62443-3-3 SR 4.3", NULL},
    .broken = broken,
};
