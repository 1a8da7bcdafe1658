/* tls_peer: whom a client believes, and who must be there. */
#include "http/tls_peer.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static EVP_PKEY *key;
static X509 *cert; /* of box.example and 192.0.2.7, signed by itself */
static char pem[4096];

static int setup(void **state)
{
    X509V3_CTX v3;
    key = EVP_EC_gen("P-256");
    cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"box",
                               -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, "DNS:box.example,IP:192.0.2.7");
    assert_int_equal(X509_add_ext(cert, san, -1), 1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    int n = BIO_read(bio, pem, sizeof pem - 1);
    assert_true(n > 0);
    BIO_free(bio);
    return 0;
}

static int teardown(void **state)
{
    EVP_PKEY_free(key);
    X509_free(cert);
    return 0;
}

/* How many certificates a client believes that trusts `text`; -1: it can't be trusted. */
static int believed(const char *text)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int n = tls_peer_trust(ctx, text)
                ? sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx)))
                : -1;
    SSL_CTX_free(ctx);
    return n;
}

static void test_tls_peer_trust__a_text(void **state)
{
    char twice[sizeof pem * 2];
    snprintf(twice, sizeof twice, "%s%s", pem, pem);
    assert_int_equal(believed(pem), 1);
    assert_int_equal(believed(twice), 1);
    assert_int_equal(believed("nothing of the kind"), -1);
}

static void test_tls_peer_trust__what_the_environment_names(void **state)
{
    char path[] = "/tmp/touchmark-test-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, pem, strlen(pem)), (ssize_t)strlen(pem));
    close(fd);
    unsetenv("SSL_CERT_DIR");
    setenv("SSL_CERT_FILE", path, 1);
    assert_string_equal(tls_peer_system_file(), path);
    assert_int_equal(believed(NULL), 1);
    assert_int_equal(believed(""), 1);
    unsetenv("SSL_CERT_FILE");
    unlink(path);
}

/* Where the system has CAs they count, wherever the library was built to look for them. */
static void test_tls_peer_trust__the_system(void **state)
{
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    if (access(tls_peer_system_file(), R_OK) != 0)
        skip();
    assert_true(believed(NULL) > 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    assert_true(believed(NULL) <= 1);
    unsetenv("SSL_CERT_DIR");
}

/* What comes of a handshake with the certificate's server by a client that wants `host`. */
static long verdict(const char *host, char ret_sni[64])
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method()), *server = SSL_CTX_new(TLS_server_method());
    BIO *here, *there;
    assert_true(tls_peer_trust(client, pem));
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_use_certificate(server, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
    SSL *c = SSL_new(client), *s = SSL_new(server);
    assert_true(tls_peer_name(c, host));
    assert_int_equal(BIO_new_bio_pair(&here, 1 << 16, &there, 1 << 16), 1);
    SSL_set_bio(c, here, here);
    SSL_set_bio(s, there, there);
    SSL_set_connect_state(c);
    SSL_set_accept_state(s);
    for (int i = 0; i < 8; i++) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    const char *sni = SSL_get_servername(s, TLSEXT_NAMETYPE_host_name);
    snprintf(ret_sni, 64, "%s", sni ? sni : "");
    long result = SSL_is_init_finished(c) ? X509_V_OK : SSL_get_verify_result(c);
    SSL_free(c);
    SSL_free(s);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    return result;
}

static void test_tls_peer_name__names_and_addresses(void **state)
{
    static const struct {
        const char *host, *sni;
        long verdict;
    } cases[] = {
        {"box.example", "box.example", X509_V_OK},
        {"BOX.example", "BOX.example", X509_V_OK},
        {"192.0.2.7", "", X509_V_OK},
        {"other.example", "other.example", X509_V_ERR_HOSTNAME_MISMATCH},
        {"192.0.2.8", "", X509_V_ERR_IP_ADDRESS_MISMATCH},
        {"2001:db8::7", "", X509_V_ERR_IP_ADDRESS_MISMATCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char sni[64];
        assert_int_equal(verdict(cases[i].host, sni), cases[i].verdict);
        assert_string_equal(sni, cases[i].sni);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_peer_trust__a_text),
        cmocka_unit_test(test_tls_peer_trust__what_the_environment_names),
        cmocka_unit_test(test_tls_peer_trust__the_system),
        cmocka_unit_test(test_tls_peer_name__names_and_addresses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
