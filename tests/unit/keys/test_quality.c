#include "base/digest.h"
#include "keys/quality.h"
#include "keys_test.h"
#include <fcntl.h>

static void read_der(struct slice *ret, const char *name)
{
    char path[128];
    uint8_t bytes[4096];
    snprintf(path, sizeof path, "tests/data/keys/weak/%s.der", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_ok(arena_copy(ret, test_arena, slice_of(bytes, n)));
}

/* The fields of an RSA key, without pubkey_info()'s own checks of the exponent. */
static void rsa_fields(struct pubkey_info *ret, const struct spki *s)
{
    *ret = (struct pubkey_info){.alg = KEY_ALG_RSA};
    struct slice *fields[] = {&ret->rsa_modulus, &ret->rsa_exponent};
    const uint8_t *p = s->key.p + 4; /* SEQUENCE of more than 255 octets */
    for (int i = 0; i < 2; i++) {
        size_t n = p[1], head = 2;
        if (n & 0x80) {
            head += n & 0x7f;
            n = p[2];
            if (head == 4)
                n = n << 8 | p[3];
        }
        *fields[i] = slice_of(p + head, n);
        if (fields[i]->p[0] == 0)
            *fields[i] = slice_sub(*fields[i], 1, n);
        p += head + n;
    }
}

static void quality_is(const char *name, const char *rule)
{
    struct slice der;
    struct spki spki;
    struct pubkey_info info;
    struct key_quality q;
    read_der(&der, name);
    assert_ok(spki_parse(&spki, der, NULL));
    rsa_fields(&info, &spki);
    assert_ok(key_quality_check(&q, &info, &spki, NULL));
    if (rule) {
        assert_non_null(q.rule);
        assert_string_equal(q.rule, rule);
        assert_non_null(q.why);
    } else {
        assert_null(q.rule);
    }
}

static void test_key_quality_check__weak_keys(void **state)
{
    (void)state;
    quality_is("good", NULL);
    quality_is("roca", "key.roca");
    quality_is("close-primes", "key.close-primes");
    quality_is("close-primes-500-bits-apart", "key.close-primes");
    quality_is("exponent-one", "key.exponent");
    quality_is("exponent-even", "key.exponent");
    quality_is("exponent-large", "key.exponent");
    quality_is("small-factor-3", "key.small-factor");
    quality_is("small-factor-4093", "key.small-factor");
}

static void test_key_quality_check__fresh_keys_are_good(void **state)
{
    (void)state;
    static const struct {
        enum key_alg alg;
        unsigned bits;
    } keys[] = {{KEY_ALG_RSA, 2048}, {KEY_ALG_RSA, 3072}, {KEY_ALG_EC_P256, 0}, {KEY_ALG_ED25519, 0}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct key *k;
        struct spki spki;
        struct pubkey_info info;
        struct key_quality q;
        assert_ok(key_generate(&k, keys[i].alg, keys[i].bits, NULL));
        assert_ok(spki_parse(&spki, key_spki(k), NULL));
        assert_ok(pubkey_info(&info, &spki, NULL));
        assert_ok(key_quality_check(&q, &info, &spki, NULL));
        assert_null(q.rule);
        key_free(k);
    }
}

static const char *write_list(const void *bytes, size_t n)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/blocklist", test_dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

static void test_key_blocklist_load__finds_its_keys(void **state)
{
    (void)state;
    struct slice der;
    struct spki spki;
    struct pubkey_info info;
    struct key_quality q;
    struct key_blocklist *list = NULL;
    uint8_t hash[32], v[3][16] = {{0}};
    read_der(&der, "good");
    assert_ok(spki_parse(&spki, der, NULL));
    assert_ok(pubkey_info(&info, &spki, NULL));
    assert_ok(sha256(hash, der));
    memcpy(v[1], hash, 16);
    memset(v[2], 0xff, 16);
    assert_ok(key_blocklist_load(&list, write_list(v, sizeof v), NULL));
    assert_ok(key_quality_check(&q, &info, &spki, list));
    assert_string_equal(q.rule, "key.blocklisted");
    key_blocklist_free(list);

    v[1][15] ^= 1;
    assert_ok(key_blocklist_load(&list, write_list(v, sizeof v), NULL));
    assert_ok(key_quality_check(&q, &info, &spki, list));
    assert_null(q.rule);
    key_blocklist_free(list);
    assert_ok(key_blocklist_load(&list, write_list(v, 0), NULL));
    assert_ok(key_quality_check(&q, &info, &spki, list));
    assert_null(q.rule);
    key_blocklist_free(list);
}

static void test_key_blocklist_load__bad_files(void **state)
{
    (void)state;
    struct key_blocklist *list = NULL;
    uint8_t v[2][16] = {{9}, {8}};
    assert_int_equal(key_blocklist_load(&list, "/nonexistent", NULL), TM_ENOTFOUND);
    assert_int_equal(key_blocklist_load(&list, write_list(v, 17), NULL), TM_EMALFORMED);
    assert_int_equal(key_blocklist_load(&list, write_list(v, 32), NULL), TM_EMALFORMED);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_quality_check__weak_keys),
        cmocka_unit_test(test_key_quality_check__fresh_keys_are_good),
        cmocka_unit_test(test_key_blocklist_load__finds_its_keys),
        cmocka_unit_test(test_key_blocklist_load__bad_files),
    };
    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
