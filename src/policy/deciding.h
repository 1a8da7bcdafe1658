/* policy/deciding.h - a decision in the making: what the rules share.
 *
 * Layer 3, private to policy/. Each rule is a function over this struct; decide.c holds them in their order. A rule returns an
 * error only for internal trouble; it refuses through refuse(). */
#pragma once
#include "base/arena.h"
#include "policy/decide.h"
#include "policy/profile_impl.h"

struct planned_attr {
    const struct attr_info *attr;
    struct slice value; /* UTF-8 */
    bool from_request;
};
struct planned_name {
    struct general_name gn;
    bool from_request;
};

/* A certificate that is looked into for its names. */
struct shown_cert {
    struct cert cert;
    struct name subject;
    struct general_names san;
};

struct deciding {
    struct decision *d;
    struct arena *a;
    const struct profile *p;
    const struct enrollment *e;
    const struct facts *f;
    bool refused;
    char *text; /* room for explanations */
    size_t text_left;

    const struct key_alg_info *key;
    bool caller_read, predecessor_read;
    struct shown_cert *caller, *predecessor; /* NULL: none shown or it does not parse */

    bool subject_inherited, san_inherited; /* a renewal without names takes its predecessor's */
    struct name asked;                     /* the requested subject */
    struct general_names san_asked;

    struct planned_attr attrs[NAME_MAX_ATTRS];
    size_t n_attrs;
    struct planned_name *names; /* room for GENERAL_NAMES_MAX */
    size_t n_names;
};

/* The concatenation of the parts, kept as long as the decision. */
const char *say_parts(struct deciding *s, const char *const *parts);
#define SAY(s, ...) say_parts((s), (const char *const[]){__VA_ARGS__, NULL})

/* Add a line to the explanation. */
void trace_add(struct deciding *s, int result, const char *rule, const char *detail);
#define PASS(s, rule, ...)    trace_add((s), TRACE_PASS, (rule), SAY((s), __VA_ARGS__))
#define APPLIED(s, rule, ...) trace_add((s), TRACE_APPLIED, (rule), SAY((s), __VA_ARGS__))

/* Refuse: `reason` is for the caller and names no internals; the rest is the sentence for the record. */
tm_err refuse_with(struct deciding *s, tm_err err, const char *rule, const char *reason, const char *detail);
#define REFUSE(s, err, rule, reason, ...) refuse_with((s), (err), (rule), (reason), SAY((s), __VA_ARGS__))

/* Pieces for sentences. */
const char *say_slice(struct deciding *s, struct slice text); /* printable, cut at 96 octets */
const char *say_number(struct deciding *s, int64_t v);
const char *say_time(struct deciding *s, int64_t t);
const char *say_span(struct deciding *s, int64_t seconds);
const char *say_name(struct deciding *s, const struct general_name *gn);
static inline const char *say_text(const char *text)
{
    return text ? text : "";
}

/* Read at first use. */
struct shown_cert *caller_cert(struct deciding *s);
struct shown_cert *predecessor_cert(struct deciding *s);

/* First value of an attribute, {0} when there is none. */
struct slice name_value(struct deciding *s, const struct name *n, enum oid type);

/* Where templates get their values from (rules_subject.c). */
struct slice deciding_value(void *context, const struct template_alternative *what, bool *from_request);

static inline bool has_text(const char *s)
{
    return s && *s;
}

/* rules_caller.c */
tm_err rule_door(struct deciding *s);
tm_err rule_caller(struct deciding *s);
tm_err rule_authority(struct deciding *s);
tm_err rule_device(struct deciding *s);
/* rules_key.c */
tm_err rule_possession(struct deciding *s);
tm_err rule_key_algorithm(struct deciding *s);
tm_err rule_key_origin(struct deciding *s);
tm_err rule_key_quality(struct deciding *s);
tm_err rule_key_reuse(struct deciding *s);
tm_err rule_signature(struct deciding *s);
/* rules_renewal.c */
tm_err rule_renewal(struct deciding *s);
tm_err rule_renewal_names(struct deciding *s);
tm_err rule_same_names(struct deciding *s);
/* rules_subject.c */
tm_err rule_subject(struct deciding *s);
tm_err rule_subject_encode(struct deciding *s);
/* rules_san.c */
tm_err rule_san(struct deciding *s);
/* rules_binding.c */
tm_err rule_device_names(struct deciding *s);
tm_err rule_token_names(struct deciding *s);
tm_err rule_caller_names(struct deciding *s);
/* rules_caa.c */
tm_err rule_caa(struct deciding *s);
/* rules_lifetime.c */
tm_err rule_lifetime(struct deciding *s);
/* rules_extensions.c */
tm_err rule_extensions(struct deciding *s);
tm_err rule_quota(struct deciding *s);
tm_err rule_approval(struct deciding *s);
