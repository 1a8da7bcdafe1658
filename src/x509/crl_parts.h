/* x509/crl_parts.h - the parts of a CertificateList that both its readers share: crl.c, which has it in memory, and crl_stream.c.
 * Layer 2, private to x509/. */
#pragma once
#include "x509/crl.h"

/* version to nextUpdate; *ret_version as it is encoded, 0 or 1. */
tm_err crl_head_read(struct crl *c, struct algid *inner, unsigned *ret_version, struct der_reader *tbs);
/* crlExtensions [0], if they are there. */
tm_err crl_extensions_read(struct crl *c, unsigned version, struct der_reader *tbs);
