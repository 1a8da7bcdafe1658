/* policy/profile_impl.h - a compiled profile, as the decision reads it.
 *
 * Layer 3, private to policy/. Immutable once profile_from_json() has returned; everything lives in `arena`. */
#pragma once
#include "keys/alg.h"
#include "policy/names.h"
#include "policy/profile.h"
#include "policy/profile_doc.h"
#include "policy/template.h"
#include "x509/ext.h"

enum { KEY_RULES_MAX = 16 };

struct key_rule {
    enum key_alg alg;
    unsigned min_bits, max_bits; /* both 0: any */
};

struct subject_rule { /* a line of the template */
    const struct attr_info *attr;
    struct template value;
    bool device_bound; /* reads the registry, the token or fixed text alone */
};
struct allow_rule {
    const struct attr_info *attr;
    unsigned max;
    struct json_strings patterns;
};
struct san_rule { /* a name of the template */
    enum general_name_type type;
    struct template value;
};
struct custom_rule {
    struct ext ext; /* value encoded, unless a template */
    bool templated;
    struct template value;
};

struct profile {
    struct arena *arena;
    struct slice source; /* canonical JSON */
    int64_t version;
    struct profile_doc doc;

    struct key_rule keys[KEY_RULES_MAX];
    size_t n_keys;
    const char *keys_text; /* "ec-p256, rsa-2048+" for explanations */
    enum sig_alg sig_alg;  /* SIG_ALG_NONE: the authority's */
    int64_t fixed_end;     /* unix seconds; 0: none */
    int64_t renew_percent; /* share of the lifetime left; 0: renew_before counts */
    int64_t renew_before;

    struct subject_rule *subject;
    size_t n_subject;
    struct allow_rule *allow;
    size_t n_allow;
    const struct attr_info **required;
    size_t n_required;
    bool uses_caller; /* a template reads the caller's certificate */

    struct san_rule *san;
    size_t n_san;
    struct cidr *cidrs;
    size_t n_cidrs;

    uint32_t key_usage;
    /* Constant extensions, encoded once. key_usage_ext by what the key can do: bit 0 encipher, bit 1 agree. */
    struct ext basic_constraints, key_usage_ext[4], eku, policies, no_rev_avail, tls_feature;
    struct slice *eku_oids;
    size_t n_eku;
    struct custom_rule *custom;
    size_t n_custom;
    struct slice *allow_ext; /* OID contents */
    size_t n_allow_ext;
};

/* profile_compile.c: cross-field rules, then the templates above. p->doc is bound, p->arena is set. */
tm_err profile_compile(struct profile *p, struct diag *diag);
/* profile_compile.c: "rsa-2048+" and friends. */
bool profile_key_allowed(const struct profile *p, enum key_alg alg, unsigned bits);
