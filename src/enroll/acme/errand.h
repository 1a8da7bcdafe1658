/* enroll/acme/errand.h - something that waits for the network, run on one of the validator's threads in its owner's share. Layer 5. */
#pragma once
#include "base/err.h"

struct errand {
    void (*run)(struct errand *e, tm_err err); /* TM_EUNAVAIL: the validator ended before its turn came */
};
