#include "keys/signer_secret.h"
#include "base/clock.h"
#include <openssl/crypto.h>

enum { SECOND_NS = 1000000000 };

/* One more may be opened? */
static bool take(struct secret_tally *t)
{
    uint64_t now = clock_mono_ns();
    if (t->at_ns == 0) {
        t->left = SECRET_OPEN_BURST;
        t->at_ns = now;
    }
    uint64_t more = (now - t->at_ns) / (SECOND_NS / SECRET_OPEN_PER_SECOND);
    if (more) {
        t->left = more > SECRET_OPEN_BURST - t->left ? SECRET_OPEN_BURST : t->left + more;
        t->at_ns = now;
    }
    if (t->left == 0)
        return false;
    t->left--;
    return true;
}

tm_err signer_secret(uint8_t out[SEALED_MAX], size_t *ret_n, struct secret_tally *t, bool *ret_enter,
                     uint8_t ret_hash[32], const struct key *k, const struct envelope *e,
                     struct slice request, int64_t now, struct diag *diag)
{
    bool open = false;
    *ret_enter = false;
    if (!(e->allow & (1u << SIGN_SECRET)))
        return diag_fail(diag, TM_EDENIED, "envelope.allow", NULL, "key %s is none for secrets", e->key_id);
    if (request.n > SECRET_REQUEST_MAX)
        return diag_fail(diag, TM_ETOOBIG, "signer.size", NULL, "too large for a secret");
    TM_TRY(sealed_secret_answer(out, ret_n, &open, k, request, diag));
    if (!open)
        return TM_OK;
    tm_err err = take(t) ? signer_count(&t->opened, SLICE_LIT("touchmark-secret-v1\0"), request, now,
                                        ret_enter, ret_hash)
                         : diag_fail(diag, TM_EBUSY, "signer.secret", NULL,
                                     "more secrets are opened than %d a second", SECRET_OPEN_PER_SECOND);
    if (err != TM_OK)
        OPENSSL_cleanse(out, SEALED_MAX);
    return err;
}
