/* der/ber.h - BER to DER-like normalisation for the formats whose senders use BER (CMS from old clients, PKCS#12, JKS).
 *
 * Layer 1, pure. Indefinite lengths become definite, constructed strings become primitive, lengths minimal; SET OF order and values are
 * left alone. Bounded: depth 32, result at most `max` bytes. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
struct arena;

/* One element, trailing bytes refused. *ret lives in `a` (or is `ber` itself when nothing had to change). */
tm_err ber_normalize(struct slice *ret, struct arena *a, struct slice ber, size_t max, struct diag *diag);
