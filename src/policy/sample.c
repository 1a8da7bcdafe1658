#include "policy/sample.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "policy/profile_impl.h"

enum { SAMPLE_NOW = 1795262400 };

/* The base point of each curve, and of the others bytes that have the right form: public keys of nobody. */
static const char p256_spki[] =
    "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
static const char ed25519_spki[] =
    "302a300506032b65700321005866666666666666666666666666666666666666666666666666666666666666";

static tm_err sample_key(struct enrollment *e, struct arena *a, const struct profile *p)
{
    bool p256 = profile_key_allowed(p, KEY_ALG_EC_P256, 256);
    struct slice der;
    TM_TRY(hex_decode(&der, a, slice_str(p256 ? p256_spki : ed25519_spki)));
    TM_TRY(spki_parse(&e->spki, der, NULL));
    e->key.alg = p256 ? KEY_ALG_EC_P256 : KEY_ALG_ED25519;
    e->key.bits = 256;
    e->pop_verified = true;
    for (unsigned i = KEY_ORIGIN_COUNT; i-- > 0;)
        if ((p->doc.key.origins >> i & 1) && i != KEY_ORIGIN_SERVER)
            e->key_origin = (enum key_origin)i;
    return TM_OK;
}

/* Names of every type that the profile allows, under its first rule of each. */
static tm_err sample_names(struct enrollment *e, struct arena *a, const struct profile *p)
{
    const struct profile_doc *d = &p->doc;
    struct general_name *v = arena_calloc(a, 4, sizeof *v);
    const char *text[4] = {NULL};
    if (!v)
        return TM_ENOMEM;
    if (d->san.allow.dns.seen)
        text[0] = d->san.allow.dns.suffixes.n
                      ? arena_printf(a, "DNS:sn-0001.%s", d->san.allow.dns.suffixes.v[0])
                      : "DNS:sn-0001.example.org";
    if (d->san.allow.ip.seen && p->n_cidrs == 0)
        text[1] = "IP:192.0.2.17";
    if (d->san.allow.uri.seen)
        text[2] = arena_printf(
            a, "URI:%s%s",
            d->san.allow.uri.prefixes.n ? d->san.allow.uri.prefixes.v[0] : "urn:", "example:sn-0001");
    if (d->san.allow.email.seen)
        text[3] =
            arena_printf(a, "email:sn-0001@%s",
                         d->san.allow.email.domains.n ? d->san.allow.email.domains.v[0] : "example.org");
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        if (text[i] && !(d->device.bind_names && i != 0 && i != 2))
            TM_TRY(general_name_from_text(&v[n++], a, slice_str(text[i]), NULL));
    e->san = (struct general_names){v, n};
    const char **seen = arena_calloc(a, 1, sizeof *seen);
    if (!seen)
        return TM_ENOMEM;
    seen[0] = text[0];
    e->caa = (struct caa_finding){.at = SAMPLE_NOW, .names = seen, .n_names = text[0] != NULL};
    return TM_OK;
}

static enum caller_kind sample_caller(const struct profile *p)
{
    static const enum caller_kind order[] = {CALLER_PRINCIPAL, CALLER_TOKEN, CALLER_DEVICE, CALLER_ANONYMOUS,
                                             CALLER_CERTIFICATE};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (p->doc.callers >> order[i] & 1)
            return order[i];
    return CALLER_ANONYMOUS;
}

static void sample_house(struct facts *f, const struct profile *p)
{
    f->now = SAMPLE_NOW;
    f->authority.name = *p->doc.authority ? p->doc.authority : "sample-ca";
    f->authority.key_id =
        SLICE_LIT("\x54\x6f\x75\x63\x68\x6d\x61\x72\x6b\x20\x73\x61\x6d\x70\x6c\x65\x20\x43\x41\x21");
    f->authority.key_ref = "sample";
    f->authority.key_alg = KEY_ALG_EC_P256;
    for (unsigned k = 1; p->sig_alg != SIG_ALG_NONE && k < KEY_ALG_COUNT; k++)
        if (sig_alg_fits(p->sig_alg, (enum key_alg)k)) {
            f->authority.key_alg = (enum key_alg)k;
            break;
        }
    f->authority.not_before = SAMPLE_NOW - INT64_C(3650) * 86400;
    f->authority.not_after = TM_TIME_NEVER;
    f->authority.crl_url = "http://pki.example/crl/546f756368.crl";
    f->authority.ca_url = "http://pki.example/ca/546f756368.cer";
    f->authority.ocsp_url = "http://pki.example/ocsp";
    f->approved = true;
    f->approved_by = "sample approver";
    f->device.known = true;
    f->device.id = "sn-0001";
    f->device.serial = "SN-0001";
    f->device.model = "Model 7";
    f->device.vendor = "Example Devices";
    f->device.owner = "Example Works";
    f->device.place = "Hall 3";
    for (unsigned i = DEVICE_STATE_COUNT; i-- > 0;)
        if (p->doc.device.states >> i & 1)
            f->device.state = (enum device_state)i;
}

tm_err sample_make(struct sample *ret, struct arena *a, const struct profile *p)
{
    struct enrollment e = {
        .request_id = "sample", .tenant = "default", .endpoint = "sample", .profile = p->doc.name};
    struct facts f = {0};
    sample_house(&f, p);
    TM_TRY(name_from_text(&f.authority.subject, a, SLICE_LIT("CN=Sample CA,O=Example"), NULL));
    struct general_name *hw = arena_calloc(a, 1, sizeof *hw);
    struct slice hw_type;
    if (!hw)
        return TM_ENOMEM;
    TM_TRY(oid_from_dotted(&hw_type, a, SLICE_LIT("1.3.6.1.4.1.32473.1")));
    TM_TRY(general_name_hw_module(hw, a, hw_type, SLICE_LIT("SN-0001")));
    f.device.hw_names = hw;
    f.device.n_hw_names = 1;
    for (unsigned i = DOOR_COUNT; i-- > 0;)
        if (p->doc.doors >> i & 1)
            e.door = (enum door)i;
    e.caller.kind = sample_caller(p);
    e.caller.id = "sample";
    e.caller.roles = p->doc.roles.n ? p->doc.roles.v[0] : "";
    TM_TRY(sample_key(&e, a, p));
    TM_TRY(sample_names(&e, a, p));
    const char *subject =
        p->doc.san.allow.dns.seen && p->doc.san.cn != SAN_CN_IGNORE && e.san.n
            ? arena_printf(a, "CN=%.*s,O=Example Works,C=DE", (int)e.san.v[0].value.n,
                           (const char *)e.san.v[0].value.p)
            : "CN=sn-0001,O=Example Works,serialNumber=SN-0001,1.3.6.1.4.1.37244.2.1=FFF1,1.3.6.1.4.1.37244.2.2=8001,C=DE";
    if (!subject)
        return TM_ENOMEM;
    TM_TRY(name_from_text(&e.subject, a, slice_str(subject), NULL));
    ret->e = e;
    ret->f = f;
    return TM_OK;
}
