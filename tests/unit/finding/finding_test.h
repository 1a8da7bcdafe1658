/* Certificates of all kinds in a house's inventory, and what the rules say of them. */
#pragma once
#include "finding/finding.h"
#include "finding/pass.h"
#include "inventory/sighting.h"
#include "unit/authority/still_house.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { F_DAY = 86400 };

struct made {
    const char *cn, *san; /* san: "DNS:…", NULL none */
    const char *serial_number;
    EVP_PKEY *key;      /* NULL: a new P-256 one */
    EVP_PKEY *signer;   /* NULL: itself */
    const char *issuer; /* its common name; NULL: as the subject */
    const EVP_MD *md;   /* NULL: SHA-256 */
    int64_t from, to;
    bool ca, server;
    size_t units;      /* so many organizational units of 200 octets in its name */
    struct slice blob; /* in its name, what is no text */
};
/* A hundred characters of two octets each. */
static const char long_unit[] =
#define U10 "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
    U10 U10 U10 U10 U10 U10 U10 U10 U10 U10;

[[maybe_unused]] static EVP_PKEY *new_rsa(unsigned bits)
{
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    assert_non_null(k);
    return k;
}

[[maybe_unused]] static EVP_PKEY *new_ec(void)
{
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert_non_null(k);
    return k;
}

/* A public RSA key of this modulus; freed by nobody, as tests end. */
[[maybe_unused]] static EVP_PKEY *rsa_of(const BIGNUM *n)
{
    BIGNUM *e = BN_new();
    EVP_PKEY *k = NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    BN_set_word(e, 65537);
    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *p = OSSL_PARAM_BLD_to_param(b);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(c), 1);
    assert_int_equal(EVP_PKEY_fromdata(c, &k, EVP_PKEY_PUBLIC_KEY, p), 1);
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(p);
    OSSL_PARAM_BLD_free(b);
    BN_free(e);
    return k;
}

static void add_ext(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

/* DER in the arena. */
[[maybe_unused]] static struct slice make_cert(const struct made *m)
{
    static long number = 1000;
    X509 *x = X509_new();
    EVP_PKEY *own = m->key ? m->key : new_ec(), *signer = m->signer ? m->signer : own;
    X509_NAME *name = X509_get_subject_name(x), *issuer = X509_NAME_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++number);
    if (m->cn)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)m->cn, -1, -1, 0);
    for (size_t i = 0; i < m->units;
         i++) /* OpenSSL holds only what it is asked to look at to RFC 5280's bounds */
        X509_NAME_add_entry_by_txt(name, "OU", V_ASN1_UTF8STRING, (const uint8_t *)long_unit, -1, -1, 0);
    if (m->blob.n)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, "1.2.3.4.5", V_ASN1_BIT_STRING, m->blob.p,
                                                    (int)m->blob.n, -1, 0),
                         1);
    if (m->serial_number)
        X509_NAME_add_entry_by_txt(name, "serialNumber", MBSTRING_UTF8, (const uint8_t *)m->serial_number, -1,
                                   -1, 0);
    if (m->issuer) {
        X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_UTF8, (const uint8_t *)m->issuer, -1, -1, 0);
        X509_set_issuer_name(x, issuer);
    } else {
        X509_set_issuer_name(x, name);
    }
    X509_NAME_free(issuer);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(m->from ? m->from : clock_now() - F_DAY));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(m->to ? m->to : clock_now() + 200 * (int64_t)F_DAY));
    X509_set_pubkey(x, own);
    if (m->ca)
        add_ext(x, NID_basic_constraints, "critical,CA:TRUE");
    if (m->server)
        add_ext(x, NID_ext_key_usage, "serverAuth");
    if (m->san)
        add_ext(x, NID_subject_alt_name, m->san);
    assert_true(X509_sign(x, signer, m->md ? m->md : EVP_sha256()) > 0);
    uint8_t *der = NULL;
    int n = i2d_X509(x, &der);
    struct slice ret;
    assert_true(n > 0);
    assert_int_equal(arena_copy(&ret, arena, slice_of(der, (size_t)n)), TM_OK);
    OPENSSL_free(der);
    X509_free(x);
    if (!m->key)
        EVP_PKEY_free(own);
    return ret;
}

[[maybe_unused]] static const char *import_der(struct slice der)
{
    uint8_t id[CERT_SERIAL_LEN];
    bool fresh;
    struct diag diag = {0};
    CHECK_OK(issue_import(house, TENANT_DEFAULT, der, "tester", id, &fresh, &diag), diag);
    return arena_hex(arena, SLICE_ARR(id));
}

[[maybe_unused]] static const char *import_made(struct made m)
{
    return import_der(make_cert(&m));
}

/* A row as if it had been issued here, without its octets. */
struct row_made {
    const char *subject, *device, *profile;
    int door;
    int64_t issued, to;
    uint8_t key; /* the same number: the same key */
};
static uint64_t rows_made;

[[maybe_unused]] static void issued_effect(struct effect *e, uint8_t id[CERT_SERIAL_LEN],
                                           struct cert_key keys[3], const struct row_made *m)
{
    uint64_t n = ++rows_made;
    memset(id, 0, CERT_SERIAL_LEN);
    uint16_t month = cert_id_month(m->to);
    uint32_t at = (uint32_t)m->issued;
    id[0] = (uint8_t)(month >> 8);
    id[1] = (uint8_t)month;
    for (int i = 0; i < 4; i++)
        id[2 + i] = (uint8_t)(at >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        id[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    *e = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = TENANT_DEFAULT};
    struct cert_row *row = &e->u.cert.row;
    *row = (struct cert_row){.source = CERT_ISSUED,
                             .authority = "issuing-ca",
                             .profile = m->profile ? m->profile : "server-internal-1y",
                             .profile_version = 1,
                             .subject = m->subject,
                             .device = m->device ? m->device : "",
                             .endpoint = "servers",
                             .door = m->door,
                             .issued_at = m->issued * 1000,
                             .not_before = m->issued,
                             .not_after = m->to,
                             .keep_until = TM_TIME_NEVER};
    memcpy(row->id, id, CERT_SERIAL_LEN);
    row->serial = slice_of(id, CERT_SERIAL_LEN);
    memcpy(row->fingerprint, id, CERT_SERIAL_LEN);
    if (m->key)
        row->spki_hash[0] = m->key;
    else
        memcpy(row->spki_hash, id, CERT_SERIAL_LEN);
    /* Hashes spread. */
    for (int i = 0; i < 8 && !m->key; i++)
        row->spki_hash[i] ^= id[15 - i] * 37u;
    keys[0] = (struct cert_key){CERT_KEY_SUBJECT, slice_str(row->subject)};
    keys[1] = (struct cert_key){CERT_KEY_SPKI, SLICE_ARR(row->spki_hash)};
    keys[2] = (struct cert_key){CERT_KEY_DEVICE, slice_str(row->device)};
    e->u.cert.keys = keys;
    e->u.cert.n_keys = row->device[0] ? 3 : 2;
}

[[maybe_unused]] static const char *issued_row(const struct row_made *m)
{
    struct effect e;
    uint8_t id[CERT_SERIAL_LEN];
    struct cert_key keys[3];
    struct diag diag = {0};
    issued_effect(&e, id, keys, m);
    CHECK_OK(house_commit(house, &e, 1, &diag), diag);
    return arena_hex(arena, SLICE_ARR(id));
}

[[maybe_unused]] static void device_add(const char *id, const char *owner)
{
    struct effect e = {.kind = EFFECT_DEVICE_PUT, .tenant = TENANT_DEFAULT, .expected_version = -1};
    struct diag diag = {0};
    e.u.device = (struct device_row){.id = id,
                                     .serial = id,
                                     .model = "m",
                                     .vendor = "v",
                                     .owner = owner,
                                     .place = "",
                                     .batch = "",
                                     .state = DEVICE_OPERATING,
                                     .identifiers = "{}",
                                     .tags = "{}",
                                     .created_at = clock_now_ms(),
                                     .updated_at = clock_now_ms()};
    CHECK_OK(house_commit(house, &e, 1, &diag), diag);
}

[[maybe_unused]] static void see(const char *place, const struct slice *chain, size_t n)
{
    struct sighting s = {
        .place = place, .via = "scan", .run = "", .at = clock_now_ms(), .chain = chain, .n_chain = n};
    struct sightings_taken taken;
    struct diag diag = {0};
    CHECK_OK(sightings_take(house, TENANT_DEFAULT, "tester", &s, 1, &taken, &diag), diag);
}

[[maybe_unused]] static void look(bool deep)
{
    struct diag diag = {0};
    CHECK_OK(finding_pass_request(house, TENANT_DEFAULT, deep, &diag), diag);
}

/* The open findings of a rule (NULL: all) about a subject's name or id in it (NULL: any); *ret (may be NULL) is the last. */
[[maybe_unused]] static size_t found(const char *rule, const char *about, struct finding *ret)
{
    struct finding_filter w = {.status = FINDING_OPEN, .rule = rule};
    const char *after = "";
    size_t n = 0;
    do {
        struct finding *v;
        size_t k;
        struct diag diag = {0};
        CHECK_OK(finding_list(&v, &k, &after, arena, house, TENANT_DEFAULT, &w, after, 500, &diag), diag);
        for (size_t i = 0; i < k; i++)
            if (!about || strstr(v[i].subject, about) || strstr(v[i].name, about)) {
                n++;
                if (ret)
                    *ret = v[i];
            }
    } while (after[0]);
    return n;
}
