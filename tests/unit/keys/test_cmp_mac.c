/* A message that `openssl cmp` protected with the secret "def" (fuzz/corpus/cmp/ir-mac): its MAC is made out here, and nothing else fits. */
#include "keys/cmp_mac.h"
#include "keys_test.h"
#include "x509/cmp.h"
#include <string.h>

static struct slice read_message(void)
{
    static uint8_t bytes[8192];
    FILE *f = fopen("fuzz/corpus/cmp/ir-mac", "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return slice_of(bytes, n);
}

static void test_cmp_mac_compute__of_openssl(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct cmp_message m;
    struct cmp_mac mac;
    struct slice part;
    uint8_t out[CMP_MAC_MAX];
    size_t n;
    assert_ok(cmp_message_parse(&m, read_message(), NULL));
    assert_int_equal(m.body, CMP_IR);
    assert_true(slice_eq_str(m.sender_kid, "abc"));
    assert_true(cmp_mac_is(&m.protection_alg));
    assert_ok(cmp_mac_parse(&mac, &m.protection_alg, NULL));
    assert_ok(cmp_protected_part(&part, a, m.header, m.body_tlv));
    assert_ok(cmp_mac_compute(out, &n, &mac, SLICE_LIT("def"), part));
    assert_true(slice_eq(slice_of(out, n), m.protection));
    assert_ok(cmp_mac_compute(out, &n, &mac, SLICE_LIT("deg"), part));
    assert_false(slice_eq(slice_of(out, n), m.protection));
    arena_free(a);
}

static void test_cmp_mac_renew__another_salt(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct cmp_message m;
    struct cmp_mac mac, again;
    struct slice tlv;
    struct algid alg;
    assert_ok(cmp_message_parse(&m, read_message(), NULL));
    assert_ok(cmp_mac_parse(&mac, &m.protection_alg, NULL));
    struct slice salt = mac.salt;
    assert_ok(cmp_mac_renew(&tlv, a, &mac));
    assert_ok(algid_parse(&alg, tlv, NULL));
    assert_ok(cmp_mac_parse(&again, &alg, NULL));
    assert_false(slice_eq(salt, again.salt));
    assert_int_equal(again.iterations, mac.iterations);
    assert_int_equal(again.mac, mac.mac);
    arena_free(a);
}

/* A long key of short blocks is as much work as many iterations. */
static void test_cmp_mac_work__of_long_keys(void **state)
{
    (void)state;
    struct cmp_mac m = {.iterations = 9000, .digest = OID_SHA256, .mac = OID_HMAC_SHA256};
    assert_int_equal(cmp_mac_work(&m), 9000);
    m = (struct cmp_mac){
        .pbmac1 = true, .iterations = 9000, .digest = OID_HMAC_SHA256, .mac = OID_HMAC_SHA256};
    assert_int_equal(cmp_mac_work(&m), 2 * 9000);
    m.key_length = 33;
    assert_int_equal(cmp_mac_work(&m), 2 * 2 * 9000);
    m.digest = OID_HMAC_SHA1;
    m.key_length = 128;
    assert_int_equal(cmp_mac_work(&m), 7 * 2 * 9000);
}

static void test_cmp_message_parse__cut_off_anywhere(void **state)
{
    (void)state;
    struct slice whole = read_message();
    for (size_t n = 0; n < whole.n; n++) {
        struct cmp_message m;
        assert_int_not_equal(cmp_message_parse(&m, slice_sub(whole, 0, n), NULL), TM_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmp_mac_compute__of_openssl),
        cmocka_unit_test(test_cmp_mac_renew__another_salt),
        cmocka_unit_test(test_cmp_mac_work__of_long_keys),
        cmocka_unit_test(test_cmp_message_parse__cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
