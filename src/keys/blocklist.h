/* keys/blocklist.h - the look-up behind quality.h's lists of bad keys. Layer 3, private to keys/. */
#pragma once
#include "keys/quality.h"
#include <stdbool.h>

tm_err key_blocklisted(bool *ret, const struct key_blocklist *b, const struct pubkey_info *info,
                       const struct spki *spki);
