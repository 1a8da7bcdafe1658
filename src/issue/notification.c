#include "issue/notification.h"
#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"
#include "policy/names.h"
#include <string.h>

const char *const notify_channel_names[] = {"mail", "webhook", "syslog", NULL};
static const char *const tls_names[] = {"starttls", "tls", "none", NULL};
static const char *const over_names[] = {"udp", "tcp", "tls", "unix", NULL};
static const char *const when_names[] = {"at-once", "daily", "weekly", NULL};
static const char *const severity_names[] = {"info", "low", "medium", "high", "critical", NULL};

#define DOC struct notification_doc
#define IN(part, key_, member, k, ...)                                                                       \
    {.key = (key_), .kind = (k), .offset = offsetof(DOC, part.member) - offsetof(DOC, part), __VA_ARGS__}
static const struct json_field mail_schema[] = {
    IN(mail, "server", server, JSON_K_STRING, .max = 253, .def = "", .doc = "host of the mail server"),
    IN(mail, "port", port, JSON_K_INT, .min = 1, .max = 65535, .def = "587", .doc = "465 with tls: tls"),
    IN(mail, "tls", tls, JSON_K_ENUM, .names = tls_names, .def = "starttls",
       .doc = "none only for a server on this machine or network"),
    IN(mail, "user", user, JSON_K_STRING, .max = 200, .def = "",
       .doc = "to sign in as; its password is set by `touchmark alert secret`"),
    IN(mail, "from", from, JSON_K_STRING, .max = 254, .def = "", .doc = "sender"),
    IN(mail, "to", to, JSON_K_STRINGS, .max = 50, .doc = "who gets what no owner's line says otherwise"),
    {0},
};
static const struct json_field webhook_schema[] = {
    IN(webhook, "url", url, JSON_K_STRING, .max = 1024, .def = "",
       .doc = "where to POST; its key is set by `touchmark alert secret`"),
    {0},
};
static const struct json_field syslog_schema[] = {
    IN(syslog, "over", over, JSON_K_ENUM, .names = over_names, .def = "udp",
       .doc = "how: RFC 5426, 6587, 5425, or a socket here"),
    IN(syslog, "server", server, JSON_K_STRING, .max = 253, .def = "", .doc = "host"),
    IN(syslog, "port", port, JSON_K_INT, .min = 1, .max = 65535, .def = "514", .doc = "6514 with over: tls"),
    IN(syslog, "path", path, JSON_K_STRING, .max = 107, .def = "/dev/log",
       .doc = "of the socket, with over: unix"),
    IN(syslog, "facility", facility, JSON_K_INT, .min = 0, .max = 23, .def = "13",
       .doc = "RFC 5424 6.2.1; 13 is the log audit"),
    {0},
};
static const struct json_field filter_schema_[] = {
    IN(filter, "severity", severity, JSON_K_ENUM, .names = severity_names, .def = "medium",
       .doc = "this severe or more"),
    IN(filter, "causes", causes, JSON_K_STRINGS, .max = 50,
       .doc = "only these; a '*' at the end stands for any rest"),
    IN(filter, "owners", owners, JSON_K_STRINGS, .max = 100, .doc = "only what is theirs; \"\" is nobody's"),
    {0},
};
static const struct json_field owner_schema[] = {
    JSON_FIELD(struct notify_owner, owner, JSON_K_STRING, .required = true, .max = 200),
    JSON_FIELD(struct notify_owner, to, JSON_K_STRINGS, .required = true, .max = 20, .doc = "addresses"),
    {0},
};
static const struct json_field window_schema[] = {
    JSON_FIELD(struct notify_window, from, JSON_K_TIME, .required = true),
    JSON_FIELD(struct notify_window, until, JSON_K_TIME, .required = true),
    {0},
};
const struct json_field notification_schema[] = {
    JSON_FIELD(DOC, kind, JSON_K_STRING, .required = true, .max = 32),
    JSON_FIELD(DOC, name, JSON_K_STRING, .required = true, .max = 63),
    JSON_FIELD(DOC, title, JSON_K_STRING, .max = 200, .def = "", .doc = "a line for people"),
    JSON_FIELD(DOC, tenant, JSON_K_STRING, .max = 63, .def = "",
               .doc = "tenant it belongs to; the caller's when left out"),
    JSON_FIELD(DOC, channel, JSON_K_ENUM, .names = notify_channel_names, .required = true,
               .doc = "mail, webhook or syslog"),
    JSON_FIELD(DOC, mail, JSON_K_OBJECT, .sub = mail_schema, .doc = "channel mail: SMTP (RFC 5321)"),
    JSON_FIELD(DOC, webhook, JSON_K_OBJECT, .sub = webhook_schema,
               .doc = "channel webhook: JSON by POST, signed"),
    JSON_FIELD(DOC, syslog, JSON_K_OBJECT, .sub = syslog_schema, .doc = "channel syslog: RFC 5424"),
    JSON_FIELD(DOC, networks, JSON_K_STRINGS, .max = 32,
               .doc =
                   "networks that it may connect to although they are not public: 10.0.0.0/8, 127.0.0.1/32"),
    JSON_FIELD(DOC, ca, JSON_K_STRING, .max = 65536, .def = "",
               .doc = "PEM of who signs the server's certificate; this machine's list when left out"),
    JSON_FIELD(DOC, filter, JSON_K_OBJECT, .sub = filter_schema_, .doc = "which alerts"),
    JSON_FIELD(DOC, when, JSON_K_ENUM, .names = when_names, .def = "at-once",
               .doc = "at-once, or a digest of what is open, one for each owner: daily, weekly"),
    JSON_FIELD(DOC, hour, JSON_K_INT, .min = 0, .max = 23, .def = "6", .doc = "of a digest, UTC"),
    JSON_FIELD(DOC, weekday, JSON_K_INT, .min = 1, .max = 7, .def = "1",
               .doc = "of a weekly digest; 1 is Monday"),
    JSON_FIELD(DOC, owners, JSON_K_OBJECTS, .sub = owner_schema, .size = sizeof(struct notify_owner),
               .max = 200, .doc = "channel mail: where the mail of an owner goes"),
    JSON_FIELD(DOC, maintenance, JSON_K_OBJECTS, .sub = window_schema, .size = sizeof(struct notify_window),
               .max = 50, .doc = "nothing is sent in these times; what is still true is sent afterwards"),
    JSON_FIELD(DOC, disabled, JSON_K_BOOL, .doc = "true sends nothing"),
    {0},
};

static tm_err check_addresses(const struct json_strings *v, const char *path, struct diag *diag)
{
    for (size_t i = 0; i < v->n; i++) {
        const char *why = email_check(slice_str(v->v[i]));
        if (why)
            return diag_fail(diag, TM_EINVAL, NULL, path, "\"%s\" %s", v->v[i], why);
    }
    return TM_OK;
}

static tm_err check_mail(const DOC *d, struct diag *diag)
{
    const struct notify_owner *owners = d->owners.v;
    const char *why = email_check(slice_str(d->mail.from));
    if (!d->mail.server[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/mail/server", "name the mail server");
    if (why)
        return diag_fail(diag, TM_EINVAL, NULL, "/mail/from", "the sender's address %s",
                         d->mail.from[0] ? why : "is missing");
    if (d->mail.to.n == 0 && d->owners.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/mail/to", "say to whom");
    if (d->mail.tls == NOTIFY_PLAIN && d->mail.user[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/mail/tls", "a password is sent over TLS only");
    for (size_t i = 0; i < d->owners.n; i++)
        TM_TRY(check_addresses(&owners[i].to, "/owners", diag));
    return check_addresses(&d->mail.to, "/mail/to", diag);
}

tm_err notification_check(struct arena *a, const json_t *doc, struct diag *diag)
{
    DOC d = {0};
    TM_TRY(json_bind(&d, notification_schema, doc, "", a, diag));
    if (!name_valid(slice_str(d.name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    for (size_t i = 0; i < d.networks.n; i++) {
        struct cidr c;
        if (!cidr_parse(&c, d.networks.v[i]))
            return diag_fail(diag, TM_EINVAL, NULL, "/networks", "\"%s\" is no network such as 10.0.0.0/8",
                             d.networks.v[i]);
    }
    const struct notify_window *w = d.maintenance.v;
    for (size_t i = 0; i < d.maintenance.n; i++)
        if (w[i].until <= w[i].from)
            return diag_fail(diag, TM_EINVAL, NULL, "/maintenance", "a window ends after it begins");
    if (d.channel == NOTIFY_MAIL)
        return check_mail(&d, diag);
    if (d.channel == NOTIFY_WEBHOOK && strncmp(d.webhook.url, "https://", 8) != 0 &&
        strncmp(d.webhook.url, "http://", 7) != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/webhook/url",
                         "an address that begins with https://, or http:// on a network that is named");
    if (d.channel == NOTIFY_WEBHOOK && strncmp(d.webhook.url, "http://", 7) == 0 && d.networks.n == 0)
        return diag_fail(
            diag, TM_EINVAL, NULL, "/webhook/url",
            "over the Internet it is https://: http:// is for a server on a network that is named");
    if (d.channel == NOTIFY_SYSLOG && d.syslog.over != NOTIFY_UNIX && !d.syslog.server[0])
        return diag_fail(diag, TM_EINVAL, NULL, "/syslog/server", "name the server");
    return TM_OK;
}
