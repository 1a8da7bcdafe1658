#include "inventory/formats/container.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "inventory/formats/formats.h"
#include "x509/cert.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_OCTETS = 256 << 20, HEAD_PEM = 64 << 10 };

/* What is certain by its first octets comes first, then what has structure; PEM blocks may stand in any text. */
const struct cert_format *const cert_formats[] = {&jks_format,      &pkcs12_format, &pkcs7_format,
                                                  &der_format,      &ndjson_format, &csv_format,
                                                  &embedded_format, &pem_format,    NULL};

struct item {
    const char *alias; /* NULL: it has none of its own */
    size_t first, n;
    bool has_key;
};

struct container_out {
    struct container *c;
    struct arena *a;
    struct slice *certs; /* of all items, one after the other */
    size_t n, cap;
    struct item *items;
    size_t n_items, items_cap;
};

static tm_err grow(void **p, size_t *cap, size_t need, size_t size, struct arena *a)
{
    if (need <= *cap)
        return TM_OK;
    size_t more = *cap ? 2 * *cap : 64;
    void *v = arena_calloc(a, more, size);
    if (!v)
        return arena_err(a);
    if (*cap)
        memcpy(v, *p, *cap * size);
    *p = v;
    *cap = more;
    return TM_OK;
}

struct arena *container_arena(struct container_out *o)
{
    return o->a;
}

/* Names in keystores are anybody's: what does not print becomes '?'. */
static const char *plain(struct arena *a, const char *s, size_t max)
{
    size_t n = strnlen(s, max);
    char *text = arena_strndup(a, s, n);
    for (size_t i = 0; text && i < n;) {
        size_t step = utf8_step(slice_of(text + i, n - i));
        unsigned char c = (unsigned char)text[i];
        if (step == 0 || c < 0x20 || c == 0x7f ||
            (step == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
            for (size_t k = 0; k < (step ? step : 1); k++)
                text[i + k] = '?';
        i += step ? step : 1;
    }
    return text;
}

static tm_err new_item(struct container_out *o, const char *alias, bool has_key)
{
    TM_TRY(grow((void **)&o->items, &o->items_cap, o->n_items + 1, sizeof *o->items, o->a));
    o->items[o->n_items++] = (struct item){.alias = alias, .first = o->n, .has_key = has_key};
    return TM_OK;
}

tm_err container_begin(struct container_out *o, const char *alias, bool has_key)
{
    const char *name = plain(o->a, alias, CONTAINER_ALIAS_MAX);
    return name ? new_item(o, name[0] ? name : NULL, has_key) : arena_err(o->a);
}

tm_err container_put(struct container_out *o, struct slice der)
{
    if (o->n == CONTAINER_CERTS_MAX)
        return TM_ETOOBIG;
    TM_TRY(grow((void **)&o->certs, &o->cap, o->n + 1, sizeof *o->certs, o->a));
    struct item *it = &o->items[o->n_items - 1];
    if (it->n == CONTAINER_CHAIN_MAX)
        return new_item(o, NULL, false) == TM_OK ? container_put(o, der) : TM_ENOMEM;
    o->certs[o->n++] = der;
    it->n++;
    return TM_OK;
}

/* Does `up` stand where the issuer of the last certificate would? By name: what is so is for others to verify. */
static bool follows(const struct container_out *o, const struct cert *up)
{
    struct cert last;
    if (o->n_items == 0 || o->items[o->n_items - 1].n == 0 ||
        o->items[o->n_items - 1].n == CONTAINER_CHAIN_MAX)
        return false;
    return cert_parse(&last, o->certs[o->n - 1], NULL) == TM_OK && slice_eq(last.issuer, up->subject) &&
           !slice_eq(last.issuer, last.subject);
}

tm_err container_loose(struct container_out *o, struct slice der)
{
    struct cert c;
    if (cert_parse(&c, der, NULL) != TM_OK || !follows(o, &c))
        TM_TRY(new_item(o, NULL, false));
    return container_put(o, der);
}

void container_saw_key(struct container_out *o)
{
    o->c->keys++;
}

void container_note(struct container_out *o, const char *note)
{
    o->c->note = note;
}

void container_refuse(struct container_out *o, const char *where, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (o->c->refused++ >= CONTAINER_REFUSALS_MAX)
        return;
    const char *at = plain(o->a, where, CONTAINER_ALIAS_MAX), *why = plain(o->a, text, sizeof text);
    o->c->refusals[o->c->refused - 1] = (struct container_refusal){at ? at : "", why ? why : ""};
}

/* ---- the whole ---- */

/* What has no name is known by its certificate: another one in its place is another item. */
static tm_err name_item(struct container_item *ret, struct container_out *o, const struct item *it)
{
    uint8_t hash[SHA256_LEN];
    *ret = (struct container_item){
        .alias = it->alias, .chain = &o->certs[it->first], .n_chain = it->n, .has_key = it->has_key};
    if (it->alias)
        return TM_OK;
    if (o->n_items == 1) {
        ret->alias = "";
        return TM_OK;
    }
    TM_TRY(sha256(hash, o->certs[it->first]));
    ret->alias = arena_hex(o->a, slice_of(hash, 8));
    return ret->alias ? TM_OK : arena_err(o->a);
}

static int by_alias(const void *x, const void *y)
{
    const struct container_item *const *a = x, *const *b = y;
    int order = strcmp((*a)->alias, (*b)->alias);
    return order ? order : *a < *b ? -1 : *a > *b;
}

/* Two of one name would be one place: those behind the first say which certificate they are. */
static tm_err tell_apart(struct container_out *o)
{
    struct container *c = o->c;
    struct container_item **sorted = arena_calloc(o->a, c->n_items + 1, sizeof(void *));
    if (!sorted)
        return arena_err(o->a);
    for (size_t i = 0; i < c->n_items; i++)
        sorted[i] = &c->items[i];
    qsort(sorted, c->n_items, sizeof *sorted, by_alias);
    const char *name = NULL;
    for (size_t i = 0; i < c->n_items; i++) {
        uint8_t hash[SHA256_LEN];
        if (!name || strcmp(name, sorted[i]->alias) != 0) {
            name = sorted[i]->alias;
            continue;
        }
        TM_TRY(sha256(hash, sorted[i]->chain[0]));
        char *hex = arena_hex(o->a, slice_of(hash, 8));
        sorted[i]->alias = hex ? arena_printf(o->a, "%s.%s", name, hex) : NULL;
        if (!sorted[i]->alias)
            return arena_err(o->a);
    }
    return TM_OK;
}

static tm_err finish(struct container_out *o)
{
    struct container *c = o->c;
    c->items = arena_calloc(o->a, o->n_items + 1, sizeof *c->items);
    if (!c->items)
        return arena_err(o->a);
    for (size_t i = 0; i < o->n_items; i++)
        if (o->items[i].n)
            TM_TRY(name_item(&c->items[c->n_items++], o, &o->items[i]));
    c->certs = o->n;
    return tell_apart(o);
}

static tm_err choose(const struct cert_format **ret, const struct container_input *in, struct diag *diag)
{
    bool named = in->form && in->form[0];
    for (size_t i = 0; cert_formats[i]; i++) {
        if (named ? strcmp(cert_formats[i]->name, in->form) != 0 : !cert_formats[i]->looks(in->bytes))
            continue;
        *ret = cert_formats[i];
        return TM_OK;
    }
    return named ? diag_fail(diag, TM_EINVAL, NULL, "form", "there is no form \"%s\"; there are %s", in->form,
                             container_forms())
                 : diag_fail(diag, TM_ENOTFOUND, NULL, "body", "no certificate in it in any known form: %s",
                             container_forms());
}

tm_err container_read(struct container *ret, const struct container_input *in, struct diag *diag)
{
    struct container c = {.note = ""};
    struct container_out o = {.c = &c};
    const struct cert_format *f = NULL;
    if (in->bytes.n > CONTAINER_OCTETS_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "body", "more than %d bytes", CONTAINER_OCTETS_MAX);
    TM_TRY(choose(&f, in, diag));
    c.format = f->name;
    c.arena = o.a = arena_new(ARENA_OCTETS);
    if (!o.a)
        return TM_ENOMEM;
    tm_err e = f->read(&o, in, diag);
    if (e == TM_OK)
        e = finish(&o);
    if (e == TM_ETOOBIG && diag && !diag->message[0])
        e = diag_fail(diag, e, NULL, "body", "more than %d certificates", CONTAINER_CERTS_MAX);
    if (e == TM_OK && c.n_items == 0 && c.refused == 0 && c.keys == 0)
        e = diag_fail(diag, TM_ENOTFOUND, NULL, "body", "there is no certificate in it");
    if (e == TM_OK)
        *ret = c;
    else
        arena_free(o.a);
    return e;
}

void container_done(struct container *c)
{
    arena_free(c->arena);
    *c = (struct container){0};
}

bool container_likely(struct slice head, size_t size)
{
    if (size < 16 || size > CONTAINER_OCTETS_MAX || head.n < 4)
        return false;
    /* A SEQUENCE that is as long as the file, or of indefinite length: DER, PKCS#7, PKCS#12. */
    if (head.p[0] == 0x30) {
        size_t n = head.p[1] & 0x7f, length = 0;
        if (head.p[1] == 0x80)
            return true;
        if (!(head.p[1] & 0x80))
            return (size_t)head.p[1] + 2 == size;
        for (size_t i = 0; i < n && n <= 4 && i + 2 < head.n; i++)
            length = length << 8 | head.p[2 + i];
        return length + 2 + n == size;
    }
    if (jks_format.looks(head))
        return true;
    return memchr(head.p, '\0', head.n) == NULL; /* text, which has to be read */
}

const char *container_forms(void)
{
    return "jks, pkcs12, pkcs7, der, ndjson, csv, yaml, pem";
}

/* ---- rows ---- */

static bool one_of(struct slice name, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        if (slice_caseeq(name, slice_str(words[i])))
            return true;
    return false;
}

bool container_is_cert_column(struct slice name)
{
    static const char *const words[] = {"certificate",     "cert",     "pem", "der",  "x509",
                                        "certificate_pem", "raw_cert", "crt", "body", NULL};
    return one_of(name, words);
}

bool container_is_name_column(struct slice name)
{
    static const char *const words[] = {"alias", "name", "place", "host", "hostname", "id", NULL};
    return one_of(name, words);
}

tm_err container_text(struct container_out *o, const char *alias, struct slice text)
{
    struct slice der;
    size_t n = 0;
    if (container_has_pem(text))
        return container_pem(o, alias, text, &n);
    tm_err e = base64_decode(&der, o->a, text, BASE64_STD);
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK || der.n == 0) {
        container_refuse(o, alias, "neither PEM nor base64");
        return TM_OK;
    }
    if (container_has_pem(der))
        return container_pem(o, alias, der, &n);
    TM_TRY(container_begin(o, alias, false));
    return container_put(o, der);
}
