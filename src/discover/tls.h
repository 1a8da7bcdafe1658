/* discover/tls.h - TLS as the scanner speaks it: numbers, names, and what a conversation has shown.
 *
 * Layer 5, pure. The scanner has a reader of its own (RFC 2246, 4346, 5246, 8446; DTLS 1.2: 6347) that goes only as far as the certificates:
 * no library would speak to a server whose versions, suites and keys it has given up, and that is what a scan has to find. Nothing
 * is trusted here and nothing verified: what a server shows is what anybody is shown who connects. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum {
    SSL_3_0 = 0x0300,
    TLS_1_0 = 0x0301,
    TLS_1_1 = 0x0302,
    TLS_1_2 = 0x0303,
    TLS_1_3 = 0x0304,
    DTLS_1_0 = 0xfeff,
    DTLS_1_2 = 0xfefd,
};
enum tls_record { TLS_CHANGE_CIPHER_SPEC = 20, TLS_ALERT, TLS_HANDSHAKE, TLS_APPLICATION_DATA };
enum tls_handshake {
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    DTLS_HELLO_VERIFY_REQUEST = 3,
    TLS_NEW_SESSION_TICKET = 4,
    TLS_ENCRYPTED_EXTENSIONS = 8,
    TLS_CERTIFICATE = 11,
    TLS_SERVER_KEY_EXCHANGE = 12,
    TLS_CERTIFICATE_REQUEST = 13,
    TLS_SERVER_HELLO_DONE = 14,
    TLS_CERTIFICATE_VERIFY = 15,
    TLS_FINISHED = 20,
    TLS_MESSAGE_HASH = 254,
};
enum tls_extension {
    TLS_EXT_SERVER_NAME = 0,
    TLS_EXT_SUPPORTED_GROUPS = 10,
    TLS_EXT_EC_POINT_FORMATS = 11,
    TLS_EXT_SIGNATURE_ALGORITHMS = 13,
    TLS_EXT_ALPN = 16,
    TLS_EXT_EXTENDED_MASTER_SECRET = 23,
    TLS_EXT_SUPPORTED_VERSIONS = 43,
    TLS_EXT_COOKIE = 44,
    TLS_EXT_KEY_SHARE = 51,
    TLS_EXT_RENEGOTIATION_INFO = 0xff01,
};
enum tls_alert {
    TLS_ALERT_HANDSHAKE_FAILURE = 40,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_UNRECOGNIZED_NAME = 112,
};

/* What nobody needs more of: a peer that goes beyond is broken or hostile. */
enum {
    TLS_RECORD_MAX = 16384 + 2048, /* RFC 5246 6.2.3; those of TLS 1.3 are shorter */
    TLS_MESSAGE_MAX = 64 << 10,    /* a handshake message */
    TLS_OCTETS_MAX = 160 << 10,    /* all that one conversation may bring */
    TLS_CHAIN_MAX = 16,            /* certificates that are kept of a chain */
    TLS_ALPN_MAX = 64,
    TLS_HELLO_MAX = 4096,
};

/* How the key is agreed on, which says what follows the certificate. */
enum tls_kx { TLS_KX_RSA, TLS_KX_DHE, TLS_KX_ECDHE, TLS_KX_STATIC, TLS_KX_ANON, TLS_KX_TLS13 };
struct tls_suite {
    uint16_t id;
    const char *name; /* IANA's, without "TLS_" */
    enum tls_kx kx;
    bool sha384; /* TLS 1.3: the hash of its key schedule */
};
/* All that are offered, in the order of the offer; ended by a NULL name. */
extern const struct tls_suite tls_suites[];
const struct tls_suite *tls_suite_find(uint16_t id);

/* NULL for what is not known. */
const char *tls_version_name(uint16_t version);
const char *tls_group_name(uint16_t group);
const char *tls_alert_name(uint8_t alert);

/* Why there is no certificate. Stable words, for they stand in the inventory: tls_failure_names[]. */
enum tls_failure {
    TLS_FAIL_NONE,
    TLS_FAIL_REFUSED,        /* nobody listens */
    TLS_FAIL_UNREACHABLE,    /* network or host */
    TLS_FAIL_SILENT,         /* no answer to the connection, or to a datagram */
    TLS_FAIL_STALLED,        /* connected, and not done in time */
    TLS_FAIL_RESET,          /* the peer broke off */
    TLS_FAIL_CLOSED,         /* the peer ended before its certificate */
    TLS_FAIL_ALERT,          /* it said no */
    TLS_FAIL_NOT_TLS,        /* it speaks something else */
    TLS_FAIL_NO_STARTTLS,    /* the service doesn't offer TLS, or refuses it */
    TLS_FAIL_MALFORMED,      /* octets that break the protocol */
    TLS_FAIL_TOO_BIG,        /* more than anybody needs: see above */
    TLS_FAIL_NO_CERTIFICATE, /* agreed on without one: anonymous, or an empty list */
    TLS_FAIL_UNDECRYPTABLE,  /* its key share or its records don't go with ours */
    TLS_FAIL_NAME,           /* the host name has no address */
    TLS_FAIL_NOT_ALLOWED,    /* outside what may be scanned */
    TLS_FAIL_LOCAL,          /* no socket, no memory: ours */
    TLS_FAILURES
};
extern const char *const tls_failure_names[TLS_FAILURES];

/* What one conversation has shown. `chain` borrows from the conversation. */
struct tls_facts {
    enum tls_failure failure;
    uint8_t alert;    /* TLS_FAIL_ALERT */
    const char *hint; /* TLS_FAIL_NOT_TLS, _NO_STARTTLS, _MALFORMED: what it was; a constant, or NULL */
    uint16_t version; /* 0: no ServerHello came */
    uint16_t suite;
    uint16_t group;     /* key exchange; 0: none, or not known */
    uint16_t dh_bits;   /* of the prime, with DHE before TLS 1.3 */
    bool hello_retry;   /* it asked for another key share (RFC 8446 4.1.4) */
    bool client_auth;   /* it asks for a client's certificate */
    bool secure_renego; /* RFC 5746; before TLS 1.3 */
    bool extended_master_secret;
    bool legacy_hello; /* it answers only a ClientHello as of old */
    char alpn[TLS_ALPN_MAX];
    size_t n_chain, n_sent; /* kept; sent */
    struct slice chain[TLS_CHAIN_MAX];
};
