/* enroll/acme/rows.h - accounts, orders and authorizations: their structs, and the rows of the store that they come from and go to.
 *
 * Layer 5, pure. Everything lives in the arena of the reading. A struct keeps its row: what is changed is written with the version that
 * was read. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "enroll/acme/star_schedule.h"
#include "issue/acme_settings.h"
#include "store/store.h"
#include <stdbool.h>
struct arena;

enum acme_status {
    ACME_PENDING,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID,
    ACME_DEACTIVATED,
    ACME_EXPIRED,
    ACME_REVOKED,
    ACME_CANCELED,
    ACME_STATUS_COUNT
};
extern const char *const acme_status_names[]; /* "pending", … */

enum { ACME_ID_MAX = 32, ACME_IDENTIFIERS_MAX = 100, ACME_STATE_MAX = 256 << 10 };
#define ACME_STAR_SECONDS_MAX INT64_C(3153600000)

struct acme_account {
    struct object_row row; /* status: ACME_VALID, ACME_DEACTIVATED, ACME_REVOKED */
    const char *id;
    struct slice spki;      /* DER */
    const char *thumbprint; /* base64url, as in key authorizations */
    struct json_strings contact;
    int64_t terms_at;          /* when the terms were agreed to; 0: never */
    const char *external;      /* kid of the external account; "" none */
    struct json_strings names; /* that it grants: "DNS:…", "IP:…" */
    const char *profile;       /* that it is for; "" any */
};

struct acme_identifier {
    bool ip;
    const char *value; /* lower case; an address in its canonical text. Without "*." */
};

struct acme_order {
    struct object_row row; /* status: what was last stored; see acme_order_status() */
    const char *id;
    const char *profile;
    struct json_strings names; /* "DNS:…", "IP:…" as general names are written; wildcards with "*." */
    struct json_strings authz; /* ids, one a name */
    struct json_strings
        grounds; /* one a name, kept where authorizations may end before the order: "dns-01", or "granted:" and the kid */
    int64_t expires, not_before, not_after; /* 0: not asked for */
    const char *replaces;                   /* certID; "" */
    const char *error;                      /* problem as JSON text; "" */
    const char *serial;                     /* hex; "" */
    const char *pending;                    /* id of the continuation that it waits for; "" */
    const char *account_url;                /* as the account knew itself when the order was finalized; "" */
    struct acme_star star;
    struct slice csr;                        /* DER, for renewals; empty: not finalized, or none */
    int64_t cert_not_before, cert_not_after; /* of the present certificate, where it is renewed */
    struct slice cert;                       /* DER, where the inventory does not keep it; empty */
};

struct acme_challenge_state {
    int type;   /* enum acme_challenge_type */
    int status; /* enum acme_status: pending, processing, valid, invalid */
    const char *token;
    int64_t validated; /* 0: not */
    const char *error; /* problem as JSON text; "" */
};

struct acme_authz {
    struct object_row
        row; /* status: pending, valid, invalid, deactivated, revoked; time may have made it expired */
    const char *id;
    struct acme_identifier identifier;
    bool wildcard;
    bool subdomains; /* also for the names below (RFC 9444) */
    int64_t expires;
    const char *granted; /* kid of the external account that granted the name; "": proven */
    int64_t attempts;
    const char *account_url; /* as the account knew itself when the challenge was taken up */
    const char *endpoint, *thumbprint;
    struct json_objects challenges; /* of struct acme_challenge_state */
};

/* Ids of new rows: their time, then random. */
tm_err acme_id_make(const char **ret, struct arena *a);
/* At least 128 random bits, base64url (RFC 8555 8.1). */
tm_err acme_token_make(const char **ret, struct arena *a);

tm_err acme_account_read(struct acme_account *ret, struct arena *a, const struct object_row *row);
tm_err acme_account_write(struct acme_account *x, struct arena *a);
tm_err acme_order_read(struct acme_order *ret, struct arena *a, const struct object_row *row);
tm_err acme_order_write(struct acme_order *x, struct arena *a);
tm_err acme_authz_read(struct acme_authz *ret, struct arena *a, const struct object_row *row);
tm_err acme_authz_write(struct acme_authz *x, struct arena *a);

/* The row's key: account and name; what is for the names below as well has another. */
const char *acme_authz_key(struct arena *a, const char *account, const struct acme_identifier *id,
                           bool wildcard, bool subdomains);

/* An identifier as a client writes it (RFC 8555 7.1.3, RFC 8738). *ret_wildcard for "*.…". TM_EUNSUPPORTED for other types; TM_EINVAL with a
 * clause that fits behind the name. */
tm_err acme_identifier_parse(struct acme_identifier *ret, bool *ret_wildcard, struct arena *a,
                             const char *type, const char *value, struct diag *diag);
/* "DNS:*.example.org" and back. */
const char *acme_identifier_text(struct arena *a, const struct acme_identifier *id, bool wildcard);
tm_err acme_identifier_from_text(struct acme_identifier *ret, bool *ret_wildcard, struct arena *a,
                                 const char *text);
