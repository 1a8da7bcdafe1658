/* The subject: from the profile's template, or from what the request may bring. */
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "policy/deciding.h"
#include <arpa/inet.h>
#include <string.h>

/* ---- values for templates ---- */

static struct slice san_value(struct deciding *s, enum general_name_type type)
{
    for (size_t i = 0; i < s->san_asked.n; i++) {
        const struct general_name *gn = &s->san_asked.v[i];
        if (gn->type != type)
            continue;
        if (type != GN_IP)
            return gn->value;
        char text[INET6_ADDRSTRLEN];
        if (!inet_ntop(gn->value.n == 4 ? AF_INET : AF_INET6, gn->value.p, text, sizeof text))
            return (struct slice){0};
        return slice_str(SAY(s, "", text));
    }
    return (struct slice){0};
}

static const char *device_value(const struct facts *f, enum template_device which)
{
    if (!f->device.known)
        return NULL;
    switch (which) {
    case DEV_ID:
        return f->device.id;
    case DEV_SERIAL:
        return f->device.serial;
    case DEV_MODEL:
        return f->device.model;
    case DEV_VENDOR:
        return f->device.vendor;
    case DEV_OWNER:
        return f->device.owner;
    case DEV_PLACE:
        return f->device.place;
    }
    return NULL;
}

static struct slice token_value(const struct caller *c, enum template_token which)
{
    if (which == TOKEN_ID)
        return c->kind == CALLER_TOKEN ? slice_str(c->id) : (struct slice){0};
    for (size_t i = 0; i < c->n_names; i++)
        if (strncmp(c->names[i], "CN=", 3) == 0)
            return slice_str(c->names[i] + 3);
    return (struct slice){0};
}

struct slice deciding_value(void *context, const struct template_alternative *what, bool *from_request)
{
    struct deciding *s = context;
    *from_request = false;
    switch (what->source) {
    case SOURCE_CSR:
        *from_request = true;
        return name_value(s, &s->asked, attr_table[what->which].oid);
    case SOURCE_CALLER: {
        const struct shown_cert *c = caller_cert(s);
        return c ? name_value(s, &c->subject, attr_table[what->which].oid) : (struct slice){0};
    }
    case SOURCE_SAN:
        *from_request = true;
        return san_value(s, (enum general_name_type)what->which);
    case SOURCE_DEVICE:
        return slice_str(device_value(s->f, (enum template_device)what->which));
    case SOURCE_TOKEN:
        return token_value(&s->e->caller, (enum template_token)what->which);
    case SOURCE_TENANT:
        return slice_str(s->e->tenant);
    case SOURCE_PROFILE:
        return slice_str(s->p->doc.name);
    }
    return (struct slice){0};
}

/* ---- one attribute ---- */

static bool printable(struct slice v)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || !strchr(" '()+,-./:=?", c)))
            return false;
    }
    return true;
}

/* NULL, or why the value cannot stand in this attribute (X.520, RFC 5280 appendix A). */
static const char *attr_problem(const struct attr_info *attr, struct slice v, unsigned max)
{
    const char *why = text_check(v);
    if (why)
        return why;
    if (text_length(v) > max)
        return "is too long";
    switch (attr->oid) {
    case OID_C:
        if (v.n != 2 || v.p[0] < 'A' || v.p[0] > 'Z' || v.p[1] < 'A' || v.p[1] > 'Z')
            return "is not a country code of two upper-case letters (ISO 3166)";
        return NULL;
    case OID_SERIAL_NUMBER:
    case OID_DN_QUALIFIER:
        return printable(v) ? NULL : "has a character that PrintableString lacks";
    case OID_EMAIL:
        return email_check(v);
    case OID_DC:
        for (size_t i = 0; i < v.n; i++)
            if (v.p[i] >= 0x80)
                return "is not ASCII";
        return NULL;
    default:
        return NULL;
    }
}

static const struct allow_rule *allow_find(const struct profile *p, enum oid oid)
{
    for (size_t i = 0; i < p->n_allow; i++)
        if (p->allow[i].attr->oid == oid)
            return &p->allow[i];
    return NULL;
}

static bool matches_any(const struct json_strings *patterns, struct slice v)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (glob_match(slice_str(patterns->v[i]), v))
            return true;
    return patterns->n == 0;
}

static bool has_attr(const struct deciding *s, const struct attr_info *attr)
{
    for (size_t i = 0; i < s->n_attrs; i++)
        if (s->attrs[i].attr == attr)
            return true;
    return false;
}

static tm_err attr_add(struct deciding *s, const struct attr_info *attr, struct slice v, bool from_request)
{
    const struct allow_rule *allow = from_request ? allow_find(s->p, attr->oid) : NULL;
    const char *why = attr_problem(attr, v, allow && allow->max < attr->max ? allow->max : attr->max);
    if (why)
        return REFUSE(s, TM_EINVAL, "subject.value", SAY(s, "the subject's ", attr->name, " ", why),
                      attr->name, " ", say_slice(s, v), " ", why);
    if (allow && !matches_any(&allow->patterns, v))
        return REFUSE(s, TM_EDENIED, "subject.patterns",
                      SAY(s, "the subject's ", attr->name, " is not of the form allowed"), attr->name, " ",
                      say_slice(s, v), " matches none of the profile's patterns");
    if (!attr->repeats && has_attr(s, attr))
        return REFUSE(s, TM_EINVAL, "subject.repeated", SAY(s, "the subject has ", attr->name, " twice"),
                      attr->name, " stands twice in the subject");
    if (s->n_attrs == NAME_MAX_ATTRS)
        return REFUSE(s, TM_ETOOBIG, "subject.size", "the subject has too many attributes",
                      "the subject has too many attributes");
    s->attrs[s->n_attrs++] = (struct planned_attr){attr, v, from_request};
    return TM_OK;
}

/* ---- the two ways ---- */

static bool template_reads(const struct profile *p, enum oid oid)
{
    for (size_t i = 0; i < p->n_subject; i++)
        for (size_t j = 0; j < p->subject[i].value.n; j++)
            for (size_t k = 0; k < p->subject[i].value.v[j].n; k++) {
                const struct template_alternative *t = &p->subject[i].value.v[j].alt[k];
                if (t->source == SOURCE_CSR && attr_table[t->which].oid == oid)
                    return true;
            }
    return false;
}

static const char *asked_name(struct deciding *s, const struct name_attr *t)
{
    const struct attr_info *known = t->type != OID_UNKNOWN ? attr_find_oid(t->type) : NULL;
    const char *text = known ? known->name : oid_to_text(s->a, t->oid);
    return text ? text : "attribute";
}

/* A requested attribute that the certificate will not have. */
static tm_err attr_left(struct deciding *s, const struct name_attr *t)
{
    const char *name = asked_name(s, t);
    if (s->p->doc.subject.other == OTHER_REFUSE && !s->subject_inherited)
        return REFUSE(s, TM_EDENIED, "subject.allow", SAY(s, "the subject may not have ", name), name,
                      " is requested, and the profile does not allow it");
    APPLIED(s, "subject.allow", name, " is requested and left out");
    return TM_OK;
}

static tm_err subject_from_template(struct deciding *s)
{
    const struct template_values values = {.context = s, .get = deciding_value};
    for (size_t i = 0; i < s->p->n_subject && !s->refused; i++) {
        const struct subject_rule *r = &s->p->subject[i];
        struct slice v = {0};
        bool from_request = false;
        tm_err err = template_render(&v, &from_request, s->a, &r->value, &values);
        if (err == TM_ETOOBIG)
            return REFUSE(s, TM_EINVAL, "subject.value", "the subject is too long", r->attr->name,
                          " becomes too long");
        TM_TRY(err);
        if (v.n > 0)
            TM_TRY(attr_add(s, r->attr, v, from_request));
        else
            APPLIED(s, "subject.template", r->attr->name, " is left out: nothing fills ", r->value.text);
    }
    for (size_t i = 0; i < s->asked.n && !s->refused; i++)
        if (!template_reads(s->p, s->asked.attrs[i].type) && s->p->doc.subject.other == OTHER_REFUSE)
            TM_TRY(attr_left(s, &s->asked.attrs[i]));
    return TM_OK;
}

static tm_err subject_from_request(struct deciding *s)
{
    for (size_t i = 0; i < s->asked.n && !s->refused; i++) {
        const struct name_attr *t = &s->asked.attrs[i];
        const struct allow_rule *allow = t->type != OID_UNKNOWN ? allow_find(s->p, t->type) : NULL;
        struct slice v = {0};
        if (!allow) {
            TM_TRY(attr_left(s, t));
            continue;
        }
        tm_err err = name_attr_text(&v, s->a, t);
        if (err == TM_ENOMEM)
            return err;
        if (err != TM_OK)
            return REFUSE(s, TM_EINVAL, "subject.form", "the requested subject is malformed",
                          allow->attr->name, " does not decode");
        TM_TRY(attr_add(s, allow->attr, v, true));
    }
    return TM_OK;
}

tm_err rule_subject(struct deciding *s)
{
    TM_TRY(s->p->n_subject ? subject_from_template(s) : subject_from_request(s));
    if (s->refused)
        return TM_OK;
    for (size_t i = 0; i < s->p->n_required; i++)
        if (!has_attr(s, s->p->required[i]))
            return REFUSE(s, TM_EDENIED, "subject.required",
                          SAY(s, "the subject needs ", s->p->required[i]->name),
                          "nothing gives the subject its ", s->p->required[i]->name);
    if (s->n_attrs == 0 && s->p->doc.subject.empty == EMPTY_REFUSE)
        return REFUSE(s, TM_EDENIED, "subject.empty", "the subject is empty", "the subject would be empty");
    PASS(s, "subject.attributes", say_number(s, (int64_t)s->n_attrs),
         s->n_attrs == 1 ? " attribute from the " : " attributes from the ",
         s->p->n_subject ? "template" : "request");
    return TM_OK;
}

tm_err rule_subject_encode(struct deciding *s)
{
    struct buf b;
    struct der_builder der;
    buf_init(&b, 16 << 10);
    der_builder_init(&der, &b);
    der_open(&der, DER_SEQUENCE);
    for (size_t i = 0; i < s->n_attrs; i++)
        name_build_attr(&der, s->attrs[i].attr->oid, s->attrs[i].value);
    der_close(&der);
    tm_err err = der_builder_finish(&der);
    if (err == TM_OK)
        err = arena_copy(&s->d->plan.subject, s->a, buf_slice(&b));
    buf_done(&b);
    return err;
}
