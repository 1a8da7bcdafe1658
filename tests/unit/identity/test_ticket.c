#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "identity/ticket.h"
#include <cmocka.h>
#include <string.h>

static void test_ticket_check__purpose_and_time(void **state)
{
    char ticket[TICKET_TEXT], wrong[TICKET_TEXT];
    struct diag diag = {0};
    (void)state;
    clock_fix(1795000000);
    assert_int_equal(ticket_make(ticket, "one", 60), TM_OK);
    assert_int_equal(strlen(ticket), TICKET_TEXT - 1);
    assert_int_equal(ticket_check("one", ticket, &diag), TM_OK);
    assert_int_equal(ticket_check("two", ticket, &diag), TM_EAUTH);
    for (size_t i = 0; i < TICKET_TEXT - 1; i += 5) {
        memcpy(wrong, ticket, sizeof wrong);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        assert_int_equal(ticket_check("one", wrong, &diag), TM_EAUTH);
    }
    assert_int_equal(ticket_check("one", "", &diag), TM_EAUTH);
    clock_fix(1795000061);
    assert_int_equal(ticket_check("one", ticket, &diag), TM_EEXPIRED);
    clock_fix(0);
}

static void test_ticket_spend__once(void **state)
{
    char a[TICKET_TEXT], b[TICKET_TEXT];
    struct diag diag = {0};
    (void)state;
    assert_int_equal(ticket_make(a, "one", 60), TM_OK);
    assert_int_equal(ticket_make(b, "one", 60), TM_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(ticket_spend("one", a, &diag), TM_OK);
    assert_int_equal(ticket_spend("one", a, &diag), TM_EAUTH);
    assert_string_equal(diag.rule, "ticket.spent");
    assert_int_equal(ticket_spend("one", b, &diag), TM_OK);
}

static void test_ticket_secret__by_label(void **state)
{
    uint8_t a[TICKET_SECRET], b[TICKET_SECRET], again[TICKET_SECRET];
    (void)state;
    assert_int_equal(ticket_secret(a, "x", "text"), TM_OK);
    assert_int_equal(ticket_secret(again, "x", "text"), TM_OK);
    assert_int_equal(ticket_secret(b, "y", "text"), TM_OK);
    assert_memory_equal(a, again, sizeof a);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticket_check__purpose_and_time),
        cmocka_unit_test(test_ticket_spend__once),
        cmocka_unit_test(test_ticket_secret__by_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
