/* policy/profile_doc.h - a profile as its author wrote it: the document bound by profile_schema, defaults filled in.
 *
 * Layer 3, private to policy/. Compiled into struct profile by profile_compile.c; snapshots and the reference are written from
 * the same schema. */
#pragma once
#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

enum on_outlive { OUTLIVE_TRUNCATE, OUTLIVE_REFUSE };
enum calendar { CALENDAR_NONE, CALENDAR_PUBLIC_TLS };
enum requested_time { REQUESTED_IGNORE, REQUESTED_HONOUR };
enum key_reuse { REUSE_SAME_SUBJECT, REUSE_NEVER, REUSE_ANY };
enum subject_other { OTHER_DROP, OTHER_REFUSE };
enum subject_empty { EMPTY_REFUSE, EMPTY_ALLOW };
enum san_from { SAN_FROM_REQUEST, SAN_FROM_DEVICE, SAN_FROM_TEMPLATE };
enum san_cn { SAN_CN_IGNORE, SAN_CN_REQUIRE, SAN_CN_COPY };
enum rekey { REKEY_ALLOWED, REKEY_REQUIRED, REKEY_FORBIDDEN };
enum predecessor_source { PREDECESSOR_KNOWN, PREDECESSOR_TRUST_SET };
enum revocation_model { REVOCATION_CRL, REVOCATION_NONE };
enum caller_names { CALLER_NAMES_OWN, CALLER_NAMES_ANY };
enum caa { CAA_NONE, CAA_REQUIRED };
enum lint_mode { LINT_MODE_FAIL, LINT_MODE_WARN };

/* from 2027-03-15 on at most 100 days */
struct limit_row {
    int64_t from;
    int64_t max;
};

/* One attribute that the profile writes. */
struct subject_part {
    const char *attr;
    const char *value;
};

/* One attribute that a request may bring. */
struct subject_allow {
    const char *attr;
    int64_t max;
    struct json_strings patterns;
};

struct custom_ext {
    const char *oid;
    bool critical;
    const char *hex, *utf8, *ia5, *template;
};

struct profile_doc {
    const char *kind, *name, *description, *authority;
    unsigned doors, callers;
    struct json_strings roles;
    int caller_names;

    struct {
        int64_t standard, max, min, backdate; /* standard: the key "default" */
        int on_outlive;
        const char *not_after;
        int calendar;
        struct json_objects limits; /* struct limit_row */
        int requested;
    } lifetime;

    struct {
        struct json_strings algorithms;
        unsigned origins;
        struct {
            bool allowed;
            const char *algorithm;
        } server_generated;
        int reuse;
        bool quality;
    } key;
    const char *signature;

    struct {
        struct json_objects template; /* struct subject_part */
        struct json_objects allow;    /* struct subject_allow */
        struct json_strings required;
        int other, empty;
    } subject;

    struct {
        int from;
        struct json_strings template;
        struct {
            struct {
                bool seen;
                struct json_strings suffixes;
                bool wildcards, internal_names;
                int64_t max_labels;
            } dns;
            struct {
                bool seen;
                struct json_strings cidrs;
            } ip;
            struct {
                bool seen;
                struct json_strings prefixes;
            } uri;
            struct {
                bool seen;
                struct json_strings domains;
            } email;
        } allow;
        bool hardware_module_name, permanent_id;
        int64_t min, max;
        int cn;
    } san;
    int caa;

    struct {
        unsigned key_usage;
        struct json_strings eku;
        bool critical;
    } usage;

    struct {
        bool aia, cdp, ocsp, no_rev_avail, must_staple;
        bool cdp_seen, ocsp_seen;
        struct json_strings policies;
        struct json_objects custom; /* struct custom_ext */
        struct json_strings allow_requested;
    } extensions;

    struct {
        int64_t max, window, per_subject;
    } quota;

    struct {
        const char *before;
        int64_t grace;
        int rekey;
        bool same_names;
        int predecessor;
        struct json_strings from;
    } renewal;

    struct {
        bool required;
        unsigned states;
        bool bind_names;
    } device;

    struct {
        bool required;
        struct json_strings roles, groups;
        int64_t deadline;
    } approval;

    struct {
        int model;
        unsigned reasons;
        struct {
            bool seen;
            int64_t lifetime, every, delta; /* 0: the authority's */
            int64_t shards;
            bool on_revocation;
        } crl;
    } revocation;

    struct {
        int level;
        int64_t keep_expired;
    } retention;

    struct {
        unsigned families;
        int mode;
    } lint;
};

extern const struct json_field profile_schema[];
