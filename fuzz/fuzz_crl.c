/* CRLs: parse, iterate, and build the same list of entries again.
 * Dictionary: der
 * Parser: x509/crl.c x509/crl_stream.c -crl_build_* -plain_entry_write -entry_extensions_build -extensions_build -ext_open -ext_close
 * -time_set -outer_head_write -put_point -put_head -number_check.
 *
 * What is read as it streams by is what is read from memory: the same verdict, the same entries, the same signature. */
#include "base/buf.h"
#include "x509/cert.h"
#include "x509/crl_stream.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tm_err source_read(void *arg, uint8_t *out, size_t n)
{
    struct slice *rest = arg;
    if (n > rest->n)
        abort();
    memcpy(out, rest->p, n);
    *rest = slice_sub(*rest, n, rest->n);
    return TM_OK;
}

/* Entries up to the first bad one; whether all of it was good. */
static bool stream(struct crl *ret, size_t *ret_n, struct slice der, bool tbs_only)
{
    struct crl_source src = {.read = source_read, .arg = &der};
    struct crl_stream *s = NULL;
    struct crl_entry e;
    struct diag d = {0};
    tm_err err = crl_stream_open(&s, &src, der.n, tbs_only, &d);
    *ret_n = 0;
    for (; err == TM_OK; *ret_n += err == TM_OK)
        err = crl_stream_next(s, &e);
    if (err == TM_ENOTFOUND)
        err = crl_stream_end(s);
    if (err != TM_OK && d.message[0] == '\0')
        abort();
    if (err == TM_OK) {
        const struct crl *c = crl_stream_head(s);
        *ret = (struct crl){.this_update = c->this_update, .next_update = c->next_update};
        ret->exts.n = c->exts.n;
        ret->signature.n = c->signature.n;
        ret->issuer.n = c->issuer.n;
    }
    crl_stream_free(s);
    return err == TM_OK;
}

/* The same from memory. */
static void compare(struct slice der, bool tbs_only)
{
    static struct crl c, streamed;
    struct crl_iter it;
    struct crl_entry e;
    size_t n = 0, n_streamed;
    tm_err err = tbs_only ? crl_parse_tbs(&c, der, NULL) : crl_parse(&c, der, NULL);
    bool good = stream(&streamed, &n_streamed, der, tbs_only);
    if (err == TM_OK) {
        crl_iter_init(&it, &c, NULL);
        while ((err = crl_next(&it, &e)) == TM_OK)
            n++;
        err = err == TM_ENOTFOUND ? TM_OK : err;
    }
    if (der.n < 60000 && good != (err == TM_OK))
        abort();
    if (good && (n != n_streamed || c.this_update != streamed.this_update ||
                 c.next_update != streamed.next_update || c.exts.n != streamed.exts.n ||
                 c.signature.n != streamed.signature.n || c.issuer.n != streamed.issuer.n))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crl c, built;
    struct diag d = {0};
    struct crl_iter it;
    struct crl_entry e;
    struct crl_builder b;
    struct buf out;
    size_t n = 0, again = 0;
    compare(slice_of(data, size), true);
    compare(slice_of(data, size), false);
    if (crl_parse(&c, slice_of(data, size), &d) != TM_OK) {
        if (d.message[0] == '\0')
            abort();
        return 0;
    }
    (void)crl_number(&c);
    if (crl_parse_tbs(&built, c.tbs, &d) != TM_OK)
        abort();
    struct tbs_crl t = {.sigalg = c.sigalg.der,
                        .issuer = c.issuer,
                        .this_update = c.this_update,
                        .next_update = c.next_update,
                        .number = SLICE_LIT("\x01")};
    buf_init(&out, 1 << 20);
    crl_build_begin(&b, &out, &t);
    crl_iter_init(&it, &c, &d);
    for (; crl_next(&it, &e) == TM_OK; n++)
        crl_build_entry(&b, &e);
    if (crl_build_end(&b) == TM_OK) {
        struct buf list;
        buf_init(&list, 1 << 20);
        if (signed_assemble(&list, buf_slice(&out), c.sigalg.der, c.signature) == TM_OK) {
            if (crl_parse(&built, buf_slice(&list), &d) != TM_OK)
                abort();
            crl_iter_init(&it, &built, &d);
            while (crl_next(&it, &e) == TM_OK)
                again++;
            if (again != n)
                abort();
        }
        buf_done(&list);
    }
    buf_done(&out);
    return 0;
}
