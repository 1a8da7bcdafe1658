/* http/client_cert.h - the Client-Cert and Client-Cert-Chain fields of TLS-terminating proxies (RFC 9440). Layer 1, pure.
 *
 * The caller decides whether the sender may be believed; see http_server_config.trusted_proxies. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct arena;

enum { CLIENT_CERT_CHAIN_MAX = 16 };

/* Client-Cert = sf-binary (RFC 9440 section 2.2). *ret lives in `a` and is one DER SEQUENCE. TM_EMALFORMED, TM_ENOMEM. */
tm_err client_cert_parse(struct slice *ret, struct arena *a, struct slice field);

/* Client-Cert-Chain = sf-list of sf-binary (section 2.3), appended to chain[0..*n); several field lines are parsed one after
 * another. More than CLIENT_CERT_CHAIN_MAX in all is TM_ETOOBIG. */
tm_err client_cert_chain_parse(struct slice chain[CLIENT_CERT_CHAIN_MAX], size_t *n, struct arena *a,
                               struct slice field);
