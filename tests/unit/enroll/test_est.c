#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "enroll/est/est.h"
#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_new(0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

/* ---- bodies ---- */

static const uint8_t der[] = {0x30, 0x03, 0x02, 0x01, 0x05}; /* "MAMCAQU=" */

static void assert_decodes(struct arena *a, const char *body)
{
    struct slice got;
    assert_int_equal(est_body_decode(&got, a, slice_str(body), NULL), TM_OK);
    assert_int_equal(got.n, sizeof der);
    assert_memory_equal(got.p, der, sizeof der);
}

static void test_est_body_decode__what_clients_send(void **state)
{
    assert_decodes(*state, "MAMCAQU=");
    assert_decodes(*state, "MAMCAQU=\r\n");
    assert_decodes(*state, "\n\nMAM\r\n C\tAQU\n=\n");
    assert_decodes(*state, "MAMCAQU");
    assert_decodes(*state,
                   "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQU=\n-----END CERTIFICATE REQUEST-----\n");
    assert_decodes(
        *state,
        "\r\n-----BEGIN NEW CERTIFICATE REQUEST-----\r\nMAMCAQU=\r\n-----END NEW CERTIFICATE REQUEST-----\r\n");
    struct slice got;
    assert_int_equal(est_body_decode(&got, *state, SLICE_ARR(der), NULL), TM_OK);
    assert_ptr_equal(got.p, der);
}

static void test_est_body_decode__refused(void **state)
{
    static const char *const bad[] = {
        "",
        " \r\n",
        "MAMC*QU=",
        "-----BEGIN",
        "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQU=\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice got;
        struct diag d = {0};
        assert_int_equal(est_body_decode(&got, *state, slice_str(bad[i]), &d), TM_EMALFORMED);
        assert_true(d.rule[0] && d.message[0]);
    }
}

/* ---- channel binding ---- */

static const uint8_t unique[12] = "abcdefghijkl"; /* "YWJjZGVmZ2hpamts" */

static tm_err check(void **state, const char *challenge, bool bound, bool required)
{
    struct slice binding = bound ? SLICE_ARR(unique) : (struct slice){0};
    return est_binding_check(slice_str(challenge), binding, required, *state, NULL);
}

static void test_est_binding_check__not_required(void **state)
{
    assert_int_equal(check(state, "", true, false), TM_OK);
    assert_int_equal(check(state, "YWJjZGVmZ2hpamts", true, false), TM_OK);
    /* a password of the client's own */
    assert_int_equal(check(state, "correct horse", true, false), TM_OK);
    assert_int_equal(check(state, "c2hvcnQ=", true, false), TM_OK);
    /* another connection's binding */
    assert_int_equal(check(state, "YWJjZGVmZ2hpamtt", true, false), TM_EDENIED);
    /* through a proxy nothing can be compared */
    assert_int_equal(check(state, "YWJjZGVmZ2hpamtt", false, false), TM_OK);
}

static void test_est_binding_check__required(void **state)
{
    assert_int_equal(check(state, "YWJjZGVmZ2hpamts", true, true), TM_OK);
    assert_int_equal(check(state, "", true, true), TM_EDENIED);
    assert_int_equal(check(state, "correct horse", true, true), TM_EDENIED);
    assert_int_equal(check(state, "YWJjZGVmZ2hpamtt", true, true), TM_EDENIED);
    assert_int_equal(check(state, "YWJjZGVmZ2hpamts", false, true), TM_EDENIED);
    assert_int_equal(check(state, "", false, true), TM_EDENIED);
}

/* ---- statuses ---- */

static void test_est_status_of__classes(void **state)
{
    (void)state;
    assert_int_equal(est_status_of(TM_EMALFORMED), 400);
    assert_int_equal(est_status_of(TM_EBADSIG), 400);
    assert_int_equal(est_status_of(TM_ETOOBIG), 413);
    assert_int_equal(est_status_of(TM_ENOTFOUND), 404);
    assert_int_equal(est_status_of(TM_EAUTH), 401);
    assert_int_equal(est_status_of(TM_EDENIED), 403);
    assert_int_equal(est_status_of(TM_EEXPIRED), 403);
    assert_int_equal(est_status_of(TM_EQUOTA), 429);
    assert_int_equal(est_status_of(TM_EUNAVAIL), 503);
    assert_int_equal(est_status_of(TM_EPENDING), 202);
    assert_int_equal(est_status_of(TM_ECORRUPT), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_est_body_decode__what_clients_send, setup, teardown),
        cmocka_unit_test_setup_teardown(test_est_body_decode__refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_est_binding_check__not_required, setup, teardown),
        cmocka_unit_test_setup_teardown(test_est_binding_check__required, setup, teardown),
        cmocka_unit_test(test_est_status_of__classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
