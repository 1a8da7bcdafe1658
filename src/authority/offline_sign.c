/* What an open bundle signs: subordinate CAs and series of CRLs. */
#include "authority/offline.h"
#include "authority/offline_impl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "keys/pubkey.h"
#include "keys/signer.h"
#include "x509/csr.h"
#include "x509/name.h"
#include <inttypes.h>
#include <string.h>

enum { CRL_TBS_MAX = 16 << 20, DAY = 86400 };

/* ---- subordinate CAs ---- */

static const char *given(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

static tm_err record_ca(struct offline_bundle *b, const struct ca_signed *s, struct slice subject,
                        int64_t not_after)
{
    struct buf text;
    buf_init(&text, 64 << 10);
    name_print_der(&text, subject);
    json_t *entry =
        json_pack("{s:I,s:s,s:s,s:s,s:s,s:I}", "time", (json_int_t)clock_now(), "kind", "ca", "serial",
                  arena_hex(b->a, SLICE_ARR(s->serial)), "tbs", arena_hex(b->a, SLICE_ARR(s->tbs_hash)),
                  "subject", buf_str(&text), "not_after", (json_int_t)not_after);
    buf_done(&text);
    return offline_record(b, "signed", entry);
}

tm_err offline_bundle_sign(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                           struct slice subject, struct slice spki, const struct offline_sign *o,
                           struct diag *diag)
{
    struct spki key;
    struct name name;
    TM_TRY(spki_parse(&key, spki, diag));
    TM_TRY(pubkey_check(&key, diag));
    TM_TRY(name_parse(&name, subject, diag));
    if (name.n == 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.1.2.6", "subject", "a CA needs a name");
    if (slice_eq(subject, b->cert.subject))
        return diag_fail(diag, TM_EINVAL, "RFC 5280 6.1", "subject",
                         "a CA below this one can't bear its name");
    if (slice_eq(spki, b->cert.spki.der))
        return diag_fail(diag, TM_EINVAL, NULL, "subjectPKInfo", "this is the signing CA's own key");
    int64_t now = clock_now();
    int64_t end = o->not_after ? o->not_after : ca_not_after(o->lifetime, false, now, b->cert.not_after);
    struct ca_plan p = {
        .issuer = b->cert.subject,
        .subject = subject,
        .spki = spki,
        .issuer_key_id = cert_ski(&b->cert),
        .not_before = now - CA_BACKDATE > b->cert.not_before ? now - CA_BACKDATE : b->cert.not_before,
        .not_after = end < b->cert.not_after ? end : b->cert.not_after,
        .path_len = o->issues_cas ? o->path_len : 0,
        .crl_url = given(o->crl_url, offline_header(b, "crl_url")),
        .ca_url = given(o->ca_url, offline_header(b, "ca_url")),
        .permit_dns = o->permit_dns,
        .n_permit_dns = o->n_permit_dns,
        .sig_alg = offline_sig_alg(b),
    };
    struct ca_signed s;
    TM_TRY(ca_plan_sign(&s, a, b->signer, b->name, &p, b->cert.spki.der, diag));
    TM_TRY(record_ca(b, &s, subject, p.not_after));
    TM_TRY(offline_bundle_save(b, diag));
    *ret = s;
    return TM_OK;
}

tm_err offline_bundle_link(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                           struct slice root, struct diag *diag)
{
    struct cert other;
    struct ca_signed s;
    TM_TRY(cert_parse(&other, root, diag));
    TM_TRY(pubkey_check(&other.spki, diag));
    if (!cert_is_ca(&other) || cert_verify_signature(&other, &other.spki, NULL) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "RFC 9810 4.4", "certificate",
                         "not a root: it is not signed by itself");
    if (slice_eq(other.spki.der, b->cert.spki.der))
        return diag_fail(diag, TM_EINVAL, "RFC 9810 4.4", "certificate",
                         "this is the signing root's own key");
    int64_t now = clock_now(), from = now - CA_BACKDATE;
    if (from < b->cert.not_before)
        from = b->cert.not_before;
    struct ca_plan p = {
        .issuer = b->cert.subject,
        .subject = other.subject,
        .spki = other.spki.der,
        .issuer_key_id = cert_ski(&b->cert),
        .not_before = from > other.not_before ? from : other.not_before,
        .not_after = other.not_after < b->cert.not_after ? other.not_after : b->cert.not_after,
        .path_len = -1,
        .crl_url = offline_header(b, "crl_url"),
        .ca_url = offline_header(b, "ca_url"),
        .sig_alg = offline_sig_alg(b),
    };
    TM_TRY(ca_plan_sign(&s, a, b->signer, b->name, &p, b->cert.spki.der, diag));
    TM_TRY(record_ca(b, &s, other.subject, p.not_after));
    TM_TRY(offline_bundle_save(b, diag));
    *ret = s;
    return TM_OK;
}

tm_err offline_bundle_sign_csr(struct ca_signed *ret, struct arena *a, struct offline_bundle *b,
                               struct slice csr, const struct offline_sign *o, struct diag *diag)
{
    struct csr c;
    TM_TRY(csr_parse_any(&c, a, csr, diag));
    if (c.format != CSR_PKCS10)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 2986", NULL, "a CA request must be PKCS#10");
    TM_TRY(csr_verify_pop(&c, diag));
    return offline_bundle_sign(ret, a, b, c.subject, c.spki.der, o, diag);
}

/* ---- revocation ---- */

static const char *serial_hex(struct offline_bundle *b, struct slice serial)
{
    return arena_hex(b->a, serial_magnitude(serial));
}

static bool listed(const json_t *list, const char *serial)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        const char *have = json_string_value(json_object_get(v, "serial"));
        while (have && have[0] == '0' && have[1] == '0' && have[2])
            have += 2;
        if (have && strcmp(have, serial) == 0)
            return true;
    }
    return false;
}

tm_err offline_bundle_revoke(struct offline_bundle *b, struct slice serial, int reason, int64_t when,
                             bool anyway, struct diag *diag)
{
    if (reason < 0 || reason > CRL_AA_COMPROMISE || !crl_reason_names[reason] ||
        reason == CRL_REMOVE_FROM_CRL || reason == CRL_CERTIFICATE_HOLD)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 5.3.1", "reason",
                         "not a reason that a CA can be revoked for");
    if (serial.n == 0 || serial.n > CERT_SERIAL_MAX)
        return diag_fail(diag, TM_EINVAL, "RFC 5280 4.1.2.2", "serial", "a serial has 1 to 20 octets");
    const char *hex = serial_hex(b, serial);
    if (!hex)
        return TM_ENOMEM;
    if (listed(json_object_get(b->record, "revoked"), hex))
        return diag_fail(diag, TM_ECONFLICT, NULL, "serial", "%s is revoked already", hex);
    if (!anyway && !listed(json_object_get(b->record, "signed"), hex))
        return diag_fail(diag, TM_ENOTFOUND, NULL, "serial", "this bundle has not signed a certificate %s",
                         hex);
    TM_TRY(offline_record(b, "revoked",
                          json_pack("{s:s,s:i,s:I}", "serial", hex, "reason", reason, "at",
                                    (json_int_t)(when ? when : clock_now()))));
    return offline_bundle_save(b, diag);
}

/* ---- CRLs ---- */

static tm_err put_entries(struct crl_builder *cb, struct offline_bundle *b)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(b->record, "revoked"), i, v)
    {
        struct slice serial;
        const char *hex = json_string_value(json_object_get(v, "serial"));
        if (!hex || hex_decode(&serial, b->a, slice_str(hex)) != TM_OK || serial.n == 0 ||
            serial.n > CERT_SERIAL_MAX)
            return TM_ECORRUPT;
        /* INTEGER contents: a set top bit would read as negative. */
        uint8_t octets[CERT_SERIAL_MAX + 1] = {0};
        memcpy(octets + 1, serial.p, serial.n);
        size_t skip = serial.p[0] & 0x80 ? 0 : 1;
        struct crl_entry e = {
            .serial = slice_of(octets + skip, serial.n + 1 - skip),
            .revoked_at = json_integer_value(json_object_get(v, "at")),
            .reason = (int)json_integer_value(json_object_get(v, "reason")),
        };
        crl_build_entry(cb, &e);
    }
    return TM_OK;
}

/* Milliseconds as an unsigned magnitude of 6 octets: enough until the year 10889. */
static void number_octets(uint8_t out[6], int64_t ms)
{
    for (int i = 0; i < 6; i++)
        out[i] = (uint8_t)((uint64_t)ms >> (8 * (5 - i)));
}

static tm_err sign_crl(struct buf *out, struct offline_bundle *b, struct sign_op *op, int64_t number_ms,
                       int64_t this_update, int64_t next_update, struct diag *diag)
{
    uint8_t number[6];
    number_octets(number, number_ms);
    const struct sig_alg_info *alg = sig_alg_info(offline_sig_alg(b));
    struct tbs_crl t = {.sigalg = alg->algid,
                        .issuer = b->cert.subject,
                        .this_update = this_update,
                        .next_update = next_update,
                        .akid = cert_ski(&b->cert),
                        .number = SLICE_ARR(number)};
    struct crl_builder cb;
    struct buf tbs, der;
    buf_init(&tbs, CRL_TBS_MAX);
    buf_init(&der, CRL_TBS_MAX);
    crl_build_begin(&cb, &tbs, &t);
    tm_err e = put_entries(&cb, b);
    if (e == TM_OK)
        e = crl_build_end(&cb);
    if (e == TM_OK) {
        *op = (struct sign_op){.kind = SIGN_CRL, .key_id = b->name, .alg = alg->id, .tbs = buf_slice(&tbs)};
        e = signer_sign(b->signer, op);
        if (e != TM_OK && diag)
            *diag = op->diag;
    }
    if (e == TM_OK)
        e = signed_assemble(&der, buf_slice(&tbs), alg->algid, slice_of(op->signature, op->signature_n));
    if (e == TM_OK)
        e = offline_record(b, "signed",
                           json_pack("{s:I,s:s,s:I,s:I,s:I,s:s}", "time", (json_int_t)clock_now(), "kind",
                                     "crl", "number", (json_int_t)number_ms, "this_update",
                                     (json_int_t)this_update, "next_update", (json_int_t)next_update, "tbs",
                                     arena_hex(b->a, SLICE_ARR(op->tbs_hash))));
    if (e == TM_OK)
        buf_put_pem(out, "X509 CRL", buf_slice(&der));
    buf_done(&der);
    buf_done(&tbs);
    return e == TM_OK ? buf_err(out) : e;
}

tm_err offline_bundle_crls(struct buf *out, struct offline_bundle *b, const struct offline_crls *o,
                           struct diag *diag)
{
    unsigned count = o->count ? o->count : 24;
    int64_t every = o->every ? o->every : 30 * DAY, lifetime = o->lifetime ? o->lifetime : 3 * every;
    if (count > OFFLINE_CRLS_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/count", "at most %d CRLs in a series", OFFLINE_CRLS_MAX);
    if (every < 3600 || lifetime <= every)
        return diag_fail(diag, TM_EINVAL, NULL, "/lifetime",
                         "each CRL must outlive the start of the next one");
    struct sign_op *op = arena_calloc(b->a, 1, sizeof *op);
    struct buf all;
    buf_init(&all, (size_t)64 << 20);
    int64_t now_ms = clock_now_ms();
    tm_err e = op ? TM_OK : TM_ENOMEM;
    for (unsigned i = 0; i < count && e == TM_OK; i++) {
        int64_t ms = now_ms + (int64_t)i * every * 1000;
        int64_t from = ms / 1000, until = from + lifetime;
        if (until > b->cert.not_after)
            until = b->cert.not_after;
        if (until <= from)
            break; /* the CA ends before this one would begin */
        e = sign_crl(&all, b, op, ms, from, until, diag);
    }
    if (e == TM_OK)
        e = offline_bundle_save(b, diag);
    if (e == TM_OK) {
        buf_put_slice(out, buf_slice(&all));
        e = buf_err(out);
    }
    buf_done(&all);
    return e;
}

/* ---- what it did ---- */

static void print_entry(struct buf *out, const json_t *v)
{
    char when[21], until[21];
    clock_format_rfc3339(when, json_integer_value(json_object_get(v, "time")));
    const char *kind = json_string_value(json_object_get(v, "kind"));
    if (kind && strcmp(kind, "crl") == 0) {
        clock_format_rfc3339(until, json_integer_value(json_object_get(v, "next_update")));
        buf_printf(out, "%s  crl  %" PRId64 "  until %s\n", when,
                   (int64_t)json_integer_value(json_object_get(v, "number")), until);
        return;
    }
    const char *serial = json_string_value(json_object_get(v, "serial"));
    const char *subject = json_string_value(json_object_get(v, "subject"));
    buf_printf(out, "%s  ca   %s  %s\n", when, serial ? serial : "", subject ? subject : "itself");
}

tm_err offline_bundle_print(struct buf *out, const struct offline_bundle *b)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(b->record, "signed"), i, v) print_entry(out, v);
    json_array_foreach(json_object_get(b->record, "revoked"), i, v)
    {
        char when[21];
        clock_format_rfc3339(when, json_integer_value(json_object_get(v, "at")));
        const char *serial = json_string_value(json_object_get(v, "serial"));
        int64_t reason = json_integer_value(json_object_get(v, "reason"));
        buf_printf(out, "%s  revoked  %s  %s\n", when, serial ? serial : "",
                   reason >= 0 && reason <= CRL_AA_COMPROMISE && crl_reason_names[reason]
                       ? crl_reason_names[reason]
                       : "");
    }
    return buf_err(out);
}
