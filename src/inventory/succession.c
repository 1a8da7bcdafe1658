#include "inventory/succession.h"
#include "base/arena.h"
#include <string.h>

bool succession_follows(const struct cert_row *next, const struct cert_row *row, int64_t now)
{
    return memcmp(next->id, row->id, CERT_SERIAL_LEN) != 0 && !next->revoked_at && next->not_after > now &&
           next->not_after > row->not_after && next->issued_at > row->issued_at &&
           (strcmp(next->subject, row->subject) == 0 || strcmp(next->profile, row->profile) == 0 ||
            !row->profile[0]);
}

tm_err succession_key(struct cert_key *ret, struct arena *a, const struct cert *cert,
                      const struct cert_row *row)
{
    struct cert_key *keys;
    size_t n;
    *ret = (struct cert_key){.kind = CERT_KEY_DEVICE, .value = slice_str(row->device)};
    if (row->device[0])
        return TM_OK;
    *ret = (struct cert_key){.kind = CERT_KEY_SUBJECT, .value = slice_str(row->subject)};
    if (!cert)
        return TM_OK;
    TM_TRY(cert_keys_of_row(&keys, &n, a, cert, row));
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == CERT_KEY_SAN) {
            *ret = keys[i];
            return TM_OK;
        }
    return TM_OK;
}
