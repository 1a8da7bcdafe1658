/* Who may ask for what is there. */
#include "enroll/scep/scep.h"
#include "unit/issue/issue_test.h"

static const struct scep_settings settings = {.retention = 3600};
static const struct endpoint endpoint = {
    .tenant = TENANT_DEFAULT, .name = "scep", .scep = &settings, .allow_certificate = true};

static void test_scep_query_admit__own_certificate(void **state)
{
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct issue_request *r = ask(a, key_spki(k), "server-internal-1y", "query.example.org");
    struct http_request request = {.id = "test", .peer = "", .arena = a};
    struct scep_message m = {.type = SCEP_GET_CERT};
    struct scep_exchange x = {
        .request = &request, .house = house, .catalog = house_catalog(house), .endpoint = &endpoint, .m = &m};
    (void)state;
    assert_issued(r);
    CHECK_OK(cert_parse(&m.by, r->cert, &diag), diag);
    CHECK_OK(scep_query_admit(&x, &x.diag), x.diag);
    assert_true(x.known);
    /* A profile may have a grace for renewals; who asks for other things has to have a certificate that is good. */
    clock_fix(m.by.not_after + 10);
    assert_int_equal(scep_query_admit(&x, &x.diag), TM_EAUTH);
    assert_string_equal(x.diag.rule, "certificate.expired");
    assert_false(x.known);
    clock_fix(0);
    catalog_unref(x.catalog);
    key_free(k);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_query_admit__own_certificate),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
