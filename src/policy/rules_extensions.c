/* The extensions, always in this order: basicConstraints, keyUsage, extKeyUsage, subjectKeyIdentifier, authorityKeyIdentifier,
 * subjectAltName, certificatePolicies, cRLDistributionPoints, authorityInfoAccess, noRevAvail, tlsFeature, the profile's
 * own in its order, requested ones in the profile's order. Then the allowance and the approval, which close a decision. */
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "policy/deciding.h"
#include <string.h>

static struct ext *ext_add(struct deciding *s, const struct ext *x)
{
    struct plan *plan = &s->d->plan;
    if (x->value.n == 0 || plan->n_exts == EXT_MAX)
        return NULL;
    plan->exts[plan->n_exts] = *x;
    return &plan->exts[plan->n_exts++];
}

static void ext_put(struct deciding *s, enum oid id, bool critical, struct slice value)
{
    const struct ext x = {.id = id, .oid = oid_contents(id), .critical = critical, .value = value};
    ext_add(s, &x);
}

static tm_err key_ids(struct deciding *s)
{
    uint8_t *id = arena_alloc(s->a, 20);
    struct slice value;
    if (!id)
        return TM_ENOMEM;
    TM_TRY(spki_key_id(id, &s->e->spki));
    TM_TRY(ext_encode_ski(&value, s->a, slice_of(id, 20)));
    ext_put(s, OID_EXT_SKI, false, value);
    if (s->f->authority.key_id.n > 0) {
        TM_TRY(ext_encode_akid(&value, s->a, s->f->authority.key_id));
        ext_put(s, OID_EXT_AKID, false, value);
    }
    return TM_OK;
}

static tm_err alternative_names(struct deciding *s)
{
    if (s->n_names == 0)
        return TM_OK;
    struct general_name *v = arena_calloc(s->a, s->n_names, sizeof *v);
    struct slice value;
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < s->n_names; i++)
        v[i] = s->names[i].gn;
    s->d->plan.san = (struct general_names){.v = v, .n = s->n_names};
    TM_TRY(ext_encode_san(&value, s->a, v, s->n_names));
    /* RFC 5280 4.2.1.6: critical where the subject is empty. */
    ext_put(s, OID_EXT_SAN, s->n_attrs == 0, value);
    return TM_OK;
}

static tm_err addresses(struct deciding *s)
{
    const struct profile_doc *d = &s->p->doc;
    struct slice value;
    if (d->extensions.cdp && has_text(s->f->authority.crl_url)) {
        TM_TRY(ext_encode_cdp_of(&value, s->a, s->f->authority.crl_url, s->f->authority.crl_issuer));
        ext_put(s, OID_EXT_CDP, false, value);
    }
    const char *ocsp =
        d->extensions.ocsp && has_text(s->f->authority.ocsp_url) ? s->f->authority.ocsp_url : NULL;
    const char *issuers =
        d->extensions.aia && has_text(s->f->authority.ca_url) ? s->f->authority.ca_url : NULL;
    if (ocsp || issuers) {
        TM_TRY(ext_encode_aia(&value, s->a, ocsp, issuers));
        ext_put(s, OID_EXT_AIA, false, value);
    }
    return TM_OK;
}

static tm_err custom_template(struct deciding *s, const struct custom_rule *r)
{
    const struct template_values values = {.context = s, .get = deciding_value};
    struct slice text = {0};
    bool from_request = false;
    tm_err err = template_render(&text, &from_request, s->a, &r->value, &values);
    if (err == TM_ETOOBIG || (err == TM_OK && text.n > 0 && text_check(text)))
        return REFUSE(s, TM_EINVAL, "extensions.custom", "a value for an extension is not valid",
                      r->value.text, " becomes a value that is too long or not plain text");
    TM_TRY(err);
    if (text.n == 0) {
        APPLIED(s, "extensions.custom", "an extension is left out: nothing fills ", r->value.text);
        return TM_OK;
    }
    struct buf b;
    struct der_builder der;
    struct ext x = r->ext;
    buf_init(&b, 4096);
    der_builder_init(&der, &b);
    der_put(&der, DER_UTF8_STRING, text);
    err = der_builder_finish(&der);
    if (err == TM_OK)
        err = arena_copy(&x.value, s->a, buf_slice(&b));
    buf_done(&b);
    ext_add(s, &x);
    return err;
}

static tm_err custom(struct deciding *s)
{
    for (size_t i = 0; i < s->p->n_custom && !s->refused; i++) {
        if (s->p->custom[i].templated)
            TM_TRY(custom_template(s, &s->p->custom[i]));
        else
            ext_add(s, &s->p->custom[i].ext);
    }
    return TM_OK;
}

enum { REQUESTED_EXT_MAX = 8192 };

static tm_err requested(struct deciding *s)
{
    for (size_t i = 0; i < s->p->n_allow_ext; i++) {
        for (size_t j = 0; j < s->e->exts.n; j++) {
            const struct ext *x = &s->e->exts.v[j];
            if (!slice_eq(x->oid, s->p->allow_ext[i]))
                continue;
            struct der_reader r;
            der_reader_init(&r, x->value, NULL);
            TM_IGNORE(der_skip(&r, der_peek(&r)));
            if (x->value.n > REQUESTED_EXT_MAX || der_end(&r) != TM_OK)
                return REFUSE(s, TM_EINVAL, "extensions.allow-requested",
                              "a requested extension is malformed", s->p->doc.extensions.allow_requested.v[i],
                              " is not one DER value of at most 8192 octets");
            ext_add(s, x);
            APPLIED(s, "extensions.allow-requested", s->p->doc.extensions.allow_requested.v[i],
                    " is copied from the request");
        }
    }
    return TM_OK;
}

tm_err rule_extensions(struct deciding *s)
{
    ext_add(s, &s->p->basic_constraints);
    unsigned can = (s->key->can_encipher ? 1U : 0) | (s->key->can_agree ? 2U : 0);
    const struct ext *usage = &s->p->key_usage_ext[can];
    if (usage->value.n == 0)
        return REFUSE(s, TM_EDENIED, "usage.key-usage",
                      "a key of this type cannot be used as the profile wants", s->key->name,
                      " has none of the key usages of the profile");
    ext_add(s, usage);
    ext_add(s, &s->p->eku);
    TM_TRY(key_ids(s));
    TM_TRY(alternative_names(s));
    ext_add(s, &s->p->policies);
    TM_TRY(addresses(s));
    ext_add(s, &s->p->no_rev_avail);
    ext_add(s, &s->p->tls_feature);
    TM_TRY(custom(s));
    if (s->refused)
        return TM_OK;
    TM_TRY(requested(s));
    if (s->refused)
        return TM_OK;
    PASS(s, "extensions", say_number(s, (int64_t)s->d->plan.n_exts), " extensions");
    return TM_OK;
}

tm_err rule_quota(struct deciding *s)
{
    const struct profile_doc *d = &s->p->doc;
    if (d->quota.max > 0 && s->f->quota.issued_in_window >= (uint64_t)d->quota.max)
        return REFUSE(s, TM_EQUOTA, "quota.max", "the allowance for this profile is used up; try again later",
                      say_number(s, (int64_t)s->f->quota.issued_in_window), " issued within ",
                      say_span(s, d->quota.window), "; the most is ", say_number(s, d->quota.max));
    uint64_t live = s->f->quota.live_for_subject;
    /* A renewal takes its predecessor's place. */
    if (s->e->kind == ENROLL_RENEW && live > 0 && s->f->predecessor.not_after >= s->f->now)
        live--;
    if (d->quota.per_subject > 0 && live >= (uint64_t)d->quota.per_subject)
        return REFUSE(s, TM_EQUOTA, "quota.per-subject",
                      "this subject has as many certificates as it may have", say_number(s, (int64_t)live),
                      " live certificates of the subject; the most is ", say_number(s, d->quota.per_subject));
    if (d->quota.max > 0)
        PASS(s, "quota.max", say_number(s, (int64_t)s->f->quota.issued_in_window), " of ",
             say_number(s, d->quota.max), " within ", say_span(s, d->quota.window));
    if (d->quota.per_subject > 0)
        PASS(s, "quota.per-subject", say_number(s, (int64_t)live), " of ",
             say_number(s, d->quota.per_subject));
    return TM_OK;
}

tm_err rule_approval(struct deciding *s)
{
    if (!s->p->doc.approval.required)
        return TM_OK;
    if (s->f->approved) {
        PASS(s, "approval.required", "approved by ", say_slice(s, slice_str(say_text(s->f->approved_by))));
        return TM_OK;
    }
    s->d->verdict = VERDICT_PEND;
    s->d->rule = "approval.required";
    s->d->reason = "the request waits for approval";
    APPLIED(s, "approval.required", "a second person has to approve this request");
    return TM_OK;
}
