/* What the tests of keys/ share: a scratch directory, keys with envelopes, certificates and CRLs to be signed. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "keys/key.h"
#include "keys/pubkey.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define assert_ok(expr) assert_int_equal((expr), TM_OK)

[[maybe_unused]] static struct arena *test_arena;
[[maybe_unused]] static char test_dir[64];

[[maybe_unused]] static int test_setup(void **state)
{
    (void)state;
    test_arena = arena_new(0);
    snprintf(test_dir, sizeof test_dir, "/tmp/test-keys-XXXXXX");
    return test_arena && mkdtemp(test_dir) ? 0 : -1;
}

[[maybe_unused]] static int test_teardown(void **state)
{
    (void)state;
    arena_free(test_arena);
    file_remove_tree(test_dir, true);
    return 0;
}

[[maybe_unused]] static struct slice test_name(const char *text)
{
    struct slice tlv;
    assert_ok(name_from_text(&tlv, test_arena, slice_str(text), NULL));
    return tlv;
}

[[maybe_unused]] static struct secret test_passphrase(const char *text)
{
    struct secret s;
    assert_ok(secret_copy(&s, slice_str(text)));
    return s;
}

[[maybe_unused]] static const char *const test_any_eku[] = {"any"};

/* A wide envelope; tests narrow it. */
[[maybe_unused]] static struct envelope test_envelope(const char *id)
{
    return (struct envelope){
        .key_id = id,
        .origin = "log.example/house",
        .allow = 1u << SIGN_LEAF | 1u << SIGN_CRL | 1u << SIGN_CHECKPOINT,
        .issuer = test_name("CN=Test CA,O=Example"),
        .ekus = (const char **)(uintptr_t)test_any_eku,
        .n_ekus = 1,
        .max_leaf_seconds = 400 * 86400,
        .max_ca_seconds = 3650 * 86400,
        .not_after_max = TM_TIME_NEVER,
        .max_path_len = 0,
    };
}

/* A stored key; the passphrase is "pass". */
[[maybe_unused]] static void test_store_key(const struct envelope *e, enum key_alg alg, unsigned bits)
{
    struct key *k;
    struct secret pass = test_passphrase("pass");
    assert_ok(key_generate(&k, alg, bits, NULL));
    assert_ok(key_store(test_dir, k, e, &pass, NULL));
    key_free(k);
    secret_done(&pass);
}

/* What a certificate to be signed looks like; zero means the usual. */
struct test_cert {
    const char *issuer, *subject;
    enum sig_alg alg;
    int64_t not_before, not_after; /* relative to now; 0: now, in 90 days */
    int64_t absolute_not_after;
    const char *dns;
    enum oid ekus[4];
    uint32_t ku;
    bool ca, has_path_len, no_bc;
    uint64_t path_len;
    const uint8_t *serial;
    size_t serial_n;
};

[[maybe_unused]] static void test_serial(uint8_t out[16], int64_t now, int64_t not_after)
{
    struct civil_time c = civil_from_unix(not_after);
    int month = (c.year - 2000) * 12 + c.month - 1;
    month = month > 0x7fff ? 0x7fff : month;
    memset(out, 0, 16);
    out[0] = (uint8_t)(month >> 8);
    out[1] = (uint8_t)month;
    for (int i = 0; i < 4; i++)
        out[2 + i] = (uint8_t)(now >> (24 - 8 * i));
}

[[maybe_unused]] static void test_add_ext(struct ext *v, size_t *n, enum oid id, bool critical,
                                          struct slice value)
{
    v[(*n)++] = (struct ext){.id = id, .oid = oid_contents(id), .critical = critical, .value = value};
}

/* TBSCertificate in the test's arena; *ret_offset: the serial's. */
[[maybe_unused]] static struct slice test_tbs(const struct test_cert *t, struct slice spki,
                                              size_t *ret_offset)
{
    struct ext exts[6];
    size_t n = 0;
    struct slice v;
    int64_t now = clock_now();
    int64_t not_after =
        t->absolute_not_after ? t->absolute_not_after : now + (t->not_after ? t->not_after : 90 * 86400);
    uint8_t serial[16];
    test_serial(serial, now, not_after);
    if (!t->no_bc) {
        struct basic_constraints bc = {.ca = t->ca, .has_path_len = t->has_path_len, .path_len = t->path_len};
        assert_ok(ext_encode_basic_constraints(&v, test_arena, &bc));
        test_add_ext(exts, &n, OID_EXT_BASIC_CONSTRAINTS, true, v);
    }
    uint32_t ku = t->ku   ? t->ku
                  : t->ca ? (uint32_t)(KU_KEY_CERT_SIGN | KU_CRL_SIGN)
                          : (uint32_t)KU_DIGITAL_SIGNATURE;
    assert_ok(ext_encode_key_usage(&v, test_arena, ku));
    test_add_ext(exts, &n, OID_EXT_KEY_USAGE, true, v);
    struct slice ekus[4];
    size_t n_ekus = 0;
    while (n_ekus < 4 && t->ekus[n_ekus] != OID_UNKNOWN) {
        ekus[n_ekus] = oid_contents(t->ekus[n_ekus]);
        n_ekus++;
    }
    if (n_ekus) {
        assert_ok(ext_encode_eku(&v, test_arena, ekus, n_ekus));
        test_add_ext(exts, &n, OID_EXT_EKU, false, v);
    }
    if (t->dns) {
        struct general_name gn = {.type = GN_DNS, .value = slice_str(t->dns)};
        assert_ok(ext_encode_san(&v, test_arena, &gn, 1));
        test_add_ext(exts, &n, OID_EXT_SAN, false, v);
    }
    struct tbs_cert tbs = {
        .serial = t->serial ? slice_of(t->serial, t->serial_n) : SLICE_ARR(serial),
        .sigalg = sig_alg_info(t->alg ? t->alg : SIG_ECDSA_SHA256)->algid,
        .issuer = test_name(t->issuer ? t->issuer : "CN=Test CA,O=Example"),
        .subject = test_name(t->subject ? t->subject : "CN=device 1,O=Example"),
        .spki = spki,
        .not_before = now + t->not_before,
        .not_after = not_after,
        .exts = exts,
        .n_exts = n,
    };
    struct buf out;
    buf_init(&out, 64 << 10);
    assert_ok(tbs_cert_build(&out, &tbs, ret_offset));
    struct slice ret;
    assert_ok(arena_copy(&ret, test_arena, buf_slice(&out)));
    buf_done(&out);
    return ret;
}

/* TBSCertList with that many entries, to be freed by buf_done(). */
[[maybe_unused]] static void test_crl(struct buf *out, const char *issuer, enum sig_alg alg, size_t entries)
{
    static const uint8_t akid[20] = {1}, number[] = {7};
    int64_t now = clock_now();
    struct tbs_crl t = {
        .sigalg = sig_alg_info(alg)->algid,
        .issuer = test_name(issuer),
        .this_update = now,
        .next_update = now + 7 * 86400,
        .akid = SLICE_ARR(akid),
        .number = SLICE_ARR(number),
    };
    struct crl_builder b;
    buf_init(out, 64 << 20);
    crl_build_begin(&b, out, &t);
    for (size_t i = 0; i < entries; i++) {
        uint8_t serial[16] = {1,          0x43, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8),
                              (uint8_t)i, 1};
        struct crl_entry e = {.serial = SLICE_ARR(serial), .revoked_at = now - 60, .reason = CRL_SUPERSEDED};
        crl_build_entry(&b, &e);
    }
    assert_ok(crl_build_end(&b));
}

[[maybe_unused]] static void test_verify(struct slice spki_tlv, enum sig_alg alg, struct slice message,
                                         struct slice signature)
{
    struct spki spki;
    struct algid id;
    assert_ok(spki_parse(&spki, spki_tlv, NULL));
    assert_ok(algid_parse(&id, sig_alg_info(alg)->algid, NULL));
    assert_ok(pubkey_verify(&spki, &id, message, signature, NULL));
}
