/* inventory/gaps.h - what the device register and the inventory know of each other, and where one knows what the other does not.
 *
 * Layer 5, blocking. A device has a certificate that names it as its device, or whose common name is the device's id or serial number. A
 * certificate has a device likewise, or by the serialNumber of its subject or one of its DNS names. Only what is valid now counts. */
#pragma once
#include "base/err.h"
#include "store/store.h"
struct arena;
struct house;

enum {
    GAPS_LOOKED = 2000
}; /* rows that a page goes through at most: it may be short or empty while there is more */

enum gap_why { GAP_NONE, GAP_NEVER, GAP_EXPIRED, GAP_REVOKED };
extern const char *const gap_why_names[]; /* by number: "", "never-had-one", "expired", "revoked" */

struct gap {
    /* A device, and why; or a certificate. */
    const struct device_row *device;
    enum gap_why why;
    int64_t ended; /* unix seconds: when its last one expired or was revoked; 0: it never had one */
    const struct cert_row *cert;
};
struct gaps {
    struct gap *v;
    size_t n;
    bool more;
    struct slice next; /* `after` of the next page: a device's id, or octets of a certificate's */
};

/* Devices, but for retired ones. */
tm_err gaps_devices(struct gaps *ret, struct arena *a, struct house *h, tenant_id tenant, struct slice after,
                    size_t limit, struct diag *diag);
/* Certificates, but for those of CAs and those that the house made for itself. */
tm_err gaps_certs(struct gaps *ret, struct arena *a, struct house *h, tenant_id tenant, struct slice after,
                  size_t limit, struct diag *diag);
