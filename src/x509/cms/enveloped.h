/* x509/cms/enveloped.h - EnvelopedData as clients send it: who can open it, and what is inside (RFC 5652 section 6).
 *
 * Layer 2, pure. Opening is keys/cms.h's and the signer's. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/spki.h"
#include <stdbool.h>
struct arena;
struct cert;

enum { ENVELOPED_DATA_MAX = 1 << 20, ENVELOPED_RECIPIENTS_MAX = 16 };

/* KeyTransRecipientInfo; the other kinds are passed over. */
struct enveloped_recipient {
    struct slice issuer, serial; /* Name TLV, INTEGER contents; or */
    struct slice key_id;         /* subjectKeyIdentifier */
    struct algid key_alg;
    struct slice encrypted_key;
};

struct enveloped_data {
    struct enveloped_recipient recipients[ENVELOPED_RECIPIENTS_MAX];
    size_t n_recipients;
    struct slice content_type; /* OID contents */
    struct algid cipher;
    struct slice encrypted; /* octets */
};

/* A ContentInfo with EnvelopedData, BER or DER, trailing bytes refused. *ret borrows from `ber` and from `a`.
 * TM_EMALFORMED, TM_ETOOBIG. */
tm_err enveloped_data_parse(struct enveloped_data *ret, struct arena *a, struct slice ber, struct diag *diag);
/* Is it for the holder of this certificate (issuer and serial, or its subjectKeyIdentifier)? */
bool enveloped_recipient_is(const struct enveloped_recipient *r, const struct cert *c);
