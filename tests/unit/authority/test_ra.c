/* Who signs messages for an authority: made by init and by ceremony, and what its key may do. */
#include "authority/ra.h"
#include "home_test.h"
#include "issue/message.h"
#include "keys/cms.h"
#include "keys/signer.h"
#include "policy/profile.h"

static struct house *house;
static struct arena *arena;
static struct ceremony by;

static int setup(void **state)
{
    (void)state;
    test_dir_make();
    make_home_with(&(struct init_config){.root_crls = 3});
    arena = arena_new(0);
    house = open_home();
    by = (struct ceremony){.house = house, .by = "tester", .passphrase = &home_passphrase};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    house_close(house);
    arena_free(arena);
    free_home();
    test_dir_remove();
    return 0;
}

static void test_init__an_ra_for_each_ca(void **state)
{
    (void)state;
    static const char *const names[] = {"issuing-ca", "device-ca"};
    struct catalog *c = house_catalog(house);
    for (size_t i = 0; i < 2; i++) {
        const struct authority *x = authority_of(c, names[i]);
        const struct signer_key *ca = signer_key_find(house->signer, x->key_ref),
                                *ra = signer_key_find(house->signer, x->ra_key);
        assert_non_null(ra);
        /* The device CA's opens what SCEP's clients encrypt to it. */
        unsigned decrypt = ra->alg == KEY_ALG_RSA ? 1u << SIGN_DECRYPT : 0;
        assert_int_equal(decrypt != 0, i == 1);
        assert_int_equal(ra->env.allow, 1u << SIGN_CMS | 1u << SIGN_CMP | decrypt);
        assert_int_equal(x->ra_cert.not_after, x->cert.not_after);
        assert_true(slice_eq(x->ra_cert.issuer, x->cert.subject));
        /* The CA itself may still not certify one. */
        for (size_t j = 0; j < ca->env.n_ekus; j++)
            assert_string_not_equal(ca->env.ekus[j], oid_dotted(OID_EKU_CMC_RA));
        assert_int_equal(ca->env.allow & (1u << SIGN_CMS), 0);
    }
    assert_string_equal(authority_of(c, "root")->ra_key, "");
    catalog_unref(c);
}

static tm_err sign(struct slice *ret, const struct authority *x, enum oid type, struct diag *diag)
{
    struct message m = {
        .tenant = TENANT_DEFAULT,
        .authority = x,
        .request_id = "test",
        .content_type = type,
        .content = SLICE_LIT("\x30\x06\x30\x00\x30\x00\x30\x00") /* a PKIResponse that says nothing */};
    return message_sign(ret, arena, house, &m, diag);
}

static void test_message_sign(void **state)
{
    (void)state;
    struct catalog *c = house_catalog(house);
    const struct authority *x = authority_of(c, "issuing-ca");
    struct diag diag = {0};
    struct slice der;
    static struct signed_data d;
    struct cert ra;
    CHECK_OK(sign(&der, x, OID_CT_PKI_RESPONSE, &diag), diag);
    CHECK_OK(signed_data_parse(&d, arena, der, &diag), diag);
    assert_int_equal(d.n_certs, 1);
    CHECK_OK(cert_parse(&ra, d.certs[0], &diag), diag);
    assert_true(signed_signer_is(&d.signers[0], &ra));
    CHECK_OK(cms_signer_verify(&d, &d.signers[0], &ra.spki, &diag), diag);
    /* The signer has the last word on what is said. */
    assert_int_equal(sign(&der, x, OID_DATA, &diag), TM_EDENIED);
    assert_string_equal(diag.rule, "envelope.cms");
    assert_int_equal(sign(&der, authority_of(c, "root"), OID_CT_PKI_RESPONSE, &diag), TM_EUNAVAIL);
    assert_string_equal(diag.rule, "authority.ra");
    struct message m = {.content_type = OID_CT_PKI_RESPONSE, .content = SLICE_LIT("no")};
    CHECK_OK(message_unsigned(&der, arena, &m), diag);
    CHECK_OK(signed_data_parse(&d, arena, der, &diag), diag);
    assert_int_equal(d.n_signers, 0);
    catalog_unref(c);
}

static void test_ceremony_create_ra__another(void **state)
{
    (void)state;
    struct ca_result r;
    struct diag diag = {0};
    CHECK_OK(ceremony_create_ra(&r, arena, &by, TENANT_DEFAULT, "issuing-ca", "rsa-2048", &diag), diag);
    struct catalog *c = house_catalog(house);
    const struct authority *x = authority_of(c, "issuing-ca");
    assert_string_equal(x->ra_key, "issuing-ca-ra2");
    assert_int_equal(x->ra_sig_alg, SIG_RSA_SHA256);
    struct slice der;
    CHECK_OK(sign(&der, x, OID_CT_ASYMMETRIC_KEY_PACKAGE, &diag), diag);
    catalog_unref(c);
}

static void test_ceremony_create_ra__refused(void **state)
{
    (void)state;
    struct ca_result r;
    struct diag diag = {0};
    assert_int_equal(ceremony_create_ra(&r, arena, &by, TENANT_DEFAULT, "nobody", NULL, &diag), TM_ENOTFOUND);
    assert_int_equal(ceremony_create_ra(&r, arena, &by, TENANT_DEFAULT, "root", NULL, &diag), TM_EUNAVAIL);
    static const char *const keys[] = {"rsa", "ec-p257", "ed448"};
    for (size_t i = 0; i < 3; i++)
        assert_int_not_equal(ceremony_create_ra(&r, arena, &by, TENANT_DEFAULT, "device-ca", keys[i], &diag),
                             TM_OK);
    assert_int_not_equal(access(in_test("home/keys/device-ca-ra2.key"), F_OK), 0);
    house->mode = HOUSE_SERVE;
    assert_int_equal(ceremony_create_ra(&r, arena, &by, TENANT_DEFAULT, "device-ca", NULL, &diag),
                     TM_EUNAVAIL);
    assert_string_equal(diag.rule, "ceremony.offline");
    house->mode = HOUSE_OFFLINE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init__an_ra_for_each_ca),
        cmocka_unit_test(test_message_sign),
        cmocka_unit_test(test_ceremony_create_ra__another),
        cmocka_unit_test(test_ceremony_create_ra__refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
