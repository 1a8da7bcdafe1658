/* Decisions over hostile requests: subject, names, extensions and the caller's certificate are the input's bytes.
 *
 * Input: octet 0 chooses the profile, octet 1 the caller, octet 2 kind and times, octet 3 days and facts; then four blocks, each behind two
 * octets of length: subject Name, GeneralNames, Extensions, certificate; then, where they are there, three more: facts (see facts_fill()),
 * SubjectPublicKeyInfo, and a profile of the input's own. Whatever is issued must be built, be parsed again and pass
 * every lint rule of severity fail of the profile's families.
 * Parser: policy/decide.c policy/names.c policy/template.c policy/rules_subject.c policy/rules_san.c policy/rules_key.c policy/rules_extensions.c policy/rules_binding.c policy/rules_caller.c policy/rules_lifetime.c policy/rules_renewal.c */
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "policy/decide.h"
#include "policy/lint.h"
#include "policy/profile.h"
#include "policy/sample.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROFILES = 32 };
static struct profile *profiles[PROFILES];
static size_t n_profiles;

/* Beside the ready set: one that lets the request choose as much as a profile can. */
static const char open_profile[] =
    "{\"kind\":\"Profile\",\"name\":\"open\",\"callers\":[\"anonymous\",\"device\",\"certificate\",\"token\",\"principal\"],"
    "\"caller-names\":\"any\",\"lifetime\":{\"default\":\"30d\",\"max\":\"1y\",\"requested\":\"honour\"},"
    "\"subject\":{\"allow\":[{\"attr\":\"CN\",\"patterns\":[\"[a-z]*\",\"?*\"]},{\"attr\":\"O\"},{\"attr\":\"OU\"},{\"attr\":\"C\"},"
    "{\"attr\":\"DC\"},{\"attr\":\"email\"},{\"attr\":\"serialNumber\"},{\"attr\":\"UID\"}],\"empty\":\"allow\"},"
    "\"san\":{\"template\":[\"DNS:{csr.OU}\",\"URI:urn:x:{caller.CN|csr.O|san.ip}\",\"IP:{csr.UID}\",\"email:{csr.email}\"],\"cn\":\"copy\","
    "\"allow\":{\"dns\":{\"wildcards\":true},\"ip\":{},\"uri\":{},\"email\":{}},\"hardware-module-name\":true,\"permanent-id\":true},"
    "\"extensions\":{\"custom\":[{\"oid\":\"1.2.3.4\",\"template\":\"{csr.CN|caller.O}\"}],\"allow-requested\":[\"1.2.3.5\",\"mudUrl\"]}}";

static void profiles_open(void)
{
    for (const struct ready_profile *r = ready_profiles; r->name; r++)
        if (profile_from_json(&profiles[n_profiles++], slice_str(r->json), 1, NULL) != TM_OK)
            abort();
    if (profile_from_json(&profiles[n_profiles++], slice_str(open_profile), 1, NULL) != TM_OK)
        abort();
}

static struct slice block(struct slice *in)
{
    if (in->n < 2)
        return (struct slice){0};
    size_t n = (size_t)in->p[0] << 8 | in->p[1];
    struct slice out = slice_sub(*in, 2, n);
    *in = slice_sub(*in, 2 + out.n, in->n);
    return out;
}

static uint8_t octet(struct slice *in)
{
    uint8_t v = in->n ? in->p[0] : 0;
    *in = slice_sub(*in, 1, in->n);
    return v;
}

/* What the house knows and who asks, one octet each; what is left is a text that stands in the device's fields. */
static void facts_fill(struct sample *s, struct arena *a, struct slice in)
{
    static const char *const roles[] = {"", "admin", "operator,auditor", "owner"};
    static const char *const names[] = {"email:sn@example.org", "CN",    "x:y", "DNS:*.example.org",
                                        "serialNumber=SN-0001", "IP:::1"};
    struct facts *f = &s->f;
    uint8_t device = octet(&in), authority = octet(&in), key = octet(&in), caller = octet(&in);
    f->device.known = !(device & 1);
    if (device & 2)
        f->device.state = (enum device_state)((device >> 2) % DEVICE_STATE_COUNT);
    if (device & 0x20)
        f->device.serial = f->device.model = f->device.vendor = f->device.owner = f->device.place = NULL;
    if (device & 0x40)
        f->device.n_hw_names = 0;
    s->e.caller.device_id = device & 0x80 ? "sn-0002" : "sn-0001";
    f->authority.disabled = authority & 1;
    f->authority.revoked = (authority & 65) == 64;
    f->authority.crl_url = authority & 2 ? "" : f->authority.crl_url;
    f->authority.ca_url = authority & 4 ? NULL : f->authority.ca_url;
    f->authority.ocsp_url = authority & 8 ? NULL : f->authority.ocsp_url;
    f->authority.not_before = authority & 0x10 ? f->now + 3600 : f->authority.not_before;
    f->authority.not_after = authority & 0x20 ? f->now - 3600 : f->authority.not_after;
    if (authority & 0x40)
        f->authority.key_alg = (enum key_alg)(key % KEY_ALG_COUNT);
    s->e.key_origin = (enum key_origin)(key % KEY_ORIGIN_COUNT);
    s->e.pop_verified = !(key & 0x10);
    if (key & 0x20)
        f->quality = (struct key_quality){"key.roca", "The key is weak."};
    f->key_used_by = key & 0x40 ? "CN=other" : NULL;
    f->predecessor.profile = key & 0x80 ? "another" : s->e.profile;
    s->e.caller.roles = roles[caller & 3];
    if (caller & 4) {
        s->e.caller.names = names;
        s->e.caller.n_names = 1 + (caller >> 3) % (sizeof names / sizeof names[0]);
    }
    s->e.door = (enum door)(octet(&in) % DOOR_COUNT);
    f->quota.issued_in_window = octet(&in);
    f->quota.live_for_subject = octet(&in);
    if (in.n && utf8_valid(in) && !memchr(in.p, 0, in.n))
        f->device.serial = f->device.model = arena_strndup(a, (const char *)in.p, in.n);
}

static void key_fill(struct sample *s, struct slice der)
{
    struct spki spki;
    struct pubkey_info info;
    if (spki_parse(&spki, der, NULL) == TM_OK && pubkey_info(&info, &spki, NULL) == TM_OK) {
        s->e.spki = spki;
        s->e.key = info;
    }
}

static void request_fill(struct sample *s, struct arena *a, const uint8_t *head, struct slice rest)
{
    s->e.subject = block(&rest);
    struct slice names = block(&rest), exts = block(&rest), cert = block(&rest);
    s->e.san = (struct general_names){0};
    TM_IGNORE(general_names_parse(&s->e.san, a, names, NULL));
    if (exts_parse(&s->e.exts, exts, NULL) != TM_OK)
        s->e.exts.n = 0;
    s->e.caller.kind = (enum caller_kind)(head[1] % CALLER_COUNT);
    s->e.caller.cert = cert;
    s->e.caller.trust_set = head[1] & 0x80 ? "idevid" : NULL;
    s->e.caller.cert_expired = head[1] & 0x40;
    s->f.predecessor.cert = cert;
    s->e.kind = head[2] & 1 ? ENROLL_RENEW : ENROLL_NEW;
    s->f.predecessor.known = head[2] & 2;
    s->f.predecessor.not_after = s->f.now + (head[2] & 4 ? 1000 : -1000);
    s->f.device.known = head[2] & 8;
    s->f.authority.not_after = head[2] & 16 ? s->f.now + 100000 : s->f.authority.not_after;
    s->e.not_after = head[2] & 32 ? s->f.now + head[3] * INT64_C(86400) : 0;
    s->e.not_before = head[2] & 64 ? s->f.now - head[3] * INT64_C(86400) : 0;
    static const char *const token_names[] = {"CN=sn-0001", "DNS:sn-0001.example.org", "IP:192.0.2.1",
                                              "URI:urn:dev:sn-0001"};
    if (head[3] & 2)
        s->e.caller.names = token_names;
    s->e.caller.n_names = head[3] & 2 ? sizeof token_names / sizeof token_names[0] : 0;
    s->f.predecessor.same_key = head[3] & 1;
    s->f.predecessor.revoked = (head[3] & 12) == 12;
    s->f.key_used_elsewhere = (head[3] & 48) == 48;
    s->f.approved = head[3] & 64;
    struct slice facts = block(&rest);
    if (facts.n)
        facts_fill(s, a, facts);
    key_fill(s, block(&rest));
}

static void issued_check(struct arena *a, const struct decision *d, const struct profile *p, int64_t now)
{
    struct buf tbs;
    struct lint_report report;
    struct cert *seen = NULL;
    uint8_t serial[CERT_SERIAL_LEN];
    buf_init(&tbs, CERT_DER_MAX);
    serial_prefix(serial, d->plan.not_after, now);
    serial[15] = 1;
    tm_err err = plan_build_tbs(&tbs, &d->plan, serial, NULL);
    if (err == TM_OK)
        err = lint_plan(&report, &seen, a, &d->plan, buf_slice(&tbs), profile_lint_families(p), now);
    if (err == TM_OK && report.failed) {
        for (size_t i = 0; i < report.n; i++)
            fprintf(stderr, "%s: %s\n", report.v[i].rule->id, report.v[i].detail);
        abort();
    }
    if (err != TM_OK && err != TM_ETOOBIG && err != TM_ENOMEM) {
        fprintf(stderr, "what was decided cannot be built: %s\n", tm_err_name(err));
        abort();
    }
    buf_done(&tbs);
}

/* The seventh block, where it is a profile. */
static struct profile *own_profile(struct slice rest)
{
    struct profile *p = NULL;
    for (int i = 0; i < 6; i++)
        block(&rest);
    struct slice json = block(&rest);
    return json.n && profile_from_json(&p, json, 1, NULL) == TM_OK ? p : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (n_profiles == 0)
        profiles_open();
    if (size < 4)
        return 0;
    struct profile *own = own_profile(slice_of(data + 4, size - 4));
    const struct profile *p = own ? own : profiles[data[0] % n_profiles];
    struct arena *a = arena_new(0);
    struct sample s;
    struct decision d;
    struct buf out;
    if (!a || sample_make(&s, a, p) != TM_OK) {
        if (!own) /* of the ready profiles a sample is always made */
            abort();
        arena_free(a);
        profile_free(own);
        return 0;
    }
    request_fill(&s, a, data, slice_of(data + 4, size - 4));
    buf_init(&out, 1 << 20);
    if (policy_decide(&d, a, p, &s.e, &s.f) == TM_OK) {
        decision_print(&out, &d);
        decision_json(&out, &d);
        if (d.verdict != VERDICT_DENY)
            issued_check(a, &d, p, s.f.now);
        else if (!*d.rule || !*d.reason || d.err == TM_OK)
            abort();
    }
    buf_done(&out);
    arena_free(a);
    profile_free(own);
    return 0;
}
