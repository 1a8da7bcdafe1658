#include "identity/totp.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { HMAC_SHA1 = 20, MODULUS = 1000000, WINDOW = 1 };

tm_err totp_code(char ret[TOTP_DIGITS + 1], struct slice secret, int64_t step)
{
    uint8_t message[8], mac[HMAC_SHA1];
    size_t n = 0;
    for (int i = 0; i < 8; i++)
        message[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, secret.p, secret.n, message, sizeof message, mac,
                   sizeof mac, &n))
        return TM_ECRYPTO;
    /* RFC 4226 5.3: dynamic truncation */
    unsigned at = mac[HMAC_SHA1 - 1] & 15;
    uint32_t v = ((uint32_t)mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 |
                 mac[at + 3];
    snprintf(ret, TOTP_DIGITS + 1, "%06u", (unsigned)(v % MODULUS));
    return TM_OK;
}

tm_err totp_check(int64_t *ret_step, struct slice secret, const char *code, int64_t last, int64_t now,
                  struct diag *diag)
{
    char wanted[TOTP_DIGITS + 1];
    int64_t step = now / TOTP_STEP, found = 0;
    bool form = strlen(code) == TOTP_DIGITS;
    for (int64_t s = step - WINDOW; form && s <= step + WINDOW; s++) {
        TM_TRY(totp_code(wanted, secret, s));
        if (s > last && slice_ct_eq(slice_str(wanted), slice_str(code)))
            found = s;
    }
    if (!found) /* RFC 6238 5.2: each is good once */
        return diag_fail(diag, TM_EAUTH, "session.credentials", NULL, "name, password or code do not fit");
    *ret_step = found;
    return TM_OK;
}

void buf_put_base32(struct buf *b, struct slice octets)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned n = 0;
    for (size_t i = 0; i < octets.n; i++) {
        bits = bits << 8 | octets.p[i];
        for (n += 8; n >= 5; n -= 5)
            buf_putc(b, (uint8_t)alphabet[bits >> (n - 5) & 31]);
    }
    if (n)
        buf_putc(b, (uint8_t)alphabet[bits << (5 - n) & 31]);
}

static void put_escaped(struct buf *b, const char *s)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                     *s == '-' || *s == '.' || *s == '_';
        if (plain)
            buf_putc(b, (uint8_t)*s);
        else
            buf_printf(b, "%%%02X", (unsigned)(uint8_t)*s);
    }
}

void totp_put_uri(struct buf *b, const char *issuer, const char *user, struct slice secret)
{
    buf_puts(b, "otpauth://totp/");
    put_escaped(b, issuer);
    buf_putc(b, ':');
    put_escaped(b, user);
    buf_puts(b, "?secret=");
    buf_put_base32(b, secret);
    buf_puts(b, "&issuer=");
    put_escaped(b, issuer);
}
