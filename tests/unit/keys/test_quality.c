#include "base/digest.h"
#include "keys/quality.h"
#include "keys_test.h"
#include <fcntl.h>
#include <sys/stat.h>

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

static const char *write_list(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    return path;
}

static void hex(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

/* The line that the published lists of Debian's keys would have for this one. */
static void modulus_line(char out[21], const struct pubkey_info *info)
{
    char text[2200] = "Modulus=";
    uint8_t hash[20];
    size_t at = strlen(text);
    for (size_t i = 0; i < info->rsa_modulus.n; i++, at += 2)
        snprintf(text + at, 3, "%02X", info->rsa_modulus.p[i]);
    strcat(text, "\n");
    assert_ok(sha1(hash, slice_str(text)));
    hex(out, hash + 10, 10);
}

struct good_key {
    struct slice der;
    struct spki spki;
    struct pubkey_info info;
    char modulus[21], fingerprint[65];
};

static void good_key(struct good_key *k)
{
    uint8_t hash[32];
    read_der(&k->der, "good");
    assert_ok(spki_parse(&k->spki, k->der, NULL));
    assert_ok(pubkey_info(&k->info, &k->spki, NULL));
    assert_ok(sha256(hash, k->der));
    hex(k->fingerprint, hash, 32);
    modulus_line(k->modulus, &k->info);
}

static void listed(const struct good_key *k, const struct key_blocklist *list, bool yes)
{
    struct key_quality q;
    assert_ok(key_quality_check(&q, &k->info, &k->spki, list));
    if (yes)
        assert_string_equal(q.rule, "key.blocklisted");
    else
        assert_null(q.rule);
}

static void test_key_blocklist_parse__both_forms(void **state)
{
    (void)state;
    struct good_key k;
    good_key(&k);
    for (int form = 0; form < 2; form++) {
        char text[512], *entry = form ? k.fingerprint : k.modulus;
        struct key_blocklist *list = NULL;
        snprintf(text, sizeof text,
                 "# a comment\n\n00112233445566778899\r\n%s\nFFEEDDCCBBAA99887766\n"
                 "%064d\n",
                 entry, 7);
        assert_ok(key_blocklist_parse(&list, slice_str(text), "list", NULL));
        assert_int_equal(key_blocklist_size(list), 4);
        listed(&k, list, true);
        key_blocklist_free(list);
        entry[0] = entry[0] == '0' ? '1' : '0';
        snprintf(text, sizeof text, "%s", entry); /* without a line's end */
        assert_ok(key_blocklist_parse(&list, slice_str(text), "list", NULL));
        listed(&k, list, false);
        key_blocklist_free(list);
    }
    struct key_blocklist *list = NULL;
    assert_ok(key_blocklist_parse(&list, (struct slice){0}, "list", NULL));
    listed(&k, list, false);
    key_blocklist_free(list);
}

static void test_key_blocklist_parse__bad_lines(void **state)
{
    (void)state;
    static const char *const bad[] = {"0011", "0011223344556677889g", "001122334455667788990",
                                      "# fine\n00112233445566778899 # not fine\n"};
    struct key_blocklist *list = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct diag diag = {0};
        assert_int_equal(key_blocklist_parse(&list, slice_str(bad[i]), "list", &diag), TM_EMALFORMED);
        assert_non_null(strstr(diag.message, i == 3 ? "line 2" : "line 1"));
        assert_string_equal(diag.field, "list");
    }
    assert_null(list);
}

static void test_key_blocklist_load__files_and_directories(void **state)
{
    (void)state;
    struct good_key k;
    struct key_blocklist *list = NULL;
    good_key(&k);
    assert_int_equal(key_blocklist_load(&list, "/nonexistent", NULL), TM_ENOTFOUND);
    assert_ok(key_blocklist_load(&list, write_list("one", k.modulus), NULL));
    listed(&k, list, true);
    key_blocklist_free(list);
    char dir[200];
    snprintf(dir, sizeof dir, "%s/weak-keys", test_dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    write_list("weak-keys/le64", "00112233445566778899\n");
    write_list("weak-keys/.hidden", "not a list");
    assert_ok(key_blocklist_load(&list, dir, NULL));
    listed(&k, list, false);
    key_blocklist_free(list);
    write_list("weak-keys/pwned", k.fingerprint);
    assert_ok(key_blocklist_load(&list, dir, NULL));
    listed(&k, list, true);
    key_blocklist_free(list);
    list = NULL;
    write_list("weak-keys/bad", "not a list");
    assert_int_equal(key_blocklist_load(&list, dir, NULL), TM_EMALFORMED);
    assert_int_equal(key_blocklist_load(&list, "/dev/null", NULL), TM_EINVAL);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_quality_check__weak_keys),
        cmocka_unit_test(test_key_quality_check__fresh_keys_are_good),
        cmocka_unit_test(test_key_blocklist_parse__both_forms),
        cmocka_unit_test(test_key_blocklist_parse__bad_lines),
        cmocka_unit_test(test_key_blocklist_load__files_and_directories),
    };
    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
