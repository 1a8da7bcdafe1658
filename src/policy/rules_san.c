/* Subject alternative names: the template's, the device's, then those requested, in that order and without repetition. */
#include "der/oid.h"
#include "policy/deciding.h"
#include <arpa/inet.h>
#include <string.h>

static bool planned(const struct deciding *s, const struct general_name *gn)
{
    for (size_t i = 0; i < s->n_names; i++) {
        const struct general_name *have = &s->names[i].gn;
        if (general_name_eq(have, gn))
            return true;
        if (have->type == GN_DNS && gn->type == GN_DNS && slice_caseeq(have->value, gn->value))
            return true;
    }
    return false;
}

static tm_err name_add(struct deciding *s, const struct general_name *gn, bool from_request)
{
    if (planned(s, gn))
        return TM_OK;
    if (s->n_names == GENERAL_NAMES_MAX || (int64_t)s->n_names >= s->p->doc.san.max)
        return REFUSE(s, TM_EDENIED, "san.max",
                      SAY(s, "at most ", say_number(s, s->p->doc.san.max), " alternative names are allowed"),
                      "more alternative names than ", say_number(s, s->p->doc.san.max));
    s->names[s->n_names++] = (struct planned_name){*gn, from_request};
    return TM_OK;
}

/* ---- requested names ---- */

/* The rule and the reason why a requested name is refused; false: it is not. */
struct objection {
    const char *rule, *why;
};

static bool dns_objection(struct objection *o, const struct profile *p, struct slice name)
{
    const struct json_strings *suffixes = &p->doc.san.allow.dns.suffixes;
    *o = (struct objection){"san.dns.form", dns_name_check(name, true)};
    if (o->why)
        return true;
    if (dns_name_is_wildcard(name) && !p->doc.san.allow.dns.wildcards) {
        *o = (struct objection){"san.dns.wildcards", "is a wildcard, which the profile does not allow"};
        return true;
    }
    if (p->doc.san.allow.dns.max_labels && (int64_t)dns_name_labels(name) > p->doc.san.allow.dns.max_labels) {
        *o = (struct objection){"san.dns.max-labels", "has more labels than the profile allows"};
        return true;
    }
    if (!p->doc.san.allow.dns.internal_names && dns_name_is_internal(name)) {
        *o = (struct objection){"san.dns.internal-names",
                                "is an internal name, which the profile does not allow"};
        return true;
    }
    for (size_t i = 0; i < suffixes->n; i++)
        if (dns_name_under(name, slice_str(suffixes->v[i])))
            return false;
    *o = (struct objection){"san.dns.suffixes", "lies under none of the domains that the profile lists"};
    return suffixes->n > 0;
}

static bool ip_objection(struct objection *o, const struct profile *p, struct slice address)
{
    for (size_t i = 0; i < p->n_cidrs; i++)
        if (cidr_contains(&p->cidrs[i], address))
            return false;
    *o = (struct objection){"san.ip.cidrs", "lies in none of the networks that the profile lists"};
    return p->n_cidrs > 0;
}

static bool uri_objection(struct objection *o, const struct profile *p, struct slice uri)
{
    const struct json_strings *prefixes = &p->doc.san.allow.uri.prefixes;
    *o = (struct objection){"san.uri.form", uri_check(uri)};
    if (o->why)
        return true;
    for (size_t i = 0; i < prefixes->n; i++)
        if (uri_has_prefix(uri, slice_str(prefixes->v[i])))
            return false;
    *o = (struct objection){"san.uri.prefixes", "begins with none of the prefixes that the profile lists"};
    return prefixes->n > 0;
}

static bool email_objection(struct objection *o, const struct profile *p, struct slice mail)
{
    const struct json_strings *domains = &p->doc.san.allow.email.domains;
    *o = (struct objection){"san.email.form", email_check(mail)};
    if (o->why)
        return true;
    for (size_t i = 0; i < domains->n; i++)
        if (slice_caseeq(email_domain(mail), slice_str(domains->v[i])))
            return false;
    *o = (struct objection){"san.email.domains", "is in none of the domains that the profile lists"};
    return domains->n > 0;
}

/* Identifiers of hardware are the registry's to give; a principal who registers devices may bring them where none is known. */
static bool hardware_objection(struct objection *o, const struct deciding *s, const struct general_name *gn)
{
    bool wanted = gn->other == OID_HW_MODULE_NAME         ? s->p->doc.san.hardware_module_name
                  : gn->other == OID_PERMANENT_IDENTIFIER ? s->p->doc.san.permanent_id
                                                          : false;
    *o = (struct objection){"san.allow", "is of a type that the profile does not allow"};
    if (!wanted)
        return true;
    for (size_t i = 0; i < s->f->device.n_hw_names; i++)
        if (s->f->device.known && general_name_eq(&s->f->device.hw_names[i], gn))
            return false;
    const char *form = gn->other == OID_HW_MODULE_NAME ? hardware_module_name_check(gn->value)
                                                       : permanent_identifier_check(gn->value);
    *o = (struct objection){"san.hardware.form", form};
    if (form)
        return true;
    *o = (struct objection){"san.hardware", "is not among the registered identifiers of the device"};
    return s->e->caller.kind != CALLER_PRINCIPAL || (s->f->device.known && s->f->device.n_hw_names > 0);
}

/* All but those of hardware. */
static bool plain_objection(struct objection *o, const struct profile *p, const struct general_name *gn)
{
    const struct profile_doc *d = &p->doc;
    *o = (struct objection){"san.allow", "is of a type that the profile does not allow"};
    switch (gn->type) {
    case GN_DNS:
        return !d->san.allow.dns.seen || dns_objection(o, p, gn->value);
    case GN_IP:
        return !d->san.allow.ip.seen || ip_objection(o, p, gn->value);
    case GN_URI:
        return !d->san.allow.uri.seen || uri_objection(o, p, gn->value);
    case GN_EMAIL:
        return !d->san.allow.email.seen || email_objection(o, p, gn->value);
    default:
        return true;
    }
}

static bool name_objection(struct objection *o, const struct deciding *s, const struct general_name *gn)
{
    return gn->type == GN_OTHER ? hardware_objection(o, s, gn) : plain_objection(o, s->p, gn);
}

tm_err profile_name_check(const struct profile *p, const struct general_name *gn, struct diag *diag)
{
    struct objection o;
    if (!plain_objection(&o, p, gn))
        return TM_OK;
    return diag_fail(diag, strstr(o.rule, ".form") ? TM_EINVAL : TM_EDENIED, o.rule, NULL, "%s", o.why);
}

static tm_err requested_add(struct deciding *s, const struct general_name *gn)
{
    struct objection o;
    if (planned(s, gn)) /* as RFC 7030 4.2.2 has it, a renewal repeats what the certificate has */
        return TM_OK;
    if (!name_objection(&o, s, gn))
        return name_add(s, gn, true);
    if (s->san_inherited) {
        APPLIED(s, o.rule, say_name(s, gn), " of the predecessor is left out: it ", o.why);
        return TM_OK;
    }
    const char *name = say_name(s, gn);
    return REFUSE(s, strcmp(o.rule, "san.allow") != 0 && strstr(o.rule, ".form") ? TM_EINVAL : TM_EDENIED,
                  o.rule, SAY(s, name, " ", o.why), name, " ", o.why);
}

/* ---- names that the profile writes ---- */

static const char *written_problem(struct general_name *gn, uint8_t ip[16], struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    gn->value = text;
    switch (gn->type) {
    case GN_DNS:
        return dns_name_check(text, false);
    case GN_URI:
        return uri_check(text);
    case GN_EMAIL:
        return email_check(text);
    default:
        if (text.n >= sizeof copy)
            return "is not an address";
        memcpy(copy, text.p, text.n);
        copy[text.n] = '\0';
        if (inet_pton(AF_INET, copy, ip) == 1)
            gn->value = slice_of(ip, 4);
        else if (inet_pton(AF_INET6, copy, ip) == 1)
            gn->value = slice_of(ip, 16);
        else
            return "is not an address";
        return NULL;
    }
}

static tm_err written_add(struct deciding *s, const struct san_rule *r)
{
    const struct template_values values = {.context = s, .get = deciding_value};
    struct slice text = {0};
    bool from_request = false;
    tm_err err = template_render(&text, &from_request, s->a, &r->value, &values);
    if (err == TM_ETOOBIG)
        return REFUSE(s, TM_EINVAL, "san.template", "a name becomes too long", r->value.text,
                      " becomes too long");
    TM_TRY(err);
    if (text.n == 0) {
        APPLIED(s, "san.template", "a name is left out: nothing fills ", r->value.text);
        return TM_OK;
    }
    struct general_name gn = {.type = r->type};
    uint8_t *ip = NULL;
    if (r->type == GN_IP && !(ip = arena_alloc(s->a, 16)))
        return TM_ENOMEM;
    const char *why = written_problem(&gn, ip, text);
    if (why)
        return REFUSE(s, TM_EINVAL, "san.template",
                      "a name that the profile builds from the request or device is not valid",
                      say_slice(s, text), " ", why);
    return name_add(s, &gn, from_request);
}

static tm_err device_names_add(struct deciding *s)
{
    const struct profile_doc *d = &s->p->doc;
    size_t n = 0;
    for (size_t i = 0; s->f->device.known && i < s->f->device.n_hw_names && !s->refused; i++) {
        const struct general_name *gn = &s->f->device.hw_names[i];
        if (gn->type != GN_OTHER || (gn->other == OID_HW_MODULE_NAME && !d->san.hardware_module_name) ||
            (gn->other == OID_PERMANENT_IDENTIFIER && !d->san.permanent_id) ||
            (gn->other != OID_HW_MODULE_NAME && gn->other != OID_PERMANENT_IDENTIFIER &&
             d->san.from != SAN_FROM_DEVICE))
            continue;
        TM_TRY(name_add(s, gn, false));
        n++;
    }
    if (n > 0 && !s->refused)
        APPLIED(s, "san.device", say_number(s, (int64_t)n),
                " registered identifiers of the device are written");
    return TM_OK;
}

/* ---- the common name among them ---- */

static bool cn_as_name(struct general_name *ret, uint8_t ip[16], const struct deciding *s, bool *from_request)
{
    for (size_t i = 0; i < s->n_attrs; i++) {
        if (s->attrs[i].attr->oid != OID_CN)
            continue;
        *from_request = s->attrs[i].from_request;
        *ret = (struct general_name){.type = GN_IP};
        if (written_problem(ret, ip, s->attrs[i].value) == NULL)
            return true;
        *ret = (struct general_name){.type = GN_DNS, .value = s->attrs[i].value};
        return dns_name_check(s->attrs[i].value, true) == NULL;
    }
    return false;
}

static tm_err common_name(struct deciding *s)
{
    struct general_name gn;
    bool from_request = false;
    int way = s->p->doc.san.cn;
    uint8_t *ip = way == SAN_CN_IGNORE ? NULL : arena_alloc(s->a, 16);
    if (way == SAN_CN_IGNORE)
        return TM_OK;
    if (!ip)
        return TM_ENOMEM;
    if (!cn_as_name(&gn, ip, s, &from_request) || planned(s, &gn))
        return TM_OK;
    if (way == SAN_CN_REQUIRE)
        return REFUSE(s, TM_EDENIED, "san.cn", "the common name must be among the alternative names",
                      say_name(s, &gn), " is the common name and not among the alternative names");
    TM_TRY(from_request ? requested_add(s, &gn) : name_add(s, &gn, false));
    if (!s->refused)
        APPLIED(s, "san.cn", say_name(s, &gn), " is copied from the common name");
    return TM_OK;
}

/* ---- the whole ---- */

static tm_err requested_names(struct deciding *s)
{
    if (s->p->doc.san.from != SAN_FROM_REQUEST) {
        size_t dropped = 0;
        for (size_t i = 0; i < s->san_asked.n; i++)
            dropped += !planned(s, &s->san_asked.v[i]);
        if (dropped)
            APPLIED(s, "san.from", say_number(s, (int64_t)dropped),
                    " requested names are left out: the profile writes its own");
        return TM_OK;
    }
    for (size_t i = 0; i < s->san_asked.n && !s->refused; i++)
        TM_TRY(requested_add(s, &s->san_asked.v[i]));
    return TM_OK;
}

tm_err rule_san(struct deciding *s)
{
    size_t room = s->p->n_san + s->san_asked.n + s->f->device.n_hw_names + 1;
    s->names = arena_calloc(s->a, room < GENERAL_NAMES_MAX ? room : GENERAL_NAMES_MAX, sizeof *s->names);
    if (!s->names)
        return TM_ENOMEM;
    for (size_t i = 0; i < s->p->n_san && !s->refused; i++)
        TM_TRY(written_add(s, &s->p->san[i]));
    if (!s->refused)
        TM_TRY(device_names_add(s));
    if (!s->refused)
        TM_TRY(requested_names(s));
    if (!s->refused)
        TM_TRY(common_name(s));
    if (s->refused)
        return TM_OK;
    if ((int64_t)s->n_names < s->p->doc.san.min)
        return REFUSE(s, TM_EDENIED, "san.min",
                      SAY(s, "at least ", say_number(s, s->p->doc.san.min), " alternative names are needed"),
                      say_number(s, (int64_t)s->n_names), " alternative names; the least is ",
                      say_number(s, s->p->doc.san.min));
    if (s->n_names == 0 && s->n_attrs == 0)
        /* RFC 5280 4.1.2.6 */
        return REFUSE(s, TM_EDENIED, "names.none", "the request names nothing",
                      "subject and alternative names would both be empty");
    PASS(s, "san.names", say_number(s, (int64_t)s->n_names), " alternative names");
    return TM_OK;
}
