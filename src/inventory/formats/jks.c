/* Java's own keystores, JKS and JCEKS. Certificates stand in them unencrypted; keys are passed over.
 *
 *   u32 magic  u32 version (1, 2)  u32 count  entries  20 octets SHA-1 over the password (UTF-16, big-endian), "Mighty Aphrodite" and all before
 *   entry 1, a key:         u32 tag  utf alias  u64 date  u32 n  n octets  u32 count  certificates
 *   entry 2, a certificate: u32 tag  utf alias  u64 date  certificate
 *   entry 3, a secret key (JCEKS): u32 tag  utf alias  u64 date  a serialized Java object
 *   certificate: utf type (version 2)  u32 n  n octets          utf: u16 n  n octets */
#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/text.h"
#include "inventory/formats/formats.h"
#include <string.h>

enum { MAGIC_JKS = 0xfeedfeed, DIGEST_LEN = 20, HEAD_LEN = 12, PASSWORD_MAX = 1024, ENTRIES_MAX = 100000 };
#define MAGIC_JCEKS 0xcececece

struct cursor {
    const uint8_t *p, *end;
    bool bad; /* sticky */
};

static uint64_t number(struct cursor *c, size_t octets)
{
    uint64_t v = 0;
    if (c->bad || (size_t)(c->end - c->p) < octets) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < octets; i++)
        v = v << 8 | *c->p++;
    return v;
}

static struct slice octets(struct cursor *c, size_t n)
{
    if (c->bad || (size_t)(c->end - c->p) < n) {
        c->bad = true;
        return (struct slice){0};
    }
    c->p += n;
    return slice_of(c->p - n, n);
}

static bool looks(struct slice bytes)
{
    struct cursor c = {.p = bytes.p, .end = bytes.p + bytes.n};
    uint64_t magic = number(&c, 4);
    return !c.bad && (magic == (uint32_t)MAGIC_JKS || magic == MAGIC_JCEKS);
}

/* ---- integrity ---- */

/* UTF-16 as Java's characters have it. */
static tm_err put_utf16(struct buf *out, struct slice utf8)
{
    for (size_t i = 0; i < utf8.n;) {
        size_t n = utf8_step(slice_sub(utf8, i, utf8.n));
        if (n == 0)
            return TM_EINVAL;
        uint32_t v = utf8_code(slice_sub(utf8, i, utf8.n), n);
        i += n;
        uint16_t units[2] = {(uint16_t)v, 0};
        if (v > 0xffff) {
            units[0] = (uint16_t)(0xd800 + ((v - 0x10000) >> 10));
            units[1] = (uint16_t)(0xdc00 + ((v - 0x10000) & 0x3ff));
        }
        for (size_t k = 0; k < (v > 0xffff ? 2 : 1); k++) {
            buf_putc(out, (uint8_t)(units[k] >> 8));
            buf_putc(out, (uint8_t)units[k]);
        }
    }
    return buf_err(out);
}

static tm_err verify(const struct container_input *in, struct diag *diag)
{
    uint8_t digest[DIGEST_LEN];
    struct buf b;
    struct slice body = slice_sub(in->bytes, 0, in->bytes.n - DIGEST_LEN);
    if (in->password.n > PASSWORD_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "password", "a password of more than %d octets",
                         PASSWORD_MAX);
    buf_init(&b, body.n + 2 * PASSWORD_MAX + 64);
    tm_err e = put_utf16(&b, in->password);
    buf_puts(&b, "Mighty Aphrodite");
    buf_put_slice(&b, body);
    if (e == TM_OK)
        e = buf_err(&b);
    if (e == TM_OK)
        e = sha1(digest, buf_slice(&b));
    if (b.p)
        memset(b.p, 0, b.n < 2 * PASSWORD_MAX ? b.n : 2 * PASSWORD_MAX);
    buf_done(&b);
    if (e == TM_EINVAL)
        return diag_fail(diag, e, NULL, "password", "the password is not UTF-8");
    TM_TRY(e);
    if (!slice_ct_eq(SLICE_ARR(digest), slice_sub(in->bytes, body.n, DIGEST_LEN)))
        return diag_fail(
            diag, TM_ELOCKED, NULL, "password",
            "the keystore's digest does not fit: the password is another one, or the file was altered");
    return TM_OK;
}

/* ---- entries ---- */

static struct slice cert(struct cursor *c, uint64_t version)
{
    if (version == 2)
        octets(c, number(c, 2)); /* "X.509" */
    return octets(c, number(c, 4));
}

static tm_err take_key(struct container_out *o, struct cursor *c, uint64_t version, const char *alias)
{
    octets(c, number(c, 4));
    uint64_t n = number(c, 4);
    if (!c->bad)
        container_saw_key(o);
    TM_TRY(container_begin(o, alias, true));
    for (uint64_t i = 0; i < n && !c->bad; i++) {
        struct slice der = cert(c, version);
        if (c->bad)
            break;
        if (i < CONTAINER_CHAIN_MAX)
            TM_TRY(container_put(o, der));
        else if (i == CONTAINER_CHAIN_MAX) /* once: a chain may claim millions of them, of no octets each */
            container_refuse(o, alias, "only %d certificates of its chain are taken", CONTAINER_CHAIN_MAX);
    }
    return TM_OK;
}

/* False: nothing further can be read. */
static tm_err take_entry(struct container_out *o, struct cursor *c, uint64_t version, bool *ret_go_on)
{
    uint64_t tag = number(c, 4);
    struct slice name = octets(c, number(c, 2));
    number(c, 8);
    char *alias = arena_strndup(container_arena(o), (const char *)name.p, name.n);
    *ret_go_on = true;
    if (!alias)
        return TM_ENOMEM;
    if (c->bad)
        return TM_OK;
    if (tag == 1)
        return take_key(o, c, version, alias);
    if (tag == 2) {
        struct slice der = cert(c, version);
        if (c->bad)
            return TM_OK;
        TM_TRY(container_begin(o, alias, false));
        return container_put(o, der);
    }
    *ret_go_on = false;
    if (tag == 3) {
        container_saw_key(o);
        container_refuse(o, alias,
                         "a secret key of Java's own serialization: what stands behind it is not read");
    } else {
        container_refuse(o, alias, "an entry of a kind that there is not: what stands behind it is not read");
    }
    return TM_OK;
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    if (!looks(in->bytes) || in->bytes.n < HEAD_LEN + DIGEST_LEN)
        return diag_fail(diag, TM_EMALFORMED, NULL, "body", "not a JKS or JCEKS keystore, or cut short");
    struct cursor c = {.p = in->bytes.p + 4, .end = in->bytes.p + in->bytes.n - DIGEST_LEN};
    uint64_t version = number(&c, 4), n = number(&c, 4);
    if (version != 1 && version != 2)
        return diag_fail(diag, TM_EUNSUPPORTED, NULL, "body",
                         "a JKS keystore of another version than 1 and 2");
    if (n > ENTRIES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "body", "more than %d entries", ENTRIES_MAX);
    if (in->has_password)
        TM_TRY(verify(in, diag));
    else
        container_note(o, "its integrity was not verified: no password was given");
    bool go_on = true;
    for (uint64_t i = 0; i < n && go_on && !c.bad; i++)
        TM_TRY(take_entry(o, &c, version, &go_on));
    if (c.bad)
        container_refuse(o, "", "the keystore is cut short or its lengths are wrong");
    else if (go_on && c.p != c.end)
        container_refuse(o, "", "there is something behind the last entry");
    return TM_OK;
}

const struct cert_format jks_format = {"jks", "a Java keystore, JKS or JCEKS", looks, read};
