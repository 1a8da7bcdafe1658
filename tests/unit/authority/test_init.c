/* touchmark init: layout, authorities, CRLs, endpoints, and what other tools say of the paths. */
#include "authority/tls.h"
#include "home_test.h"
#include "policy/profile.h"
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static int setup(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free_home();
    test_dir_remove();
    return 0;
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(in_test(name), &st), 0);
    return st.st_mode & 07777;
}

static void test_house_init__layout(void **state)
{
    (void)state;
    assert_int_equal(mode_of("home"), 0700);
    assert_int_equal(mode_of("home/keys"), 0700);
    assert_int_equal(mode_of("home/touchmark.yaml"), 0600);
    assert_int_equal(mode_of("home/admin/token"), 0600);
    assert_int_equal(mode_of("home/tls/server.pem"), 0600);
    assert_int_equal(mode_of("home/root/root-root.bundle"), 0400);
    assert_int_not_equal(access(in_test("home/passphrase"), F_OK), 0); /* it was given */
    assert_int_not_equal(access(in_test("home/keys/root.key"), F_OK), 0);
    RUN_OK("grep -q 'public-base: \"http://pki.example.org\"' home/touchmark.yaml");
    assert_int_equal(strlen(home.root_fingerprint), 95);
    assert_non_null(home.next[2]);
}

static void test_house_init__twice_is_refused(void **state)
{
    (void)state;
    struct init_result again;
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    struct init_config c = {.home = in_test("home"), .passphrase = &home_passphrase};
    assert_int_equal(house_init(&again, a, &c, NULL, NULL, &diag), TM_ECONFLICT);
    assert_int_equal(access(in_test("home/touchmark.yaml"), F_OK), 0);
    arena_free(a);
}

static void test_house_init__failure_leaves_nothing(void **state)
{
    (void)state;
    struct init_result r;
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    struct init_config c = {.home = in_test("fails"), .ca_key = "rot13"};
    assert_int_equal(house_init(&r, a, &c, NULL, NULL, &diag), TM_EINVAL);
    assert_int_not_equal(access(in_test("fails"), F_OK), 0);
    c = (struct init_config){.home = in_test("fails"), .public_base = "https://pki.example.org"};
    assert_int_equal(house_init(&r, a, &c, NULL, NULL, &diag), TM_EINVAL);
    assert_int_not_equal(access(in_test("fails"), F_OK), 0);
    arena_free(a);
}

static void test_house_init__generated_passphrases(void **state)
{
    (void)state;
    struct init_result r;
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    struct init_config c = {.home = in_test("generated"), .demo_ports = true, .root_crls = 2};
    CHECK_OK(house_init(&r, a, &c, NULL, NULL, &diag), diag);
    assert_int_equal(mode_of("generated/passphrase"), 0400);
    assert_int_equal(mode_of("generated/root/root.passphrase"), 0400);
    struct secret s;
    struct offline_bundle *b = NULL;
    CHECK_OK(secret_read_file(&s, r.root_passphrase_file, &diag), diag);
    CHECK_OK(offline_bundle_open(&b, r.root_bundle, &s, &diag), diag);
    assert_string_equal(offline_bundle_name(b), "root");
    offline_bundle_close(b);
    secret_done(&s);
    arena_free(a);
}

static void test_house_init__wrong_passphrase(void **state)
{
    (void)state;
    struct house *h = NULL;
    struct diag diag = {0};
    struct secret wrong = text_secret("wrong horse");
    struct house_config c = {
        .home = in_test("home"), .mode = HOUSE_OFFLINE, .passphrase = &wrong, .origin = home.origin};
    assert_int_equal(house_open(&h, &c, &diag), TM_ELOCKED);
    struct offline_bundle *b = NULL;
    assert_int_equal(offline_bundle_open(&b, home.root_bundle, &wrong, &diag), TM_ELOCKED);
    secret_done(&wrong);
}

static void test_house_init__authorities(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct catalog *c = house_catalog(h);
    const struct authority *root = authority_of(c, "root"), *ca = authority_of(c, "issuing-ca"),
                           *dev = authority_of(c, "device-ca");
    assert_true(root->is_root && root->offline);
    assert_int_equal(root->key_alg, KEY_ALG_EC_P384);
    assert_int_equal(root->cert.not_after, TM_TIME_NEVER);
    assert_int_equal(dev->cert.not_after, TM_TIME_NEVER);
    assert_false(ca->offline || dev->offline || ca->is_root);
    const int64_t ten_years = 10 * 365 * 86400LL;
    assert_in_range(ca->cert.not_after, home_begun_at + ten_years, clock_now() + ten_years);
    assert_int_equal(ca->n_chain, 1);
    assert_true(slice_eq(ca->chain[0], root->der));
    assert_string_equal(ca->parent, "root");
    assert_true(slice_eq(cert_akid(&ca->cert), root->key_id));

    /* RFC 7093 method 1. */
    uint8_t ski[20];
    assert_int_equal(spki_key_id(ski, &ca->cert.spki), TM_OK);
    assert_true(slice_eq(SLICE_ARR(ski), ca->key_id));
    struct slice uri;
    size_t n;
    struct diag diag = {0};
    char want[200];
    CHECK_OK(ext_decode_cdp(&uri, 1, &n, exts_find(&ca->cert.exts, OID_EXT_CDP)->value, &diag), diag);
    snprintf(want, sizeof want, "http://pki.example.org/crl/%s/full.crl", root->key_id_hex);
    assert_true(n == 1 && slice_eq_str(uri, want));
    CHECK_OK(
        ext_decode_aia(&uri, 1, &n, OID_AD_CA_ISSUERS, exts_find(&ca->cert.exts, OID_EXT_AIA)->value, &diag),
        diag);
    snprintf(want, sizeof want, "http://pki.example.org/ca/%s.cer", root->key_id_hex);
    assert_true(n == 1 && slice_eq_str(uri, want));
    assert_null(exts_find(&root->cert.exts, OID_EXT_CDP));
    struct basic_constraints bc;
    const struct ext *ext = exts_find(&dev->cert.exts, OID_EXT_BASIC_CONSTRAINTS);
    CHECK_OK(ext_decode_basic_constraints(&bc, ext->value, &diag), diag);
    assert_true(ext->critical && bc.ca && bc.has_path_len && bc.path_len == 0);
    catalog_unref(c);
    house_close(h);
}

static void test_house_init__resources(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct catalog *c = house_catalog(h);
    for (const struct ready_profile *p = ready_profiles; p->name; p++)
        assert_non_null(catalog_profile(c, TENANT_DEFAULT, p->name));
    const struct endpoint *e = catalog_endpoint(c, DOOR_EST, "devices");
    assert_true(e && e->allow_token && e->allow_certificate && e->n_trust_sets == 0);
    assert_string_equal(e->profiles[0], "device-ldevid-1y");
    assert_non_null(catalog_endpoint(c, DOOR_EST, "servers"));
    assert_non_null(catalog_endpoint(c, DOOR_EST, "default"));
    assert_non_null(catalog_endpoint(c, DOOR_REST, "rest"));
    e = catalog_endpoint(c, DOOR_ACME, "acme");
    assert_true(e && e->acme->external == ACME_EXTERNAL_REQUIRED);
    assert_null(catalog_trust_set(c, TENANT_DEFAULT, "factory"));
    const struct principal *p = catalog_principal(c, TENANT_HOUSE, "admin");
    assert_true(p && p->all_tenants);
    assert_int_equal(catalog_tenant(c, "default")->id, TENANT_DEFAULT);
    catalog_unref(c);
    house_close(h);
}

static void test_house_init__admin_token(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct secret s;
    struct token_grant grant;
    CHECK_OK(secret_read_file(&s, home.admin_token_file, &diag), diag);
    char *dot = strchr((char *)s.p, '.');
    assert_non_null(dot);
    *dot = '\0';
    CHECK_OK(token_principal(&grant, a, h, TENANT_HOUSE, (char *)s.p, slice_str(dot + 1), &diag), diag);
    assert_string_equal(grant.principal, "admin");
    assert_string_equal(grant.scopes, "");
    secret_done(&s);
    arena_free(a);
    house_close(h);
}

static void test_house_init__tls_certificate(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct diag diag = {0};
    SSL_CTX *ctx = NULL;
    CHECK_OK(tls_server_context(&ctx, h, &diag), diag);
    X509 *x = SSL_CTX_get0_certificate(ctx);
    assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "pki.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
    SSL_CTX_free(ctx);
    /* Not due yet; by hand it is made anew with the same names. */
    CHECK_OK(authority_jobs[0]->run(h, &diag), diag);
    CHECK_OK(tls_server_issue(h, NULL, 0, "tester", &diag), diag);
    CHECK_OK(tls_server_context(&ctx, h, &diag), diag);
    assert_int_equal(X509_check_ip_asc(SSL_CTX_get0_certificate(ctx), "127.0.0.1", 0), 1);
    SSL_CTX_free(ctx);
    house_close(h);
}

static void count_bad(void *arg, int percent)
{
    (void)arg;
    (void)percent;
}

static void test_house_init__register_verifies(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct diag diag = {0};
    struct register_report r;
    CHECK_OK(house_sequence(h, &diag), diag);
    CHECK_OK(register_verify(&r, h->reg, TENANT_DEFAULT, count_bad, NULL, &diag), diag);
    assert_true(r.events > 20 && r.certificates >= 3);
    CHECK_OK(register_verify(&r, h->reg, TENANT_HOUSE, count_bad, NULL, &diag), diag);
    assert_int_equal(r.chain_gaps, 0);
    house_close(h);
}

/* ---- what others say ---- */

static void test_house_init__paths_validate(void **state)
{
    (void)state;
    struct house *h = open_home();
    struct arena *a = arena_new(0);
    struct catalog *c = house_catalog(h);
    struct issue_request *r = issue_leaf(a, h, "server.example.org");
    const struct authority *root = authority_of(c, "root"), *ca = authority_of(c, "issuing-ca"),
                           *dev = authority_of(c, "device-ca");
    struct crl_row crl;
    struct diag diag = {0};
    write_pem("root.pem", "CERTIFICATE", root->der);
    write_pem("ca.pem", "CERTIFICATE", ca->der);
    write_pem("dev.pem", "CERTIFICATE", dev->der);
    write_pem("leaf.pem", "CERTIFICATE", r->cert);
    CHECK_OK(crl_current(&crl, a, h, root), diag);
    write_pem("root.crl", "X509 CRL", crl.der);
    write_test_file("root.crl.der", crl.der);
    CHECK_OK(crl_current(&crl, a, h, ca), diag);
    write_pem("ca.crl", "X509 CRL", crl.der);
    write_test_file("ca.crl.der", crl.der);
    if (have_tool("openssl")) {
        RUN_OK("openssl verify -x509_strict -CAfile root.pem -untrusted ca.pem leaf.pem");
        RUN_OK("openssl verify -x509_strict -CAfile root.pem dev.pem");
        RUN_OK(
            "cat root.crl ca.crl >all.crl && openssl verify -crl_check_all -CRLfile all.crl -CAfile root.pem -untrusted ca.pem leaf.pem");
    }
    if (have_tool("certtool")) {
        RUN_OK("cat leaf.pem ca.pem root.pem | certtool --verify-chain");
        RUN_OK("certtool --verify-crl --load-ca-certificate ca.pem --infile ca.crl");
        RUN_OK("certtool --verify-crl --load-ca-certificate root.pem --infile root.crl");
    }
    /* strongSwan without libstrongswan-standard-plugins knows no elliptic curves. */
    if (have_tool("pki") && run("pki --print --in root.pem") == 0)
        RUN_OK(
            "pki --verify --in leaf.pem --cacert root.pem --cacert ca.pem --crl root.crl.der --crl ca.crl.der --online");
    catalog_unref(c);
    arena_free(a);
    house_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_house_init__layout),
        cmocka_unit_test(test_house_init__twice_is_refused),
        cmocka_unit_test(test_house_init__failure_leaves_nothing),
        cmocka_unit_test(test_house_init__generated_passphrases),
        cmocka_unit_test(test_house_init__wrong_passphrase),
        cmocka_unit_test(test_house_init__authorities),
        cmocka_unit_test(test_house_init__resources),
        cmocka_unit_test(test_house_init__admin_token),
        cmocka_unit_test(test_house_init__tls_certificate),
        cmocka_unit_test(test_house_init__register_verifies),
        cmocka_unit_test(test_house_init__paths_validate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
