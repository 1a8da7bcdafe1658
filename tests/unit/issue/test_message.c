/* Messages that the house signs: recorded before they leave, and as orphans where that fails. */
#include "issue/chain.h"
#include "issue/message.h"
#include "issue_test.h"
#include <time.h>

static struct message message_of(const struct catalog *c)
{
    return (struct message){.tenant = TENANT_DEFAULT,
                            .authority = catalog_authority(c, TENANT_DEFAULT, "issuing-ca"),
                            .request_id = "test",
                            .endpoint = "test",
                            .content_type = OID_CT_ASYMMETRIC_KEY_PACKAGE,
                            .content = SLICE_LIT("content")};
}

static void settle(void)
{
    for (int i = 0; i < 1000 && atomic_load(&house->in_flight); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(atomic_load(&house->in_flight), 0);
}

static void test_message_sign__is_recorded(void **state)
{
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct slice der = {0};
    struct catalog *c = house_catalog(house);
    struct message m = message_of(c);
    size_t before = events_of(a, TENANT_DEFAULT, "message.signed");
    (void)state;
    CHECK_OK(message_sign(&der, a, house, &m, &diag), diag);
    assert_true(der.n > 0);
    assert_int_equal(events_of(a, TENANT_DEFAULT, "message.signed"), before + 1);
    assert_int_equal(chain_waiting(house->chain), 0);
    catalog_unref(c);
    arena_free(a);
}

/* Signed, but what is to say so can't be written: the register knows of the signature all the same, and the chain's position moves on. */
static void test_message_sign__orphan(void **state)
{
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct slice der = {0};
    struct catalog *c = house_catalog(house);
    struct message m = message_of(c);
    size_t n = 1 << 20, before = events_of(a, TENANT_HOUSE, "signature.orphaned");
    char *endless = arena_calloc(a, n + 1, 1);
    (void)state;
    assert_non_null(endless);
    memset(endless, 'x', n);
    m.request_id = endless;
    assert_int_equal(message_sign(&der, a, house, &m, &diag), TM_ETOOBIG);
    settle();
    assert_int_equal(der.n, 0);
    assert_int_equal(events_of(a, TENANT_HOUSE, "signature.orphaned"), before + 1);
    assert_int_equal(chain_waiting(house->chain), 0);
    catalog_unref(c);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_sign__is_recorded),
        cmocka_unit_test(test_message_sign__orphan),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
