#include "issue/cmp_settings.h"

static const char *const unconfirmed_names[] = {"revoke", "keep", NULL};
static const char *const key_form_names[] = {"package", "bare", NULL};

const struct json_field cmp_settings_schema[] = {
    {.key = "ra-trust-sets",
     .kind = JSON_K_STRINGS,
     .offset = offsetof(struct cmp_settings, ra_trust_sets),
     .max = 16,
     .doc =
         "trust sets whose certificates for CMC registration authorities (cmcRA) speak for others: they forward, and say raVerified"},
    {.key = "implicit-confirm",
     .kind = JSON_K_BOOL,
     .offset = offsetof(struct cmp_settings, implicit_confirm),
     .def = "true",
     .doc = "who asks for implicit confirmation gets it"},
    {.key = "confirm-within",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct cmp_settings, confirm_within),
     .min = 1,
     .max = 7 * 86400,
     .def = "10m",
     .doc = "how long the client has to confirm its certificate"},
    JSON_FIELD(struct cmp_settings, unconfirmed, JSON_K_ENUM, .names = unconfirmed_names, .def = "revoke",
               .doc = "what becomes of a certificate that is not confirmed in time"),
    JSON_FIELD(
        struct cmp_settings, retention, JSON_K_DURATION, .min = 600, .max = 30 * 86400, .def = "1d",
        .doc =
            "how long a transaction's answers can be had again; one that waits for approval stays for 30 days"),
    {.key = "clock-skew",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct cmp_settings, clock_skew),
     .min = 0,
     .max = 400 * 86400LL,
     .def = "1h",
     .doc =
         "how far the time in a message may be off; 0s: it does not matter, as for devices without a clock"},
    {.key = "poll-after",
     .kind = JSON_K_DURATION,
     .offset = offsetof(struct cmp_settings, poll_after),
     .min = 1,
     .max = 86400,
     .def = "1m",
     .doc = "how long who waits for approval is told to wait before asking again"},
    JSON_FIELD(struct cmp_settings, revocation, JSON_K_BOOL, .def = "true",
               .doc = "certificates can be revoked here by who holds them, and by RAs"),
    {.key = "key-form",
     .kind = JSON_K_ENUM,
     .offset = offsetof(struct cmp_settings, key_form),
     .names = key_form_names,
     .def = "package",
     .doc =
         "keys that are made here: a package as RFC 5958 has it, or the bare PKCS #8 key, which is all that `openssl cmp` reads"},
    {0},
};
