/* issue/scep_settings.h - what an endpoint of protocol scep can be told: the "scep" part of the resource. Layer 4, plain data. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

/* Bits of scep_settings.challenges: what may stand in challengePassword. */
enum scep_challenge {
    SCEP_CHALLENGE_TOKEN,   /* a one-time secret: touchmark token create --for scep */
    SCEP_CHALLENGE_STATIC,  /* one for all; discouraged */
    SCEP_CHALLENGE_WEBHOOK, /* whatever the web hook says of it */
    SCEP_CHALLENGE_NONE,    /* may be left out: policy and approval decide */
    SCEP_CHALLENGE_KINDS
};
extern const char *const scep_challenge_names[]; /* "token", … */

struct scep_settings {
    unsigned challenges;       /* bit set */
    const char *static_sha256; /* of the static challenge, hex; "" none */
    struct {
        bool sha1, des3;
    } legacy;
    int64_t retention;       /* seconds that transactions are kept */
    int64_t clock_tolerance; /* of signingTime; 0: not looked at */
    struct {
        const char *url; /* "" none */
        const char *secret, *bearer, *ca;
        int64_t timeout;
        bool notify;
        struct json_strings networks; /* that may be connected to although they are not public */
    } webhook;
};
extern const struct json_field scep_settings_schema[];

/* What the schema can't say. `path` is the JSON pointer of the object. TM_EINVAL. */
tm_err scep_settings_check(const struct scep_settings *s, const char *path, struct diag *diag);
