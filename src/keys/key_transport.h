/* keys/key_transport.h - what was encrypted to one of our RSA keys: the content-encryption key of an EnvelopedData (RFC 5652 6.2.1).
 *
 * Layer 3; inside the signer. Whoever sends messages here could make an oracle of it (Bleichenbacher, Manger), so nothing about the padding
 * shows: where it is wrong a random key of the wanted length comes back, and the content does not decrypt, as with any other wrong key. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct buf;
struct key;

enum { TRANSPORT_KEY_MIN = 8, TRANSPORT_KEY_MAX = 64, TRANSPORT_REQUEST_MAX = 4096 };

/* The signer's request, appended: SEQUENCE { keyLength INTEGER, keyEncryptionAlgorithm AlgorithmIdentifier, encryptedKey OCTET STRING }. */
tm_err key_transport_request(struct buf *out, size_t key_length, struct slice algid,
                             struct slice encrypted_key);
/* `key_length` octets into `out`. TM_EMALFORMED for another structure, TM_EUNSUPPORTED for other algorithms than PKCS #1 v1.5 and OAEP with
 * MGF1 and no label, TM_EINVAL where the octets can't be of this key: all of them seen without the private key. */
tm_err key_transport_open(uint8_t out[TRANSPORT_KEY_MAX], size_t *ret_n, const struct key *k,
                          struct slice request, struct diag *diag);
