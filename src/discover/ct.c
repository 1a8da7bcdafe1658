#include "discover/ct.h"
#include "base/arena.h"
#include "base/text.h"
#include "x509/general_name.h"
#include "x509/name.h"
#include <stdio.h>
#include <string.h>

enum { ENTRY_X509 = 0, ENTRY_PRECERT = 1, ORIGIN_MAX = 1024 };

/* ---- a cursor over TLS's presentation language (RFC 8446 3), sticky ---- */

struct cursor {
    struct slice s;
    bool bad;
};

static uint64_t number(struct cursor *c, size_t octets)
{
    uint64_t v = 0;
    if (c->bad || c->s.n < octets) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < octets; i++)
        v = v << 8 | c->s.p[i];
    c->s = slice_sub(c->s, octets, c->s.n);
    return v;
}

static struct slice some(struct cursor *c, uint64_t n)
{
    if (c->bad || c->s.n < n) {
        c->bad = true;
        return (struct slice){0};
    }
    struct slice out = slice_sub(c->s, 0, n);
    c->s = slice_sub(c->s, n, c->s.n);
    return out;
}

static tm_err cut(struct diag *diag)
{
    return diag_fail(diag, TM_EMALFORMED, "RFC 6962 3.4", "entry",
                     "an entry that is cut short or has wrong lengths");
}

/* TimestampedEntry (RFC 6962 3.4): a certificate, or what will be in one. */
static tm_err timestamped(struct ct_entry *ret, struct cursor *c, struct diag *diag)
{
    uint64_t at = number(c, 8), type = number(c, 2);
    if (c->bad)
        return cut(diag);
    if (type != ENTRY_X509 && type != ENTRY_PRECERT)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 6962 3.1", "entry", "an entry of an unknown kind");
    ret->at = at < INT64_MAX ? (int64_t)at : 0;
    ret->precertificate = type == ENTRY_PRECERT;
    if (ret->precertificate) {
        some(c, CT_FINGERPRINT); /* of the issuer's key */
        some(c, number(c, 3));   /* TBSCertificate */
    } else {
        ret->cert = some(c, number(c, 3));
    }
    some(c, number(c, 2)); /* extensions */
    return c->bad ? cut(diag) : TM_OK;
}

/* ---- get-entries ---- */

static tm_err octets_of(struct slice *ret, struct arena *a, const json_t *entry, const char *key,
                        struct diag *diag)
{
    const json_t *v = json_object_get(entry, key);
    if (!json_is_string(v) ||
        base64_decode(ret, a, slice_of(json_string_value(v), json_string_length(v)), BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 6962 4.6", key, "not base64");
    return TM_OK;
}

tm_err ct_entry_read(struct ct_entry *ret, struct arena *a, const json_t *entry, struct diag *diag)
{
    struct slice leaf, extra;
    *ret = (struct ct_entry){0};
    TM_TRY(octets_of(&leaf, a, entry, "leaf_input", diag));
    TM_TRY(octets_of(&extra, a, entry, "extra_data", diag));
    struct cursor c = {.s = leaf}, x = {.s = extra};
    if (number(&c, 1) != 0 || number(&c, 1) != 0)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 6962 3.4", "leaf_input",
                         "a leaf of an unknown version or kind");
    TM_TRY(timestamped(ret, &c, diag));
    if (ret->precertificate)
        ret->cert = some(&x, number(&x, 3));
    struct cursor chain = {.s = some(&x, number(&x, 3))};
    while (!chain.bad && chain.s.n && ret->n_chain < CT_CHAIN_MAX) {
        struct slice der = some(&chain, number(&chain, 3));
        if (!chain.bad)
            ret->chain[ret->n_chain++] = der;
    }
    return x.bad || chain.bad || ret->cert.n == 0 ? cut(diag) : TM_OK;
}

/* ---- tiles ---- */

tm_err ct_tile_next(struct ct_entry *ret, struct slice *tile, struct diag *diag)
{
    struct cursor c = {.s = *tile};
    *ret = (struct ct_entry){0};
    if (tile->n == 0)
        return TM_ENOTFOUND;
    TM_TRY(timestamped(ret, &c, diag));
    if (ret->precertificate)
        ret->cert = some(&c, number(&c, 3));
    struct cursor chain = {.s = some(&c, number(&c, 2))};
    while (!chain.bad && chain.s.n) {
        struct slice fingerprint = some(&chain, CT_FINGERPRINT);
        if (!chain.bad && ret->n_chain < CT_CHAIN_MAX)
            ret->chain[ret->n_chain++] = fingerprint;
    }
    if (c.bad || chain.bad || ret->cert.n == 0)
        return cut(diag);
    *tile = c.s;
    return TM_OK;
}

tm_err ct_checkpoint_size(uint64_t *ret, struct slice note, struct diag *diag)
{
    const uint8_t *end =
        memchr(note.p ? note.p : (const uint8_t *)"", '\n', note.n < ORIGIN_MAX ? note.n : ORIGIN_MAX);
    uint64_t v = 0;
    size_t digits = 0;
    for (const uint8_t *p = end ? end + 1 : NULL; p && p < note.p + note.n; p++, digits++) {
        if (*p == '\n' && digits) {
            *ret = v;
            return TM_OK;
        }
        if (*p < '0' || *p > '9' || digits > 17)
            break;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    return diag_fail(diag, TM_EMALFORMED, "C2SP tlog-checkpoint", "checkpoint", "not a checkpoint");
}

void ct_tile_path(char out[CT_PATH_MAX], uint64_t tile, unsigned entries)
{
    unsigned groups[8];
    int n = 0, at = snprintf(out, CT_PATH_MAX, "/tile/data");
    do {
        groups[n++] = (unsigned)(tile % 1000);
        tile /= 1000;
    } while (tile && n < 8);
    for (int i = n - 1; i >= 0; i--)
        at += snprintf(out + at, CT_PATH_MAX - (size_t)at, "/%s%03u", i ? "x" : "", groups[i]);
    if (entries && entries < CT_TILE_ENTRIES)
        snprintf(out + at, CT_PATH_MAX - (size_t)at, ".p/%u", entries);
}

/* ---- names ---- */

static bool in_domain(struct slice name, const char *domain)
{
    struct slice d = slice_str(domain);
    if (name.n < d.n || !slice_caseeq(slice_sub(name, name.n - d.n, d.n), d))
        return false;
    return name.n == d.n || name.p[name.n - d.n - 1] == '.';
}

static bool in_any(struct slice name, const char *const *domains, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (in_domain(name, domains[i]))
            return true;
    return false;
}

bool ct_in_domains(struct arena *a, const struct cert *c, const char *const *domains, size_t n)
{
    struct general_names san;
    struct name subject;
    struct slice cn;
    if (n == 0)
        return true;
    if (cert_san(&san, a, c, NULL) == TM_OK)
        for (size_t i = 0; i < san.n; i++)
            if (san.v[i].type == GN_DNS && in_any(san.v[i].value, domains, n))
                return true;
    return name_parse(&subject, c->subject, NULL) == TM_OK && name_get(&cn, a, &subject, OID_CN) == TM_OK &&
           in_any(cn, domains, n);
}
