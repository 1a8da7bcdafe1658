/* Against OpenSSL's own server, in memory: every version, group and suite family that it still has; then servers that mean ill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/talk.h"
#include <cmocka.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static struct kit *kit;
static SSL_CTX *server_rsa, *server_ec;

static SSL_CTX *server_new(EVP_PKEY *key, const char *cn)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_sign(x, key, EVP_sha256());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL:@SECLEVEL=0");
    SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_ciphersuites(
        ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_"
             "128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256");
    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    SSL_CTX_set_dh_auto(ctx, 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return ctx;
}

static int group_setup(void **state)
{
    (void)state;
    server_rsa = server_new(EVP_RSA_gen(2048), "rsa");
    server_ec = server_new(EVP_EC_gen("P-256"), "ec");
    return kit_new(&kit) == TM_OK ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    SSL_CTX_free(server_rsa);
    SSL_CTX_free(server_ec);
    kit_free(kit);
    return 0;
}

struct play {
    SSL_CTX *server;
    const char *groups, *suites, *ciphers;
    int version; /* 0: any */
    struct tls_offer offer;
    const char *name;
    size_t piece; /* octets at a time; 0: all */
    bool ask_client, cookie;
};

static int alpn_chosen(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                       unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    (void)in_n;
    *n = in[0];
    *out = in + 1;
    return SSL_TLSEXT_ERR_OK;
}

static SSL *server_begin(const struct play *p)
{
    SSL *ssl = SSL_new(p->server);
    if (p->version) {
        SSL_set_min_proto_version(ssl, p->version);
        SSL_set_max_proto_version(ssl, p->version);
    }
    if (p->groups)
        assert_int_equal(SSL_set1_groups_list(ssl, p->groups), 1);
    if (p->suites)
        assert_int_equal(SSL_set_ciphersuites(ssl, p->suites), 1);
    if (p->ciphers)
        assert_int_equal(SSL_set_cipher_list(ssl, p->ciphers), 1);
    if (p->ask_client)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_select_cb(p->server, alpn_chosen, NULL);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    return ssl;
}

/* Let both speak until one has nothing more to say. The conversation is the caller's to end. */
static void play(struct talk *t, const struct play *p)
{
    SSL *ssl = server_begin(p);
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(talk_init(t, kit, &p->offer, NULL, p->name), TM_OK);
    talk_begin(t, &out);
    for (bool goes_on = true; goes_on;) {
        uint8_t data[1 << 16];
        BIO_write(SSL_get_rbio(ssl), out.p, (int)out.n);
        buf_reset(&out);
        SSL_do_handshake(ssl);
        int n = BIO_read(SSL_get_wbio(ssl), data, sizeof data);
        if (n <= 0)
            break;
        size_t piece = p->piece ? p->piece : (size_t)n;
        for (size_t at = 0; at < (size_t)n && goes_on; at += piece)
            goes_on =
                talk_take(t, slice_of(data + at, (size_t)n - at < piece ? (size_t)n - at : piece), &out);
    }
    buf_done(&out);
    SSL_free(ssl);
    talk_end(t, TLS_FAIL_CLOSED);
}

static void shows(struct talk *t, const char *cn)
{
    assert_int_equal(t->facts.failure, TLS_FAIL_NONE);
    assert_int_equal(t->facts.n_chain, 1);
    const unsigned char *p = t->facts.chain[0].p;
    X509 *x = d2i_X509(NULL, &p, (long)t->facts.chain[0].n);
    char text[64];
    assert_non_null(x);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof text);
    assert_string_equal(text, cn);
    X509_free(x);
}

static const char *const protocols[] = {"h2", "http/1.1", NULL};
#define TODAY .offer = {.least = TLS_1_0, .most = TLS_1_3, .alpn = protocols}

static void test_talk_take__tls13_every_group(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t group;
        bool retry;
    } groups[] = {{"X25519MLKEM768", 0x11ec, false},
                  {"X25519", 0x1d, false},
                  {"P-256", 0x17, true},
                  {"P-384", 0x18, true},
                  {"P-521", 0x19, true},
                  {"X448", 0x1e, true},
                  {"SecP256r1MLKEM768", 0x11eb, true},
                  {"SecP384r1MLKEM1024", 0x11ed, true},
                  {"ffdhe2048", 0x100, true},
                  {"ffdhe3072", 0x101, true}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        struct talk t;
        play(&t, &(struct play){.server = server_ec, .groups = groups[i].name, TODAY});
        shows(&t, "ec");
        assert_int_equal(t.facts.version, TLS_1_3);
        assert_int_equal(t.facts.group, groups[i].group);
        assert_int_equal(t.facts.hello_retry, groups[i].retry);
        assert_string_equal(t.facts.alpn, "h2");
        talk_done(&t);
    }
}

static void test_talk_take__tls13_every_suite(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t id;
    } suites[] = {{"TLS_AES_128_GCM_SHA256", 0x1301},
                  {"TLS_AES_256_GCM_SHA384", 0x1302},
                  {"TLS_CHACHA20_POLY1305_SHA256", 0x1303},
                  {"TLS_AES_128_CCM_SHA256", 0x1304},
                  {"TLS_AES_128_CCM_8_SHA256", 0x1305}};
    for (size_t i = 0; i < 2 * sizeof suites / sizeof *suites; i++) {
        struct talk t;
        play(&t, &(struct play){.server = server_rsa,
                                .suites = suites[i / 2].name,
                                .groups = i % 2 ? "P-384" : NULL,
                                TODAY});
        shows(&t, "rsa");
        assert_int_equal(t.facts.suite, suites[i / 2].id);
        talk_done(&t);
    }
}

static void test_talk_take__before_tls13(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *cipher;
        uint16_t group;
        bool ec, dhe;
    } cases[] = {{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", 0x1d, true, false},
                 {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", 0x1d, false, false},
                 {TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384", 0, false, true},
                 {TLS1_2_VERSION, "AES256-SHA", 0, false, false},
                 {TLS1_1_VERSION, "ECDHE-RSA-AES128-SHA", 0x1d, false, false},
                 {TLS1_VERSION, "AES128-SHA", 0, false, false},
                 {TLS1_VERSION, "DHE-RSA-AES128-SHA", 0, false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk t;
        play(&t, &(struct play){.server = cases[i].ec ? server_ec : server_rsa,
                                .version = cases[i].version,
                                .ciphers = cases[i].cipher,
                                .groups = "X25519:P-256",
                                TODAY});
        shows(&t, cases[i].ec ? "ec" : "rsa");
        assert_int_equal(t.facts.version, cases[i].version);
        assert_int_equal(t.facts.group, cases[i].group);
        assert_int_equal(t.facts.dh_bits > 0, cases[i].dhe);
        assert_true(t.facts.secure_renego);
        talk_done(&t);
    }
}

static void test_talk_take__pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece += piece < 6 ? 1 : 11) {
        struct talk t;
        play(&t, &(struct play){.server = server_rsa, .piece = piece, TODAY});
        shows(&t, "rsa");
        talk_done(&t);
        play(&t, &(struct play){.server = server_rsa, .version = TLS1_2_VERSION, .piece = piece, TODAY});
        shows(&t, "rsa");
        talk_done(&t);
        play(&t, &(struct play){.server = server_rsa, .groups = "P-521", .piece = piece, TODAY});
        shows(&t, "rsa");
        talk_done(&t);
    }
}

static void test_talk_take__client_auth_and_old_hello(void **state)
{
    (void)state;
    struct talk t;
    play(&t, &(struct play){.server = server_ec, .ask_client = true, TODAY});
    assert_true(t.facts.client_auth);
    talk_done(&t);
    play(&t, &(struct play){.server = server_rsa, .ask_client = true, .version = TLS1_2_VERSION, TODAY});
    shows(&t, "rsa");
    assert_true(t.facts.client_auth);
    talk_done(&t);
    play(&t,
         &(struct play){.server = server_rsa, .offer = {.least = SSL_3_0, .most = TLS_1_2, .plain = true}});
    shows(&t, "rsa");
    assert_int_equal(t.facts.version, TLS_1_2);
    talk_done(&t);
    play(&t,
         &(struct play){.server = server_rsa, .offer = {.least = SSL_3_0, .most = TLS_1_0, .plain = true}});
    shows(&t, "rsa");
    assert_int_equal(t.facts.version, TLS_1_0);
    talk_done(&t);
}

static void test_talk_take__probes(void **state)
{
    (void)state;
    struct talk t;
    play(&t,
         &(struct play){.server = server_rsa, .offer = {.least = TLS_1_3, .most = TLS_1_3, .probe = true}});
    assert_int_equal(t.facts.version, TLS_1_3);
    talk_done(&t);
    play(&t,
         &(struct play){.server = server_rsa,
                        .groups = "X25519:P-256",
                        .offer = {.least = TLS_1_3, .most = TLS_1_3, .probe = true, .only_group = 0x11ec}});
    assert_int_equal(t.facts.version, 0);
    assert_int_equal(t.facts.failure, TLS_FAIL_ALERT);
    talk_done(&t);
    play(&t, &(struct play){.server = server_rsa,
                            .version = TLS1_2_VERSION,
                            .offer = {.least = TLS_1_1, .most = TLS_1_1, .probe = true}});
    assert_int_equal(t.facts.version, 0);
    talk_done(&t);
}

/* ---- servers that mean ill ---- */

static enum tls_failure told(const void *p, size_t n, const char **hint)
{
    static const struct tls_offer offer = {.least = TLS_1_0, .most = TLS_1_3};
    struct talk t;
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(talk_init(&t, kit, &offer, NULL, "www.example.org"), TM_OK);
    talk_begin(&t, &out);
    talk_take(&t, slice_of(p, n), &out);
    talk_end(&t, TLS_FAIL_CLOSED);
    enum tls_failure f = t.facts.failure;
    if (hint)
        *hint = t.facts.hint;
    talk_done(&t);
    buf_done(&out);
    return f;
}
#define TOLD(text, hint) told(text, sizeof(text) - 1, hint)

static void test_talk_take__no_tls(void **state)
{
    (void)state;
    const char *hint = NULL;
    assert_int_equal(TOLD("HTTP/1.1 400 Bad Request\r\n\r\n", &hint), TLS_FAIL_NOT_TLS);
    assert_string_equal(hint, "HTTP");
    assert_int_equal(TOLD("SSH-2.0-OpenSSH_9\r\n", &hint), TLS_FAIL_NOT_TLS);
    assert_string_equal(hint, "SSH");
    assert_int_equal(TOLD("\x15\x03\x01\x00\x02\x02\x28", NULL), TLS_FAIL_ALERT);
    assert_int_equal(TOLD("\x15\x03\x01\x00\x02\x01\x00", NULL), TLS_FAIL_CLOSED);
    assert_int_equal(TOLD("\x15\x03\x01\x00\x01\x01", NULL), TLS_FAIL_MALFORMED);
    assert_int_equal(TOLD("\x16\x03\x01\xff\xff", NULL), TLS_FAIL_TOO_BIG);
    assert_int_equal(TOLD("\x16\x03\x03\x00\x04\x02\xff\xff\xff", NULL), TLS_FAIL_TOO_BIG);
    assert_int_equal(TOLD("\x16\x03\x03\x00\x04\x0b\x00\x00\x00", NULL), TLS_FAIL_MALFORMED);
    assert_int_equal(TOLD("\x17\x03\x03\x00\x01x", NULL), TLS_FAIL_MALFORMED);
    assert_int_equal(TOLD("", NULL), TLS_FAIL_CLOSED);
}

/* A record that goes on for ever, one empty message after the other: what it may bring in all is bounded. */
static void test_talk_take__endless(void **state)
{
    (void)state;
    static const uint8_t nothing[] = {22, 3, 3, 0, 4, 0, 0, 0, 0};
    static const struct tls_offer offer = {.least = TLS_1_0, .most = TLS_1_3};
    struct talk t;
    struct buf out;
    size_t n = 0;
    buf_init(&out, 1 << 16);
    assert_int_equal(talk_init(&t, kit, &offer, NULL, NULL), TM_OK);
    talk_begin(&t, &out);
    while (talk_take(&t, SLICE_ARR(nothing), &out))
        n++;
    assert_int_equal(t.facts.failure, TLS_FAIL_TOO_BIG);
    assert_in_range(n, 1000, TLS_OCTETS_MAX / sizeof nothing);
    talk_done(&t);
    buf_done(&out);
}

/* Datagrams that are empty bring nothing, and come to an end all the same. */
static void test_talk_take__empty_datagrams(void **state)
{
    (void)state;
    static const struct tls_offer offer = {.least = TLS_1_2, .most = TLS_1_2, .dtls = true};
    struct talk t;
    struct buf out;
    size_t n = 0;
    buf_init(&out, 1 << 16);
    assert_int_equal(talk_init(&t, kit, &offer, NULL, NULL), TM_OK);
    talk_begin(&t, &out);
    while (talk_take(&t, (struct slice){0}, &out))
        n++;
    assert_int_equal(t.facts.failure, TLS_FAIL_TOO_BIG);
    assert_in_range(n, 1000, TLS_OCTETS_MAX);
    talk_done(&t);
    buf_done(&out);
}

static void put_record(struct buf *b, uint8_t type, const void *p, size_t n)
{
    const uint8_t header[] = {type, 3, 3, (uint8_t)(n >> 8), (uint8_t)n};
    buf_put(b, header, sizeof header);
    buf_put(b, p, n);
}

/* ServerHello of TLS 1.2 with AES128-SHA, then so many certificates of so many octets. */
static void put_chain(struct buf *b, size_t certificates, size_t octets)
{
    uint8_t hello[4 + 38] = {2, 0, 0, 38, 3, 3};
    struct buf m;
    hello[4 + 2 + 32] = 0;
    hello[4 + 2 + 32 + 2] = 0x2f;
    put_record(b, 22, hello, sizeof hello);
    size_t list = certificates * (3 + octets), n = list + 3;
    buf_init(&m, 1 << 20);
    buf_put(&m,
            (const uint8_t[]){11, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)(list >> 16),
                              (uint8_t)(list >> 8), (uint8_t)list},
            7);
    for (size_t i = 0; i < certificates; i++) {
        buf_put(&m, (const uint8_t[]){(uint8_t)(octets >> 16), (uint8_t)(octets >> 8), (uint8_t)octets}, 3);
        memset(buf_extend(&m, octets), (int)i, octets);
    }
    for (size_t at = 0; at < m.n; at += 16384)
        put_record(b, 22, m.p + at, m.n - at < 16384 ? m.n - at : 16384);
    buf_done(&m);
}

static void test_talk_take__chains(void **state)
{
    (void)state;
    static const struct tls_offer offer = {.least = TLS_1_0, .most = TLS_1_3};
    static const struct {
        size_t certificates, octets;
        enum tls_failure failure;
        size_t kept;
    } cases[] = {{0, 0, TLS_FAIL_NO_CERTIFICATE, 0},
                 {1, 60000, TLS_FAIL_NONE, 1},
                 {40, 1000, TLS_FAIL_NONE, TLS_CHAIN_MAX},
                 {2, 40000, TLS_FAIL_TOO_BIG, 0},
                 {300, 1000, TLS_FAIL_TOO_BIG, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk t;
        struct buf out, in;
        buf_init(&out, 1 << 16);
        buf_init(&in, 1 << 20);
        put_chain(&in, cases[i].certificates, cases[i].octets);
        assert_int_equal(talk_init(&t, kit, &offer, NULL, NULL), TM_OK);
        talk_begin(&t, &out);
        for (size_t at = 0; at < in.n && talk_take(&t, slice_sub(buf_slice(&in), at, 1400), &out); at += 1400)
            ;
        talk_end(&t, TLS_FAIL_STALLED);
        assert_int_equal(t.facts.failure, cases[i].failure);
        assert_int_equal(t.facts.n_chain, cases[i].kept);
        if (cases[i].kept)
            assert_int_equal(t.facts.n_sent, cases[i].certificates);
        talk_done(&t);
        buf_done(&in);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk_take__tls13_every_group),
        cmocka_unit_test(test_talk_take__tls13_every_suite),
        cmocka_unit_test(test_talk_take__before_tls13),
        cmocka_unit_test(test_talk_take__pieces_of_any_size),
        cmocka_unit_test(test_talk_take__client_auth_and_old_hello),
        cmocka_unit_test(test_talk_take__probes),
        cmocka_unit_test(test_talk_take__no_tls),
        cmocka_unit_test(test_talk_take__endless),
        cmocka_unit_test(test_talk_take__empty_datagrams),
        cmocka_unit_test(test_talk_take__chains),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
