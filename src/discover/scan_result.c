/* What was found, in the words of the inventory. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "der/oid.h"
#include "discover/scan.h"
#include "x509/cert.h"
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 4096 };

void scan_place(char ret[SCAN_PLACE_MAX], const struct scan_result *r)
{
    char ip[ADDRESS_TEXT_MAX];
    const struct scan_spot *s = r->spot;
    bool v6 = r->address->family == ADDRESS_V6;
    address_format(ip, r->address);
    snprintf(ret, SCAN_PLACE_MAX, "%s:%s%s%s:%u%s%s", scan_protocol_names[s->port.protocol], v6 ? "[" : "",
             r->address->family == ADDRESS_NONE ? s->item->host : ip, v6 ? "]" : "", s->port.port,
             s->name ? "/" : "", s->name ? s->name : "");
}

const char *scan_status(const struct scan_result *r)
{
    return r->facts->n_chain ? "certificate" : tls_failure_names[r->facts->failure];
}

bool scan_is_failure(const struct scan_result *r)
{
    switch (r->facts->failure) {
    case TLS_FAIL_NONE:
    case TLS_FAIL_REFUSED:
    case TLS_FAIL_UNREACHABLE:
    case TLS_FAIL_SILENT:
        return false;
    default:
        return true;
    }
}

static void set(json_t *o, const char *key, const char *text)
{
    if (text && text[0])
        json_object_set_new(o, key, json_string(text));
}

/* A number that has no name is told as one. */
static void set_number(json_t *o, const char *key, const char *name, unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "0x%04x", number);
    if (number)
        set(o, key, name ? name : text);
}

static void set_versions(json_t *o, const struct scan_result *r)
{
    static const uint16_t versions[] = {SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3};
    if (!r->asked_versions || !r->facts->version || r->spot->port.protocol == SCAN_DTLS)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (r->versions & 1u << i)
            json_array_append_new(list, json_string(tls_version_name(versions[i])));
    json_object_set_new(o, "versions", list);
}

static void set_failure(json_t *o, const struct tls_facts *f)
{
    char alert[32];
    if (f->n_chain)
        return;
    set(o, "error", tls_failure_names[f->failure]);
    if (f->failure == TLS_FAIL_ALERT) {
        snprintf(alert, sizeof alert, "%u", f->alert);
        set(o, "alert", tls_alert_name(f->alert) ? tls_alert_name(f->alert) : alert);
    }
    set(o, "why", f->hint);
}

json_t *scan_details(const struct scan_result *r)
{
    const struct tls_facts *f = r->facts;
    const struct tls_suite *suite = tls_suite_find(f->suite);
    json_t *o = json_object();
    if (!o)
        return NULL;
    set_failure(o, f);
    set(o, "name", r->spot->name);
    set(o, "host", r->spot->item->host);
    if (r->spot->port.protocol >= SCAN_SMTP)
        set(o, "starttls", scan_protocol_names[r->spot->port.protocol]);
    set_number(o, "protocol", tls_version_name(f->version), f->version);
    set_number(o, "cipher", suite ? suite->name : NULL, f->suite);
    set_number(o, "group", tls_group_name(f->group), f->group);
    if (f->dh_bits)
        json_object_set_new(o, "dh_bits", json_integer(f->dh_bits));
    set(o, "alpn", f->alpn);
    set_versions(o, r);
    if (r->pq >= 0)
        json_object_set_new(o, "pq", json_boolean(r->pq));
    if (f->client_auth)
        json_object_set_new(o, "client_auth", json_true());
    if (f->version && f->version < TLS_1_3 && !f->secure_renego)
        json_object_set_new(o, "secure_renegotiation", json_false());
    if (f->legacy_hello && f->n_chain)
        json_object_set_new(o, "legacy_hello", json_true());
    if (f->n_sent > f->n_chain)
        json_object_set_new(o, "chain_sent", json_integer((json_int_t)f->n_sent));
    return o;
}

/* ---- what a leaf says of itself ---- */

static void set_key(json_t *o, const struct spki *spki)
{
    struct slice n;
    struct spki rsa = *spki;
    bool pss = spki->alg.id == OID_RSA_PSS; /* the same form of key */
    char text[32];
    if (pss)
        rsa.alg.id = OID_RSA;
    if (spki_rsa_modulus(&n, &rsa)) {
        size_t bits = n.n * 8;
        for (unsigned top = n.n ? n.p[0] : 0x80; top < 0x80; top <<= 1)
            bits--;
        snprintf(text, sizeof text, "rsa-%s%zu", pss ? "pss-" : "", bits);
        set(o, "key", text);
        return;
    }
    /* The curve is an OID in the parameters. */
    enum oid id = spki->alg.params.n > 2 ? oid_find(slice_sub(spki->alg.params, 2, SIZE_MAX)) : OID_UNKNOWN;
    set(o, "key",
        id != OID_UNKNOWN             ? oid_name(id)
        : spki->alg.id != OID_UNKNOWN ? oid_name(spki->alg.id)
                                      : "unknown");
}

static void set_name(json_t *o, const char *key, struct slice der)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    name_print_der(&b, der);
    set(o, key, buf_str(&b));
    buf_done(&b);
}

static void set_leaf(json_t *o, struct slice der)
{
    struct cert c;
    uint8_t digest[SHA256_LEN];
    char text[2 * SHA256_LEN + 1];
    if (sha256(digest, der) == TM_OK) {
        hex_encode(text, SLICE_ARR(digest));
        set(o, "fingerprint", text);
    }
    if (cert_parse(&c, der, NULL) != TM_OK) {
        json_object_set_new(o, "readable", json_false());
        return;
    }
    set_name(o, "subject", c.subject);
    set_name(o, "issuer", c.issuer);
    clock_format_rfc3339(text, c.not_before);
    set(o, "not_before", text);
    clock_format_rfc3339(text, c.not_after);
    set(o, "not_after", text);
    set_key(o, &c.spki);
    set(o, "signature", c.sigalg.id != OID_UNKNOWN ? oid_name(c.sigalg.id) : "unknown");
}

void scan_put_result(struct buf *out, const struct scan_result *r)
{
    char place[SCAN_PLACE_MAX], ip[ADDRESS_TEXT_MAX] = "";
    json_t *o = scan_details(r);
    if (!o)
        return;
    scan_place(place, r);
    if (r->address->family != ADDRESS_NONE)
        address_format(ip, r->address);
    set(o, "place", place);
    set(o, "status", scan_status(r));
    set(o, "address", ip);
    json_object_set_new(o, "port", json_integer(r->spot->port.port));
    if (r->facts->n_chain) {
        json_object_set_new(o, "chain", json_integer((json_int_t)r->facts->n_sent));
        set_leaf(o, r->facts->chain[0]);
    }
    buf_put_json(out, o, false);
    json_decref(o);
}
