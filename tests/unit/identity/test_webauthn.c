/* Passkeys of authenticators that the test is itself: keys and signatures are OpenSSL's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "identity/cbor.h"
#include "identity/webauthn.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include <cmocka.h>
#include <string.h>

static const struct webauthn_place here = {.origin = "https://localhost:9443", .rp_id = "localhost"};
static const char client[] =
    "{\"type\":\"webauthn.get\",\"challenge\":\"AAEC\",\"origin\":\"https://localhost:9443\"}";

enum { UP_UV = 0x05, AT = 0x40, ED = 0x80, ES256 = -7, EDDSA = -8, RS256 = -257 };

struct maker {
    struct key *key;
    int alg;
    enum sig_alg sig;
    struct buf out;
};

static void head(struct buf *b, unsigned major, size_t n)
{
    if (n < 24) {
        buf_putc(b, (uint8_t)(major << 5 | n));
    } else if (n < 256) {
        buf_putc(b, (uint8_t)(major << 5 | 24));
        buf_putc(b, (uint8_t)n);
    } else {
        buf_putc(b, (uint8_t)(major << 5 | 25));
        buf_putc(b, (uint8_t)(n >> 8));
        buf_putc(b, (uint8_t)n);
    }
}

static void put_int(struct buf *b, int v)
{
    head(b, v < 0, (size_t)(v < 0 ? -1 - v : v));
}

static void put_bytes(struct buf *b, struct slice s)
{
    head(b, 2, s.n);
    buf_put_slice(b, s);
}

static void put_text(struct buf *b, const char *s)
{
    head(b, 3, strlen(s));
    buf_puts(b, s);
}

static void put_cose(struct buf *b, const struct maker *m)
{
    struct spki spki;
    struct pubkey_info info;
    assert_int_equal(spki_parse(&spki, key_spki(m->key), NULL), TM_OK);
    assert_int_equal(pubkey_info(&info, &spki, NULL), TM_OK);
    head(b, 5, m->alg == ES256 ? 5 : 4);
    put_int(b, 1);
    put_int(b, m->alg == ES256 ? 2 : m->alg == EDDSA ? 1 : 3);
    put_int(b, 3);
    put_int(b, m->alg);
    put_int(b, -1);
    if (m->alg == RS256)
        put_bytes(b, info.rsa_modulus);
    else
        put_int(b, m->alg == ES256 ? 1 : 6);
    put_int(b, -2);
    put_bytes(b, m->alg == ES256   ? slice_sub(info.ec_point, 1, 32)
                 : m->alg == EDDSA ? spki.key
                                   : info.rsa_exponent);
    if (m->alg == ES256) {
        put_int(b, -3);
        put_bytes(b, slice_sub(info.ec_point, 33, 32));
    }
}

static void put_auth_data(struct buf *b, const char *rp_id, unsigned flags, uint32_t count)
{
    uint8_t hash[SHA256_LEN];
    assert_int_equal(sha256(hash, slice_str(rp_id)), TM_OK);
    buf_put(b, hash, sizeof hash);
    buf_putc(b, (uint8_t)flags);
    for (int i = 24; i >= 0; i -= 8)
        buf_putc(b, (uint8_t)(count >> i));
}

static void put_made(struct buf *b, const struct maker *m, unsigned flags, struct slice id)
{
    put_auth_data(b, here.rp_id, flags, 7);
    for (int i = 0; i < 16; i++)
        buf_putc(b, (uint8_t)i);
    buf_putc(b, (uint8_t)(id.n >> 8));
    buf_putc(b, (uint8_t)id.n);
    buf_put_slice(b, id);
    put_cose(b, m);
}

static void sign(struct buf *out, const struct maker *m, struct slice auth_data)
{
    uint8_t hash[SHA256_LEN];
    struct buf b;
    buf_init(&b, 1 << 16);
    assert_int_equal(sha256(hash, SLICE_LIT(client)), TM_OK);
    buf_put_slice(&b, auth_data);
    buf_put(&b, hash, sizeof hash);
    assert_int_equal(key_sign(out, m->key, m->sig, buf_slice(&b), NULL), TM_OK);
    buf_done(&b);
}

static struct maker maker(int alg)
{
    struct maker m = {.alg = alg,
                      .sig = alg == ES256   ? SIG_ECDSA_SHA256
                             : alg == EDDSA ? SIG_ED25519
                                            : SIG_RSA_SHA256};
    assert_int_equal(key_generate(&m.key,
                                  alg == ES256   ? KEY_ALG_EC_P256
                                  : alg == EDDSA ? KEY_ALG_ED25519
                                                 : KEY_ALG_RSA,
                                  alg == RS256 ? 2048 : 0, NULL),
                     TM_OK);
    return m;
}

static void put_object(struct buf *b, const char *format, const struct maker *m, struct slice auth_data,
                       struct slice signature)
{
    head(b, 5, 3);
    put_text(b, "fmt");
    put_text(b, format);
    put_text(b, "attStmt");
    head(b, 5, signature.n ? 2 : 0);
    if (signature.n) {
        put_text(b, "alg");
        put_int(b, m->alg);
        put_text(b, "sig");
        put_bytes(b, signature);
    }
    put_text(b, "authData");
    put_bytes(b, auth_data);
}

/* ---- making and using ---- */

static void test_webauthn__made_and_used(void **state)
{
    static const int algs[] = {ES256, EDDSA, RS256};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct maker m = maker(algs[i]);
        struct arena *a = arena_new(0);
        struct buf data, object, signature;
        struct webauthn_credential c;
        struct webauthn_use use;
        struct diag diag = {0};
        buf_init(&data, 4096);
        buf_init(&object, 8192);
        buf_init(&signature, 1024);
        put_made(&data, &m, UP_UV | AT, SLICE_LIT("credential"));
        put_object(&object, "none", &m, buf_slice(&data), (struct slice){0});
        assert_int_equal(webauthn_made(&c, a, buf_slice(&object), SLICE_LIT(client), &here, &diag), TM_OK);
        assert_true(slice_eq_str(c.id, "credential"));
        assert_int_equal(c.key.alg, algs[i]);
        assert_int_equal(c.count, 7);
        assert_true(slice_eq(c.key.spki.der, key_spki(m.key)));
        buf_reset(&data);
        put_auth_data(&data, here.rp_id, UP_UV, 0x01020304);
        sign(&signature, &m, buf_slice(&data));
        assert_int_equal(webauthn_used(&use, &c.key.spki, c.key.alg, buf_slice(&data), SLICE_LIT(client),
                                       buf_slice(&signature), &here, &diag),
                         TM_OK);
        assert_int_equal(use.count, 0x01020304);
        /* Another challenge, another counter. */
        assert_int_equal(webauthn_used(&use, &c.key.spki, c.key.alg, buf_slice(&data), SLICE_LIT("{}"),
                                       buf_slice(&signature), &here, &diag),
                         TM_EBADSIG);
        data.p[36] ^= 1;
        assert_int_equal(webauthn_used(&use, &c.key.spki, c.key.alg, buf_slice(&data), SLICE_LIT(client),
                                       buf_slice(&signature), &here, &diag),
                         TM_EBADSIG);
        buf_done(&data);
        buf_done(&object);
        buf_done(&signature);
        arena_free(a);
        key_free(m.key);
    }
}

static void test_webauthn_made__packed_self(void **state)
{
    struct maker m = maker(ES256);
    struct arena *a = arena_new(0);
    struct buf data, object, signature;
    struct webauthn_credential c;
    struct diag diag = {0};
    (void)state;
    buf_init(&data, 4096);
    buf_init(&object, 8192);
    buf_init(&signature, 1024);
    put_made(&data, &m, UP_UV | AT, SLICE_LIT("id"));
    sign(&signature, &m, buf_slice(&data));
    put_object(&object, "packed", &m, buf_slice(&data), buf_slice(&signature));
    assert_int_equal(webauthn_made(&c, a, buf_slice(&object), SLICE_LIT(client), &here, &diag), TM_OK);
    assert_int_equal(webauthn_made(&c, a, buf_slice(&object), SLICE_LIT("{}"), &here, &diag), TM_EBADSIG);
    m.alg = RS256;
    buf_reset(&object);
    put_object(&object, "packed", &m, buf_slice(&data), buf_slice(&signature));
    assert_int_equal(webauthn_made(&c, a, buf_slice(&object), SLICE_LIT(client), &here, &diag), TM_EDENIED);
    buf_done(&data);
    buf_done(&object);
    buf_done(&signature);
    arena_free(a);
    key_free(m.key);
}

static tm_err made(const struct maker *m, const char *rp_id, unsigned flags, struct slice id,
                   const char *behind)
{
    struct arena *a = arena_new(0);
    struct buf data, object;
    struct webauthn_credential c;
    struct diag diag = {0};
    const struct webauthn_place place = {.origin = here.origin, .rp_id = rp_id};
    buf_init(&data, 8192);
    buf_init(&object, 16384);
    put_made(&data, m, flags, id);
    buf_puts(&data, behind);
    put_object(&object, "none", m, buf_slice(&data), (struct slice){0});
    tm_err e = webauthn_made(&c, a, buf_slice(&object), SLICE_LIT(client), &place, &diag);
    buf_done(&data);
    buf_done(&object);
    arena_free(a);
    return e;
}

static void test_webauthn_made__refused(void **state)
{
    static uint8_t long_id[WEBAUTHN_CREDENTIAL_ID_MAX + 1];
    struct maker m = maker(EDDSA);
    const struct slice id = SLICE_LIT("id");
    (void)state;
    assert_int_equal(made(&m, "localhost", UP_UV | AT, id, ""), TM_OK);
    assert_int_equal(made(&m, "other.example", UP_UV | AT, id, ""), TM_EDENIED);
    assert_int_equal(made(&m, "localhost", 0x01 | AT, id, ""), TM_EDENIED); /* not verified */
    assert_int_equal(made(&m, "localhost", 0x04 | AT, id, ""), TM_EDENIED); /* not present */
    assert_int_equal(made(&m, "localhost", UP_UV | AT | 0x10, id, ""),
                     TM_EMALFORMED); /* backed up, not eligible */
    assert_int_equal(made(&m, "localhost", UP_UV, id, ""), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT, id, "x"), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT | ED, id, ""), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT | ED, id, "\xa1\x61\x61\xf5"), TM_OK);
    assert_int_equal(made(&m, "localhost", UP_UV | AT | ED, id, "\xa1\x61\x61\xf5\xf5"), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT, (struct slice){0}, ""), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT, SLICE_ARR(long_id), ""), TM_EMALFORMED);
    assert_int_equal(made(&m, "localhost", UP_UV | AT, slice_of(long_id, sizeof long_id - 1), ""), TM_OK);
    key_free(m.key);
}

static void test_webauthn_client_data(void **state)
{
    static const struct {
        const char *json;
        tm_err err;
    } rows[] = {
        {"{\"type\":\"webauthn.get\",\"challenge\":\"x\",\"origin\":\"https://localhost:9443\",\"other\":[1]}",
         TM_OK},
        {"{\"type\":\"webauthn.create\",\"challenge\":\"x\",\"origin\":\"https://localhost:9443\"}",
         TM_EDENIED},
        {"{\"type\":\"webauthn.get\",\"challenge\":\"x\",\"origin\":\"https://localhost\"}", TM_EDENIED},
        {"{\"type\":\"webauthn.get\",\"challenge\":\"x\",\"origin\":\"https://localhost:9443\\u0000\"}",
         TM_EMALFORMED},
        {"{\"type\":\"webauthn.get\",\"challenge\":\"x\",\"origin\":\"https://localhost:9443\",\"crossOrigin\":true}",
         TM_EDENIED},
        {"{\"type\":\"webauthn.get\",\"challenge\":\"x\",\"origin\":\"https://localhost:9443\",\"topOrigin\":\"https://localhost:9443\"}",
         TM_EDENIED},
        {"{\"type\":\"webauthn.get\",\"origin\":\"https://localhost:9443\"}", TM_EMALFORMED},
        {"{\"type\":\"webauthn.get\",\"challenge\":7,\"origin\":\"https://localhost:9443\"}", TM_EMALFORMED},
        {"[]", TM_EDENIED},
        {"", TM_EMALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new(0);
        struct diag diag = {0};
        const char *challenge = NULL;
        tm_err e = webauthn_client_data(&challenge, a, slice_str(rows[i].json), false, &here, &diag);
        if ((e == TM_OK) != (rows[i].err == TM_OK))
            fail_msg("%s: %s", rows[i].json, tm_err_name(e));
        if (e == TM_OK)
            assert_string_equal(challenge, "x");
        arena_free(a);
    }
}

/* ---- CBOR ---- */

static tm_err over(const char *octets, size_t n)
{
    struct cbor c;
    cbor_init(&c, slice_of(octets, n));
    cbor_skip(&c);
    return cbor_end(&c);
}

static void test_cbor_skip__what_is_taken(void **state)
{
    (void)state;
    assert_int_equal(over("\x00", 1), TM_OK);
    assert_int_equal(over("\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", 9), TM_OK);
    assert_int_equal(over("\x1b\x80\x00\x00\x00\x00\x00\x00\x00", 9), TM_EMALFORMED);
    assert_int_equal(over("\x43\x01\x02\x03", 4), TM_OK);
    assert_int_equal(over("\x43\x01\x02", 3), TM_EMALFORMED);
    assert_int_equal(over("\x00\x00", 2), TM_EMALFORMED);         /* octets are left */
    assert_int_equal(over("\x5f\x41\x01\xff", 4), TM_EMALFORMED); /* indefinite length */
    assert_int_equal(over("\xc0\x00", 2), TM_EMALFORMED);         /* a tag */
    assert_int_equal(over("\xf9\x00\x00", 3), TM_EMALFORMED);     /* a float */
    assert_int_equal(over("\x81\x81\x81\x00", 4), TM_OK);
    assert_int_equal(over("\x81\x81\x81\x81\x81\x00", 6), TM_EMALFORMED); /* too deep */
    assert_int_equal(over("\xba\xff\xff\xff\xff", 5), TM_EMALFORMED);
    assert_int_equal(over("", 0), TM_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webauthn__made_and_used),  cmocka_unit_test(test_webauthn_made__packed_self),
        cmocka_unit_test(test_webauthn_made__refused),   cmocka_unit_test(test_webauthn_client_data),
        cmocka_unit_test(test_cbor_skip__what_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
