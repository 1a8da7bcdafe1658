/* Names that belong to somebody: the device's, the token's, the caller's own. */
#include "policy/deciding.h"
#include <string.h>

enum { IDENTITIES = 4 };

struct identities {
    struct slice v[IDENTITIES];
    size_t n;
};

static void identity_add(struct identities *ids, struct slice v)
{
    if (v.n > 0)
        ids->v[ids->n++] = v;
}

static bool identity_is(const struct identities *ids, struct slice v)
{
    for (size_t i = 0; i < ids->n; i++)
        if (slice_caseeq(ids->v[i], v))
            return true;
    return false;
}

/* The identity stands in the URI as a whole component. */
static bool uri_holds(struct slice uri, const struct identities *ids)
{
    size_t start = 0;
    for (size_t i = 0; i <= uri.n; i++) {
        if (i < uri.n && !strchr("/:?#=&;", uri.p[i]))
            continue;
        if (identity_is(ids, slice_of(uri.p + start, i - start)))
            return true;
        start = i + 1;
    }
    return false;
}

static bool first_label_is(struct slice dns, const struct identities *ids)
{
    const uint8_t *dot = memchr(dns.p, '.', dns.n);
    return identity_is(ids, dns) || identity_is(ids, slice_sub(dns, 0, dot ? (size_t)(dot - dns.p) : dns.n));
}

static bool name_is_bound(const struct general_name *gn, const struct identities *ids)
{
    switch (gn->type) {
    case GN_DNS:
        return first_label_is(gn->value, ids);
    case GN_URI:
        return uri_holds(gn->value, ids);
    case GN_OTHER: /* hardware identifiers were held to the registry already */
        return true;
    default:
        return false;
    }
}

static bool attr_is_bound(const struct planned_attr *t, const struct identities *ids)
{
    switch (t->attr->oid) {
    case OID_CN:
        return t->value.n > 0 && first_label_is(t->value, ids);
    case OID_SERIAL_NUMBER:
    case OID_UID:
    case OID_DN_QUALIFIER:
        return identity_is(ids, t->value);
    default:
        return true;
    }
}

tm_err rule_device_names(struct deciding *s)
{
    if (!s->p->doc.device.bind_names)
        return TM_OK;
    struct identities ids = {.n = 0};
    const char *whose = "the device's";
    bool shows = s->e->caller.kind == CALLER_DEVICE || s->e->caller.kind == CALLER_CERTIFICATE;
    if (!s->f->device.known && !shows) {
        PASS(s, "device.bind-names", "no device is known; who asks answers for the names");
        return TM_OK;
    }
    if (s->f->device.known) {
        identity_add(&ids, slice_str(s->f->device.id));
        identity_add(&ids, slice_str(s->f->device.serial));
    }
    const struct shown_cert *c = shows ? caller_cert(s) : NULL;
    if (c) {
        identity_add(&ids, name_value(s, &c->subject, OID_CN));
        identity_add(&ids, name_value(s, &c->subject, OID_SERIAL_NUMBER));
    }
    if (!s->f->device.known)
        whose = "the client certificate's";
    static const char reason[] = "the names asked for are not this device's";
    for (size_t i = 0; i < s->n_attrs; i++)
        if (s->attrs[i].from_request && !attr_is_bound(&s->attrs[i], &ids))
            return REFUSE(s, TM_EDENIED, "device.bind-names", reason, s->attrs[i].attr->name, " ",
                          say_slice(s, s->attrs[i].value), " is not ", whose);
    for (size_t i = 0; i < s->n_names; i++)
        if (s->names[i].from_request && !name_is_bound(&s->names[i].gn, &ids))
            return REFUSE(s, TM_EDENIED, "device.bind-names", reason, say_name(s, &s->names[i].gn),
                          " is not ", whose);
    PASS(s, "device.bind-names", "the names are ", whose, " own");
    return TM_OK;
}

/* ---- tokens and accounts ---- */

static bool token_names_cn(const struct caller *c, struct slice cn)
{
    for (size_t i = 0; i < c->n_names; i++) {
        struct slice t = slice_str(c->names[i]);
        struct slice behind3 = slice_sub(t, 3, t.n), behind4 = slice_sub(t, 4, t.n);
        if (slice_eq_str(slice_sub(t, 0, 3), "CN=") && slice_eq(cn, behind3))
            return true;
        if (slice_eq_str(slice_sub(t, 0, 4), "DNS:") && slice_caseeq(cn, behind4))
            return true;
        if (slice_eq_str(slice_sub(t, 0, 3), "IP:") && slice_eq(cn, behind3))
            return true;
    }
    return false;
}

static bool token_names_san(struct deciding *s, const struct general_name *gn)
{
    const struct caller *c = &s->e->caller;
    for (size_t i = 0; i < c->n_names; i++) {
        struct general_name t = {0};
        if (strncmp(c->names[i], "CN=", 3) == 0)
            continue;
        if (general_name_from_text(&t, s->a, slice_str(c->names[i]), NULL) != TM_OK)
            continue;
        if (general_name_eq(&t, gn) ||
            (t.type == GN_DNS && gn->type == GN_DNS && slice_caseeq(t.value, gn->value)))
            return true;
    }
    return false;
}

tm_err rule_token_names(struct deciding *s)
{
    const struct caller *c = &s->e->caller;
    /* Also where a certificate came with the token: the narrower of both counts. */
    if (c->n_names == 0)
        return TM_OK;
    bool account = c->kind == CALLER_ACCOUNT;
    const char *rule = account ? "account.names" : "token.names";
    const char *reason =
        account ? "the account has not proven this name" : "the enrollment token does not allow this name";
    const char *among = account ? " is not among the names that the account has proven"
                                : " is not among the names of the token";
    for (size_t i = 0; i < s->n_attrs; i++) {
        const struct planned_attr *t = &s->attrs[i];
        bool names_subject =
            t->attr->oid == OID_CN || t->attr->oid == OID_SERIAL_NUMBER || t->attr->oid == OID_UID;
        if (names_subject && t->from_request && !token_names_cn(c, t->value))
            return REFUSE(s, TM_EDENIED, rule, reason, t->attr->name, " ", say_slice(s, t->value), among);
    }
    for (size_t i = 0; i < s->n_names; i++)
        if (s->names[i].from_request && !token_names_san(s, &s->names[i].gn))
            return REFUSE(s, TM_EDENIED, rule, reason, say_name(s, &s->names[i].gn), among);
    PASS(s, rule, account ? "the account has proven these names" : "the token allows these names");
    return TM_OK;
}

/* ---- certificates of the house ---- */

/* Who shows a certificate of ours speaks for the names in it, and for the device that it belongs to. */
tm_err rule_caller_names(struct deciding *s)
{
    if (s->e->caller.kind != CALLER_CERTIFICATE || s->p->doc.caller_names == CALLER_NAMES_ANY)
        return TM_OK;
    const struct shown_cert *c = caller_cert(s);
    static const char reason[] = "the client certificate does not have the names asked for";
    struct identities ids = {.n = 0};
    if (!c)
        return REFUSE(s, TM_EAUTH, "caller.names", "the client certificate cannot be read",
                      "the caller's certificate does not parse");
    identity_add(&ids, name_value(s, &c->subject, OID_CN));
    identity_add(&ids, name_value(s, &c->subject, OID_SERIAL_NUMBER));
    for (size_t i = 0; i < s->n_attrs; i++)
        if (s->attrs[i].from_request && s->attrs[i].attr->oid == OID_CN &&
            !identity_is(&ids, s->attrs[i].value))
            return REFUSE(s, TM_EDENIED, "caller.names", reason, "CN ", say_slice(s, s->attrs[i].value),
                          " is not the client certificate's");
        else if (s->attrs[i].from_request && !attr_is_bound(&s->attrs[i], &ids))
            return REFUSE(s, TM_EDENIED, "caller.names", reason, s->attrs[i].attr->name, " ",
                          say_slice(s, s->attrs[i].value), " is not the client certificate's");
    for (size_t i = 0; i < s->n_names; i++) {
        bool own = !s->names[i].from_request || identity_is(&ids, s->names[i].gn.value);
        for (size_t j = 0; j < c->san.n && !own; j++)
            own = general_name_eq(&c->san.v[j], &s->names[i].gn);
        if (!own)
            return REFUSE(s, TM_EDENIED, "caller.names", reason, say_name(s, &s->names[i].gn),
                          " is not in the client certificate");
    }
    PASS(s, "caller.names", "the names are the client certificate's own");
    return TM_OK;
}
