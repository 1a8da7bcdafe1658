#include "base/arena.h"
#include "base/clock.h"
#include "keys/alg.h"
#include "policy/decide.h"

tm_err plan_build_tbs(struct buf *out, const struct plan *p, const uint8_t serial[CERT_SERIAL_LEN],
                      size_t *ret_serial_offset)
{
    const struct sig_alg_info *alg = sig_alg_info(p->sig_alg);
    if (!alg)
        return TM_EUNSUPPORTED;
    const struct tbs_cert t = {
        .serial = slice_of(serial, CERT_SERIAL_LEN),
        .sigalg = alg->algid,
        .issuer = p->issuer,
        .subject = p->subject,
        .spki = p->spki,
        .not_before = p->not_before,
        .not_after = p->not_after,
        .exts = p->exts,
        .n_exts = p->n_exts,
    };
    return tbs_cert_build(out, &t, ret_serial_offset);
}

void serial_prefix(uint8_t out[CERT_SERIAL_LEN], int64_t not_after, int64_t now)
{
    struct civil_time c = civil_from_unix(not_after);
    int64_t month = not_after >= TM_TIME_NEVER ? 0x7fff : ((int64_t)c.year - 2000) * 12 + c.month - 1;
    if (month > 0x7fff)
        month = 0x7fff;
    if (month < 1)
        month = 1;
    memset(out, 0, CERT_SERIAL_LEN);
    out[0] = (uint8_t)(month >> 8);
    out[1] = (uint8_t)month;
    uint32_t seconds = (uint32_t)now;
    for (unsigned i = 0; i < 4; i++)
        out[2 + i] = (uint8_t)(seconds >> (24 - 8 * i));
}
