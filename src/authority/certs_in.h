/* authority/certs_in.h - CA certificates that people bring, in whatever wrapping. Layer 4, private to authority/. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/catalog.h"
#include "x509/cert.h"
struct arena;

enum { CERTS_IN_MAX = 16 };

/* PEM (certificates, PKCS7), one DER certificate, or certs-only PKCS#7. In the order found; TM_EMALFORMED when there is none. */
tm_err certs_in_read(struct cert *ret, size_t *ret_n, struct arena *a, struct slice bytes, struct diag *diag);

/* The CA for this key (empty SPKI: the first certificate) and the path above it, signatures checked, as far as the given certificates and
 * the authorities known here reach. `cat` NULL: none is known. */
struct ca_path {
    struct cert ca;
    struct slice chain[CERTS_IN_MAX];
    size_t n_chain;
    const struct authority *parent;
    bool self_signed;
};
tm_err certs_in_path(struct ca_path *ret, struct arena *a, const struct cert *v, size_t n, struct slice spki,
                     const struct catalog *cat, struct diag *diag);
