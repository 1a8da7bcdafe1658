/* x509/cms/capabilities.h - what a client says it can decrypt: SMIMECapabilities (RFC 8551 2.5.2). Layer 2, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

enum { SMIME_CAPABILITIES_MAX = 64 };

/* Those of the algorithms that matter here. */
struct smime_capabilities {
    bool aes128_cbc, aes256_cbc, rsa_oaep;
};
/* One SMIMECapabilities, as the only value of an attribute; unknown algorithms are passed over. TM_EMALFORMED, TM_ETOOBIG. */
tm_err smime_capabilities_parse(struct smime_capabilities *ret, struct slice der, struct diag *diag);
