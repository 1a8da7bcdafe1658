#include "issue/scep_settings.h"
#include "policy/names.h"
#include <stdio.h>
#include <string.h>

const char *const scep_challenge_names[] = {"token", "static", "webhook", "none", NULL};

#define AT(part, m) (offsetof(struct scep_settings, part.m) - offsetof(struct scep_settings, part))
static const struct json_field legacy_schema[] = {
    {.key = "sha1",
     .kind = JSON_K_BOOL,
     .offset = AT(legacy, sha1),
     .doc = "messages signed with SHA-1 are taken"},
    {.key = "des3",
     .kind = JSON_K_BOOL,
     .offset = AT(legacy, des3),
     .doc = "messages under triple DES are taken, and answered with it"},
    {0},
};
static const struct json_field webhook_schema[] = {
    {.key = "url",
     .kind = JSON_K_STRING,
     .offset = AT(webhook, url),
     .max = 1000,
     .def = "",
     .doc = "https:// address that is asked"},
    {.key = "secret",
     .kind = JSON_K_STRING,
     .offset = AT(webhook, secret),
     .max = 200,
     .def = "",
     .doc = "key of the HMAC-SHA-256 over the body, in the header Touchmark-Signature"},
    {.key = "bearer",
     .kind = JSON_K_STRING,
     .offset = AT(webhook, bearer),
     .max = 1000,
     .def = "",
     .doc = "bearer token to show"},
    {.key = "ca",
     .kind = JSON_K_STRING,
     .offset = AT(webhook, ca),
     .max = 64 << 10,
     .def = "",
     .doc = "PEM: whom its TLS certificate must come from; the machine's trusted CAs when left out"},
    {.key = "timeout",
     .kind = JSON_K_DURATION,
     .offset = AT(webhook, timeout),
     .min = 1,
     .max = 60,
     .def = "10s",
     .doc = "for the whole exchange"},
    {.key = "notify",
     .kind = JSON_K_BOOL,
     .offset = AT(webhook, notify),
     .def = "true",
     .doc = "tell it afterwards what became of the request"},
    {.key = "networks",
     .kind = JSON_K_STRINGS,
     .offset = AT(webhook, networks),
     .max = 32,
     .doc = "networks that it may be in although they are not public, such as 10.0.0.0/8"},
    {0},
};
const struct json_field scep_settings_schema[] = {
    JSON_FIELD(
        struct scep_settings, challenges, JSON_K_ENUMS, .names = scep_challenge_names, .def = "token",
        .doc =
            "what a challenge password may be: one-time tokens, the static one, what the web hook takes, none"),
    {.key = "static-challenge-sha256",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct scep_settings, static_sha256),
     .max = 64,
     .def = "",
     .doc =
         "SHA-256 of the one challenge for all, hex; whoever learns it enrolls, so one-time tokens are better"},
    JSON_FIELD(struct scep_settings, legacy, JSON_K_OBJECT, .sub = legacy_schema,
               .doc = "what only old clients need"),
    JSON_FIELD(struct scep_settings, retention, JSON_K_DURATION, .min = 3600, .max = 400 * 86400LL,
               .def = "30d", .doc = "how long a transaction is remembered and answered again"),
    {.key = "clock-tolerance",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct scep_settings, clock_tolerance),
     .min = 0,
     .max = 366 * 86400LL,
     .def = "0s",
     .doc = "how far the time of signing may be off; 0s does not look at it, for devices without clocks"},
    JSON_FIELD(struct scep_settings, webhook, JSON_K_OBJECT, .sub = webhook_schema,
               .doc = "a service that judges challenges, as MDM vendors have it"),
    {0},
};

static tm_err bad(struct diag *diag, const char *path, const char *field, const char *message)
{
    char where[96];
    snprintf(where, sizeof where, "%s/%s", path, field);
    return diag_fail(diag, TM_EINVAL, NULL, where, "%s", message);
}

tm_err scep_settings_check(const struct scep_settings *s, const char *path, struct diag *diag)
{
    if (!s->challenges)
        return bad(diag, path, "challenges", "at least one kind of challenge is needed; \"none\" is one");
    bool is_static = s->challenges >> SCEP_CHALLENGE_STATIC & 1,
         hook = s->challenges >> SCEP_CHALLENGE_WEBHOOK & 1;
    size_t n = strlen(s->static_sha256);
    if ((is_static || n) && (n != 64 || strspn(s->static_sha256, "0123456789abcdef") != 64))
        return bad(diag, path, "static-challenge-sha256",
                   "must be 64 digits of lower-case hex: printf %s CHALLENGE | sha256sum");
    if (hook && (strncmp(s->webhook.url, "https://", 8) != 0 || !s->webhook.url[8]))
        return bad(diag, path, "webhook/url", "must be an https:// address");
    if (hook && !s->webhook.secret[0] && !s->webhook.bearer[0])
        return bad(diag, path, "webhook/secret",
                   "the service has to know who asks: a secret or a bearer token is needed");
    for (const char *p = s->webhook.bearer; *p; p++)
        if (*p <= ' ' || *p > '~')
            return bad(diag, path, "webhook/bearer", "has characters that do not go into a header");
    for (size_t i = 0; i < s->webhook.networks.n; i++) {
        struct cidr c;
        if (!cidr_parse(&c, s->webhook.networks.v[i]))
            return bad(diag, path, "webhook/networks", "must be networks such as 10.0.0.0/8");
    }
    return TM_OK;
}
