/* dns-account-01 (draft-ietf-acme-dns-account-label): as dns-01, at a name of the account's own, so that several accounts prove one name
 * side by side. */
#include "base/arena.h"
#include "base/digest.h"
#include "enroll/acme/validate.h"

enum { LABEL_OCTETS = 10, LABEL_TEXT = 16 };

/* RFC 4648 6, in lower case; ten octets fill sixteen characters. */
static void base32(char out[LABEL_TEXT + 1], const uint8_t octets[LABEL_OCTETS])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (size_t i = 0; i < LABEL_TEXT; i++) {
        size_t bit = 5 * i;
        unsigned two =
            (unsigned)octets[bit / 8] << 8 | (bit / 8 + 1 < LABEL_OCTETS ? octets[bit / 8 + 1] : 0);
        out[i] = alphabet[two >> (11 - bit % 8) & 31];
    }
    out[LABEL_TEXT] = '\0';
}

static tm_err run(struct attempt *t)
{
    uint8_t hash[SHA256_LEN];
    char label[LABEL_TEXT + 1];
    TM_TRY(sha256(hash, slice_str(t->account_url)));
    base32(label, hash);
    const char *name = arena_printf(t->arena, "_%s._acme-challenge.%s", label, t->identifier->value);
    return name ? dns_digest_at(t, name) : TM_ENOMEM;
}

const struct challenge challenge_dns_account_01 = {
    .type = ACME_DNS_ACCOUNT_01, .name = "dns-account-01", .wildcard = true, .addresses = false, .run = run};
