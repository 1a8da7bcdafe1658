/* issue/acme_settings.h - what an endpoint of protocol acme can be told: the "acme" part of the resource. Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

enum acme_external { ACME_EXTERNAL_OPTIONAL, ACME_EXTERNAL_REQUIRED, ACME_EXTERNAL_OFF };

/* Bits of acme_settings.challenges; the door has a descriptor for each. */
enum acme_challenge_type {
    ACME_HTTP_01,
    ACME_DNS_01,
    ACME_TLS_ALPN_01,
    ACME_DNS_ACCOUNT_01,
    ACME_DNS_PERSIST_01,
    ACME_CHALLENGE_TYPES
};
extern const char *const acme_challenge_names[]; /* "http-01", … */

struct acme_settings {
    const char *
        url; /* "https://acme.example.org": what the door's addresses begin with; "": as the client wrote it */
    const char *terms, *website;
    struct json_strings caa; /* meta.caaIdentities */
    int external;            /* enum acme_external */
    unsigned challenges;     /* bit set */
    bool contact;            /* an account must say how to reach its owner */
    bool grant;              /* names that an external account key grants need no challenge */
    bool subdomains;         /* RFC 9444: who has proven a domain may have the names below it */
    struct {                 /* RFC 8739 */
        int64_t min_lifetime, max_duration; /* seconds; max_duration 0: orders don't renew themselves */
        bool get;
    } star;
    int64_t order_lifetime, authorization_lifetime, retention; /* seconds */
    struct {
        int64_t orders; /* new ones an account and hour; 0: any number */
        int64_t
            accounts; /* new ones without an external key, an address (an IPv6 /64) and hour; 0: any number */
        int64_t identifiers;
    } limits;
    struct {
        struct json_strings resolvers; /* "192.0.2.1", "192.0.2.1@5353"; none: the machine's */
        struct json_strings networks;  /* that may be connected to although they are not public */
        struct json_strings insecure;  /* domains that are not held to DNSSEC */
        bool dnssec;
        int64_t http_port, tls_port;
        int64_t attempts;
    } validation;
};
extern const struct json_field acme_settings_schema[];

/* What the schema can't say. `path` is the JSON pointer of the object. TM_EINVAL. */
tm_err acme_settings_check(const struct acme_settings *s, const char *path, struct diag *diag);
