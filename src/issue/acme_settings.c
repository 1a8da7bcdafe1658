#include "issue/acme_settings.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const acme_challenge_names[] = {"http-01",        "dns-01",         "tls-alpn-01",
                                            "dns-account-01", "dns-persist-01", NULL};
static const char *const external_names[] = {"optional", "required", "off", NULL};

#define AT(group, m) (offsetof(struct acme_settings, group.m) - offsetof(struct acme_settings, group))

static const struct json_field limits_schema[] = {
    {.key = "orders-per-hour",
     .kind = JSON_K_INT,
     .offset = AT(limits, orders),
     .min = 0,
     .max = 1000000000,
     .def = "1000",
     .doc = "new orders and pre-authorizations of one account in an hour; 0: any number"},
    {.key = "accounts-per-hour",
     .kind = JSON_K_INT,
     .offset = AT(limits, accounts),
     .min = 0,
     .max = 1000000000,
     .def = "100",
     .doc = "new accounts without an external key, from one address (an IPv6 /64) in an hour; 0: any number"},
    {.key = "identifiers",
     .kind = JSON_K_INT,
     .offset = AT(limits, identifiers),
     .min = 1,
     .max = 100,
     .def = "100",
     .doc = "names in one order"},
    {0},
};

static const struct json_field star_schema[] = {
    {.key = "max-duration",
     .kind = JSON_K_DURATION,
     .offset = AT(star, max_duration),
     .min = 0,
     .max = 20 * 365 * 86400LL,
     .def = "0s",
     .doc = "how long an order may renew itself; 0s: none does"},
    {.key = "min-lifetime",
     .kind = JSON_K_DURATION,
     .offset = AT(star, min_lifetime),
     .min = 1,
     .max = 398 * 86400LL,
     .def = "1d",
     .doc = "least lifetime of one of its certificates"},
    {.key = "certificate-get",
     .kind = JSON_K_BOOL,
     .offset = AT(star, get),
     .doc = "an account may let anybody fetch them who has the address"},
    {0},
};

static const struct json_field validation_schema[] = {
    {.key = "resolvers",
     .kind = JSON_K_STRINGS,
     .offset = AT(validation, resolvers),
     .max = 8,
     .doc = "addresses of DNS servers, with @port where it is not 53; the machine's when left out"},
    {.key = "networks",
     .kind = JSON_K_STRINGS,
     .offset = AT(validation, networks),
     .max = 64,
     .doc = "networks (CIDR) that may be connected to although they are private, local or loopback"},
    {.key = "insecure-domains",
     .kind = JSON_K_STRINGS,
     .offset = AT(validation, insecure),
     .max = 64,
     .doc = "domains whose answers are taken without DNSSEC, such as those that exist inside only"},
    {.key = "dnssec",
     .kind = JSON_K_BOOL,
     .offset = AT(validation, dnssec),
     .def = "true",
     .doc = "answers are validated up to the root's keys"},
    {.key = "http-port",
     .kind = JSON_K_INT,
     .offset = AT(validation, http_port),
     .min = 1,
     .max = 65535,
     .def = "80",
     .doc = "where http-01 is answered"},
    {.key = "tls-port",
     .kind = JSON_K_INT,
     .offset = AT(validation, tls_port),
     .min = 1,
     .max = 65535,
     .def = "443",
     .doc = "where tls-alpn-01 is answered"},
    {.key = "attempts",
     .kind = JSON_K_INT,
     .offset = AT(validation, attempts),
     .min = 1,
     .max = 10,
     .def = "4",
     .doc = "tries before a challenge has failed; the pause doubles from one second"},
    {0},
};

const struct json_field acme_settings_schema[] = {
    JSON_FIELD(
        struct acme_settings, url, JSON_K_STRING, .max = 300, .def = "",
        .doc =
            "what the door's addresses begin with, https://name[:port]; as the client wrote it when left out"),
    {.key = "terms-of-service",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct acme_settings, terms),
     .max = 1000,
     .def = "",
     .doc = "address of the terms that an account must agree to"},
    JSON_FIELD(struct acme_settings, website, JSON_K_STRING, .max = 1000, .def = "",
               .doc = "address for people"),
    {.key = "caa-identities",
     .kind = JSON_K_STRINGS,
     .offset = offsetof(struct acme_settings, caa),
     .max = 16,
     .doc = "names that stand for this authority in CAA records"},
    {.key = "external-account",
     .kind = JSON_K_ENUM,
     .offset = offsetof(struct acme_settings, external),
     .names = external_names,
     .def = "optional",
     .doc = "keys of accounts elsewhere (RFC 8555 7.3.4): an account needs one, may have one, or may not"},
    JSON_FIELD(struct acme_settings, challenges, JSON_K_ENUMS, .names = acme_challenge_names,
               .def = "http-01,dns-01,tls-alpn-01", .doc = "how a name may be proven"),
    JSON_FIELD(struct acme_settings, contact, JSON_K_BOOL, .doc = "an account must have a contact"),
    {.key = "grant-names",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct acme_settings, grant),
     .def = "true",
     .doc = "names that an account's external key was made for need no challenge"},
    {.key = "subdomains",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct acme_settings, subdomains),
     .doc = "RFC 9444: an account that asks for it proves a domain in DNS and may have the names below it"},
    {.key = "auto-renewal",
     .kind = JSON_K_OBJECT,
     .offset = offsetof(struct acme_settings, star),
     .sub = star_schema,
     .doc = "orders that renew themselves (RFC 8739)"},
    {.key = "order-lifetime",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct acme_settings, order_lifetime),
     .min = 60,
     .max = 30 * 86400,
     .def = "7d",
     .doc = "until an order has to be finalized"},
    {.key = "authorization-lifetime",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct acme_settings, authorization_lifetime),
     .min = 60,
     .max = 398 * 86400LL,
     .def = "30d",
     .doc = "how long a proven name can be used again"},
    JSON_FIELD(struct acme_settings, retention, JSON_K_DURATION, .min = 0, .max = 20 * 365 * 86400LL,
               .def = "30d",
               .doc = "how long orders, authorizations and deactivated accounts stay after their end"),
    JSON_FIELD(struct acme_settings, limits, JSON_K_OBJECT, .sub = limits_schema),
    JSON_FIELD(struct acme_settings, validation, JSON_K_OBJECT, .sub = validation_schema),
    {0},
};

static bool resolver_valid(const char *text)
{
    char address[64];
    uint8_t octets[16];
    const char *at = strchr(text, '@');
    size_t n = at ? (size_t)(at - text) : strlen(text);
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    if (inet_pton(AF_INET, address, octets) != 1 && inet_pton(AF_INET6, address, octets) != 1)
        return false;
    if (!at)
        return true;
    char *end;
    long port = strtol(at + 1, &end, 10);
    return at[1] >= '0' && at[1] <= '9' && *end == '\0' && port > 0 && port < 65536;
}

tm_err acme_settings_check(const struct acme_settings *s, const char *path, struct diag *diag)
{
    char where[96];
    if (s->url[0] && (strncmp(s->url, "https://", 8) != 0 || s->url[8] == '\0' || strchr(s->url + 8, '/'))) {
        snprintf(where, sizeof where, "%s/url", path);
        return diag_fail(diag, TM_EINVAL, "RFC 8555 6.1", where,
                         "must be https:// and a name, perhaps a port, and nothing else");
    }
    if (!s->challenges) {
        snprintf(where, sizeof where, "%s/challenges", path);
        return diag_fail(diag, TM_EINVAL, NULL, where, "at least one kind of challenge is needed");
    }
    /* Its records name the authority by them. */
    if ((s->challenges >> ACME_DNS_PERSIST_01 & 1) && (s->caa.n == 0 || s->caa.n > 10)) {
        snprintf(where, sizeof where, "%s/caa-identities", path);
        return diag_fail(diag, TM_EINVAL, NULL, where, "dns-persist-01 needs one to ten of them");
    }
    for (size_t i = 0; i < s->validation.resolvers.n; i++) {
        snprintf(where, sizeof where, "%s/validation/resolvers/%zu", path, i);
        if (!resolver_valid(s->validation.resolvers.v[i]))
            return diag_fail(diag, TM_EINVAL, NULL, where, "must be an address, perhaps with @port");
    }
    for (size_t i = 0; i < s->validation.networks.n; i++) {
        struct cidr c;
        snprintf(where, sizeof where, "%s/validation/networks/%zu", path, i);
        if (!cidr_parse(&c, s->validation.networks.v[i]))
            return diag_fail(diag, TM_EINVAL, NULL, where, "must be a network such as 10.0.0.0/8");
    }
    for (size_t i = 0; i < s->validation.insecure.n; i++) {
        const char *why = dns_name_check(slice_str(s->validation.insecure.v[i]), false);
        snprintf(where, sizeof where, "%s/validation/insecure-domains/%zu", path, i);
        /* One label is a domain here, such as "lan". */
        if (why && strchr(s->validation.insecure.v[i], '.'))
            return diag_fail(diag, TM_EINVAL, NULL, where, "\"%s\" %s", s->validation.insecure.v[i], why);
    }
    return TM_OK;
}
