/* x509/print_asn1.h - any DER value on one line, for what has no layout of its own. Layer 2, pure. */
#pragma once
#include "base/slice.h"
struct buf;

/* "{ OID serverAuth, 5, "text", [0] { … } }" with names from the OID table; bare hex for what is no DER. Bounded in depth. */
void asn1_print(struct buf *out, struct slice der);
