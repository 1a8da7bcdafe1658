/* Transactions as rows: found again, over, and met by another copy of the same message. */
#include "enroll/scep/scep.h"
#include "unit/issue/issue_test.h"

enum { RETENTION = 3600 };

static struct http_request request;
static const struct scep_settings settings = {.retention = RETENTION};
static const struct endpoint endpoint = {.tenant = TENANT_DEFAULT, .name = "scep", .scep = &settings};

/* A message in the transaction `id`, with this key and nonce, as it is when its request has been opened. */
static struct scep_exchange *message(struct arena *a, const char *id, const char *nonce, struct slice csr)
{
    struct scep_exchange *x = arena_calloc(a, 1, sizeof *x);
    struct diag diag = {0};
    request = (struct http_request){.id = "test", .peer = "", .arena = a};
    x->request = &request;
    x->house = house;
    x->endpoint = &endpoint;
    x->body = slice_str(nonce);
    x->m = arena_calloc(a, 1, sizeof *x->m);
    x->m->transaction_id = slice_str(id);
    x->m->sender_nonce = slice_str(nonce);
    x->challenge = "";
    CHECK_OK(csr_parse_pkcs10(&x->csr, csr, &diag), diag);
    x->m->by.spki = x->csr.spki;
    return x;
}

static struct slice new_csr(struct arena *a)
{
    const char *names[] = {"DNS:scep.example.org"};
    return make_csr(a, "CN=scep.example.org", names, 1);
}

static void test_scep_transaction_find__over(void **state)
{
    struct arena *a = arena_new(0);
    struct slice csr = new_csr(a);
    int64_t now = clock_now();
    struct scep_exchange *x = message(a, "over", "1", csr);
    (void)state;
    CHECK_OK(scep_transaction_find(x), x->diag);
    assert_false(x->t.found);
    CHECK_OK(scep_transaction_pending(x, "one"), x->diag);
    x = message(a, "over", "2", csr);
    CHECK_OK(scep_transaction_find(x), x->diag);
    assert_true(x->t.found);
    assert_string_equal(x->t.pending, "one");
    /* Its time is over, and nobody has cleared it away: another one takes its place. */
    clock_fix(now + RETENTION + 10);
    x = message(a, "over", "3", csr);
    CHECK_OK(scep_transaction_find(x), x->diag);
    assert_false(x->t.found);
    assert_string_equal(x->t.pending, "");
    CHECK_OK(scep_transaction_pending(x, "two"), x->diag);
    x = message(a, "over", "4", csr);
    CHECK_OK(scep_transaction_find(x), x->diag);
    assert_string_equal(x->t.pending, "two");
    clock_fix(0);
    arena_free(a);
}

static void test_scep_transaction_pending__two_copies(void **state)
{
    struct arena *a = arena_new(0);
    struct slice csr = new_csr(a);
    struct scep_exchange *x = message(a, "copies", "1", csr), *y = message(a, "copies", "1", csr);
    (void)state;
    CHECK_OK(scep_transaction_find(x), x->diag);
    CHECK_OK(scep_transaction_find(y), y->diag);
    CHECK_OK(scep_transaction_pending(x, "one"), x->diag);
    assert_int_equal(scep_transaction_pending(y, "one"), TM_ECONFLICT);
    CHECK_OK(scep_transaction_find(y), y->diag);
    CHECK_OK(scep_transaction_check(y), y->diag);
    assert_string_equal(y->t.pending, "one");
    /* Another key has no part in it. */
    struct scep_exchange *z = message(a, "copies", "2", new_csr(a));
    CHECK_OK(scep_transaction_find(z), z->diag);
    assert_int_equal(scep_transaction_check(z), TM_EDENIED);
    /* Nor other octets under the same nonce. */
    z = message(a, "copies", "1", csr);
    z->body = SLICE_LIT("others");
    assert_int_equal(scep_transaction_find(z), TM_EDENIED);
    assert_string_equal(z->diag.rule, "scep.nonce");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_transaction_find__over),
        cmocka_unit_test(test_scep_transaction_pending__two_copies),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
