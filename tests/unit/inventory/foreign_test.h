/* Certificates that others issued, made on the spot. */
#pragma once
#include "unit/issue/issue_test.h"
#include "x509/cert.h"

/* CN=<cn>, signed by `issuer_key` in the name CN=<issuer>; a CA where asked. In `a`. */
[[maybe_unused]] static struct slice foreign_cert(struct arena *a, struct key *subject_key, const char *cn,
                                                  struct key *issuer_key, const char *issuer, bool ca)
{
    static uint64_t next_serial = 0x4711000000000001;
    static const uint8_t basic_ca[] = {0x30, 0x03, 0x01, 0x01, 0xff}, basic_leaf[] = {0x30, 0x00};
    struct diag diag = {0};
    struct slice subject, by, der;
    struct buf tbs, signature, out;
    uint8_t serial[8];
    char *text = arena_printf(a, "CN=%s", cn), *issuer_text = arena_printf(a, "CN=%s", issuer);
    enum sig_alg alg = sig_alg_default(key_alg(issuer_key));
    struct ext ext = {.id = OID_EXT_BASIC_CONSTRAINTS,
                      .oid = oid_contents(OID_EXT_BASIC_CONSTRAINTS),
                      .critical = true,
                      .value = ca ? SLICE_ARR(basic_ca) : SLICE_ARR(basic_leaf)};
    next_serial++;
    for (int i = 0; i < 8; i++)
        serial[i] = (uint8_t)(next_serial >> (8 * (7 - i)));
    CHECK_OK(name_from_text(&subject, a, slice_str(text), &diag), diag);
    CHECK_OK(name_from_text(&by, a, slice_str(issuer_text), &diag), diag);
    buf_init(&tbs, CERT_DER_MAX);
    buf_init(&signature, 8 << 10);
    buf_init(&out, CERT_DER_MAX);
    struct tbs_cert t = {.serial = SLICE_ARR(serial),
                         .sigalg = sig_alg_info(alg)->algid,
                         .issuer = by,
                         .subject = subject,
                         .spki = key_spki(subject_key),
                         .not_before = clock_now() - 86400,
                         .not_after = clock_now() + 86400,
                         .exts = &ext,
                         .n_exts = 1};
    assert_int_equal(tbs_cert_build(&tbs, &t, NULL), TM_OK);
    CHECK_OK(key_sign(&signature, issuer_key, alg, buf_slice(&tbs), &diag), diag);
    assert_int_equal(signed_assemble(&out, buf_slice(&tbs), sig_alg_info(alg)->algid, buf_slice(&signature)),
                     TM_OK);
    assert_int_equal(arena_copy(&der, a, buf_slice(&out)), TM_OK);
    buf_done(&tbs);
    buf_done(&signature);
    buf_done(&out);
    return der;
}

/* The rows that have this certificate's fingerprint. */
[[maybe_unused]] static struct store_read rows_of(struct arena *a, struct slice der)
{
    uint8_t hash[32];
    assert_int_equal(sha256(hash, der), TM_OK);
    struct store_read q = {.kind = READ_CERTS_BY_KEY,
                           .tenant = TENANT_DEFAULT,
                           .arena = a,
                           .with_der = true,
                           .key = {.kind = CERT_KEY_FINGERPRINT, .value = SLICE_ARR(hash)}};
    tm_err e = store_read_now(house->store, &q);
    assert_true(e == TM_OK || e == TM_ENOTFOUND);
    return q;
}
