/* cli/pkcs12_out.h - `cert get --form pkcs12`: a certificate, its issuers and the key that the caller holds, in one file. Layer 6. */
#pragma once
#include "base/slice.h"
struct cli;

/* `chain` is PEM, the certificate first. Reads --key, --key-password-file, --password-file, --out; asks on the terminal for what is not given.
 * Complains and returns false on failure. */
bool pkcs12_write(struct cli *c, struct slice chain, const char *name);
