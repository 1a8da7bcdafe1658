/* Requests to seal and to open, as the signer gets them: what was sealed opens again, for its record and for no other.
 * Dictionary: der
 * Parser: keys/sealed_secret.c -sealed_secret_request */
#include "base/buf.h"
#include "keys/key.h"
#include "keys/sealed_secret.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* PKCS#8 of an Ed25519 key made for this: 32 times 0x42. */
static struct key *key(void)
{
    static struct key *k;
    uint8_t der[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    memset(der + 16, 0x42, 32);
    if (!k && key_import(&k, SLICE_ARR(der), NULL, NULL) != TM_OK)
        k = NULL;
    return k;
}

static void holds(struct slice record, struct slice sealed, struct slice plain)
{
    uint8_t out[SEALED_MAX];
    size_t n = 0;
    bool open = false;
    struct buf b;
    buf_init(&b, 4096);
    tm_err err = sealed_secret_request(&b, record, true, sealed);
    if (err == TM_OK)
        err = sealed_secret_answer(out, &n, &open, key(), buf_slice(&b), NULL);
    if (err == TM_OK && !(open && slice_eq(slice_of(out, n), plain)))
        abort();
    if (err == TM_EDENIED || err == TM_EMALFORMED)
        abort();
    buf_reset(&b);
    buf_putc(&b, 'x');
    buf_put_slice(&b, record);
    struct buf other;
    buf_init(&other, 4096);
    if (record.n < SECRET_RECORD_MAX && sealed_secret_request(&other, buf_slice(&b), true, sealed) == TM_OK &&
        sealed_secret_answer(out, &n, &open, key(), buf_slice(&other), NULL) == TM_OK)
        abort();
    buf_done(&other);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t out[SEALED_MAX];
    size_t n = 0;
    bool open = false;
    struct slice request = slice_of(data, size);
    if (!key() || sealed_secret_answer(out, &n, &open, key(), request, NULL) != TM_OK)
        return 0;
    if (n > SEALED_MAX || size < 4)
        abort();
    if (open)
        return 0;
    /* Lengths below 128 and of one octet more: what was accepted is well-formed. */
    const uint8_t *p = data + (data[1] & 0x80 ? 2 + (data[1] & 0x7f) : 2);
    size_t skip = p[1] & 0x80 ? 2 + (size_t)(p[1] & 0x7f) : 2, len = p[1] & 0x80 ? p[2] : p[1];
    struct slice record = slice_of(p + skip, len);
    p += skip + len;
    holds(record, slice_of(out, n), slice_of(p + 2, p[1]));
    return 0;
}
