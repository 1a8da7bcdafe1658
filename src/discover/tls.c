#include "discover/tls.h"

/* Strong ones first, for a server that takes the client's word; what should be gone from everywhere comes last, so that a server has it only when it
 * has nothing else. Ones with a pre-shared key show no certificate and are left out. */
/* clang-format off */
const struct tls_suite tls_suites[] = {
    {0x1301, "AES_128_GCM_SHA256", TLS_KX_TLS13, false},
    {0x1302, "AES_256_GCM_SHA384", TLS_KX_TLS13, true},
    {0x1303, "CHACHA20_POLY1305_SHA256", TLS_KX_TLS13, false},
    {0x1304, "AES_128_CCM_SHA256", TLS_KX_TLS13, false},
    {0x1305, "AES_128_CCM_8_SHA256", TLS_KX_TLS13, false},
    {0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS_KX_ECDHE, false},
    {0xc02f, "ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS_KX_ECDHE, false},
    {0xc02c, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TLS_KX_ECDHE, false},
    {0xc030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS_KX_ECDHE, false},
    {0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS_KX_ECDHE, false},
    {0xcca8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS_KX_ECDHE, false},
    {0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM", TLS_KX_ECDHE, false},
    {0xc0ad, "ECDHE_ECDSA_WITH_AES_256_CCM", TLS_KX_ECDHE, false},
    {0xc0ae, "ECDHE_ECDSA_WITH_AES_128_CCM_8", TLS_KX_ECDHE, false},
    {0xc0af, "ECDHE_ECDSA_WITH_AES_256_CCM_8", TLS_KX_ECDHE, false},
    {0x009e, "DHE_RSA_WITH_AES_128_GCM_SHA256", TLS_KX_DHE, false},
    {0x009f, "DHE_RSA_WITH_AES_256_GCM_SHA384", TLS_KX_DHE, false},
    {0xccaa, "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS_KX_DHE, false},
    {0x00a2, "DHE_DSS_WITH_AES_128_GCM_SHA256", TLS_KX_DHE, false},
    {0x00a3, "DHE_DSS_WITH_AES_256_GCM_SHA384", TLS_KX_DHE, false},
    {0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", TLS_KX_ECDHE, false},
    {0xc027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256", TLS_KX_ECDHE, false},
    {0xc024, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", TLS_KX_ECDHE, false},
    {0xc028, "ECDHE_RSA_WITH_AES_256_CBC_SHA384", TLS_KX_ECDHE, false},
    {0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA", TLS_KX_ECDHE, false},
    {0xc013, "ECDHE_RSA_WITH_AES_128_CBC_SHA", TLS_KX_ECDHE, false},
    {0xc00a, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA", TLS_KX_ECDHE, false},
    {0xc014, "ECDHE_RSA_WITH_AES_256_CBC_SHA", TLS_KX_ECDHE, false},
    {0x0067, "DHE_RSA_WITH_AES_128_CBC_SHA256", TLS_KX_DHE, false},
    {0x006b, "DHE_RSA_WITH_AES_256_CBC_SHA256", TLS_KX_DHE, false},
    {0x0033, "DHE_RSA_WITH_AES_128_CBC_SHA", TLS_KX_DHE, false},
    {0x0039, "DHE_RSA_WITH_AES_256_CBC_SHA", TLS_KX_DHE, false},
    {0x0032, "DHE_DSS_WITH_AES_128_CBC_SHA", TLS_KX_DHE, false},
    {0x0038, "DHE_DSS_WITH_AES_256_CBC_SHA", TLS_KX_DHE, false},
    {0x009c, "RSA_WITH_AES_128_GCM_SHA256", TLS_KX_RSA, false},
    {0x009d, "RSA_WITH_AES_256_GCM_SHA384", TLS_KX_RSA, false},
    {0xc09c, "RSA_WITH_AES_128_CCM", TLS_KX_RSA, false},
    {0xc09d, "RSA_WITH_AES_256_CCM", TLS_KX_RSA, false},
    {0x003c, "RSA_WITH_AES_128_CBC_SHA256", TLS_KX_RSA, false},
    {0x003d, "RSA_WITH_AES_256_CBC_SHA256", TLS_KX_RSA, false},
    {0x002f, "RSA_WITH_AES_128_CBC_SHA", TLS_KX_RSA, false},
    {0x0035, "RSA_WITH_AES_256_CBC_SHA", TLS_KX_RSA, false},
    {0xc02d, "ECDH_ECDSA_WITH_AES_128_GCM_SHA256", TLS_KX_STATIC, false},
    {0xc031, "ECDH_RSA_WITH_AES_128_GCM_SHA256", TLS_KX_STATIC, false},
    {0xc004, "ECDH_ECDSA_WITH_AES_128_CBC_SHA", TLS_KX_STATIC, false},
    {0xc005, "ECDH_ECDSA_WITH_AES_256_CBC_SHA", TLS_KX_STATIC, false},
    {0xc00e, "ECDH_RSA_WITH_AES_128_CBC_SHA", TLS_KX_STATIC, false},
    {0xc00f, "ECDH_RSA_WITH_AES_256_CBC_SHA", TLS_KX_STATIC, false},
    {0xc061, "ECDHE_RSA_WITH_ARIA_256_GCM_SHA384", TLS_KX_ECDHE, false},
    {0xc05d, "ECDHE_ECDSA_WITH_ARIA_256_GCM_SHA384", TLS_KX_ECDHE, false},
    {0xc073, "ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384", TLS_KX_ECDHE, false},
    {0xc077, "ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384", TLS_KX_ECDHE, false},
    {0x0041, "RSA_WITH_CAMELLIA_128_CBC_SHA", TLS_KX_RSA, false},
    {0x0084, "RSA_WITH_CAMELLIA_256_CBC_SHA", TLS_KX_RSA, false},
    {0x0045, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA", TLS_KX_DHE, false},
    {0x0088, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA", TLS_KX_DHE, false},
    {0x0096, "RSA_WITH_SEED_CBC_SHA", TLS_KX_RSA, false},
    {0x0007, "RSA_WITH_IDEA_CBC_SHA", TLS_KX_RSA, false},
    {0xc008, "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA", TLS_KX_ECDHE, false},
    {0xc012, "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", TLS_KX_ECDHE, false},
    {0x0016, "DHE_RSA_WITH_3DES_EDE_CBC_SHA", TLS_KX_DHE, false},
    {0x0013, "DHE_DSS_WITH_3DES_EDE_CBC_SHA", TLS_KX_DHE, false},
    {0x000a, "RSA_WITH_3DES_EDE_CBC_SHA", TLS_KX_RSA, false},
    {0xc007, "ECDHE_ECDSA_WITH_RC4_128_SHA", TLS_KX_ECDHE, false},
    {0xc011, "ECDHE_RSA_WITH_RC4_128_SHA", TLS_KX_ECDHE, false},
    {0x0005, "RSA_WITH_RC4_128_SHA", TLS_KX_RSA, false},
    {0x0004, "RSA_WITH_RC4_128_MD5", TLS_KX_RSA, false},
    {0x0015, "DHE_RSA_WITH_DES_CBC_SHA", TLS_KX_DHE, false},
    {0x0009, "RSA_WITH_DES_CBC_SHA", TLS_KX_RSA, false},
    {0x0008, "RSA_EXPORT_WITH_DES40_CBC_SHA", TLS_KX_RSA, false},
    {0x0006, "RSA_EXPORT_WITH_RC2_CBC_40_MD5", TLS_KX_RSA, false},
    {0x0003, "RSA_EXPORT_WITH_RC4_40_MD5", TLS_KX_RSA, false},
    {0xc006, "ECDHE_ECDSA_WITH_NULL_SHA", TLS_KX_ECDHE, false},
    {0xc010, "ECDHE_RSA_WITH_NULL_SHA", TLS_KX_ECDHE, false},
    {0x003b, "RSA_WITH_NULL_SHA256", TLS_KX_RSA, false},
    {0x0002, "RSA_WITH_NULL_SHA", TLS_KX_RSA, false},
    {0x0001, "RSA_WITH_NULL_MD5", TLS_KX_RSA, false},
    {0x00a6, "DH_anon_WITH_AES_128_GCM_SHA256", TLS_KX_ANON, false},
    {0x0034, "DH_anon_WITH_AES_128_CBC_SHA", TLS_KX_ANON, false},
    {0xc018, "ECDH_anon_WITH_AES_128_CBC_SHA", TLS_KX_ANON, false},
    {0},
};
/* clang-format on */

const struct tls_suite *tls_suite_find(uint16_t id)
{
    for (const struct tls_suite *s = tls_suites; s->name; s++)
        if (s->id == id)
            return s;
    return NULL;
}

struct number_name {
    uint16_t number;
    const char *name;
};

static const char *name_of(const struct number_name *v, uint16_t number)
{
    for (; v->name; v++)
        if (v->number == number)
            return v->name;
    return NULL;
}

const char *tls_version_name(uint16_t version)
{
    static const struct number_name names[] = {
        {SSL_3_0, "SSL 3.0"}, {TLS_1_0, "TLS 1.0"},   {TLS_1_1, "TLS 1.1"},   {TLS_1_2, "TLS 1.2"},
        {TLS_1_3, "TLS 1.3"}, {DTLS_1_0, "DTLS 1.0"}, {DTLS_1_2, "DTLS 1.2"}, {0}};
    return name_of(names, version);
}

const char *tls_group_name(uint16_t group)
{
    static const struct number_name names[] = {{0x0015, "secp224r1"},
                                               {0x0016, "secp256k1"},
                                               {0x0017, "secp256r1"},
                                               {0x0018, "secp384r1"},
                                               {0x0019, "secp521r1"},
                                               {0x001a, "brainpoolP256r1"},
                                               {0x001b, "brainpoolP384r1"},
                                               {0x001c, "brainpoolP512r1"},
                                               {0x001d, "x25519"},
                                               {0x001e, "x448"},
                                               {0x0100, "ffdhe2048"},
                                               {0x0101, "ffdhe3072"},
                                               {0x0102, "ffdhe4096"},
                                               {0x0103, "ffdhe6144"},
                                               {0x0104, "ffdhe8192"},
                                               {0x11eb, "SecP256r1MLKEM768"},
                                               {0x11ec, "X25519MLKEM768"},
                                               {0x11ed, "SecP384r1MLKEM1024"},
                                               {0}};
    return name_of(names, group);
}

const char *tls_alert_name(uint8_t alert)
{
    static const struct number_name names[] = {{0, "close_notify"},
                                               {10, "unexpected_message"},
                                               {20, "bad_record_mac"},
                                               {21, "decryption_failed"},
                                               {22, "record_overflow"},
                                               {30, "decompression_failure"},
                                               {40, "handshake_failure"},
                                               {41, "no_certificate"},
                                               {42, "bad_certificate"},
                                               {43, "unsupported_certificate"},
                                               {44, "certificate_revoked"},
                                               {45, "certificate_expired"},
                                               {46, "certificate_unknown"},
                                               {47, "illegal_parameter"},
                                               {48, "unknown_ca"},
                                               {49, "access_denied"},
                                               {50, "decode_error"},
                                               {51, "decrypt_error"},
                                               {60, "export_restriction"},
                                               {70, "protocol_version"},
                                               {71, "insufficient_security"},
                                               {80, "internal_error"},
                                               {86, "inappropriate_fallback"},
                                               {90, "user_canceled"},
                                               {100, "no_renegotiation"},
                                               {109, "missing_extension"},
                                               {110, "unsupported_extension"},
                                               {112, "unrecognized_name"},
                                               {113, "bad_certificate_status_response"},
                                               {115, "unknown_psk_identity"},
                                               {116, "certificate_required"},
                                               {120, "no_application_protocol"},
                                               {0, NULL}};
    return name_of(names, alert);
}

const char *const tls_failure_names[TLS_FAILURES] = {
    [TLS_FAIL_NONE] = "",
    [TLS_FAIL_REFUSED] = "refused",
    [TLS_FAIL_UNREACHABLE] = "unreachable",
    [TLS_FAIL_SILENT] = "silent",
    [TLS_FAIL_STALLED] = "stalled",
    [TLS_FAIL_RESET] = "reset",
    [TLS_FAIL_CLOSED] = "closed",
    [TLS_FAIL_ALERT] = "alert",
    [TLS_FAIL_NOT_TLS] = "not-tls",
    [TLS_FAIL_NO_STARTTLS] = "no-starttls",
    [TLS_FAIL_MALFORMED] = "malformed",
    [TLS_FAIL_TOO_BIG] = "too-big",
    [TLS_FAIL_NO_CERTIFICATE] = "no-certificate",
    [TLS_FAIL_UNDECRYPTABLE] = "undecryptable",
    [TLS_FAIL_NAME] = "no-address",
    [TLS_FAIL_NOT_ALLOWED] = "not-allowed",
    [TLS_FAIL_LOCAL] = "local",
};
