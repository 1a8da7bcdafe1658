/* issue/key_package.h - a private key that was made here, on its way to whom it is for: a key package (RFC 5958), signed by the RA of the
 * authority that certifies it, in an envelope (RFC 7030 4.4.2, RFC 9483 4.1.6).
 *
 * Layer 4, blocking: the signature is recorded before anything is given out. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "der/oid.h"
#include <stdbool.h>
struct arena;
struct cert;
struct house;
struct key;
struct message;

/* To the holder of a certificate's key, or of a secret. */
struct key_recipient {
    struct slice cert; /* DER; empty: the secret */
    struct slice secret;
    enum oid cipher; /* OID_AES128_CBC, OID_AES256_CBC */
    bool oaep;       /* RSA key transport by OAEP */
    bool bare;       /* the key without the list of keys around it, for clients that read no more */
};

/* Can be encrypted to this certificate's key: RSA with keyEncipherment, EC with keyAgreement (RFC 5280 4.2.1.3)? TM_EUNSUPPORTED. */
tm_err key_package_recipient(const struct cert *c, struct diag *diag);
/* ContentInfo with EnvelopedData, in `a`. `m` says in whose name; its content is filled in. */
tm_err key_package_seal(struct slice *ret, struct arena *a, struct house *h, struct message *m,
                        const struct key *key, const struct key_recipient *to, struct diag *diag);
