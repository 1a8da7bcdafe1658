/* policy/enrollment.h - the normalised request that every door produces, and the facts that policy judges it by.
 *
 * Layer 3, plain data. Everything is borrowed from the request's arena. A door fills `struct enrollment`; the pipeline
 * gathers `struct facts`; policy_decide() reads both and nothing else. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "keys/pubkey.h"
#include "keys/quality.h"
#include "x509/ext.h"
#include "x509/general_name.h"
#include "x509/spki.h"
#include <stdbool.h>

enum door {
    DOOR_REST,
    DOOR_EST,
    DOOR_ACME,
    DOOR_SCEP,
    DOOR_CMP,
    DOOR_COAP,
    DOOR_FACTORY,
    DOOR_CEREMONY,
    DOOR_COUNT
};
extern const char *const door_names[DOOR_COUNT + 1]; /* "rest", "est", … */

enum enroll_kind {
    ENROLL_NEW,   /* first certificate for this subject */
    ENROLL_RENEW, /* replaces `predecessor`; same names, key as the profile's renewal rule says */
};

enum key_origin {
    KEY_ORIGIN_UNKNOWN,
    KEY_ORIGIN_SOFTWARE,
    KEY_ORIGIN_SERVER,
    KEY_ORIGIN_HSM,
    KEY_ORIGIN_TPM,
    KEY_ORIGIN_SECURE_ELEMENT,
    KEY_ORIGIN_TEE,
    KEY_ORIGIN_PUF,
    KEY_ORIGIN_COUNT
};
extern const char *const
    key_origin_names[KEY_ORIGIN_COUNT +
                     1]; /* "unknown", "software", "server", "hsm", "tpm", "secure-element", "tee", "puf" */

enum caller_kind {
    CALLER_ANONYMOUS,
    CALLER_DEVICE,      /* TLS client certificate of a configured trust set (IDevID) */
    CALLER_CERTIFICATE, /* TLS client certificate that we issued */
    CALLER_TOKEN,       /* one-time or shared enrollment token */
    CALLER_PRINCIPAL,   /* API principal with a role */
    CALLER_ACCOUNT,     /* ACME account; it speaks for the names that it has proven */
    CALLER_COUNT
};
extern const char
    *const caller_kind_names[CALLER_COUNT +
                             1]; /* "anonymous", "device", "certificate", "token", "principal", "account" */

/* Who asks, as the door authenticated them. */
struct caller {
    enum caller_kind kind;
    const char *id;        /* principal or token id, certificate subject text; never a secret */
    struct slice cert;     /* DER, for DEVICE and CERTIFICATE */
    bool cert_expired;     /* accepted within grace only */
    const char *trust_set; /* DEVICE: the set that vouched */
    const char *roles;     /* PRINCIPAL: comma-separated roles in this tenant */
    const char *device_id; /* a device this credential is bound to; "" or NULL when none */
    const char *const *
        names; /* TOKEN, ACCOUNT: names ("DNS:…", "IP:…", "CN=…") it may ask for; NULL with n_names 0: any the profile allows */
    size_t n_names;
    const char *peer; /* network address, for the record */
};

/* What the door found in DNS about who may issue for a name (RFC 8659). It looks for names that it is going to ask for, where the profile
 * wants that. */
struct caa_finding {
    int64_t at;               /* when; 0: nobody looked */
    const char *const *names; /* "DNS:…" for which nothing speaks against it */
    size_t n_names;
    const char *refused; /* why another may not be issued, for the caller; NULL: none */
};

struct enrollment {
    const char *request_id;
    const char *tenant;   /* "default" … */
    const char *endpoint; /* name of the open door */
    enum door door;
    const char *profile; /* name asked for, or chosen by the endpoint */
    enum enroll_kind kind;
    struct caller caller;

    struct spki spki; /* the key to be certified */
    struct pubkey_info key;
    bool pop_verified; /* possession proven (or key generated here) */
    bool
        pop_by_decryption; /* by decrypting, not signing; pending where it is not verified: nobody gets the certificate in another form
                                   than encrypted to its key */
    enum key_origin key_origin; /* as far as evidence proves it; UNKNOWN otherwise */

    struct slice subject;          /* requested Name TLV; empty slice when none */
    struct general_names san;      /* requested */
    struct exts exts;              /* requested extensions, SAN included as asked */
    int64_t not_before, not_after; /* requested; 0: none */
    const char *idempotency_key;   /* NULL: none */
    struct caa_finding caa;
};

enum device_state {
    DEVICE_NONE,
    DEVICE_MADE,
    DEVICE_SHIPPED,
    DEVICE_ONBOARDED,
    DEVICE_OPERATING,
    DEVICE_TRANSFERRED,
    DEVICE_RETIRED,
    DEVICE_STATE_COUNT
};
extern const char *const device_state_names[DEVICE_STATE_COUNT + 1]; /* "none", "made", "shipped", … */

/* What the house knows. Gathered before deciding; absent things are zero. */
struct facts {
    int64_t now;

    struct { /* the authority the profile (or endpoint) names */
        const char *name;
        struct slice subject; /* Name TLV */
        struct slice key_id;  /* SKI octets */
        const char *key_ref;  /* the signer's key id */
        enum key_alg key_alg;
        enum sig_alg sig_alg;
        int64_t not_before, not_after;
        bool disabled;
        bool revoked;                            /* its CA certificate, or one above it */
        const char *crl_url, *ca_url, *ocsp_url; /* NULL or "": leave out */
        struct slice
            crl_issuer; /* Name TLV: who signs the CRL at crl_url, where it is another CA; empty: this one */
    } authority;

    struct { /* looked up by the caller's certificate or token binding, or by requested serial number */
        bool known;
        const char *id, *serial, *model, *vendor, *owner, *place;
        enum device_state state;
        const struct general_name *hw_names; /* its identifiers as SANs, where it has such */
        size_t n_hw_names;
    } device;

    struct {        /* the certificate being renewed */
        bool known; /* in our store */
        bool revoked;
        const char *profile;
        struct slice cert; /* DER */
        int64_t not_before, not_after;
        bool same_key;
    } predecessor;

    struct {
        uint64_t issued_in_window; /* by this profile (quota.window) */
        uint64_t
            live_for_subject; /* unexpired, unrevoked certificates of the same device or subject under this profile */
    } quota;

    bool key_compromised;    /* a certificate of the same key was revoked for keyCompromise */
    bool key_used_elsewhere; /* the same key is certified for another device or subject */
    const char *key_used_by; /* that subject, for the explanation */
    struct key_quality quality;
    bool approved; /* a second pair of eyes has approved this very request */
    const char *approved_by;
};
