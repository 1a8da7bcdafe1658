#include "keys/signer_decrypt.h"
#include "base/digest.h"
#include "keys/key_transport.h"
#include <string.h>

static tm_err entry_hash(uint8_t ret[32], const struct decrypt_tally *t, struct slice label)
{
    uint8_t count[8];
    for (int i = 0; i < 8; i++)
        count[i] = (uint8_t)(t->count >> (56 - 8 * i));
    const struct slice parts[] = {label, SLICE_ARR(t->running), SLICE_ARR(count)};
    return sha256_many(ret, parts, 3);
}

tm_err signer_count(struct decrypt_tally *t, struct slice label, struct slice request, int64_t now,
                    bool *ret_enter, uint8_t ret_hash[32])
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, request));
    const struct slice parts[] = {SLICE_ARR(t->running), SLICE_ARR(hash)};
    TM_TRY(sha256_many(t->running, parts, 2));
    t->count++;
    *ret_enter = t->entered == 0 || now - t->entered_at >= DECRYPT_ENTRY_SECONDS || now < t->entered_at ||
                 t->count - t->entered >= DECRYPT_ENTRY_COUNT;
    if (*ret_enter) {
        TM_TRY(entry_hash(ret_hash, t, label));
        t->entered = t->count;
        t->entered_at = now;
    }
    return TM_OK;
}

tm_err signer_decrypt(uint8_t *out, size_t *ret_n, struct decrypt_tally *t, bool *ret_enter,
                      uint8_t ret_hash[32], const struct key *k, const struct envelope *e,
                      struct slice request, int64_t now, struct diag *diag)
{
    if (!(e->allow & (1u << SIGN_DECRYPT)))
        return diag_fail(diag, TM_EDENIED, "envelope.allow", NULL, "key %s may not decrypt", e->key_id);
    if (request.n > TRANSPORT_REQUEST_MAX)
        return diag_fail(diag, TM_ETOOBIG, "signer.size", NULL, "too large for a key transport");
    TM_TRY(key_transport_open(out, ret_n, k, request, diag));
    return signer_count(t, SLICE_LIT("touchmark-decrypt-v1\0"), request, now, ret_enter, ret_hash);
}
