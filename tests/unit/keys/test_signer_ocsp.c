/* What the signer does for OCSP: certifies only its own responders, signs only of its CA and of today, counts instead of chaining
 * each (docs/adr/0006). */
#include "base/digest.h"
#include "signer_test.h"
#include "x509/ocsp.h"

static struct signer *signer;

static int setup(void **state)
{
    if (test_setup(state) != 0)
        return -1;
    struct envelope e = test_envelope("ca");
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    e.key_id = "ca-ocsp";
    e.allow = 1u << SIGN_OCSP;
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    e.key_id = "both"; /* answers, and could do more */
    e.allow = 1u << SIGN_OCSP | 1u << SIGN_CMS;
    test_store_key(&e, KEY_ALG_EC_P256, 0);
    e.key_id = "other-ocsp"; /* another CA's */
    e.allow = 1u << SIGN_OCSP;
    e.issuer = test_name("CN=Other CA,O=Example");
    test_store_key(&e, KEY_ALG_ED25519, 0);
    signer = test_signer_start(false);
    return 0;
}

static int teardown(void **state)
{
    signer_free(signer);
    return test_teardown(state);
}

/* ---- certificates of responders ---- */

struct responder {
    const char *key; /* whose certificate */
    enum oid eku;
    bool nocheck, san;
    int64_t days;
};

static struct sign_op *certify(const struct responder *w, bool as_responder)
{
    struct ext v[6];
    size_t n = 0;
    struct slice value;
    struct basic_constraints bc = {0};
    uint8_t serial[16];
    int64_t now = clock_now(), end = now + w->days * 86400;
    struct slice eku = oid_contents(w->eku);
    test_serial(serial, now, end);
    assert_ok(ext_encode_basic_constraints(&value, test_arena, &bc));
    test_add_ext(v, &n, OID_EXT_BASIC_CONSTRAINTS, true, value);
    assert_ok(ext_encode_key_usage(&value, test_arena, KU_DIGITAL_SIGNATURE));
    test_add_ext(v, &n, OID_EXT_KEY_USAGE, true, value);
    assert_ok(ext_encode_eku(&value, test_arena, &eku, 1));
    test_add_ext(v, &n, OID_EXT_EKU, false, value);
    if (w->nocheck)
        test_add_ext(v, &n, OID_EXT_OCSP_NOCHECK, false, SLICE_LIT("\x05\x00"));
    if (w->san) {
        struct general_name gn = {.type = GN_DNS, .value = SLICE_LIT("ocsp.example.org")};
        assert_ok(ext_encode_san(&value, test_arena, &gn, 1));
        test_add_ext(v, &n, OID_EXT_SAN, false, value);
    }
    struct tbs_cert t = {.serial = SLICE_ARR(serial),
                         .sigalg = sig_alg_info(SIG_ECDSA_SHA256)->algid,
                         .issuer = test_name("CN=Test CA,O=Example"),
                         .subject = test_name("CN=OCSP,CN=Test CA,O=Example"),
                         .spki = signer_key_find(signer, w->key)->spki,
                         .not_before = now,
                         .not_after = end,
                         .exts = v,
                         .n_exts = n};
    struct buf b;
    struct sign_op *op = arena_calloc(test_arena, 1, sizeof *op);
    buf_init(&b, 64 << 10);
    assert_ok(tbs_cert_build(&b, &t, &op->serial_offset));
    assert_ok(arena_copy(&op->tbs, test_arena, buf_slice(&b)));
    buf_done(&b);
    op->kind = SIGN_LEAF;
    op->key_id = "ca";
    op->responder = as_responder;
    TM_IGNORE(signer_sign(signer, op));
    return op;
}

static void test_signer__certifies_its_own_responder(void **state)
{
    (void)state;
    const struct responder good = {"ca-ocsp", OID_EKU_OCSP_SIGNING, true, false, 30};
    assert_ok(certify(&good, true)->err);
    /* By the common way nobody gets one: that is what keeps a taken-over server from becoming a responder. */
    struct sign_op *op = certify(&good, false);
    assert_int_equal(op->err, TM_EDENIED);
    assert_string_equal(op->diag.rule, "envelope.ekus");
    static const struct {
        struct responder w;
        const char *rule;
    } bad[] = {
        {{"both", OID_EKU_OCSP_SIGNING, true, false, 30}, "signer.responder"},
        {{"other-ocsp", OID_EKU_OCSP_SIGNING, true, false, 30}, "signer.responder"},
        {{"ca", OID_EKU_OCSP_SIGNING, true, false, 30}, "signer.responder"},
        {{"ca-ocsp", OID_EKU_CMC_RA, true, false, 30}, "envelope.responder"},
        {{"ca-ocsp", OID_EKU_OCSP_SIGNING, false, false, 30}, "envelope.responder"},
        {{"ca-ocsp", OID_EKU_OCSP_SIGNING, true, true, 30}, "envelope.responder"},
        {{"ca-ocsp", OID_EKU_OCSP_SIGNING, true, false, 101}, "envelope.lifetime"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        op = certify(&bad[i].w, true);
        assert_int_equal(op->err, TM_EDENIED);
        assert_string_equal(op->diag.rule, bad[i].rule);
    }
}

/* ---- responses ---- */

static struct sign_op *respond(const char *issuer, int64_t produced, int64_t next, enum oid hash)
{
    uint8_t name[32], serial[] = {1, 2, 3};
    static const uint8_t key[32] = {7};
    struct slice tlv = test_name(issuer);
    size_t n = hash == OID_SHA1 ? 20 : 32;
    assert_ok(hash == OID_SHA1 ? sha1(name, tlv) : sha256(name, tlv));
    struct ocsp_id id = {.hash = hash,
                         .name_hash = slice_of(name, n),
                         .key_hash = slice_of(key, n),
                         .serial = SLICE_ARR(serial)};
    struct buf cert_id, data;
    buf_init(&cert_id, 1024);
    buf_init(&data, 4096);
    assert_ok(ocsp_id_build(&cert_id, &id));
    struct ocsp_single s = {.id = buf_slice(&cert_id), .this_update = produced, .next_update = next};
    struct ocsp_data d = {.key_hash = slice_of(key, 20), .produced_at = produced, .v = &s, .n = 1};
    assert_ok(ocsp_data_build(&data, &d));
    struct slice tbs;
    assert_ok(arena_copy(&tbs, test_arena, buf_slice(&data)));
    buf_done(&data);
    buf_done(&cert_id);
    return test_ask(signer, SIGN_OCSP, "ca-ocsp", tbs);
}

static void test_signer__ocsp_of_its_ca_and_of_today(void **state)
{
    (void)state;
    const char *ca = "CN=Test CA,O=Example";
    int64_t now = clock_now(), day = 86400;
    static const enum oid hashes[] = {OID_SHA1, OID_SHA256};
    for (size_t i = 0; i < 2; i++) {
        struct sign_op *op = respond(ca, now, now + day, hashes[i]);
        assert_ok(op->err);
        test_verify(signer_key_find(signer, "ca-ocsp")->spki, SIG_ECDSA_SHA256, op->tbs,
                    slice_of(op->signature, op->signature_n));
    }
    assert_int_equal(respond("CN=Other CA,O=Example", now, now + day, OID_SHA256)->err, TM_EDENIED);
    assert_int_equal(respond(ca, now - 2 * day, now + day, OID_SHA256)->err, TM_EDENIED);
    assert_int_equal(respond(ca, now + 2 * day, now + 3 * day, OID_SHA256)->err, TM_EDENIED);
    assert_int_equal(respond(ca, now, now + 101 * day, OID_SHA256)->err, TM_EDENIED);
    assert_int_equal(respond(ca, now, now - 1, OID_SHA256)->err, TM_EDENIED);
}

/* The first of a minute bears an entry; the others are counted for the next. */
static void test_signer__ocsp_is_counted(void **state)
{
    (void)state;
    uint64_t before, after;
    uint8_t hash[32];
    int64_t now = clock_now();
    assert_ok(signer_chain(signer, &before, hash));
    size_t bearing = 0;
    for (int i = 0; i < 200; i++)
        bearing += respond("CN=Test CA,O=Example", now, now + 86400, OID_SHA1)->chain_seq != 0;
    assert_ok(signer_chain(signer, &after, hash));
    assert_int_equal(after - before, bearing);
    assert_true(bearing <= 2); /* none, where an earlier test had this minute's */
    struct signer_entry *v;
    size_t n, ocsp = 0;
    assert_ok(signer_journal(signer, test_arena, &v, &n, NULL));
    for (size_t i = 0; i < n; i++)
        ocsp += v[i].kind == SIGN_OCSP;
    assert_true(ocsp >= 1 && ocsp <= 3);
}

int main(int argc, char **argv)
{
    test_signer_program(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signer__certifies_its_own_responder),
        cmocka_unit_test(test_signer__ocsp_of_its_ca_and_of_today),
        cmocka_unit_test(test_signer__ocsp_is_counted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
