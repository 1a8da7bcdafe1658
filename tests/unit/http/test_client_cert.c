#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "http/client_cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void test_client_cert_parse__good(void **state)
{
    static const char *const good[] = {":MAMCAQE=:", "  :MAMCAQE=:  ", ":MAMCAQE:"};
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < 3; i++) {
        struct slice der;
        assert_int_equal(client_cert_parse(&der, a, slice_str(good[i])), TM_OK);
        assert_true(slice_eq(der, SLICE_LIT("\x30\x03\x02\x01\x01")));
    }
    arena_free(a);
}

static void test_client_cert_parse__long_lengths(void **state)
{
    static uint8_t der[70000] = {0x30, 0x83, 0x01, 0x11, 0x6b};
    struct arena *a = arena_new(0);
    struct buf b;
    struct slice back;
    buf_init(&b, 1 << 20);
    buf_putc(&b, ':');
    buf_put_base64(&b, slice_of(der, sizeof der), BASE64_STD, 0);
    buf_putc(&b, ':');
    assert_int_equal(client_cert_parse(&back, a, buf_slice(&b)), TM_OK);
    assert_int_equal(back.n, sizeof der);
    buf_done(&b);
    arena_free(a);
}

static void test_client_cert_parse__malformed(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        "::",
        "MAMCAQE=",
        ":MAMCAQE=",
        "MAMCAQE=:",
        ":MAMC AQE=:",
        ":MAMCAQE=;:",
        ":MAMCAQE=:x",
        ":MAMCAQE=:;a=b",
        ":MAMCAQE=:, :MAMCAQE=:",
        ":MAMCAQEA:",
        ":MAQCAQE=:",
        ":MIACAQE=:",
        ":MIT/////AQ==:",
        ":AQMCAQE=:",
        "\t:MAMCAQE=:",
        ":MAMCAQ-_:",
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct slice der = {0};
        assert_int_equal(client_cert_parse(&der, a, slice_str(bad[i])), TM_EMALFORMED);
        assert_null(der.p);
    }
    arena_free(a);
}

static void test_client_cert_chain_parse__lists(void **state)
{
    struct arena *a = arena_new(0);
    struct slice chain[CLIENT_CERT_CHAIN_MAX];
    size_t n = 0;
    assert_int_equal(client_cert_chain_parse(chain, &n, a, slice_str("")), TM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(
        client_cert_chain_parse(chain, &n, a, slice_str(":MAMCAQE=: \t,\t:MAMCAQI=:,:MAMCAQM=: ")), TM_OK);
    assert_int_equal(n, 3);
    assert_true(slice_eq(chain[2], SLICE_LIT("\x30\x03\x02\x01\x03")));
    static const char *const bad[] = {",", ":MAMCAQE=:,",
                                      ":MAMCAQE=: :MAMCAQE=:", ":MAMCAQE=:,,:MAMCAQE=:", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t k = 0;
        assert_int_equal(client_cert_chain_parse(chain, &k, a, slice_str(bad[i])), TM_EMALFORMED);
    }
    for (; n < CLIENT_CERT_CHAIN_MAX;)
        assert_int_equal(client_cert_chain_parse(chain, &n, a, slice_str(":MAMCAQE=:")), TM_OK);
    assert_int_equal(client_cert_chain_parse(chain, &n, a, slice_str(":MAMCAQE=:")), TM_ETOOBIG);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_cert_parse__good),
        cmocka_unit_test(test_client_cert_parse__long_lengths),
        cmocka_unit_test(test_client_cert_parse__malformed),
        cmocka_unit_test(test_client_cert_chain_parse__lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
