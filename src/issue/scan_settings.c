#include "issue/scan_settings.h"
#include "base/text.h"
#include "issue/scan_plan.h"
#include <string.h>

enum { EVERY_MIN = 300 };

#define AT(type, member) offsetof(type, s) + offsetof(struct scan_settings, member)
#define SCAN_FIELDS(type, needed)                                                                                       \
    {.key = "targets",                                                                                                  \
     .kind = JSON_K_STRINGS,                                                                                            \
     .offset = AT(type, targets),                                                                                       \
     .required = (needed),                                                                                              \
     .max = SCAN_TARGETS_MAX,                                                                                           \
     .doc =                                                                                                             \
         "addresses, ranges (10.0.0.0/24, 10.0.0.1-10.0.0.9) and host names, with a port and a protocol (smtp://host) " \
         "or without"},                                                                                                 \
        {.key = "ports",                                                                                                \
         .kind = JSON_K_STRINGS,                                                                                        \
         .offset = AT(type, ports),                                                                                     \
         .max = 1024,                                                                                                   \
         .doc =                                                                                                         \
             "443 when left out; ranges (8000-8010), and with a protocol (smtp:2525, tls:25, dtls:5684)"},              \
        {.key = "starttls",                                                                                             \
         .kind = JSON_K_STRING,                                                                                         \
         .offset = AT(type, starttls),                                                                                  \
         .max = 16,                                                                                                     \
         .def = "",                                                                                                     \
         .doc =                                                                                                         \
             "the protocol of ports that name none: tls, dtls, smtp, imap, pop3, ldap, postgres, mysql, xmpp; what is " \
             "usual there when left out"},                                                                              \
        {.key = "names",                                                                                                \
         .kind = JSON_K_STRINGS,                                                                                        \
         .offset = AT(type, names),                                                                                     \
         .max = SCAN_NAMES_MAX,                                                                                         \
         .doc = "server names (SNI) that each target is asked for, beside none or its own"},                            \
        {.key = "exclude",                                                                                              \
         .kind = JSON_K_STRINGS,                                                                                        \
         .offset = AT(type, exclude),                                                                                   \
         .max = SCAN_TARGETS_MAX,                                                                                       \
         .doc = "addresses and ranges that are left alone"},                                                            \
        {.key = "allow",                                                                                                \
         .kind = JSON_K_STRINGS,                                                                                        \
         .offset = AT(type, allow),                                                                                     \
         .max = 256,                                                                                                    \
         .doc = "networks that may be scanned although they are not private (RFC 1918, RFC 4193)"},                     \
        {.key = "rate",                                                                                                 \
         .kind = JSON_K_INT,                                                                                            \
         .offset = AT(type, rate),                                                                                      \
         .min = 1,                                                                                                      \
         .max = 100000,                                                                                                 \
         .def = "100",                                                                                                  \
         .doc = "connections a second in all"},                                                                         \
        {.key = "rate-per-host",                                                                                        \
         .kind = JSON_K_INT,                                                                                            \
         .offset = AT(type, rate_per_host),                                                                             \
         .min = 1,                                                                                                      \
         .max = 1000,                                                                                                   \
         .def = "10",                                                                                                   \
         .doc = "connections a second to one address"},                                                                 \
        {.key = "parallel",                                                                                             \
         .kind = JSON_K_INT,                                                                                            \
         .offset = AT(type, parallel),                                                                                  \
         .min = 1,                                                                                                      \
         .max = 10000,                                                                                                  \
         .def = "256",                                                                                                  \
         .doc = "connections that are open at once"},                                                                   \
        {.key = "connect-timeout",                                                                                      \
         .kind = JSON_K_DURATION,                                                                                       \
         .offset = AT(type, connect_timeout),                                                                           \
         .min = 1,                                                                                                      \
         .max = 60,                                                                                                     \
         .def = "4s",                                                                                                   \
         .doc = "how long a connection may take to be made"},                                                           \
        {.key = "timeout",                                                                                              \
         .kind = JSON_K_DURATION,                                                                                       \
         .offset = AT(type, timeout),                                                                                   \
         .min = 1,                                                                                                      \
         .max = 120,                                                                                                    \
         .def = "8s",                                                                                                   \
         .doc = "how long a server may take from there to its certificate"},                                            \
        {.key = "versions",                                                                                             \
         .kind = JSON_K_BOOL,                                                                                           \
         .offset = AT(type, versions),                                                                                  \
         .doc =                                                                                                         \
             "ask each server which versions it takes, and whether it has X25519MLKEM768: up to six more connections"}, \
        {.key = "alpn",                                                                                                 \
         .kind = JSON_K_STRINGS,                                                                                        \
         .offset = AT(type, alpn),                                                                                      \
         .max = 16,                                                                                                     \
         .doc =                                                                                                         \
             "protocols that are offered where TLS begins at once; h2 and http/1.1 when left out, none: [none]"}

const struct json_field scan_schema[] = {
    JSON_FIELD(struct scan_doc, kind, JSON_K_STRING, .required = true, .max = 32),
    JSON_FIELD(struct scan_doc, name, JSON_K_STRING, .required = true, .max = 63),
    JSON_FIELD(struct scan_doc, title, JSON_K_STRING, .max = 200, .def = "", .doc = "a line for people"),
    JSON_FIELD(struct scan_doc, tenant, JSON_K_STRING, .max = 63, .def = "",
               .doc = "tenant it belongs to; the caller's when left out"),
    SCAN_FIELDS(struct scan_doc, true),
    JSON_FIELD(struct scan_doc, every, JSON_K_DURATION, .def = "0s",
               .doc = "how often the server does it by itself; 0s: only when asked"),
    JSON_FIELD(struct scan_doc, disabled, JSON_K_BOOL, .doc = "true: it is not done by itself"),
    {0},
};

const struct json_field scan_request_schema[] = {
    JSON_FIELD(struct scan_request, scan, JSON_K_STRING, .max = 63, .def = "",
               .doc = "a resource of kind Scan that is done now; all else is left out then"),
    SCAN_FIELDS(struct scan_request, false),
    {0},
};

tm_err scan_check(struct arena *a, const json_t *doc, struct diag *diag)
{
    struct scan_doc d = {0};
    struct scan_plan p;
    TM_TRY(json_bind(&d, scan_schema, doc, "", a, diag));
    if (!name_valid(slice_str(d.name)))
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "a name has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit");
    if (d.every && d.every < EVERY_MIN)
        return diag_fail(diag, TM_EINVAL, NULL, "/every", "at least five minutes, or 0s");
    for (size_t i = 0; i < d.s.alpn.n; i++)
        if (!d.s.alpn.v[i][0] || strlen(d.s.alpn.v[i]) > 63)
            return diag_fail(diag, TM_EINVAL, "RFC 7301", "/alpn", "a protocol's name has 1 to 63 octets");
    return scan_plan_make(&p, a, &d.s, diag);
}
