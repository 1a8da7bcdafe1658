#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "enroll/acme/rows.h"
#include <cmocka.h>
#include <string.h>

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

static void test_account__round_trip(void **state)
{
    struct arena *a = *state;
    const char *contact[] = {"mailto:a@example.org"}, *names[] = {"DNS:x.example.org", "IP:192.0.2.1"};
    struct acme_account x = {.id = "a1",
                             .spki = SLICE_LIT("\x30\x00\xff"),
                             .thumbprint = "t",
                             .contact = {contact, 1},
                             .terms_at = 5,
                             .external = "kid",
                             .names = {names, 2},
                             .profile = "p"},
                        y;
    assert_int_equal(acme_account_write(&x, a), TM_OK);
    assert_int_equal(acme_account_read(&y, a, &x.row), TM_OK);
    assert_true(slice_eq(x.spki, y.spki));
    assert_string_equal(y.thumbprint, "t");
    assert_int_equal(y.contact.n, 1);
    assert_string_equal(y.names.v[1], "IP:192.0.2.1");
    assert_string_equal(y.external, "kid");
    assert_string_equal(y.profile, "p");
    assert_int_equal(y.terms_at, 5);
}

static void test_order__round_trip(void **state)
{
    struct arena *a = *state;
    const char *names[] = {"DNS:*.example.org"}, *authz[] = {"z1"};
    struct acme_order
        x = {.id = "o1",
             .profile = "p",
             .names = {names, 1},
             .authz = {authz, 1},
             .expires = 7,
             .not_before = 8,
             .not_after = 9,
             .replaces = "aki.serial",
             .error = "{\"type\":\"x\"}",
             .serial = "00ff",
             .pending = "c",
             .account_url = "https://a/1",
             .star = {.start = 1, .end = 2, .lifetime = 3, .adjust = 4, .get = true, .first = 5, .next = 6},
             .csr = SLICE_LIT("\x30\x02"),
             .cert_not_before = 10,
             .cert_not_after = 11,
             .cert = SLICE_LIT("\x30\x01")},
        y;
    x.row.status = ACME_PENDING;
    assert_int_equal(acme_order_write(&x, a), TM_OK);
    assert_string_equal(x.row.ref, "00ff");
    assert_string_equal(x.row.key, "aki.serial");
    assert_int_equal(acme_order_read(&y, a, &x.row), TM_OK);
    assert_string_equal(y.error, x.error);
    assert_string_equal(y.authz.v[0], "z1");
    assert_int_equal(y.expires + y.not_before + y.not_after, 24);
    assert_true(slice_eq(y.cert, x.cert));
    assert_true(slice_eq(y.csr, x.csr));
    assert_int_equal(y.star.start + y.star.end + y.star.lifetime + y.star.adjust, 10);
    assert_int_equal(y.star.first + y.star.next, 11);
    assert_true(y.star.get);
    assert_int_equal(y.cert_not_before + y.cert_not_after, 21);
    assert_string_equal(y.account_url, x.account_url);
    /* What failed replaces nothing. */
    x.row.status = ACME_INVALID;
    assert_int_equal(acme_order_write(&x, a), TM_OK);
    assert_string_equal(x.row.key, "");
}

static void test_authz__round_trip(void **state)
{
    struct arena *a = *state;
    struct acme_challenge_state c[] = {
        {.type = ACME_HTTP_01, .status = ACME_INVALID, .token = "t1", .error = "{}"},
        {.type = ACME_DNS_01, .status = ACME_VALID, .token = "t2", .validated = 3, .error = ""},
    };
    struct acme_authz x = {.id = "z1",
                           .identifier = {.value = "example.org"},
                           .wildcard = true,
                           .expires = 7,
                           .granted = "",
                           .attempts = 2,
                           .account_url = "b",
                           .endpoint = "e",
                           .thumbprint = "t",
                           .challenges = {c, 2}},
                      y;
    x.row.owner = "a1";
    assert_int_equal(acme_authz_write(&x, a), TM_OK);
    assert_string_equal(x.row.key, "a1/DNS:*.example.org");
    assert_int_equal(acme_authz_read(&y, a, &x.row), TM_OK);
    assert_true(y.wildcard);
    assert_string_equal(y.identifier.value, "example.org");
    assert_int_equal(y.challenges.n, 2);
    const struct acme_challenge_state *d = y.challenges.v;
    assert_int_equal(d[0].status, ACME_INVALID);
    assert_string_equal(d[1].token, "t2");
    assert_int_equal(d[1].validated, 3);
    /* What is for the names below as well stands for no ordinary one. */
    x.wildcard = false;
    x.subdomains = true;
    assert_int_equal(acme_authz_write(&x, a), TM_OK);
    assert_string_equal(x.row.key, "a1/DNS:example.org/below");
    assert_int_equal(acme_authz_read(&y, a, &x.row), TM_OK);
    assert_true(y.subdomains);
}

static void test_read__corrupt(void **state)
{
    struct object_row row = {.id = "x", .owner = "", .ref = "", .key = ""};
    struct acme_account account;
    struct acme_order order;
    struct acme_authz authz;
    static const char *const bad[] = {"", "[]", "{}", "{\"name\":\"FTP:x\"}", "{\"name\":\"DNS:a b\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        row.state = slice_str(bad[i]);
        assert_int_equal(acme_account_read(&account, *state, &row), TM_ECORRUPT);
        assert_int_equal(acme_order_read(&order, *state, &row), TM_ECORRUPT);
        assert_int_equal(acme_authz_read(&authz, *state, &row), TM_ECORRUPT);
    }
}

static void test_identifier_parse__forms(void **state)
{
    struct acme_identifier id;
    bool wildcard;
    assert_int_equal(acme_identifier_parse(&id, &wildcard, *state, "dns", "*.Example.ORG", NULL), TM_OK);
    assert_true(wildcard);
    assert_string_equal(id.value, "example.org");
    assert_int_equal(acme_identifier_parse(&id, &wildcard, *state, "ip", "2001:db8::1", NULL), TM_OK);
    assert_true(id.ip);
    static const char *const bad[][2] = {{"ip", "2001:DB8:0::1"},      {"ip", "192.0.2.01"},
                                         {"ip", "example.org"},        {"dns", "*.*.example.org"},
                                         {"dns", "192.0.2.1"},         {"dns", "a..b"},
                                         {"dns", "xn--a.example.org"}, {"dns", "example.org."}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (acme_identifier_parse(&id, &wildcard, *state, bad[i][0], bad[i][1], NULL) != TM_EINVAL)
            fail_msg("%s", bad[i][1]);
    assert_int_equal(acme_identifier_parse(&id, &wildcard, *state, "email", "a@b", NULL), TM_EUNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_account__round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order__round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_authz__round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read__corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identifier_parse__forms, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
