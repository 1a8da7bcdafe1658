/* http/tls_peer.h - whom a TLS client believes, and who must be there (RFC 9110 4.3.4, RFC 9525). Layer 2. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

/* The file of CAs that this machine trusts: SSL_CERT_FILE, else Debian's. It need not be there. The product's OpenSSL may be a private
 * one, whose own directory has none. */
const char *tls_peer_system_file(void);
/* Believe the CAs in `pem` (text, NUL-terminated); NULL or "": those of the system, which SSL_CERT_FILE and SSL_CERT_DIR name if set.
 * False: no certificate in the text, or no memory. */
bool tls_peer_trust(SSL_CTX *ctx, const char *pem);
/* The peer's certificate must be `host`'s, a DNS name or an address without brackets; the name is sent along (SNI), an address never
 * (RFC 6066 3). */
bool tls_peer_name(SSL *ssl, const char *host);
