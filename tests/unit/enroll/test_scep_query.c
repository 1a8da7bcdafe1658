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

/* What was approved is fetched, also where the inventory keeps no certificates. */
static void test_scep_query__approved_and_not_kept(void **state)
{
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    const char *names[] = {"DNS:polled.example.org"};
    struct http_request request = {.id = "test", .peer = "", .arena = a};
    struct scep_message m = {.type = SCEP_CERT_POLL,
                             .transaction_id = SLICE_LIT("polled"),
                             .sender_nonce = SLICE_LIT("0123456789abcdef")};
    struct scep_exchange x = {.request = &request,
                              .house = house,
                              .catalog = house_catalog(house),
                              .endpoint = &endpoint,
                              .m = &m,
                              .challenge = ""};
    struct slice certs;
    (void)state;
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"sparse\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}},"
        "\"approval\":{\"required\":true},\"retention\":{\"level\":\"metadata\"}}");
    CHECK_OK(csr_parse_pkcs10(&x.csr, make_csr(a, "CN=polled.example.org", names, 1), &diag), diag);
    m.by.spki = x.csr.spki;
    struct issue_request *r = request_for(a, x.csr.spki.der, "sparse", "unused.example.org");
    CHECK_OK(issue_from_csr(r, &x.csr, &diag), diag);
    issue_run(r);
    assert_int_equal(r->outcome, ISSUE_PENDING);
    CHECK_OK(scep_transaction_find(&x), x.diag);
    CHECK_OK(scep_transaction_pending(&x, r->pending_id), x.diag);
    CHECK_OK(issue_approve(house, TENANT_DEFAULT, r->pending_id, true, "boss", "", &diag), diag);
    x.csr = (struct csr){0};
    x.body = SLICE_LIT("poll");
    m.sender_nonce = SLICE_LIT("fedcba9876543210");
    x.authority = catalog_authority(x.catalog, TENANT_DEFAULT, "issuing-ca");
    CHECK_OK(scep_query_admit(&x, &x.diag), x.diag);
    CHECK_OK(scep_query(&certs, &x, &x.diag), x.diag);
    assert_true(certs.n > x.authority->der.n + 200);
    catalog_unref(x.catalog);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_query_admit__own_certificate),
        cmocka_unit_test(test_scep_query__approved_and_not_kept),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
