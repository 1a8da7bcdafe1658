/* Ceremonies: further CAs, tiers, a root on another machine, a CA that exists already, backups, exports. */
#include "authority/enter.h"
#include "base/digest.h"
#include "home_test.h"
#include "keys/envelope.h"
#include "x509/cms/certs_only.h"

static struct house *house;
static struct arena *arena;
static struct ceremony by;

static int begin(void **state)
{
    (void)state;
    arena = arena_new(0);
    house = open_home();
    by = (struct ceremony){.house = house, .by = "tester", .passphrase = &home_passphrase};
    return 0;
}

static int end(void **state)
{
    (void)state;
    house_close(house);
    arena_free(arena);
    return 0;
}

static struct ca_spec spec(const char *name)
{
    struct ca_spec s;
    ca_spec_init(&s);
    s.name = name;
    return s;
}

static struct offline_bundle *root_bundle(void)
{
    struct offline_bundle *b = NULL;
    struct diag diag = {0};
    CHECK_OK(offline_bundle_open(&b, home.root_bundle, &root_passphrase, &diag), diag);
    return b;
}

static void write_chain(const char *name)
{
    struct catalog *c = house_catalog(house);
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(authority_export(&b, authority_of(c, name), CA_EXPORT_CHAIN), TM_OK);
    char file[80];
    snprintf(file, sizeof file, "%s.chain", name);
    write_test_file(file, buf_slice(&b));
    buf_reset(&b);
    assert_int_equal(authority_roots(&b, house, TENANT_DEFAULT), TM_OK);
    write_test_file("roots.pem", buf_slice(&b));
    buf_done(&b);
    catalog_unref(c);
}

static void check_leaf(const char *authority, const char *dns)
{
    struct issue_request *r = issue_leaf_from(arena, house, "server-internal-1y", authority, dns);
    if (r->outcome != ISSUE_ISSUED)
        fail_msg("%s: %s %s", tm_err_name(r->err), r->diag.message,
                 r->decision.reason ? r->decision.reason : "");
    write_pem("leaf.pem", "CERTIFICATE", r->cert);
    write_chain(authority);
    if (have_tool("openssl"))
        RUN_OK("openssl verify -x509_strict -CAfile roots.pem -untrusted %s.chain leaf.pem", authority);
    if (have_tool("certtool"))
        RUN_OK("cat leaf.pem %s.chain | certtool --verify-chain", authority);
}

static void test_ceremony_create_ca__second_issuing_ca(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("plant-2");
    s.subject = "CN=Plant 2 CA,O=Example";
    struct offline_bundle *b = root_bundle();
    CHECK_OK(ceremony_create_ca(&r, arena, &by, &s, "root", b, &diag), diag);
    offline_bundle_close(b);
    assert_string_equal(r.name, "plant-2");
    check_leaf("plant-2", "line.example.org");
    assert_int_equal(ceremony_create_ca(&r, arena, &by, &s, "root", NULL, &diag), TM_ECONFLICT);
    struct ca_spec other = spec("plant-3");
    assert_int_equal(ceremony_create_ca(&r, arena, &by, &other, "root", NULL, &diag), TM_EUNAVAIL);
    assert_int_equal(ceremony_create_ca(&r, arena, &by, &other, "nobody", NULL, &diag), TM_ENOTFOUND);
    assert_int_not_equal(access(in_test("home/keys/plant-3.key"), F_OK), 0);
}

static void test_ceremony_create_ca__tiers(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec tier = spec("region-eu"), leaf = spec("region-eu-1");
    static const char *const permitted[] = {"eu.example.org"};
    tier.issues_cas = true;
    tier.path_len = 1;
    struct offline_bundle *b = root_bundle();
    CHECK_OK(ceremony_create_ca(&r, arena, &by, &tier, "root", b, &diag), diag);
    offline_bundle_close(b);
    leaf.permit_dns = permitted;
    leaf.n_permit_dns = 1;
    leaf.lifetime = 100 * 365 * 86400LL;
    CHECK_OK(ceremony_create_ca(&r, arena, &by, &leaf, "region-eu", NULL, &diag), diag);
    struct catalog *c = house_catalog(house);
    assert_int_equal(r.not_after, authority_of(c, "region-eu")->cert.not_after);
    assert_int_equal(authority_of(c, "region-eu-1")->n_chain, 2);
    assert_non_null(exts_find(&authority_of(c, "region-eu-1")->cert.exts, OID_EXT_NAME_CONSTRAINTS));
    catalog_unref(c);
    check_leaf("region-eu-1", "host.eu.example.org");
    /* A name outside: the signer refuses, whatever policy says. */
    struct issue_request *out =
        issue_leaf_from(arena, house, "server-internal-1y", "region-eu-1", "host.us.example.org");
    assert_int_not_equal(out->outcome, ISSUE_ISSUED);
    /* A tier signs no leaves. */
    out = issue_leaf_from(arena, house, "server-internal-1y", "region-eu", "host.eu.example.org");
    assert_int_not_equal(out->outcome, ISSUE_ISSUED);
}

static void test_ceremony_create_ca__flat(void **state)
{
    (void)state;
    static const char *const keys[] = {"ec-p256", "rsa-2048", "ed25519", "ml-dsa-65"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct diag diag = {0};
        struct ca_result r;
        char name[40];
        snprintf(name, sizeof name, "flat-%s", keys[i]);
        struct ca_spec s = spec(name);
        s.key = keys[i];
        CHECK_OK(ceremony_create_ca(&r, arena, &by, &s, NULL, NULL, &diag), diag);
        /* The right to sign CAs has gone with its own certificate. */
        const struct signer_key *k = signer_key_find(house->signer, name);
        assert_non_null(k);
        assert_int_equal(k->env.allow, 1u << SIGN_LEAF | 1u << SIGN_CRL);
        struct issue_request *leaf =
            issue_leaf_from(arena, house, "server-internal-1y", name, "flat.example.org");
        assert_int_equal(leaf->outcome, ISSUE_ISSUED);
    }
    check_leaf("flat-ec-p256", "flat.example.org");
}

/* DESIGN 2.4: an issuing key that is asked for a CA says no. */
static void test_ceremony_create_ca__under_an_issuing_ca(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("sneaky");
    assert_int_equal(ceremony_create_ca(&r, arena, &by, &s, "issuing-ca", NULL, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.allow");
    assert_int_not_equal(access(in_test("home/keys/sneaky.key"), F_OK), 0);
    struct catalog *c = house_catalog(house);
    assert_null(catalog_authority(c, TENANT_DEFAULT, "sneaky"));
    catalog_unref(c);
}

/* The one row of the inventory with this fingerprint. */
static const struct cert_row *row_of(struct slice der)
{
    uint8_t hash[32];
    assert_int_equal(sha256(hash, der), TM_OK);
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .key = {.kind = CERT_KEY_FINGERPRINT, .value = SLICE_ARR(hash)},
                           .limit = 10};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    assert_int_equal(q.n, 1);
    return &q.certs[0];
}

static void test_ceremony_request_ca__signed_elsewhere(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("remote-1");
    struct buf csr, pem;
    buf_init(&csr, 1 << 16);
    buf_init(&pem, 1 << 16);
    s.subject = "CN=Remote 1,O=Example";
    CHECK_OK(ceremony_request_ca(&csr, &by, &s, &diag), diag);
    if (have_tool("openssl")) {
        write_test_file("remote.csr", buf_slice(&csr));
        RUN_OK("openssl req -verify -noout -in remote.csr");
    }
    /* Until the certificate is here the key signs nothing at all. */
    CHECK_OK(signer_reload(house->signer, &diag), diag);
    assert_int_equal(signer_key_find(house->signer, "remote-1")->env.allow, 0);
    struct buf again;
    buf_init(&again, 1 << 16);
    assert_int_equal(ceremony_request_ca(&again, &by, &s, &diag), TM_ECONFLICT);
    buf_done(&again);

    struct offline_bundle *b = root_bundle();
    struct ca_signed sub;
    CHECK_OK(offline_bundle_sign_csr(&sub, arena, b, buf_slice(&csr),
                                     &(struct offline_sign){.lifetime = 365 * 86400}, &diag),
             diag);
    offline_bundle_close(b);
    buf_put_pem(&pem, "CERTIFICATE", sub.der);
    CHECK_OK(ceremony_install_ca(&r, arena, &by, &s, buf_slice(&pem), &diag), diag);
    struct catalog *c = house_catalog(house);
    const struct authority *x = authority_of(c, "remote-1");
    assert_string_equal(x->parent, "root");
    assert_int_equal(x->n_chain, 1);
    assert_int_equal(signer_key_find(house->signer, "remote-1")->env.not_after_max, x->cert.not_after);
    catalog_unref(c);
    check_leaf("remote-1", "remote.example.org");
    /* It is its issuer's in the inventory, under its own serial: there it can be revoked. */
    const struct cert_row *row = row_of(sub.der);
    assert_int_equal(row->source, CERT_ISSUED);
    assert_string_equal(row->authority, "root");
    assert_memory_equal(row->id, sub.serial, CERT_SERIAL_LEN);
    int64_t at;
    CHECK_OK(
        issue_revoke(house, TENANT_DEFAULT, row->id, CRL_CESSATION_OF_OPERATION, "tester", "", &at, &diag),
        diag);
    buf_done(&csr);
    buf_done(&pem);
}

static void test_ceremony_install_ca__another_key(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("remote-2");
    struct buf csr, pem;
    buf_init(&csr, 1 << 16);
    buf_init(&pem, 1 << 16);
    CHECK_OK(ceremony_request_ca(&csr, &by, &s, &diag), diag);
    struct catalog *c = house_catalog(house);
    buf_put_pem(&pem, "CERTIFICATE", authority_of(c, "device-ca")->der);
    catalog_unref(c);
    assert_int_equal(ceremony_install_ca(&r, arena, &by, &s, buf_slice(&pem), &diag), TM_EINVAL);
    buf_done(&csr);
    buf_done(&pem);
}

static struct slice read_test_file(const char *name)
{
    FILE *f = fopen(in_test(name), "r");
    assert_non_null(f);
    char *p = arena_alloc(arena, 1 << 16);
    size_t n = fread(p, 1, 1 << 16, f);
    fclose(f);
    return slice_of(p, n);
}

static void test_ceremony_import_ca__made_by_openssl(void **state)
{
    (void)state;
    if (!have_tool("openssl"))
        skip();
    RUN_OK(
        "openssl req -x509 -newkey rsa:2048 -passout pass:sesame -keyout old.key -out old.pem -days 900 -subj '/O=Old/CN=Old Root' "
        "-addext 'keyUsage=critical,keyCertSign,cRLSign' -addext 'basicConstraints=critical,CA:TRUE'");
    RUN_OK(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout sub.key -out sub.csr -subj '/O=Old/CN=Old Sub' && "
        "printf 'basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign,cRLSign\\nsubjectKeyIdentifier=hash\\n"
        "authorityKeyIdentifier=keyid\\n' >sub.ext && "
        "openssl x509 -req -in sub.csr -CA old.pem -CAkey old.key -passin pass:sesame -days 800 -extfile sub.ext -out sub.pem && "
        "openssl crl2pkcs7 -nocrl -certfile sub.pem -certfile old.pem -out sub.p7");
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("old-root"), sub = spec("old-sub");
    struct secret sesame = text_secret("sesame"), wrong = text_secret("open");
    assert_int_equal(ceremony_import_ca(&r, arena, &by, &s, read_test_file("old.key"), &wrong,
                                        read_test_file("old.pem"), &diag),
                     TM_ELOCKED);
    assert_int_equal(ceremony_import_ca(&r, arena, &by, &s, read_test_file("sub.key"), NULL,
                                        read_test_file("old.pem"), &diag),
                     TM_EINVAL);
    s.issues_cas = true;
    CHECK_OK(ceremony_import_ca(&r, arena, &by, &s, read_test_file("old.key"), &sesame,
                                read_test_file("old.pem"), &diag),
             diag);
    sub.issues_cas = true;
    assert_int_equal(ceremony_import_ca(&r, arena, &by, &sub, read_test_file("sub.key"), NULL,
                                        read_test_file("sub.p7"), &diag),
                     TM_EINVAL);
    sub.issues_cas = false;
    CHECK_OK(ceremony_import_ca(&r, arena, &by, &sub, read_test_file("sub.key"), NULL,
                                read_test_file("sub.p7"), &diag),
             diag);
    struct catalog *c = house_catalog(house);
    assert_true(authority_of(c, "old-root")->is_root);
    assert_string_equal(authority_of(c, "old-sub")->parent, "old-root");
    assert_int_equal(authority_of(c, "old-sub")->n_chain, 1);
    catalog_unref(c);
    check_leaf("old-sub", "old.example.org");
    /* Serials that openssl gave: the inventory's ids are its own. */
    assert_int_equal(row_of(r.der)->source, CERT_IMPORTED);
    secret_done(&sesame);
    secret_done(&wrong);
}

static void test_ceremony_import_cert__foreign_root(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("foreign"), leaf = spec("leafy"), own = spec("elsewhere");
    struct offline_bundle *b = NULL;
    struct buf pem;
    own.subject = "CN=Elsewhere,O=Other";
    CHECK_OK(offline_bundle_create(&b, in_test("elsewhere.bundle"), &root_passphrase, &own, &diag), diag);
    CHECK_OK(ceremony_import_cert(&r, arena, &by, &s, offline_bundle_cert(b)->der, &diag), diag);
    offline_bundle_close(b);
    assert_int_equal(row_of(r.der)->source, CERT_IMPORTED);
    struct issue_request *l = issue_leaf(arena, house, "x.example.org");
    buf_init(&pem, 1 << 16);
    buf_put_pem(&pem, "CERTIFICATE", l->cert);
    assert_int_equal(ceremony_import_cert(&r, arena, &by, &leaf, buf_slice(&pem), &diag), TM_EINVAL);
    assert_int_equal(ceremony_import_cert(&r, arena, &by, &leaf, SLICE_LIT("nothing"), &diag), TM_EMALFORMED);
    buf_done(&pem);
}

static void test_ceremony_create_ca__only_offline(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct ca_result r;
    struct ca_spec s = spec("hasty");
    house->mode = HOUSE_SERVE;
    assert_int_equal(ceremony_create_ca(&r, arena, &by, &s, NULL, NULL, &diag), TM_EUNAVAIL);
    house->mode = HOUSE_OFFLINE;
}

static void test_ca_spec_check__bad(void **state)
{
    (void)state;
    struct diag diag = {0};
    static const char *const bad_eku[] = {"flying"};
    struct ca_spec s = spec("Bad Name");
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("a");
    s.key = "rsa-1024";
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("a");
    s.signature = "ed25519";
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("a");
    s.path_len = -2;
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("a");
    s.issues_cas = true;
    s.path_len = 0;
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("a");
    s.ekus = bad_eku;
    s.n_ekus = 1;
    assert_int_equal(ca_spec_check(&s, &diag), TM_EINVAL);
    s = spec("register");
    assert_int_equal(ceremony_check(&by, &s, true, &diag), TM_EINVAL);
}

static void test_authority_export__forms(void **state)
{
    (void)state;
    struct catalog *c = house_catalog(house);
    struct buf b;
    struct slice certs[4];
    size_t n;
    buf_init(&b, 1 << 16);
    assert_int_equal(authority_export(&b, authority_of(c, "device-ca"), CA_EXPORT_PKCS7), TM_OK);
    assert_int_equal(certs_only_parse(certs, 4, &n, buf_slice(&b), NULL), TM_OK);
    assert_int_equal(n, 2);
    buf_reset(&b);
    assert_int_equal(authority_export(&b, authority_of(c, "device-ca"), CA_EXPORT_DER), TM_OK);
    assert_true(slice_eq(buf_slice(&b), authority_of(c, "device-ca")->der));
    buf_done(&b);
    catalog_unref(c);
}

static void test_ceremony__register_verifies(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct register_report r;
    CHECK_OK(house_sequence(house, &diag), diag);
    CHECK_OK(register_verify(&r, house->reg, TENANT_DEFAULT, NULL, NULL, &diag), diag);
    CHECK_OK(register_verify(&r, house->reg, TENANT_HOUSE, NULL, NULL, &diag), diag);
    assert_int_equal(r.chain_gaps, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ca_spec_check__bad, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_create_ca__second_issuing_ca, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_create_ca__tiers, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_create_ca__flat, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_create_ca__under_an_issuing_ca, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_create_ca__only_offline, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_request_ca__signed_elsewhere, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_install_ca__another_key, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_import_ca__made_by_openssl, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony_import_cert__foreign_root, begin, end),
        cmocka_unit_test_setup_teardown(test_authority_export__forms, begin, end),
        cmocka_unit_test_setup_teardown(test_ceremony__register_verifies, begin, end),
    };
    return cmocka_run_group_tests(tests, home_setup, home_teardown);
}
