#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "store/store.h"
#include "x509/alg_name.h"
#include "x509/general_name.h"
#include <arpa/inet.h>

enum { KEYS_ALWAYS = 6, TEXT_MAX = 16 << 10 };

uint16_t cert_id_month(int64_t not_after)
{
    struct civil_time c = civil_from_unix(not_after);
    int64_t months = ((int64_t)c.year - 2000) * 12 + c.month - 1;
    return (uint16_t)(months < 0 ? 0 : months > 0x7fff ? 0x7fff : months);
}

/* Take the text out of a buffer into the arena. */
static tm_err text_take(struct slice *ret, struct arena *a, struct buf *b)
{
    tm_err err = buf_err(b);
    if (err == TM_OK)
        err = arena_copy(ret, a, buf_slice(b));
    buf_done(b);
    return err;
}

static tm_err subject_text(struct slice *ret, struct arena *a, const struct cert *c)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    name_print_der(&b, c->subject);
    return text_take(ret, a, &b);
}

/* The form in which the index knows a SAN: "dns:example.org", "ip:192.0.2.1", "uri:…", "email:…", "other:<oid>:<hex>". */
static tm_err san_text(struct slice *ret, struct arena *a, const struct general_name *gn)
{
    struct buf b;
    char ip[INET6_ADDRSTRLEN] = "";
    buf_init(&b, TEXT_MAX);
    switch (gn->type) {
    case GN_DNS:
        buf_puts(&b, "dns:");
        buf_put_slice(&b, gn->value);
        break;
    case GN_IP:
        if (gn->value.n == 4 || gn->value.n == 16)
            inet_ntop(gn->value.n == 4 ? AF_INET : AF_INET6, gn->value.p, ip, sizeof ip);
        buf_printf(&b, "ip:%s", ip);
        break;
    case GN_URI:
        buf_puts(&b, "uri:");
        buf_put_slice(&b, gn->value);
        break;
    case GN_EMAIL:
        buf_puts(&b, "email:");
        buf_put_slice(&b, gn->value);
        break;
    case GN_OTHER:
        buf_puts(&b, "other:");
        oid_print_dotted(&b, gn->other_oid);
        buf_putc(&b, ':');
        buf_put_hex(&b, gn->value);
        break;
    default:
        general_name_print(&b, gn);
        break;
    }
    return text_take(ret, a, &b);
}

static void key_add(struct cert_key *keys, size_t *n, enum cert_key_kind kind, struct slice value)
{
    if (value.n)
        keys[(*n)++] = (struct cert_key){.kind = kind, .value = value};
}

tm_err cert_key_of_spki(uint8_t ret[32], bool *ret_other, const struct spki *spki)
{
    struct slice modulus;
    *ret_other = spki_rsa_modulus(&modulus, spki);
    return sha256(ret, *ret_other ? modulus : spki->der);
}

tm_err cert_keys_collect(struct cert_key **ret, size_t *ret_n, struct arena *a, const struct cert *c,
                         const char *device)
{
    struct cert_row row;
    TM_TRY(cert_row_from_cert(&row, a, c));
    row.device = device ? device : "";
    return cert_keys_of_row(ret, ret_n, a, c, &row);
}

tm_err cert_keys_of_row(struct cert_key **ret, size_t *ret_n, struct arena *a, const struct cert *c,
                        const struct cert_row *row)
{
    /* A foreign certificate may have a SAN that we cannot read: it is stored all the same. */
    struct general_names san;
    if (cert_san(&san, a, c, NULL) != TM_OK)
        san.n = 0;
    struct cert_key *keys = arena_calloc(a, KEYS_ALWAYS + san.n, sizeof *keys);
    if (!keys)
        return arena_err(a);
    size_t n = 0;
    struct slice s;
    TM_TRY(arena_copy(&s, a, SLICE_ARR(row->fingerprint)));
    key_add(keys, &n, CERT_KEY_FINGERPRINT, s);
    TM_TRY(arena_copy(&s, a, SLICE_ARR(row->spki_hash)));
    key_add(keys, &n, CERT_KEY_SPKI, s);
    uint8_t key[SHA256_LEN];
    bool other_name;
    TM_TRY(cert_key_of_spki(key, &other_name, &c->spki));
    if (other_name) {
        TM_TRY(arena_copy(&s, a, SLICE_ARR(key)));
        key_add(keys, &n, CERT_KEY_SPKI, s);
    }
    key_add(keys, &n, CERT_KEY_SUBJECT, slice_str(row->subject));
    key_add(keys, &n, CERT_KEY_DEVICE, slice_str(row->device));
    struct name name;
    if (name_parse(&name, c->subject, NULL) == TM_OK && name_get(&s, a, &name, OID_CN) == TM_OK)
        key_add(keys, &n, CERT_KEY_CN, s);
    for (size_t i = 0; i < san.n; i++) {
        TM_TRY(san_text(&s, a, &san.v[i]));
        key_add(keys, &n, CERT_KEY_SAN, s);
    }
    *ret = keys;
    *ret_n = n;
    return TM_OK;
}

/* RFC 5280 6.1: self-issued, and not by another key of that name. */
static bool is_self_signed(const struct cert *c)
{
    struct slice akid = cert_akid(c), ski = cert_ski(c);
    return slice_eq(c->issuer, c->subject) && (akid.n == 0 || ski.n == 0 || slice_eq(akid, ski));
}

tm_err cert_row_describe(struct cert_row *row, struct arena *a, const struct cert *c)
{
    char key[ALG_NAME_LEN], sig[ALG_NAME_LEN];
    spki_name(key, &c->spki);
    sigalg_name(sig, &c->sigalg);
    row->key_alg = arena_strdup(a, key);
    row->sig_alg = arena_strdup(a, sig);
    row->flags = (cert_is_ca(c) ? CERT_FLAG_CA : 0u) | (is_self_signed(c) ? CERT_FLAG_SELF_SIGNED : 0u);
    return row->key_alg && row->sig_alg ? TM_OK : arena_err(a);
}

tm_err cert_row_from_cert(struct cert_row *ret, struct arena *a, const struct cert *c)
{
    struct cert_row row = {.authority = "", .profile = "", .device = "", .endpoint = ""};
    struct slice subject;
    TM_TRY(subject_text(&subject, a, c));
    row.subject = subject.n ? (const char *)subject.p : "";
    row.serial = serial_magnitude(c->serial);
    row.not_before = c->not_before;
    row.not_after = c->not_after;
    row.keep_until = TM_TIME_NEVER;
    row.der = c->der;
    TM_TRY(sha256(row.fingerprint, c->der));
    TM_TRY(sha256(row.spki_hash, c->spki.der));
    TM_TRY(cert_row_describe(&row, a, c));
    *ret = row;
    return TM_OK;
}
