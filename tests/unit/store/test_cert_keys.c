#include "store/sqlite/cert_keys.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static const struct cert_hash_key hash_key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* The vector of the SipHash paper, appendix A: 00 01 … 0e under the key 00 01 … 0f. The first eight octets are kind and tenant. */
static void test_cert_key_hash__siphash_vector(void **state)
{
    uint64_t h = cert_key_hash(&hash_key, 0x03020100, (enum cert_key_kind)0x07060504,
                               SLICE_LIT("\x08\x09\x0a\x0b\x0c\x0d\x0e"));
    assert_true(h == ((0xa129ca6149be45e5u & ~(uint64_t)CERT_KEY_KIND_MASK) |
                      4)); /* but for the kind in its last bits */
}

static void test_cert_key_hash__tells_apart(void **state)
{
    uint64_t h = cert_key_hash(&hash_key, 1, CERT_KEY_CN, SLICE_LIT("gw-1"));
    assert_true(h == cert_key_hash(&hash_key, 1, CERT_KEY_CN, SLICE_LIT("GW-1")));
    assert_true(h != cert_key_hash(&hash_key, 2, CERT_KEY_CN, SLICE_LIT("gw-1")));
    assert_true(h != cert_key_hash(&hash_key, 1, CERT_KEY_DEVICE, SLICE_LIT("gw-1")));
    /* Octets are not text. */
    assert_true(cert_key_hash(&hash_key, 1, CERT_KEY_FINGERPRINT, SLICE_LIT("A")) !=
                cert_key_hash(&hash_key, 1, CERT_KEY_FINGERPRINT, SLICE_LIT("a")));
}

/* Eight octets are folded at once: each octet in each place, beside neighbours that could spill into it. */
static void test_cert_key_hash__folds_capitals_alone(void **state)
{
    for (unsigned c = 0; c < 256; c++) {
        for (size_t n = 1; n <= 17; n += 8) {
            for (size_t at = 0; at < n; at++) {
                uint8_t text[17], small[17];
                memset(text, c % 2 ? 0xff : 'Z', sizeof text);
                memset(small, c % 2 ? 0xff : 'z', sizeof small);
                text[at] = (uint8_t)c;
                small[at] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : (uint8_t)c;
                uint64_t h = cert_key_hash(&hash_key, 1, CERT_KEY_SAN, slice_of(text, n));
                assert_true(h == cert_key_hash(&hash_key, 1, CERT_KEY_SAN, slice_of(small, n)));
                bool same = memcmp(text, small, n) == 0;
                assert_true(same == (cert_key_hash(&hash_key, 1, CERT_KEY_SPKI, slice_of(text, n)) ==
                                     cert_key_hash(&hash_key, 1, CERT_KEY_SPKI, slice_of(small, n))));
                small[at] ^= 1;
                assert_true(h != cert_key_hash(&hash_key, 1, CERT_KEY_SAN, slice_of(small, n)));
            }
        }
    }
}

static const struct cert_key_columns columns = {
    .subject = {(const uint8_t *)"CN=gw-1", 7},
    .device = {(const uint8_t *)"sn1", 3},
    .serial = {(const uint8_t *)"\x01\x02", 2},
    .fingerprint = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32},
    .spki_hash = {(const uint8_t *)"fedcba9876543210fedcba9876543210", 32},
};

static bool has(const uint64_t *v, size_t n, uint64_t h)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == h)
            return true;
    return false;
}

static void test_cert_keys_pack__unpacks_to_the_same(void **state)
{
    struct cert_key keys[] = {
        {CERT_KEY_SUBJECT, columns.subject},         {CERT_KEY_CN, SLICE_LIT("gw-1")},
        {CERT_KEY_SAN, SLICE_LIT("dns:gw-1")},       {CERT_KEY_SAN, SLICE_LIT("ip:192.0.2.1")},
        {CERT_KEY_FINGERPRINT, columns.fingerprint}, {CERT_KEY_DEVICE, SLICE_LIT("another device")},
        {CERT_KEY_FINGERPRINT, columns.fingerprint}, /* a repetition is one key */
    };
    uint64_t packed[CERT_KEYS_MAX], unpacked[CERT_KEYS_MAX];
    uint8_t blob[CERT_KEYS_BLOB_MAX];
    size_t blob_n;
    size_t n =
        cert_keys_pack(packed, blob, &blob_n, &hash_key, 1, &columns, keys, sizeof keys / sizeof keys[0]);
    assert_int_equal(n, 6);
    /* Subject and fingerprint are in the row; the device is not the row's. */
    assert_int_equal(blob_n, 1 + 4 * 8);
    assert_int_equal(cert_keys_unpack(unpacked, &hash_key, 1, &columns, slice_of(blob, blob_n)), n);
    for (size_t i = 0; i < n; i++)
        assert_true(has(unpacked, n, packed[i]));
    struct slice b = slice_of(blob, blob_n);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_true(cert_keys_match(&hash_key, 1, &columns, b, &keys[i]));
    assert_true(cert_keys_match(&hash_key, 1, &columns, b,
                                &(struct cert_key){CERT_KEY_SUBJECT, SLICE_LIT("cn=GW-1")}));
    assert_false(
        cert_keys_match(&hash_key, 1, &columns, b, &(struct cert_key){CERT_KEY_DEVICE, columns.device}));
    assert_false(
        cert_keys_match(&hash_key, 1, &columns, b, &(struct cert_key){CERT_KEY_SPKI, columns.spki_hash}));
    assert_false(
        cert_keys_match(&hash_key, 2, &columns, b, &(struct cert_key){CERT_KEY_CN, SLICE_LIT("gw-1")}));
}

static void test_cert_keys_pack__no_more_than_fit(void **state)
{
    struct cert_key keys[200];
    char text[200][8];
    for (unsigned i = 0; i < 200; i++) {
        memset(text[i], 0, sizeof text[i]);
        text[i][0] = (char)('a' + i % 26);
        text[i][1] = (char)('a' + i / 26);
        keys[i] = (struct cert_key){CERT_KEY_SAN, slice_str(text[i])};
    }
    uint64_t hashes[CERT_KEYS_MAX];
    uint8_t blob[CERT_KEYS_BLOB_MAX];
    size_t blob_n;
    assert_int_equal(cert_keys_pack(hashes, blob, &blob_n, &hash_key, 1, &columns, keys, 200), CERT_KEYS_MAX);
    assert_int_equal(blob_n, CERT_KEYS_BLOB_MAX);
    assert_int_equal(cert_keys_unpack(hashes, &hash_key, 1, &columns, slice_of(blob, blob_n)), CERT_KEYS_MAX);
}

static void test_cert_keys_unpack__odd_blobs(void **state)
{
    uint64_t hashes[CERT_KEYS_MAX];
    static const uint8_t all[12] = {0xff};
    assert_int_equal(cert_keys_unpack(hashes, &hash_key, 1, &columns, (struct slice){0}), 0);
    assert_false(cert_keys_match(&hash_key, 1, &columns, (struct slice){0},
                                 &(struct cert_key){CERT_KEY_SUBJECT, columns.subject}));
    assert_int_equal(cert_keys_unpack(hashes, &hash_key, 1, &columns, SLICE_ARR(all)), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_key_hash__siphash_vector),
        cmocka_unit_test(test_cert_key_hash__tells_apart),
        cmocka_unit_test(test_cert_key_hash__folds_capitals_alone),
        cmocka_unit_test(test_cert_keys_pack__unpacks_to_the_same),
        cmocka_unit_test(test_cert_keys_pack__no_more_than_fit),
        cmocka_unit_test(test_cert_keys_unpack__odd_blobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
