/* issue/cmp_settings.h - what an endpoint of protocol cmp can be told: the "cmp" part of the resource. Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

enum cmp_unconfirmed { CMP_UNCONFIRMED_REVOKE, CMP_UNCONFIRMED_KEEP };

enum cmp_key_form { CMP_KEY_PACKAGE, CMP_KEY_BARE };

struct cmp_settings {
    struct json_strings ra_trust_sets; /* whose certificates for cmcRA speak for others */
    bool implicit_confirm;             /* who asks for it need not confirm */
    int64_t confirm_within;            /* seconds until a certificate has to be confirmed */
    int unconfirmed;                   /* enum cmp_unconfirmed: what becomes of one that is not */
    int64_t retention;                 /* seconds that a transaction can be asked about */
    int64_t clock_skew;                /* seconds that messageTime may be off; 0: any */
    int64_t poll_after;                /* seconds that who waits is told to wait before asking again */
    bool revocation;                   /* rr is served */
    int key_form;                      /* enum cmp_key_form: of keys that are made here */
};
extern const struct json_field cmp_settings_schema[];
