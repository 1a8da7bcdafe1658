/* issue/continuation.h - requests that wait for approval, as durable rows that any node and any door can finish.
 *
 * Layer 4; doors only ask for the serial. The row's key is the hash of tenant, endpoint, profile, caller and public key, so that a client which asks again finds
 * what it is waiting for. Its state is JSON: everything needed to run the request again without the client. */
#pragma once
#include "base/err.h"
#include "issue/issue.h"
#include "store/store.h"

enum {
    CONTINUATION_LIFE = 30 * 86400, /* how long what came of it can be had */
    CONTINUATION_RETRY = 60,
    CONTINUATION_COMMENTS = 100, /* of one request */
};

/* The key of a request, 64 hex digits, in the request's arena. */
tm_err continuation_key(const char **ret, struct issue_request *r);
/* The row for a request that policy pends; id and state in the request's arena. It may wait for so many
 * seconds. The id follows from the key, and from that of the row `before`,
 * whose time is over (NULL: there is none), so that copies of a request, wherever they arrive, make one row. */
tm_err continuation_row_make(struct continuation_row *ret, struct issue_request *r, int64_t deadline,
                             const char *before);
/* Add what somebody said to the state: {"by","at","text"}, and "decision" where it is one. TM_EQUOTA beyond CONTINUATION_COMMENTS. */
tm_err continuation_comment(struct continuation_row *row, struct arena *a, const char *by, const char *text,
                            const char *decision, struct diag *diag);
/* The request of a waiting row again, ready for issue_run() with `approved` set; everything in `a`. */
tm_err continuation_restore(struct issue_request *ret, struct arena *a, const struct continuation_row *row,
                            tenant_id tenant, struct house *h, struct diag *diag);
/* State with the serial of what was issued, or the reason of a rejection. `cert`: where the inventory does not keep it, for whoever comes to fetch
 * it. */
tm_err continuation_finish(struct continuation_row *row, struct arena *a, const uint8_t *serial,
                           struct slice cert, const char *reason);
/* Serial and, where it was noted, certificate (else empty) of continuation_finish(); TM_ENOTFOUND. */
tm_err continuation_issued(uint8_t ret[CERT_SERIAL_LEN], struct slice *ret_cert, struct arena *a,
                           const struct continuation_row *row);
