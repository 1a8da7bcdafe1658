/* alert/impl.h - shared by the files of alerts. Layer 5, private to alert/. */
#pragma once
#include "alert/alert.h"
#include "enroll/outbound/reach.h"
#include "issue/notification.h"
#include <openssl/ssl.h>

/* ---- messages, and who gets them (route.c) ---- */

/* What goes out, whatever the channel. */
struct message {
    const char *id;             /* of the delivery: receivers know by it what they have already */
    const char *subject, *text; /* plain text, lines end in '\n' */
    const char *json;           /* the same for machines: one object */
    enum finding_severity severity;
    struct json_strings to;
};

struct notifications {
    struct notification_doc *v;
    size_t n;
};
/* Those of the tenant that are not disabled. */
tm_err notifications_read(struct notifications *ret, struct arena *a, struct house *h, tenant_id tenant,
                          struct diag *diag);
tm_err notification_read(struct notification_doc *ret, struct arena *a, struct house *h, tenant_id tenant,
                         const char *name, struct diag *diag);
bool notification_wants(const struct notification_doc *d, const struct alert *x);
/* Does it tell somebody of it whom it did not tell when the owner was `before`? */
bool notification_tells_others(const struct notification_doc *d, const struct alert *x, const char *before);
/* Mail is read by people: whoever gets it by this one is told of NOTIFY_HOURLY alerts in an hour one by one, and once that there are more. */
enum { NOTIFY_HOURLY = 100 };
enum notify_room { NOTIFY_TELL, NOTIFY_TELL_MANY, NOTIFY_HUSH };
enum notify_room notification_room(tenant_id tenant, const struct notification_doc *d, const char *owner,
                                   int64_t now);
/* Unix seconds: when something of this one may go out, `now` or the end of its maintenance. */
int64_t notification_free_at(const struct notification_doc *d, int64_t now);
/* The effect that makes a delivery of these alerts; several are a digest. `key` makes it the same when it is made again. */
tm_err delivery_make(struct effect *ret, struct arena *a, tenant_id tenant, const struct notification_doc *d,
                     const struct alert *v, size_t n, const char *owner, const char *key);

/* ---- sending (wire.c, mail.c, webhook.c, syslog.c) ---- */

struct wire {
    struct reach reach;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    uint8_t in[8192];
    size_t in_n;
};
enum { WIRE_SECONDS = 20, WIRE_LINE = 1024 };
/* Connect to a name or an address; names lead only where the document's networks and the Internet are. */
tm_err wire_open(struct wire *w, const struct notification_doc *d, const char *host, int port,
                 struct diag *diag);
/* From here on TLS; the server's certificate has to be for `host`. */
tm_err wire_tls(struct wire *w, const struct notification_doc *d, const char *host, struct diag *diag);
tm_err wire_write(struct wire *w, struct slice s, struct diag *diag);
/* Some octets; empty at the end. They are valid until the next call. */
tm_err wire_read(struct wire *w, struct slice *ret, struct diag *diag);
/* A line without its end, in `a`. */
tm_err wire_line(struct wire *w, const char **ret, struct arena *a, struct diag *diag);
void wire_close(struct wire *w);

/* The conversation of mail_send() over a wire that is open. */
tm_err mail_talk(struct wire *w, struct arena *a, const struct notification_doc *d, const struct message *m,
                 const char *password, struct diag *diag);
tm_err mail_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                 const char *password, struct diag *diag);
tm_err webhook_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                    const char *key, struct diag *diag);
tm_err syslog_send(struct arena *a, const struct notification_doc *d, const struct message *m,
                   struct diag *diag);

/* ---- secrets (secret.c) ---- */

/* "" where there is none; in `a`, wiped by the caller. TM_EDENIED where it was given for another server than the document names. */
tm_err secret_read(char **ret, struct arena *a, struct house *h, tenant_id tenant,
                   const struct notification_doc *d, struct diag *diag);
