#include "http/tls.h"
#include "http_test.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static const struct http_listener listeners[] = {
    {.address = "127.0.0.1", .kind = HTTP_LISTENER_PUBLIC_TLS, .tls = true, .ask_client_cert = true},
    {.address = "127.0.0.1", .kind = HTTP_LISTENER_CONSOLE, .tls = true},
    {.address = "127.0.0.1",
     .kind = HTTP_LISTENER_PUBLIC_TLS,
     .tls = true,
     .ask_client_cert = true,
     .proxy_protocol = true},
};
enum { ASKING, NOT_ASKING, PROXIED };

/* ---- certificates ---- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static struct identity identity_new(const char *alg, const char *cn, const struct identity *issuer, long days)
{
    struct identity id = {.key = strcmp(alg, "EC") == 0 ? EVP_EC_gen("P-256")
                                                        : EVP_PKEY_Q_keygen(NULL, NULL, alg)};
    assert_non_null(id.key);
    id.cert = X509_new();
    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -86400L * 10);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 86400L * days);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_ASC, (const unsigned char *)cn,
                               -1, -1, 0);
    X509_set_issuer_name(id.cert, X509_get_subject_name(issuer ? issuer->cert : id.cert));
    EVP_PKEY *signer = issuer ? issuer->key : id.key;
    assert_true(X509_sign(id.cert, signer, EVP_PKEY_is_a(signer, "EC") ? EVP_sha256() : NULL) > 0);
    return id;
}

static void identity_done(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

static struct slice pem_of(const struct identity *id, bool key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p, *copy;
    if (key)
        PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_X509(bio, id->cert);
    size_t n = (size_t)BIO_get_mem_data(bio, &p);
    copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, p, n);
    BIO_free(bio);
    return slice_of(copy, n);
}

static struct slice der_of(const struct identity *id)
{
    unsigned char *p = NULL;
    int n = i2d_X509(id->cert, &p);
    assert_true(n > 0);
    return slice_of(p, (size_t)n);
}

static void slice_free(struct slice s)
{
    free((void *)(uintptr_t)s.p);
}

static SSL_CTX *context_for(const struct identity *id)
{
    SSL_CTX *ctx = NULL;
    struct slice chain = pem_of(id, false), key = pem_of(id, true);
    assert_int_equal(
        http_tls_context_new(&ctx, &(struct http_tls_options){.chain = chain, .key_pem = key}, NULL), TM_OK);
    slice_free(chain);
    slice_free(key);
    return ctx;
}

/* ---- fixtures ---- */

static struct identity host, device_ca, device, expired, via_intermediate;
static SSL_CTX *client_ctx;

static int up(void **state)
{
    host = identity_new("EC", "host", NULL, 100);
    device_ca = identity_new("EC", "device ca", NULL, 100);
    device = identity_new("EC", "device", NULL, 100);
    expired = identity_new("EC", "expired", NULL, -1);
    via_intermediate = identity_new("EC", "via intermediate", &device_ca, 100);
    SSL_CTX *tls = context_for(&host);
    server_up(listeners, 2,
              (struct http_server_config){.tls = tls, .limits = {.handshake_s = 1, .idle_s = 2}});
    SSL_CTX_free(tls);
    client_ctx = SSL_CTX_new(TLS_client_method());
    return 0;
}

static int down(void **state)
{
    server_down();
    SSL_CTX_free(client_ctx);
    identity_done(&host);
    identity_done(&device_ca);
    identity_done(&device);
    identity_done(&expired);
    identity_done(&via_intermediate);
    return 0;
}

/* ---- client ---- */

struct tls_client {
    int fd;
    SSL *ssl;
};

static struct tls_client tls_dial(size_t listener, int version, const struct identity *id,
                                  SSL_SESSION *session)
{
    struct tls_client c = {.fd = dial(listener), .ssl = SSL_new(client_ctx)};
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_min_proto_version(c.ssl, version);
    SSL_set_max_proto_version(c.ssl, version);
    if (id) {
        SSL_use_certificate(c.ssl, id->cert);
        SSL_use_PrivateKey(c.ssl, id->key);
        if (id == &via_intermediate)
            SSL_add1_chain_cert(c.ssl, device_ca.cert);
    }
    if (session)
        SSL_set_session(c.ssl, session);
    return c;
}

static void tls_hang_up(struct tls_client *c)
{
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
}

static const char *tls_ask(struct tls_client *c, const char *text, size_t *ret_n)
{
    static char answer[1 << 16];
    size_t n = 0, got;
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), (int)strlen(text));
    while (n < sizeof answer - 1 && SSL_read_ex(c->ssl, answer + n, sizeof answer - 1 - n, &got) == 1)
        n += got;
    answer[n] = '\0';
    if (ret_n)
        *ret_n = n;
    return answer;
}

static const char *tls_talk(size_t listener, int version, const struct identity *id, const char *text)
{
    struct tls_client c = tls_dial(listener, version, id, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    const char *a = tls_ask(&c, text, NULL);
    tls_hang_up(&c);
    return a;
}

#define WHO "GET /who HTTP/1.1\r\n" LAST

/* ---- handshakes and certificates ---- */

static void test_tls__get(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_non_null(strstr(tls_talk(ASKING, version, NULL, WHO), "tls=1 cert=0 chain=0"));
        assert_non_null(strstr(tls_talk(NOT_ASKING, version, &device, WHO), "tls=1 cert=0 chain=0"));
    }
    struct tls_client c = tls_dial(ASKING, TLS1_1_VERSION, NULL, NULL);
    SSL_set_security_level(c.ssl, 0);
    assert_int_not_equal(SSL_connect(c.ssl), 1);
    tls_hang_up(&c);
}

static void test_tls__any_client_certificate(void **state)
{
    const struct identity *ids[] = {&device, &expired, &via_intermediate};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < 3; i++) {
            char want[64];
            snprintf(want, sizeof want, "cert=%d chain=%d", i2d_X509(ids[i]->cert, NULL), i == 2);
            assert_non_null(strstr(tls_talk(ASKING, version, ids[i], WHO), want));
        }
    }
}

/* The public key of one and the private key of another: what somebody has who found a certificate. */
static EVP_PKEY *stolen(const struct identity *found, const struct identity *own)
{
    BIGNUM *priv = NULL;
    uint8_t pub[133];
    size_t n;
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(own->key, OSSL_PKEY_PARAM_PRIV_KEY, &priv), 1);
    assert_int_equal(
        EVP_PKEY_get_octet_string_param(found->key, OSSL_PKEY_PARAM_PUB_KEY, pub, sizeof pub, &n), 1);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, priv);
    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, pub, n);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(priv);
    return key;
}

static void test_tls__client_without_the_key(void **state)
{
    struct identity thief = {.key = stolen(&device, &expired), .cert = device.cert};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct http_stats before, after;
        http_server_stats(server, &before);
        struct tls_client c = tls_dial(ASKING, version, &thief, NULL);
        char back[100];
        /* In TLS 1.3 the client learns of it with its first read. */
        if (SSL_connect(c.ssl) == 1)
            assert_true(SSL_read(c.ssl, back, sizeof back) <= 0);
        /* The client may learn of it before the server has counted it. */
        do {
            usleep(1000);
            http_server_stats(server, &after);
        } while (after.tls_failed == before.tls_failed);
        assert_int_equal(after.tls_failed, before.tls_failed + 1);
        tls_hang_up(&c);
    }
    EVP_PKEY_free(thief.key);
}

static void test_tls__large_echo(void **state)
{
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    enum { N = 1000000 };
    char *body = calloc(1, N), *back = calloc(1, N + 1000);
    assert_true(body && back);
    memset(body, 'x', N);
    char head[100];
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nContent-Length: %d\r\n" LAST, N);
    SSL_write(c.ssl, head, (int)strlen(head));
    assert_int_equal(SSL_write(c.ssl, body, N), N);
    size_t n = 0, got;
    while (n < N + 999 && SSL_read_ex(c.ssl, back + n, N + 999 - n, &got) == 1)
        n += got;
    assert_int_equal(strlen(strstr(back, "\r\n\r\n") + 4), N);
    tls_hang_up(&c);
    free(body);
    free(back);
}

static void test_tls__pause_and_resume(void **state)
{
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    static char body[400000];
    const char *head = "POST /count?pause=1 HTTP/1.1\r\nContent-Length: 400000\r\n" LAST;
    SSL_write(c.ssl, head, (int)strlen(head));
    assert_int_equal(SSL_write(c.ssl, body, sizeof body), sizeof body);
    assert_non_null(strstr(tls_ask(&c, "", NULL), "400000\n"));
    tls_hang_up(&c);
}

/* ---- channel binding ---- */

static void check_binding(SSL_SESSION *session, int version)
{
    struct tls_client c = tls_dial(ASKING, version, NULL, session);
    assert_int_equal(SSL_connect(c.ssl), 1);
    assert_int_equal(SSL_session_reused(c.ssl), session != NULL);
    uint8_t ours[64];
    size_t n;
    if (version == TLS1_3_VERSION) {
        n = 32;
        SSL_export_keying_material(c.ssl, ours, n, "EXPORTER-Channel-Binding", 24, NULL, 0, 0);
    } else if (session) {
        n = SSL_get_peer_finished(c.ssl, ours, sizeof ours);
    } else {
        n = SSL_get_finished(c.ssl, ours, sizeof ours);
    }
    size_t len;
    const char *a = tls_ask(&c, "GET /binding HTTP/1.1\r\n" LAST, &len);
    assert_int_equal(status_in(a), 200);
    assert_non_null(
        strstr(a, version == TLS1_3_VERSION ? "X-Type: tls-exporter\r\n" : "X-Type: tls-unique\r\n"));
    assert_true(len > n);
    assert_memory_equal(a + len - n, ours, n);
    tls_hang_up(&c);
}

static SSL_SESSION *session_after(int version, const struct identity *id)
{
    struct tls_client c = tls_dial(ASKING, version, id, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    tls_ask(&c, WHO, NULL);
    SSL_SESSION *s = SSL_get1_session(c.ssl);
    tls_hang_up(&c);
    return s;
}

static void test_http_request_channel_binding__equal_on_both_ends(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        check_binding(NULL, version);
        SSL_SESSION *s = session_after(version, NULL);
        check_binding(s, version);
        SSL_SESSION_free(s);
    }
}

/* ---- resumption ---- */

static void test_tls__resumption_keeps_the_certificate(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        const struct identity *ids[] = {&device, &via_intermediate};
        for (size_t i = 0; i < 2; i++) {
            SSL_SESSION *s = session_after(version, ids[i]);
            struct tls_client c = tls_dial(ASKING, version, ids[i], s);
            assert_int_equal(SSL_connect(c.ssl), 1);
            /* With intermediates it has to shake hands in full, since a ticket does not hold them. */
            assert_int_equal(SSL_session_reused(c.ssl), i == 0);
            char want[64];
            snprintf(want, sizeof want, "cert=%d chain=%d", i2d_X509(ids[i]->cert, NULL), i == 1);
            assert_non_null(strstr(tls_ask(&c, WHO, NULL), want));
            tls_hang_up(&c);
            SSL_SESSION_free(s);
        }
    }
}

/* ---- bad weather ---- */

static void test_tls__slow_handshake(void **state)
{
    double before = seconds();
    int fd = dial(ASKING);
    say_n(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
    assert_string_equal(hear(fd, NULL, 5000), "");
    assert_true(seconds() - before < 2);
    close(fd);
}

static void test_tls__plain_http(void **state)
{
    struct http_stats st;
    const char *a = talk(ASKING, "GET /hello HTTP/1.1\r\n" LAST);
    assert_int_equal(status_in(a), -1);
    http_server_stats(server, &st);
    assert_true(st.tls_failed > 0);
}

static void test_tls__truncated(void **state)
{
    int bad = seen_ends_bad;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client c = tls_dial(ASKING, version, NULL, NULL);
        assert_int_equal(SSL_connect(c.ssl), 1);
        const char *part = "POST /count HTTP/1.1\r\nContent-Length: 100\r\n" HOST "\r\nabc";
        SSL_write(c.ssl, part, (int)strlen(part));
        close(c.fd); /* without close_notify */
        SSL_free(c.ssl);
    }
    assert_true(comes_to(&seen_ends_bad, bad + 2));
    /* Half a record, then the end. */
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    say_n(c.fd, "\x17\x03\x03\x01\x00garbage", 12);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    close(c.fd);
    SSL_free(c.ssl);
    assert_int_equal(status_in(tls_talk(ASKING, TLS1_3_VERSION, NULL, "GET /hello HTTP/1.1\r\n" LAST)), 200);
}

/* Part of a record must not keep the loop awake. */
static void test_tls__half_a_record_costs_nothing(void **state)
{
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    SSL_write(c.ssl, "G", 1);
    say_n(c.fd, "\x17\x03\x03\x01\x00part", 9);
    struct timespec a, b;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double used = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    assert_true(used < 0.1);
    close(c.fd);
    SSL_free(c.ssl);
}

static void test_tls__close_notify(void **state)
{
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    assert_non_null(strstr(tls_ask(&c, "GET /hello HTTP/1.1\r\n" LAST, NULL), "hello\n"));
    assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN);
    tls_hang_up(&c);
}

/* ---- the context ---- */

static void test_http_server_set_tls__new_certificate(void **state)
{
    struct identity next = identity_new("EC", "next", NULL, 100);
    SSL_CTX *ctx = context_for(&next);
    struct tls_client old = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(old.ssl), 1);
    http_server_set_tls(server, ctx);
    SSL_CTX_free(ctx);
    struct tls_client c = tls_dial(ASKING, TLS1_3_VERSION, NULL, NULL);
    assert_int_equal(SSL_connect(c.ssl), 1);
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(c.ssl), next.cert), 0);
    tls_hang_up(&c);
    assert_int_equal(status_in(tls_ask(&old, "GET /hello HTTP/1.1\r\n" LAST, NULL)), 200);
    tls_hang_up(&old);
    identity_done(&next);
}

static void test_http_tls_context_new__ml_dsa(void **state)
{
    struct identity pq = identity_new("ML-DSA-65", "pq", NULL, 100);
    struct identity pq_device = identity_new("ML-DSA-44", "pq device", NULL, 100);
    SSL_CTX *ctx = context_for(&pq);
    http_server_set_tls(server, ctx);
    SSL_CTX_free(ctx);
    char want[64];
    snprintf(want, sizeof want, "cert=%d chain=0", i2d_X509(pq_device.cert, NULL));
    assert_non_null(strstr(tls_talk(ASKING, TLS1_3_VERSION, &pq_device, WHO), want));
    ctx = context_for(&host);
    http_server_set_tls(server, ctx);
    SSL_CTX_free(ctx);
    identity_done(&pq);
    identity_done(&pq_device);
}

static void test_http_tls_context_new__der_and_client_cas(void **state)
{
    struct slice chain = der_of(&host), ca = der_of(&device_ca);
    SSL_CTX *ctx = NULL;
    struct http_tls_options o = {
        .chain = chain, .key = host.key, .client_cas = &ca, .n_client_cas = 1, .tls13_only = true};
    assert_int_equal(http_tls_context_new(&ctx, &o, NULL), TM_OK);
    assert_int_equal(sk_X509_NAME_num(SSL_CTX_get_client_CA_list(ctx)), 1);
    SSL_CTX_free(ctx);
    OPENSSL_free((void *)(uintptr_t)chain.p);
    OPENSSL_free((void *)(uintptr_t)ca.p);
}

static void test_http_tls_context_new__bad(void **state)
{
    SSL_CTX *ctx = NULL;
    struct diag diag = {0};
    struct slice chain = pem_of(&host, false), key = pem_of(&host, true), other = pem_of(&device, true);
    const struct {
        tm_err err;
        struct http_tls_options o;
    } cases[] = {
        {TM_EMALFORMED, {.key_pem = key}},
        {TM_EMALFORMED, {.chain = chain}},
        {TM_EMALFORMED, {.chain = SLICE_LIT("nonsense"), .key_pem = key}},
        {TM_EMALFORMED, {.chain = SLICE_LIT("\x30\x03\x02\x01\x01"), .key_pem = key}},
        {TM_EMALFORMED, {.chain = chain, .key_pem = SLICE_LIT("nonsense")}},
        {TM_EMALFORMED, {.chain = slice_sub(chain, 0, chain.n / 2), .key_pem = key}},
        {TM_EINVAL, {.chain = chain, .key_pem = other}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(http_tls_context_new(&ctx, &cases[i].o, &diag), cases[i].err);
        assert_true(diag.message[0] != '\0');
    }
    assert_null(ctx);
    slice_free(chain);
    slice_free(key);
    slice_free(other);
}

/* ---- behind a proxy that passes TLS through ---- */

static int up_proxied(void **state)
{
    static const char *const trusted[] = {"127.0.0.1", NULL};
    host = identity_new("EC", "host", NULL, 100);
    device = identity_new("EC", "device", NULL, 100);
    SSL_CTX *tls = context_for(&host);
    server_up(listeners, 3, (struct http_server_config){.tls = tls, .trusted_proxies = trusted});
    SSL_CTX_free(tls);
    client_ctx = SSL_CTX_new(TLS_client_method());
    return 0;
}

static int down_proxied(void **state)
{
    server_down();
    SSL_CTX_free(client_ctx);
    identity_done(&host);
    identity_done(&device);
    return 0;
}

#define FORGED "GET /who HTTP/1.1\r\nClient-Cert: :MAMCAQE=:\r\n" LAST

static void test_tls__through_a_proxy(void **state)
{
    static const char v4[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x12\x34\x56\x78";
    struct tls_client c = tls_dial(PROXIED, TLS1_3_VERSION, &device, NULL);
    say_n(c.fd, v4, sizeof v4 - 1);
    assert_int_equal(SSL_connect(c.ssl), 1);
    /* The client itself speaks, whatever fields it makes up. */
    char want[64];
    snprintf(want, sizeof want, "peer=192.0.2.1 tls=1 cert=%d chain=0", i2d_X509(device.cert, NULL));
    assert_non_null(strstr(tls_ask(&c, FORGED, NULL), want));
    tls_hang_up(&c);
}

static void test_tls__from_a_proxy(void **state)
{
    /* The proxy's own certificate is not its clients'; what it says of them is. */
    assert_non_null(strstr(tls_talk(ASKING, TLS1_3_VERSION, &device, WHO), "cert=0"));
    assert_non_null(strstr(tls_talk(ASKING, TLS1_3_VERSION, &device, FORGED), "cert=5"));
    const char *a = tls_talk(ASKING, TLS1_3_VERSION, &device, "GET /binding HTTP/1.1\r\n" LAST);
    assert_string_equal(body_in(a), "unsupported");
}

int main(void)
{
    const struct CMUnitTest direct[] = {
        cmocka_unit_test(test_tls__get),
        cmocka_unit_test(test_tls__any_client_certificate),
        cmocka_unit_test(test_tls__client_without_the_key),
        cmocka_unit_test(test_tls__large_echo),
        cmocka_unit_test(test_tls__pause_and_resume),
        cmocka_unit_test(test_http_request_channel_binding__equal_on_both_ends),
        cmocka_unit_test(test_tls__resumption_keeps_the_certificate),
        cmocka_unit_test(test_tls__slow_handshake),
        cmocka_unit_test(test_tls__plain_http),
        cmocka_unit_test(test_tls__truncated),
        cmocka_unit_test(test_tls__half_a_record_costs_nothing),
        cmocka_unit_test(test_tls__close_notify),
        cmocka_unit_test(test_http_server_set_tls__new_certificate),
        cmocka_unit_test(test_http_tls_context_new__ml_dsa),
        cmocka_unit_test(test_http_tls_context_new__der_and_client_cas),
        cmocka_unit_test(test_http_tls_context_new__bad),
    };
    const struct CMUnitTest proxied[] = {
        cmocka_unit_test(test_tls__through_a_proxy),
        cmocka_unit_test(test_tls__from_a_proxy),
    };
    int failed = cmocka_run_group_tests(direct, up, down);
    return failed + cmocka_run_group_tests(proxied, up_proxied, down_proxied);
}
