/* Renewals: of what, how late, with which key and names. */
#include "policy/deciding.h"
#include <string.h>

static bool renews_profile(const struct profile *p, const char *name)
{
    if (!has_text(name) || strcmp(name, p->doc.name) == 0)
        return true;
    for (size_t i = 0; i < p->doc.renewal.from.n; i++)
        if (strcmp(p->doc.renewal.from.v[i], name) == 0)
            return true;
    return false;
}

static tm_err renewal_grace(struct deciding *s)
{
    int64_t end = s->f->predecessor.not_after, late = s->f->now - end;
    if (late <= 0) {
        PASS(s, "renewal.grace", "the predecessor is valid until ", say_time(s, end));
        return TM_OK;
    }
    int64_t grace = s->p->doc.renewal.grace;
    if (late > grace)
        return REFUSE(s, TM_EEXPIRED, "renewal.grace", "the certificate expired too long ago to be renewed",
                      "the predecessor expired at ", say_time(s, end), ", ", say_span(s, late),
                      " ago; the grace is ", say_span(s, grace));
    APPLIED(s, "renewal.grace", "the predecessor expired at ", say_time(s, end), ", within the grace of ",
            say_span(s, grace));
    return TM_OK;
}

tm_err rule_renewal(struct deciding *s)
{
    if (s->e->kind != ENROLL_RENEW)
        return TM_OK;
    const struct profile_doc *d = &s->p->doc;
    bool vouched = s->e->caller.kind == CALLER_DEVICE && has_text(s->e->caller.trust_set);
    if (!s->f->predecessor.known && !(vouched && d->renewal.predecessor == PREDECESSOR_TRUST_SET))
        return REFUSE(s, TM_EDENIED, "renewal.predecessor", "the certificate to be renewed is not known",
                      "the predecessor is not in the inventory",
                      vouched ? ", and the profile does not renew what a trust set vouches for" : "");
    if (s->f->predecessor.revoked)
        return REFUSE(s, TM_EDENIED, "renewal.revoked", "the certificate to be renewed is revoked",
                      "the predecessor is revoked");
    if (!renews_profile(s->p, s->f->predecessor.profile))
        return REFUSE(s, TM_EDENIED, "renewal.from", "the certificate to be renewed is of another profile",
                      "the predecessor is of profile ", say_slice(s, slice_str(s->f->predecessor.profile)),
                      ", which renewal.from does not list");
    PASS(s, "renewal.predecessor",
         s->f->predecessor.known ? "the predecessor is in the inventory and not revoked"
                                 : "a trust set vouches for the predecessor");
    TM_TRY(renewal_grace(s));
    if (s->refused)
        return TM_OK;
    if (d->renewal.rekey == REKEY_REQUIRED && s->f->predecessor.same_key)
        return REFUSE(s, TM_EDENIED, "renewal.rekey", "a renewal needs a new key",
                      "the renewal brings its predecessor's key");
    if (d->renewal.rekey == REKEY_FORBIDDEN && !s->f->predecessor.same_key)
        return REFUSE(s, TM_EDENIED, "renewal.rekey", "a renewal must keep its key",
                      "the renewal brings a new key");
    PASS(s, "renewal.rekey", s->f->predecessor.same_key ? "the key stays" : "the key is new");
    return TM_OK;
}

static bool name_is_empty(struct slice tlv)
{
    return tlv.n <= 2;
}

/* What counts as asked for. A renewal that brings no names means its predecessor's (RFC 9483 4.1.3 and common clients). */
tm_err rule_renewal_names(struct deciding *s)
{
    struct slice subject = s->e->subject;
    s->san_asked = s->e->san;
    s->asked.n = 0;
    if (s->e->kind == ENROLL_RENEW && s->p->doc.renewal.same_names) {
        struct shown_cert *old = predecessor_cert(s);
        if (!old)
            return REFUSE(s, TM_EDENIED, "renewal.same-names",
                          "the names of the certificate to be renewed are not known",
                          "the predecessor's names are not retained and the caller did not show it");
        if (name_is_empty(subject)) {
            subject = old->cert.subject;
            s->subject_inherited = true;
        }
        if (s->san_asked.n == 0) {
            s->san_asked = old->san;
            s->san_inherited = true;
        }
        if (s->subject_inherited || s->san_inherited)
            APPLIED(s, "renewal.names", "the request leaves out ",
                    s->subject_inherited && s->san_inherited ? "subject and names"
                    : s->subject_inherited                   ? "the subject"
                                                             : "alternative names",
                    "; the predecessor's count");
    }
    if (!name_is_empty(subject) && name_parse(&s->asked, subject, NULL) != TM_OK)
        return REFUSE(s, TM_EINVAL, "subject.form", "the requested subject is malformed",
                      "the requested subject does not parse");
    return TM_OK;
}

static bool holds_name(const struct general_names *in, const struct general_name *gn)
{
    for (size_t i = 0; i < in->n; i++)
        if (general_name_eq(&in->v[i], gn))
            return true;
    return false;
}

static bool holds_attr(struct deciding *s, const struct name *n, enum oid type, struct slice value)
{
    for (size_t i = 0; i < n->n; i++) {
        struct slice v = {0};
        if (n->attrs[i].type != type)
            continue;
        if (name_attr_text(&v, s->a, &n->attrs[i]) == TM_OK && slice_caseeq(v, value))
            return true;
    }
    return false;
}

/* A renewal extends what is there (RFC 7030 4.2.2): nothing that the requester chose may be new. */
tm_err rule_same_names(struct deciding *s)
{
    if (s->e->kind != ENROLL_RENEW || !s->p->doc.renewal.same_names)
        return TM_OK;
    const struct shown_cert *old = s->predecessor;
    static const char reason[] = "a renewal may not bring new names";
    for (size_t i = 0; i < s->n_attrs; i++) {
        const struct planned_attr *t = &s->attrs[i];
        if (t->from_request && !holds_attr(s, &old->subject, t->attr->oid, t->value))
            return REFUSE(s, TM_EDENIED, "renewal.same-names", reason, "the predecessor's subject has no ",
                          t->attr->name, " ", say_slice(s, t->value));
    }
    for (size_t i = 0; i < s->n_names; i++) {
        const struct planned_name *t = &s->names[i];
        if (t->from_request && !holds_name(&old->san, &t->gn))
            return REFUSE(s, TM_EDENIED, "renewal.same-names", reason, "the predecessor does not have ",
                          say_name(s, &t->gn));
    }
    PASS(s, "renewal.same-names", "the renewal brings no new names");
    return TM_OK;
}
