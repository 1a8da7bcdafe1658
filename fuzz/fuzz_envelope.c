/* Sealed envelopes and what is held to them: the first octet chooses between the JSON form and the bytes to be signed.
 * Dictionary: der
 * Parser: keys/envelope.c keys/envelope_check.c keys/envelope_typed.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "keys/envelope.h"
#include "keys/internal.h"
#include "x509/cert.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1795219200 }; /* 2026-11-21 */

/* What is accepted is what would be written. */
static void fuzz_json(struct arena *a, struct slice s)
{
    struct envelope e;
    if (envelope_from_json(&e, a, s, NULL) != TM_OK)
        return;
    struct buf out;
    buf_init(&out, ENVELOPE_JSON_MAX);
    if (envelope_to_json(&out, &e) != TM_OK || !slice_eq(buf_slice(&out), s))
        abort();
    buf_done(&out);
}

static void must_be(tm_err err)
{
    if (err != TM_OK && err != TM_EDENIED && err != TM_ENOMEM)
        abort();
}

static void fuzz_tbs(struct slice s, unsigned flags)
{
    static const char *wide[] = {"any"};
    static const char *narrow[] = {"1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.9", "none"};
    static const char *dns[] = {"example.org"};
    static const uint8_t other[] = {0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06,
                                    0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'x'};
    bool tight = flags & 16;
    struct envelope e = {
        .key_id = "fuzz",
        .origin = "",
        .allow = flags & 32 ? 0 : ~0u,
        .issuer = flags & 8 ? SLICE_ARR(other) : (struct slice){0},
        .ekus = flags & 1 ? wide : narrow,
        .n_ekus = flags & 1 ? 1 : 3,
        .max_leaf_seconds = tight ? 86400 : TM_TIME_NEVER,
        .max_ca_seconds = tight ? 86400 : TM_TIME_NEVER,
        .not_after_max = flags & 64 ? NOW : TM_TIME_NEVER,
        .permit_dns = dns,
        .n_permit_dns = flags >> 1 & 1,
        .max_path_len = flags & 4 ? 0 : -1,
    };
    must_be(envelope_check_tbs_cert(&e, s, NOW, NULL));
    must_be(envelope_check_tbs_crl(&e, s, NOW, NULL));
    must_be(envelope_check_crl(&e, flags & 1 ? SIG_ECDSA_SHA256 : SIG_RSA_SHA256, s, NOW, NULL));
    struct arena *a = arena_new(1 << 20);
    size_t serial = 0;
    for (int kind = SIGN_LEAF; a && kind <= SIGN_CA; kind++) {
        must_be(envelope_check_cert(&e, a, (enum sign_kind)kind,
                                    flags & 1 ? SIG_ECDSA_SHA256 : SIG_RSA_SHA256,
                                    flags & 2 ? SERIAL_ADOPTED : SERIAL_FRESH, s, NOW, &serial, NULL));
        if (serial > s.n || (serial && s.n - serial < CERT_SERIAL_LEN))
            abort();
    }
    static const int side[] = {SERIAL_FRESH_RA, SERIAL_FRESH_RESPONDER};
    for (size_t i = 0; a && i < 2; i++)
        must_be(envelope_check_cert(&e, a, SIGN_LEAF, SIG_ECDSA_SHA256, side[i], s, NOW, &serial, NULL));
    arena_free(a);
    must_be(envelope_check_ocsp(&e, s, NOW, NULL));
    must_be(envelope_check_cms(&e, NULL, s, (struct slice){0}, NOW, NULL));
    must_be(envelope_check_cmp(&e, NULL, s, s, NOW, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice s = slice_of(data + 1, size - 1);
    if (data[0] == '{') {
        struct arena *a = arena_new(1 << 20);
        if (a)
            fuzz_json(a, slice_of(data, size));
        arena_free(a);
    } else {
        fuzz_tbs(s, data[0]);
    }
    return 0;
}
