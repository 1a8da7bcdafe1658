/* issue/notification.h - the resource kind Notification: by which channel, about what, when, and to whom alerts are sent (alert/alert.h).
 *
 * Layer 4, pure. Secrets (a mail server's password, a webhook's key) are no part of the document, which everybody reads who may read resources: they
 * are set by themselves and kept sealed. */
#pragma once
#include "base/err.h"
#include "base/json.h"
struct arena;

enum notify_channel { NOTIFY_MAIL, NOTIFY_WEBHOOK, NOTIFY_SYSLOG };
enum notify_tls { NOTIFY_STARTTLS, NOTIFY_TLS, NOTIFY_PLAIN };
enum notify_over { NOTIFY_UDP, NOTIFY_TCP, NOTIFY_SYSLOG_TLS, NOTIFY_UNIX };
enum notify_when { NOTIFY_AT_ONCE, NOTIFY_DAILY, NOTIFY_WEEKLY };
extern const char *const notify_channel_names[]; /* "mail", "webhook", "syslog" */

struct notify_owner {
    const char *owner;
    struct json_strings to;
};
struct notify_window {
    int64_t from, until;
};
struct notification_doc {
    const char *kind, *name, *tenant, *title;
    int channel;
    bool disabled;
    struct {
        const char *server, *from, *user;
        int64_t port;
        int tls; /* enum notify_tls */
        struct json_strings to;
    } mail;
    struct {
        const char *url;
    } webhook;
    struct {
        int over; /* enum notify_over */
        const char *server, *path;
        int64_t port, facility;
    } syslog;
    struct json_strings networks; /* that may be connected to although they are not public */
    const char *ca;               /* PEM; "" this machine's list */
    struct {
        int severity;
        struct json_strings causes, owners;
    } filter;
    int when;
    int64_t hour, weekday;           /* UTC; Monday is 1 */
    struct json_objects owners;      /* struct notify_owner */
    struct json_objects maintenance; /* struct notify_window */
};
extern const struct json_field notification_schema[];
tm_err notification_check(struct arena *a, const json_t *doc, struct diag *diag);
