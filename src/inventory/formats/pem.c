/* PEM (RFC 7468): certificates one after the other, with whatever stands between them. */
#include "base/arena.h"
#include "base/text.h"
#include "der/reader.h"
#include "inventory/formats/formats.h"
#include <stdio.h>
#include <string.h>

#define BEGIN "-----BEGIN "

enum { BROKEN_MAX = 200 }; /* each costs a look through the rest */

size_t container_find(struct slice s, size_t from, struct slice word)
{
    const uint8_t *at = from < s.n ? memmem(s.p + from, s.n - from, word.p, word.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

bool container_has_pem(struct slice text)
{
    return container_find(text, 0, SLICE_LIT(BEGIN)) < text.n;
}

/* openssl's TRUSTED CERTIFICATE has what it is trusted for behind the certificate. */
static struct slice without_trust(struct slice der)
{
    struct der_reader r;
    struct slice tlv;
    der_reader_init(&r, der, NULL);
    return der_read_tlv(&r, DER_SEQUENCE, &tlv) == TM_OK ? tlv : der;
}

static tm_err take_cert(struct container_out *o, const char *alias, struct slice der, size_t *n)
{
    if (alias[0] && *n == 0) {
        TM_TRY(container_begin(o, alias, false));
        ++*n;
        return container_put(o, der);
    }
    ++*n;
    return container_loose(o, der);
}

static tm_err take_block(struct container_out *o, const char *alias, const char *where, const char *label,
                         struct slice der, size_t *n)
{
    struct diag why = {0};
    if (strstr(label, "PRIVATE KEY")) {
        container_saw_key(o);
        return TM_OK;
    }
    if (strcmp(label, "CERTIFICATE") == 0 || strcmp(label, "X509 CERTIFICATE") == 0)
        return take_cert(o, alias, der, n);
    if (strcmp(label, "TRUSTED CERTIFICATE") == 0)
        return take_cert(o, alias, without_trust(der), n);
    if (strcmp(label, "PKCS7") != 0 && strcmp(label, "CMS") != 0)
        return TM_OK; /* parameters, requests, lists: not what is looked for */
    ++*n;
    tm_err e = container_pkcs7(o, der, &why);
    if (e == TM_ENOMEM || e == TM_ETOOBIG)
        return e;
    if (e != TM_OK)
        container_refuse(o, where, "PKCS#7: %s", why.message);
    return TM_OK;
}

tm_err container_pem(struct container_out *o, const char *alias, struct slice text, size_t *ret_n)
{
    struct arena *a = container_arena(o);
    for (size_t block = 1, broken = 0;; block++) {
        struct slice der;
        char *label = NULL, at[32];
        tm_err e = pem_next(&der, &label, a, &text, NULL);
        if (e == TM_ENOTFOUND)
            return TM_OK;
        if (e == TM_ENOMEM)
            return e;
        snprintf(at, sizeof at, "block %zu", block);
        const char *where = alias[0] ? alias : at;
        if (e != TM_OK) {
            size_t begin = container_find(text, 0, SLICE_LIT(BEGIN));
            text = slice_sub(text, begin + sizeof BEGIN - 1, text.n);
            container_refuse(o, where, "a PEM block that is cut or is not base64");
            if (++broken < BROKEN_MAX)
                continue;
            container_refuse(o, where, "the rest was not read: too much of it is broken");
            return TM_OK;
        }
        TM_TRY(take_block(o, alias, where, label, der, ret_n));
    }
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    size_t n = 0;
    (void)diag;
    return container_pem(o, "", in->bytes, &n);
}

const struct cert_format pem_format = {"pem", "PEM blocks", container_has_pem, read};
