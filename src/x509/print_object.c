#include "x509/print_object.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "der/reader.h"
#include "x509/internal.h"
#include "x509/print_asn1.h"
#include <inttypes.h>
#include <stdio.h>

static size_t bit_length(struct slice magnitude)
{
    size_t i = 0;
    while (i < magnitude.n && magnitude.p[i] == 0)
        i++;
    if (i == magnitude.n)
        return 0;
    size_t bits = (magnitude.n - i) * 8;
    for (uint8_t top = magnitude.p[i]; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
static void rsa_describe(struct buf *out, const char *name, struct slice key)
{
    struct der_reader r, seq;
    struct slice n;
    uint64_t e;
    der_reader_init(&r, key, NULL);
    buf_puts(out, name);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK || der_read_integer(&seq, &n) != TM_OK ||
        der_read_uint(&seq, &e) != TM_OK) {
        buf_puts(out, " (malformed)");
        return;
    }
    buf_printf(out, " %zu bits", bit_length(n));
    if (e != 65537)
        buf_printf(out, ", exponent %" PRIu64, e);
}

static void key_describe(struct buf *out, const struct spki *k)
{
    struct der_reader r;
    struct slice curve;
    switch (k->alg.id) {
    case OID_RSA:
        rsa_describe(out, "RSA", k->key);
        return;
    case OID_RSA_PSS:
        rsa_describe(out, "RSA-PSS", k->key);
        return;
    case OID_EC_PUBLIC_KEY:
        der_reader_init(&r, k->alg.params, NULL);
        buf_puts(out, "EC ");
        if (der_read_oid(&r, &curve) != TM_OK)
            buf_puts(out, "with explicit parameters");
        else if (oid_find(curve))
            buf_puts(out, oid_name(oid_find(curve)));
        else
            oid_print_dotted(out, curve);
        return;
    case OID_UNKNOWN:
        oid_print_dotted(out, k->alg.oid);
        return;
    default:
        buf_puts(out, oid_name(k->alg.id));
        return;
    }
}

/* RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] HashAlgorithm DEFAULT sha1, … } (RFC 4055 3.1) */
static enum oid pss_hash(struct slice params)
{
    struct der_reader r, seq, wrapper;
    struct algid hash;
    bool present;
    der_reader_init(&r, params, NULL);
    if (der_enter(&r, DER_SEQUENCE, &seq) != TM_OK ||
        der_enter_optional(&seq, DER_CONTEXT_CONS(0), &wrapper, &present) != TM_OK)
        return OID_UNKNOWN;
    if (!present)
        return OID_SHA1;
    return algid_read(&hash, &wrapper) == TM_OK ? hash.id : OID_UNKNOWN;
}

static void sigalg_describe(struct buf *out, const struct algid *alg)
{
    if (alg->id == OID_UNKNOWN) {
        oid_print_dotted(out, alg->oid);
        return;
    }
    buf_puts(out, oid_name(alg->id));
    if (alg->id == OID_RSA_PSS) {
        enum oid hash = pss_hash(alg->params);
        buf_printf(out, " with %s", hash ? oid_name(hash) : "an unknown hash");
    }
}

static void name_fact(struct print_sink *s, const char *key, const char *label, struct slice tlv)
{
    struct buf text;
    buf_init(&text, s->out->max);
    name_print_der(&text, tlv);
    print_str(s, key, label, text.n || s->json ? buf_str(&text) : "(empty)");
    buf_done(&text);
}

static void key_fact(struct print_sink *s, const struct spki *k)
{
    struct buf text;
    buf_init(&text, 256);
    key_describe(&text, k);
    print_str(s, "key", "Key", buf_str(&text));
    buf_done(&text);
    uint8_t pin[SHA256_LEN];
    if (k->der.n && sha256(pin, k->der) == TM_OK)
        print_hex(s, "keySha256", "Key SHA-256", SLICE_ARR(pin));
}

static void sigalg_fact(struct print_sink *s, const struct algid *alg)
{
    struct buf text;
    buf_init(&text, 256);
    sigalg_describe(&text, alg);
    print_str(s, "signature", "Signature", buf_str(&text));
    buf_done(&text);
}

static void fingerprint_fact(struct print_sink *s, struct slice der)
{
    uint8_t hash[SHA256_LEN];
    if (sha256(hash, der) == TM_OK)
        print_hex(s, "sha256", "SHA-256", SLICE_ARR(hash));
}

/* How long a span is, the way people say it: both ends belong to it (RFC 5280 4.1.2.5). */
static const char *span_text(char out[48], int64_t from, int64_t to)
{
    int64_t seconds = to - from + 1;
    if (to >= TM_TIME_NEVER)
        return "never expires";
    if (seconds <= 0)
        return "ends before it begins";
    int64_t days = seconds / 86400, hours = seconds % 86400 / 3600, minutes = seconds % 3600 / 60;
    if (days >= 3 || (days && hours == 0))
        snprintf(out, 48, "%" PRId64 " day%s", days, days == 1 ? "" : "s");
    else if (days * 24 + hours >= 3)
        snprintf(out, 48, "%" PRId64 " hours", days * 24 + hours);
    else
        snprintf(out, 48, "%" PRId64 " minutes", days * 1440 + hours * 60 + minutes);
    return out;
}

void print_cert(struct print_sink *s, struct arena *a, const struct cert *c)
{
    char span[48];
    print_object(s, "certificate", cert_is_ca(c) ? "CA certificate" : "Certificate");
    name_fact(s, "subject", "Subject", c->subject);
    name_fact(s, "issuer", "Issuer", c->issuer);
    print_hex(s, "serial", "Serial", serial_magnitude(c->serial));
    if (c->version != 3 || s->json)
        print_number(s, "version", "Version", c->version, "");
    print_time(s, "notBefore", "Valid from", c->not_before, "");
    print_time(s, "notAfter", "Valid to", c->not_after, span_text(span, c->not_before, c->not_after));
    key_fact(s, &c->spki);
    sigalg_fact(s, &c->sigalg);
    print_exts(s, a, &c->exts);
    fingerprint_fact(s, c->der);
    print_object_end(s);
}

static const char *const formats[] = {[CSR_PKCS10] = "PKCS#10", [CSR_CRMF] = "CRMF", [CSR_SPKAC] = "SPKAC"};
static const char *const pops[] = {
    [CSR_POP_SIGNATURE] = "signature",
    [CSR_POP_NONE] = "none",
    [CSR_POP_RA_VERIFIED] = "vouched for by a registration authority",
    [CSR_POP_KEY_ENCIPHERMENT] = "by decryption or key agreement",
};

/* Attributes that have no line of their own. The challenge password is a secret: that it is there is all that is said. */
static void attrs_print(struct print_sink *s, struct arena *a, const struct csr *c)
{
    struct buf text;
    buf_init(&text, s->out->max);
    for (size_t i = 0; i < c->n_attrs; i++) {
        const struct csr_attr *attr = &c->attrs[i];
        if (attr->id == OID_EXTENSION_REQUEST || attr->id == OID_MS_EXTENSION_REQUEST ||
            attr->id == OID_CHALLENGE_PASSWORD)
            continue;
        const char *name = oid_to_text(a, attr->oid);
        buf_reset(&text);
        if (attr->id == OID_REG_CTRL_REG_TOKEN || attr->id == OID_REG_CTRL_AUTHENTICATOR)
            buf_puts(&text, "(secret)");
        else
            asn1_print(&text, attr->values);
        print_text(s, name ? name : "?", name ? name : "?", buf_slice(&text));
    }
    buf_done(&text);
}

void print_csr(struct print_sink *s, struct arena *a, const struct csr *c)
{
    print_object(s, "request", "Certificate request");
    print_str(s, "format", "Format", formats[c->format]);
    if (c->format == CSR_CRMF)
        print_number(s, "requestId", "Request id", c->crmf_request_id, "");
    if (c->subject.n)
        name_fact(s, "subject", "Subject", c->subject);
    if (c->not_before)
        print_time(s, "notBefore", "Valid from", c->not_before, "");
    if (c->not_after)
        print_time(s, "notAfter", "Valid to", c->not_after, "");
    if (c->spki.alg.oid.n)
        key_fact(s, &c->spki);
    if (!c->spki.der.n)
        print_str(s, "keyGeneration", "Key generation", "by the other side");
    print_str(s, "proof", "Proof", pops[c->pop]);
    if (c->pop == CSR_POP_SIGNATURE)
        sigalg_fact(s, &c->sigalg);
    if (c->format == CSR_SPKAC)
        print_text(s, "challenge", "Challenge", c->challenge_password);
    else if (c->challenge_password.n)
        print_bool(s, "challengePassword", "Challenge password", true);
    attrs_print(s, a, c);
    print_exts(s, a, &c->exts);
    fingerprint_fact(s, c->der);
    print_object_end(s);
}

static void entry_text(struct buf *out, const struct crl_entry *e)
{
    char at[21];
    buf_put_hex(out, serial_magnitude(e->serial));
    clock_format_rfc3339(at, e->revoked_at);
    buf_printf(out, "  %s  %s", at, crl_reason_names[e->reason]);
    if (e->invalid_since) {
        clock_format_rfc3339(at, e->invalid_since);
        buf_printf(out, ", invalid since %s", at);
    }
    if (e->unknown_critical)
        buf_puts(out, ", with a critical extension that is not known");
}

static void entry_json(struct buf *out, const struct crl_entry *e)
{
    char at[21];
    buf_puts(out, "{\"serial\": \"");
    buf_put_hex(out, serial_magnitude(e->serial));
    clock_format_rfc3339(at, e->revoked_at);
    buf_printf(out, "\", \"revokedAt\": \"%s\", \"reason\": \"%s\"", at, crl_reason_names[e->reason]);
    if (e->invalid_since) {
        clock_format_rfc3339(at, e->invalid_since);
        buf_printf(out, ", \"invalidSince\": \"%s\"", at);
    }
    if (e->unknown_critical)
        buf_puts(out, ", \"unknownCritical\": true");
    buf_puts(out, "}");
}

static void entries_print(struct print_sink *s, const struct crl *c)
{
    struct crl_iter it;
    struct crl_entry e;
    struct buf text;
    tm_err err;
    buf_init(&text, 512);
    print_list(s, "revoked", "Revoked");
    crl_iter_init(&it, c, NULL);
    while ((err = crl_next(&it, &e)) == TM_OK) {
        buf_reset(&text);
        if (s->json) {
            entry_json(&text, &e);
            print_item_raw(s, buf_slice(&text));
        } else {
            entry_text(&text, &e);
            print_item(s, buf_slice(&text));
        }
    }
    print_list_end(s);
    if (err != TM_ENOTFOUND)
        print_str(s, "malformed", "Malformed", "the list goes on, but its next entry is malformed");
    buf_done(&text);
}

static uint64_t entries_count(const struct crl *c)
{
    struct der_reader r;
    uint64_t n = 0;
    der_reader_init(&r, c->entries, NULL);
    while (!der_at_end(&r) && der_skip(&r, DER_SEQUENCE) == TM_OK)
        n++;
    return n;
}

void print_crl(struct print_sink *s, struct arena *a, const struct crl *c)
{
    char span[48];
    print_object(s, "crl", "Certificate revocation list");
    name_fact(s, "issuer", "Issuer", c->issuer);
    print_time(s, "thisUpdate", "Issued", c->this_update, "");
    if (c->next_update)
        print_time(s, "nextUpdate", "Next by", c->next_update,
                   span_text(span, c->this_update, c->next_update - 1));
    sigalg_fact(s, &c->sigalg);
    print_exts(s, a, &c->exts);
    print_number(s, "count", "Entries", entries_count(c), "");
    entries_print(s, c);
    fingerprint_fact(s, c->der);
    print_object_end(s);
}
