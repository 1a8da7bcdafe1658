/* x509/print.h - readable text of certificates, requests and CRLs. Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct buf;

/* Find out what the bytes are (PEM or DER; certificate, PKCS#10, CRMF, SPKAC, CRL, certs-only PKCS#7) and append readable text for each object
 * found. Every extension of the OID table is decoded; unknown ones are shown as hex. TM_EMALFORMED when nothing fits. */
tm_err x509_print_any(struct buf *out, struct slice bytes, struct diag *diag);
/* The same as one JSON array of objects. */
tm_err x509_print_any_json(struct buf *out, struct slice bytes, struct diag *diag);
