#include "keys_test.h"
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

static void round_trip(enum key_alg alg, unsigned bits)
{
    char id[64];
    snprintf(id, sizeof id, "key.%s-%u", key_alg_info(alg)->name, bits);
    struct envelope e = test_envelope(id), back;
    struct key *k, *loaded = NULL;
    struct secret pass = test_passphrase("pass"), wrong = test_passphrase("Pass"), der;
    assert_ok(key_generate(&k, alg, bits, NULL));
    assert_int_equal(key_alg(k), alg);
    assert_int_equal(key_bits(k), bits ? bits : key_alg_info(alg)->bits);
    assert_ok(key_store(test_dir, k, &e, &pass, NULL));
    assert_int_equal(key_store(test_dir, k, &e, &pass, NULL), TM_ECONFLICT);
    assert_int_equal(key_load(&loaded, &back, test_arena, test_dir, id, &wrong, NULL), TM_ELOCKED);
    assert_int_equal(key_load(&loaded, &back, test_arena, test_dir, id, NULL, NULL), TM_ELOCKED);
    assert_null(loaded);
    assert_ok(key_load(&loaded, &back, test_arena, test_dir, id, &pass, NULL));
    assert_true(slice_eq(key_spki(loaded), key_spki(k)));
    assert_string_equal(back.key_id, id);
    assert_true(slice_eq(back.issuer, e.issuer));
    assert_int_equal(back.allow, e.allow);

    struct buf signature;
    buf_init(&signature, 8192);
    assert_ok(key_sign(&signature, loaded, SIG_ALG_NONE, SLICE_LIT("message"), NULL));
    test_verify(key_spki(k), sig_alg_default(alg), SLICE_LIT("message"), buf_slice(&signature));
    buf_done(&signature);

    struct key *imported;
    assert_ok(key_export_pkcs8(&der, loaded));
    assert_ok(key_import(&imported, secret_slice(&der), NULL, NULL));
    assert_true(slice_eq(key_spki(imported), key_spki(k)));
    key_free(imported);
    secret_done(&der);
    key_free(loaded);
    key_free(k);
    secret_done(&wrong);
    secret_done(&pass);
}

static void test_key_store__every_algorithm_comes_back(void **state)
{
    (void)state;
    for (unsigned i = 1; i < KEY_ALG_COUNT; i++)
        round_trip((enum key_alg)i, i == KEY_ALG_RSA ? 2048 : 0);
}

static void test_key_store__modes_and_no_leftovers(void **state)
{
    (void)state;
    char dir[96], path[192];
    struct stat st;
    snprintf(dir, sizeof dir, "%s/fresh", test_dir);
    struct envelope e = test_envelope("modes");
    struct key *k;
    struct secret pass = test_passphrase("pass");
    assert_ok(key_generate(&k, KEY_ALG_ED25519, 0, NULL));
    assert_ok(key_store(dir, k, &e, &pass, NULL));
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    static const char *const names[] = {"modes.key", "modes.env"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0400);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
    key_free(k);
    secret_done(&pass);
}

static void test_key_store__refuses_bad_names_and_no_passphrase(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",   "../x", "A",   "a/b",
        ".x", "-x",   "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct key *k;
    struct secret pass = test_passphrase("pass"), none = {0};
    assert_ok(key_generate(&k, KEY_ALG_ED25519, 0, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct envelope e = test_envelope(bad[i]);
        assert_int_equal(key_store(test_dir, k, &e, &pass, NULL), TM_EINVAL);
        assert_int_equal(key_load(&k, &e, test_arena, test_dir, bad[i], &pass, NULL), TM_EINVAL);
    }
    struct envelope e = test_envelope("nopass");
    assert_int_equal(key_store(test_dir, k, &e, &none, NULL), TM_ELOCKED);
    assert_int_equal(key_store(test_dir, k, &e, NULL, NULL), TM_ELOCKED);
    key_free(k);
    secret_done(&pass);
}

static void rewrite(const char *name, const void *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static size_t slurp(const char *name, char *out, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, size, f);
    fclose(f);
    return n;
}

static void load_is(const char *id, tm_err want)
{
    struct envelope e;
    struct key *k = NULL;
    struct diag diag = {0};
    struct secret pass = test_passphrase("pass");
    tm_err err = key_load(&k, &e, test_arena, test_dir, id, &pass, &diag);
    assert_int_equal(err, want);
    if (err != TM_OK)
        assert_true(diag.message[0] != '\0');
    key_free(k);
    secret_done(&pass);
}

static void test_key_load__a_tampered_envelope_is_corrupt(void **state)
{
    (void)state;
    char good[4096], bad[4096];
    struct envelope a = test_envelope("sealed"), b = test_envelope("other");
    test_store_key(&a, KEY_ALG_EC_P256, 0);
    test_store_key(&b, KEY_ALG_EC_P256, 0);
    load_is("sealed", TM_OK);
    size_t n = slurp("sealed.env", good, sizeof good);
    for (size_t i = 0; i < n; i += 3) {
        memcpy(bad, good, n);
        bad[i] ^= 0x04;
        rewrite("sealed.env", bad, n);
        struct envelope e;
        struct key *k = NULL;
        struct secret pass = test_passphrase("pass");
        if (i < 30) /* scrypt each time */
            assert_int_equal(key_load(&k, &e, test_arena, test_dir, "sealed", &pass, NULL), TM_ECORRUPT);
        secret_done(&pass);
        assert_null(k);
    }
    rewrite("sealed.env", good, n / 2);
    load_is("sealed", TM_ECORRUPT);
    rewrite("sealed.env", good, 0);
    load_is("sealed", TM_ECORRUPT);
    n = slurp("other.env", bad, sizeof bad);
    rewrite("sealed.env", bad, n); /* another key's */
    load_is("sealed", TM_ECORRUPT);
    unlinkat(AT_FDCWD, strcat(strcpy(bad, test_dir), "/sealed.env"), 0);
    load_is("sealed", TM_ECORRUPT);
    load_is("missing", TM_ENOTFOUND);
    rewrite("other.key", "-----BEGIN nothing", 18);
    load_is("other", TM_ECORRUPT);
}

static void test_key_reseal__takes_effect(void **state)
{
    (void)state;
    struct envelope e = test_envelope("reseal"), back;
    struct key *k, *again;
    struct secret pass = test_passphrase("pass");
    test_store_key(&e, KEY_ALG_ML_DSA_44, 0);
    assert_ok(key_load(&k, &back, test_arena, test_dir, "reseal", &pass, NULL));
    e.allow = 1u << SIGN_CA;
    e.max_path_len = 3;
    assert_ok(key_reseal(test_dir, k, &e, NULL));
    assert_ok(key_load(&again, &back, test_arena, test_dir, "reseal", &pass, NULL));
    assert_int_equal(back.allow, 1u << SIGN_CA);
    assert_int_equal(back.max_path_len, 3);
    e.key_id = "nothere";
    assert_int_equal(key_reseal(test_dir, k, &e, NULL), TM_ENOTFOUND);
    key_free(again);
    key_free(k);
    secret_done(&pass);
}

/* What other tools write: traditional forms, encrypted and not, PEM and DER. */
static void test_key_import__foreign_forms(void **state)
{
    (void)state;
    struct secret pass = test_passphrase("pw"), wrong = test_passphrase("xx");
    static const char *const types[] = {"EC", "RSA"};
    for (int i = 0; i < 2; i++) {
        EVP_PKEY *pkey = i ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                           : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        assert_non_null(pkey);
        for (int form = 0; form < 4; form++) {
            BIO *bio = BIO_new(BIO_s_mem());
            int wrote =
                form == 0   ? PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL)
                : form == 1 ? PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_128_cbc(), "pw", 2, NULL, NULL)
                : form == 2 ? i2d_PrivateKey_bio(bio, pkey)
                            : PEM_write_bio_PrivateKey_traditional(
                                  bio, pkey, EVP_aes_256_cbc(), (const unsigned char *)"pw", 2, NULL, NULL);
            assert_int_equal(wrote, 1);
            char *p;
            size_t n = (size_t)BIO_get_mem_data(bio, &p);
            struct key *k = NULL;
            struct diag diag = {0};
            assert_ok(key_import(&k, slice_of(p, n), &pass, &diag));
            assert_int_equal(key_alg(k), i ? KEY_ALG_RSA : KEY_ALG_EC_P384);
            key_free(k);
            if (form == 1 || form == 3) {
                assert_int_equal(key_import(&k, slice_of(p, n), &wrong, NULL), TM_ELOCKED);
                assert_int_equal(key_import(&k, slice_of(p, n), NULL, NULL), TM_ELOCKED);
            }
            BIO_free(bio);
        }
        EVP_PKEY_free(pkey);
        (void)types;
    }
    struct key *k = NULL;
    assert_int_equal(key_import(&k, SLICE_LIT("junk"), &pass, NULL), TM_EMALFORMED);
    assert_int_equal(key_import(&k, slice_of(NULL, 0), &pass, NULL), TM_EMALFORMED);
    secret_done(&pass);
    secret_done(&wrong);
}

static void test_key_generate__refuses_odd_sizes(void **state)
{
    (void)state;
    struct key *k;
    assert_int_equal(key_generate(&k, KEY_ALG_RSA, 1024, NULL), TM_EUNSUPPORTED);
    assert_int_equal(key_generate(&k, KEY_ALG_RSA, 0, NULL), TM_EUNSUPPORTED);
    assert_int_equal(key_generate(&k, KEY_ALG_EC_P256, 384, NULL), TM_EUNSUPPORTED);
    assert_int_equal(key_generate(&k, KEY_ALG_NONE, 0, NULL), TM_EUNSUPPORTED);
}

static void test_key_sign__wrong_algorithm(void **state)
{
    (void)state;
    struct key *k;
    struct buf out;
    buf_init(&out, 8192);
    assert_ok(key_generate(&k, KEY_ALG_EC_P256, 0, NULL));
    assert_int_equal(key_sign(&out, k, SIG_RSA_SHA256, SLICE_LIT("x"), NULL), TM_EUNSUPPORTED);
    assert_int_equal(key_sign(&out, k, SIG_ED25519, SLICE_LIT("x"), NULL), TM_EUNSUPPORTED);
    assert_int_equal(out.n, 0);
    key_free(k);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_store__every_algorithm_comes_back),
        cmocka_unit_test(test_key_store__modes_and_no_leftovers),
        cmocka_unit_test(test_key_store__refuses_bad_names_and_no_passphrase),
        cmocka_unit_test(test_key_load__a_tampered_envelope_is_corrupt),
        cmocka_unit_test(test_key_reseal__takes_effect),
        cmocka_unit_test(test_key_import__foreign_forms),
        cmocka_unit_test(test_key_generate__refuses_odd_sizes),
        cmocka_unit_test(test_key_sign__wrong_algorithm),
    };
    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
