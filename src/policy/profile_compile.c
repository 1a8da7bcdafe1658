/* From the document to the form that decisions read: cross-field rules, then templates and constant extensions. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "der/builder.h"
#include "der/reader.h"
#include "policy/enrollment.h"
#include "policy/profile_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD(diag, field, ...) diag_fail(diag, TM_EINVAL, "profile", field, __VA_ARGS__)

static const char *pointer(char out[96], const char *fmt, size_t i)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(out, 96, fmt, i);
#pragma GCC diagnostic pop
    return out;
}

/* ---- lifetime ---- */

static tm_err lifetime_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    const char *end = d->lifetime.not_after;
    if (*end) {
        if (d->lifetime.standard || d->lifetime.max)
            return BAD(diag, "/lifetime/not-after",
                       "a fixed end replaces \"default\" and \"max\": leave them out");
        if (d->lifetime.calendar != CALENDAR_NONE || d->lifetime.limits.n)
            return BAD(diag, "/lifetime/not-after", "a fixed end and limits by date contradict each other");
        if (strcmp(end, "never") == 0)
            p->fixed_end = TM_TIME_NEVER;
        else if (clock_parse_rfc3339(&p->fixed_end, slice_str(end)) != TM_OK || p->fixed_end <= 0)
            return BAD(diag, "/lifetime/not-after", "must be \"never\" or a date such as 2045-12-31");
        return TM_OK;
    }
    if (d->lifetime.standard <= 0)
        return BAD(diag, "/lifetime/default",
                   "is required (a duration such as \"90d\"), unless not-after is given");
    if (d->lifetime.standard >= TM_TIME_NEVER)
        return BAD(diag, "/lifetime/default", "for certificates that never expire write not-after: never");
    if (d->lifetime.standard > INT64_C(100) * 366 * 86400)
        return BAD(diag, "/lifetime/default", "must not be longer than 100 years");
    if (d->lifetime.max == 0)
        d->lifetime.max = d->lifetime.standard;
    if (d->lifetime.max < d->lifetime.standard)
        return BAD(diag, "/lifetime/max", "must not be shorter than the default");
    if (d->lifetime.max > INT64_C(100) * 366 * 86400)
        return BAD(diag, "/lifetime/max", "must not be longer than 100 years");
    if (d->lifetime.min > d->lifetime.standard)
        return BAD(diag, "/lifetime/min", "must not be longer than the default");
    const struct limit_row *row = d->lifetime.limits.v;
    for (size_t i = 0; i < d->lifetime.limits.n; i++) {
        char at[96];
        if (i > 0 && row[i].from <= row[i - 1].from)
            return BAD(diag, pointer(at, "/lifetime/limits/%zu/from", i),
                       "must be later than the row before");
    }
    return TM_OK;
}

static tm_err renewal_compile(struct profile *p, struct diag *diag)
{
    const char *before = p->doc.renewal.before;
    size_t n = strlen(before);
    if (n > 1 && n <= 3 && before[n - 1] == '%') {
        char *end = NULL;
        p->renew_percent = strtol(before, &end, 10);
        if (before[0] < '1' || before[0] > '9' || *end != '%' || p->renew_percent > 99)
            return BAD(diag, "/renewal/before", "must be a share from 1%% to 99%%");
        return TM_OK;
    }
    if (duration_parse(&p->renew_before, slice_str(before)) != TM_OK || p->renew_before >= TM_TIME_NEVER ||
        p->renew_before <= 0)
        return BAD(diag, "/renewal/before", "must be a share such as \"33%%\" or a duration such as \"30d\"");
    if (!p->fixed_end && p->renew_before >= p->doc.lifetime.standard)
        return BAD(diag, "/renewal/before", "must be shorter than the lifetime, or renewal never ends");
    return TM_OK;
}

/* ---- keys ---- */

static tm_err key_rule_compile(struct key_rule *ret, const char *name, const char *field, struct diag *diag)
{
    struct slice s = slice_str(name);
    bool more = s.n > 0 && s.p[s.n - 1] == '+';
    if (more)
        s.n--;
    unsigned bits = 0;
    struct key_rule r = {0};
    if (key_alg_from_name(&r.alg, &bits, s) != TM_OK)
        return BAD(
            diag, field,
            "\"%.40s\" is no key type; there are ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072, rsa-4096 (with + for "
            "longer ones too), ed25519, ed448, ml-dsa-44, ml-dsa-65, ml-dsa-87",
            name);
    if (r.alg != KEY_ALG_RSA) /* only RSA comes in sizes that its name leaves open */
        bits = 0;
    if (more && bits == 0)
        return BAD(diag, field, "the + needs a size in front of it, as in rsa-3072+");
    r.min_bits = bits;
    r.max_bits = more ? UINT32_MAX : bits;
    *ret = r;
    return TM_OK;
}

bool profile_key_allowed(const struct profile *p, enum key_alg alg, unsigned bits)
{
    for (size_t i = 0; i < p->n_keys; i++) {
        const struct key_rule *r = &p->keys[i];
        if (r->alg == alg && (r->min_bits == 0 || (bits >= r->min_bits && bits <= r->max_bits)))
            return true;
    }
    return false;
}

static uint32_t profile_key_usage_for(const struct profile *p, const struct key_alg_info *key)
{
    uint32_t ku = p->key_usage;
    if (!key->can_encipher)
        ku &= ~(uint32_t)(KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT);
    if (!key->can_agree)
        ku &= ~(uint32_t)(KU_KEY_AGREEMENT | KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY);
    return ku;
}

static tm_err keys_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    char at[96];
    const char *text = "";
    for (size_t i = 0; i < d->key.algorithms.n; i++) {
        const char *name = d->key.algorithms.v[i];
        TM_TRY(key_rule_compile(&p->keys[i], name, pointer(at, "/key/algorithms/%zu", i), diag));
        p->n_keys++;
        text = arena_printf(p->arena, "%s%s%s", text, i ? ", " : "", name);
        if (!text)
            return TM_ENOMEM;
    }
    p->keys_text = text;
    struct key_rule gen = {0};
    const char *algorithm = d->key.server_generated.algorithm;
    TM_TRY(key_rule_compile(&gen, algorithm, "/key/server-generated/algorithm", diag));
    if (d->key.server_generated.allowed) {
        if (!profile_key_allowed(p, gen.alg, gen.min_bits ? gen.min_bits : key_alg_info(gen.alg)->bits))
            return BAD(diag, "/key/server-generated/algorithm", "\"%.40s\" is not among key.algorithms",
                       algorithm);
        if (!(d->key.origins >> KEY_ORIGIN_SERVER & 1))
            return BAD(diag, "/key/server-generated/allowed", "key.origins does not list \"server\"");
    }
    if (*d->signature && sig_alg_from_name(&p->sig_alg, slice_str(d->signature)) != TM_OK)
        return BAD(diag, "/signature",
                   "\"%.30s\" is no signature algorithm; leave it out for the authority's own", d->signature);
    return TM_OK;
}

/* ---- names ---- */

static tm_err attr_compile(const struct attr_info **ret, const char *name, const char *field,
                           struct diag *diag)
{
    *ret = attr_find(name);
    if (!*ret)
        return BAD(
            diag, field,
            "\"%.60s\" is no subject attribute; there are CN, O, OU, C, ST, L, serialNumber, DC, UID, …",
            name);
    return TM_OK;
}

static tm_err subject_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    char at[96];
    const struct subject_part *part = d->subject.template.v;
    p->n_subject = d->subject.template.n;
    p->subject = arena_calloc(p->arena, p->n_subject + 1, sizeof *p->subject);
    p->n_required = d->subject.required.n;
    p->required = arena_calloc(p->arena, p->n_required + 1, sizeof *p->required);
    p->allow = arena_calloc(p->arena, d->subject.allow.n + 1, sizeof *p->allow);
    if (!p->subject || !p->required || !p->allow)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->n_subject; i++) {
        struct subject_rule *r = &p->subject[i];
        TM_TRY(attr_compile(&r->attr, part[i].attr, pointer(at, "/subject/template/%zu/attr", i), diag));
        pointer(at, "/subject/template/%zu/value", i);
        TM_TRY(template_compile(&r->value, p->arena, part[i].value, at, diag));
        for (size_t j = 0; j < i; j++)
            if (p->subject[j].attr == r->attr && !r->attr->repeats)
                return BAD(diag, pointer(at, "/subject/template/%zu/attr", i),
                           "stands twice in the template");
    }
    const struct subject_allow *allow = d->subject.allow.v;
    for (size_t i = 0; i < d->subject.allow.n; i++) {
        struct allow_rule *r = &p->allow[i];
        TM_TRY(attr_compile(&r->attr, allow[i].attr, pointer(at, "/subject/allow/%zu/attr", i), diag));
        r->max = allow[i].max ? (unsigned)allow[i].max : r->attr->max;
        r->patterns = allow[i].patterns;
        for (size_t j = 0; j < r->patterns.n; j++) {
            const char *why = glob_check(slice_str(r->patterns.v[j]));
            if (why)
                return BAD(diag, pointer(at, "/subject/allow/%zu/patterns", i), "\"%.60s\" %s",
                           r->patterns.v[j], why);
        }
    }
    p->n_allow = d->subject.allow.n;
    if (p->n_subject == 0 && p->n_allow == 0) {
        /* Without a word about the subject a common name is what people mean. */
        p->allow[0] = (struct allow_rule){.attr = attr_find_oid(OID_CN), .max = 64};
        p->n_allow = 1;
    }
    for (size_t i = 0; i < p->n_required; i++)
        TM_TRY(attr_compile(&p->required[i], d->subject.required.v[i],
                            pointer(at, "/subject/required/%zu", i), diag));
    return TM_OK;
}

static tm_err san_rule_compile(struct san_rule *ret, struct profile *p, const char *text, const char *field,
                               struct diag *diag)
{
    static const struct {
        const char *prefix;
        enum general_name_type type;
    } types[] = {{"DNS:", GN_DNS}, {"IP:", GN_IP}, {"URI:", GN_URI}, {"email:", GN_EMAIL}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t n = strlen(types[i].prefix);
        if (strncmp(text, types[i].prefix, n) == 0 && text[n]) {
            ret->type = types[i].type;
            return template_compile(&ret->value, p->arena, text + n, field, diag);
        }
    }
    return BAD(diag, field, "must begin with DNS:, IP:, URI: or email: and go on");
}

/* Who looks at CAA records looks for the names that are asked for. */
static tm_err caa_check(const struct profile *p, struct diag *diag)
{
    if (p->doc.caa != CAA_REQUIRED)
        return TM_OK;
    if (!(p->doc.doors >> DOOR_ACME & 1))
        return BAD(diag, "/caa", "needs \"acme\" among the doors: others don't look at CAA records");
    for (size_t i = 0; i < p->n_san; i++)
        if (p->san[i].type == GN_DNS)
            return BAD(diag, "/caa", "can't be required for DNS names that san.template makes");
    return TM_OK;
}

static tm_err san_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    char at[96];
    p->n_san = d->san.template.n;
    p->san = arena_calloc(p->arena, p->n_san + 1, sizeof *p->san);
    p->n_cidrs = d->san.allow.ip.cidrs.n;
    p->cidrs = arena_calloc(p->arena, p->n_cidrs + 1, sizeof *p->cidrs);
    if (!p->san || !p->cidrs)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->n_san; i++)
        TM_TRY(
            san_rule_compile(&p->san[i], p, d->san.template.v[i], pointer(at, "/san/template/%zu", i), diag));
    for (size_t i = 0; i < p->n_cidrs; i++)
        if (!cidr_parse(&p->cidrs[i], d->san.allow.ip.cidrs.v[i]))
            return BAD(diag, pointer(at, "/san/allow/ip/cidrs/%zu", i),
                       "must be a network such as 10.0.0.0/8 or fd00::/8 with no bits behind its prefix");
    for (size_t i = 0; i < d->san.allow.dns.suffixes.n; i++) {
        struct slice s = slice_str(d->san.allow.dns.suffixes.v[i]);
        const char *why = dns_name_check(slice_sub(s, s.n > 0 && s.p[0] == '.', s.n), false);
        if (why)
            return BAD(diag, pointer(at, "/san/allow/dns/suffixes/%zu", i), "%s", why);
    }
    for (size_t i = 0; i < d->san.allow.email.domains.n; i++) {
        const char *why = dns_name_check(slice_str(d->san.allow.email.domains.v[i]), false);
        if (why)
            return BAD(diag, pointer(at, "/san/allow/email/domains/%zu", i), "%s", why);
    }
    for (size_t i = 0; i < d->san.allow.uri.prefixes.n; i++)
        if (!strchr(d->san.allow.uri.prefixes.v[i], ':'))
            return BAD(diag, pointer(at, "/san/allow/uri/prefixes/%zu", i),
                       "must begin with a scheme such as spiffe:");
    if (d->san.min > d->san.max)
        return BAD(diag, "/san/min", "must not be more than san.max");
    if (d->san.from == SAN_FROM_TEMPLATE && p->n_san == 0)
        return BAD(diag, "/san/from", "\"template\" needs a san.template");
    if (d->san.from != SAN_FROM_REQUEST &&
        (d->san.allow.dns.seen || d->san.allow.ip.seen || d->san.allow.uri.seen || d->san.allow.email.seen))
        return BAD(diag, "/san/allow", "has no effect unless san.from is \"request\"");
    return caa_check(p, diag);
}

/* ---- extensions ---- */

static tm_err oid_compile(struct slice *ret, struct profile *p, const char *text, const char *field,
                          struct diag *diag)
{
    enum oid known = oid_find_name(slice_str(text));
    if (known != OID_UNKNOWN) {
        *ret = oid_contents(known);
        return TM_OK;
    }
    if (oid_from_dotted(ret, p->arena, slice_str(text)) != TM_OK)
        return BAD(diag, field, "\"%.60s\" is neither a known name nor a dotted OID", text);
    return TM_OK;
}

static tm_err oids_compile(struct slice **ret, struct profile *p, const struct json_strings *list,
                           const char *fmt, struct diag *diag)
{
    char at[96];
    struct slice *v = arena_calloc(p->arena, list->n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < list->n; i++) {
        TM_TRY(oid_compile(&v[i], p, list->v[i], pointer(at, fmt, i), diag));
        for (size_t j = 0; j < i; j++)
            if (slice_eq(v[i], v[j]))
                return BAD(diag, at, "\"%.60s\" stands twice", list->v[i]);
    }
    *ret = v;
    return TM_OK;
}

static struct ext ext_of(enum oid id, bool critical, struct slice value)
{
    return (struct ext){.id = id, .oid = oid_contents(id), .critical = critical, .value = value};
}

static tm_err usage_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    /* Bits of the enum follow key_usage_names. */
    p->key_usage = d->usage.key_usage;
    if (p->key_usage & KU_KEY_CERT_SIGN)
        return BAD(diag, "/usage/key-usage", "keyCertSign is for CA certificates; profiles make leaves");
    for (unsigned i = 0; i < 4; i++) {
        struct key_alg_info can = {.can_encipher = i & 1, .can_agree = i >> 1};
        uint32_t ku = profile_key_usage_for(p, &can);
        struct slice value = {0};
        if (ku)
            TM_TRY(ext_encode_key_usage(&value, p->arena, ku));
        p->key_usage_ext[i] = ext_of(OID_EXT_KEY_USAGE, true, value);
    }
    TM_TRY(oids_compile(&p->eku_oids, p, &d->usage.eku, "/usage/eku/%zu", diag));
    p->n_eku = d->usage.eku.n;
    struct slice value = {0};
    if (p->n_eku) {
        TM_TRY(ext_encode_eku(&value, p->arena, p->eku_oids, p->n_eku));
        p->eku = ext_of(OID_EXT_EKU, d->usage.critical, value);
    }
    for (size_t i = 0; i < p->n_eku; i++)
        if (oid_find(p->eku_oids[i]) == OID_EKU_ANY && d->usage.critical)
            /* RFC 5280 4.2.1.12 */
            return BAD(diag, "/usage/critical", "extKeyUsage with anyExtendedKeyUsage must not be critical");
    const struct basic_constraints leaf = {.ca = false};
    TM_TRY(ext_encode_basic_constraints(&value, p->arena, &leaf));
    p->basic_constraints = ext_of(OID_EXT_BASIC_CONSTRAINTS, true, value);
    return TM_OK;
}

/* Extensions that the profile's own fields write, or that belong to CA certificates alone. */
static bool ext_is_ours(enum oid id)
{
    switch (id) {
    case OID_EXT_SKI:
    case OID_EXT_KEY_USAGE:
    case OID_EXT_SAN:
    case OID_EXT_BASIC_CONSTRAINTS:
    case OID_EXT_NAME_CONSTRAINTS:
    case OID_EXT_CDP:
    case OID_EXT_POLICIES:
    case OID_EXT_POLICY_MAPPINGS:
    case OID_EXT_AKID:
    case OID_EXT_POLICY_CONSTRAINTS:
    case OID_EXT_EKU:
    case OID_EXT_FRESHEST_CRL:
    case OID_EXT_INHIBIT_ANY:
    case OID_EXT_NO_REV_AVAIL:
    case OID_EXT_AIA:
    case OID_EXT_SIA:
    case OID_EXT_TLS_FEATURE:
    case OID_EXT_CT_POISON:
        return true;
    default:
        return false;
    }
}

static tm_err custom_value(struct slice *ret, struct profile *p, const struct custom_ext *c,
                           const char *field, struct diag *diag)
{
    if (c->hex) {
        if (hex_decode(ret, p->arena, slice_str(c->hex)) != TM_OK)
            return BAD(diag, field, "hex must be pairs of hex digits");
        struct der_reader r;
        der_reader_init(&r, *ret, NULL);
        TM_IGNORE(der_skip(&r, der_peek(&r)));
        if (der_end(&r) != TM_OK)
            return BAD(diag, field, "hex must be one whole DER value");
        return TM_OK;
    }
    struct slice text = slice_str(c->utf8 ? c->utf8 : c->ia5);
    for (size_t i = 0; c->ia5 && i < text.n; i++)
        if (text.p[i] >= 0x80)
            return BAD(diag, field, "ia5 must be ASCII");
    struct buf b;
    struct der_builder der;
    buf_init(&b, 4096);
    der_builder_init(&der, &b);
    der_put(&der, c->utf8 ? DER_UTF8_STRING : DER_IA5_STRING, text);
    tm_err err = der_builder_finish(&der);
    if (err == TM_OK)
        err = arena_copy(ret, p->arena, buf_slice(&b));
    buf_done(&b);
    return err;
}

static tm_err custom_compile(struct profile *p, struct diag *diag)
{
    const struct custom_ext *c = p->doc.extensions.custom.v;
    char at[96];
    p->n_custom = p->doc.extensions.custom.n;
    p->custom = arena_calloc(p->arena, p->n_custom + 1, sizeof *p->custom);
    if (!p->custom)
        return TM_ENOMEM;
    for (size_t i = 0; i < p->n_custom; i++) {
        struct custom_rule *r = &p->custom[i];
        TM_TRY(oid_compile(&r->ext.oid, p, c[i].oid, pointer(at, "/extensions/custom/%zu/oid", i), diag));
        r->ext.id = oid_find(r->ext.oid);
        r->ext.critical = c[i].critical;
        if (ext_is_ours(r->ext.id))
            return BAD(diag, at, "%s is written by the profile's own fields", oid_name(r->ext.id));
        for (size_t j = 0; j < i; j++)
            if (slice_eq(p->custom[j].ext.oid, r->ext.oid))
                return BAD(diag, at, "the extension stands twice");
        pointer(at, "/extensions/custom/%zu", i);
        if (!!c[i].hex + !!c[i].utf8 + !!c[i].ia5 + !!c[i].template != 1)
            return BAD(diag, at, "needs exactly one of hex, utf8, ia5 and template");
        r->templated = c[i].template;
        if (r->templated)
            TM_TRY(template_compile(&r->value, p->arena, c[i].template, at, diag));
        else
            TM_TRY(custom_value(&r->ext.value, p, &c[i], at, diag));
    }
    return TM_OK;
}

/* A list that no certificate names would be there for nobody. */
static tm_err own_crl_check(const struct profile_doc *d, struct diag *diag)
{
    if (!d->revocation.crl.seen)
        return TM_OK;
    if (d->revocation.model == REVOCATION_NONE)
        return BAD(diag, "/revocation/crl", "contradicts revocation.model none");
    if (!d->extensions.cdp)
        return BAD(diag, "/revocation/crl", "needs extensions.cdp, for the certificates have to name it");
    if (d->revocation.crl.lifetime && d->revocation.crl.lifetime < 60)
        return BAD(diag, "/revocation/crl/lifetime", "must not be shorter than a minute");
    if (d->revocation.crl.every && d->revocation.crl.every < 10)
        return BAD(diag, "/revocation/crl/every", "must not be shorter than ten seconds");
    if (d->revocation.crl.lifetime && d->revocation.crl.every > d->revocation.crl.lifetime)
        return BAD(diag, "/revocation/crl/every", "a CRL would end before its successor is published");
    if (d->revocation.crl.delta && d->revocation.crl.shards > 1)
        return BAD(diag, "/revocation/crl/delta", "goes without shards");
    return TM_OK;
}

static tm_err extensions_compile(struct profile *p, struct diag *diag)
{
    struct profile_doc *d = &p->doc;
    char at[96];
    /* What nobody revokes has no place to look that up (RFC 9608 3). */
    if (d->extensions.no_rev_avail || d->revocation.model == REVOCATION_NONE) {
        const char *why = d->extensions.no_rev_avail ? "contradicts no-rev-avail (RFC 9608 3)"
                                                     : "contradicts revocation.model none";
        if (d->extensions.cdp_seen && d->extensions.cdp)
            return BAD(diag, "/extensions/cdp", "%s", why);
        if (d->extensions.ocsp_seen && d->extensions.ocsp)
            return BAD(diag, "/extensions/ocsp", "%s", why);
        d->extensions.cdp = d->extensions.ocsp = false;
    }
    if (d->extensions.no_rev_avail && d->revocation.model != REVOCATION_NONE)
        return BAD(diag, "/extensions/no-rev-avail", "needs revocation.model none");
    if (d->extensions.must_staple && !d->extensions.ocsp)
        return BAD(diag, "/extensions/must-staple", "needs extensions.ocsp");

    struct slice *policies = NULL;
    TM_TRY(oids_compile(&policies, p, &d->extensions.policies, "/extensions/policies/%zu", diag));
    struct slice value = {0};
    if (d->extensions.policies.n) {
        TM_TRY(ext_encode_policies(&value, p->arena, policies, d->extensions.policies.n));
        p->policies = ext_of(OID_EXT_POLICIES, false, value);
    }
    if (d->extensions.no_rev_avail)
        p->no_rev_avail = ext_of(OID_EXT_NO_REV_AVAIL, false, SLICE_LIT("\x05\x00")); /* NULL */
    if (d->extensions.must_staple) /* Features ::= SEQUENCE OF INTEGER; status_request(5) */
        p->tls_feature = ext_of(OID_EXT_TLS_FEATURE, false, SLICE_LIT("\x30\x03\x02\x01\x05"));
    TM_TRY(custom_compile(p, diag));
    TM_TRY(oids_compile(&p->allow_ext, p, &d->extensions.allow_requested, "/extensions/allow-requested/%zu",
                        diag));
    p->n_allow_ext = d->extensions.allow_requested.n;
    for (size_t i = 0; i < p->n_allow_ext; i++) {
        pointer(at, "/extensions/allow-requested/%zu", i);
        if (ext_is_ours(oid_find(p->allow_ext[i])))
            return BAD(diag, at, "%s is written by the profile's own fields",
                       d->extensions.allow_requested.v[i]);
        for (size_t j = 0; j < p->n_custom; j++)
            if (slice_eq(p->custom[j].ext.oid, p->allow_ext[i]))
                return BAD(diag, at, "the extension stands under extensions.custom already");
    }
    return TM_OK;
}

/* ---- the whole ---- */

static tm_err heading_check(const struct profile *p, struct diag *diag)
{
    const struct profile_doc *d = &p->doc;
    if (strcmp(d->kind, "Profile") != 0)
        return BAD(diag, "/kind", "must be Profile");
    if (!name_valid(slice_str(d->name)))
        return BAD(
            diag, "/name",
            "must be 1 to 63 lower-case letters, digits and hyphens, and not begin or end with a hyphen");
    if (*d->authority && !name_valid(slice_str(d->authority)))
        return BAD(diag, "/authority", "must be an authority's name");
    if ((d->callers >> CALLER_PRINCIPAL & 1) && d->roles.n == 0)
        return BAD(diag, "/roles", "must not be empty where principals may call");
    if (d->approval.required && d->approval.roles.n == 0 && d->approval.groups.n == 0)
        return BAD(diag, "/approval/roles",
                   "must not be empty where approval is required and no groups are named");
    if (d->device.states >> DEVICE_RETIRED & 1)
        return BAD(diag, "/device/states", "a retired device gets no certificates");
    if (d->key.reuse == REUSE_NEVER && d->renewal.rekey == REKEY_FORBIDDEN)
        return BAD(diag, "/renewal/rekey", "\"forbidden\" contradicts key.reuse never");
    return TM_OK;
}

static bool any_template_uses(const struct profile *p, enum template_source source)
{
    for (size_t i = 0; i < p->n_subject; i++)
        if (template_uses(&p->subject[i].value, source))
            return true;
    for (size_t i = 0; i < p->n_san; i++)
        if (template_uses(&p->san[i].value, source))
            return true;
    for (size_t i = 0; i < p->n_custom; i++)
        if (p->custom[i].templated && template_uses(&p->custom[i].value, source))
            return true;
    return false;
}

tm_err profile_compile(struct profile *p, struct diag *diag)
{
    TM_TRY(heading_check(p, diag));
    TM_TRY(lifetime_compile(p, diag));
    TM_TRY(keys_compile(p, diag));
    TM_TRY(subject_compile(p, diag));
    TM_TRY(san_compile(p, diag));
    TM_TRY(usage_compile(p, diag));
    TM_TRY(extensions_compile(p, diag));
    TM_TRY(renewal_compile(p, diag));
    TM_TRY(own_crl_check(&p->doc, diag));
    p->uses_caller = any_template_uses(p, SOURCE_CALLER);
    return TM_OK;
}
