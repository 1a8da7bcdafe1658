/* Who else has a certificate of a key, however often it was used, and however it is written. */
#include "der/builder.h"
#include "issue_test.h"
#include "keys/pubkey.h"
#include "x509/crl.h"

static const char strict[] = "server-internal-1y", lax[] = "lax";

static void put_lax(void)
{
    put("Profile",
        "{\"kind\":\"Profile\",\"name\":\"lax\",\"authority\":\"issuing-ca\",\"lifetime\":{\"default\":\"30d\"},"
        "\"key\":{\"reuse\":\"any\",\"algorithms\":[\"ec-p256\",\"rsa-2048+\"]},"
        "\"subject\":{\"allow\":[{\"attr\":\"CN\"}]},\"san\":{\"allow\":{\"dns\":{}}}}");
}

static void test_key_use__any_number_of_uses(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    put_lax();
    assert_issued(ask(a, key_spki(k), strict, "first.example.org"));
    /* Its own name goes on with it, others don't get it. */
    for (int i = 0; i < 12; i++)
        assert_issued(ask(a, key_spki(k), strict, "first.example.org"));
    assert_denied(ask(a, key_spki(k), strict, "second.example.org"), "key.reuse");
    /* Where a profile lets two have it, neither is the only one any more, though one's newest twelve hide the other's. */
    for (int i = 0; i < 12; i++)
        assert_issued(ask(a, key_spki(k), lax, "second.example.org"));
    assert_denied(ask(a, key_spki(k), strict, "second.example.org"), "key.reuse");
    for (int i = 0; i < 12; i++)
        assert_issued(ask(a, key_spki(k), lax, "first.example.org"));
    assert_denied(ask(a, key_spki(k), strict, "first.example.org"), "key.reuse");
    key_free(k);
    arena_free(a);
}

static void test_key_use__compromised_long_ago(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct key *k = new_key(KEY_ALG_EC_P256, 0);
    struct issue_request *r = ask(a, key_spki(k), strict, "lost.example.org");
    assert_issued(r);
    for (int i = 0; i < 12; i++)
        assert_issued(ask(a, key_spki(k), strict, "lost.example.org"));
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, CRL_KEY_COMPROMISE, "tester", "", NULL, &diag),
             diag);
    assert_denied(ask(a, key_spki(k), strict, "lost.example.org"), "key.compromised");
    key_free(k);
    /* The same where many are revoked at once, from rows without their DER. */
    k = new_key(KEY_ALG_EC_P256, 0);
    r = ask(a, key_spki(k), strict, "many.example.org");
    assert_issued(r);
    struct store_read q = {.kind = READ_CERT, .tenant = TENANT_DEFAULT, .arena = a};
    memcpy(q.id, r->serial, sizeof q.id);
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    q.certs[0].der = (struct slice){0};
    for (int i = 0; i < 12; i++)
        assert_issued(ask(a, key_spki(k), strict, "many.example.org"));
    const struct issue_revocation one = {&q.certs[0], CRL_KEY_COMPROMISE};
    const struct issue_reasons why = {.by = "tester"};
    CHECK_OK(issue_revoke_set(house, TENANT_DEFAULT, &one, 1, &why, NULL, 0, &diag), diag);
    assert_int_equal(issue_revoke_set(house, TENANT_DEFAULT, &one, 1, &why, NULL, 0, &diag), TM_ECONFLICT);
    assert_denied(ask(a, key_spki(k), strict, "many.example.org"), "key.compromised");
    /* And when retention has taken all of them. */
    uint64_t removed = 0;
    CHECK_OK(house->store->driver->expire(house->store, TM_TIME_NEVER - 1, &removed, &diag), diag);
    assert_true(removed >= 13);
    assert_denied(ask(a, key_spki(k), strict, "many.example.org"), "key.compromised");
    key_free(k);
    arena_free(a);
}

/* SubjectPublicKeyInfo of the same modulus with another exponent than 65537. */
static struct slice other_exponent(struct arena *a, struct slice spki)
{
    static const uint8_t exponent[] = {1, 0, 3};
    struct spki s;
    struct slice modulus, out;
    struct buf text;
    struct der_builder b;
    assert_int_equal(spki_parse(&s, spki, NULL), TM_OK);
    assert_true(spki_rsa_modulus(&modulus, &s));
    buf_init(&text, 4096);
    der_builder_init(&b, &text);
    der_open(&b, DER_SEQUENCE);
    der_put_tlv(&b, s.alg.der);
    der_open_bits(&b);
    der_open(&b, DER_SEQUENCE);
    der_put_unsigned(&b, modulus);
    der_put_unsigned(&b, SLICE_ARR(exponent));
    der_close(&b);
    der_close(&b);
    der_close(&b);
    assert_int_equal(der_builder_finish(&b), TM_OK);
    assert_int_equal(arena_copy(&out, a, buf_slice(&text)), TM_OK);
    buf_done(&text);
    return out;
}

static void test_key_use__rsa_with_another_exponent(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct key *k = new_key(KEY_ALG_RSA, 2048);
    struct slice twin = other_exponent(a, key_spki(k));
    struct issue_request *r = ask(a, key_spki(k), strict, "rsa.example.org");
    assert_issued(r);
    assert_denied(ask(a, twin, strict, "twin.example.org"), "key.reuse");
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, r->serial, CRL_KEY_COMPROMISE, "tester", "", NULL, &diag),
             diag);
    assert_denied(ask(a, twin, strict, "rsa.example.org"), "key.compromised");
    key_free(k);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_use__any_number_of_uses),
        cmocka_unit_test(test_key_use__compromised_long_ago),
        cmocka_unit_test(test_key_use__rsa_with_another_exponent),
    };
    return cmocka_run_group_tests(tests, issue_setup, issue_teardown);
}
