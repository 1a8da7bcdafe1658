/* Lists that come to the signer as a file: held to the same rules as those in memory, hashed as they are read, whatever the key. */
#include "base/digest.h"
#include "base/fd.h"
#include "keys/pubkey.h"
#include "keys/signer.h"
#include "keys_test.h"
#include "x509/crl.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { ENTRIES = 50000, OFFSET = 37 };

static struct signer *signer;
static const struct {
    const char *id;
    enum key_alg alg;
    enum sig_alg sig;
} keys[] = {{"p256", KEY_ALG_EC_P256, SIG_ECDSA_SHA256},
            {"p384", KEY_ALG_EC_P384, SIG_ECDSA_SHA384},
            {"rsa", KEY_ALG_RSA, SIG_RSA_PSS_SHA512},
            {"ml-dsa", KEY_ALG_ML_DSA_65, SIG_ML_DSA_65},
            {"ed25519", KEY_ALG_ED25519, SIG_ED25519}};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

static int setup(void **state)
{
    if (test_setup(state) != 0)
        return -1;
    for (size_t i = 0; i < N_KEYS; i++) {
        struct envelope e = test_envelope("ca");
        e.key_id = keys[i].id;
        e.allow = 1u << SIGN_CRL;
        test_store_key(&e, keys[i].alg, keys[i].alg == KEY_ALG_RSA ? 2048 : 0);
    }
    struct secret pass = test_passphrase("pass");
    struct signer_config c = {.key_dir = test_dir, .passphrase = &pass};
    struct diag diag = {0};
    assert_ok(signer_start(&signer, &c, &diag));
    secret_done(&pass);
    return 0;
}

static int teardown(void **state)
{
    signer_free(signer);
    return test_teardown(state);
}

static void build(struct buf *out, const char *issuer, enum sig_alg sig, size_t n)
{
    struct crl_builder b;
    uint8_t serial[16] = {1};
    struct tbs_crl t = {.sigalg = sig_alg_info(sig)->algid,
                        .issuer = test_name(issuer),
                        .this_update = clock_now(),
                        .next_update = clock_now() + 86400,
                        .number = SLICE_LIT("\x01")};
    buf_init(out, 64 << 20);
    crl_build_begin(&b, out, &t);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++)
            serial[15 - k] = (uint8_t)(i >> (8 * k));
        struct crl_entry e = {
            .serial = SLICE_ARR(serial), .revoked_at = clock_now(), .reason = CRL_SUPERSEDED};
        crl_build_entry(&b, &e);
    }
    assert_int_equal(crl_build_end(&b), TM_OK);
}

static int file_with(struct slice tbs)
{
    char path[512];
    snprintf(path, sizeof path, "%s/list", test_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint8_t before[OFFSET] = {0};
    assert_true(fd >= 0 && fd_write_all(fd, SLICE_ARR(before)) && fd_write_all(fd, tbs));
    unlink(path);
    return fd;
}

static struct sign_op *ask(const char *key, enum sig_alg sig, int fd, uint64_t n, enum sign_kind kind)
{
    static struct sign_op op;
    static struct sign_file file;
    file = (struct sign_file){.fd = fd, .offset = OFFSET, .n = n};
    op = (struct sign_op){.kind = kind, .key_id = key, .alg = sig, .file = &file};
    op.err = signer_sign(signer, &op);
    return &op;
}

static void test_signer_crl__every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KEYS; i++) {
        struct buf tbs;
        uint8_t hash[32];
        build(&tbs, "CN=Test CA,O=Example", keys[i].sig, ENTRIES);
        int fd = file_with(buf_slice(&tbs));
        struct sign_op *op = ask(keys[i].id, keys[i].sig, fd, tbs.n, SIGN_CRL);
        close(fd);
        if (!sign_alg_streams(keys[i].sig)) {
            assert_int_equal(op->err, TM_EUNSUPPORTED);
            buf_done(&tbs);
            continue;
        }
        assert_ok(op->err);
        assert_true(op->chain_seq > 0);
        assert_ok(sha256(hash, buf_slice(&tbs)));
        assert_memory_equal(op->tbs_hash, hash, 32);
        struct spki spki;
        struct algid alg;
        struct der_reader r;
        struct diag diag = {0};
        assert_ok(spki_parse(&spki, signer_key_find(signer, keys[i].id)->spki, &diag));
        der_reader_init(&r, sig_alg_info(keys[i].sig)->algid, &diag);
        assert_ok(algid_read(&alg, &r));
        assert_ok(
            pubkey_verify(&spki, &alg, buf_slice(&tbs), slice_of(op->signature, op->signature_n), &diag));
        buf_done(&tbs);
    }
}

static void test_signer_crl__refused(void **state)
{
    (void)state;
    struct buf tbs;
    build(&tbs, "CN=Other CA,O=Example", SIG_ECDSA_SHA256, 10);
    int fd = file_with(buf_slice(&tbs));
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, fd, tbs.n, SIGN_CRL)->err,
                     TM_EDENIED); /* another's name */
    close(fd);
    buf_done(&tbs);

    build(&tbs, "CN=Test CA,O=Example", SIG_ECDSA_SHA256, 2000);
    fd = file_with(buf_slice(&tbs));
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, fd, tbs.n, SIGN_CMS)->err, TM_EINVAL);
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, fd, tbs.n + 1, SIGN_CRL)->err,
                     TM_EMALFORMED);                                                           /* not there */
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, fd, tbs.n - 1, SIGN_CRL)->err, TM_EDENIED); /* cut off */
    assert_int_equal(ask("p384", SIG_ECDSA_SHA384, fd, tbs.n, SIGN_CRL)->err,
                     TM_EDENIED); /* names another algorithm */
    /* An entry in the middle that is none. */
    uint8_t bad = 0x31;
    struct crl c;
    assert_int_equal(crl_parse_tbs(&c, buf_slice(&tbs), NULL), TM_OK);
    size_t entry = c.entries.n / 2000, at = (size_t)(c.entries.p - tbs.p) + 1000 * entry;
    assert_int_equal(pwrite(fd, &bad, 1, (off_t)(OFFSET + at)), 1);
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, fd, tbs.n, SIGN_CRL)->err, TM_EDENIED);
    close(fd);
    buf_done(&tbs);

    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(ask("p256", SIG_ECDSA_SHA256, ends[0], 100, SIGN_CRL)->err, TM_EMALFORMED);
    close(ends[0]);
    close(ends[1]);
    assert_true(signer_alive(signer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signer_crl__every_algorithm),
        cmocka_unit_test(test_signer_crl__refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
