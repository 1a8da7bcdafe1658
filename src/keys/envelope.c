#include "keys/envelope.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "keys/internal.h"
#include "x509/name.h"
#include <inttypes.h>

const char *const sign_kind_names[SIGN_KIND_COUNT + 1] = {
    "leaf", "ca", "crl", "ocsp", "cms", "cmp", "decrypt", "checkpoint", "secret", NULL,
};

enum { EKUS_MAX = 64, DNS_MAX = 256 };

/* The JSON form. Keys stand in sorted order here and in envelope_to_json(). */
struct document {
    unsigned allow;
    struct json_strings anchors, ekus;
    const char *issuer;
    const char *key_id;
    int64_t max_ca_seconds, max_leaf_seconds, max_path_len, not_after_max;
    const char *origin;
    struct json_strings permit_dns;
};

static const struct json_field schema[] = {
    JSON_FIELD(struct document, allow, JSON_K_ENUMS, .names = sign_kind_names, .required = true),
    JSON_FIELD(struct document, anchors, JSON_K_STRINGS, .max = ENVELOPE_ANCHORS_MAX),
    JSON_FIELD(struct document, ekus, JSON_K_STRINGS, .max = EKUS_MAX, .required = true),
    JSON_FIELD(struct document, issuer, JSON_K_STRING, .max = 16 << 10, .required = true),
    JSON_FIELD(struct document, key_id, JSON_K_STRING, .min = 1, .max = 63, .required = true),
    JSON_FIELD(struct document, max_ca_seconds, JSON_K_INT, .max = TM_TIME_NEVER, .required = true),
    JSON_FIELD(struct document, max_leaf_seconds, JSON_K_INT, .max = TM_TIME_NEVER, .required = true),
    JSON_FIELD(struct document, max_path_len, JSON_K_INT, .min = -1, .max = 64, .required = true),
    JSON_FIELD(struct document, not_after_max, JSON_K_INT, .max = TM_TIME_NEVER, .required = true),
    JSON_FIELD(struct document, origin, JSON_K_STRING, .max = 255, .required = true),
    JSON_FIELD(struct document, permit_dns, JSON_K_STRINGS, .max = DNS_MAX, .required = true),
    {0},
};

static bool dns_suffix_valid(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 253 || s[0] == '.' || s[n - 1] == '.')
        return false;
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '.' || *p == '_'))
            return false;
    return strstr(s, "..") == NULL;
}

static bool eku_valid(struct arena *a, const char *s)
{
    struct slice oid;
    return strcmp(s, "any") == 0 || strcmp(s, "none") == 0 || oid_from_dotted(&oid, a, slice_str(s)) == TM_OK;
}

static bool anchor_valid(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* What the schema cannot say. */
static tm_err validate(const struct envelope *e, struct arena *a, struct diag *diag)
{
    if (!key_id_valid(slice_str(e->key_id)))
        return diag_fail(diag, TM_EINVAL, "key.envelope", "/key_id", "a key's name is 1 to 63 of [a-z0-9.-]");
    struct name name;
    if (e->issuer.n && name_parse(&name, e->issuer, NULL) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "key.envelope", "/issuer", "the issuer is not a name");
    for (size_t i = 0; i < e->n_anchors; i++)
        if (!anchor_valid(e->anchors[i]) || (i && strcmp(e->anchors[i - 1], e->anchors[i]) >= 0))
            return diag_fail(diag, TM_EINVAL, "key.envelope", "/anchors",
                             "the anchors are not SHA-256 hashes in ascending order");
    for (size_t i = 0; i < e->n_ekus; i++)
        if (!eku_valid(a, e->ekus[i]))
            return diag_fail(diag, TM_EINVAL, "key.envelope", "/ekus",
                             "\"%s\" is not an OID, \"any\" or \"none\"", e->ekus[i]);
    for (size_t i = 0; i < e->n_permit_dns; i++)
        if (!dns_suffix_valid(e->permit_dns[i]))
            return diag_fail(diag, TM_EINVAL, "key.envelope", "/permit_dns",
                             "\"%s\" is not a lower-case DNS name", e->permit_dns[i]);
    for (const char *p = e->origin; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '+' || *p == 0x7f)
            return diag_fail(diag, TM_EINVAL, "key.envelope", "/origin", "an origin holds no spaces or '+'");
    return TM_OK;
}

static tm_err from_document(struct envelope *ret, struct arena *a, const json_t *object, struct diag *diag)
{
    struct document d = {0};
    TM_TRY(json_bind(&d, schema, object, "", a, diag));
    struct envelope e = {
        .key_id = d.key_id,
        .origin = d.origin,
        .allow = d.allow,
        .anchors = d.anchors.v,
        .n_anchors = d.anchors.n,
        .ekus = d.ekus.v,
        .n_ekus = d.ekus.n,
        .max_leaf_seconds = d.max_leaf_seconds,
        .max_ca_seconds = d.max_ca_seconds,
        .not_after_max = d.not_after_max,
        .permit_dns = d.permit_dns.v,
        .n_permit_dns = d.permit_dns.n,
        .max_path_len = (int)d.max_path_len,
    };
    if (d.issuer[0] && base64_decode(&e.issuer, a, slice_str(d.issuer), BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "key.envelope", "/issuer", "the issuer is not base64");
    TM_TRY(validate(&e, a, diag));
    *ret = e;
    return TM_OK;
}

tm_err envelope_from_json(struct envelope *ret, struct arena *a, struct slice json, struct diag *diag)
{
    json_t *object;
    TM_TRY(json_parse(&object, json, ENVELOPE_JSON_MAX, diag));
    struct envelope e;
    tm_err err = from_document(&e, a, object, diag);
    json_decref(object);
    TM_TRY(err);
    /* One text for one meaning: what was sealed is what would be written. */
    struct buf canonical;
    buf_init(&canonical, ENVELOPE_JSON_MAX);
    err = envelope_to_json(&canonical, &e);
    if (err == TM_OK && !slice_eq(buf_slice(&canonical), json))
        err = diag_fail(diag, TM_EMALFORMED, "key.envelope", "", "the envelope is not in canonical form");
    buf_done(&canonical);
    if (err == TM_OK)
        *ret = e;
    return err;
}

static void put_strings(struct buf *out, const char *const *v, size_t n)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ',');
        buf_put_json_string(out, slice_str(v[i]));
    }
    buf_putc(out, ']');
}

tm_err envelope_to_json(struct buf *out, const struct envelope *e)
{
    const char *allow[SIGN_KIND_COUNT];
    size_t n_allow = 0;
    for (unsigned i = 0; i < SIGN_KIND_COUNT; i++)
        if (e->allow & (1u << i))
            allow[n_allow++] = sign_kind_names[i];
    buf_puts(out, "{\"allow\":");
    put_strings(out, allow, n_allow);
    /* Only where there are some: envelopes that were sealed before there were any stay as they are. */
    if (e->n_anchors) {
        buf_puts(out, ",\"anchors\":");
        put_strings(out, e->anchors, e->n_anchors);
    }
    buf_puts(out, ",\"ekus\":");
    put_strings(out, e->ekus, e->n_ekus);
    buf_puts(out, ",\"issuer\":\"");
    buf_put_base64(out, e->issuer, BASE64_STD, 0);
    buf_puts(out, "\",\"key_id\":");
    buf_put_json_string(out, slice_str(e->key_id));
    buf_printf(out,
               ",\"max_ca_seconds\":%" PRId64 ",\"max_leaf_seconds\":%" PRId64
               ",\"max_path_len\":%d,\"not_after_max\":%" PRId64 ",\"origin\":",
               e->max_ca_seconds, e->max_leaf_seconds, e->max_path_len, e->not_after_max);
    buf_put_json_string(out, slice_str(e->origin));
    buf_puts(out, ",\"permit_dns\":");
    put_strings(out, e->permit_dns, e->n_permit_dns);
    buf_putc(out, '}');
    return buf_err(out);
}
