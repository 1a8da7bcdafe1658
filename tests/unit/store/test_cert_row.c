#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static struct cert read_cert_file(struct arena *a, const char *name)
{
    const char *path = arena_printf(a, "tests/data/x509/good/%s", name);
    uint8_t octets[16384];
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: run from the top of the sources", path);
    size_t n = fread(octets, 1, sizeof octets, f);
    fclose(f);
    struct slice der;
    struct cert c;
    assert_int_equal(arena_copy(&der, a, slice_of(octets, n)), TM_OK);
    assert_int_equal(cert_parse(&c, der, NULL), TM_OK);
    return c;
}

static bool has_key(const struct cert_key *keys, size_t n, enum cert_key_kind kind, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (keys[i].kind == kind && (!text || slice_caseeq(keys[i].value, slice_str(text))))
            return true;
    return false;
}

static void test_cert_keys_collect__every_kind(void **state)
{
    struct arena *a = arena_new(0);
    struct cert c = read_cert_file(a, "cert-p256.der");
    struct cert_key *keys;
    size_t n;
    assert_int_equal(cert_keys_collect(&keys, &n, a, &c, "sn-1"), TM_OK);
    assert_true(has_key(keys, n, CERT_KEY_FINGERPRINT, NULL));
    assert_true(has_key(keys, n, CERT_KEY_SPKI, NULL));
    assert_true(has_key(keys, n, CERT_KEY_SUBJECT, NULL));
    assert_true(has_key(keys, n, CERT_KEY_CN, NULL));
    assert_true(has_key(keys, n, CERT_KEY_DEVICE, "sn-1"));
    assert_true(has_key(keys, n, CERT_KEY_SAN, "dns:gw-1.example.org"));
    assert_true(has_key(keys, n, CERT_KEY_SAN, "ip:192.0.2.1"));
    assert_true(has_key(keys, n, CERT_KEY_SAN, "ip:2001:db8::1"));
    assert_true(has_key(keys, n, CERT_KEY_SAN, "uri:urn:dev:ops:32473-gw-1"));
    assert_true(has_key(keys, n, CERT_KEY_SAN, "email:ops@example.org"));
    assert_int_equal(n, 10);
    assert_int_equal(cert_keys_collect(&keys, &n, a, &c, NULL), TM_OK);
    assert_int_equal(n, 9);
    arena_free(a);
}

static void test_cert_keys_collect__other_names(void **state)
{
    struct arena *a = arena_new(0);
    struct cert c = read_cert_file(a, "cert-idevid.der");
    struct cert_key *keys;
    size_t n, others = 0;
    assert_int_equal(cert_keys_collect(&keys, &n, a, &c, NULL), TM_OK);
    for (size_t i = 0; i < n; i++)
        others +=
            keys[i].kind == CERT_KEY_SAN && keys[i].value.n > 6 && memcmp(keys[i].value.p, "other:", 6) == 0;
    assert_int_equal(others, 3);
    assert_true(has_key(keys, n, CERT_KEY_CN, "gw-1"));
    arena_free(a);
}

static void test_cert_row_from_cert__fills(void **state)
{
    struct arena *a = arena_new(0);
    struct cert c = read_cert_file(a, "cert-idevid.der");
    struct cert_row row;
    assert_int_equal(cert_row_from_cert(&row, a, &c), TM_OK);
    assert_non_null(strstr(row.subject, "CN=gw-1"));
    assert_int_equal(row.not_after, TM_TIME_NEVER);
    assert_int_equal(row.keep_until, TM_TIME_NEVER);
    assert_int_equal(row.serial.n, 20);
    assert_true(slice_eq(row.der, c.der));
    assert_string_equal(row.device, "");
    arena_free(a);
}

static void test_cert_id_month__range(void **state)
{
    assert_int_equal(cert_id_month(946684800), 0); /* 2000-01-01 */
    assert_int_equal(cert_id_month(0), 0);
    assert_int_equal(cert_id_month(1795000000), 26 * 12 + 10); /* November 2026 */
    assert_int_equal(cert_id_month(TM_TIME_NEVER), 0x7fff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_keys_collect__every_kind),
        cmocka_unit_test(test_cert_keys_collect__other_names),
        cmocka_unit_test(test_cert_row_from_cert__fills),
        cmocka_unit_test(test_cert_id_month__range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
