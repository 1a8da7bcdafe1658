/* The profile document as a table: what may be written, its type, its default, and the sentence that documents it. */
#include "policy/enrollment.h"
#include "policy/lint.h"
#include "policy/profile.h"
#include "policy/profile_doc.h"
#include "x509/ext.h"

const char *const retention_names[] = {"full", "metadata", "minimal", NULL};

static const char *const kinds[] = {"truncate", "refuse", NULL};
static const char *const calendars[] = {"none", "public-tls", NULL};
static const char *const requested[] = {"ignore", "honour", NULL};
static const char *const reuses[] = {"same-subject", "never", "any", NULL};
static const char *const others[] = {"drop", "refuse", NULL};
static const char *const empties[] = {"refuse", "allow", NULL};
static const char *const san_froms[] = {"request", "device", "template", NULL};
static const char *const san_cns[] = {"ignore", "require", "copy", NULL};
static const char *const rekeys[] = {"allowed", "required", "forbidden", NULL};
static const char *const predecessors[] = {"known", "trust-set", NULL};
static const char *const revocations[] = {"crl", "none", NULL};
static const char *const caller_names[] = {"own", "any", NULL};
static const char *const caas[] = {"none", "required", NULL};
static const char *const modes[] = {"fail", "warn", NULL};
/* A subscriber may not claim removeFromCRL, cACompromise or aACompromise (RFC 5280 5.3.1). */
static const char *const reasons[] = {
    "unspecified",          "keyCompromise",   "affiliationChanged", "superseded",
    "cessationOfOperation", "certificateHold", "privilegeWithdrawn", NULL};

#define FIELD(type, json, member, json_kind, text, ...)                                                      \
    {.key = (json), .kind = (json_kind), .offset = offsetof(type, member), .doc = (text), __VA_ARGS__}
#define DOC(json, member, json_kind, text, ...)                                                              \
    FIELD(struct profile_doc, json, member, json_kind, text, __VA_ARGS__)
#define END {.key = NULL}

static const struct json_field limit_schema[] = {
    FIELD(struct limit_row, "from", from, JSON_K_TIME, "the day from which the limit holds",
          .required = true),
    FIELD(struct limit_row, "max", max, JSON_K_DURATION, "longest whole period, notBefore to notAfter",
          .required = true, .min = 1, .max = INT64_C(3153600000)),
    END,
};

/* Objects in objects: json_bind hands each sub-schema the address of its member, so offsets count from there. */
#define SUB(base, json, member, json_kind, text, ...)                                                        \
    {.key = (json),                                                                                          \
     .kind = (json_kind),                                                                                    \
     .offset = offsetof(struct profile_doc, base.member) - offsetof(struct profile_doc, base),               \
     .doc = (text),                                                                                          \
     __VA_ARGS__}
/* json_bind counts this one from the struct that holds the member. */
#define SEEN(base, member)                                                                                   \
    .seen_offset = offsetof(struct profile_doc, base.member.seen) - offsetof(struct profile_doc, base) + 1

static const struct json_field lifetime_schema[] = {
    SUB(lifetime, "default", standard, JSON_K_DURATION,
        "how long a certificate lives, counted from its issue; required unless not-after is given"),
    SUB(lifetime, "max", max, JSON_K_DURATION,
        "longest that a request may ask for; the default where left out"),
    SUB(lifetime, "min", min, JSON_K_DURATION, "shortest that is worth issuing", .def = "1m", .min = 1,
        .max = INT64_C(3153600000)),
    SUB(lifetime, "backdate", backdate, JSON_K_DURATION,
        "notBefore lies this long before the issue, for clocks that are behind", .def = "5m", .min = 0,
        .max = INT64_C(31536000)),
    SUB(lifetime, "on-outlive", on_outlive, JSON_K_ENUM, "what to do when the authority would expire first",
        .names = kinds, .def = "truncate"),
    SUB(lifetime, "not-after", not_after, JSON_K_STRING,
        "a fixed end: \"never\" (99991231235959Z) or a date; replaces default and max", .def = ""),
    SUB(lifetime, "calendar", calendar, JSON_K_ENUM,
        "limits by date that are built in; public-tls: 200 days, 100 from 2027-03-15, 47 from 2029-03-15",
        .names = calendars, .def = "none"),
    SUB(lifetime, "limits", limits, JSON_K_OBJECTS, "own limits by date, each {from, max}",
        .sub = limit_schema, .size = sizeof(struct limit_row), .max = 16),
    SUB(lifetime, "requested", requested, JSON_K_ENUM,
        "times in the request: ignore them, or honour them within min and max", .names = requested,
        .def = "ignore"),
    END,
};

static const struct json_field server_generated_schema[] = {
    SUB(key.server_generated, "allowed", allowed, JSON_K_BOOL,
        "the house may generate the key for the caller", .def = "false"),
    SUB(key.server_generated, "algorithm", algorithm, JSON_K_STRING, "what it then generates",
        .def = "ec-p256", .max = 32),
    END,
};

static const struct json_field key_schema[] = {
    SUB(key, "algorithms", algorithms, JSON_K_STRINGS,
        "allowed keys; rsa-3072 means that size alone, rsa-3072+ that size or longer",
        .def = "ec-p256,ec-p384,rsa-2048+", .min = 1, .max = 16),
    SUB(key, "origins", origins, JSON_K_ENUMS, "where the key may live, as far as evidence proves it",
        .names = key_origin_names, .def = "unknown,software,server,hsm,tpm,secure-element,tee,puf", .min = 1),
    SUB(key, "server-generated", server_generated, JSON_K_OBJECT, "keys generated by the house",
        .sub = server_generated_schema),
    SUB(key, "reuse", reuse, JSON_K_ENUM,
        "may a key be certified again: for the same subject, never (not even on renewal), or for any",
        .names = reuses, .def = "same-subject"),
    SUB(key, "quality", quality, JSON_K_BOOL,
        "refuse keys known to be weak (ROCA, close primes, block-lists)", .def = "true"),
    END,
};

static const struct json_field part_schema[] = {
    FIELD(struct subject_part, "attr", attr, JSON_K_STRING,
          "CN, O, OU, C, ST, L, serialNumber, … or a dotted OID", .required = true, .min = 1, .max = 64),
    FIELD(struct subject_part, "value", value, JSON_K_STRING,
          "text with placeholders such as {csr.CN} or {device.serial|csr.serialNumber}", .required = true,
          .min = 1, .max = 512),
    END,
};

static const struct json_field allow_schema[] = {
    FIELD(struct subject_allow, "attr", attr, JSON_K_STRING, "the attribute", .required = true, .min = 1,
          .max = 64),
    FIELD(struct subject_allow, "max", max, JSON_K_INT, "longest value in characters; 0: the bound of X.520",
          .min = 0, .max = 1024),
    FIELD(struct subject_allow, "patterns", patterns, JSON_K_STRINGS,
          "globs, one of which must match: * any run, ? one character, [a-z0-9] one of a set", .max = 64),
    END,
};

static const struct json_field subject_schema[] = {
    SUB(subject, "template", template, JSON_K_OBJECTS,
        "the subject to write, most general attribute first; without it the request's subject is taken",
        .sub = part_schema, .size = sizeof(struct subject_part), .max = 16),
    SUB(subject, "allow", allow, JSON_K_OBJECTS, "attributes that a request may bring, and their form",
        .sub = allow_schema, .size = sizeof(struct subject_allow), .max = 32),
    SUB(subject, "required", required, JSON_K_STRINGS, "attributes that the certificate must end up with",
        .max = 16),
    SUB(subject, "other", other, JSON_K_ENUM, "requested attributes that are not allowed or not used",
        .names = others, .def = "drop"),
    SUB(subject, "empty", empty, JSON_K_ENUM, "an empty subject (the subjectAltName is critical then)",
        .names = empties, .def = "refuse"),
    END,
};

static const struct json_field dns_schema[] = {
    SUB(san.allow.dns, "suffixes", suffixes, JSON_K_STRINGS,
        "domains that names must be or lie under; none given: any name", .max = 256),
    SUB(san.allow.dns, "wildcards", wildcards, JSON_K_BOOL,
        "*.example.org, the star alone in the first label", .def = "false"),
    SUB(san.allow.dns, "max-labels", max_labels, JSON_K_INT, "most labels in a name; 0: no limit", .def = "0",
        .min = 0, .max = 127),
    SUB(san.allow.dns, "internal-names", internal_names, JSON_K_BOOL,
        "names of one label, and under .local, .internal, .lan, .home.arpa and the like", .def = "true"),
    END,
};
static const struct json_field ip_schema[] = {
    SUB(san.allow.ip, "cidrs", cidrs, JSON_K_STRINGS, "networks that addresses must lie in; none given: any",
        .max = 256),
    END,
};
static const struct json_field uri_schema[] = {
    SUB(san.allow.uri, "prefixes", prefixes, JSON_K_STRINGS,
        "a URI must begin with one of them; none given: any", .max = 256),
    END,
};
static const struct json_field email_schema[] = {
    SUB(san.allow.email, "domains", domains, JSON_K_STRINGS,
        "domains of mail addresses (the part after the @, exactly); none given: any", .max = 256),
    END,
};
static const struct json_field san_allow_schema[] = {
    SUB(san.allow, "dns", dns, JSON_K_OBJECT, "allow DNS names; {} for any", .sub = dns_schema,
        SEEN(san.allow, dns)),
    SUB(san.allow, "ip", ip, JSON_K_OBJECT, "allow IP addresses; {} for any", .sub = ip_schema,
        SEEN(san.allow, ip)),
    SUB(san.allow, "uri", uri, JSON_K_OBJECT, "allow URIs; {} for any", .sub = uri_schema,
        SEEN(san.allow, uri)),
    SUB(san.allow, "email", email, JSON_K_OBJECT, "allow mail addresses; {} for any", .sub = email_schema,
        SEEN(san.allow, email)),
    END,
};

static const struct json_field san_schema[] = {
    SUB(san, "from", from, JSON_K_ENUM,
        "request: the names asked for (and the template's); device, template: those alone, requested ones are dropped",
        .names = san_froms, .def = "request"),
    SUB(san, "template", template, JSON_K_STRINGS,
        "names to write, such as \"DNS:{device.serial}.devices.example\" (DNS:, IP:, URI:, email:)",
        .max = 16),
    SUB(san, "allow", allow, JSON_K_OBJECT, "types that a request may bring; a type not named is refused",
        .sub = san_allow_schema),
    SUB(san, "hardware-module-name", hardware_module_name, JSON_K_BOOL,
        "the device's hardwareModuleName (RFC 4108) from the registry", .def = "false"),
    SUB(san, "permanent-id", permanent_id, JSON_K_BOOL,
        "the device's permanentIdentifier (RFC 4043) from the registry", .def = "false"),
    SUB(san, "min", min, JSON_K_INT, "fewest names", .def = "0", .min = 0, .max = 128),
    SUB(san, "max", max, JSON_K_INT, "most names", .def = "100", .min = 0, .max = 128),
    SUB(san, "cn", cn, JSON_K_ENUM,
        "a common name that looks like a DNS name or address: ignore it, require it among the names, or copy it there",
        .names = san_cns, .def = "ignore"),
    END,
};

static const struct json_field usage_schema[] = {
    SUB(usage, "key-usage", key_usage, JSON_K_ENUMS,
        "bits of keyUsage; keyEncipherment and keyAgreement are left out for keys that cannot",
        .names = key_usage_names, .def = "digitalSignature", .min = 1),
    SUB(usage, "eku", eku, JSON_K_STRINGS, "extended key usages by name or dotted OID; none: no extension",
        .max = 32),
    SUB(usage, "critical", critical, JSON_K_BOOL, "extKeyUsage is critical", .def = "false"),
    END,
};

static const struct json_field custom_schema[] = {
    FIELD(struct custom_ext, "oid", oid, JSON_K_STRING, "dotted OID", .required = true, .min = 3, .max = 128),
    FIELD(struct custom_ext, "critical", critical, JSON_K_BOOL, "critical", .def = "false"),
    FIELD(struct custom_ext, "hex", hex, JSON_K_STRING, "the value as DER in hex", .max = 4096),
    FIELD(struct custom_ext, "utf8", utf8, JSON_K_STRING, "or a UTF8String", .max = 2048),
    FIELD(struct custom_ext, "ia5", ia5, JSON_K_STRING, "or an IA5String", .max = 2048),
    FIELD(struct custom_ext, "template", template, JSON_K_STRING, "or a UTF8String with placeholders",
          .max = 512),
    END,
};

static const struct json_field extensions_schema[] = {
    SUB(extensions, "aia", aia, JSON_K_BOOL, "caIssuers address of the authority", .def = "true"),
    SUB(extensions, "ocsp", ocsp, JSON_K_BOOL,
        "OCSP address of the authority, where it has one; false by default where nothing is revoked",
        .def = "true",
        .seen_offset = offsetof(struct profile_doc, extensions.ocsp_seen) -
                       offsetof(struct profile_doc, extensions) + 1),
    SUB(extensions, "cdp", cdp, JSON_K_BOOL,
        "CRL distribution point of the authority; false by default where nothing is revoked", .def = "true",
        .seen_offset =
            offsetof(struct profile_doc, extensions.cdp_seen) - offsetof(struct profile_doc, extensions) + 1),
    SUB(extensions, "no-rev-avail", no_rev_avail, JSON_K_BOOL,
        "noRevAvail (RFC 9608): no CDP and no OCSP then", .def = "false"),
    SUB(extensions, "must-staple", must_staple, JSON_K_BOOL, "TLS feature status_request (RFC 7633)",
        .def = "false"),
    SUB(extensions, "policies", policies, JSON_K_STRINGS, "certificate policy OIDs", .max = 16),
    SUB(extensions, "custom", custom, JSON_K_OBJECTS, "own extensions, one of hex, utf8, ia5, template each",
        .sub = custom_schema, .size = sizeof(struct custom_ext), .max = 12),
    SUB(extensions, "allow-requested", allow_requested, JSON_K_STRINGS,
        "extension OIDs that are copied from the request", .max = 12),
    END,
};

static const struct json_field quota_schema[] = {
    SUB(quota, "max", max, JSON_K_INT, "most certificates of this profile within the window; 0: no limit",
        .def = "0", .min = 0, .max = INT64_C(1000000000000)),
    SUB(quota, "window", window, JSON_K_DURATION, "the window", .def = "1d", .min = 1,
        .max = INT64_C(315360000)),
    SUB(quota, "per-subject", per_subject, JSON_K_INT,
        "most live certificates of one device or subject; 0: no limit", .def = "0", .min = 0, .max = 1000000),
    END,
};

static const struct json_field renewal_schema[] = {
    SUB(renewal, "before", before, JSON_K_STRING,
        "when renewal should begin: a share of the lifetime that is left (\"33%\") or a duration",
        .def = "33%", .max = 16),
    SUB(renewal, "grace", grace, JSON_K_DURATION,
        "the old certificate may still renew this long after its expiry", .def = "0s", .min = 0,
        .max = INT64_C(3153600000)),
    SUB(renewal, "rekey", rekey, JSON_K_ENUM, "a new key on renewal", .names = rekeys, .def = "allowed"),
    SUB(renewal, "same-names", same_names, JSON_K_BOOL,
        "a renewal may not bring names that its predecessor lacks", .def = "true"),
    SUB(renewal, "predecessor", predecessor, JSON_K_ENUM,
        "what may be renewed: certificates that the house knows, or also those that a trust set vouches for",
        .names = predecessors, .def = "known"),
    SUB(renewal, "from", from, JSON_K_STRINGS,
        "further profiles whose certificates may be renewed into this one", .max = 32),
    END,
};

static const struct json_field device_schema[] = {
    SUB(device, "required", required, JSON_K_BOOL, "only for devices in the registry", .def = "false"),
    SUB(device, "states", states, JSON_K_ENUMS, "states in which a registered device may have one",
        .names = device_state_names, .def = "made,shipped,onboarded,operating,transferred", .min = 1),
    SUB(device, "bind-names", bind_names, JSON_K_BOOL,
        "requested names must be the device's own: its id or serial number, or those of the certificate it shows",
        .def = "false"),
    END,
};

static const struct json_field approval_schema[] = {
    SUB(approval, "required", required, JSON_K_BOOL, "a second person approves each request", .def = "false"),
    SUB(approval, "roles", roles, JSON_K_STRINGS, "roles that may approve", .def = "admin,operator",
        .max = 16),
    SUB(approval, "groups", groups, JSON_K_STRINGS,
        "groups of principals that may approve whatever their roles; with an empty list of roles, they alone",
        .max = 16),
    SUB(approval, "deadline", deadline, JSON_K_DURATION, "how long a request waits at most", .def = "30d",
        .min = 60, .max = 365 * 86400LL),
    END,
};

static const struct json_field own_crl_schema[] = {
    SUB(revocation.crl, "lifetime", lifetime, JSON_K_DURATION,
        "nextUpdate - thisUpdate of the list; 0s: as the authority has it", .def = "0s", .min = 0,
        .max = INT64_C(315360000)),
    SUB(revocation.crl, "every", every, JSON_K_DURATION,
        "how often a new one is published although nothing changed; 0s: as the authority has it", .def = "0s",
        .min = 0, .max = INT64_C(31536000)),
    SUB(revocation.crl, "delta", delta, JSON_K_DURATION,
        "publish a delta CRL so often and after each revocation, the complete one only by `every`; 0s: none",
        .def = "0s", .min = 0, .max = INT64_C(2592000)),
    SUB(revocation.crl, "on-revocation", on_revocation, JSON_K_BOOL,
        "a new one as soon as something was revoked; false: by the clock alone", .def = "true"),
    SUB(revocation.crl, "shards", shards, JSON_K_INT,
        "certificates issued from now on name one of so many lists; 1: they have one", .def = "1", .min = 1,
        .max = 128),
    END,
};

static const struct json_field revocation_schema[] = {
    SUB(revocation, "model", model, JSON_K_ENUM,
        "crl: the authority's CRL; none: the lifetime is the revocation mechanism", .names = revocations,
        .def = "crl"),
    SUB(revocation, "reasons", reasons, JSON_K_ENUMS, "reasons that an owner may give", .names = reasons,
        .def =
            "unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation,privilegeWithdrawn",
        .min = 1),
    SUB(revocation, "crl", crl, JSON_K_OBJECT,
        "a list of its own for the certificates of this profile, which name it; {} for one like the authority's",
        .sub = own_crl_schema, SEEN(revocation, crl)),
    END,
};

static const struct json_field retention_schema[] = {
    SUB(retention, "level", level, JSON_K_ENUM,
        "full; metadata: without the DER; minimal: serial, key hash, subject id and end alone",
        .names = retention_names, .def = "full"),
    SUB(retention, "keep-expired", keep_expired, JSON_K_DURATION, "expired rows stay this long", .def = "1y"),
    END,
};

static const struct json_field lint_schema[] = {
    SUB(lint, "families", families, JSON_K_ENUMS, "rules that look at each certificate before it is signed",
        .names = lint_family_names, .def = "rfc5280,touchmark"),
    SUB(lint, "mode", mode, JSON_K_ENUM, "a broken rule of severity fail stops the issue, or only warns",
        .names = modes, .def = "fail"),
    END,
};

const struct json_field profile_schema[] = {
    DOC("kind", kind, JSON_K_STRING, "always Profile", .required = true, .min = 1, .max = 32),
    DOC("name", name, JSON_K_STRING, "lower-case letters, digits and hyphens, at most 63", .required = true,
        .min = 1, .max = 63),
    DOC("description", description, JSON_K_STRING, "a sentence for people", .def = "", .max = 512),
    DOC("authority", authority, JSON_K_STRING, "the authority that issues; empty: the endpoint's", .def = "",
        .max = 63),
    DOC("doors", doors, JSON_K_ENUMS, "protocols that may carry it", .names = door_names,
        .def = "rest,est,acme,scep,cmp,coap,factory,ceremony", .min = 1),
    DOC("callers", callers, JSON_K_ENUMS, "who may ask; anonymous only where written",
        .names = caller_kind_names, .def = "device,certificate,token,principal,account", .min = 1),
    DOC("roles", roles, JSON_K_STRINGS, "roles of which a principal must hold one", .def = "admin,operator",
        .max = 16),
    DOC("caller-names", caller_names, JSON_K_ENUM,
        "what a caller with a certificate of the house may ask for: its own names, or any that the profile allows",
        .names = caller_names, .def = "own"),
    DOC("lifetime", lifetime, JSON_K_OBJECT, "how long", .required = true, .sub = lifetime_schema),
    DOC("key", key, JSON_K_OBJECT, "which keys", .sub = key_schema),
    DOC("signature", signature, JSON_K_STRING,
        "signature algorithm, such as rsa-pss-sha256; empty: what the authority signs with", .def = "",
        .max = 32),
    DOC("subject", subject, JSON_K_OBJECT, "the subject", .sub = subject_schema),
    DOC("san", san, JSON_K_OBJECT, "the subject alternative names", .sub = san_schema),
    DOC("caa", caa, JSON_K_ENUM,
        "required: CAA records (RFC 8659) must allow each DNS name; ACME endpoints look at them before each issue, other doors issue none",
        .names = caas, .def = "none"),
    DOC("usage", usage, JSON_K_OBJECT, "what the key is for; basicConstraints always says CA:FALSE",
        .sub = usage_schema),
    DOC("extensions", extensions, JSON_K_OBJECT, "other extensions", .sub = extensions_schema),
    DOC("quota", quota, JSON_K_OBJECT, "how many", .sub = quota_schema),
    DOC("renewal", renewal, JSON_K_OBJECT, "renewal", .sub = renewal_schema),
    DOC("device", device, JSON_K_OBJECT, "the device registry as a condition", .sub = device_schema),
    DOC("approval", approval, JSON_K_OBJECT, "four eyes", .sub = approval_schema),
    DOC("revocation", revocation, JSON_K_OBJECT, "how it is taken back", .sub = revocation_schema),
    DOC("retention", retention, JSON_K_OBJECT, "what is kept", .sub = retention_schema),
    DOC("lint", lint, JSON_K_OBJECT, "checks before signing", .sub = lint_schema),
    END,
};
