/* tls-alpn-01 (RFC 8737; addresses: RFC 8738 6): a self-signed certificate with the key authorization, behind its own ALPN. */
#include "base/arena.h"
#include "base/digest.h"
#include "der/reader.h"
#include "enroll/acme/link.h"
#include "keys/pubkey.h"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static const uint8_t alpn[] = "\x0a"
                              "acme-tls/1";
/* id-pe-acmeIdentifier 1.3.6.1.5.5.7.1.31 */
static const uint8_t oid_acme_identifier[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};

/* RFC 8738 6: an address is named as in the reverse tree. */
static const char *server_name(struct attempt *t)
{
    uint8_t v4[4], v6[16];
    char text[80] = "";
    if (!t->identifier->ip)
        return t->identifier->value;
    if (inet_pton(AF_INET, t->identifier->value, v4) == 1) {
        snprintf(text, sizeof text, "%u.%u.%u.%u.in-addr.arpa", v4[3], v4[2], v4[1], v4[0]);
    } else if (inet_pton(AF_INET6, t->identifier->value, v6) == 1) {
        size_t n = 0;
        for (int i = 15; i >= 0; i--)
            n += (size_t)snprintf(text + n, sizeof text - n, "%x.%x.", v6[i] & 15, v6[i] >> 4);
        snprintf(text + n, sizeof text - n, "ip6.arpa");
    }
    return arena_strdup(t->arena, text);
}

/* RFC 8737 3: subjectAltName with this name alone. */
static bool names_only(struct attempt *t, const struct cert *c)
{
    const struct ext *san = exts_find(&c->exts, OID_EXT_SAN);
    struct general_names names = {0};
    struct general_name wanted;
    const char *text = acme_identifier_text(t->arena, t->identifier, false);
    if (!san || !text || general_names_parse(&names, t->arena, san->value, NULL) != TM_OK || names.n != 1 ||
        general_name_from_text(&wanted, t->arena, slice_str(text), NULL) != TM_OK)
        return false;
    return names.v[0].type == wanted.type &&
           (wanted.type == GN_DNS ? slice_caseeq(names.v[0].value, wanted.value)
                                  : slice_eq(names.v[0].value, wanted.value));
}

static tm_err check_certificate(struct attempt *t, struct slice der)
{
    struct cert c;
    uint8_t hash[SHA256_LEN];
    const struct ext *proof = NULL;
    TM_TRY(sha256(hash, slice_str(t->key_authorization)));
    if (cert_parse(&c, der, NULL) != TM_OK)
        return attempt_failed(t, ACME_P_UNAUTHORIZED, "the server's certificate can't be read");
    if (!slice_eq(c.issuer, c.subject) || cert_verify_signature(&c, &c.spki, NULL) != TM_OK)
        return attempt_failed(t, ACME_P_UNAUTHORIZED, "the server's certificate is not self-signed");
    if (!names_only(t, &c))
        return attempt_failed(t, ACME_P_UNAUTHORIZED, "the server's certificate is not for %s alone",
                              t->identifier->value);
    for (size_t i = 0; i < c.exts.n; i++)
        if (slice_eq(c.exts.v[i].oid, SLICE_ARR(oid_acme_identifier)))
            proof = &c.exts.v[i];
    if (!proof || !proof->critical)
        return attempt_failed(t, ACME_P_UNAUTHORIZED,
                              "the server's certificate has no critical acmeIdentifier");
    /* Authorization ::= OCTET STRING (SIZE (32)) */
    if (proof->value.n != 2 + SHA256_LEN || proof->value.p[0] != 0x04 || proof->value.p[1] != SHA256_LEN ||
        memcmp(proof->value.p + 2, hash, SHA256_LEN) != 0)
        return attempt_failed(t, ACME_P_INCORRECT_RESPONSE,
                              "the acmeIdentifier in the server's certificate is not the right one");
    return TM_OK;
}

static tm_err shake_hands(struct attempt *t, struct link *l)
{
    const unsigned char *chosen = NULL;
    unsigned n = 0;
    const char *name = server_name(t);
    if (!name)
        return TM_ENOMEM;
    TM_TRY(link_tls(l, name, slice_of(alpn, sizeof alpn - 1)));
    SSL_get0_alpn_selected(l->ssl, &chosen, &n);
    if (n != sizeof alpn - 2 || memcmp(chosen, alpn + 1, n) != 0)
        return attempt_failed(t, ACME_P_UNAUTHORIZED, "the server does not speak acme-tls/1 for %s",
                              t->identifier->value);
    X509 *x = SSL_get0_peer_certificate(l->ssl);
    unsigned char *der = NULL;
    int size = x ? i2d_X509(x, &der) : 0;
    struct slice copy = {0};
    tm_err e = size > 0 ? arena_copy(&copy, t->arena, slice_of(der, (size_t)size))
                        : attempt_failed(t, ACME_P_UNAUTHORIZED, "the server showed no certificate");
    OPENSSL_free(der);
    return e == TM_OK ? check_certificate(t, copy) : e;
}

static tm_err run(struct attempt *t)
{
    int fd;
    struct link l;
    TM_TRY(attempt_connect(&fd, t, t->identifier->value, (int)t->settings->validation.tls_port));
    link_init(&l, t, fd);
    tm_err e = shake_hands(t, &l);
    link_done(&l);
    return e;
}

const struct challenge challenge_tls_alpn_01 = {
    .type = ACME_TLS_ALPN_01, .name = "tls-alpn-01", .wildcard = false, .addresses = true, .run = run};
