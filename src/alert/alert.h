/* alert/alert.h - what somebody has to be told: one alert a subject and cause, sent by what resources of kind Notification say.
 *
 * Layer 5, blocking, any thread. Causes: "expiring" (only what nothing renews, at 30, 15, 7 days and on the last), "renewal-overdue" (the rest),
 * "finding:<rule>" (high and critical ones), "enrollment-failing", "crl-ending", "ocsp-ending", "ca-ending". An alert opens once, is told of again
 * only when it gets worse, and is resolved when its cause is gone. With it, in the same transaction, go the deliveries: objects that are sent
 * with retries until they are through or given up; each is made once, whatever stops in between. */
#pragma once
#include "base/err.h"
#include "finding/finding.h"
#include "store/store.h"
struct arena;
struct house;
struct alerts;

enum alert_status { ALERT_OPEN = 1, ALERT_ACKED, ALERT_RESOLVED, ALERT_STATUSES };
extern const char *const alert_status_names[]; /* by status: "", "open", "acknowledged", "resolved" */

struct alert {
    tenant_id tenant;
    const char *id; /* 32 hex digits: of cause and subject */
    const char *cause, *subject, *owner;
    enum alert_status status;
    enum finding_severity severity;
    int stage; /* grows as it gets worse: each is told of once */
    const char *title, *text;
    const char *finding; /* id; "" none */
    int64_t opened_ms, changed_ms, resolved_ms;
    const char *by, *comment; /* of who acknowledged it */
    int64_t version;
};
tm_err alert_from_row(struct alert *ret, struct arena *a, const struct object_row *row, struct diag *diag);
tm_err alert_effect(struct effect *ret, struct arena *a, const struct alert *x);
tm_err alert_id(char ret[FINDING_ID_LEN + 1], const char *cause, const char *subject);
tm_err alert_get(struct alert *ret, struct arena *a, struct house *h, tenant_id tenant, const char *id,
                 struct diag *diag);
/* A page in the order of ids; status 0: any. */
tm_err alert_list(struct alert **ret, size_t *ret_n, const char **ret_next, struct arena *a, struct house *h,
                  tenant_id tenant, enum alert_status status, const char *after, size_t limit,
                  struct diag *diag);
/* Somebody looks after it: nothing more is sent unless it gets worse. Recorded. */
tm_err alert_acknowledge(struct house *h, tenant_id tenant, const char *id, const char *comment,
                         const char *by, struct diag *diag);

/* Look at a tenant's causes: open, get worse, resolve, and make deliveries. *ret_opened (may be NULL): how many opened. */
tm_err alert_look(struct house *h, tenant_id tenant, size_t *ret_opened, struct diag *diag);
/* Send what is due, every tenant's; at most some. *ret_more: there is more; *ret_wait: there is what will be due. */
tm_err alert_send_due(struct house *h, bool *ret_more, bool *ret_wait, struct diag *diag);
/* Make the digests whose time has come. */
tm_err alert_digests(struct house *h, tenant_id tenant, struct diag *diag);
/* One message by this notification now, without a delivery. TM_ENOTFOUND; what went wrong. */
tm_err alert_test(struct house *h, tenant_id tenant, const char *notification, const char *by,
                  struct diag *diag);
/* The secret of a notification, sealed; "" takes it away. Recorded without it. */
tm_err alert_secret(struct house *h, tenant_id tenant, const char *notification, const char *secret,
                    const char *by, struct diag *diag);

/* Of a notification that is gone. One that is not there is no error. */
tm_err alert_secret_forget(struct house *h, tenant_id tenant, const char *notification, const char *by,
                           struct diag *diag);

/* The thread, while the house serves. */
tm_err alert_open(struct house *h);
void alert_stop(struct house *h);
void alerts_free(struct alerts *x);
