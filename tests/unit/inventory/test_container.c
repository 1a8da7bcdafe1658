/* What is found in files of each format, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "inventory/formats/container.h"
#include "keys/key.h"
#include "x509/cert.h"
#include "x509/cms/certs_only.h"
#include "x509/pkcs12.h"
#include <cmocka.h>
#include <string.h>

static struct arena *a;
static struct slice leaf, root, self; /* leaf below root, and one alone */
static struct key *leaf_key;

static struct slice make(struct key *k, const char *cn, struct key *by, const char *issuer, uint8_t serial)
{
    struct slice subject, from, der;
    struct buf tbs, signature, out;
    assert_int_equal(name_from_text(&subject, a, slice_str(cn), NULL), TM_OK);
    assert_int_equal(name_from_text(&from, a, slice_str(issuer), NULL), TM_OK);
    enum sig_alg alg = sig_alg_default(key_alg(by));
    struct tbs_cert t = {.serial = slice_of(&serial, 1),
                         .sigalg = sig_alg_info(alg)->algid,
                         .issuer = from,
                         .subject = subject,
                         .spki = key_spki(k),
                         .not_before = 1700000000,
                         .not_after = 1900000000};
    buf_init(&tbs, CERT_DER_MAX);
    buf_init(&signature, 8 << 10);
    buf_init(&out, CERT_DER_MAX);
    assert_int_equal(tbs_cert_build(&tbs, &t, NULL), TM_OK);
    assert_int_equal(key_sign(&signature, by, alg, buf_slice(&tbs), NULL), TM_OK);
    assert_int_equal(signed_assemble(&out, buf_slice(&tbs), t.sigalg, buf_slice(&signature)), TM_OK);
    assert_int_equal(arena_copy(&der, a, buf_slice(&out)), TM_OK);
    buf_done(&tbs);
    buf_done(&signature);
    buf_done(&out);
    return der;
}

static int setup(void **state)
{
    struct key *ca = NULL;
    (void)state;
    a = arena_new(64 << 20);
    assert_int_equal(key_generate(&ca, KEY_ALG_EC_P256, 0, NULL), TM_OK);
    assert_int_equal(key_generate(&leaf_key, KEY_ALG_EC_P256, 0, NULL), TM_OK);
    root = make(ca, "CN=root", ca, "CN=root", 1);
    leaf = make(leaf_key, "CN=leaf", ca, "CN=root", 2);
    self = make(leaf_key, "CN=self", leaf_key, "CN=self", 3);
    key_free(ca);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    key_free(leaf_key);
    arena_free(a);
    return 0;
}

static const char *pem_of(struct slice der)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_pem(&b, "CERTIFICATE", der);
    const char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static const char *base64_of(struct slice s)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_put_base64(&b, s, BASE64_STD, 0);
    const char *text = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return text;
}

static struct container read_it(struct slice bytes, const char *password)
{
    struct container c;
    struct diag diag = {0};
    struct container_input in = {
        .bytes = bytes, .has_password = password != NULL, .password = slice_str(password)};
    if (container_read(&c, &in, &diag) != TM_OK)
        fail_msg("%s: %s", diag.rule, diag.message);
    return c;
}

static tm_err refused(struct slice bytes, const char *form, const char *password)
{
    struct container c;
    struct diag diag = {0};
    struct container_input in = {
        .bytes = bytes, .form = form, .has_password = password != NULL, .password = slice_str(password)};
    tm_err e = container_read(&c, &in, &diag);
    assert_true(e == TM_OK || diag.message[0]);
    if (e == TM_OK)
        container_done(&c);
    return e;
}

static void is_item(const struct container *c, size_t i, const char *alias, struct slice first, size_t n)
{
    assert_true(i < c->n_items);
    if (alias)
        assert_string_equal(c->items[i].alias, alias);
    assert_int_equal(c->items[i].n_chain, n);
    assert_true(slice_eq(c->items[i].chain[0], first));
}

static void test_container_read__pem_chains_and_lists(void **state)
{
    (void)state;
    struct container c = read_it(slice_str(pem_of(leaf)), NULL);
    assert_string_equal(c.format, "pem");
    is_item(&c, 0, "", leaf, 1);
    container_done(&c);
    char *text = arena_printf(a,
                              "leaf\n%s%s-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n%s"
                              "-----BEGIN CERTIFICATE-----\nMII!\n-----END CERTIFICATE-----\n%s",
                              pem_of(leaf), pem_of(root), pem_of(self), "-----BEGIN CERTIFICATE-----\nMII");
    c = read_it(slice_str(text), NULL);
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, NULL, leaf, 2);
    is_item(&c, 1, NULL, self, 1);
    assert_int_equal(strlen(c.items[1].alias), 16);
    assert_int_equal(c.keys, 1);
    assert_int_equal(c.refused, 2);
    assert_string_equal(c.refusals[0].where, "block 5");
    container_done(&c);
}

static void test_container_read__der_and_pkcs7(void **state)
{
    (void)state;
    struct buf b;
    struct container c = read_it(leaf, NULL);
    assert_string_equal(c.format, "der");
    is_item(&c, 0, "", leaf, 1);
    container_done(&c);
    buf_init(&b, 1 << 20);
    const struct slice certs[] = {leaf, root, self};
    assert_int_equal(certs_only_build(&b, certs, 3, NULL, 0), TM_OK);
    c = read_it(buf_slice(&b), NULL);
    assert_string_equal(c.format, "pkcs7");
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, NULL, leaf, 2);
    container_done(&c);
    assert_int_equal(refused(slice_sub(buf_slice(&b), 0, b.n - 1), NULL, NULL), TM_EMALFORMED);
    buf_done(&b);
}

static void test_container_read__pkcs12_without_its_key(void **state)
{
    (void)state;
    struct buf b;
    struct secret pkcs8 = {0};
    const struct slice chain[] = {leaf, root};
    buf_init(&b, 1 << 20);
    assert_int_equal(key_export_pkcs8(&pkcs8, leaf_key), TM_OK);
    assert_int_equal(
        pkcs12_build(&b, secret_slice(&pkcs8), chain, 2, slice_str("tr\xc3\xa8s secret"), "web server", NULL),
        TM_OK);
    secret_done(&pkcs8);
    struct container c = read_it(buf_slice(&b), "tr\xc3\xa8s secret");
    assert_string_equal(c.format, "pkcs12");
    assert_int_equal(c.n_items, 1);
    is_item(&c, 0, "web server", leaf, 2);
    assert_true(c.items[0].has_key);
    assert_int_equal(c.keys, 1);
    container_done(&c);
    assert_int_equal(refused(buf_slice(&b), NULL, NULL), TM_ELOCKED);
    assert_int_equal(refused(buf_slice(&b), NULL, "wrong"), TM_ELOCKED);
    assert_int_equal(refused(slice_sub(buf_slice(&b), 0, 500), NULL, "x"), TM_EMALFORMED);
    buf_done(&b);
}

/* ---- JKS ---- */

static void put_number(struct buf *b, uint64_t v, int octets)
{
    while (octets-- > 0)
        buf_putc(b, (uint8_t)(v >> (8 * octets)));
}

static void put_utf(struct buf *b, const char *s)
{
    put_number(b, strlen(s), 2);
    buf_puts(b, s);
}

static void put_jks_cert(struct buf *b, struct slice der)
{
    put_utf(b, "X.509");
    put_number(b, der.n, 4);
    buf_put_slice(b, der);
}

static void put_jks(struct buf *b, uint32_t magic, size_t entries, const char *password)
{
    uint8_t digest[20];
    struct buf all;
    put_number(b, magic, 4);
    put_number(b, 2, 4);
    put_number(b, entries, 4);
    if (entries > 2) {
        put_number(b, 3, 4);
        put_utf(b, "secret");
        put_number(b, 0, 8);
        buf_puts(b, "\xac\xed");
    } else {
        put_number(b, 1, 4);
        put_utf(b, "mykey");
        put_number(b, 1700000000000, 8);
        put_number(b, 7, 4);
        buf_puts(b, "hidden!");
        put_number(b, 2, 4);
        put_jks_cert(b, leaf);
        put_jks_cert(b, root);
        put_number(b, 2, 4);
        put_utf(b, "trusted\033[2J");
        put_number(b, 1700000000000, 8);
        put_jks_cert(b, self);
    }
    buf_init(&all, 1 << 20);
    for (const char *p = password; *p; p++)
        put_number(&all, (uint8_t)*p, 2);
    buf_puts(&all, "Mighty Aphrodite");
    buf_put_slice(&all, buf_slice(b));
    assert_int_equal(sha1(digest, buf_slice(&all)), TM_OK);
    buf_put(b, digest, sizeof digest);
    buf_done(&all);
}

static void test_container_read__jks(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    put_jks(&b, 0xfeedfeed, 2, "changeit");
    struct container c = read_it(buf_slice(&b), "changeit");
    assert_string_equal(c.format, "jks");
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, "mykey", leaf, 2);
    is_item(&c, 1, "trusted?[2J", self, 1);
    assert_true(c.items[0].has_key && !c.items[1].has_key);
    assert_string_equal(c.note, "");
    container_done(&c);
    c = read_it(buf_slice(&b), NULL);
    assert_true(c.note[0]);
    assert_int_equal(c.certs, 3);
    container_done(&c);
    assert_int_equal(refused(buf_slice(&b), NULL, "other"), TM_ELOCKED);
    /* Cut anywhere, it gives what is whole, or says that it is no keystore. */
    for (size_t n = 0; n < b.n; n++) {
        struct container_input in = {.bytes = slice_sub(buf_slice(&b), 0, n), .form = "jks"};
        if (container_read(&c, &in, NULL) == TM_OK) {
            assert_true(c.refused > 0);
            container_done(&c);
        }
    }
    buf_reset(&b);
    put_jks(&b, 0xcececece, 3, "x");
    c = read_it(buf_slice(&b), "x");
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.keys, 1);
    container_done(&c);
    buf_done(&b);
}

static void test_container_read__kubeconfig_and_secrets(void **state)
{
    (void)state;
    const char *leaf64 = base64_of(slice_str(pem_of(leaf))), *root64 = base64_of(slice_str(pem_of(root)));
    char *text =
        arena_printf(a,
                     "clusters:\n- cluster:\n    certificate-authority-data: %s\n    server: https://x\n"
                     "users:\n- user:\n    client-certificate-data: \"%s\"\n    client-key-data: %s\n"
                     "- user:\n    client-certificate-data: %s\n",
                     root64, leaf64,
                     base64_of(slice_str("-----BEGIN PRIVATE KEY-----\nAA==\n"
                                         "-----END PRIVATE KEY-----\n")),
                     base64_of(slice_str(pem_of(self))));
    struct container c = read_it(slice_str(text), NULL);
    assert_string_equal(c.format, "yaml");
    assert_int_equal(c.n_items, 3);
    is_item(&c, 0, "certificate-authority-data", root, 1);
    is_item(&c, 1, "client-certificate-data", leaf, 1);
    assert_memory_equal(c.items[2].alias, "client-certificate-data.", 24);
    assert_int_equal(c.keys, 1);
    container_done(&c);
    /* In JSON, its line ends escaped, and as a block in YAML. */
    struct buf json;
    buf_init(&json, 1 << 20);
    buf_puts(&json, "{\"chain\": ");
    buf_put_json_string(&json, slice_str(arena_printf(a, "%s%s", pem_of(leaf), pem_of(root))));
    buf_puts(&json, ", \"alone\":");
    buf_put_json_string(&json, slice_str(pem_of(self)));
    buf_puts(&json, "}");
    c = read_it(buf_slice(&json), NULL);
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, "chain", leaf, 2);
    is_item(&c, 1, "alone", self, 1);
    container_done(&c);
    buf_reset(&json);
    buf_puts(&json, "tls:\n  crt: |\n");
    struct slice rest = slice_str(pem_of(leaf));
    for (size_t i = 0; i < rest.n; i++) {
        if (i == 0 || rest.p[i - 1] == '\n')
            buf_puts(&json, "    ");
        buf_putc(&json, rest.p[i]);
    }
    c = read_it(buf_slice(&json), NULL);
    is_item(&c, 0, "crt", leaf, 1);
    container_done(&c);
    buf_done(&json);
}

static void test_container_read__lists(void **state)
{
    (void)state;
    char *csv = arena_printf(
        a, "\xef\xbb\xbfhost;x,Certificate,Host\n,\"%s\",gw-1\r\n,%s,gw-2\n,,gw-3\n,nothing!,gw-4\n,\"%s",
        pem_of(leaf), base64_of(root), pem_of(self));
    struct container c = read_it(slice_str(csv), NULL);
    assert_string_equal(c.format, "csv");
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, "gw-1", leaf, 1);
    is_item(&c, 1, "gw-2", root, 1);
    assert_int_equal(c.refused, 2);
    container_done(&c);
    char *json = arena_printf(a,
                              "{\"name\":\"one\",\"certificate\":\"%s\"}\n\n{\"certificate\":7}\nnot json\n"
                              "{\"pem\":\"%s\"}\n",
                              base64_of(leaf), base64_of(self));
    c = read_it(slice_str(json), NULL);
    assert_string_equal(c.format, "ndjson");
    assert_int_equal(c.n_items, 2);
    is_item(&c, 0, "one", leaf, 1);
    is_item(&c, 1, "line 5", self, 1);
    assert_int_equal(c.refused, 1);
    container_done(&c);
}

static void test_container_read__nothing_of_the_kind(void **state)
{
    (void)state;
    assert_int_equal(refused(slice_str(""), NULL, NULL), TM_ENOTFOUND);
    assert_int_equal(refused(slice_str("0 1 2 3"), NULL, NULL), TM_ENOTFOUND);
    assert_int_equal(refused(slice_str("hello"), NULL, NULL), TM_ENOTFOUND);
    assert_int_equal(refused(slice_str("hello"), "zip", NULL), TM_EINVAL);
    assert_int_equal(refused(slice_str("hello"), "jks", NULL), TM_EMALFORMED);
    assert_int_equal(refused(slice_str("hello"), "csv", NULL), TM_EMALFORMED);
    assert_int_equal(refused(slice_str("hello"), "pem", NULL), TM_ENOTFOUND);
    /* A thousand beginnings without an end cost a look each, up to a point. */
    struct buf b;
    buf_init(&b, 16 << 20);
    for (int i = 0; i < 300000; i++)
        buf_puts(&b, "\n-----BEGIN CERTIFICATE-----\nx");
    struct container c = read_it(buf_slice(&b), NULL);
    assert_true(c.refused < 300);
    container_done(&c);
    buf_reset(&b);
    for (int i = 0; i < 300000; i++)
        buf_puts(&b, "\n \"-----BEGIN CERTIFICATE-----\\n");
    c = read_it(buf_slice(&b), NULL);
    assert_int_equal(c.n_items, 0);
    container_done(&c);
    buf_done(&b);
}

static void test_container_likely__by_the_beginning(void **state)
{
    (void)state;
    assert_true(container_likely(slice_sub(leaf, 0, 64), leaf.n));
    assert_false(container_likely(slice_sub(leaf, 0, 64), leaf.n + 1));
    assert_true(container_likely(slice_str("-----BEGIN CERTIFICATE-----"), 1000));
    assert_false(container_likely(SLICE_LIT("\x7f"
                                            "ELF\0\0\0\0\0\0\0\0\0\0\0\0"),
                                  1000));
    assert_true(container_likely(SLICE_LIT("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\1"), 1000));
    assert_false(container_likely(slice_str("-----BEGIN CERTIFICATE-----"), (size_t)64 << 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_container_read__pem_chains_and_lists),
        cmocka_unit_test(test_container_read__der_and_pkcs7),
        cmocka_unit_test(test_container_read__pkcs12_without_its_key),
        cmocka_unit_test(test_container_read__jks),
        cmocka_unit_test(test_container_read__kubeconfig_and_secrets),
        cmocka_unit_test(test_container_read__lists),
        cmocka_unit_test(test_container_read__nothing_of_the_kind),
        cmocka_unit_test(test_container_likely__by_the_beginning),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
