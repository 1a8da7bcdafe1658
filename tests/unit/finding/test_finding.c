/* Each rule true once and not true once, over a real house; then what people decide, and what time and events do. */
#include "finding/facts.h"
#include "finding/rules/rules.h"
#include "unit/finding/finding_test.h"
#include <openssl/pem.h>

static EVP_PKEY *ca_key;

/* Public roots: one ends in five days, one ended yesterday. Their list is read once a process. */
static struct slice listed[2];
static struct arena *listed_in;

static void list_roots(void)
{
    struct made m = {.ca = true, .from = t0 - 400 * (int64_t)F_DAY};
    const char *path = in_test("roots.pem");
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    arena = listed_in = arena_new(0);
    for (int i = 0; i < 2; i++) {
        m.cn = i ? "Listed and over" : "Listed Root";
        m.to = t0 + (i ? -1 : 5) * (int64_t)F_DAY;
        listed[i] = make_cert(&m);
        const uint8_t *p = listed[i].p;
        X509 *x = d2i_X509(NULL, &p, (long)listed[i].n);
        assert_int_equal(PEM_write_X509(f, x), 1);
        X509_free(x);
    }
    fclose(f);
    setenv("SSL_CERT_FILE", path, 1);
}

static int begin(void **state)
{
    if (still_begin(state) != 0)
        return -1;
    ca_key = new_ec();
    list_roots();
    return 0;
}

static int end(void **state)
{
    EVP_PKEY_free(ca_key);
    arena_free(listed_in);
    return still_end(state);
}

static int each_begin(void **state)
{
    clock_fix(t0);
    return still_each_begin(state);
}

/* Until the test's end. */
static EVP_PKEY *kept[8];
static size_t n_kept;
static EVP_PKEY *keep(EVP_PKEY *k)
{
    assert_true(n_kept < sizeof kept / sizeof *kept);
    return kept[n_kept++] = k;
}

static int each_end(void **state)
{
    (void)state;
    while (n_kept)
        EVP_PKEY_free(kept[--n_kept]);
    arena_free(arena);
    return 0;
}

/* Signed by a CA that nobody knows, so that it is not self-signed. */
static struct made foreign(const char *cn)
{
    return (struct made){
        .cn = cn, .signer = ca_key, .issuer = "Somebody's CA", .to = t0 + 100 * (int64_t)F_DAY};
}

static void test_findings__a_new_house_has_none(void **state)
{
    (void)state;
    look(true);
    assert_int_equal(found(NULL, NULL, NULL), 0);
}

static void test_findings__keys(void **state)
{
    (void)state;
    struct made m = foreign("weak.example");
    struct finding f;
    m.key = keep(new_rsa(1024));
    const char *weak = import_made(m);
    m = foreign("strong.example");
    m.key = keep(new_rsa(2048));
    import_made(m);
    m = foreign("sha1.example");
    m.md = EVP_sha1();
    import_made(m);
    m = foreign("snakeoil.example");
    import_made(m);
    look(false);
    assert_int_equal(found("key.weak", NULL, &f), 1);
    assert_string_equal(f.subject + strlen("certificate/"), weak);
    assert_int_equal(f.severity, FINDING_CRITICAL);
    assert_non_null(strstr(f.why, "1024 bits"));
    assert_non_null(memmem(f.evidence.p, f.evidence.n, "\"least\":2048", 12));
    assert_int_equal(found("hash.weak", NULL, &f), 1);
    assert_string_equal(f.name, "CN=sha1.example");
    assert_int_equal(found("key.test", NULL, &f), 1);
    assert_string_equal(f.name, "CN=snakeoil.example");
    assert_int_equal(found("self-signed", NULL, NULL), 0);
}

static struct slice weak_spki(const char *name)
{
    char path[128];
    struct buf b;
    struct slice ret;
    snprintf(path, sizeof path, "tests/data/keys/weak/%s.der", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(&b, 1 << 16);
    uint8_t octets[4096];
    buf_put(&b, octets, fread(octets, 1, sizeof octets, f));
    fclose(f);
    assert_int_equal(arena_copy(&ret, arena, buf_slice(&b)), TM_OK);
    buf_done(&b);
    return ret;
}

static EVP_PKEY *weak_key(const char *name)
{
    struct slice der = weak_spki(name);
    const uint8_t *p = der.p;
    EVP_PKEY *k = d2i_PUBKEY(NULL, &p, (long)der.n);
    assert_non_null(k);
    return k;
}

static void test_findings__keys_that_are_factored(void **state)
{
    (void)state;
    struct made m = foreign("roca.example");
    struct finding f;
    m.key = keep(weak_key("roca"));
    import_made(m);
    m = foreign("close.example");
    m.key = keep(weak_key("close-primes"));
    import_made(m);
    /* Two keys of three primes. */
    BIGNUM *p = BN_new(), *q = BN_new(), *r = BN_new(), *n = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    BN_generate_prime_ex(p, 1024, 0, NULL, NULL, NULL);
    BN_generate_prime_ex(q, 1024, 0, NULL, NULL, NULL);
    BN_generate_prime_ex(r, 1024, 0, NULL, NULL, NULL);
    BN_mul(n, p, q, ctx);
    m = foreign("shares-1.example");
    EVP_PKEY *shared = m.key = keep(rsa_of(n));
    m.to = t0 + 10 * (int64_t)F_DAY;
    const char *one = import_made(m);
    BN_mul(n, p, r, ctx);
    m = foreign("shares-2.example");
    m.key = keep(rsa_of(n));
    import_made(m);
    BN_free(p);
    BN_free(q);
    BN_free(r);
    BN_free(n);
    BN_CTX_free(ctx);
    look(true);
    assert_int_equal(found("key.roca", NULL, &f), 1);
    assert_string_equal(f.name, "CN=roca.example");
    assert_int_equal(found("key.factorable", NULL, &f), 1);
    assert_string_equal(f.name, "CN=close.example");
    assert_int_equal(found("key.shared-factor", NULL, &f), 2);
    assert_int_equal(found("key.shared-factor", "shares-2", &f), 1);
    assert_non_null(strstr(f.why, one));
    /* Compared before, and still true. */
    look(false);
    assert_int_equal(found("key.shared-factor", NULL, NULL), 2);
    assert_int_equal(found("key.roca", NULL, NULL), 1);
    /* The key lives on in another certificate. */
    m = foreign("renewed.example");
    m.key = shared;
    import_made(m);
    clock_fix(t0 + 20 * (int64_t)F_DAY);
    look(false);
    assert_int_equal(found("key.shared-factor", "shares-1", NULL), 0);
    assert_int_equal(found("key.shared-factor", "renewed", NULL), 1);
}

static void test_findings__same_key(void **state)
{
    (void)state;
    struct finding f;
    device_add("gw-1", "facilities");
    device_add("gw-2", "it");
    issued_row(&(struct row_made){.subject = "CN=gw-1",
                                  .device = "gw-1",
                                  .issued = t0 - 100,
                                  .to = t0 + 300 * (int64_t)F_DAY,
                                  .key = 7});
    issued_row(&(struct row_made){.subject = "CN=gw-1",
                                  .device = "gw-1",
                                  .issued = t0 - 90,
                                  .to = t0 + 301 * (int64_t)F_DAY,
                                  .key = 7});
    look(false);
    assert_int_equal(found("key.reuse", NULL, NULL), 0);
    issued_row(&(struct row_made){.subject = "CN=gw-2",
                                  .device = "gw-2",
                                  .issued = t0 - 50,
                                  .to = t0 + 300 * (int64_t)F_DAY,
                                  .key = 7});
    look(false);
    assert_int_equal(found("key.reuse", NULL, &f), 1);
    assert_string_equal(f.owner, "facilities");
    assert_non_null(strstr(f.why, "gw-1"));
    assert_non_null(strstr(f.why, "gw-2"));
    /* Devices that are known by their names alone. */
    EVP_PKEY *k = new_ec();
    struct made m = foreign("birth");
    m.key = k;
    m.serial_number = "A1";
    import_made(m);
    m.serial_number = "A2";
    import_made(m);
    look(false);
    assert_int_equal(found("key.reuse", NULL, NULL), 2);
    EVP_PKEY_free(k);
}

static void test_findings__renewal(void **state)
{
    (void)state;
    struct finding f;
    int64_t year = 365 * (int64_t)F_DAY;
    device_add("acme-1", "web");
    /* server-internal-1y is renewed 30 days before; the window is 10 days, and a tenth of the other 20 is for trying again. */
    struct row_made late = {.subject = "CN=late",
                            .device = "acme-1",
                            .door = DOOR_ACME,
                            .issued = t0 - year + 15 * F_DAY,
                            .to = t0 + 15 * (int64_t)F_DAY},
                    early = {.subject = "CN=early",
                             .device = "acme-1",
                             .door = DOOR_EST,
                             .issued = t0 - year + 19 * F_DAY,
                             .to = t0 + 19 * (int64_t)F_DAY},
                    by_hand = {.subject = "CN=hand",
                               .device = "acme-1",
                               .door = DOOR_REST,
                               .issued = t0 - year + 6 * F_DAY,
                               .to = t0 + 6 * (int64_t)F_DAY},
                    replaced = {.subject = "CN=old",
                                .device = "acme-1",
                                .door = DOOR_SCEP,
                                .issued = t0 - year + F_DAY,
                                .to = t0 + F_DAY},
                    fresh = {.subject = "CN=old",
                             .device = "acme-1",
                             .door = DOOR_SCEP,
                             .issued = t0 - F_DAY,
                             .to = t0 + 300 * (int64_t)F_DAY},
                    over = {.subject = "CN=over",
                            .device = "acme-1",
                            .door = DOOR_REST,
                            .issued = t0 - year,
                            .to = t0 - F_DAY},
                    history = {.subject = "CN=history",
                               .device = "acme-1",
                               .door = DOOR_REST,
                               .issued = t0 - year,
                               .to = t0 - 40 * (int64_t)F_DAY};
    late.profile = early.profile = "server-internal-1y";
    /* Others of the same profile would be successors of a device's: each has a device of its own. */
    static const char *const devices[] = {"r-1", "r-2", "r-3", "r-4", "r-5", "r-6"};
    for (int i = 0; i < 6; i++)
        device_add(devices[i], "web");
    late.device = "r-1", early.device = "r-2", by_hand.device = "r-3", replaced.device = fresh.device = "r-4",
    over.device = "r-5", history.device = "r-6";
    issued_row(&late);
    issued_row(&early);
    issued_row(&by_hand);
    issued_row(&replaced);
    issued_row(&fresh);
    issued_row(&over);
    issued_row(&history);
    look(false);
    assert_int_equal(found("renewal.overdue", NULL, &f), 1);
    assert_string_equal(f.name, "CN=late");
    assert_int_equal(f.severity, FINDING_MEDIUM);
    assert_string_equal(f.owner, "web");
    assert_int_equal(found("expiring.unrenewed", NULL, &f), 1);
    assert_string_equal(f.name, "CN=hand");
    assert_int_equal(f.severity, FINDING_HIGH);
    assert_int_equal(found("expired", NULL, &f), 1);
    assert_string_equal(f.name, "CN=over");
    /* What is done about it closes it, and time opens others. */
    late.issued = t0 + 1;
    late.to = t0 + year;
    clock_fix(t0 + 2);
    issued_row(&late);
    clock_fix(t0 + 4 * F_DAY);
    look(false);
    assert_int_equal(found("renewal.overdue", "CN=late", NULL), 0);
    assert_int_equal(found("renewal.overdue", "CN=early", NULL), 1);
    assert_int_equal(found("expired", NULL, NULL), 1);
    clock_fix(t0 + 35 * (int64_t)F_DAY);
    look(false);
    assert_int_equal(found("expired", "CN=over", NULL), 0);
    assert_int_equal(found("expired", "CN=hand", NULL), 1);
}

static void test_findings__issuers(void **state)
{
    (void)state;
    struct finding f;
    import_made((struct made){.cn = "alone.example", .to = t0 + 100 * (int64_t)F_DAY});
    import_made((struct made){.cn = "Shadow Root", .ca = true, .to = t0 + 1000 * (int64_t)F_DAY});
    look(false);
    assert_int_equal(found("self-signed", NULL, &f), 1);
    assert_string_equal(f.name, "CN=alone.example");
    assert_int_equal(found("ca.shadow", NULL, &f), 1);
    assert_string_equal(f.name, "CN=Shadow Root");
}

static void test_findings__lifetime(void **state)
{
    (void)state;
    struct finding f;
    struct made m = foreign("long.example");
    m.server = true;
    m.from = t0 - F_DAY;
    m.to = t0 + 900 * (int64_t)F_DAY;
    import_made(m);
    m.cn = "short.example";
    m.to = t0 + 300 * (int64_t)F_DAY;
    import_made(m);
    m.cn = "odd.example";
    m.from = t0 + 500 * (int64_t)F_DAY;
    import_made(m);
    look(false);
    assert_int_equal(found("lifetime.too-long", NULL, &f), 1);
    assert_string_equal(f.name, "CN=long.example");
    assert_int_equal(f.severity, FINDING_LOW);
    assert_int_equal(found("lifetime.wrong", NULL, &f), 1);
    assert_string_equal(f.name, "CN=odd.example");
}

static void test_findings__places(void **state)
{
    (void)state;
    struct finding f;
    struct made m = foreign(NULL);
    char place[64];
    m.cn = "www.example.net";
    m.san = "DNS:www.example.net,DNS:*.shop.example.net";
    m.server = true;
    struct slice wild = make_cert(&m);
    see("tls:192.0.2.10:443/www.example.net", &wild, 1);
    look(false);
    assert_int_equal(found("name.mismatch", NULL, NULL), 0);
    see("tls:192.0.2.10:443/mail.example.net", &wild, 1);
    see("tls:192.0.2.10:443/a.shop.example.net", &wild, 1);
    see("tls:192.0.2.10:443/a.b.shop.example.net", &wild, 1);
    look(false);
    assert_int_equal(found("name.mismatch", NULL, NULL), 2);
    assert_int_equal(found("name.mismatch", "mail.example.net", &f), 1);
    assert_int_equal(found("name.mismatch", "a.b.shop", &f), 1);
    assert_int_equal(found("wildcard.sprawl", NULL, NULL), 0);
    for (int i = 11; i < 14; i++) {
        snprintf(place, sizeof place, "tls:192.0.2.%d:443", i);
        see(place, &wild, 1);
    }
    look(false);
    assert_int_equal(found("wildcard.sprawl", NULL, &f), 1);
    assert_non_null(strstr(f.why, "4 machines"));
    assert_int_equal(found("chain.incomplete", NULL, NULL), 0);
    /* The place goes: what was wrong with it as well. */
    see("tls:192.0.2.10:443/mail.example.net", NULL, 0);
    look(false);
    assert_int_equal(found("name.mismatch", "mail.example.net", NULL), 0);
    /* Ended and still there. */
    m.cn = "ended.example.net";
    m.from = t0 - 400 * (int64_t)F_DAY;
    m.to = t0 - 200 * (int64_t)F_DAY;
    struct slice ended = make_cert(&m);
    see("tls:192.0.2.20:443", &ended, 1);
    look(false);
    assert_int_equal(found("expired", "www.example.net", &f), 1);
    assert_int_equal(f.severity, FINDING_HIGH);
    assert_non_null(strstr(f.why, "tls:192.0.2.20:443"));
}

/* Logs, imports and recordings know of certificates that nobody uses. */
static void test_findings__what_is_on_record_is_not_in_use(void **state)
{
    (void)state;
    struct finding f;
    struct made m = foreign("record.example");
    m.san = "DNS:record.example";
    m.from = t0 - 400 * (int64_t)F_DAY;
    m.to = t0 - 20 * (int64_t)F_DAY;
    struct slice der = make_cert(&m);
    see("ct:log.example_2026/17", &der, 1);
    see("import:old/record.pem", &der, 1);
    look(false);
    assert_int_equal(found("expired", "record.example", NULL), 0);
    /* In a file it is in nobody's use either, but may be meant to be. */
    see("file:host-9/etc/record.pem", &der, 1);
    look(false);
    assert_int_equal(found("expired", "record.example", &f), 1);
    assert_int_equal(f.severity, FINDING_MEDIUM);
    assert_non_null(strstr(f.why, "lies in file:host-9"));
    see("tls:192.0.2.60:443", &der, 1);
    look(false);
    assert_int_equal(found("expired", "record.example", &f), 1);
    assert_int_equal(f.severity, FINDING_HIGH);
    assert_non_null(strstr(f.why, "tls:192.0.2.60:443"));
    /* Four logs and two recordings of one machine are one machine. */
    m = foreign("*.logged.example");
    m.san = "DNS:*.logged.example";
    der = make_cert(&m);
    static const char *const places[] = {"ct:a/1",
                                         "ct:b/2",
                                         "ct:c/3",
                                         "ct:d/4",
                                         "pcap:one.pcap/192.0.2.61:443",
                                         "pcap:two.pcap/192.0.2.61:443/x.logged.example"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        see(places[i], &der, 1);
    look(false);
    assert_int_equal(found("wildcard.sprawl", "logged.example", NULL), 0);
    for (int i = 62; i < 72; i++)
        see(arena_printf(arena, "pcap:one.pcap/192.0.2.%d:443", i), &der, 1);
    look(false);
    assert_int_equal(found("wildcard.sprawl", "logged.example", &f), 1);
    assert_non_null(strstr(f.why, "more than 6 machines"));
    /* Met before its end, and nobody has looked since. */
    m = foreign("soon.example");
    m.san = "DNS:soon.example";
    m.to = t0 + F_DAY;
    der = make_cert(&m);
    see("tls:192.0.2.72:443", &der, 1);
    clock_fix(t0 + 2 * F_DAY);
    look(false);
    assert_int_equal(found("expired", "soon.example", &f), 1);
    assert_int_equal(f.severity, FINDING_MEDIUM);
    assert_non_null(strstr(f.why, "last looked at"));
    /* So long ago that it says nothing of today. */
    clock_fix(t0 + 100 * (int64_t)F_DAY);
    look(false);
    assert_int_equal(found("expired", "soon.example", NULL), 0);
}

/* A scan asks everybody for all of its names; who asks a target by its own, reaches it so. */
static void test_findings__names_that_were_tried(void **state)
{
    (void)state;
    struct made m = foreign("other.example");
    m.san = "DNS:other.example";
    m.server = true;
    const struct slice der = make_cert(&m);
    json_t *tried = json_pack("{s:s}", "name", "tried.example"),
           *own = json_pack("{s:s,s:s}", "name", "own.example", "host", "own.example");
    const struct sighting s[] = {{.place = "tls:192.0.2.80:443/tried.example",
                                  .via = "scan",
                                  .details = tried,
                                  .chain = &der,
                                  .n_chain = 1},
                                 {.place = "tls:192.0.2.80:443/own.example",
                                  .via = "scan",
                                  .details = own,
                                  .chain = &der,
                                  .n_chain = 1}};
    struct sightings_taken taken;
    struct diag diag = {0};
    CHECK_OK(sightings_take(house, TENANT_DEFAULT, "tester", s, 2, &taken, &diag), diag);
    json_decref(tried);
    json_decref(own);
    look(false);
    assert_int_equal(found("name.mismatch", "192.0.2.80", NULL), 1);
    assert_int_equal(found("name.mismatch", "own.example", NULL), 1);
}

static void trust(const char *name, struct slice anchor)
{
    struct diag diag = {0};
    struct buf pem, doc;
    json_t *json = NULL;
    buf_init(&pem, 64 << 10);
    buf_init(&doc, 64 << 10);
    buf_put_pem(&pem, "CERTIFICATE", anchor);
    buf_printf(&doc, "{\"kind\":\"TrustSet\",\"name\":\"%s\",\"anchors\":[", name);
    buf_put_json_string(&doc, buf_slice(&pem));
    buf_puts(&doc, "]}");
    CHECK_OK(json_parse(&json, buf_slice(&doc), 1 << 20, &diag), diag);
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "TrustSet", json, -1, "tester", NULL, &diag), diag);
    json_decref(json);
    buf_done(&pem);
    buf_done(&doc);
}

/* What only looks like it. */
static void test_findings__near_misses(void **state)
{
    (void)state;
    /* A root's own signature protects nothing, also where somebody has named the root. */
    struct made m = {.cn = "Old Root", .ca = true, .md = EVP_sha1(), .to = t0 + 1000 * (int64_t)F_DAY};
    struct slice root = make_cert(&m);
    trust("old", root);
    import_der(root);
    import_made(foreign("Acme Cooling"));
    import_made(foreign("latest certificates"));
    import_made(foreign("Acme Co"));
    /* Another's public key in a certificate of one's own says nothing of a copy. */
    EVP_PKEY *k = keep(new_ec());
    m = foreign("pump");
    m.key = k;
    m.serial_number = "P1";
    import_made(m);
    m.serial_number = "P2";
    struct slice shown = make_cert(&m);
    see("tls:192.0.2.90:443", &shown, 1);
    look(true);
    assert_int_equal(found("hash.weak", "Old Root", NULL), 0);
    assert_int_equal(found("key.test", "Acme Cooling", NULL), 0);
    assert_int_equal(found("key.test", "latest", NULL), 0);
    assert_int_equal(found("key.test", "CN=Acme Co", NULL), 1);
    assert_int_equal(found("key.reuse", "pump", NULL), 0);
}

/* Whoever shows a certificate chooses its names. */
static void test_findings__names_without_measure(void **state)
{
    (void)state;
    struct finding f;
    struct made m = {.cn = "long.example", .units = 20, .to = t0 + 100 * (int64_t)F_DAY};
    struct slice der = make_cert(&m);
    see("tls:192.0.2.40:443", &der, 1);
    look(false);
    assert_int_equal(found("self-signed", "\xc3\xa4\xc3\xa4", &f), 1);
    assert_true(strlen(f.name) <= FINDING_NAME_MAX);
    assert_true(utf8_valid(slice_str(f.name)));
    look(false); /* what was kept is read again */
    /* Too long for a row: refused alone, and what came with it is taken. */
    m = (struct made){.cn = "beside.example", .to = t0 + 100 * (int64_t)F_DAY};
    struct slice pair[2] = {make_cert(&m)};
    m.cn = "endless.example";
    uint8_t *blob = arena_alloc(arena, 20000);
    memset(blob, 0xff, 20000);
    m.blob = slice_of(blob, 20000);
    pair[1] = make_cert(&m);
    see("tls:192.0.2.41:443", pair, 2);
    look(false);
    assert_int_equal(found("self-signed", "beside.example", NULL), 1);
    assert_int_equal(found("self-signed", "endless.example", NULL), 0);
}

/* A certificate that the house issued, in DER. */
static struct slice issue_one(const char *cn, uint8_t id[CERT_SERIAL_LEN], const char *profile)
{
    EVP_PKEY *k = new_ec();
    X509_REQ *q = X509_REQ_new();
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(q), "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1,
                               0);
    X509_REQ_set_pubkey(q, k);
    STACK_OF(X509_EXTENSION) *exts = NULL;
    char san[128];
    snprintf(san, sizeof san, "DNS:%s", cn);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    exts = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(exts, e);
    X509_REQ_add_extensions(q, exts);
    X509_REQ_sign(q, k, EVP_sha256());
    uint8_t *der = NULL;
    int n = i2d_X509_REQ(q, &der);
    struct csr *csr = arena_alloc(arena, sizeof *csr);
    struct slice copy;
    struct diag diag = {0};
    assert_int_equal(arena_copy(&copy, arena, slice_of(der, (size_t)n)), TM_OK);
    CHECK_OK(csr_parse_pkcs10(csr, copy, &diag), diag);
    struct issue_request *r = arena_alloc(arena, sizeof *r);
    *r = (struct issue_request){.house = house, .arena = arena, .tenant = TENANT_DEFAULT, .csr = csr};
    r->e = (struct enrollment){
        .request_id = "r",
        .tenant = "default",
        .endpoint = "rest",
        .door = DOOR_REST,
        .profile = profile,
        .caller = {.kind = CALLER_PRINCIPAL, .id = "tester", .roles = "admin", .peer = ""}};
    CHECK_OK(issue_from_csr(r, csr, &diag), diag);
    issue_run(r);
    if (r->outcome != ISSUE_ISSUED)
        fail_msg("not issued: %s %s %s", r->decision.rule, r->decision.reason, r->diag.message);
    memcpy(id, r->serial, CERT_SERIAL_LEN);
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    X509_REQ_free(q);
    EVP_PKEY_free(k);
    return r->cert;
}

static void test_findings__what_is_issued_here(void **state)
{
    (void)state;
    struct finding f;
    uint8_t id[CERT_SERIAL_LEN];
    struct slice v[3];
    struct diag diag = {0};
    clock_fix(0);
    v[0] = issue_one("lb.example.org", id, "server-internal-1y");
    t0 = clock_now();
    clock_fix(t0);
    struct catalog *c = house_catalog(house);
    v[1] = catalog_authority(c, TENANT_DEFAULT, "issuing-ca")->der;
    see("tls:192.0.2.30:443/lb.example.org", v, 1);
    see("tls:192.0.2.31:443/lb.example.org", v, 2);
    look(false);
    assert_int_equal(found("chain.incomplete", NULL, &f), 1);
    assert_string_equal(f.name, "tls:192.0.2.30:443/lb.example.org");
    assert_int_equal(found("policy.breach", NULL, NULL), 0);
    assert_int_equal(found("unowned", "lb.example.org", NULL), 1);
    /* A device that uses it, though it was made for none. */
    device_add("panel-1", "facilities");
    see("agent:panel-1/tls", v, 2);
    look(false);
    assert_int_equal(found("place.wrong-certificate", NULL, &f), 1);
    assert_string_equal(f.owner, "facilities");
    /* Revoked, and met again. */
    int64_t at;
    CHECK_OK(issue_revoke(house, TENANT_DEFAULT, id, CRL_SUPERSEDED, "tester", "", &at, &diag), diag);
    look(false);
    assert_int_equal(found("revoked.in-use", NULL, NULL), 0);
    clock_fix(t0 + 2 * F_DAY);
    see("tls:192.0.2.31:443/lb.example.org", v, 2);
    look(false);
    assert_int_equal(found("revoked.in-use", NULL, &f), 1);
    assert_string_equal(f.name, "tls:192.0.2.31:443/lb.example.org");
    assert_int_equal(found("unowned", "lb.example.org", NULL), 0);
    catalog_unref(c);
}

static void test_findings__policy(void **state)
{
    (void)state;
    struct finding f;
    uint8_t id[CERT_SERIAL_LEN];
    struct diag diag = {0};
    clock_fix(0);
    issue_one("old-rules.example.org", id, "server-internal-1y");
    t0 = clock_now();
    clock_fix(t0);
    struct store_read q = {.kind = READ_RESOURCE,
                           .tenant = TENANT_DEFAULT,
                           .arena = arena,
                           .name = "Profile",
                           .name2 = "server-internal-1y"};
    assert_int_equal(store_read_now(house->store, &q), TM_OK);
    json_t *doc = NULL;
    CHECK_OK(json_parse(&doc, q.resources[0].json, 1 << 20, &diag), diag);
    json_object_set_new(json_object_get(doc, "key"), "algorithms", json_pack("[s]", "ec-p384"));
    json_object_set_new(json_object_get(doc, "key"), "server-generated", json_pack("{s:b}", "allowed", 0));
    json_object_set_new(json_object_get(doc, "lifetime"), "default", json_string("47d"));
    CHECK_OK(house_resource_put(house, TENANT_DEFAULT, "Profile", doc, -1, "tester", NULL, &diag), diag);
    json_decref(doc);
    look(false);
    assert_int_equal(found("policy.breach", "old-rules", &f), 1);
    assert_non_null(strstr(f.why, "ec-p384"));
    assert_non_null(memmem(f.evidence.p, f.evidence.n, "lifetime.max", 12));
}

static void test_finding_set_aside__until(void **state)
{
    (void)state;
    struct finding f, again;
    struct diag diag = {0};
    struct made m = foreign("accepted.example");
    m.md = EVP_sha1();
    import_made(m);
    look(false);
    assert_int_equal(found("hash.weak", "accepted", &f), 1);
    assert_int_equal(
        finding_set_aside(house, TENANT_DEFAULT, f.id, FINDING_ACCEPTED, "", t0 + 100, "me", &diag),
        TM_EINVAL);
    assert_int_equal(finding_set_aside(house, TENANT_DEFAULT, f.id, FINDING_SNOOZED, "x",
                                       t0 + 100 * (int64_t)F_DAY, "me", &diag),
                     TM_EINVAL);
    assert_int_equal(
        finding_set_aside(house, TENANT_DEFAULT, "0123", FINDING_SNOOZED, "x", t0 + 100, "me", &diag),
        TM_ENOTFOUND);
    CHECK_OK(
        finding_set_aside(house, TENANT_DEFAULT, f.id, FINDING_ACCEPTED, "lab", t0 + 5 * F_DAY, "me", &diag),
        diag);
    look(true);
    assert_int_equal(found("hash.weak", "accepted", NULL), 0);
    CHECK_OK(finding_get(&again, arena, house, TENANT_DEFAULT, f.id, &diag), diag);
    assert_int_equal(again.status, FINDING_ACCEPTED);
    assert_string_equal(again.reason, "lab");
    size_t woken = 0;
    CHECK_OK(finding_wake_due(house, &woken, &diag), diag);
    assert_int_equal(woken, 0);
    clock_fix(t0 + 6 * F_DAY);
    CHECK_OK(finding_wake_due(house, &woken, &diag), diag);
    assert_int_equal(woken, 1);
    assert_int_equal(found("hash.weak", "accepted", NULL), 1);
    CHECK_OK(
        finding_set_aside(house, TENANT_DEFAULT, f.id, FINDING_SNOOZED, "later", t0 + 8 * F_DAY, "me", &diag),
        diag);
    CHECK_OK(finding_reopen(house, TENANT_DEFAULT, f.id, "now", "me", &diag), diag);
    assert_int_equal(finding_reopen(house, TENANT_DEFAULT, f.id, "now", "me", &diag), TM_ECONFLICT);
    /* It ends: nothing is left to decide. */
    clock_fix(t0 + 150 * (int64_t)F_DAY);
    look(false);
    CHECK_OK(finding_get(&again, arena, house, TENANT_DEFAULT, f.id, &diag), diag);
    assert_int_equal(again.status, FINDING_GONE);
    assert_int_equal(finding_reopen(house, TENANT_DEFAULT, f.id, "now", "me", &diag), TM_ECONFLICT);
}

/* The thread's slices: what arrives and changes is seen without a full pass, and goes on where it was. */
static void test_passing_step__what_arrives(void **state)
{
    (void)state;
    struct passing *p;
    struct diag diag = {0};
    bool more = true;
    CHECK_OK(passing_new(&p, house, TENANT_DEFAULT, NULL), diag);
    while (more)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    struct made m = foreign("arrives.example");
    m.md = EVP_sha1();
    import_made(m);
    m = foreign("other.example");
    m.san = "DNS:other.example";
    m.server = true;
    struct slice der = make_cert(&m);
    see("tls:192.0.2.99:443/arrives.example", &der, 1);
    passing_free(p);
    CHECK_OK(passing_new(&p, house, TENANT_DEFAULT, NULL), diag);
    struct finding_progress before, after;
    CHECK_OK(finding_progress_read(&before, arena, house, TENANT_DEFAULT, &diag), diag);
    for (more = true; more;)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    assert_true(passing_news(p));
    assert_false(passing_news(p));
    assert_int_equal(found("hash.weak", "arrives", NULL), 1);
    assert_int_equal(found("name.mismatch", "192.0.2.99", NULL), 1);
    m.san = "DNS:arrives.example";
    der = make_cert(&m);
    see("tls:192.0.2.99:443/arrives.example", &der, 1);
    for (more = true; more;)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    assert_int_equal(found("name.mismatch", "192.0.2.99", NULL), 0);
    CHECK_OK(finding_progress_read(&after, arena, house, TENANT_DEFAULT, &diag), diag);
    assert_int_equal(after.last_ended_ms, before.last_ended_ms);
    assert_true(after.arrived > before.arrived);
    passing_free(p);
}

/* Whose a certificate is, is not only asked when it comes: who names its CA later closes what was found. */
static void test_passing_step__a_ca_that_is_named_later(void **state)
{
    (void)state;
    struct passing *p;
    struct diag diag = {0};
    EVP_PKEY *root_key = keep(new_ec()), *sub_key = keep(new_ec());
    struct made m = {.cn = "Late Root", .ca = true, .key = root_key, .to = t0 + 1000 * (int64_t)F_DAY};
    struct slice root = make_cert(&m);
    m = (struct made){.cn = "Late Middle",
                      .ca = true,
                      .key = sub_key,
                      .signer = root_key,
                      .issuer = "Late Root",
                      .to = t0 + 1000 * (int64_t)F_DAY};
    import_made(m);
    m = (struct made){.cn = "Late Issuing",
                      .ca = true,
                      .signer = sub_key,
                      .issuer = "Late Middle",
                      .to = t0 + 1000 * (int64_t)F_DAY};
    import_made(m);
    bool more = true;
    CHECK_OK(passing_new(&p, house, TENANT_DEFAULT, NULL), diag);
    while (more)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    assert_int_equal(found("ca.shadow", "Late", NULL), 2);
    trust("late", root);
    for (more = true; more;)
        CHECK_OK(passing_step(p, &more, &diag), diag);
    assert_int_equal(found("ca.shadow", "Late", NULL), 0);
    passing_free(p);
}

static void test_finding_place_parse__names(void **state)
{
    (void)state;
    struct finding_place p;
    assert_true(finding_place_parse(&p, arena, "tls:[2001:db8::1]:443/www.example.org"));
    assert_string_equal(p.host, "2001:db8::1");
    assert_string_equal(p.name, "www.example.org");
    assert_true(p.server && p.host_is_address);
    assert_true(finding_place_parse(&p, arena, "smtp:mail.example.org:25"));
    assert_string_equal(p.host, "mail.example.org");
    assert_string_equal(p.name, "");
    assert_true(finding_place_parse(&p, arena, "pcap:office.pcap/[2001:db8::2]:443/www.example.org"));
    assert_string_equal(p.host, "2001:db8::2");
    assert_true(finding_place_parse(&p, arena, "pcap:office.pcap/client/192.0.2.9"));
    assert_string_equal(p.host, "192.0.2.9");
    assert_true(finding_place_parse(&p, arena, "ct:log.example/7"));
    assert_true(p.on_record);
    assert_true(finding_place_parse(&p, arena, "file:host-1/etc/ssl/x.p12#alias"));
    assert_string_equal(p.host, "host-1");
    assert_false(p.server);
    assert_false(finding_place_parse(&p, arena, "nothing"));
    assert_false(finding_place_parse(&p, arena, ":x"));
}

/* Names from outside end up in a sentence that terminals and mails show. */
static void test_found_say__hostile_names(void **state)
{
    (void)state;
    struct found f = {.evidence = json_object()};
    found_say(&f, FINDING_LOW, "%s",
              "a\x1b[2Jb\n\xe2\x80\xae"
              "c\xc2\x85\xff\xe2\x80");
    assert_string_equal(f.why, "a?[2Jb????c??"
                               "???");
    found_text(&f, "x", "\xff");
    assert_string_equal(json_string_value(json_object_get(f.evidence, "x")), "?");
    json_decref(f.evidence);
}

/* A trust store's roots are replaced by who distributes it; another CA's in a file may be somebody's here. */
static void test_findings__public_roots_in_files(void **state)
{
    (void)state;
    struct made m = {
        .cn = "Unlisted Root", .ca = true, .from = t0 - 400 * (int64_t)F_DAY, .to = t0 + 5 * (int64_t)F_DAY};
    struct slice ends = make_cert(&m);
    m.cn = "Unlisted and over";
    m.to = t0 - F_DAY;
    struct slice ended = make_cert(&m);
    see("file:host-9/etc/ssl/cert.pem#1", &listed[0], 1);
    see("file:host-9/etc/ssl/cert.pem#2", &listed[1], 1);
    see("file:host-9/etc/ssl/cert.pem#3", &ends, 1);
    see("file:host-9/etc/ssl/cert.pem#4", &ended, 1);
    look(false);
    assert_int_equal(found("expiring.unrenewed", "Listed Root", NULL), 0);
    assert_int_equal(found("expiring.unrenewed", "Unlisted Root", NULL), 1);
    assert_int_equal(found("expired", "Listed and over", NULL), 0);
    assert_int_equal(found("expired", "Unlisted and over", NULL), 1);
    /* A server that sends it is another matter. */
    see("tls:192.0.2.61:443", &listed[0], 1);
    look(false);
    assert_int_equal(found("expiring.unrenewed", "Listed Root", NULL), 1);
}

static void test_finding_rules__complete(void **state)
{
    (void)state;
    unsigned n = 0;
    for (; finding_rules[n]; n++) {
        const struct finding_rule *r = finding_rules[n];
        assert_ptr_equal(finding_rule_find(r->id), r);
        assert_int_equal(finding_rule_index(r), n);
        assert_true(r->title && r->true_when && r->remedy && r->controls && r->controls[0] && r->broken);
    }
    assert_true(n >= 22 && n < 64);
    assert_null(finding_rule_find("nothing"));
}

/* docs/findings.md is this text; TM_UPDATE_GOLDEN=1 writes it. */
static void test_finding_reference__is_current(void **state)
{
    (void)state;
    struct buf have, there;
    uint8_t octets[8192];
    buf_init(&have, 1 << 20);
    buf_init(&there, 1 << 20);
    finding_reference(&have);
    assert_int_equal(buf_err(&have), TM_OK);
    if (getenv("TM_UPDATE_GOLDEN")) {
        FILE *w = fopen("docs/findings.md", "wb");
        assert_non_null(w);
        fwrite(have.p, 1, have.n, w);
        fclose(w);
    }
    FILE *f = fopen("docs/findings.md", "rb");
    assert_non_null(f);
    for (size_t n = 1; n;) {
        n = fread(octets, 1, sizeof octets, f);
        buf_put(&there, octets, n);
    }
    fclose(f);
    assert_string_equal(buf_str(&have), buf_str(&there));
    buf_done(&have);
    buf_done(&there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_findings__a_new_house_has_none, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__keys, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__keys_that_are_factored, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__same_key, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__renewal, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__issuers, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__lifetime, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__names_without_measure, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__places, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__what_is_on_record_is_not_in_use, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__names_that_were_tried, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__near_misses, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__what_is_issued_here, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__policy, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_finding_set_aside__until, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_passing_step__what_arrives, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_passing_step__a_ca_that_is_named_later, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_finding_place_parse__names, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_found_say__hostile_names, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_findings__public_roots_in_files, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_finding_rules__complete, each_begin, each_end),
        cmocka_unit_test_setup_teardown(test_finding_reference__is_current, each_begin, each_end),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
