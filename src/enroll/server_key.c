#include "enroll/server_key.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "policy/enrollment.h"
#include "policy/profile.h"

tm_err server_key_check(const struct profile *p, struct diag *diag)
{
    if (!p || !profile_server_keygen(p))
        return diag_fail(diag, TM_EDENIED, "profile.server-keygen", NULL,
                         "keys of this profile are made by their holders only");
    if (profile_needs_approval(p))
        return diag_fail(diag, TM_EDENIED, "profile.approval", NULL,
                         "a key can't be made here for a profile that needs approval");
    return TM_OK;
}

tm_err server_key_make(struct key **ret, struct enrollment *e, const struct profile *p, struct diag *diag)
{
    enum key_alg alg;
    unsigned bits = 0;
    TM_TRY(key_alg_from_name(&alg, &bits, slice_str(profile_server_keygen_alg(p))));
    TM_TRY(key_generate(ret, alg, bits, diag));
    TM_TRY(spki_parse(&e->spki, key_spki(*ret), diag));
    TM_TRY(pubkey_info(&e->key, &e->spki, diag));
    e->pop_verified = true;
    e->key_origin = KEY_ORIGIN_SERVER;
    return TM_OK;
}
