/* The bundle of an offline root: what it signs, what it refuses, what happens to one that was touched. */
#include "home_test.h"

static struct secret pass;
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    test_dir_make();
    pass = text_secret(test_root_passphrase);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    secret_done(&pass);
    test_dir_remove();
    return 0;
}

static int begin(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    clock_fix(0);
    arena_free(arena);
    return 0;
}

static struct offline_bundle *create(const char *file, const char *key)
{
    struct ca_spec s;
    struct offline_bundle *b = NULL;
    struct diag diag = {0};
    ca_spec_init(&s);
    s.name = "root";
    s.key = key;
    s.subject = "CN=Test Root,O=Example";
    s.crl_url = "http://pki.example.org/crl/{ski}/full.crl";
    CHECK_OK(offline_bundle_create(&b, in_test(file), &pass, &s, &diag), diag);
    return b;
}

static struct slice sub_csr(void)
{
    return make_csr(arena, "CN=Sub CA,O=Example", NULL, 0);
}

static void test_offline_bundle_create__every_algorithm(void **state)
{
    (void)state;
    static const char *const keys[] = {"ec-p256", "ec-p384",   "ec-p521",   "rsa-2048", "ed25519",
                                       "ed448",   "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.bundle", keys[i]);
        struct offline_bundle *b = create(file, keys[i]);
        struct ca_signed sub;
        struct diag diag = {0};
        CHECK_OK(offline_bundle_sign_csr(&sub, arena, b, sub_csr(), &(struct offline_sign){0}, &diag), diag);
        struct cert c;
        CHECK_OK(cert_parse(&c, sub.der, &diag), diag);
        assert_true(slice_eq(cert_akid(&c), cert_ski(offline_bundle_cert(b))));
        offline_bundle_close(b);
        CHECK_OK(offline_bundle_open(&b, in_test(file), &pass, &diag), diag);
        offline_bundle_close(b);
    }
}

static void test_offline_bundle_create__rsa_pss(void **state)
{
    (void)state;
    struct ca_spec s;
    struct offline_bundle *b = NULL;
    struct diag diag = {0};
    ca_spec_init(&s);
    s.name = "pss";
    s.key = "rsa-3072";
    s.signature = "rsa-pss-sha384";
    CHECK_OK(offline_bundle_create(&b, in_test("pss.bundle"), &pass, &s, &diag), diag);
    assert_true(slice_eq(offline_bundle_cert(b)->sigalg.der, sig_alg_info(SIG_RSA_PSS_SHA384)->algid));
    offline_bundle_close(b);
}

static void test_offline_bundle_create__existing_file(void **state)
{
    (void)state;
    struct offline_bundle *b = create("one.bundle", NULL), *again = NULL;
    struct ca_spec s;
    struct diag diag = {0};
    ca_spec_init(&s);
    s.name = "root";
    assert_int_equal(offline_bundle_create(&again, in_test("one.bundle"), &pass, &s, &diag), TM_ECONFLICT);
    offline_bundle_close(b);
}

static void test_offline_bundle_open__wrong_passphrase(void **state)
{
    (void)state;
    struct offline_bundle *b = create("locked.bundle", NULL);
    struct diag diag = {0};
    offline_bundle_close(b);
    struct secret wrong = text_secret("something else");
    assert_int_equal(offline_bundle_open(&b, in_test("locked.bundle"), &wrong, &diag), TM_ELOCKED);
    secret_done(&wrong);
}

static void test_offline_bundle_open__rekeyed(void **state)
{
    (void)state;
    struct offline_bundle *b = create("rekey.bundle", NULL);
    struct diag diag = {0};
    struct secret other = text_secret("a new passphrase");
    CHECK_OK(offline_bundle_rekey(b, &pass, &other, &diag), diag);
    offline_bundle_close(b);
    assert_int_equal(offline_bundle_open(&b, in_test("rekey.bundle"), &pass, &diag), TM_ELOCKED);
    CHECK_OK(offline_bundle_open(&b, in_test("rekey.bundle"), &other, &diag), diag);
    struct ca_signed sub;
    CHECK_OK(offline_bundle_sign_csr(&sub, arena, b, sub_csr(), &(struct offline_sign){0}, &diag), diag);
    offline_bundle_close(b);
    secret_done(&other);
}

/* Any octet changed: never opens. */
static void test_offline_bundle_open__altered(void **state)
{
    (void)state;
    struct offline_bundle *b = create("good.bundle", NULL);
    offline_bundle_close(b);
    FILE *f = fopen(in_test("good.bundle"), "r");
    static char text[1 << 20];
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    struct diag diag = {0};
    for (size_t at = 0; at < n; at += n / 37 + 1) {
        char kept = text[at];
        text[at] = kept == 'A' ? 'B' : 'A';
        write_test_file("bad.bundle", slice_of(text, n));
        text[at] = kept;
        tm_err e = offline_bundle_open(&b, in_test("bad.bundle"), &pass, &diag);
        assert_true(e == TM_ECORRUPT || e == TM_EMALFORMED || e == TM_ELOCKED || e == TM_EUNSUPPORTED);
        unlink(in_test("bad.bundle"));
    }
    for (size_t cut = 0; cut < n; cut += n / 11 + 1) {
        write_test_file("bad.bundle", slice_of(text, cut));
        assert_int_not_equal(offline_bundle_open(&b, in_test("bad.bundle"), &pass, &diag), TM_OK);
        unlink(in_test("bad.bundle"));
    }
}

static void test_offline_bundle_sign__shape(void **state)
{
    (void)state;
    struct offline_bundle *b = create("shape.bundle", NULL);
    struct diag diag = {0};
    struct ca_signed sub;
    struct offline_sign o = {.lifetime = TM_TIME_NEVER};
    CHECK_OK(offline_bundle_sign_csr(&sub, arena, b, sub_csr(), &o, &diag), diag);
    struct cert c;
    struct basic_constraints bc;
    struct slice uri;
    size_t n;
    CHECK_OK(cert_parse(&c, sub.der, &diag), diag);
    assert_int_equal(c.not_after, TM_TIME_NEVER);
    CHECK_OK(ext_decode_basic_constraints(&bc, exts_find(&c.exts, OID_EXT_BASIC_CONSTRAINTS)->value, &diag),
             diag);
    assert_true(bc.ca && bc.has_path_len && bc.path_len == 0);
    CHECK_OK(ext_decode_cdp(&uri, 1, &n, exts_find(&c.exts, OID_EXT_CDP)->value, &diag), diag);
    char want[160];
    snprintf(want, sizeof want, "http://pki.example.org/crl/%s/full.crl",
             arena_hex(arena, cert_ski(offline_bundle_cert(b))));
    assert_true(slice_eq_str(uri, want));
    struct buf text;
    buf_init(&text, 1 << 16);
    CHECK_OK(offline_bundle_print(&text, b), diag);
    assert_non_null(strstr(buf_str(&text), arena_hex(arena, SLICE_ARR(sub.serial))));
    buf_done(&text);
    offline_bundle_close(b);
}

/* Each of two roots vouches for the other's key; what is no root, or its own, it does not. */
static void test_offline_bundle_link__both_ways(void **state)
{
    (void)state;
    struct offline_bundle *old = create("link-old.bundle", "ec-p256"),
                          *new = create("link-new.bundle", "ec-p384");
    const struct cert *a = offline_bundle_cert(old), *b = offline_bundle_cert(new);
    struct ca_signed s, sub;
    struct cert link;
    struct diag diag = {0};
    CHECK_OK(offline_bundle_link(&s, arena, old, b->der, &diag), diag);
    CHECK_OK(cert_parse(&link, s.der, &diag), diag);
    assert_true(cert_is_ca(&link) && slice_eq(link.spki.der, b->spki.der) &&
                slice_eq(link.subject, b->subject));
    assert_true(slice_eq(link.issuer, a->subject) && slice_eq(cert_ski(&link), cert_ski(b)));
    CHECK_OK(cert_verify_signature(&link, &a->spki, &diag), diag);
    CHECK_OK(offline_bundle_link(&s, arena, new, a->der, &diag), diag);
    assert_int_equal(offline_bundle_link(&s, arena, old, a->der, &diag), TM_EINVAL);
    CHECK_OK(offline_bundle_sign_csr(&sub, arena, old, sub_csr(), &(struct offline_sign){0}, &diag), diag);
    assert_int_equal(offline_bundle_link(&s, arena, new, sub.der, &diag), TM_EINVAL);
    offline_bundle_close(old);
    offline_bundle_close(new);
}

static void test_offline_bundle_sign__bad_requests(void **state)
{
    (void)state;
    struct offline_bundle *b = create("refuse.bundle", NULL);
    struct diag diag = {0};
    struct ca_signed sub;
    struct offline_sign o = {0};
    struct slice csr = sub_csr();
    uint8_t *bad = arena_alloc(arena, csr.n);
    memcpy(bad, csr.p, csr.n);
    bad[csr.n - 5] ^= 1;
    assert_int_equal(tm_err_class(offline_bundle_sign_csr(&sub, arena, b, slice_of(bad, csr.n), &o, &diag)),
                     TM_CLASS_CALLER);
    assert_int_equal(offline_bundle_sign_csr(&sub, arena, b,
                                             make_csr(arena, "CN=Test Root,O=Example", NULL, 0), &o, &diag),
                     TM_EINVAL);
    assert_int_equal(offline_bundle_sign(&sub, arena, b, offline_bundle_cert(b)->issuer,
                                         offline_bundle_cert(b)->spki.der, &o, &diag),
                     TM_EINVAL);
    assert_int_equal(offline_bundle_sign_csr(&sub, arena, b, SLICE_LIT("not a request"), &o, &diag) != TM_OK,
                     1);
    offline_bundle_close(b);
}

static size_t entries_of(struct slice der)
{
    struct crl c;
    struct crl_iter it;
    struct crl_entry e;
    size_t n = 0;
    assert_int_equal(crl_parse(&c, der, NULL), TM_OK);
    crl_iter_init(&it, &c, NULL);
    while (crl_next(&it, &e) == TM_OK)
        n++;
    return n;
}

static void test_offline_bundle_crls__series(void **state)
{
    (void)state;
    struct offline_bundle *b = create("series.bundle", NULL);
    struct diag diag = {0};
    struct ca_signed sub;
    struct buf pem;
    CHECK_OK(offline_bundle_sign_csr(&sub, arena, b, sub_csr(), &(struct offline_sign){0}, &diag), diag);
    assert_int_equal(offline_bundle_revoke(b, SLICE_LIT("\x12\x34"), CRL_KEY_COMPROMISE, 0, false, &diag),
                     TM_ENOTFOUND);
    CHECK_OK(offline_bundle_revoke(b, SLICE_ARR(sub.serial), CRL_CA_COMPROMISE, 0, false, &diag), diag);
    assert_int_equal(offline_bundle_revoke(b, SLICE_ARR(sub.serial), CRL_CA_COMPROMISE, 0, false, &diag),
                     TM_ECONFLICT);
    CHECK_OK(offline_bundle_revoke(b, SLICE_LIT("\xf2\x34"), CRL_SUPERSEDED, 0, true, &diag), diag);
    buf_init(&pem, 1 << 20);
    CHECK_OK(offline_bundle_crls(
                 &pem, b, &(struct offline_crls){.count = 5, .every = 86400, .lifetime = 3 * 86400}, &diag),
             diag);
    struct slice text = buf_slice(&pem), der;
    int64_t last = 0;
    size_t n = 0;
    while (pem_next(&der, NULL, arena, &text, "X509 CRL") == TM_OK) {
        struct crl c;
        CHECK_OK(crl_parse(&c, der, &diag), diag);
        assert_true(n == 0 || c.this_update == last + 86400);
        assert_int_equal(c.next_update - c.this_update, 3 * 86400);
        assert_int_equal(entries_of(der), 2);
        last = c.this_update;
        n++;
    }
    assert_int_equal(n, 5);
    assert_int_equal(
        offline_bundle_crls(&pem, b, &(struct offline_crls){.every = 86400, .lifetime = 86400}, &diag),
        TM_EINVAL);
    buf_done(&pem);
    offline_bundle_close(b);
    /* The record survives. */
    CHECK_OK(offline_bundle_open(&b, in_test("series.bundle"), &pass, &diag), diag);
    assert_int_equal(offline_bundle_revoke(b, SLICE_ARR(sub.serial), CRL_CA_COMPROMISE, 0, false, &diag),
                     TM_ECONFLICT);
    offline_bundle_close(b);
}

static void test_offline_bundle_sign__unwritable(void **state)
{
    (void)state;
    struct offline_bundle *b = create("gone.bundle", NULL);
    struct diag diag = {0};
    struct ca_signed sub = {0};
    /* The record can't be written: nothing is handed out. */
    assert_int_equal(mkdir(in_test("gone.bundle.tmp"), 0700), 0);
    assert_int_not_equal(offline_bundle_sign_csr(&sub, arena, b, sub_csr(), &(struct offline_sign){0}, &diag),
                         TM_OK);
    assert_int_equal(sub.der.n, 0);
    offline_bundle_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offline_bundle_create__every_algorithm, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_create__rsa_pss, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_create__existing_file, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_open__wrong_passphrase, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_open__rekeyed, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_open__altered, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_sign__shape, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_link__both_ways, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_sign__bad_requests, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_sign__unwritable, begin, end),
        cmocka_unit_test_setup_teardown(test_offline_bundle_crls__series, begin, end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
