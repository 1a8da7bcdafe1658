/* Who asks, through which door, of which authority, for which device. rule_door alone reads the door. */
#include "policy/deciding.h"
#include <string.h>

tm_err rule_door(struct deciding *s)
{
    if (!profile_allows_door(s->p, s->e->door))
        return REFUSE(s, TM_EFORBIDDEN, "profile.doors", "this profile is not served through this protocol",
                      s->p->doc.name, " may not be carried by ",
                      s->e->door < DOOR_COUNT ? door_names[s->e->door] : "this door");
    PASS(s, "profile.doors", s->p->doc.name, " may be carried by ", door_names[s->e->door]);
    return TM_OK;
}

tm_err rule_caller(struct deciding *s)
{
    const struct caller *c = &s->e->caller;
    if ((unsigned)c->kind >= CALLER_COUNT || !(s->p->doc.callers >> c->kind & 1))
        return REFUSE(s, c->kind == CALLER_ANONYMOUS ? TM_EAUTH : TM_EFORBIDDEN, "profile.callers",
                      c->kind == CALLER_ANONYMOUS
                          ? "authentication is required"
                          : "callers of this kind may not have certificates of this profile",
                      (unsigned)c->kind < CALLER_COUNT ? caller_kind_names[c->kind] : "unknown",
                      " callers are not allowed by ", s->p->doc.name);
    PASS(s, "profile.callers", caller_kind_names[c->kind], " ", say_slice(s, slice_str(c->id)), " may ask");
    if (c->kind == CALLER_PRINCIPAL) {
        const char *held = NULL;
        for (size_t i = 0; i < s->p->doc.roles.n && !held; i++)
            if (role_listed(c->roles, s->p->doc.roles.v[i]))
                held = s->p->doc.roles.v[i];
        if (!held)
            return REFUSE(s, TM_EFORBIDDEN, "profile.roles", "the role for this profile is missing",
                          "the principal has ",
                          has_text(c->roles) ? say_slice(s, slice_str(c->roles)) : "no roles",
                          ", none of which the profile lists");
        PASS(s, "profile.roles", "the principal holds ", held);
    }
    if (c->cert_expired && s->e->kind != ENROLL_RENEW)
        return REFUSE(s, TM_EEXPIRED, "caller.expired",
                      "the client certificate has expired; it can only be renewed",
                      "an expired client certificate came with a request that is not a renewal");
    return TM_OK;
}

tm_err rule_authority(struct deciding *s)
{
    const char *name = say_text(s->f->authority.name);
    static const char reason[] = "the authority cannot issue at the moment";
    if (s->f->authority.subject.n == 0 || !s->f->authority.name)
        return REFUSE(s, TM_EUNAVAIL, "authority.missing", reason, "no authority \"", name, "\" is known");
    if (s->f->authority.disabled)
        return REFUSE(s, TM_EUNAVAIL, "authority.disabled", reason, name, " is disabled");
    if (s->f->authority.revoked)
        return REFUSE(s, TM_EUNAVAIL, "authority.revoked", reason, "the CA certificate of ", name,
                      ", or one above it, is revoked");
    if (s->f->authority.not_before > s->f->now)
        return REFUSE(s, TM_EUNAVAIL, "authority.not-yet-valid", reason, name, " is valid from ",
                      say_time(s, s->f->authority.not_before), ", and now it is ", say_time(s, s->f->now));
    if (s->f->authority.not_after <= s->f->now)
        return REFUSE(s, TM_EUNAVAIL, "authority.expired", reason, name, " expired at ",
                      say_time(s, s->f->authority.not_after), ", and now it is ", say_time(s, s->f->now));
    PASS(s, "authority.state", name, " issues, valid until ", say_time(s, s->f->authority.not_after));
    struct plan *plan = &s->d->plan;
    plan->authority = s->f->authority.name;
    plan->key_ref = s->f->authority.key_ref;
    plan->issuer = s->f->authority.subject;
    plan->profile = s->p->doc.name;
    plan->profile_version = s->p->version;
    return TM_OK;
}

tm_err rule_device(struct deciding *s)
{
    const char *bound = s->e->caller.device_id;
    if (!s->f->device.known) {
        if (s->p->doc.device.required)
            return REFUSE(
                s, TM_EDENIED, "device.required", "the device is not registered",
                "the profile wants a registered device, and none matches the caller or the request");
        if (has_text(bound))
            return REFUSE(s, TM_EDENIED, "device.binding", "the device of this credential is not registered",
                          "the credential is bound to device ", say_slice(s, slice_str(bound)),
                          ", which is not registered");
        return TM_OK;
    }
    const char *id = say_text(s->f->device.id);
    enum device_state state = s->f->device.state;
    if (has_text(bound) && strcmp(bound, id) != 0)
        return REFUSE(s, TM_EFORBIDDEN, "device.binding", "the credential belongs to another device",
                      "the credential is bound to device ", say_slice(s, slice_str(bound)),
                      ", the request is for ", say_slice(s, slice_str(id)));
    if ((unsigned)state >= DEVICE_STATE_COUNT || !(s->p->doc.device.states >> state & 1))
        return REFUSE(
            s, TM_EDENIED, "device.state", "the device may not have this certificate in its present state",
            "device ", say_slice(s, slice_str(id)), " is ",
            (unsigned)state < DEVICE_STATE_COUNT ? device_state_names[state] : "in an unknown state",
            ", which the profile does not list");
    PASS(s, "device.state", "device ", say_slice(s, slice_str(id)), " is ", device_state_names[state]);
    s->d->plan.device_id = id;
    return TM_OK;
}
